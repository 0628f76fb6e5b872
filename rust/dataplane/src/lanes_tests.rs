//! The program is run as the kernel would, for packets of every kind: loads outside the packet end it with 0.

use std::collections::HashSet;

use super::*;

fn lane(packet: &[u8]) -> u64 {
    run(&program(), packet) % LANES as u64
}

fn load(packet: &[u8], at: u64, length: usize) -> Option<u64> {
    let octets = packet.get(at as usize..at as usize + length)?;
    Some(octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
}

fn run(program: &[Instruction], packet: &[u8]) -> u64 {
    let (mut registers, mut at) = ([0_u64; 10], 0);
    loop {
        let Instruction { opcode, registers: both, offset, immediate } = program[at];
        let (to, from, value) = (usize::from(both & 15), usize::from(both >> 4), i64::from(immediate).cast_unsigned());
        at += 1;
        let mut jump = |taken: bool| at = at.wrapping_add_signed(if taken { isize::from(offset) } else { 0 });
        let loaded = match opcode {
            0x20 => load(packet, value, 4),
            0x28 => load(packet, value, 2),
            0x30 => load(packet, value, 1),
            0x40 => load(packet, registers[from] + value, 4),
            _ => Some(registers[0]),
        };
        let Some(loaded) = loaded else { return 0 };
        registers[0] = loaded;
        match opcode {
            0x20 | 0x28 | 0x30 | 0x40 => {}
            0x05 => jump(true),
            0x15 => jump(registers[to] == value),
            0x55 => jump(registers[to] != value),
            0x0f => registers[to] = registers[to].wrapping_add(registers[from]),
            0x27 => registers[to] = registers[to].wrapping_mul(value),
            0x57 => registers[to] &= value,
            0x67 => registers[to] <<= value,
            0x77 => registers[to] >>= value,
            0xb7 => registers[to] = value,
            0xbf => registers[to] = registers[from],
            0x95 => return registers[0],
            _ => unreachable!("opcode {opcode:#x}"),
        }
    }
}

fn v4(host: u8, protocol: u8, fragment: u16, ports: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 40, 0, 0];
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, host]);
    packet.extend(ports);
    packet.resize(40, 0);
    packet
}

fn v6(host: u8, chain: &[u8], ports: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 40, chain[0], 64];
    packet.extend([0x20; 16]);
    packet.extend([0x21; 15]);
    packet.push(host);
    packet.extend(&chain[1..]);
    packet.extend(ports);
    packet.resize(80, 0);
    packet
}

#[test]
fn tcp_connections_are_spread_over_all_lanes() {
    for packet in [|port| v4(2, 6, 0x4000, [4, port, 0, 80]), |port| v6(2, &[6], [4, port, 0, 80])] {
        let lanes: HashSet<_> = (0..=255).map(packet).map(|packet| lane(&packet)).collect();
        assert_eq!(lanes.len(), LANES);
    }
}

#[test]
fn hosts_and_protocols_are_spread_over_all_lanes() {
    for packet in [|host| v4(host, 17, 0, [0; 4]), |host| v6(host, &[17], [0; 4])] {
        let lanes: HashSet<_> = (0..=255).map(packet).map(|packet| lane(&packet)).collect();
        assert_eq!(lanes.len(), LANES);
    }
    let lanes: HashSet<_> = (0..=255).map(|protocol| lane(&v4(2, protocol, 0, [0; 4]))).collect();
    assert_eq!(lanes.len(), LANES);
}

#[test]
fn fragments_of_datagrams_stay_with_those_that_are_whole() {
    for host in 0..32 {
        let whole = lane(&v4(host, 17, 0x4000, [1, 2, 3, 4]));
        for fragment in [0x2000, 0x2010, 0x0020] {
            assert_eq!(lane(&v4(host, 17, fragment, [9, 9, 9, host])), whole);
        }
        let whole = lane(&v6(host, &[17], [1, 2, 3, 4]));
        assert_eq!(lane(&v6(host, &[44, 17, 0, 0, 8, 0, 0, 0, 1], [9, 9, 9, host])), whole);
    }
}

#[test]
fn what_is_cut_short_or_no_ip_has_the_first_lane() {
    let packets = [(v4(2, 6, 0, [1, 2, 3, 4]), 24), (v6(2, &[6], [1, 2, 3, 4]), 44)];
    for (packet, headers) in packets {
        assert!((0..headers).all(|length| run(&program(), &packet[..length]) == 0));
        assert_ne!(run(&program(), &packet[..headers]), 0);
    }
    assert_eq!(run(&program(), &[0x50; 60]), 0);
}

#[test]
fn every_lane_that_is_ready_has_its_turn_until_it_is_empty() {
    let mut turns = Turns::default();
    assert_eq!((turns.next(), turns.is_empty()), (None, true));
    for lane in [0, 3, 7] {
        turns.mark(lane);
    }
    assert_eq!([(); 5].map(|()| turns.next()), [3, 7, 0, 3, 7].map(Some));
    turns.clear(0);
    turns.mark(4);
    assert_eq!([(); 4].map(|()| turns.next()), [3, 4, 7, 3].map(Some));
    for lane in [3, 4, 7] {
        turns.clear(lane);
    }
    assert_eq!((turns.next(), turns.is_empty()), (None, true));
}

use super::*;
use crate::testing::{l4_checksum_is_right, tcp_packet, udp_packet};

#[derive(Default)]
struct Frames(Vec<(Header, Vec<u8>)>);

impl Sink for Frames {
    fn write(&mut self, header: Header, octets: &[u8], pieces: &[Range<usize>]) {
        self.0.push((header, pieces.iter().flat_map(|piece| octets[piece.clone()].to_vec()).collect()));
    }
}

fn coalesce(packets: &[Vec<u8>]) -> Vec<(Header, Vec<u8>)> {
    let (mut coalescer, mut frames) = (Coalescer::new(true, true), Frames::default());
    let mut octets = packets.concat();
    let mut start = 0;
    for packet in packets {
        coalescer.push(&mut octets, start..start + packet.len(), &mut frames);
        start += packet.len();
    }
    coalescer.flush(&mut octets, &mut frames);
    frames.0
}

/// Cuts the frames again, as the kernel would.
fn split(frames: &[(Header, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for (header, packet) in frames {
        let mut frame = [&header.write()[..], packet].concat();
        let plan = crate::split::Plan::new(&mut frame).unwrap();
        for index in 0..plan.segments() {
            let mut target = vec![0; plan.len(index)];
            plan.write(index, &mut target);
            packets.push(target);
        }
    }
    packets
}

/// The same packets with IPv4 identifications as segmentation counts them, from 7.
fn numbered(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    for (index, packet) in packets.iter_mut().enumerate().filter(|(_, packet)| packet[0] == 0x45) {
        packet[4..6].copy_from_slice(&(7 + index as u16).to_be_bytes());
        crate::checksum::set_ipv4_header(&mut packet[..20]);
    }
    packets
}

fn tcp_run(v6: bool, lengths: &[usize]) -> Vec<Vec<u8>> {
    let mut sequence = u32::MAX - 100;
    lengths
        .iter()
        .map(|length| {
            let packet = tcp_packet(v6, sequence, 0x10, &vec![3; *length]);
            sequence = sequence.wrapping_add(*length as u32);
            packet
        })
        .collect()
}

#[test]
fn a_tcp_run_becomes_one_frame_that_cuts_back_into_the_same_packets() {
    for v6 in [false, true] {
        let packets = numbered(tcp_run(v6, &[100, 100, 100, 40]));
        let frames = coalesce(&packets);
        assert_eq!(frames.len(), 1);
        assert_eq!((frames[0].0.gso_size, frames[0].1.len()), (100, packets[0].len() + 240));
        assert_eq!(split(&frames), packets);
    }
}

#[test]
fn a_shorter_segment_ends_the_run_and_a_longer_one_begins_another() {
    assert_eq!(coalesce(&tcp_run(false, &[100, 50, 100, 100])).len(), 2);
    assert_eq!(coalesce(&tcp_run(false, &[50, 100])).len(), 2);
}

#[test]
fn push_ends_the_run_and_is_kept() {
    let mut packets = tcp_run(false, &[100, 100, 100]);
    packets[1] = tcp_packet(false, u32::MAX, 0x18, &[3; 100]);
    let packets = numbered(packets);
    let frames = coalesce(&packets);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].1[33], 0x18);
    assert_eq!(split(&frames), packets);
}

#[test]
fn packets_out_of_order_are_not_merged_and_keep_their_order() {
    let mut packets = tcp_run(false, &[100, 100, 100]);
    packets.swap(1, 2);
    let frames = coalesce(&packets);
    assert_eq!(split(&frames), packets);
    assert_eq!(frames.len(), 3);
}

#[test]
fn a_wrong_checksum_is_never_merged() {
    let mut packets = tcp_run(false, &[100, 100, 100]);
    packets[1][60] ^= 1;
    let frames = coalesce(&packets);
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[1], (Header::default(), packets[1].clone()));
    assert!(!l4_checksum_is_right(&frames[1].1));
}

#[test]
fn a_wrong_ipv4_header_checksum_is_never_merged() {
    for (packet, octet) in [(0, 10), (1, 11)] {
        let mut packets = tcp_run(false, &[100, 100]);
        packets[packet][octet] ^= 1;
        let frames = coalesce(&packets);
        assert_eq!(frames.into_iter().map(|(_, frame)| frame).collect::<Vec<_>>(), packets);
    }
}

#[test]
fn segments_that_differ_in_reserved_bits_are_not_merged() {
    for v6 in [false, true] {
        let l4 = if v6 { 40 } else { 20 };
        let mut packets = tcp_run(v6, &[100, 100]);
        // AE (RFC 9768), and a checksum that is right with it.
        packets[1][l4 + 12] |= 1;
        let check = u16::from_be_bytes([packets[1][l4 + 16], packets[1][l4 + 17]]);
        packets[1][l4 + 16..l4 + 18].copy_from_slice(&(check - 0x100).to_be_bytes());
        assert!(l4_checksum_is_right(&packets[1]));
        let frames = coalesce(&packets);
        assert_eq!(frames.into_iter().map(|(_, frame)| frame).collect::<Vec<_>>(), packets);
    }
}

#[test]
fn control_segments_pass_behind_what_was_open() {
    let mut packets = tcp_run(false, &[100, 100]);
    packets.push(tcp_packet(false, 99, 0x11, b""));
    let frames = coalesce(&packets);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1].1, packets[2]);
}

#[test]
fn a_different_time_to_live_is_not_merged() {
    let mut packets = tcp_run(false, &[100, 100]);
    packets[1][8] -= 1;
    assert_eq!(coalesce(&packets).len(), 2);
}

#[test]
fn without_df_the_identification_must_count_up() {
    let mut packets = tcp_run(false, &[100, 100]);
    for packet in &mut packets {
        packet[6] = 0;
    }
    assert_eq!(coalesce(&packets).len(), 2);
    let packets = numbered(packets);
    assert_eq!(coalesce(&packets).len(), 1);
}

#[test]
fn flows_do_not_mix() {
    let mut packets = tcp_run(false, &[100, 100, 100, 100]);
    for index in [1, 3] {
        packets[index] = udp_packet(false, 4000, &[9; 64]);
    }
    packets.swap(2, 3);
    let kinds: Vec<_> = coalesce(&packets).iter().map(|(header, _)| header.gso_type).collect();
    assert!(kinds.contains(&vnet::GSO_UDP_L4));
}

#[test]
fn equal_datagrams_of_one_flow_become_one_frame_of_at_most_64() {
    for v6 in [false, true] {
        let packets = numbered((0..70).map(|_| udp_packet(v6, 5000, &[1; 64])).collect());
        let frames = coalesce(&packets);
        assert_eq!(frames.len(), 2);
        assert_eq!(split(&frames), packets);
    }
}

#[test]
fn more_flows_than_are_kept_open_lose_nothing() {
    let packets: Vec<_> = (0..40).map(|i| udp_packet(false, 5000 + i % 20, &[1; 64])).collect();
    let mut out = split(&coalesce(&packets));
    let mut expected = packets.clone();
    out.sort();
    expected.sort();
    assert_eq!(out, expected);
}

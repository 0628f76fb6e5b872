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

/// Writes into a packet, and makes its checksums right again.
fn changed(packet: &[u8], at: usize, octets: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[at..at + octets.len()].copy_from_slice(octets);
    let v6 = packet[0] >> 4 == 6;
    let (l4, addresses, protocol) = if v6 { (40, 8..40, packet[6]) } else { (20, 12..20, packet[9]) };
    if !v6 {
        crate::checksum::set_ipv4_header(&mut packet[..20]);
    }
    let check = l4 + if protocol == TCP { 16 } else { 6 };
    packet[check..check + 2].fill(0);
    let right = !fold(sum(&packet[l4..]) + pseudo_header(&packet[addresses], packet.len() - l4, protocol));
    packet[check..check + 2].copy_from_slice(&right.to_ne_bytes());
    assert!(l4_checksum_is_right(&packet));
    packet
}

/// Two packets that are one frame, and not any more once the second has `octets` at `at`.
fn keeps_apart(packets: &[Vec<u8>; 2], at: usize, octets: &[u8]) {
    assert_eq!(coalesce(packets).len(), 1);
    let packets = [packets[0].clone(), changed(&packets[1], at, octets)];
    let frames = coalesce(&packets);
    assert_eq!(frames.len(), 2, "octet {at}");
    assert_eq!(split(&frames), packets, "octet {at}");
}

fn two_datagrams(v6: bool) -> [Vec<u8>; 2] {
    let [first, second] = [[9; 64], [10; 64]].map(|payload| udp_packet(v6, 5000, &payload));
    [first, second]
}

fn two_segments(v6: bool) -> [Vec<u8>; 2] {
    tcp_run(v6, &[100, 100]).try_into().unwrap()
}

/// Two segments with a time stamp each, and the same one.
fn two_segments_with_options(v6: bool) -> [Vec<u8>; 2] {
    let l4 = if v6 { 40 } else { 20 };
    two_segments(v6).map(|packet| {
        let options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let mut packet = [&packet[..l4 + 20], &options, &packet[l4 + 20..]].concat();
        packet[l4 + 12] = 0x80;
        if v6 {
            packet[5] += 12;
        } else {
            packet[3] += 12;
        }
        changed(&packet, 0, &[])
    })
}

#[test]
fn packets_of_other_addresses_or_ports_are_of_another_flow() {
    for packets in [two_segments(false), two_datagrams(false)] {
        // Source and destination, the first and last octet of each; then the ports.
        for at in [12, 15, 16, 19, 20, 21, 22, 23] {
            keeps_apart(&packets, at, &[77]);
        }
    }
    for packets in [two_segments(true), two_datagrams(true)] {
        for at in [8, 15, 16, 23, 24, 31, 32, 39, 40, 41, 42, 43] {
            keeps_apart(&packets, at, &[77]);
        }
    }
}

#[test]
fn segments_with_another_acknowledgement_window_or_urgent_pointer_are_not_merged() {
    for v6 in [false, true] {
        let l4 = if v6 { 40 } else { 20 };
        for at in [8, 11, 14, 15] {
            keeps_apart(&two_segments(v6), l4 + at, &[77]);
        }
    }
}

#[test]
fn segments_with_other_options_are_not_merged() {
    for v6 in [false, true] {
        let l4 = if v6 { 40 } else { 20 };
        for at in [27, 31] {
            keeps_apart(&two_segments_with_options(v6), l4 + at, &[77]);
        }
    }
}

#[test]
fn packets_with_another_ds_field_or_hop_limit_are_not_merged() {
    for packets in [two_segments(false), two_datagrams(false)] {
        // DSCP, ECN, then the time to live
        for (at, octet) in [(1, 0xb8), (1, 3), (8, 9)] {
            keeps_apart(&packets, at, &[octet]);
        }
    }
    for packets in [two_segments(true), two_datagrams(true)] {
        // DSCP, ECN, the flow label, then the hop limit
        for (at, octet) in [(0, 0x6b), (1, 0x30), (3, 77), (7, 9)] {
            keeps_apart(&packets, at, &[octet]);
        }
    }
}

#[test]
fn flows_that_alternate_are_a_frame_each() {
    for v6 in [false, true] {
        let (segments, datagrams) = (two_segments(v6), two_datagrams(v6));
        let packets = [&segments[0], &datagrams[0], &segments[1], &datagrams[1]].map(Clone::clone);
        let frames = coalesce(&packets);
        let tcp = if v6 { vnet::GSO_TCPV6 } else { vnet::GSO_TCPV4 };
        let kinds: Vec<_> = frames.iter().map(|(header, _)| header.gso_type).collect();
        assert_eq!(kinds, [tcp, vnet::GSO_UDP_L4]);
        // Of IPv4 the identifications, which mean nothing here, are counted up.
        let expected = [numbered(segments.to_vec()), numbered(datagrams.to_vec())].concat();
        assert_eq!(split(&frames), expected);
    }
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

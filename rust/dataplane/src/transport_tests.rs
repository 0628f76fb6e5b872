use super::*;
use crate::checksum::fold;
use crate::ds_field::class;
use crate::flow::Flow;
use crate::selector::Selector;
use crate::split::Plan;
use crate::testing::{l4_checksum_is_right, tcp_packet, udp_packet};
use crate::vnet::{self, Header};
use ironswan_esp::{InboundSa, OutboundSa, Suite};

const KEY: [u8; 20] = [7; 20];

/// From behind the peer to us, as `testing` addresses its packets.
fn hosts(v6: bool) -> Selectors {
    let (peer, own) = if v6 { ([1; 16].into(), [2; 16].into()) } else { ([10, 0, 0, 1].into(), [10, 1, 0, 1].into()) };
    let host = |address: IpAddr| Selector::new(0, address, address, 0, 65535).into_iter().collect();
    Selectors::new(host(own), host(peer))
}

fn addresses(v6: bool) -> (IpAddr, IpAddr) {
    if v6 { ([1; 16].into(), [2; 16].into()) } else { ([10, 0, 0, 1].into(), [10, 1, 0, 1].into()) }
}

fn gso(gso_type: u8, l4: u16, csum_offset: u16, size: u16) -> Header {
    Header { flags: vnet::NEEDS_CSUM, gso_type, hdr_len: 0, gso_size: size, csum_start: l4, csum_offset }
}

/// Sealed packets side by side, as they would lie in a run, and where each begins.
fn seal(suite: &str, header: Header, packet: &[u8]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut frame = [&header.write()[..], packet].concat();
    let (plan, next_header) = Plan::new(&mut frame).unwrap().into_upper_parts().unwrap();
    let sa = OutboundSa::new(256, Suite::from_keyword(suite).unwrap(), &KEY, false, 0).unwrap();
    let (mut run, mut places, mut octets) = (Vec::new(), Vec::new(), 0);
    for index in 0..plan.segments() {
        let inner_len = plan.len(index);
        octets += inner_len;
        let mut sealed = vec![0; sa.packet_len(inner_len)];
        plan.write(index, &mut sealed[sa.header_len()..sa.header_len() + inner_len]);
        sa.seal_in_place(index as u64 + 1, &mut sealed, inner_len, next_header);
        places.push(run.len()..run.len() + sealed.len());
        run.extend(sealed);
    }
    assert_eq!(plan.total_len(), octets);
    (run, places)
}

/// The packets of a run after they were opened and got their headers again, all of them at once in the buffer.
fn open(suite: &str, run: &[u8], places: &[Range<usize>], rebuild: &Rebuild) -> Vec<Vec<u8>> {
    let sa = InboundSa::new(256, Suite::from_keyword(suite).unwrap(), &KEY, false, 64, 0).unwrap();
    let spare = run.len()..run.len() * 4 + 4096;
    let mut octets = [run, &vec![0; spare.len()]].concat();
    let mut room = Room::new(spare);
    let mut packets = Vec::new();
    for place in places {
        assert!(room.has(place.len(), 1));
        let opened = sa.open_in_place(&mut octets[place.clone()]).unwrap();
        let payload = place.start + opened.range.start..place.start + opened.range.end;
        let packet = rebuild.packet(&mut octets, payload, opened.next_header, 0, &mut room).unwrap();
        room.keep(&packet);
        packets.push(packet);
    }
    packets.into_iter().map(|packet| octets[packet].to_vec()).collect()
}

fn round_trip(v6: bool, header: Header, packet: &[u8]) -> Vec<Vec<u8>> {
    let (run, places) = seal("aes128gcm16", header, packet);
    open("aes128gcm16", &run, &places, &Rebuild::new(&hosts(v6), None).unwrap())
}

fn v6_with(extension: &[u8], next: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = udp_packet(true, 5000, b"")[..40].to_vec();
    packet.extend(extension);
    packet.extend(rest);
    packet[6] = next;
    let length = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    packet
}

#[test]
fn the_ds_field_of_the_outer_header_is_that_of_the_packet() {
    for v6 in [false, true] {
        let rebuild = Rebuild::new(&hosts(v6), None).unwrap();
        let mut octets = [0; 4096];
        let packet = rebuild.packet(&mut octets, 100..120, 17, 0xbb, &mut Room::new(2048..4096)).unwrap();
        assert_eq!((class(&octets[packet.clone()]), octets[packet.start] >> 4), (0xbb, if v6 { 6 } else { 4 }));
        assert!(v6 || fold(sum(&octets[packet.start..packet.start + 20])) == 0xffff);
    }
}

#[test]
fn a_packet_arrives_with_its_addresses_protocol_and_payload() {
    for v6 in [false, true] {
        let l4 = if v6 { 40 } else { 20 };
        for packet in [udp_packet(v6, 5000, b"over the wire"), tcp_packet(v6, 1, 0x18, &[3; 700])] {
            let (sealed, _) = seal("aes128gcm16", Header::default(), &packet);
            assert!(sealed.len() < packet.len() + 8 + 8 + 16 + 16 - l4 + 2);
            let back = round_trip(v6, Header::default(), &packet);
            assert_eq!(back[0][l4..], packet[l4..]);
            assert_eq!(Flow::read(&back[0]), Flow::read(&packet));
            assert!(l4_checksum_is_right(&back[0]));
        }
    }
    let icmp = [&udp_packet(false, 1, &[5; 48])[..20], &[8, 0, 1, 2]].concat();
    let mut icmp = [&icmp[..], &[9; 52]].concat();
    icmp[9] = 1;
    assert_eq!(round_trip(false, Header::default(), &icmp)[0][20..], icmp[20..]);
}

#[test]
fn every_segment_of_a_super_packet_is_a_whole_packet_again() {
    for v6 in [false, true] {
        let l4: u16 = if v6 { 40 } else { 20 };
        let payload: Vec<u8> = (0..250).cycle().take(5000).collect();
        let kind = if v6 { vnet::GSO_TCPV6 } else { vnet::GSO_TCPV4 };
        let tcp = round_trip(v6, gso(kind, l4, 16, 900), &tcp_packet(v6, 1000, 0x19, &payload));
        let udp = round_trip(v6, gso(vnet::GSO_UDP_L4, l4, 6, 900), &udp_packet(v6, 5000, &payload));
        for (packets, l4_len) in [(tcp, 20), (udp, 8)] {
            assert_eq!(packets.len(), 6);
            assert!(packets.iter().all(|packet| l4_checksum_is_right(packet)));
            let header = usize::from(l4) + l4_len;
            assert_eq!(packets.iter().flat_map(|packet| packet[header..].to_vec()).collect::<Vec<_>>(), payload);
        }
    }
}

#[test]
fn an_ipv4_header_is_written_with_its_length_and_checksum() {
    let back = round_trip(false, Header::default(), &udp_packet(false, 5000, b"hello"));
    assert_eq!(back[0].len(), 33);
    assert_eq!(back[0][2..4], [0, 33]);
    assert_eq!(fold(sum(&back[0][..20])), 0xffff);
}

#[test]
fn destination_options_travel_inside() {
    let options = [17, 0, 1, 4, 0, 0, 0, 0];
    let packet = v6_with(&options, 60, &udp_packet(true, 5000, b"data")[40..]);
    assert_eq!(upper_part(&packet), Some((40, 60)));
    let back = round_trip(true, Header::default(), &packet);
    assert_eq!(back[0][40..], packet[40..]);
    assert_eq!(Flow::read(&back[0]), Flow::read(&packet));
}

#[test]
fn an_atomic_fragment_goes_as_the_whole_datagram_it_is() {
    let udp = &udp_packet(true, 5000, b"data")[40..];
    let packet = v6_with(&[17, 0, 0, 0, 0, 0, 0, 9], 44, udp);
    assert_eq!(upper_part(&packet), Some((48, 17)));
    assert_eq!(round_trip(true, Header::default(), &packet)[0][40..], *udp);
}

#[test]
fn what_cannot_travel_without_its_header_is_refused() {
    let udp = udp_packet(false, 5000, b"data");
    let changed = |at: usize, value: u8| {
        let mut packet = udp.clone();
        packet[at] = value;
        packet
    };
    assert_eq!(upper_part(&changed(6, 0x20)), None);
    assert_eq!(upper_part(&changed(7, 1)), None);
    assert_eq!(upper_part(&changed(0, 0x46)), None);
    assert_eq!(upper_part(&changed(3, 99)), None);
    assert_eq!(upper_part(&changed(0, 0x55)), None);
    assert_eq!(upper_part(&[]), None);
    let rest = &udp_packet(true, 5000, b"data")[40..];
    for (next, extension) in [
        (0, [17, 0, 5, 2, 0, 0, 0, 0]),
        (43, [17, 0, 0, 0, 0, 0, 0, 0]),
        (44, [17, 0, 0, 1, 0, 0, 0, 9]),
        (44, [17, 0, 0, 8, 0, 0, 0, 9]),
        (60, [43, 0, 1, 4, 0, 0, 0, 0]),
        (60, [17, 9, 1, 4, 0, 0, 0, 0]),
    ] {
        assert_eq!(upper_part(&v6_with(&extension, next, rest)), None, "{next} {extension:?}");
    }
}

#[test]
fn headers_for_routers_are_refused_inside_of_an_ipv6_payload() {
    let rebuild = Rebuild::new(&hosts(true), None).unwrap();
    for next in [0, 43, 44] {
        let mut octets = vec![0; 4096];
        assert_eq!(rebuild.packet(&mut octets, 100..120, next, 0, &mut Room::new(2048..4096)), None);
    }
    let mut octets = vec![0; 400_000];
    let room = || Room::new(100_000..400_000);
    assert_eq!(rebuild.packet(&mut octets, 100..65_636, 17, 0, &mut room()), None);
    assert_eq!(Rebuild::new(&hosts(false), None).unwrap().packet(&mut octets, 100..65_620, 17, 0, &mut room()), None);
}

/// I100, RFC 3948 3.1.2
#[test]
fn checksums_made_with_addresses_before_a_nat_are_mended() {
    for v6 in [false, true] {
        let peer = if v6 { [0x2a; 16].into() } else { [203, 0, 113, 77].into() };
        let own = addresses(v6).1;
        let host = |address: IpAddr| Selector::new(0, address, address, 0, 65535).into_iter().collect::<Vec<_>>();
        let seen = Selectors::new(host(own), host(peer));
        for packet in [udp_packet(v6, 5000, &[7; 33]), tcp_packet(v6, 9, 0x10, &[1; 100])] {
            let (run, places) = seal("aes128gcm16", Header::default(), &packet);
            let plain = open("aes128gcm16", &run, &places, &Rebuild::new(&seen, None).unwrap());
            assert!(!l4_checksum_is_right(&plain[0]));
            let mending = Rebuild::new(&seen, Some(addresses(v6))).unwrap();
            let mended = open("aes128gcm16", &run, &places, &mending);
            assert!(l4_checksum_is_right(&mended[0]));
            let mut wrong = packet.clone();
            *wrong.last_mut().unwrap() ^= 1;
            let (run, places) = seal("aes128gcm16", Header::default(), &wrong);
            assert!(!l4_checksum_is_right(&open("aes128gcm16", &run, &places, &mending)[0]));
        }
    }
}

#[test]
fn a_udp_datagram_without_checksum_stays_without_behind_a_nat() {
    let mut packet = udp_packet(false, 5000, &[7; 33]);
    packet[26..28].fill(0);
    let (run, places) = seal("aes128gcm16", Header::default(), &packet);
    let mending = Rebuild::new(&hosts(false), Some(([192, 168, 1, 2].into(), [10, 1, 0, 1].into()))).unwrap();
    assert_eq!(open("aes128gcm16", &run, &places, &mending)[0][26..28], [0, 0]);
}

#[test]
fn a_mended_checksum_behind_destination_options_is_right() {
    let udp = &udp_packet(true, 5000, b"data")[40..];
    let packet = v6_with(&[17, 0, 1, 4, 0, 0, 0, 0], 60, udp);
    let original: (IpAddr, IpAddr) = ([0x2a; 16].into(), [2; 16].into());
    let mut mended = packet[40..].to_vec();
    mend(&mut mended, 60, true, address_sum(addresses(true).0), address_sum(original.0));
    let with_other_source = {
        let mut whole = udp_packet(true, 5000, b"data");
        whole[8..24].fill(0x2a);
        whole[40..].copy_from_slice(&mended[8..]);
        whole
    };
    assert!(l4_checksum_is_right(&with_other_source));
    let mut cut = [60, 9];
    mend(&mut cut, 60, true, 1, 2);
    assert_eq!(cut, [60, 9]);
}

#[test]
fn transport_mode_needs_one_address_on_each_side() {
    let host = |first: [u8; 4], last: [u8; 4]| Selector::new(6, first.into(), last.into(), 80, 80).unwrap();
    let (a, b, c) = ([10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]);
    let both = vec![host(a, a), Selector::new(17, a.into(), a.into(), 0, 65535).unwrap()];
    assert!(Rebuild::new(&Selectors::new(both, vec![host(b, b)]), None).is_some());
    for local in [vec![host(a, b)], vec![host(a, a), host(c, c)], vec![]] {
        assert!(Rebuild::new(&Selectors::new(local, vec![host(b, b)]), None).is_none());
    }
    let any = Selectors::new(hosts(true).local().to_vec(), vec![host(b, b)]);
    assert!(Rebuild::new(&any, None).is_none());
    assert!(Rebuild::new(&hosts(false), Some(addresses(true))).is_none());
}

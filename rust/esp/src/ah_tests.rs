#![allow(clippy::unwrap_used)]

use super::*;
use crate::encapsulation::{Mode, Outcome, Packets, Status, TunnelHeader};
use crate::integ::INTEG;
use crate::window::ReplayWindow;

/// UDP with a record route, a router alert and a padding option, don't fragment set.
fn ipv4() -> Vec<u8> {
    let mut packet = vec![
        0x49, 0xb8, 0, 0, 0x12, 0x34, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // header
        148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, // options
        0, 1, 0, 2, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, // UDP
    ];
    packet[3] = packet.len() as u8;
    crate::encapsulation::ip::set_ipv4_checksum(&mut packet[..36]);
    packet
}

/// UDP behind hop-by-hop options (one may change, one may not) and destination options.
fn ipv6() -> Vec<u8> {
    let mut packet = vec![0x6b, 0x81, 0x23, 0x45, 0, 0, 0, 61];
    packet.extend([0xfd; 15]);
    packet.push(1);
    packet.extend([0xfd; 15]);
    packet.push(2);
    packet.extend([60, 1, 0x3e, 4, 1, 2, 3, 4, 0x1e, 2, 5, 6, 1, 2, 0, 0]);
    packet.extend([17, 0, 0x1f, 4, 9, 9, 9, 9]);
    packet.extend([0, 1, 0, 2, 0, 12, 0, 0, 1, 2, 3, 4]);
    packet[5] = (packet.len() - 40) as u8;
    packet
}

fn pair(integ: &'static Integ, esn: bool, mode: Mode) -> (AhEncapsulator, AhDecapsulator) {
    let keymat: Vec<u8> = (0..(integ.key_len + integ.salt_len) as u8).collect();
    let key = || AhKey::new(integ, &keymat, esn).unwrap();
    let tunnel = TunnelHeader::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let last = if esn { 9 << 32 } else { 0 };
    let options = AhEncapsulatorOptions { spi: 0x1234, esn, last_sequence_number: last, mode, tunnel, limits: None };
    let accept = AhDecapsulatorOptions { spi: 0x1234, mode, accept: None, ecn: true };
    let encapsulator = AhEncapsulator::new(key(), options).unwrap();
    (encapsulator, AhDecapsulator::new(key(), ReplayWindow::new(64, esn, last), accept))
}

fn batch(packets: &[Vec<u8>]) -> Packets {
    let mut batch = Packets::default();
    for packet in packets {
        batch.push(packet);
    }
    batch
}

fn sealed(encapsulator: &AhEncapsulator, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut outcome = Outcome::default();
    encapsulator.encap(&batch(packets), &mut outcome);
    assert!(outcome.statuses.iter().all(|status| *status == Status::Ok), "{:?}", outcome.statuses);
    outcome.packets.iter().map(<[u8]>::to_vec).collect()
}

fn opened(decapsulator: &AhDecapsulator, packet: &[u8]) -> Result<Vec<u8>, Status> {
    let mut outcome = Outcome::default();
    decapsulator.decap(&batch(&[packet.to_vec()]), &mut outcome);
    let packet = outcome.packets.get(0).unwrap().to_vec();
    if outcome.statuses[0] == Status::Ok { Ok(packet) } else { Err(outcome.statuses[0]) }
}

#[test]
fn every_algorithm_gives_back_what_went_in() {
    for integ in INTEG {
        for esn in [false, true] {
            for mode in [Mode::Tunnel, Mode::Transport] {
                let (outbound, inbound) = pair(integ, esn, mode);
                for packet in [ipv4(), ipv6()] {
                    let sealed = sealed(&outbound, std::slice::from_ref(&packet));
                    assert_eq!(opened(&inbound, &sealed[0]), Ok(packet), "{} {mode:?}", integ.keyword);
                    assert_eq!(opened(&inbound, &sealed[0]), Err(Status::Replayed));
                }
            }
        }
    }
}

/// RFC 4302 3.3.3.1: every octet of the packet is covered, but for those that may change on the way.
#[test]
fn only_mutable_octets_may_change() {
    let mutable_v4 = [1, 6, 7, 8, 10, 11].into_iter().chain(24..31).collect::<Vec<_>>();
    let mutable_v6 = [0, 1, 2, 3, 7].into_iter().chain(44..48).collect::<Vec<_>>();
    for (packet, mutable) in [(ipv4(), mutable_v4), (ipv6(), mutable_v6)] {
        let (outbound, _) = pair(&INTEG[0], true, Mode::Transport);
        let packet = sealed(&outbound, &[packet])[0].clone();
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            let (_, inbound) = pair(&INTEG[0], true, Mode::Transport);
            let result = opened(&inbound, &changed);
            // The lowest bits of version, of the flags and of an option's type and length mean more than a changed octet.
            if mutable.contains(&at) && result.is_err() {
                assert!(
                    matches!(result, Err(Status::Malformed | Status::Fragment)) || [24, 25, 26].contains(&at),
                    "{at}"
                );
            } else {
                assert_eq!(result.is_ok(), mutable.contains(&at), "octet {at}");
            }
        }
    }
}

/// AH in a routing header of type 0 with two addresses, of which none was visited.
fn routed_ipv6() -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, 43, 64];
    for end in 1..=2 {
        packet.extend([0xfd; 15]);
        packet.push(end);
    }
    packet.extend([17, 4, 0, 2, 0, 0, 0, 0]);
    for end in 3..=4 {
        packet.extend([0xfd; 15]);
        packet.push(end);
    }
    packet.extend([0, 1, 0, 2, 0, 12, 0, 0, 1, 2, 3, 4]);
    packet[5] = (packet.len() - 40) as u8;
    packet
}

/// RFC 4302 appendix A2: the receiver has the addresses as they came, so only the packet at its last destination is authentic.
#[test]
fn a_routing_header_is_authentic_only_at_its_end() {
    let (outbound, inbound) = pair(&INTEG[0], false, Mode::Transport);
    let on_the_way = sealed(&outbound, &[routed_ipv6()])[0].clone();
    let mut halfway = on_the_way.clone();
    (halfway[39], halfway[63], halfway[43]) = (3, 2, 1);
    let mut arrived = halfway.clone();
    (arrived[39], arrived[79], arrived[43]) = (4, 3, 0);
    let mut led_astray = arrived.clone();
    led_astray[39] = 9;
    let mut begun_anew = on_the_way.clone();
    begun_anew[39] = 9;
    for packet in [&on_the_way, &halfway, &led_astray, &begun_anew] {
        assert_eq!(opened(&inbound, packet), Err(Status::IcvMismatch));
    }
    assert!(opened(&inbound, &arrived).is_ok());
}

/// RFC 4302 appendix A1: a source route is mutable, so it must not say what the destination was.
#[test]
fn a_source_route_does_not_vouch_for_another_destination() {
    let mut packet = ipv4();
    packet[20..36].copy_from_slice(&[1, 131, 11, 4, 10, 9, 9, 9, 10, 8, 8, 8, 0, 0, 0, 0]);
    let (outbound, inbound) = pair(&INTEG[0], false, Mode::Transport);
    let on_the_way = sealed(&outbound, &[packet])[0].clone();
    let mut led_astray = on_the_way.clone();
    led_astray[16..20].copy_from_slice(&[10, 66, 66, 66]);
    for packet in [on_the_way, led_astray] {
        assert_eq!(opened(&inbound, &packet), Err(Status::IcvMismatch));
    }
}

/// RFC 4302 has no dummies: a packet without next header arrives as it was sent.
#[test]
fn a_packet_without_next_header_is_delivered() {
    let mut packet = ipv6();
    packet.truncate(40);
    (packet[5], packet[6]) = (0, 59);
    let (outbound, inbound) = pair(&INTEG[0], false, Mode::Transport);
    let sealed = sealed(&outbound, std::slice::from_ref(&packet));
    assert_eq!(opened(&inbound, &sealed[0]), Ok(packet));
    assert_eq!(inbound.counters().packets(Status::Dummy), 0);
}

#[test]
fn what_cannot_be_signed_takes_no_sequence_number() {
    let mut option = ipv4();
    option[21] = 40;
    let mut longer_than_its_header = ipv6();
    longer_than_its_header[43] = 200;
    let mut no_such_segment = routed_ipv6();
    no_such_segment[43] = 3;
    let bad = [option, longer_than_its_header, no_such_segment];
    let (outbound, inbound) = pair(&INTEG[0], false, Mode::Transport);
    let mut outcome = Outcome::default();
    for packet in bad {
        outbound.encap(&batch(&[ipv4(), packet, ipv6()]), &mut outcome);
        assert_eq!(outcome.statuses, [Status::Ok, Status::Malformed, Status::Ok]);
        assert_eq!((outcome.sequence_numbers[1], outcome.next_headers[1]), (0, 0));
        assert_eq!(outcome.sequence_numbers[2], outcome.sequence_numbers[0] + 1);
        assert_eq!(outcome.sequence_numbers[2], outbound.sequence_number());
        let sealed: Vec<_> = outcome.packets.iter().map(<[u8]>::to_vec).collect();
        assert!(sealed[1].is_empty() && opened(&inbound, &sealed[0]).is_ok() && opened(&inbound, &sealed[2]).is_ok());
    }
}

#[test]
fn both_sides_count_the_same_octets() {
    for (mode, octets) in [(Mode::Tunnel, ipv4().len() + ipv6().len()), (Mode::Transport, 16 + 20)] {
        let (outbound, inbound) = pair(&INTEG[0], false, mode);
        for packet in sealed(&outbound, &[ipv4(), ipv6()]) {
            opened(&inbound, &packet).unwrap();
        }
        assert_eq!((outbound.counters().octets(), inbound.counters().octets()), (octets as u64, octets as u64));
    }
}

/// A source route's last address is the destination the ICV is for, so the packet is right when it arrives there.
#[test]
fn a_route_is_predicted() {
    let mut packet = ipv4();
    packet[20..36].copy_from_slice(&[1, 131, 11, 4, 10, 9, 9, 9, 10, 8, 8, 8, 0, 0, 0, 0]);
    let (outbound, inbound) = pair(&INTEG[0], false, Mode::Transport);
    let mut arrived = sealed(&outbound, &[packet])[0].clone();
    arrived[16..20].copy_from_slice(&[10, 8, 8, 8]);
    arrived[21..32].copy_from_slice(&[131, 11, 12, 10, 0, 0, 2, 10, 9, 9, 9]);
    assert!(opened(&inbound, &arrived).is_ok());
}

#[test]
fn fragments_other_protocols_and_other_sas_are_told_apart() {
    let (outbound, inbound) = pair(&INTEG[0], false, Mode::Transport);
    let packet = sealed(&outbound, &[ipv4()])[0].clone();
    assert_eq!(opened(&inbound, &ipv4()), Err(Status::NotEsp));
    let mut fragment = packet.clone();
    fragment[6] |= 0x20;
    assert_eq!(opened(&inbound, &fragment), Err(Status::Fragment));
    let mut other = packet.clone();
    other[36 + 4] ^= 1;
    assert_eq!(opened(&inbound, &other), Err(Status::WrongSpi));
    let mut longer = packet.clone();
    longer[36 + 1] += 1;
    assert_eq!(opened(&inbound, &longer), Err(Status::Malformed));
    for len in 0..packet.len() {
        assert!(opened(&inbound, &packet[..len]).is_err());
    }
    assert_eq!(inbound.window().highest(), 0);
}

#[test]
fn ah_is_as_long_as_the_family_wants() {
    for (keyword, v4, v6) in [("sha1", 24, 24), ("sha256", 28, 32), ("sha384", 36, 40), ("sha512", 44, 48)] {
        let integ = Integ::from_keyword(keyword).unwrap();
        let key = AhKey::new(integ, &vec![0; integ.key_len], false).unwrap();
        assert_eq!((key.header_len(false), key.header_len(true)), (v4, v6), "{keyword}");
    }
}

#[test]
fn key_material_of_the_wrong_length_is_refused_in_words_without_the_key() {
    let error = AhKey::new(&INTEG[0], &[0xab; 31], false).unwrap_err();
    assert_eq!(error.to_string(), "sha256 in AH takes 32 octets of key material, not 31");
}

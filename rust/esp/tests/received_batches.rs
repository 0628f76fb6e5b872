//! Batches as an adversary may send them: forged, repeated, cut and foreign packets between good ones.
#![allow(clippy::unwrap_used)]

mod packets;

use ironswan_esp::encapsulation::{Decapsulator, Framing, Mode, Outcome, Status};
use packets::{FRAMINGS, MODES, Pair, SUITES, inner, ipv4, ipv6, list, pair};

const IPV4_HEADER: usize = 20;

/// Octets before ESP.
fn esp_at(framing: Framing) -> usize {
    match framing {
        Framing::Esp => 0,
        Framing::Udp => 8,
        Framing::Ip => IPV4_HEADER,
    }
}

/// What an adversary makes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoilt {
    No,
    Forged,
    Renumbered,
    Foreign,
    Cut,
    Empty,
    /// The packet before it, which is a good one, once more.
    Repeated,
    Fragment,
    OtherProtocol,
}

use Spoilt::{Cut, Empty, Foreign, Forged, Fragment, No, OtherProtocol, Renumbered, Repeated};

impl Spoilt {
    fn make(self, sealed: &[Vec<u8>], index: usize, framing: Framing) -> Vec<u8> {
        let mut packet = sealed[index].clone();
        let (at, len) = (esp_at(framing), packet.len());
        match self {
            No => {}
            Forged => packet[len - 1] ^= 1,
            Renumbered => packet[at + 6] ^= 0x40,
            Foreign => packet[at] ^= 1,
            Cut => packet.truncate(at + 11),
            Empty => packet.clear(),
            Repeated => packet.clone_from(&sealed[index - 1]),
            Fragment => packet[6] |= 0x20,
            OtherProtocol => packet[9] = 6,
        }
        packet
    }

    fn status(self, framing: Framing) -> Status {
        match self {
            No => Status::Ok,
            Forged | Renumbered => Status::IcvMismatch,
            Foreign => Status::WrongSpi,
            // A UDP header counts its payload, so what was cut is no datagram.
            Cut | Empty if framing == Framing::Udp => Status::NotEsp,
            Cut | Empty => Status::Malformed,
            Repeated => Status::Replayed,
            Fragment => Status::Fragment,
            OtherProtocol => Status::NotEsp,
        }
    }
}

fn count(outcome: &Outcome, status: Status) -> u64 {
    outcome.statuses.iter().filter(|found| **found == status).count() as u64
}

fn assert_seen_exactly(inbound: &Decapsulator, count: usize, seen: impl Fn(usize) -> bool) {
    let window = inbound.sa().window();
    for index in 0..count {
        assert_eq!(window.check(index as u64 + 1), !seen(index), "packet {index}");
    }
}

/// Good packets come back whatever stands beside them, wherever the borders of chunks fall; only they move the window.
#[test]
fn bad_packets_spoil_no_good_one() {
    const BARE: [Spoilt; 8] = [No, Forged, Renumbered, No, Repeated, Foreign, Cut, Empty];
    const BEHIND_IP: [Spoilt; 8] = [No, Fragment, Forged, No, Repeated, OtherProtocol, Cut, Empty];
    for pair in SUITES.map(pair).into_iter().flat_map(|pair| FRAMINGS.map(|framing| Pair { framing, ..pair })) {
        let order = if pair.framing == Framing::Ip { BEHIND_IP } else { BARE };
        for (count, turn) in [33, 64, 65].into_iter().flat_map(|count| (0..8).map(move |turn| (count, turn))) {
            let spoilt = |index: usize| if index == 0 { No } else { order[(index + turn) % 8] };
            let spoilt: Vec<_> = (0..count).map(spoilt).collect();
            assert_good_ones_arrive(&pair, &spoilt);
        }
    }
}

fn assert_good_ones_arrive(pair: &Pair, spoilt: &[Spoilt]) {
    let sent = inner(spoilt.len());
    let sealed = pair.sealed(&sent);
    let received: Vec<_> =
        spoilt.iter().enumerate().map(|(index, spoilt)| spoilt.make(&sealed, index, pair.framing)).collect();
    let inbound = pair.inbound();
    let opened = pair.decap(&inbound, &received);
    for (index, spoilt) in spoilt.iter().enumerate() {
        assert_eq!(opened.statuses[index], spoilt.status(pair.framing), "{} {index} {spoilt:?}", pair.suite);
        if *spoilt == No {
            assert_eq!(opened.packets.get(index), Some(&*sent[index]));
            assert_eq!(opened.sequence_numbers[index], index as u64 + 1);
        }
    }
    assert_seen_exactly(&inbound, spoilt.len(), |index| spoilt[index] == No);
    assert_eq!(inbound.counters().octets(), opened.packets.octets().len() as u64);
    for status in Status::ALL {
        assert_eq!(inbound.counters().packets(status), count(&opened, status), "{status:?}");
    }
}

/// E03: whatever lies between a packet and its copy, one of them is taken, the first.
#[test]
fn a_packet_is_taken_once_in_a_batch() {
    for suite in SUITES {
        for mode in MODES {
            let pair = Pair { mode, framing: Framing::Ip, ..pair(suite) };
            let sent = inner(65);
            let sealed = pair.sealed(&sent);
            for (first, copies) in [(0, vec![1]), (0, vec![31]), (31, vec![32]), (0, vec![32, 64]), (5, vec![6, 7, 40])]
            {
                let mut received = sealed.clone();
                for copy in &copies {
                    received[*copy] = sealed[first].clone();
                }
                let inbound = pair.inbound();
                let opened = pair.decap(&inbound, &received);
                for (index, status) in opened.statuses.iter().enumerate() {
                    let copy = copies.contains(&index);
                    assert_eq!(*status, if copy { Status::Replayed } else { Status::Ok }, "{suite} {first} {index}");
                    assert_eq!(opened.packets.get(index).unwrap(), if copy { &[][..] } else { &*sent[index] });
                }
                assert_seen_exactly(&inbound, 65, |index| !copies.contains(&index));
            }
            let inbound = pair.inbound();
            assert_eq!(count(&pair.decap(&inbound, &vec![sealed[0].clone(); 65]), Status::Replayed), 64);
        }
    }
}

/// What another packet of the same batch moved the window past is as old as if it had come later.
#[test]
fn a_batch_out_of_order_gives_what_its_packets_give_one_by_one() {
    for suite in SUITES {
        for esn in [false, true] {
            let pair =
                Pair { esn, last: if esn { u64::from(u32::MAX) - 70 } else { 0 }, replay_window: 64, ..pair(suite) };
            let sealed = pair.sealed(&inner(200));
            for step in [1, 3, 77, 151, 199] {
                let received: Vec<_> = (0..260).map(|index| sealed[index * step % 200].clone()).collect();
                let (together, alone) = (pair.inbound(), pair.inbound());
                let opened = pair.decap(&together, &received);
                let singles: Vec<_> = received.chunks(1).map(|packet| pair.decap(&alone, packet)).collect();
                for (status, single) in opened.statuses.iter().zip(&singles) {
                    // With ESN a number left of the window is taken for one of the next subspace, so the ICV refuses it.
                    let alike = if esn { [Status::Replayed, Status::IcvMismatch] } else { [*status; 2] };
                    assert!(
                        *status == single.statuses[0] || alike.contains(status) && alike.contains(&single.statuses[0])
                    );
                }
                assert_eq!(list(&opened), singles.iter().flat_map(list).collect::<Vec<_>>(), "{suite} {step}");
                let numbers: Vec<_> = singles.iter().map(|single| single.sequence_numbers[0]).collect();
                assert_eq!(opened.sequence_numbers, numbers);
                let (together, alone) = (together.sa().window(), alone.sa().window());
                assert_eq!((together.highest(), together.bits()), (alone.highest(), alone.bits()));
            }
        }
    }
}

/// RFC 4301 5.2: what the selectors do not take was authentic, and is seen.
#[test]
fn packets_that_are_not_for_the_sa_are_refused_each_for_itself() {
    for pair in SUITES.map(pair) {
        let sent = inner(65);
        let sealed = pair.sealed(&sent);
        let inbound = pair.accepting(Some(Box::new(|packet| packet[0] >> 4 == 4)));
        let opened = pair.decap(&inbound, &sealed);
        for (index, packet) in sent.iter().enumerate() {
            let fits = packet[0] >> 4 == 4;
            assert_eq!(opened.statuses[index], if fits { Status::Ok } else { Status::SelectorMismatch });
            assert_eq!(opened.packets.get(index).unwrap(), if fits { &packet[..] } else { &[] });
        }
        assert_seen_exactly(&inbound, 65, |_| true);
    }
}

/// RFC 4301 7.2: a fragment that begins within the transport header could change the ports that were looked at.
#[test]
fn overlapping_fragments_do_not_pass_selectors() {
    for pair in SUITES.map(pair) {
        let fragments = [0_u16, 1, 2, 16, 0x2000, 0x2001].map(|field| {
            let mut packet = ipv4(9);
            packet[6..8].copy_from_slice(&field.to_be_bytes());
            packet
        });
        let sealed = pair.sealed(&fragments);
        let opened = pair.decap(&pair.accepting(Some(Box::new(|_| true))), &sealed);
        let refused = Status::SelectorMismatch;
        assert_eq!(opened.statuses, [Status::Ok, refused, Status::Ok, Status::Ok, Status::Ok, refused]);
        let opened = pair.decap(&pair.inbound(), &sealed);
        assert_eq!(list(&opened), fragments, "without selectors they pass");
    }
}

/// RFC 6040 4.2: packets with and without an outer mark in one batch; a copy counts once.
#[test]
fn congestion_marks_are_each_packets_own() {
    for suite in SUITES {
        let pair = Pair { framing: Framing::Ip, ..pair(suite) };
        let mut sent = inner(31);
        for packet in sent.iter_mut().filter(|packet| packet[0] == 0x60) {
            packet[1] |= 2 << 4;
        }
        let mut received = pair.sealed(&sent);
        received.iter_mut().step_by(2).for_each(|packet| packet[1] |= 3);
        received.push(received[0].clone());
        let inbound = pair.inbound();
        let opened = pair.decap(&inbound, &received);
        let mut illegal = 0;
        for (index, packet) in sent.iter_mut().enumerate() {
            let (marked, understood) = (index % 2 == 0, packet[0] == 0x60);
            illegal += u64::from(marked && !understood);
            let dropped = marked && !understood;
            assert_eq!(opened.statuses[index], if dropped { Status::EcnIllegal } else { Status::Ok });
            if marked && understood {
                packet[1] |= 3 << 4;
            }
            assert_eq!(opened.packets.get(index).unwrap(), if dropped { &[][..] } else { packet });
        }
        assert_eq!(opened.statuses[31], Status::Replayed);
        assert_eq!(inbound.counters().ecn_anomalies(), illegal, "{suite}");
    }
}

/// Transport mode puts the headers back in front of each payload, whatever was dropped before it.
#[test]
fn headers_of_transport_mode_stay_with_their_payload() {
    for suite in SUITES {
        let pair = Pair { mode: Mode::Transport, framing: Framing::Ip, ..pair(suite) };
        let sent: Vec<_> = (0..65).map(|index| if index % 2 == 0 { ipv4(index) } else { ipv6(index) }).collect();
        let mut received = pair.sealed(&sent);
        for index in (0..65).step_by(5) {
            *received[index].last_mut().unwrap() ^= 0x80;
        }
        let opened = pair.decap(&pair.inbound(), &received);
        for (index, packet) in sent.iter().enumerate() {
            let expected = if index % 5 == 0 { &[][..] } else { packet };
            assert_eq!(opened.packets.get(index).unwrap(), expected, "{suite} {index}");
        }
    }
}

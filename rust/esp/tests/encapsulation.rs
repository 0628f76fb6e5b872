//! Batches of whole packets: borders of the chunks they are worked on in, ends of sequence numbers and limits.
#![allow(clippy::unwrap_used)]

mod packets;

use ironswan_esp::encapsulation::{Encapsulator, Framing, Limits, Misuse, Mode, Outcome, Packets, Status};
use packets::{FRAMINGS, MODES, Pair, SUITES, batch, inner, ipv4, ipv6, list, pair};

/// Every suite that is tried, in both modes and with everything that can stand before ESP.
fn pairs() -> impl Iterator<Item = Pair> {
    let modes = SUITES.into_iter().flat_map(|suite| MODES.map(|mode| Pair { mode, ..pair(suite) }));
    modes.flat_map(|pair| FRAMINGS.map(|framing| Pair { framing, ..pair }))
}

#[test]
fn batches_of_any_size_come_back_in_order() {
    for pair in pairs() {
        for count in [0, 1, 31, 32, 33, 63, 64, 65] {
            let sent = inner(count);
            let (outbound, inbound) = (pair.outbound(), pair.inbound());
            let sealed = pair.encap(&outbound, &sent);
            let opened = pair.decap(&inbound, &list(&sealed));
            assert_eq!(opened.statuses, vec![Status::Ok; count]);
            assert_eq!(list(&opened), sent, "{} {:?} {:?} {count}", pair.suite, pair.mode, pair.framing);
            assert_eq!(opened.next_headers, sealed.next_headers);
            assert_eq!(opened.sequence_numbers, (1..=count as u64).collect::<Vec<_>>());
            assert_eq!(inbound.sa().window().highest(), count as u64);
            assert_eq!(outbound.counters().packets(Status::Ok), count as u64);
            assert_eq!(inbound.counters().packets(Status::Ok), count as u64);
        }
    }
}

#[test]
fn an_outcome_keeps_nothing_of_the_batch_before() {
    let pair = pair("aes128-sha256");
    let (outbound, inbound) = (pair.outbound(), pair.inbound());
    let (mut sealed, mut opened) = (Outcome::default(), Outcome::default());
    for count in [40, 3, 0, 33] {
        let sent = inner(count);
        outbound.encap(&batch(&sent), Framing::Esp, 0, &mut sealed).unwrap();
        inbound.decap(&sealed.packets, Framing::Esp, &mut opened).unwrap();
        assert_eq!(list(&opened), sent);
        assert_eq!((opened.statuses.len(), opened.next_headers.len()), (count, count));
        assert_eq!(opened.sequence_numbers.len(), count);
    }
}

/// What a packet is not, before a sequence number is spent on it.
#[test]
fn what_is_no_packet_takes_no_sequence_number() {
    for suite in SUITES {
        let pair = pair(suite);
        let mut sent = inner(40);
        for index in [0, 5, 31, 32, 39] {
            sent[index].truncate(index.min(19));
        }
        let sealed = pair.encap(&pair.outbound(), &sent);
        let mut next = 0;
        for (index, number) in sealed.sequence_numbers.iter().enumerate() {
            let bad = [0, 5, 31, 32, 39].contains(&index);
            assert_eq!(sealed.statuses[index], if bad { Status::Malformed } else { Status::Ok });
            next += u64::from(!bad);
            assert_eq!(*number, if bad { 0 } else { next });
        }
        assert_eq!(next, 35);
    }
}

/// E02: the numbers end within a batch; what is behind fails and nothing wraps.
#[test]
fn sequence_numbers_end_within_a_batch() {
    for suite in SUITES {
        for (esn, end) in [(false, u64::from(u32::MAX)), (true, u64::MAX - 1)] {
            for left in [0, 1, 31, 32, 33, 64] {
                let pair = Pair { esn, last: end - left, ..pair(suite) };
                let (outbound, inbound) = (pair.outbound(), pair.inbound());
                let mut sent = inner(65);
                // It takes no number from those behind it.
                sent[0].clear();
                let sealed = pair.encap(&outbound, &sent);
                let gone = |status: Status| sealed.statuses.iter().filter(|found| **found == status).count();
                assert_eq!((gone(Status::Ok), gone(Status::SequenceExhausted)), (left as usize, 64 - left as usize));
                assert_eq!(outbound.sa().sequence_number(), end);
                assert_eq!(outbound.counters().packets(Status::SequenceExhausted), 64 - left);
                let opened = pair.decap(&inbound, &list(&sealed));
                let arrived: Vec<_> = opened.packets.iter().filter(|packet| !packet.is_empty()).collect();
                assert_eq!(arrived, sent[1..=left as usize], "{suite} {esn} {left}");
                let again = pair.encap(&outbound, &sent[1..2]);
                assert_eq!(again.statuses, [Status::SequenceExhausted]);
            }
        }
    }
}

fn limited(packets: u64, octets: u64) -> Encapsulator {
    let mut pair = pair("aes128-sha256");
    pair.outer.limits = Some(Limits { packets, octets });
    pair.outbound()
}

#[test]
fn no_more_packets_leave_than_the_limit() {
    for limit in [0, 1, 32, 33, 64] {
        let outbound = limited(limit, u64::MAX);
        let sealed = pair("aes128-sha256").encap(&outbound, &inner(65));
        let limit = limit as usize;
        assert_eq!(sealed.statuses[..limit], vec![Status::Ok; limit]);
        assert_eq!(sealed.statuses[limit..], vec![Status::LimitReached; 65 - limit]);
        assert_eq!(outbound.sa().sequence_number(), limit as u64, "what is refused takes no number");
    }
}

#[test]
fn a_packet_that_fits_the_octets_leaves_behind_one_that_does_not() {
    let lens = [100, 60, 41, 40, 1].map(|len| ipv4_of(20 + len));
    let outbound = limited(u64::MAX, 120 + 80 + 60);
    let sealed = pair("aes128-sha256").encap(&outbound, &lens);
    let refused = Status::LimitReached;
    assert_eq!(sealed.statuses, [Status::Ok, Status::Ok, refused, Status::Ok, refused]);
    assert_eq!(sealed.sequence_numbers, [1, 2, 0, 3, 0]);
    let later = pair("aes128-sha256").encap(&outbound, &[ipv4_of(20)]);
    assert_eq!(later.statuses, [refused], "the next batch goes on from what has left");
}

fn ipv4_of(len: usize) -> Vec<u8> {
    let mut packet = vec![0; len];
    packet[..4].copy_from_slice(&[0x45, 0, (len >> 8) as u8, len as u8]);
    packet
}

#[test]
fn threads_together_keep_to_the_limit() {
    let outbound = limited(1000, u64::MAX);
    let gone: usize = std::thread::scope(|scope| {
        let encap = || {
            let sealed = (0..10).map(|_| pair("aes128-sha256").encap(&outbound, &inner(33)));
            sealed.flat_map(|sealed| sealed.statuses).filter(|status| *status == Status::Ok).count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(encap)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((gone, outbound.sa().sequence_number()), (1000, 1000));
}

/// RFC 4303 3.1.1: transport mode is for whole datagrams; a tunnel carries fragments as they are.
#[test]
fn fragments_leave_through_tunnels_only() {
    let mut sent = inner(33);
    let mut fragment = ipv4(7);
    fragment[6..8].copy_from_slice(&[0x20, 0]);
    sent[31] = fragment.clone();
    fragment[6..8].copy_from_slice(&[0, 100]);
    sent[32] = fragment;
    for suite in SUITES {
        let tunnel = Pair { framing: Framing::Ip, ..pair(suite) };
        assert_eq!(list(&tunnel.decap(&tunnel.inbound(), &tunnel.sealed(&sent))), sent);
        let transport = Pair { mode: Mode::Transport, ..tunnel };
        let sealed = transport.encap(&transport.outbound(), &sent);
        assert_eq!(sealed.statuses[30..], [Status::Ok, Status::Fragment, Status::Fragment]);
        assert_eq!(sealed.sequence_numbers[30..], [31, 0, 0]);
    }
}

/// The outer length field has 16 bits, whatever the padding.
#[test]
fn what_would_be_longer_than_an_ip_packet_is_refused() {
    for suite in SUITES {
        for framing in [Framing::Ip, Framing::Udp] {
            let mut pair = Pair { framing, ..pair(suite) };
            let longest = 65_535 - pair.outbound().overhead(65_000, framing) - 20;
            for (len, fits) in [(longest - 256, true), (65_535, false)] {
                let sealed = pair.encap(&pair.outbound(), &[ipv4_of(len)]);
                assert_eq!(sealed.statuses[0] == Status::Ok, fits, "{suite} {len}");
                pair.outer.tfc = len;
                let sealed = pair.encap(&pair.outbound(), &[ipv4_of(100)]);
                assert_eq!(sealed.statuses[0] == Status::Ok, fits, "{suite} padded to {len}");
                pair.outer.tfc = 0;
            }
        }
    }
}

#[test]
fn padded_packets_come_back_without_their_padding() {
    for mut pair in SUITES.map(pair) {
        pair.outer.tfc = 150;
        let sent = inner(65);
        let sealed = pair.sealed(&sent);
        let shortest = sealed.iter().map(Vec::len).min().unwrap();
        let short = sent.iter().zip(&sealed).filter(|(packet, _)| packet.len() <= 150);
        assert!(short.clone().count() > 30 && short.clone().all(|(_, sealed)| sealed.len() == shortest));
        assert_eq!(list(&pair.decap(&pair.inbound(), &sealed)), sent);
    }
}

#[test]
fn dummies_are_discarded_between_other_packets() {
    for pair in SUITES.map(pair) {
        let (outbound, inbound) = (pair.outbound(), pair.inbound());
        let mut dummies = Outcome::default();
        outbound.dummies(33, 50, Framing::Esp, &mut dummies).unwrap();
        let sent = inner(33);
        let sealed = list(&pair.encap(&outbound, &sent));
        let mixed: Vec<_> =
            list(&dummies).into_iter().zip(sealed).flat_map(|(dummy, packet)| [dummy, packet]).collect();
        let opened = pair.decap(&inbound, &mixed);
        assert_eq!(opened.statuses, [Status::Dummy, Status::Ok].repeat(33));
        let arrived: Vec<_> = list(&opened).into_iter().skip(1).step_by(2).collect();
        assert_eq!(arrived, sent);
        assert_eq!(inbound.sa().window().highest(), 66, "a dummy is authentic");
    }
}

#[test]
fn a_framing_the_sa_knows_nothing_of_is_refused_before_any_number_is_taken() {
    let mut pair = pair("aes128gcm16");
    pair.outer.tunnel = None;
    let outbound = pair.outbound();
    let mut outcome = Outcome::default();
    let packets = batch(&[ipv4(0), ipv6(1)]);
    assert_eq!(outbound.encap(&packets, Framing::Ip, 0, &mut outcome), Err(Misuse::NoTunnel));
    assert_eq!(outbound.encap(&packets, Framing::Udp, 0, &mut outcome), Err(Misuse::NoPorts));
    assert_eq!(outbound.dummies(1, 1, Framing::Ip, &mut outcome), Err(Misuse::NoTunnel));
    pair.mode = Mode::Transport;
    assert_eq!(pair.outbound().dummies(1, 1, Framing::Ip, &mut outcome), Err(Misuse::NoHeaders));
    let choosy = pair.accepting(Some(Box::new(|_| true)));
    assert_eq!(choosy.decap(&Packets::default(), Framing::Esp, &mut outcome), Err(Misuse::NoAddresses));
    assert_eq!(outbound.sa().sequence_number(), 0);
}

/// The addresses of a tunnel mean nothing in transport mode, where a packet keeps its own header.
#[test]
fn transport_mode_ignores_a_tunnel() {
    let with = Pair { mode: Mode::Transport, ..pair("aes128gcm16") };
    let mut without = with;
    without.outer.tunnel = None;
    for framing in FRAMINGS {
        let (with, without) = (Pair { framing, ..with }, Pair { framing, ..without });
        assert_eq!(with.sealed(&inner(3)), without.sealed(&inner(3)));
        assert_eq!(with.outbound().overhead(100, framing), without.outbound().overhead(100, framing));
        let mut dummies = [Outcome::default(), Outcome::default()];
        let made = [with, without].map(|pair| pair.outbound());
        let results = [0, 1].map(|side| made[side].dummies(2, 60, framing, &mut dummies[side]));
        assert_eq!(results, [if framing == Framing::Ip { Err(Misuse::NoHeaders) } else { Ok(()) }; 2]);
        assert_eq!(list(&dummies[0]), list(&dummies[1]));
    }
}

/// Both sides count inner packets in tunnel mode and what stands behind the IP headers in transport mode.
#[test]
fn both_sides_count_the_same_octets() {
    for pair in pairs() {
        let sent = inner(40);
        let (outbound, inbound) = (pair.outbound(), pair.inbound());
        let sealed = pair.encap(&outbound, &sent);
        pair.decap(&inbound, &list(&sealed));
        let headers = |packet: &Vec<u8>| if packet[0] >> 4 == 4 { 20 } else { 40 };
        let stays = pair.mode == Mode::Transport && pair.framing == Framing::Ip;
        let octets: usize = sent.iter().map(|packet| packet.len() - if stays { headers(packet) } else { 0 }).sum();
        let counted = (outbound.counters().octets(), inbound.counters().octets());
        assert_eq!(counted, (octets as u64, octets as u64), "{} {:?} {:?}", pair.suite, pair.mode, pair.framing);
    }
}

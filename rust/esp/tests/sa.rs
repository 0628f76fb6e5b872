//! SAs as a data plane uses them: pairs, batches, threads, ends of sequence numbers.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ironswan_esp::{Drop, InboundSa, Job, OutboundSa, SequenceExhausted, Suite};

fn suite(keyword: &str) -> Suite {
    Suite::from_keyword(keyword).unwrap()
}

fn pair(suite: Suite, esn: bool, last: u64) -> (OutboundSa, InboundSa) {
    let keymat: Vec<u8> = (0..suite.keymat_len() as u8).collect();
    let outbound = OutboundSa::new(0x1234, suite, &keymat, esn, last).unwrap();
    let inbound = InboundSa::new(0x1234, suite, &keymat, esn, 64, last).unwrap();
    (outbound, inbound)
}

fn sealed(sa: &OutboundSa, payload: &[u8], next_header: u8) -> Vec<u8> {
    let mut packet = vec![0; sa.packet_len(payload.len())];
    packet[sa.header_len()..][..payload.len()].copy_from_slice(payload);
    sa.seal_in_place(sa.claim(1).unwrap().start, &mut packet, payload.len(), next_header);
    packet
}

#[test]
fn every_length_comes_back_as_it_was() {
    for suite in Suite::all() {
        for esn in [false, true] {
            let (outbound, inbound) = pair(suite, esn, 0);
            for len in (0..40_usize).chain([255, 256, 257, 299]) {
                let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let mut packet = sealed(&outbound, &payload, 4);
                assert_eq!((packet.len() - outbound.header_len() - suite.icv_len()) % 4, 0, "RFC 4303 2.4");
                let opened = inbound.open_in_place(&mut packet).unwrap();
                assert_eq!(&packet[opened.range], payload);
            }
        }
    }
}

#[test]
fn the_first_packet_has_sequence_number_one() {
    let (outbound, inbound) = pair(suite("aes128gcm16"), false, 0);
    let opened = inbound.open_in_place(&mut sealed(&outbound, b"x", 4)).unwrap();
    assert_eq!(opened.sequence_number, 1);
}

#[test]
fn sequence_numbers_end_before_they_wrap() {
    let (outbound, _) = pair(suite("aes128gcm16"), false, u64::from(u32::MAX) - 2);
    assert_eq!(outbound.claim(3), Err(SequenceExhausted));
    assert_eq!(outbound.claim(2), Ok(u64::from(u32::MAX) - 1..u64::from(u32::MAX) + 1));
    assert_eq!(outbound.claim(1), Err(SequenceExhausted));
    let (outbound, _) = pair(suite("aes128gcm16"), true, u64::MAX - 2);
    assert_eq!(outbound.claim(1), Ok(u64::MAX - 1..u64::MAX));
    assert_eq!(outbound.claim(1), Err(SequenceExhausted));
}

#[test]
fn esn_carries_on_across_two_to_the_32() {
    let (outbound, inbound) = pair(suite("chacha20poly1305"), true, u64::from(u32::MAX) - 3);
    for _ in 0..10 {
        inbound.open_in_place(&mut sealed(&outbound, b"payload", 4)).unwrap();
    }
    assert_eq!(inbound.window().highest(), u64::from(u32::MAX) + 7);
}

#[test]
fn threads_never_share_a_sequence_number() {
    let (outbound, _) = pair(suite("aes128gcm16"), false, 0);
    let mut claimed: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let outbound = &outbound;
                scope
                    .spawn(move || (0..2000).flat_map(|i| outbound.claim(1 + (i + n) % 7).unwrap()).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let count = claimed.len();
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), count);
    assert_eq!(claimed.last(), Some(&(count as u64)));
}

#[test]
fn of_duplicates_in_several_threads_exactly_one_is_opened() {
    let (outbound, inbound) = pair(suite("aes128gcm16"), false, 0);
    for _ in 0..200 {
        let packet = sealed(&outbound, b"only once", 4);
        let opened = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    opened.fetch_add(usize::from(inbound.open_in_place(&mut packet.clone()).is_ok()), Relaxed)
                });
            }
        });
        assert_eq!(opened.into_inner(), 1);
    }
}

#[test]
fn a_batch_gives_what_its_packets_give_one_by_one() {
    let (outbound, inbound) = pair(suite("aes256gcm16"), false, 0);
    let mut packets: Vec<Vec<u8>> = (0..6).map(|i| sealed(&outbound, &[i; 40], 4)).collect();
    packets[1] = packets[0].clone();
    packets[3][20] ^= 1;
    packets[4].truncate(12);
    let mut slices: Vec<&mut [u8]> = packets.iter_mut().map(Vec::as_mut_slice).collect();
    let mut results = vec![Err(Drop::Malformed); 6];
    inbound.open_batch(&mut slices, &mut results);
    let reasons: Vec<_> = results.iter().map(|result| result.as_ref().err().copied()).collect();
    let expected = [None, Some(Drop::Replayed), None, Some(Drop::IcvMismatch), Some(Drop::Malformed), None];
    assert_eq!(reasons, expected);
    let opened = results[5].clone().unwrap();
    assert_eq!(packets[5][opened.range], [5; 40]);
}

#[test]
fn of_duplicates_in_batches_of_several_threads_exactly_one_each_is_opened() {
    let (outbound, inbound) = pair(suite("aes128gcm16"), true, u64::from(u32::MAX) - 1000);
    let mut opened_in_all = 0;
    for _ in 0..100 {
        let packets: Vec<Vec<u8>> = (0..20_u8).map(|octet| sealed(&outbound, &[octet; 30], 4)).collect();
        let opened: Vec<u64> = std::thread::scope(|scope| {
            let open = || {
                let mut packets = packets.clone();
                let mut slices: Vec<&mut [u8]> = packets.iter_mut().map(Vec::as_mut_slice).collect();
                let mut results = vec![Err(Drop::Malformed); slices.len()];
                inbound.open_batch(&mut slices, &mut results);
                results.into_iter().flatten().map(|opened| opened.sequence_number).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let distinct: std::collections::BTreeSet<u64> = opened.iter().copied().collect();
        assert_eq!((opened.len(), distinct.len()), (20, 20));
        opened_in_all += opened.len();
    }
    assert_eq!(opened_in_all, 2000);
    assert_eq!(inbound.window().highest(), u64::from(u32::MAX) + 1000);
}

#[test]
fn the_steps_one_by_one_are_the_whole() {
    let (outbound, inbound) = pair(suite("aes128gcm16"), false, 0);
    let mut packet = sealed(&outbound, b"step by step", 4);
    let low = inbound.plan(&packet).unwrap();
    let sequence_number = inbound.check(low).unwrap();
    assert_eq!(inbound.check(low), Ok(sequence_number), "to check moves nothing");
    assert_eq!(inbound.open(sequence_number, &mut packet), Ok(sequence_number));
    assert_eq!(inbound.check(low), Ok(sequence_number), "to open moves nothing");
    assert_eq!(inbound.mark(sequence_number), Ok(()));
    assert_eq!(inbound.mark(sequence_number), Err(Drop::Replayed), "another thread was first");
    assert_eq!(inbound.check(low), Err(Drop::Replayed));
    let opened = inbound.finish(sequence_number, &packet).unwrap();
    assert_eq!(&packet[opened.range], b"step by step");
}

#[test]
fn packets_planned_and_sealed_as_a_run_are_those_sealed_one_by_one() {
    let (one_by_one, inbound) = pair(suite("aes256gcm16"), false, 0);
    let (run, _) = pair(suite("aes256gcm16"), false, 0);
    let expected: Vec<Vec<u8>> = (0..5).map(|octet| sealed(&one_by_one, &[octet; 33], 4)).collect();
    let mut packets: Vec<Vec<u8>> = (0..5).map(|octet| vec![octet; run.packet_len(33)]).collect();
    let numbers = run.claim(5).unwrap();
    let mut jobs: Vec<Job<'_>> = numbers
        .zip(&mut packets)
        .map(|(sequence_number, packet)| {
            run.plan(sequence_number, packet, 33, 4);
            Job { sequence_number, packet }
        })
        .collect();
    run.seal_planned(&mut jobs);
    assert_eq!(packets, expected);
    assert!(packets.iter_mut().all(|packet| inbound.open_in_place(packet).is_ok()));
}

#[test]
fn payload_is_padded_as_told_and_never_less_than_the_suite_needs() {
    let padded = |octets: usize| pair(suite("aes128gcm16"), false, 0).0.pad_to(octets).packet_len(21) - 32;
    assert_eq!([padded(0), padded(4), padded(8), padded(15)], [24, 24, 24, 24]);
    assert_eq!([padded(16), padded(64), padded(256), padded(1000)], [32, 64, 256, 256]);
    let (outbound, inbound) = pair(suite("aes128gcm16"), false, 0);
    let outbound = outbound.pad_to(256);
    // 255 octets of padding, the most there can be.
    let mut packet = sealed(&outbound, &[6; 255], 4);
    let opened = inbound.open_in_place(&mut packet).unwrap();
    assert_eq!(packet[opened.range], [6; 255]);
}

#[test]
fn a_dummy_packet_is_authentic_and_dropped() {
    let (outbound, inbound) = pair(suite("aes128gcm16"), false, 0);
    assert_eq!(inbound.open_in_place(&mut sealed(&outbound, b"nothing", 59)), Err(Drop::Dummy));
    assert_eq!(inbound.window().highest(), 1);
}

/// RFC 4303 2.6: padding and Pad Length of a dummy may be anything.
#[test]
fn a_dummy_need_not_be_well_formed() {
    for (sequence_number, body) in (1..).zip([[9, 9, 2, 59], [0, 0, 3, 59], [0, 0, 255, 59], [0, 0, 0, 59]]) {
        let (inbound, mut packet) = authentic(sequence_number, &body);
        assert_eq!(inbound.open_in_place(&mut packet), Err(Drop::Dummy), "{body:?}");
        assert_eq!(inbound.window().highest(), u64::from(sequence_number));
    }
}

/// An SA, and a packet to it with any octets at all as its authentic body.
fn authentic(sequence_number: u8, body: &[u8]) -> (InboundSa, Vec<u8>) {
    let keymat = [7; 20];
    let inbound = InboundSa::new(1, suite("aes128gcm16"), &keymat, false, 64, 0).unwrap();
    let key =
        ring::aead::LessSafeKey::new(ring::aead::UnboundKey::new(&ring::aead::AES_128_GCM, &keymat[..16]).unwrap());
    let mut packet = vec![0, 0, 0, 1, 0, 0, 0, sequence_number];
    packet.extend(u64::from(sequence_number).to_be_bytes());
    let mut nonce = [7; 12];
    nonce[4..].copy_from_slice(&packet[8..]);
    let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
    let mut body = body.to_vec();
    key.seal_in_place_append_tag(nonce, ring::aead::Aad::from(&packet[..8]), &mut body).unwrap();
    packet.extend(body);
    (inbound, packet)
}

#[test]
fn padding_that_lies_is_refused() {
    for (sequence_number, trailer) in (1..).zip([[1, 2, 4, 4], [1, 1, 2, 4], [0, 0, 200, 4], [9, 9, 3, 4]]) {
        let (inbound, mut packet) = authentic(sequence_number, &trailer);
        assert_eq!(inbound.open_in_place(&mut packet), Err(Drop::BadPadding), "{trailer:?}");
    }
}

#[test]
fn an_authentic_packet_without_a_whole_trailer_is_malformed_and_moves_nothing() {
    for body in [&[][..], &[4], &[0, 4], &[1, 1, 4], &[1, 2, 3, 3, 4]] {
        let (inbound, mut packet) = authentic(1, body);
        assert_eq!(inbound.open_in_place(&mut packet.clone()), Err(Drop::Malformed), "{body:?}");
        let mut results = [Err(Drop::Dummy)];
        inbound.open_batch(&mut [packet.as_mut_slice()], &mut results);
        assert_eq!(results[0], Err(Drop::Malformed), "{body:?}");
        assert_eq!(inbound.window().highest(), 0);
    }
    let (inbound, mut packet) = authentic(1, &[1, 2, 2, 4]);
    assert_eq!(inbound.open_in_place(&mut packet).map(|opened| opened.range), Ok(16..16), "an empty payload");
}

#[test]
fn key_material_of_the_wrong_length_is_refused_in_words_without_the_key() {
    let error = OutboundSa::new(1, suite("aes256gcm16"), &[0xab; 20], false, 0).unwrap_err().to_string();
    assert_eq!(error, "aes256gcm16 takes 36 octets of key material (32 of encryption key, 4 of salt), not 20");
    let (outbound, inbound) = pair(suite("aes128gcm16"), false, 0);
    assert_eq!(format!("{outbound:?}"), "OutboundSa { spi: 4660, suite: aes128gcm16, .. }");
    assert_eq!(format!("{inbound:?}"), "InboundSa { spi: 4660, suite: aes128gcm16, .. }");
}

/// An authentic packet without a body has no trailer either: it is refused before anything reads one (E12).
#[test]
fn a_packet_too_short_for_its_trailer_is_malformed() {
    for suite in Suite::all() {
        let (outbound, inbound) = pair(suite, false, 0);
        for body in 0..2 {
            let mut packet = vec![0; outbound.header_len() + body + suite.icv_len()];
            packet[7] = 1;
            assert_eq!(inbound.open_in_place(&mut packet), Err(Drop::Malformed), "{suite}");
        }
    }
}

/// E18: no suite without integrity, none with two.
#[test]
fn suites_have_one_integrity_algorithm() {
    for keyword in
        ["aes128", "null", "aes128gcm16-sha256", "aes128gmac-sha256", "aes128-aes128gmac", "aes128-", "-sha256", ""]
    {
        assert!(Suite::from_keyword(keyword).is_none(), "{keyword}");
    }
    for suite in Suite::all() {
        assert!(suite.icv_len() >= 8, "{suite}");
        assert_eq!(Suite::from_keyword(&suite.to_string()), Some(suite));
    }
}

/// E19, E22, E23, E24, E26, E28, E29: what each algorithm's RFC says of its lengths.
#[test]
fn lengths_are_those_of_the_rfcs() {
    for (keyword, key, salt, iv, icv, integ_key) in [
        ("aes128gcm16", 16, 4, 8, 16, 0),
        ("aes256gcm8", 32, 4, 8, 8, 0),
        ("aes192gcm12", 24, 4, 8, 12, 0),
        ("aes128ccm8", 16, 3, 8, 8, 0),
        ("aes256ccm16", 32, 3, 8, 16, 0),
        ("aes128gmac", 16, 4, 8, 16, 0),
        ("chacha20poly1305", 32, 4, 8, 16, 0),
        ("aes128gcm16iiv", 16, 4, 0, 16, 0),
        ("aes256-sha256", 32, 0, 16, 16, 32),
        ("aes256-sha384", 32, 0, 16, 24, 48),
        ("aes256-sha512", 32, 0, 16, 32, 64),
        ("aes128-sha1", 16, 0, 16, 12, 20),
        ("aes128-sha256_96", 16, 0, 16, 12, 32),
        ("aes128ctr-sha256", 16, 4, 8, 16, 32),
        ("3des-sha1", 24, 0, 8, 12, 20),
        ("null-sha256", 0, 0, 0, 16, 32),
    ] {
        let suite = suite(keyword);
        let encr = suite.encr();
        let found = (encr.key_len, encr.salt_len, encr.iv_len, suite.icv_len(), suite.integ_key_len());
        assert_eq!(found, (key, salt, iv, icv, integ_key), "{keyword}");
    }
    for never in ["des", "blowfish128", "idea", "aes128-md5"] {
        assert!(Suite::from_keyword(never).is_none(), "{never}");
    }
}

/// E19: an explicit IV of a counter mode is the sequence number, E26: so is an implicit one.
#[test]
fn counter_ivs_follow_the_sequence_number() {
    for suite in Suite::all().filter(|suite| suite.encr().iv_len == 8 && suite.encr().block == 4) {
        let (outbound, _) = pair(suite, true, 7 << 32 | 1);
        let packet = sealed(&outbound, b"x", 4);
        assert_eq!(packet[8..16], (7_u64 << 32 | 2).to_be_bytes(), "{suite}");
    }
}

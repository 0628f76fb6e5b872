//! A sender that is 2^32 or more packets ahead is found again, with bounded work (conformance item E09).
#![allow(clippy::unwrap_used)]

use ironswan_esp::{Drop, InboundSa, Opened, OutboundSa, Suite};

/// Packets in a row that must fail before one is tried further ahead.
const FAILURES: usize = 128;

fn outbound(esn: bool, last: u64) -> OutboundSa {
    OutboundSa::new(1, Suite::from_keyword("aes128gcm16").unwrap(), &[7; 20], esn, last).unwrap()
}

fn inbound(esn: bool, highest: u64) -> InboundSa {
    InboundSa::new(1, Suite::from_keyword("aes128gcm16").unwrap(), &[7; 20], esn, 64, highest).unwrap()
}

fn sealed(sa: &OutboundSa, len: usize) -> Vec<u8> {
    let mut packet = vec![0; sa.packet_len(len)];
    sa.seal_in_place(sa.claim(1).unwrap().start, &mut packet, len, 4);
    packet
}

fn open_one(outbound: &OutboundSa, inbound: &InboundSa) -> Result<u64, Drop> {
    inbound.open_in_place(&mut sealed(outbound, 40)).map(|opened| opened.sequence_number)
}

#[test]
fn a_sender_up_to_four_subspaces_ahead_is_found_after_many_failures() {
    for ahead in 1..=4_u64 {
        let inbound = inbound(true, 5 << 32 | 1000);
        let outbound = outbound(true, (5 + ahead) << 32 | 2000);
        for _ in 0..FAILURES {
            assert_eq!(open_one(&outbound, &inbound), Err(Drop::IcvMismatch));
        }
        let found = (5 + ahead) << 32 | (2001 + FAILURES as u64);
        assert_eq!(open_one(&outbound, &inbound), Ok(found));
        assert_eq!(inbound.window().highest(), found);
        assert_eq!(open_one(&outbound, &inbound), Ok(found + 1));
    }
}

#[test]
fn a_sender_further_ahead_is_not_looked_for() {
    let inbound = inbound(true, 1000);
    let outbound = outbound(true, 5 << 32 | 2000);
    for _ in 0..3 * FAILURES {
        assert_eq!(open_one(&outbound, &inbound), Err(Drop::IcvMismatch));
    }
    assert_eq!(inbound.window().highest(), 1000);
}

#[test]
fn an_authentic_packet_in_between_starts_the_count_again() {
    let inbound = inbound(true, 1000);
    let (near, far) = (outbound(true, 1000), outbound(true, 1 << 32 | 2000));
    for _ in 0..3 {
        for _ in 1..FAILURES {
            assert_eq!(open_one(&far, &inbound), Err(Drop::IcvMismatch));
        }
        assert!(open_one(&near, &inbound).is_ok());
    }
}

#[test]
fn a_packet_of_the_past_moves_nothing_back() {
    let inbound = inbound(true, 6 << 32 | 1000);
    let past = outbound(true, 5 << 32 | 2000);
    for _ in 0..3 * FAILURES {
        assert_eq!(open_one(&past, &inbound), Err(Drop::IcvMismatch));
    }
    assert_eq!(inbound.window().highest(), 6 << 32 | 1000);
}

#[test]
fn forged_packets_leave_the_next_authentic_one_as_it_is() {
    let inbound = inbound(true, 1000);
    let mut forged = sealed(&outbound(true, 1000), 40);
    forged[20] ^= 1;
    for _ in 0..FAILURES {
        assert_eq!(inbound.open_in_place(&mut forged.clone()), Err(Drop::IcvMismatch));
    }
    assert_eq!(open_one(&outbound(true, 1001), &inbound), Ok(1002));
}

#[test]
fn a_packet_too_long_to_keep_waits_for_a_shorter_one() {
    let inbound = inbound(true, 1000);
    let outbound = outbound(true, 1 << 32 | 2000);
    for _ in 0..FAILURES + 10 {
        assert_eq!(inbound.open_in_place(&mut sealed(&outbound, 20_000)), Err(Drop::IcvMismatch));
    }
    assert!(open_one(&outbound, &inbound).is_ok());
}

#[test]
fn without_esn_nothing_is_tried_twice() {
    let inbound = inbound(false, 0);
    let mut forged = sealed(&outbound(false, 0), 40);
    forged[20] ^= 1;
    for _ in 0..3 * FAILURES {
        assert_eq!(inbound.open_in_place(&mut forged.clone()), Err(Drop::IcvMismatch));
    }
    assert_eq!(open_one(&outbound(false, 0), &inbound), Ok(1));
}

#[test]
fn a_batch_finds_the_sender_too() {
    let inbound = inbound(true, 1000);
    let outbound = outbound(true, 1 << 32 | 2000);
    let mut packets: Vec<Vec<u8>> = (0..FAILURES + 64).map(|_| sealed(&outbound, 40)).collect();
    let mut slices: Vec<&mut [u8]> = packets.iter_mut().map(Vec::as_mut_slice).collect();
    let mut results: Vec<Result<Opened, Drop>> = vec![Err(Drop::Malformed); slices.len()];
    inbound.open_batch(&mut slices, &mut results);
    // What was checked before the sender was found has the old high half; the next batch is right.
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let mut packets: Vec<Vec<u8>> = (0..64).map(|_| sealed(&outbound, 40)).collect();
    let mut slices: Vec<&mut [u8]> = packets.iter_mut().map(Vec::as_mut_slice).collect();
    inbound.open_batch(&mut slices, &mut results[..64]);
    assert!(results[..64].iter().all(Result::is_ok));
}

#![allow(clippy::unwrap_used)]

use super::*;
use crate::hash::{Sha1, Sha256, Sha384, Sha512};
use crate::vectors::wycheproof;

fn agrees<H: Hash>(name: &str, key_len: usize) {
    let mut valid = 0;
    for case in wycheproof(name) {
        // Keys longer than a block do not exist in IPsec.
        if case.key.len() > H::BLOCK || case.tag.len() > 32 {
            continue;
        }
        let mac = Hmac::<H>::new(&case.key, case.tag.len()).unwrap();
        let mut icv = vec![0; case.tag.len()];
        let (first, second) = case.message.split_at(case.message.len() / 3);
        mac.mac(&[first, second], &mut icv);
        assert_eq!(icv == case.tag, case.valid, "{name} {}", case.id);
        valid += usize::from(case.valid && case.key.len() == key_len);
    }
    assert!(valid > 10);
}

#[test]
fn hmac_agrees_with_wycheproof() {
    agrees::<Sha1>("hmac_sha1", 20);
    agrees::<Sha256>("hmac_sha256", 32);
    agrees::<Sha384>("hmac_sha384", 48);
    agrees::<Sha512>("hmac_sha512", 64);
}

/// Messages of every length, in batches of every size, with and without a high half, against one at a time.
fn side_by_side<H: Hash>() {
    let mac = Hmac::<H>::new(&[0xa5; 20], 12).unwrap();
    let octets: Vec<u8> = (0..3000_u32).map(|i| (i * 7 + i / 256) as u8).collect();
    for count in 1..=32_usize {
        let messages: Vec<Message<'_>> = (0..count)
            .map(|i| Message {
                packet: &octets[i..i + (i * 131 + count * 17) % 1500],
                high: (i % 3 == 0).then_some([1, 2, 3, i as u8]),
            })
            .collect();
        let mut icvs = vec![Icv::default(); count];
        mac.mac_batch(&messages, &mut icvs);
        for (message, icv) in messages.iter().zip(&icvs) {
            let mut alone = [0; 12];
            mac.mac(&[message.packet, message.suffix()], &mut alone);
            assert_eq!(icv[..12], alone, "{} octets in a batch of {count}", message.packet.len());
        }
    }
}

#[test]
fn messages_side_by_side_have_the_codes_they_have_alone() {
    side_by_side::<Sha1>();
    side_by_side::<Sha256>();
    side_by_side::<Sha384>();
    side_by_side::<Sha512>();
}

#[test]
fn messages_of_every_length_end_as_they_should() {
    let mac = Hmac::<Sha256>::new(&[1; 32], 32).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[1; 32]);
    let octets = [0x5a; 300];
    for len in 0..300 {
        let mut icv = [0; 32];
        mac.mac(&[&octets[..len]], &mut icv);
        assert_eq!(icv, ring::hmac::sign(&key, &octets[..len]).as_ref(), "{len} octets");
    }
}

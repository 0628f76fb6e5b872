#![allow(clippy::unwrap_used)]

use crate::aead::AeadKey;
use crate::ccm::CcmKey;
use crate::gcm::Gcm;
use crate::ring_key::RingKey;
use crate::transform::Job;
use crate::vectors::{Case, packets, wycheproof};

fn check(key: &dyn Checked, case: &Case) {
    let mut sealed = case.message.clone();
    sealed.resize(case.message.len() + 16, 0);
    key.seal(&case.iv, &case.associated, &mut sealed);
    let expected = [&case.ciphertext[..], &case.tag].concat();
    assert_eq!(sealed == expected, case.valid, "sealing of {}", case.id);
    let mut opened = expected;
    assert_eq!(key.open(&case.iv, &case.associated, &mut opened), case.valid, "opening of {}", case.id);
    if case.valid {
        assert_eq!(opened[..case.message.len()], case.message, "{}", case.id);
    }
}

/// What of [`AeadKey`] is tested, as an object.
trait Checked {
    fn seal(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]);
    fn open(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) -> bool;
}

impl<K: AeadKey> Checked for K {
    fn seal(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) {
        AeadKey::seal(self, nonce, associated, body_and_icv);
    }

    fn open(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) -> bool {
        AeadKey::open(self, nonce, associated, body_and_icv)
    }
}

#[test]
fn gcm_agrees_with_wycheproof_in_every_implementation() {
    for case in wycheproof("aes_gcm") {
        let own: Box<dyn Checked> = match case.key.len() {
            16 => Box::new(Gcm::<aes::Aes128>::new(&case.key, 16).unwrap()),
            24 => Box::new(Gcm::<aes::Aes192>::new(&case.key, 16).unwrap()),
            _ => Box::new(Gcm::<aes::Aes256>::new(&case.key, 16).unwrap()),
        };
        check(&*own, &case);
        if let Some(ring) = RingKey::aes_gcm(&case.key) {
            check(&ring, &case);
        }
        for kernel in kernels(&case) {
            check(&*kernel, &case);
        }
    }
}

/// Those for this processor; none for associated data longer than ESP's.
#[cfg(target_arch = "x86_64")]
fn kernels(case: &Case) -> Vec<Box<dyn Checked>> {
    use crate::x86_gcm::{KEYS_128, KEYS_192, KEYS_256, Kernel, Narrow, Wide, X86Gcm};
    fn checked<K: Kernel + 'static>(case: &Case) -> Option<Box<dyn Checked>> {
        Some(Box::new(X86Gcm::<K>::new(&case.key, 16).filter(|_| case.associated.len() <= 16)?))
    }
    let both = match case.key.len() {
        16 => [checked::<Wide<KEYS_128>>(case), checked::<Narrow<KEYS_128>>(case)],
        24 => [checked::<Wide<KEYS_192>>(case), checked::<Narrow<KEYS_192>>(case)],
        _ => [checked::<Wide<KEYS_256>>(case), checked::<Narrow<KEYS_256>>(case)],
    };
    both.into_iter().flatten().collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn kernels(_: &Case) -> Vec<Box<dyn Checked>> {
    Vec::new()
}

#[test]
fn ccm_agrees_with_wycheproof() {
    use cipher::consts::U16;
    for case in wycheproof("aes_ccm") {
        let key: Box<dyn Checked> = match case.key.len() {
            16 => Box::new(CcmKey::<aes::Aes128, U16>::new(&case.key).unwrap()),
            24 => Box::new(CcmKey::<aes::Aes192, U16>::new(&case.key).unwrap()),
            _ => Box::new(CcmKey::<aes::Aes256, U16>::new(&case.key).unwrap()),
        };
        check(&*key, &case);
    }
}

#[test]
fn chacha20_poly1305_agrees_with_wycheproof() {
    for case in wycheproof("chacha20_poly1305") {
        check(&RingKey::chacha20_poly1305(&case.key).unwrap(), &case);
    }
}

#[test]
fn the_published_packets_are_sealed_byte_for_byte() {
    let mut sealed = 0;
    for vector in packets() {
        let Some(suite) = vector.suite() else { continue };
        let transform = suite.transform(&vector.keymat(), vector.esn).unwrap();
        let mut packet = vector.unsealed.clone();
        transform.encrypt(&mut Job { sequence_number: vector.sequence_number, packet: &mut packet });
        assert_eq!(packet, vector.sealed, "{}", vector.id);
        sealed += 1;
    }
    assert_eq!(sealed, 34);
}

#[test]
fn an_icv_that_was_cut_short_is_the_beginning_of_the_whole_one() {
    let seal = |icv_len: usize| {
        let mut octets = [7; 40].to_vec();
        octets.resize(40 + icv_len, 0);
        AeadKey::seal(&Gcm::<aes::Aes128>::new(&[3; 16], icv_len).unwrap(), &[9; 12], &[1; 8], &mut octets);
        octets
    };
    let whole = seal(16);
    assert_eq!(seal(8), whole[..48]);
    assert_eq!(seal(12), whole[..52]);
}

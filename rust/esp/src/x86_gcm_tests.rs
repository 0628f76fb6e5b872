#![allow(clippy::unwrap_used)]

use cipher::{BlockCipherEncrypt, KeyInit};

use super::{KEYS_128, KEYS_192, KEYS_256, Kernel, Narrow, Wide, X86Gcm};
use crate::aead::AeadKey;
use crate::gcm::Gcm;

const ICV: usize = 16;
/// Octets around a packet that are nobody's.
const MARGIN: usize = 70;

/// Seals and opens in both implementations at every length around the edges of blocks, vectors and groups.
fn agree(this: &impl AeadKey, other: &impl AeadKey) {
    for len in (0..1700).chain([1422, 1424, 1438, 8_900, 65_500]) {
        for associated in [&[][..], &[1; 8], &[2; 12], &[3; 16]] {
            let nonce: [u8; 12] = std::array::from_fn(|i| (i * 7 + len) as u8);
            let plaintext: Vec<u8> = (0..len).map(|i| (i * 31 + 5) as u8).collect();
            let mut expected = [&plaintext[..], &[0; ICV]].concat();
            other.seal(&nonce, associated, &mut expected);

            let margin = [0xa5; MARGIN];
            let mut octets = [&margin[..], &plaintext, &[0; ICV], &margin].concat();
            let packet = MARGIN..MARGIN + len + ICV;
            this.seal(&nonce, associated, &mut octets[packet.clone()]);
            assert_eq!(octets[packet.clone()], expected, "{len} octets sealed");
            assert!(this.open(&nonce, associated, &mut octets[packet.clone()]), "{len} octets opened");
            assert_eq!(octets[packet.start..packet.end - ICV], plaintext, "{len} octets opened");
            assert_eq!(octets[..packet.start], margin, "{len} octets: what is in front");
            assert_eq!(octets[packet.end..], margin, "{len} octets: what is behind");
        }
    }
}

/// Tells why nothing is tested where the processor cannot.
fn can<K: Kernel>() -> bool {
    let can = K::new(&[0; 16]).is_some();
    if !can {
        eprintln!("not tested: {} is not for this processor", std::any::type_name::<K>());
    }
    can
}

fn check_every_length<K128: Kernel, K192: Kernel, K256: Kernel>() {
    if !can::<K128>() {
        return;
    }
    let key: [u8; 32] = std::array::from_fn(|i| (i * 37 + 1) as u8);
    agree(&X86Gcm::<K128>::new(&key[..16], ICV).unwrap(), &Gcm::<aes::Aes128>::new(&key[..16], ICV).unwrap());
    agree(&X86Gcm::<K192>::new(&key[..24], ICV).unwrap(), &Gcm::<aes::Aes192>::new(&key[..24], ICV).unwrap());
    agree(&X86Gcm::<K256>::new(&key, ICV).unwrap(), &Gcm::<aes::Aes256>::new(&key, ICV).unwrap());
}

#[test]
fn every_length_is_sealed_and_opened_as_by_another_implementation() {
    check_every_length::<Wide<KEYS_128>, Wide<KEYS_192>, Wide<KEYS_256>>();
    check_every_length::<Narrow<KEYS_128>, Narrow<KEYS_192>, Narrow<KEYS_256>>();
}

fn check_changes<K: Kernel>() {
    if !can::<K>() {
        return;
    }
    let key = X86Gcm::<K>::new(&[9; 16], ICV).unwrap();
    for len in [0, 1, 47, 48, 64, 111, 112, 303, 304, 559, 560, 815, 816, 1_100] {
        let (nonce, associated) = ([1; 12], [2; 8]);
        let mut sealed = vec![0x55; len + ICV];
        key.seal(&nonce, &associated, &mut sealed);
        for bit in 0..8 * sealed.len() {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.open(&nonce, &associated, &mut changed), "bit {bit} of {len} octets");
            assert!(changed[..len].iter().all(|octet| *octet == 0), "bit {bit} of {len} octets");
        }
        assert!(!key.open(&nonce, &[3; 8], &mut sealed.clone()), "{len} octets with other associated data");
        assert!(!key.open(&[2; 12], &associated, &mut sealed.clone()), "{len} octets with another nonce");
        assert!(key.open(&nonce, &associated, &mut sealed));
    }
}

#[test]
fn any_changed_bit_is_found_and_leaves_no_plaintext() {
    check_changes::<Wide<KEYS_128>>();
    check_changes::<Narrow<KEYS_128>>();
}

fn check_short_icvs<K: Kernel>() {
    for icv_len in [8, 12] {
        let Some(key) = X86Gcm::<K>::new(&[3; 32], icv_len) else { return };
        let whole = X86Gcm::<K>::new(&[3; 32], ICV).unwrap();
        let (mut short, mut long) = (vec![7; 40 + icv_len], vec![7; 40 + ICV]);
        key.seal(&[9; 12], &[1; 8], &mut short);
        whole.seal(&[9; 12], &[1; 8], &mut long);
        assert_eq!(short, long[..40 + icv_len]);
        assert!(key.open(&[9; 12], &[1; 8], &mut short));
    }
}

#[test]
fn a_short_icv_is_the_beginning_of_the_whole_one() {
    check_short_icvs::<Wide<KEYS_256>>();
    check_short_icvs::<Narrow<KEYS_256>>();
}

/// NIST SP 800-38D 6.5: no other part of the counter block changes.
fn check_counter<K: Kernel>() {
    let key = [4; 16];
    let Some(kernel) = K::new(&key) else { return };
    let mut octets = [0; 48];
    kernel.crypt::<true>([0xff; 16], &[], &mut octets);
    let mut expected = [[0xff; 16]; 3];
    for (number, block) in (0_u32..).zip(&mut expected) {
        block[12..].copy_from_slice(&number.to_be_bytes());
        let mut encrypted = (*block).into();
        aes::Aes128::new(&key.into()).encrypt_block(&mut encrypted);
        *block = encrypted.into();
    }
    assert_eq!(octets, expected.as_flattened());
}

#[test]
fn the_counter_wraps_within_its_32_bits() {
    check_counter::<Wide<KEYS_128>>();
    check_counter::<Narrow<KEYS_128>>();
}

fn check_lengths_of_keys<K128: Kernel, K256: Kernel>() {
    assert!(K128::new(&[0; 24]).is_none());
    assert!(K256::new(&[0; 16]).is_none());
    assert!(K128::new(&[0; 17]).is_none());
    assert!(K256::new(&[0; 35]).is_none());
}

#[test]
fn a_key_of_another_length_is_refused() {
    check_lengths_of_keys::<Wide<KEYS_128>, Wide<KEYS_256>>();
    check_lengths_of_keys::<Narrow<KEYS_128>, Narrow<KEYS_256>>();
}

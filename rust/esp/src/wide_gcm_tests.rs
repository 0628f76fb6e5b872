#![allow(clippy::unwrap_used)]

use super::{KEYS_128, KEYS_192, KEYS_256, WideGcm, available};
use crate::aead::AeadKey;
use crate::gcm::Gcm;

const ICV: usize = 16;
/// Octets around a packet that are nobody's.
const MARGIN: usize = 70;

/// Seals and opens in both implementations at every length around the edges of blocks, vectors and chunks.
fn agree(wide: &impl AeadKey, other: &impl AeadKey) {
    for len in (0..1200).chain([1422, 1424, 1438, 8_900, 65_500]) {
        for associated in [&[][..], &[1; 8], &[2; 12], &[3; 16]] {
            let nonce: [u8; 12] = std::array::from_fn(|i| (i * 7 + len) as u8);
            let plaintext: Vec<u8> = (0..len).map(|i| (i * 31 + 5) as u8).collect();
            let mut expected = [&plaintext[..], &[0; ICV]].concat();
            other.seal(&nonce, associated, &mut expected);

            let margin = [0xa5; MARGIN];
            let mut octets = [&margin[..], &plaintext, &[0; ICV], &margin].concat();
            let packet = MARGIN..MARGIN + len + ICV;
            wide.seal(&nonce, associated, &mut octets[packet.clone()]);
            assert_eq!(octets[packet.clone()], expected, "{len} octets sealed");
            assert!(wide.open(&nonce, associated, &mut octets[packet.clone()]), "{len} octets opened");
            assert_eq!(octets[packet.start..packet.end - ICV], plaintext, "{len} octets opened");
            assert_eq!(octets[..packet.start], margin, "{len} octets: what is in front");
            assert_eq!(octets[packet.end..], margin, "{len} octets: what is behind");
        }
    }
}

#[test]
fn every_length_is_sealed_and_opened_as_by_another_implementation() {
    if !available() {
        eprintln!("not tested: this processor has no AVX-512");
        return;
    }
    let key: [u8; 32] = std::array::from_fn(|i| (i * 37 + 1) as u8);
    agree(&WideGcm::<KEYS_128>::new(&key[..16], ICV).unwrap(), &Gcm::<aes::Aes128>::new(&key[..16], ICV).unwrap());
    agree(&WideGcm::<KEYS_192>::new(&key[..24], ICV).unwrap(), &Gcm::<aes::Aes192>::new(&key[..24], ICV).unwrap());
    agree(&WideGcm::<KEYS_256>::new(&key, ICV).unwrap(), &Gcm::<aes::Aes256>::new(&key, ICV).unwrap());
}

#[test]
fn any_changed_bit_is_found_and_leaves_no_plaintext() {
    let Some(key) = WideGcm::<KEYS_128>::new(&[9; 16], ICV) else { return };
    for len in [0, 1, 47, 48, 64, 303, 304, 560] {
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
fn a_short_icv_is_the_beginning_of_the_whole_one() {
    for icv_len in [8, 12] {
        let Some(key) = WideGcm::<KEYS_256>::new(&[3; 32], icv_len) else { return };
        let whole = WideGcm::<KEYS_256>::new(&[3; 32], ICV).unwrap();
        let (mut short, mut long) = (vec![7; 40 + icv_len], vec![7; 40 + ICV]);
        key.seal(&[9; 12], &[1; 8], &mut short);
        whole.seal(&[9; 12], &[1; 8], &mut long);
        assert_eq!(short, long[..40 + icv_len]);
        assert!(key.open(&[9; 12], &[1; 8], &mut short));
    }
}

#[test]
fn a_key_of_another_length_is_refused() {
    assert!(WideGcm::<KEYS_128>::new(&[0; 24], ICV).is_none());
    assert!(WideGcm::<KEYS_256>::new(&[0; 16], ICV).is_none());
    assert!(WideGcm::<KEYS_128>::new(&[0; 17], ICV).is_none());
    assert!(WideGcm::<KEYS_256>::new(&[0; 35], ICV).is_none());
}

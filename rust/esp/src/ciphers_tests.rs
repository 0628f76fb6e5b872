#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use super::*;
use crate::vectors::packets;

/// RFC 3602 4 has packets without integrity, RFC 2403's is not offered: of these only the cipher is checked.
#[test]
fn cbc_encrypts_published_packets_of_suites_that_are_not_offered() {
    let mut checked = 0;
    for vector in packets().iter().filter(|vector| vector.suite().is_none() && vector.encr == "aes-cbc") {
        let cipher = Cbc::<Aes128>::new(&vector.key).unwrap();
        let end = 24 + (vector.sealed.len() - 24) / 16 * 16;
        let mut body = vector.unsealed[8..end].to_vec();
        cipher.encrypt(&mut [&mut body]);
        assert_eq!(body, vector.sealed[8..end], "{}", vector.id);
        cipher.decrypt(&mut body);
        assert_eq!(body, vector.unsealed[8..end], "{}", vector.id);
        checked += 1;
    }
    assert_eq!(checked, 5);
}

#[test]
fn packets_of_all_lengths_side_by_side_come_out_as_one_by_one() {
    let cipher = Cbc::<Aes128>::new(&[5; 16]).unwrap();
    let lengths =
        [1, 90, 2, 3, 60, 0, 7, 7, 7, 1, 25, 13, 40, 1, 1, 1, 2, 90, 5, 6, 11, 30, 4, 4, 4, 8, 9, 10, 90, 3, 3, 3];
    let mut bodies: Vec<Vec<u8>> =
        lengths.iter().zip(0..).map(|(blocks, octet)| vec![octet; 16 * (blocks + 1)]).collect();
    let mut alone = bodies.clone();
    for body in &mut alone {
        cipher.encrypt(&mut [body]);
    }
    let mut together: Vec<&mut [u8]> = bodies.iter_mut().map(Vec::as_mut_slice).collect();
    cipher.encrypt(&mut together);
    assert_eq!(bodies, alone);
}

/// E25: neither a counter nor the end of the packet before, and none twice.
#[test]
fn cbc_ivs_cannot_be_foreseen() {
    let (one, other) = (Cbc::<Aes128>::new(&[5; 16]).unwrap(), Cbc::<Aes128>::new(&[5; 16]).unwrap());
    let iv = |cipher: &Cbc<Aes128>, sequence_number| {
        let mut iv = [0; 16];
        cipher.write_iv(sequence_number, &mut iv);
        iv
    };
    let ivs: HashSet<_> = (1..1000).flat_map(|number| [iv(&one, number), iv(&other, number)]).collect();
    assert_eq!(ivs.len(), 2 * 999, "the same key and number give another IV in another SA");
}

//! Codes made of a block cipher chain: AES-XCBC-96 (RFC 3566) and AES-CMAC-96 (RFC 4494). They differ in what is added to the
//! last block.

use aes::Aes128;
use cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

use crate::mac::Mac;

const BLOCK: usize = 16;
const KEY: usize = 16;
const ICV: usize = 12;

pub(crate) struct BlockMac {
    cipher: Aes128,
    /// Added to a last block that is full.
    full: [u8; BLOCK],
    /// Added to a last block that had to be padded.
    padded: [u8; BLOCK],
}

impl BlockMac {
    /// RFC 3566 4: three keys from one.
    pub(crate) fn xcbc(key: &[u8]) -> Option<Self> {
        let first = Aes128::new(key.first_chunk::<KEY>().filter(|_| key.len() == KEY)?.into());
        let mut cipher_key = encrypted(&first, [1; BLOCK]);
        let cipher = Aes128::new(&cipher_key.into());
        cipher_key.zeroize();
        Some(Self { cipher, full: encrypted(&first, [2; BLOCK]), padded: encrypted(&first, [3; BLOCK]) })
    }

    /// RFC 4493 2.3: two subkeys by doubling.
    pub(crate) fn cmac(key: &[u8]) -> Option<Self> {
        let cipher = Aes128::new(key.first_chunk::<KEY>().filter(|_| key.len() == KEY)?.into());
        let full = doubled(encrypted(&cipher, [0; BLOCK]));
        Some(Self { cipher, full, padded: doubled(full) })
    }

    fn whole(&self, parts: &[&[u8]]) -> [u8; BLOCK] {
        let mut chain = [0; BLOCK];
        let mut filled = 0;
        for octet_run in parts {
            let mut rest = *octet_run;
            while !rest.is_empty() {
                // A full block is encrypted only when more follows: the last one is treated apart.
                if filled == BLOCK {
                    chain = encrypted(&self.cipher, chain);
                    filled = 0;
                }
                let (now, later) = rest.split_at(rest.len().min(BLOCK - filled));
                add(&mut chain[filled..], now);
                filled += now.len();
                rest = later;
            }
        }
        if filled == BLOCK {
            add(&mut chain, &self.full);
        } else {
            chain[filled] ^= 0x80;
            add(&mut chain, &self.padded);
        }
        encrypted(&self.cipher, chain)
    }
}

impl Mac for BlockMac {
    fn icv_len(&self) -> usize {
        ICV
    }

    fn mac(&self, parts: &[&[u8]], icv: &mut [u8]) {
        icv.copy_from_slice(&self.whole(parts)[..ICV]);
    }
}

impl Drop for BlockMac {
    fn drop(&mut self) {
        self.full.zeroize();
        self.padded.zeroize();
    }
}

fn encrypted(cipher: &Aes128, block: [u8; BLOCK]) -> [u8; BLOCK] {
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

fn add(to: &mut [u8], octets: &[u8]) {
    to.iter_mut().zip(octets).for_each(|(to, octet)| *to ^= octet);
}

/// Times x in GF(2^128), most significant bit first.
fn doubled(block: [u8; BLOCK]) -> [u8; BLOCK] {
    let number = u128::from_be_bytes(block);
    let carry = 0x87 & 0_u128.wrapping_sub(number >> 127);
    (number << 1 ^ carry).to_be_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::vectors::{hex, wycheproof};

    #[test]
    fn xcbc_gives_the_codes_of_rfc_3566() {
        let mac = BlockMac::xcbc(&hex("000102030405060708090a0b0c0d0e0f")).unwrap();
        let message: Vec<u8> = (0..34).collect();
        for (len, code) in [
            (0, "75f0251d528ac01c4573dfd584d79f29"),
            (3, "5b376580ae2f19afe7219ceef172756f"),
            (16, "d2a246fa349b68a79998a4394ff7a263"),
            (20, "47f51b4564966215b8985c63055ed308"),
            (32, "f54f0ec8d2b9f3d36807734bd5283fd4"),
            (34, "becbb3bccdb518a30677d5481fb6b4d8"),
        ] {
            assert_eq!(mac.whole(&[&message[..len]]), hex(code)[..], "{len} octets");
            assert_eq!(
                mac.whole(&[&message[..len / 2], &[], &message[len / 2..len]]),
                hex(code)[..],
                "{len} octets in parts"
            );
        }
    }

    #[test]
    fn cmac_agrees_with_wycheproof() {
        for case in wycheproof("aes_cmac") {
            let Some(mac) = BlockMac::cmac(&case.key) else { continue };
            assert_eq!(mac.whole(&[&case.message]) == case.tag[..], case.valid, "{}", case.id);
        }
    }

    #[test]
    fn other_key_lengths_are_refused() {
        assert!(BlockMac::xcbc(&[0; 15]).is_none());
        assert!(BlockMac::cmac(&[0; 24]).is_none());
    }
}

//! AES-GCM (NIST SP 800-38D) on any processor, for what *ring* has not: short ICVs, 192-bit keys, and authentication alone (GMAC).

use cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher, consts::U16};
use ctr::{Ctr32BE, CtrCore};
use ghash::{GHash, universal_hash::UniversalHash};
use subtle::ConstantTimeEq;

use crate::aead::AeadKey;

const BLOCK: usize = 16;
const NONCE: usize = 12;

/// GCM with any of the ICV lengths of RFC 4106.
pub(crate) struct Gcm<C> {
    cipher: C,
    /// The hash under this key, nothing hashed yet.
    ghash: GHash,
    icv_len: usize,
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit> Gcm<C> {
    /// None when the key is not as long as the cipher's.
    pub(crate) fn new(key: &[u8], icv_len: usize) -> Option<Self> {
        let cipher = C::new_from_slice(key).ok()?;
        let mut hash_key = [0; BLOCK].into();
        cipher.encrypt_block(&mut hash_key);
        Some(Self { ghash: GHash::new(&hash_key), cipher, icv_len })
    }

    fn tag(&self, counter: [u8; BLOCK], associated: &[u8], body: &[u8]) -> [u8; BLOCK] {
        let mut hash = self.ghash.clone();
        hash.update_padded(associated);
        hash.update_padded(body);
        self.finish(hash, counter, associated.len(), body.len())
    }

    fn finish(&self, mut hash: GHash, counter: [u8; BLOCK], associated: usize, body: usize) -> [u8; BLOCK] {
        let bits = ((8 * associated as u128) << 64) | (8 * body as u128);
        hash.update(&[bits.to_be_bytes().into()]);
        let mut mask = counter.into();
        self.cipher.encrypt_block(&mut mask);
        (u128::from_be_bytes(hash.finalize().into()) ^ u128::from_be_bytes(mask.into())).to_be_bytes()
    }

    fn apply_keystream(&self, counter: [u8; BLOCK], body: &mut [u8]) {
        let second = (u128::from_be_bytes(counter) + 1).to_be_bytes();
        Ctr32BE::from_core(CtrCore::inner_iv_init(&self.cipher, &second.into())).apply_keystream(body);
    }
}

/// The counter block of a nonce, with which the tag is masked.
pub(crate) fn first_counter(nonce: &[u8]) -> [u8; BLOCK] {
    let mut counter = [0; BLOCK];
    counter[..NONCE].copy_from_slice(nonce);
    counter[BLOCK - 1] = 1;
    counter
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + Send + Sync> AeadKey for Gcm<C> {
    const SALT: usize = 4;
    // As everywhere with GCM: packets are as long whatever the processor can.
    const PREFERRED_ALIGNMENT: usize = BLOCK;

    fn icv_len(&self) -> usize {
        self.icv_len
    }

    fn seal(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) {
        let (body, icv) = body_and_icv.split_at_mut(body_and_icv.len() - self.icv_len);
        let counter = first_counter(nonce);
        self.apply_keystream(counter, body);
        icv.copy_from_slice(&self.tag(counter, associated, body)[..self.icv_len]);
    }

    fn open(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) -> bool {
        let (body, icv) = body_and_icv.split_at_mut(body_and_icv.len() - self.icv_len);
        let counter = first_counter(nonce);
        let authentic = self.tag(counter, associated, body)[..self.icv_len].ct_eq(icv).into();
        if authentic {
            self.apply_keystream(counter, body);
        }
        authentic
    }
}

/// GMAC (RFC 4543): the tag of octets that are only authenticated.
pub(crate) trait Gmac: Send + Sync {
    /// The tag of the concatenation of `parts` under `nonce`, salt and IV.
    fn gmac(&self, nonce: [u8; NONCE], parts: &[&[u8]]) -> [u8; BLOCK];
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + Send + Sync> Gmac for Gcm<C> {
    fn gmac(&self, nonce: [u8; NONCE], parts: &[&[u8]]) -> [u8; BLOCK] {
        let mut hash = self.ghash.clone();
        let (mut block, mut filled, mut octets) = ([0; BLOCK], 0, 0);
        for part in parts {
            octets += part.len();
            let (now, rest) = part.split_at(part.len().min((BLOCK - filled) % BLOCK));
            block[filled..filled + now.len()].copy_from_slice(now);
            filled += now.len();
            if filled == BLOCK {
                hash.update(&[block.into()]);
                filled = 0;
            }
            if filled == 0 {
                let (blocks, rest) = rest.as_chunks::<BLOCK>();
                hash.update(ghash::Block::cast_slice_from_core(blocks));
                block[..rest.len()].copy_from_slice(rest);
                filled = rest.len();
            }
        }
        hash.update_padded(&block[..filled]);
        self.finish(hash, first_counter(&nonce), octets, 0)
    }
}

#[cfg(test)]
#[path = "gcm_tests.rs"]
mod tests;

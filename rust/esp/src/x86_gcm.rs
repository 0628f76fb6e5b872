//! AES-GCM (NIST SP 800-38D) with the instructions of x86-64, for packets; [`gcm`](crate::gcm) does without.
//!
//! What makes it faster than a general implementation is what ESP has in common: associated data no longer than a block, so that
//! it is hashed beside the first blocks of the packet, as the tag's mask is encrypted beside them, and one pass however short the
//! packet is.

mod field;
mod narrow;
mod schedule;
mod wide;

use subtle::ConstantTimeEq;

use crate::aead::AeadKey;
use crate::gcm::first_counter;

pub(crate) use narrow::Narrow;
pub(crate) use wide::Wide;

const BLOCK: usize = 16;
/// The round keys of AES with 128, 192 and 256 bits of key.
pub(crate) const KEYS_128: usize = 11;
pub(crate) const KEYS_192: usize = 13;
pub(crate) const KEYS_256: usize = 15;

/// A key's schedule, and what is done with it by some of the processor's instructions.
pub(crate) trait Kernel: Send + Sync + Sized {
    /// None where the processor has not the instructions, and for a key of another length.
    fn new(key: &[u8]) -> Option<Self>;

    /// Encrypts (`SEAL`) or decrypts `body`, and gives its tag. `counter` is the counter block of the tag.
    ///
    /// # Panics
    ///
    /// When `associated` is longer than a block.
    fn crypt<const SEAL: bool>(&self, counter: [u8; BLOCK], associated: &[u8], body: &mut [u8]) -> [u8; BLOCK];
}

/// Whether *ring* has more for this processor than [`Narrow`]: vectors of two blocks.
pub(crate) fn ring_is_wider() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq")
}

/// A key, with any of the ICV lengths of RFC 4106.
pub(crate) struct X86Gcm<K> {
    kernel: K,
    icv_len: usize,
}

impl<K: Kernel> X86Gcm<K> {
    /// None where the processor has not the instructions, and for a key of another length.
    pub(crate) fn new(key: &[u8], icv_len: usize) -> Option<Self> {
        Some(Self { kernel: K::new(key)?, icv_len })
    }

    /// Whether the ICV is the beginning of the tag: all of it compared at once, in the same time wherever it differs.
    fn is_tag(&self, tag: [u8; BLOCK], icv: &[u8]) -> bool {
        let mut padded = [0; BLOCK];
        padded[..self.icv_len].copy_from_slice(icv);
        let different = (u128::from_le_bytes(tag) ^ u128::from_le_bytes(padded)) << (8 * (BLOCK - self.icv_len));
        ((different >> 64) as u64 | different as u64).ct_eq(&0).into()
    }
}

impl<K: Kernel> AeadKey for X86Gcm<K> {
    const SALT: usize = 4;
    // As everywhere with GCM: packets are as long whatever the processor can.
    const PREFERRED_ALIGNMENT: usize = BLOCK;

    fn icv_len(&self) -> usize {
        self.icv_len
    }

    /// `associated` is at most a block long.
    fn seal(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) {
        let (body, icv) = body_and_icv.split_at_mut(body_and_icv.len() - self.icv_len);
        let tag = self.kernel.crypt::<true>(first_counter(nonce), associated, body);
        icv.copy_from_slice(&tag[..self.icv_len]);
    }

    /// `associated` is at most a block long.
    fn open(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) -> bool {
        let (body, icv) = body_and_icv.split_at_mut(body_and_icv.len() - self.icv_len);
        let tag = self.kernel.crypt::<false>(first_counter(nonce), associated, body);
        let authentic = self.is_tag(tag, icv);
        if !authentic {
            // It was decrypted in the same pass, and nobody may see what is not authentic.
            body.fill(0);
        }
        authentic
    }
}

#[cfg(test)]
#[path = "x86_gcm_tests.rs"]
mod tests;

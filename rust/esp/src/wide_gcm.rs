//! AES-GCM (NIST SP 800-38D) with four blocks in a vector register, for packets.
//!
//! This needs AVX-512 with VAES and VPCLMULQDQ; *ring* and [`gcm`](crate::gcm) do without. What makes it faster than a general
//! implementation is what ESP has in common: associated data no longer than a block, so that it is hashed beside the first
//! three blocks of the packet, as the tag's mask is encrypted beside them, and one pass however short the packet is.

mod hash;
mod kernel;
mod schedule;

use subtle::ConstantTimeEq;

use crate::aead::AeadKey;
use crate::gcm::first_counter;

const BLOCK: usize = 16;
/// The round keys of AES with 128, 192 and 256 bits of key.
pub(crate) const KEYS_128: usize = 11;
pub(crate) const KEYS_192: usize = 13;
pub(crate) const KEYS_256: usize = 15;

/// A key, with any of the ICV lengths of RFC 4106. One is made only where the processor has the instructions.
pub(crate) struct WideGcm<const KEYS: usize> {
    key: kernel::Key<KEYS>,
    icv_len: usize,
}

impl<const KEYS: usize> WideGcm<KEYS> {
    /// None where the processor cannot, and when `KEYS` round keys are not what AES makes of a key of that length.
    pub(crate) fn new(key: &[u8], icv_len: usize) -> Option<Self> {
        if !available() || key.len() != 4 * (KEYS - 7) {
            return None;
        }
        // SAFETY: the features for which the kernel is compiled were just found.
        Some(Self { key: unsafe { kernel::Key::new(key) }, icv_len })
    }
}

impl<const KEYS: usize> WideGcm<KEYS> {
    /// Whether the ICV is the beginning of the tag: all of it compared at once, in the same time wherever it differs.
    fn is_tag(&self, tag: [u8; BLOCK], icv: &[u8]) -> bool {
        let mut padded = [0; BLOCK];
        padded[..self.icv_len].copy_from_slice(icv);
        let different = (u128::from_le_bytes(tag) ^ u128::from_le_bytes(padded)) << (8 * (BLOCK - self.icv_len));
        ((different >> 64) as u64 | different as u64).ct_eq(&0).into()
    }
}

/// Whether the processor has what the kernel is compiled for.
pub(crate) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
}

impl<const KEYS: usize> AeadKey for WideGcm<KEYS> {
    const SALT: usize = 4;
    // As everywhere with GCM: packets are as long whatever the processor can.
    const PREFERRED_ALIGNMENT: usize = BLOCK;

    fn icv_len(&self) -> usize {
        self.icv_len
    }

    /// `associated` is at most a block long.
    fn seal(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) {
        let (body, icv) = body_and_icv.split_at_mut(body_and_icv.len() - self.icv_len);
        // SAFETY: a key is made only where the features were found.
        let tag = unsafe { self.key.crypt::<true>(first_counter(nonce), associated, body) };
        icv.copy_from_slice(&tag[..self.icv_len]);
    }

    /// `associated` is at most a block long.
    fn open(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) -> bool {
        let (body, icv) = body_and_icv.split_at_mut(body_and_icv.len() - self.icv_len);
        // SAFETY: a key is made only where the features were found.
        let tag = unsafe { self.key.crypt::<false>(first_counter(nonce), associated, body) };
        let authentic = self.is_tag(tag, icv);
        if !authentic {
            // It was decrypted in the same pass, and nobody may see what is not authentic.
            body.fill(0);
        }
        authentic
    }
}

#[cfg(test)]
#[path = "wide_gcm_tests.rs"]
mod tests;

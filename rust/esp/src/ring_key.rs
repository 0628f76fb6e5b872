//! The ciphers that *ring* has: AES-GCM with an ICV of 16 octets, ChaCha20-Poly1305.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use crate::aead::AeadKey;

const ICV: usize = 16;

/// A key of *ring*'s, which does not erase its schedule: what holds it is erased.
///
/// Payload and trailer are best padded to `ALIGNMENT` octets: a partial block costs AES-GCM more than the octets cost.
pub(crate) struct RingKey<const ALIGNMENT: usize>(LessSafeKey);

impl RingKey<16> {
    /// AES-GCM. None when the key is neither 16 nor 32 octets long.
    pub(crate) fn aes_gcm(key: &[u8]) -> Option<Self> {
        let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        Some(Self(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?)))
    }
}

impl RingKey<4> {
    /// ChaCha20-Poly1305. None when the key is not 32 octets long.
    pub(crate) fn chacha20_poly1305(key: &[u8]) -> Option<Self> {
        Some(Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?)))
    }
}

impl<const ALIGNMENT: usize> AeadKey for RingKey<ALIGNMENT> {
    const SALT: usize = 4;
    const PREFERRED_ALIGNMENT: usize = ALIGNMENT;

    #[inline]
    fn icv_len(&self) -> usize {
        ICV
    }

    #[inline]
    fn seal(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) {
        let Some((body, icv)) = body_and_icv.split_last_chunk_mut::<ICV>() else { return };
        let sealed = Nonce::try_assume_unique_for_key(nonce)
            .and_then(|nonce| self.0.seal_in_place_separate_tag(nonce, Aad::from(associated), body));
        match sealed {
            Ok(tag) => icv.copy_from_slice(tag.as_ref()),
            // *ring* refuses only what is longer than 64 GiB; a zero ICV with the plaintext must never go out.
            Err(_) => body_and_icv.fill(0),
        }
    }

    #[inline]
    fn open(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) -> bool {
        Nonce::try_assume_unique_for_key(nonce)
            .and_then(|nonce| self.0.open_in_place(nonce, Aad::from(associated), body_and_icv))
            .is_ok()
    }
}

//! AES-CCM as RFC 4309 uses it: a salt of 3 octets, a nonce of 11.

use ccm::aead::{AeadInOut, array::ArraySize};
use ccm::{Ccm, NonceSize, Tag, TagSize, consts::U11};
use cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16};

use crate::aead::AeadKey;

/// CCM with an ICV of `M` octets.
pub(crate) struct CcmKey<C, M>(Ccm<C, M, U11>)
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
    M: ArraySize + TagSize,
    U11: NonceSize;

impl<C, M> CcmKey<C, M>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
    M: ArraySize + TagSize,
{
    /// None when the key is not as long as the cipher's.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        Some(Self(Ccm::from(C::new_from_slice(key).ok()?)))
    }
}

impl<C, M> AeadKey for CcmKey<C, M>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync,
    M: ArraySize + TagSize + Send + Sync,
{
    const SALT: usize = 3;

    fn icv_len(&self) -> usize {
        M::USIZE
    }

    fn seal(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) {
        let (body, icv) = body_and_icv.split_at_mut(body_and_icv.len() - M::USIZE);
        let Ok(nonce) = nonce.try_into() else { return body_and_icv.fill(0) };
        match self.0.encrypt_inout_detached(nonce, associated, body.into()) {
            Ok(tag) => icv.copy_from_slice(&tag),
            // Refused is only what is longer than CCM can count; the plaintext must never go out.
            Err(_) => body_and_icv.fill(0),
        }
    }

    fn open(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) -> bool {
        let (body, icv) = body_and_icv.split_at_mut(body_and_icv.len() - M::USIZE);
        match (nonce.try_into(), <&Tag<M>>::try_from(&*icv)) {
            (Ok(nonce), Ok(tag)) => self.0.decrypt_inout_detached(nonce, associated, body.into(), tag).is_ok(),
            _ => false,
        }
    }
}

//! The suites whose cipher authenticates (AEAD): AES-GCM (RFC 4106), AES-CCM (RFC 4309), ChaCha20-Poly1305 (RFC 7634), each also
//! with implicit IV (RFC 8750).
//!
//! All make their nonce of a salt and an 8-octet IV, and authenticate the ESP header as associated data. The IV is the
//! sequence number, which never repeats under a key; it is sent, or implicit.

use zeroize::Zeroize;

use crate::SPI_AND_SEQUENCE;
use crate::transform::{Job, Transform};

/// Octets of the IV that is sent, or implicit; GMAC's too (RFC 4543 3.1).
pub(crate) const IV: usize = 8;
const ALIGNMENT: usize = 4;

/// An authenticated cipher under one key.
pub(crate) trait AeadKey: Send + Sync {
    /// Octets of salt.
    const SALT: usize;
    /// Payload and trailer are padded to a multiple of this.
    const PREFERRED_ALIGNMENT: usize = ALIGNMENT;

    /// Octets of ICV.
    fn icv_len(&self) -> usize;

    /// Encrypts all but the last `icv_len` octets, into which the ICV goes.
    fn seal(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]);

    /// Decrypts all but the ICV. False when it does not match.
    fn open(&self, nonce: &[u8], associated: &[u8], body_and_icv: &mut [u8]) -> bool;
}

/// An AEAD suite.
pub(crate) struct Aead<K> {
    key: K,
    salt: [u8; 4],
    esn: bool,
    implicit_iv: bool,
}

impl<K: AeadKey> Aead<K> {
    /// None when `salt` is not as long as the cipher's.
    pub(crate) fn new(key: K, salt: &[u8], esn: bool, implicit_iv: bool) -> Option<Self> {
        let mut octets = [0; 4];
        octets.get_mut(..K::SALT).filter(|_| salt.len() == K::SALT)?.copy_from_slice(salt);
        Some(Self { key, salt: octets, esn, implicit_iv })
    }

    #[inline]
    fn nonce(&self, job: &Job<'_>) -> [u8; 4 + IV] {
        let mut nonce = [0; 4 + IV];
        nonce[..K::SALT].copy_from_slice(&self.salt[..K::SALT]);
        let iv = &mut nonce[K::SALT..K::SALT + IV];
        if self.implicit_iv {
            // RFC 8750 4: with 32-bit sequence numbers the high half is zero.
            iv.copy_from_slice(&job.sequence_number.to_be_bytes());
        } else {
            iv.copy_from_slice(&job.packet[SPI_AND_SEQUENCE..SPI_AND_SEQUENCE + IV]);
        }
        nonce
    }

    /// SPI and sequence number as they are authenticated: with ESN all 64 bits (RFC 4106 5).
    #[inline]
    fn associated(&self, job: &Job<'_>) -> Associated {
        let mut octets = [0; 12];
        if self.esn {
            octets[..4].copy_from_slice(&job.packet[..4]);
            octets[4..].copy_from_slice(&job.sequence_number.to_be_bytes());
            Associated { octets, len: 12 }
        } else {
            octets[..8].copy_from_slice(&job.packet[..8]);
            Associated { octets, len: 8 }
        }
    }
}

struct Associated {
    octets: [u8; 12],
    len: usize,
}

impl AsRef<[u8]> for Associated {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl<K: AeadKey> Transform for Aead<K> {
    fn iv_len(&self) -> usize {
        if self.implicit_iv { 0 } else { IV }
    }

    fn icv_len(&self) -> usize {
        self.key.icv_len()
    }

    fn alignment(&self) -> usize {
        ALIGNMENT
    }

    fn preferred_alignment(&self) -> usize {
        K::PREFERRED_ALIGNMENT
    }

    #[inline]
    fn write_iv(&self, job: &mut Job<'_>) {
        if !self.implicit_iv {
            let iv = job.sequence_number.to_be_bytes();
            job.packet[SPI_AND_SEQUENCE..SPI_AND_SEQUENCE + IV].copy_from_slice(&iv);
        }
    }

    #[inline]
    fn encrypt(&self, job: &mut Job<'_>) {
        let nonce = self.nonce(job);
        let associated = self.associated(job);
        let body_and_icv = &mut job.packet[SPI_AND_SEQUENCE + self.iv_len()..];
        self.key.seal(&nonce[..K::SALT + IV], associated.as_ref(), body_and_icv);
    }

    fn open(&self, job: &mut Job<'_>) -> bool {
        let nonce = self.nonce(job);
        let associated = self.associated(job);
        let body_and_icv = &mut job.packet[SPI_AND_SEQUENCE + self.iv_len()..];
        self.key.open(&nonce[..K::SALT + IV], associated.as_ref(), body_and_icv)
    }
}

impl<K> Drop for Aead<K> {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

#[cfg(test)]
#[path = "aead_tests.rs"]
mod tests;

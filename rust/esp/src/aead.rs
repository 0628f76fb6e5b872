//! The suites that *ring* has: AES-GCM with a 16-octet ICV (RFC 4106), ChaCha20-Poly1305 (RFC 7634).
//!
//! Both make their nonce of a salt and an 8-octet IV, and authenticate the ESP header as associated data. The IV is the
//! sequence number, which never repeats under a key.

use std::mem::MaybeUninit;

use ring::aead::{Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroize;

use crate::SPI_AND_SEQUENCE;
use crate::transform::{Job, Transform};

const SALT: usize = 4;
const IV: usize = 8;
const ICV: usize = 16;
const BODY: usize = SPI_AND_SEQUENCE + IV;
const ALIGNMENT: usize = 4;

pub(crate) struct Aead {
    key: ErasedKey,
    salt: [u8; SALT],
    esn: bool,
    preferred_alignment: usize,
}

impl Aead {
    /// None when the key's length is not the algorithm's.
    pub(crate) fn new(
        algorithm: &'static Algorithm,
        key: &[u8],
        salt: [u8; SALT],
        esn: bool,
        preferred_alignment: usize,
    ) -> Option<Self> {
        let key = ErasedKey::new(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?));
        Some(Self { key, salt, esn, preferred_alignment })
    }

    /// The nonce of a packet whose IV is in place.
    fn nonce(&self, packet: &[u8]) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..SALT].copy_from_slice(&self.salt);
        nonce[SALT..].copy_from_slice(&packet[SPI_AND_SEQUENCE..BODY]);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts a packet whose IV is in place, and writes its ICV.
    fn encrypt(&self, job: &mut Job<'_>) {
        let nonce = self.nonce(job.packet);
        let associated = Aad::from(self.associated(job.sequence_number, job.packet));
        let (body, icv) = job.packet[BODY..].split_last_chunk_mut::<ICV>().unwrap_or_else(|| unreachable!());
        match self.key.0.seal_in_place_separate_tag(nonce, associated, body) {
            Ok(tag) => icv.copy_from_slice(tag.as_ref()),
            // *ring* refuses only what is longer than 64 GiB; a zero ICV with the plaintext must never go out.
            Err(_) => job.packet.fill(0),
        }
    }

    /// SPI and sequence number as they are authenticated: with ESN all 64 bits (RFC 4106 5).
    fn associated(&self, sequence_number: u64, packet: &[u8]) -> Associated {
        let mut octets = [0; 12];
        if self.esn {
            octets[..4].copy_from_slice(&packet[..4]);
            octets[4..].copy_from_slice(&sequence_number.to_be_bytes());
            Associated { octets, len: 12 }
        } else {
            octets[..8].copy_from_slice(&packet[..8]);
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

impl Transform for Aead {
    fn iv_len(&self) -> usize {
        IV
    }

    fn icv_len(&self) -> usize {
        ICV
    }

    fn alignment(&self) -> usize {
        ALIGNMENT
    }

    fn preferred_alignment(&self) -> usize {
        self.preferred_alignment
    }

    fn seal(&self, job: &mut Job<'_>) {
        job.packet[SPI_AND_SEQUENCE..BODY].copy_from_slice(&job.sequence_number.to_be_bytes());
        self.encrypt(job);
    }

    fn open(&self, job: &mut Job<'_>) -> bool {
        let nonce = self.nonce(job.packet);
        let associated = Aad::from(self.associated(job.sequence_number, job.packet));
        self.key.0.open_in_place(nonce, associated, &mut job.packet[BODY..]).is_ok()
    }
}

impl std::ops::Drop for Aead {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// A *ring* key whose memory is overwritten before it is given back: *ring* itself leaves the key schedule there. What it left on
/// the stack while the key was made cannot be reached.
struct ErasedKey(Box<LessSafeKey>);

impl ErasedKey {
    fn new(key: LessSafeKey) -> Self {
        Self(Box::new(key))
    }
}

impl std::ops::Drop for ErasedKey {
    fn drop(&mut self) {
        const { assert!(!std::mem::needs_drop::<LessSafeKey>()) }
        let key: *mut LessSafeKey = &raw mut *self.0;
        // SAFETY: the pointer is valid for writes of one key, nothing else refers to it while it is dropped, and a key that
        // needs no drop (asserted above) is not read again before the box frees its memory.
        unsafe { std::slice::from_raw_parts_mut(key.cast::<MaybeUninit<u8>>(), size_of::<LessSafeKey>()) }.zeroize();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ring::aead::{AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305};
    use serde_json::Value;

    use super::*;

    fn octets(vector: &Value, field: &str) -> Vec<u8> {
        let text = vector[field].as_str().unwrap();
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn seals_the_published_packets_byte_for_byte() {
        let document: Value = serde_json::from_str(include_str!("../../../tests/vectors/esp.json")).unwrap();
        for vector in document["vectors"].as_array().unwrap() {
            let key = octets(vector, "enc_key");
            let algorithm = match (vector["encr"].as_str().unwrap(), key.len()) {
                ("aes-gcm-16", 16) => &AES_128_GCM,
                ("aes-gcm-16", _) => &AES_256_GCM,
                _ => &CHACHA20_POLY1305,
            };
            let salt = octets(vector, "salt").try_into().unwrap();
            let esn = vector["esn"].as_bool().unwrap();
            let aead = Aead::new(algorithm, &key, salt, esn, 4).unwrap();
            let expected = octets(vector, "esp_packet");
            let padding = octets(vector, "padding");
            let mut packet = expected[..8].to_vec();
            packet.extend(octets(vector, "iv"));
            packet.extend(octets(vector, "inner"));
            packet.extend(&padding);
            packet.extend([padding.len() as u8, vector["next_header"].as_u64().unwrap() as u8]);
            packet.extend([0; ICV]);
            let sequence_number = vector["seq_hi"].as_u64().unwrap() << 32 | vector["seq"].as_u64().unwrap();
            aead.encrypt(&mut Job { sequence_number, packet: &mut packet });
            assert_eq!(packet, expected, "{}", vector["id"]);
        }
    }
}

//! What is done to a datagram between TUN and socket: nothing, or AES-128-GCM by *ring* with one fixed key, laid out as ESP
//! is (RFC 4303, RFC 4106). No SA, window, policy or counter stands beside it, and it protects nothing: the key is known.

use std::net::IpAddr;
use std::ops::Range;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};

/// SPI, sequence number and IV.
pub const HEADER: usize = 16;
/// Pad Length, Next Header and ICV.
pub const TRAILER: usize = 2 + TAG;
const TAG: usize = 16;
const ASSOCIATED: usize = 8;
const KEY: [u8; 16] = [7; 16];

/// One direction's cipher; without a key datagrams stay as they are.
pub struct Cipher(Option<Sealing>);

struct Sealing {
    key: LessSafeKey,
    /// Each sender has its own, so that no nonce comes twice.
    salt: [u8; 4],
    sequence_number: u64,
}

impl Cipher {
    /// The cipher by its word on the command line, for what is sent from `sender`.
    pub fn new(word: &str, sender: IpAddr) -> Result<Self, String> {
        match word {
            "none" => Ok(Self(None)),
            "aes128gcm16" => {
                let key = UnboundKey::new(&AES_128_GCM, &KEY).map_err(|error| error.to_string())?;
                let salt = match sender {
                    IpAddr::V4(address) => address.octets(),
                    IpAddr::V6(address) => (address.to_bits() as u32).to_be_bytes(),
                };
                Ok(Self(Some(Sealing { key: LessSafeKey::new(key), salt, sequence_number: 0 })))
            }
            _ => Err(format!("no cipher {word}: none or aes128gcm16")),
        }
    }

    /// Seals a whole datagram, whose inner packet lies between [`HEADER`] and [`TRAILER`].
    #[inline]
    pub fn seal(&mut self, datagram: &mut [u8]) {
        let Self(Some(Sealing { key, salt, sequence_number })) = self else { return };
        *sequence_number += 1;
        let iv = sequence_number.to_be_bytes();
        let (header, rest) = datagram.split_at_mut(HEADER);
        header[4..8].copy_from_slice(&iv[4..]);
        header[ASSOCIATED..].copy_from_slice(&iv);
        let (body, icv) = rest.split_at_mut(rest.len() - TAG);
        // Only a body of 64 GiB would fail.
        if let Ok(tag) = key.seal_in_place_separate_tag(nonce(*salt, iv), Aad::from(&header[..ASSOCIATED]), body) {
            icv.copy_from_slice(tag.as_ref());
        }
    }

    /// Where the inner packet of the datagram at `at` lies, opened; None when it is not authentic.
    #[inline]
    pub fn open(&self, octets: &mut [u8], at: Range<usize>) -> Option<Range<usize>> {
        if at.len() <= HEADER + TRAILER {
            return None;
        }
        if let Self(Some(Sealing { key, salt, .. })) = self {
            let (header, rest) = octets[at.clone()].split_at_mut(HEADER);
            let (body, icv) = rest.split_at_mut(rest.len() - TAG);
            let iv = *header.last_chunk()?;
            let tag = Tag::try_from(&*icv).ok()?;
            key.open_in_place_separate_tag(nonce(*salt, iv), Aad::from(&header[..ASSOCIATED]), tag, body, 0..).ok()?;
        }
        Some(at.start + HEADER..at.end - TRAILER)
    }
}

fn nonce(salt: [u8; 4], iv: [u8; 8]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&salt);
    nonce[4..].copy_from_slice(&iv);
    Nonce::assume_unique_for_key(nonce)
}

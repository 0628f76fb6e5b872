//! The suites there are, by their proposal keywords.

use std::fmt;

use ring::aead::{AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305};

use crate::aead::Aead;
use crate::transform::Transform;

/// An encryption suite of ESP, named as in a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-GCM with a 16-octet ICV, 128-bit key (RFC 4106).
    Aes128Gcm16,
    /// AES-GCM with a 16-octet ICV, 256-bit key (RFC 4106).
    Aes256Gcm16,
    /// `ChaCha20` and Poly1305 (RFC 7634).
    ChaCha20Poly1305,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 3] = [Self::Aes128Gcm16, Self::Aes256Gcm16, Self::ChaCha20Poly1305];

    /// The suite of that keyword.
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.keyword() == keyword)
    }

    /// The proposal keyword.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Aes128Gcm16 => "aes128gcm16",
            Self::Aes256Gcm16 => "aes256gcm16",
            Self::ChaCha20Poly1305 => "chacha20poly1305",
        }
    }

    /// Octets of encryption key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm16 => 16,
            Self::Aes256Gcm16 | Self::ChaCha20Poly1305 => 32,
        }
    }

    /// Octets of salt behind the encryption key.
    pub const fn salt_len(self) -> usize {
        4
    }

    /// Octets of KEYMAT for one direction: encryption key, salt, integrity key.
    pub const fn keymat_len(self) -> usize {
        self.key_len() + self.salt_len()
    }

    /// The transform under these keys.
    pub(crate) fn transform(self, keymat: &[u8], esn: bool) -> Result<Box<dyn Transform>, KeyError> {
        let error = KeyError { suite: self, given: keymat.len() };
        let (key, salt) = keymat.split_at_checked(self.key_len()).ok_or(error)?;
        let salt = salt.try_into().map_err(|_| error)?;
        let (algorithm, preferred_alignment) = match self {
            // Whole blocks are cheaper than a partial one by more than the octets cost.
            Self::Aes128Gcm16 => (&AES_128_GCM, 16),
            Self::Aes256Gcm16 => (&AES_256_GCM, 16),
            Self::ChaCha20Poly1305 => (&CHACHA20_POLY1305, 4),
        };
        Ok(Box::new(Aead::new(algorithm, key, salt, esn, preferred_alignment).ok_or(error)?))
    }
}

/// Key material of the wrong length. Says how long it should be, never what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// The suite it was for.
    pub suite: Suite,
    /// Octets given.
    pub given: usize,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, given } = self;
        write!(
            f,
            "{} takes {} octets of key material ({} of key, {} of salt), not {given}",
            suite.keyword(),
            suite.keymat_len(),
            suite.key_len(),
            suite.salt_len()
        )
    }
}

impl std::error::Error for KeyError {}

//! AH (RFC 4302): integrity of a whole IP packet, its headers as far as they do not change on the way.

mod decap;
mod encap;
mod mutable;

use std::fmt;

use subtle::ConstantTimeEq;

use crate::aead::IV as GMAC_IV;
use crate::erased::Erased;
use crate::gmac::GmacKey;
use crate::integ::{Code, Integ};
use crate::mac::{Icv, Mac, verify};

pub use decap::{AhDecapsulator, AhDecapsulatorOptions};
pub use encap::{AhEncapsulator, AhEncapsulatorOptions};

/// Octets of AH before the ICV.
pub(crate) const FIXED: usize = 12;

/// Key material of the wrong length. Says how long it should be, never what it was.
#[derive(Clone, Copy, Debug)]
pub struct AhKeyError {
    integ: &'static Integ,
    given: usize,
}

impl fmt::Display for AhKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { integ, given } = self;
        let wanted = integ.key_len + integ.salt_len;
        write!(f, "{} in AH takes {wanted} octets of key material, not {given}", integ.keyword)
    }
}

impl std::error::Error for AhKeyError {}

/// An integrity algorithm of AH under a key.
pub struct AhKey {
    integ: &'static Integ,
    code: KeyedCode,
    esn: bool,
}

enum KeyedCode {
    Mac(Erased<dyn Mac>),
    Gmac(GmacKey),
}

impl AhKey {
    /// Fails when `keymat`, key and salt, is not as long as the algorithm takes.
    pub fn new(integ: &'static Integ, keymat: &[u8], esn: bool) -> Result<Self, AhKeyError> {
        let error = AhKeyError { integ, given: keymat.len() };
        let (key, salt) = keymat.split_at_checked(integ.key_len).ok_or(error)?;
        if salt.len() != integ.salt_len {
            return Err(error);
        }
        let code = if integ.code == Code::Gmac {
            KeyedCode::Gmac(GmacKey::new(key, salt).ok_or(error)?)
        } else {
            KeyedCode::Mac(integ.mac(key).ok_or(error)?)
        };
        Ok(Self { integ, code, esn })
    }

    /// The algorithm.
    pub fn integ(&self) -> &'static Integ {
        self.integ
    }

    /// Octets of AH: a multiple of 4 in IPv4, of 8 in IPv6 (RFC 4302 3.3.3.2.1).
    pub(crate) fn header_len(&self, v6: bool) -> usize {
        (FIXED + self.field_len()).next_multiple_of(if v6 { 8 } else { 4 })
    }

    /// Octets of the ICV field that are zero while it is computed; padding behind it is covered (RFC 4302 3.3.3.2.1).
    pub(crate) fn field_len(&self) -> usize {
        // GMAC's IV stands in the field before its tag (RFC 4543 5).
        let iv = if matches!(self.code, KeyedCode::Gmac(_)) { GMAC_IV } else { 0 };
        iv + self.integ.icv_len
    }

    /// Writes the ICV of `packet`, whose mutable fields are zeros and whose AH is at `at` with zeros for the ICV.
    pub(crate) fn sign(&self, sequence_number: u64, packet: &mut [u8], at: usize) {
        let high = high_half(sequence_number);
        let high = if self.esn { &high[..] } else { &[] };
        let field = at + FIXED;
        match &self.code {
            KeyedCode::Mac(mac) => {
                let mut icv = Icv::default();
                let icv = &mut icv[..mac.icv_len()];
                mac.mac(&[packet, high], icv);
                packet[field..field + icv.len()].copy_from_slice(icv);
            }
            KeyedCode::Gmac(gmac) => {
                // The IV stands in the ICV field, which is zero while the tag is computed; the nonce authenticates it.
                let iv = sequence_number.to_be_bytes();
                let tag = gmac.tag(iv, &[packet, high]);
                packet[field..field + GMAC_IV].copy_from_slice(&iv);
                packet[field + GMAC_IV..][..tag.len()].copy_from_slice(&tag);
            }
        }
    }

    /// Whether `field`, what stood in the ICV field, is right for `packet`, prepared as for [`sign`](Self::sign).
    pub(crate) fn verify(&self, sequence_number: u64, packet: &[u8], field: &[u8]) -> bool {
        let high = high_half(sequence_number);
        let high = if self.esn { &high[..] } else { &[] };
        match &self.code {
            KeyedCode::Mac(mac) => verify(&**mac, &[packet, high], &field[..mac.icv_len()]),
            KeyedCode::Gmac(gmac) => {
                let Some((iv, rest)) = field.split_first_chunk::<GMAC_IV>() else { return false };
                let tag = gmac.tag(*iv, &[packet, high]);
                tag.ct_eq(&rest[..tag.len()]).into()
            }
        }
    }
}

fn high_half(sequence_number: u64) -> [u8; 4] {
    ((sequence_number >> 32) as u32).to_be_bytes()
}

impl fmt::Debug for AhKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AhKey").field("integ", &self.integ.keyword).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "../ah_tests.rs"]
mod tests;

//! The integrity algorithms there are, by their proposal keywords.

use crate::block_mac::BlockMac;
use crate::encr::Standing;
use crate::erased::Erased;
use crate::hash::{Sha1, Sha256, Sha384, Sha512};
use crate::hmac::Hmac;
use crate::mac::Mac;

/// An integrity algorithm of ESP and AH.
#[derive(Debug)]
pub struct Integ {
    /// The proposal keyword.
    pub keyword: &'static str,
    /// Its number in `IKEv2` (transform type 3); for HMAC-SHA2-256-96 the private one that `strongSwan` gave it.
    pub transform_id: u16,
    /// Octets of key.
    pub key_len: usize,
    /// Octets of salt behind the key.
    pub salt_len: usize,
    /// Octets of ICV.
    pub icv_len: usize,
    /// The RFC that defines its use.
    pub rfc: &'static str,
    /// Strength of the key in bits.
    pub strength: u16,
    /// Whether it may be negotiated without being asked for.
    pub standing: Standing,
    pub(crate) code: Code,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    Xcbc,
    Cmac,
    /// Only in AH; in ESP it is a cipher of its own.
    Gmac,
}

macro_rules! integ {
    ($($keyword:literal $id:literal key $key:literal salt $salt:literal icv $icv:literal $rfc:literal $strength:literal
       $standing:ident $code:ident;)*) => {
        &[$(Integ {
            keyword: $keyword,
            transform_id: $id,
            key_len: $key,
            salt_len: $salt,
            icv_len: $icv,
            rfc: $rfc,
            strength: $strength,
            standing: Standing::$standing,
            code: Code::$code,
        }),*]
    };
}

/// Every integrity algorithm. Lengths are in octets.
pub static INTEG: &[Integ] = integ! {
    "sha256"     12    key 32 salt 0 icv 16 "RFC 4868" 256 Default  Sha256;
    "sha384"     13    key 48 salt 0 icv 24 "RFC 4868" 384 Default  Sha384;
    "sha512"     14    key 64 salt 0 icv 32 "RFC 4868" 512 Default  Sha512;
    "sha1"       2     key 20 salt 0 icv 12 "RFC 2404" 160 Optional Sha1;
    "sha256_96"  1026  key 32 salt 0 icv 12 "draft-ietf-ipsec-ciph-sha-256-00" 256 Legacy Sha256;
    "aesxcbc"    5     key 16 salt 0 icv 12 "RFC 3566" 128 Optional Xcbc;
    "aescmac"    8     key 16 salt 0 icv 12 "RFC 4494" 128 Optional Cmac;
    "aes128gmac" 9     key 16 salt 4 icv 16 "RFC 4543" 128 Optional Gmac;
    "aes192gmac" 10    key 24 salt 4 icv 16 "RFC 4543" 192 Optional Gmac;
    "aes256gmac" 11    key 32 salt 4 icv 16 "RFC 4543" 256 Optional Gmac;
};

impl Integ {
    /// The algorithm of that keyword.
    pub fn from_keyword(keyword: &str) -> Option<&'static Self> {
        INTEG.iter().find(|integ| integ.keyword == keyword)
    }

    /// The algorithm as part of an ESP suite: all but GMAC.
    pub(crate) fn composable(&self) -> bool {
        self.code != Code::Gmac
    }

    /// The code under a key. None when the key is not `key_len` octets long, and for GMAC, which needs an IV as well.
    pub(crate) fn mac(&self, key: &[u8]) -> Option<Erased<dyn Mac>> {
        if key.len() != self.key_len {
            return None;
        }
        let mac: Box<dyn Mac> = match self.code {
            Code::Sha1 => Box::new(Hmac::<Sha1>::new(key, self.icv_len)?),
            Code::Sha256 => Box::new(Hmac::<Sha256>::new(key, self.icv_len)?),
            Code::Sha384 => Box::new(Hmac::<Sha384>::new(key, self.icv_len)?),
            Code::Sha512 => Box::new(Hmac::<Sha512>::new(key, self.icv_len)?),
            Code::Xcbc => Box::new(BlockMac::xcbc(key)?),
            Code::Cmac => Box::new(BlockMac::cmac(key)?),
            Code::Gmac => return None,
        };
        Some(Erased::new(mac))
    }
}

//! Suites: an encryption algorithm, and an integrity algorithm unless the first authenticates by itself. There is no suite
//! without integrity (RFC 8221 4).

use std::fmt;

use aes::{Aes128, Aes192, Aes256};
use cipher::consts::{U8, U12, U16};
use des::TdesEde3;

use crate::aead::{Aead, AeadKey};
use crate::ccm::CcmKey;
use crate::ciphers::{Cbc, Ctr, Null};
use crate::composed::{Cipher, Composed};
use crate::encr::{ENCR, Encr, Kind};
use crate::erased::Erased;
use crate::gcm::Gcm;
use crate::gmac::NullWithGmac;
use crate::integ::{INTEG, Integ};
use crate::ring_key::RingKey;
use crate::transform::Transform;
#[cfg(target_arch = "x86_64")]
use crate::x86_gcm::{KEYS_128, KEYS_192, KEYS_256, Kernel, Narrow, Wide, X86Gcm, ring_is_wider};

/// A suite of ESP, named as in a proposal: `aes128gcm16`, `aes128-sha256`.
#[derive(Clone, Copy)]
pub struct Suite {
    encr: &'static Encr,
    integ: Option<&'static Integ>,
}

impl Suite {
    /// None when the encryption algorithm authenticates by itself and there is another beside it, or does not and there is none.
    pub fn new(encr: &'static Encr, integ: Option<&'static Integ>) -> Option<Self> {
        let composable = integ.is_some_and(Integ::composable);
        (composable || integ.is_none()).then_some(())?;
        (composable != encr.is_aead()).then_some(Self { encr, integ })
    }

    /// The suite of a keyword.
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        match keyword.split_once('-') {
            Some((encr, integ)) => Self::new(Encr::from_keyword(encr)?, Some(Integ::from_keyword(integ)?)),
            None => Self::new(Encr::from_keyword(keyword)?, None),
        }
    }

    /// Every suite.
    pub fn all() -> impl Iterator<Item = Self> {
        let integ = || INTEG.iter().map(Some).chain([None]);
        ENCR.iter().flat_map(move |encr| integ().filter_map(|integ| Self::new(encr, integ)))
    }

    /// The encryption algorithm.
    pub fn encr(self) -> &'static Encr {
        self.encr
    }

    /// The integrity algorithm, when it is not the same.
    pub fn integ(self) -> Option<&'static Integ> {
        self.integ
    }

    /// Octets of integrity key.
    pub fn integ_key_len(self) -> usize {
        self.integ.map_or(0, |integ| integ.key_len)
    }

    /// Octets of ICV.
    pub fn icv_len(self) -> usize {
        self.integ.map_or(self.encr.icv_len, |integ| integ.icv_len)
    }

    /// Octets of KEYMAT for one direction: encryption key, salt, integrity key (RFC 7296 2.17).
    pub fn keymat_len(self) -> usize {
        self.encr.key_len + self.encr.salt_len + self.integ_key_len()
    }

    /// The transform under these keys.
    pub(crate) fn transform(self, keymat: &[u8], esn: bool) -> Result<Erased<dyn Transform>, KeyError> {
        self.make(keymat, esn).ok_or(KeyError { suite: self, given: keymat.len() })
    }

    fn make(self, keymat: &[u8], esn: bool) -> Option<Erased<dyn Transform>> {
        if keymat.len() != self.keymat_len() {
            return None;
        }
        let (key, rest) = keymat.split_at_checked(self.encr.key_len)?;
        let (salt, integ_key) = rest.split_at_checked(self.encr.salt_len)?;
        let keys = Keys { suite: self, key, salt, integ_key, esn };
        match self.encr.kind {
            Kind::ChaCha20Poly1305 => keys.aead(RingKey::chacha20_poly1305(key)?),
            Kind::Gcm => keys.gcm(),
            Kind::Ccm => keys.ccm(),
            Kind::Gmac => Some(Erased::new(Box::new(NullWithGmac::new(key, salt, esn)?))),
            Kind::Cbc => keys.cbc(),
            Kind::Ctr => keys.ctr(),
            Kind::TripleDes => keys.composed(Cbc::<TdesEde3>::new(key)?),
            Kind::Null => keys.composed(Null),
        }
    }
}

/// Key material cut into its parts.
struct Keys<'a> {
    suite: Suite,
    key: &'a [u8],
    salt: &'a [u8],
    integ_key: &'a [u8],
    esn: bool,
}

impl Keys<'_> {
    fn aead<K: AeadKey + 'static>(&self, key: K) -> Option<Erased<dyn Transform>> {
        Some(Erased::new(Box::new(Aead::new(key, self.salt, self.esn, self.suite.encr.iv_len == 0)?)))
    }

    fn composed<C: Cipher + 'static>(&self, cipher: C) -> Option<Erased<dyn Transform>> {
        let mac = self.suite.integ?.mac(self.integ_key)?;
        Some(Erased::new(Box::new(Composed::new(cipher, mac, self.esn))))
    }

    /// By the fastest implementation there is of it.
    fn gcm(&self) -> Option<Erased<dyn Transform>> {
        let icv_len = self.suite.encr.icv_len;
        let ring = RingKey::aes_gcm(self.key).filter(|key| key.icv_len() == icv_len);
        #[cfg(target_arch = "x86_64")]
        if let Some(transform) = self.x86_gcm(icv_len, ring.is_some()) {
            return Some(transform);
        }
        if let Some(key) = ring {
            return self.aead(key);
        }
        match self.key.len() {
            16 => self.aead(Gcm::<Aes128>::new(self.key, icv_len)?),
            24 => self.aead(Gcm::<Aes192>::new(self.key, icv_len)?),
            _ => self.aead(Gcm::<Aes256>::new(self.key, icv_len)?),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn x86_gcm(&self, icv_len: usize, ring_has_it: bool) -> Option<Erased<dyn Transform>> {
        match self.key.len() {
            16 => self.kernel_of::<Wide<KEYS_128>, Narrow<KEYS_128>>(icv_len, ring_has_it),
            24 => self.kernel_of::<Wide<KEYS_192>, Narrow<KEYS_192>>(icv_len, ring_has_it),
            _ => self.kernel_of::<Wide<KEYS_256>, Narrow<KEYS_256>>(icv_len, ring_has_it),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn kernel_of<W: Kernel + 'static, N: Kernel + 'static>(
        &self,
        icv_len: usize,
        ring_has_it: bool,
    ) -> Option<Erased<dyn Transform>> {
        let leave_to_ring = ring_has_it && ring_is_wider();
        self.kernel::<W>(icv_len).or_else(|| if leave_to_ring { None } else { self.kernel::<N>(icv_len) })
    }

    #[cfg(target_arch = "x86_64")]
    fn kernel<K: Kernel + 'static>(&self, icv_len: usize) -> Option<Erased<dyn Transform>> {
        self.aead(X86Gcm::<K>::new(self.key, icv_len)?)
    }

    fn ccm(&self) -> Option<Erased<dyn Transform>> {
        match (self.key.len(), self.suite.encr.icv_len) {
            (16, 8) => self.aead(CcmKey::<Aes128, U8>::new(self.key)?),
            (16, 12) => self.aead(CcmKey::<Aes128, U12>::new(self.key)?),
            (16, _) => self.aead(CcmKey::<Aes128, U16>::new(self.key)?),
            (24, 8) => self.aead(CcmKey::<Aes192, U8>::new(self.key)?),
            (24, 12) => self.aead(CcmKey::<Aes192, U12>::new(self.key)?),
            (24, _) => self.aead(CcmKey::<Aes192, U16>::new(self.key)?),
            (_, 8) => self.aead(CcmKey::<Aes256, U8>::new(self.key)?),
            (_, 12) => self.aead(CcmKey::<Aes256, U12>::new(self.key)?),
            (..) => self.aead(CcmKey::<Aes256, U16>::new(self.key)?),
        }
    }

    fn cbc(&self) -> Option<Erased<dyn Transform>> {
        match self.key.len() {
            16 => self.composed(Cbc::<Aes128>::new(self.key)?),
            24 => self.composed(Cbc::<Aes192>::new(self.key)?),
            _ => self.composed(Cbc::<Aes256>::new(self.key)?),
        }
    }

    fn ctr(&self) -> Option<Erased<dyn Transform>> {
        match self.key.len() {
            16 => self.composed(Ctr::<Aes128>::new(self.key, self.salt)?),
            24 => self.composed(Ctr::<Aes192>::new(self.key, self.salt)?),
            _ => self.composed(Ctr::<Aes256>::new(self.key, self.salt)?),
        }
    }
}

impl PartialEq for Suite {
    fn eq(&self, other: &Self) -> bool {
        let integ = |suite: &Self| suite.integ.map(|integ| integ.keyword);
        self.encr.keyword == other.encr.keyword && integ(self) == integ(other)
    }
}

impl Eq for Suite {}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encr.keyword)?;
        self.integ.map_or(Ok(()), |integ| write!(f, "-{}", integ.keyword))
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
        let parts = [
            (suite.encr.key_len, "encryption key"),
            (suite.encr.salt_len, "salt"),
            (suite.integ_key_len(), "integrity key"),
        ];
        let parts: Vec<_> =
            parts.iter().filter(|(len, _)| *len > 0).map(|(len, what)| format!("{len} of {what}")).collect();
        write!(f, "{suite} takes {} octets of key material ({}), not {given}", suite.keymat_len(), parts.join(", "))
    }
}

impl std::error::Error for KeyError {}

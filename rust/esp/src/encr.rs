//! The encryption algorithms there are, by their proposal keywords: the one place that says what each is.

/// Whether an algorithm may be negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Without being asked for.
    Default,
    /// When the operator names it.
    Optional,
    /// When the operator names it, and better not (RFC 8221 5, 6).
    Legacy,
}

/// An encryption algorithm of ESP.
#[derive(Debug)]
pub struct Encr {
    /// The proposal keyword.
    pub keyword: &'static str,
    /// Its number in `IKEv2` (transform type 1).
    pub transform_id: u16,
    /// Octets of key.
    pub key_len: usize,
    /// Octets of salt behind the key.
    pub salt_len: usize,
    /// Octets of IV in a packet.
    pub iv_len: usize,
    /// Octets of ICV; 0: it needs an integrity algorithm beside it.
    pub icv_len: usize,
    /// Payload and trailer are a multiple of this many octets.
    pub block: usize,
    /// The RFC that defines its use.
    pub rfc: &'static str,
    /// Strength of the key in bits; 0: it does not encrypt.
    pub strength: u16,
    /// Whether it may be negotiated without being asked for.
    pub standing: Standing,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gcm,
    Ccm,
    ChaCha20Poly1305,
    Gmac,
    Cbc,
    Ctr,
    TripleDes,
    Null,
}

macro_rules! encr {
    ($($keyword:literal $id:literal key $key:literal salt $salt:literal iv $iv:literal icv $icv:literal block $block:literal
       $rfc:literal $strength:literal $standing:ident $kind:ident;)*) => {
        &[$(Encr {
            keyword: $keyword,
            transform_id: $id,
            key_len: $key,
            salt_len: $salt,
            iv_len: $iv,
            icv_len: $icv,
            block: $block,
            rfc: $rfc,
            strength: $strength,
            standing: Standing::$standing,
            kind: Kind::$kind,
        }),*]
    };
}

/// Every encryption algorithm. Lengths are in octets.
pub static ENCR: &[Encr] = encr! {
    "aes128gcm16"         20 key 16 salt 4 iv 8  icv 16 block 4  "RFC 4106" 128 Default  Gcm;
    "aes256gcm16"         20 key 32 salt 4 iv 8  icv 16 block 4  "RFC 4106" 256 Default  Gcm;
    "chacha20poly1305"    28 key 32 salt 4 iv 8  icv 16 block 4  "RFC 7634" 256 Default  ChaCha20Poly1305;
    "aes192gcm16"         20 key 24 salt 4 iv 8  icv 16 block 4  "RFC 4106" 192 Optional Gcm;
    "aes128gcm12"         19 key 16 salt 4 iv 8  icv 12 block 4  "RFC 4106" 128 Optional Gcm;
    "aes192gcm12"         19 key 24 salt 4 iv 8  icv 12 block 4  "RFC 4106" 192 Optional Gcm;
    "aes256gcm12"         19 key 32 salt 4 iv 8  icv 12 block 4  "RFC 4106" 256 Optional Gcm;
    "aes128gcm8"          18 key 16 salt 4 iv 8  icv 8  block 4  "RFC 4106" 128 Legacy   Gcm;
    "aes192gcm8"          18 key 24 salt 4 iv 8  icv 8  block 4  "RFC 4106" 192 Legacy   Gcm;
    "aes256gcm8"          18 key 32 salt 4 iv 8  icv 8  block 4  "RFC 4106" 256 Legacy   Gcm;
    "aes128ccm16"         16 key 16 salt 3 iv 8  icv 16 block 4  "RFC 4309" 128 Optional Ccm;
    "aes192ccm16"         16 key 24 salt 3 iv 8  icv 16 block 4  "RFC 4309" 192 Optional Ccm;
    "aes256ccm16"         16 key 32 salt 3 iv 8  icv 16 block 4  "RFC 4309" 256 Optional Ccm;
    "aes128ccm12"         15 key 16 salt 3 iv 8  icv 12 block 4  "RFC 4309" 128 Optional Ccm;
    "aes192ccm12"         15 key 24 salt 3 iv 8  icv 12 block 4  "RFC 4309" 192 Optional Ccm;
    "aes256ccm12"         15 key 32 salt 3 iv 8  icv 12 block 4  "RFC 4309" 256 Optional Ccm;
    "aes128ccm8"          14 key 16 salt 3 iv 8  icv 8  block 4  "RFC 4309" 128 Optional Ccm;
    "aes192ccm8"          14 key 24 salt 3 iv 8  icv 8  block 4  "RFC 4309" 192 Optional Ccm;
    "aes256ccm8"          14 key 32 salt 3 iv 8  icv 8  block 4  "RFC 4309" 256 Optional Ccm;
    "aes128gcm16iiv"      30 key 16 salt 4 iv 0  icv 16 block 4  "RFC 8750" 128 Optional Gcm;
    "aes192gcm16iiv"      30 key 24 salt 4 iv 0  icv 16 block 4  "RFC 8750" 192 Optional Gcm;
    "aes256gcm16iiv"      30 key 32 salt 4 iv 0  icv 16 block 4  "RFC 8750" 256 Optional Gcm;
    "aes128ccm8iiv"       29 key 16 salt 3 iv 0  icv 8  block 4  "RFC 8750" 128 Optional Ccm;
    "aes192ccm8iiv"       29 key 24 salt 3 iv 0  icv 8  block 4  "RFC 8750" 192 Optional Ccm;
    "aes256ccm8iiv"       29 key 32 salt 3 iv 0  icv 8  block 4  "RFC 8750" 256 Optional Ccm;
    "chacha20poly1305iiv" 31 key 32 salt 4 iv 0  icv 16 block 4  "RFC 8750" 256 Optional ChaCha20Poly1305;
    "aes128gmac"          21 key 16 salt 4 iv 8  icv 16 block 4  "RFC 4543" 0   Optional Gmac;
    "aes192gmac"          21 key 24 salt 4 iv 8  icv 16 block 4  "RFC 4543" 0   Optional Gmac;
    "aes256gmac"          21 key 32 salt 4 iv 8  icv 16 block 4  "RFC 4543" 0   Optional Gmac;
    "aes128"              12 key 16 salt 0 iv 16 icv 0  block 16 "RFC 3602" 128 Default  Cbc;
    "aes192"              12 key 24 salt 0 iv 16 icv 0  block 16 "RFC 3602" 192 Default  Cbc;
    "aes256"              12 key 32 salt 0 iv 16 icv 0  block 16 "RFC 3602" 256 Default  Cbc;
    "aes128ctr"           13 key 16 salt 4 iv 8  icv 0  block 4  "RFC 3686" 128 Optional Ctr;
    "aes192ctr"           13 key 24 salt 4 iv 8  icv 0  block 4  "RFC 3686" 192 Optional Ctr;
    "aes256ctr"           13 key 32 salt 4 iv 8  icv 0  block 4  "RFC 3686" 256 Optional Ctr;
    "3des"                3  key 24 salt 0 iv 8  icv 0  block 8  "RFC 2451" 112 Legacy   TripleDes;
    "null"                11 key 0  salt 0 iv 0  icv 0  block 4  "RFC 2410" 0   Optional Null;
};

impl Encr {
    /// The algorithm of that keyword.
    pub fn from_keyword(keyword: &str) -> Option<&'static Self> {
        ENCR.iter().find(|encr| encr.keyword == keyword)
    }

    /// Whether it authenticates by itself.
    pub const fn is_aead(&self) -> bool {
        self.icv_len > 0
    }
}

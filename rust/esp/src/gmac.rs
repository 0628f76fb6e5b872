//! ESP that authenticates and does not encrypt: `ENCR_NULL_AUTH_AES_GMAC` (RFC 4543 3).

use aes::{Aes128, Aes192, Aes256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::SPI_AND_SEQUENCE;
use crate::aead::IV;
use crate::erased::Erased;
use crate::gcm::{Gcm, Gmac};
use crate::transform::{Job, Transform};

const SALT: usize = 4;
const ICV: usize = 16;

/// AES-GMAC under one key and salt. AH uses it too.
pub(crate) struct GmacKey {
    gmac: Erased<dyn Gmac>,
    salt: [u8; SALT],
}

impl GmacKey {
    /// None when the key is not one of AES or the salt not 4 octets long.
    pub(crate) fn new(key: &[u8], salt: &[u8]) -> Option<Self> {
        let salt = salt.try_into().ok()?;
        let gmac: Box<dyn Gmac> = match key.len() {
            16 => Box::new(Gcm::<Aes128>::new(key, ICV)?),
            24 => Box::new(Gcm::<Aes192>::new(key, ICV)?),
            _ => Box::new(Gcm::<Aes256>::new(key, ICV)?),
        };
        Some(Self { gmac: Erased::new(gmac), salt })
    }

    /// The tag of the concatenation of `parts`.
    pub(crate) fn tag(&self, iv: [u8; IV], parts: &[&[u8]]) -> [u8; ICV] {
        let mut nonce = [0; SALT + IV];
        nonce[..SALT].copy_from_slice(&self.salt);
        nonce[SALT..].copy_from_slice(&iv);
        self.gmac.gmac(nonce, parts)
    }
}

impl Drop for GmacKey {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

pub(crate) struct NullWithGmac {
    key: GmacKey,
    esn: bool,
}

impl NullWithGmac {
    pub(crate) fn new(key: &[u8], salt: &[u8], esn: bool) -> Option<Self> {
        Some(Self { key: GmacKey::new(key, salt)?, esn })
    }

    /// The tag of everything before the ICV (RFC 4543 3.3: SPI, sequence number with its high half, IV, payload, trailer).
    fn tag(&self, job: &Job<'_>) -> [u8; ICV] {
        let covered = &job.packet[..job.packet.len() - ICV];
        let mut iv = [0; IV];
        iv.copy_from_slice(&covered[SPI_AND_SEQUENCE..SPI_AND_SEQUENCE + IV]);
        let (spi, rest) = covered.split_at(4);
        if self.esn {
            let high = ((job.sequence_number >> 32) as u32).to_be_bytes();
            self.key.tag(iv, &[spi, &high, rest])
        } else {
            self.key.tag(iv, &[covered])
        }
    }
}

impl Transform for NullWithGmac {
    fn iv_len(&self) -> usize {
        IV
    }

    fn icv_len(&self) -> usize {
        ICV
    }

    fn alignment(&self) -> usize {
        4
    }

    fn write_iv(&self, job: &mut Job<'_>) {
        let iv = job.sequence_number.to_be_bytes();
        job.packet[SPI_AND_SEQUENCE..SPI_AND_SEQUENCE + IV].copy_from_slice(&iv);
    }

    fn encrypt(&self, job: &mut Job<'_>) {
        let tag = self.tag(job);
        let at = job.packet.len() - ICV;
        job.packet[at..].copy_from_slice(&tag);
    }

    fn open(&self, job: &mut Job<'_>) -> bool {
        self.tag(job).ct_eq(&job.packet[job.packet.len() - ICV..]).into()
    }
}

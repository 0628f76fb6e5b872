//! Integrity without encryption: what ESP in composed suites and AH put into the ICV.

use subtle::ConstantTimeEq;

/// Room for the longest ICV (HMAC-SHA2-512-256).
pub type Icv = [u8; 32];

/// Octets to authenticate: a packet and, with ESN, the half of its sequence number that is not sent (RFC 4303 2.2.1).
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// From the SPI to the last octet before the ICV.
    pub packet: &'a [u8],
    /// The high half of the sequence number.
    pub high: Option<[u8; 4]>,
}

impl Message<'_> {
    /// The octets behind the packet.
    pub(crate) fn suffix(&self) -> &[u8] {
        self.high.as_ref().map_or(&[], |high| high)
    }
}

/// A message authentication code under one key. It owns the key, erases it when dropped, and shows it to nobody.
pub trait Mac: Send + Sync {
    /// Octets of ICV, at most 32.
    fn icv_len(&self) -> usize;

    /// The ICV of the concatenation of `parts`; `icv` is `icv_len` octets long.
    fn mac(&self, parts: &[&[u8]], icv: &mut [u8]);

    /// The ICVs of several messages, which a code whose work is a chain can compute side by side. `icvs` is as long as
    /// `messages`; the first `icv_len` octets of each are written.
    fn mac_batch(&self, messages: &[Message<'_>], icvs: &mut [Icv]) {
        one_by_one(self, messages, icvs);
    }
}

/// The ICVs of several messages, one after the other.
pub(crate) fn one_by_one<M: Mac + ?Sized>(mac: &M, messages: &[Message<'_>], icvs: &mut [Icv]) {
    for (message, icv) in messages.iter().zip(icvs) {
        mac.mac(&[message.packet, message.suffix()], &mut icv[..mac.icv_len()]);
    }
}

/// Whether `icv` is that of `parts`, in constant time.
pub fn verify(mac: &dyn Mac, parts: &[&[u8]], icv: &[u8]) -> bool {
    let mut expected = Icv::default();
    let expected = &mut expected[..mac.icv_len()];
    mac.mac(parts, expected);
    expected.ct_eq(icv).into()
}

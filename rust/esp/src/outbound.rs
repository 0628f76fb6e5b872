//! An outbound SA: sequence numbers that are never taken twice, and packets sealed in place (RFC 4303 3.3).

use std::fmt;
use std::ops::Range;

use crate::erased::Erased;
use crate::prefetch::prefetch;
use crate::sequence::{Sequence, SequenceExhausted};
use crate::suite::{KeyError, Suite};
use crate::transform::{Job, Transform};
use crate::{PADDING, SPI_AND_SEQUENCE, TRAILER};

/// An outbound SA. Shared between threads; only the claim of sequence numbers writes.
pub struct OutboundSa {
    spi: u32,
    suite: Suite,
    transform: Erased<dyn Transform>,
    header_len: usize,
    icv_len: usize,
    pad_to: usize,
    sequence: Sequence,
}

impl OutboundSa {
    /// An SA whose last sent packet had `last_sequence_number` (0: none yet). Fails when `keymat` is not as long as the suite
    /// takes.
    pub fn new(spi: u32, suite: Suite, keymat: &[u8], esn: bool, last_sequence_number: u64) -> Result<Self, KeyError> {
        Ok(Self::with_transform(spi, suite, suite.transform(keymat, esn)?, esn, last_sequence_number))
    }

    pub(crate) fn with_transform(
        spi: u32,
        suite: Suite,
        transform: Erased<dyn Transform>,
        esn: bool,
        last_sequence_number: u64,
    ) -> Self {
        Self {
            spi,
            suite,
            header_len: SPI_AND_SEQUENCE + transform.iv_len(),
            icv_len: transform.icv_len(),
            pad_to: transform.preferred_alignment(),
            transform,
            sequence: Sequence::new(esn, last_sequence_number),
        }
    }

    /// Pads payload and trailer to a multiple of `octets`, rounded down to a power of two between the suite's alignment and 256.
    ///
    /// Without it the suite's preference holds: 16 for AES-GCM, because whole blocks are cheaper to seal than a partial one; 4
    /// for `ChaCha20`, the least RFC 4303 2.4 allows. 4 is right where 12 octets would cost more than time, as on a path whose
    /// MTU has no room for them.
    #[must_use]
    pub fn pad_to(mut self, octets: usize) -> Self {
        self.pad_to = 1 << octets.clamp(self.transform.alignment(), 256).ilog2();
        self
    }

    /// Says that a packet for this SA comes soon.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(&*self.transform);
    }

    /// The SPI, as in the packets.
    pub fn spi(&self) -> u32 {
        self.spi
    }

    /// The suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The last sequence number that was claimed; 0 before the first.
    pub fn sequence_number(&self) -> u64 {
        self.sequence.last_taken()
    }

    /// Takes `count` sequence numbers. Each is given out once, whatever other threads do, and none past the last one: 2^32 - 1,
    /// or 2^64 - 2 with ESN. When fewer than `count` are left, none is taken.
    pub fn claim(&self, count: u32) -> Result<Range<u64>, SequenceExhausted> {
        self.sequence.claim(count)
    }

    /// Takes as many sequence numbers as are left, at most `count`.
    pub fn claim_up_to(&self, count: u64) -> Range<u64> {
        self.sequence.claim_up_to(count)
    }

    /// Octets in front of the payload: SPI, sequence number, IV.
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// Octets from the SPI to the ICV of a packet with `inner_len` octets of payload.
    ///
    /// Payload and trailer are padded as [`pad_to`](Self::pad_to) says: unless told otherwise to whole cipher blocks where the
    /// suite is faster so, at most 12 octets more than RFC 4303 asks for.
    #[inline]
    pub fn packet_len(&self, inner_len: usize) -> usize {
        let mask = self.pad_to - 1;
        self.header_len + ((inner_len + TRAILER + mask) & !mask) + self.icv_len
    }

    /// Seals a packet of exactly `packet_len(inner_len)` octets whose payload is already at `header_len()`.
    ///
    /// `sequence_number` comes from [`claim`](Self::claim) and is used once.
    ///
    /// # Panics
    ///
    /// When `packet` is not that long.
    pub fn seal_in_place(&self, sequence_number: u64, packet: &mut [u8], inner_len: usize, next_header: u8) {
        self.plan(sequence_number, packet, inner_len, next_header);
        self.transform.seal(&mut Job { sequence_number, packet });
    }

    /// Whether packets are sealed faster several at once.
    pub fn is_side_by_side(&self) -> bool {
        self.transform.side_by_side()
    }

    /// Seals a run of packets that were planned with [`plan`](Self::plan), side by side where the suite can.
    pub fn seal_planned(&self, jobs: &mut [Job<'_>]) {
        self.transform.seal_batch(jobs);
    }

    /// Writes everything but IV, ciphertext and ICV: SPI, sequence number, padding and trailer.
    ///
    /// # Panics
    ///
    /// When `packet` is not `packet_len(inner_len)` octets long.
    pub fn plan(&self, sequence_number: u64, packet: &mut [u8], inner_len: usize, next_header: u8) {
        assert_eq!(packet.len(), self.packet_len(inner_len), "a packet's length follows from its payload's");
        packet[..4].copy_from_slice(&self.spi.to_be_bytes());
        packet[4..8].copy_from_slice(&(sequence_number as u32).to_be_bytes());
        let padding = self.header_len + inner_len;
        let end = packet.len() - self.icv_len;
        let pad_len = end - TRAILER - padding;
        packet[padding..padding + pad_len].copy_from_slice(&PADDING[..pad_len]);
        packet[end - 2] = pad_len as u8;
        packet[end - 1] = next_header;
    }
}

impl fmt::Debug for OutboundSa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundSa").field("spi", &self.spi).field("suite", &self.suite).finish_non_exhaustive()
    }
}

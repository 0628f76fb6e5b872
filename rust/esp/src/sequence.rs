//! Sequence numbers of an outbound SA, never taken twice (RFC 4303 3.3.3, RFC 4302 3.3.2).

use std::fmt;
use std::ops::Range;

use crate::sync::{AtomicU64, Relaxed};

/// No sequence number is left: the SA must be replaced (RFC 4303 3.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceExhausted;

impl fmt::Display for SequenceExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no sequence number is left on this SA")
    }
}

impl std::error::Error for SequenceExhausted {}

/// The counter of one SA: up to 2^32 - 1, or 2^64 - 2 with ESN.
pub(crate) struct Sequence {
    last: u64,
    next: AtomicU64,
}

impl Sequence {
    /// Behind `last_sent`; 0: nothing was sent yet.
    pub(crate) fn new(esn: bool, last_sent: u64) -> Self {
        let last = if esn { u64::MAX - 1 } else { u64::from(u32::MAX) };
        Self { last, next: AtomicU64::new(last_sent.saturating_add(1)) }
    }

    /// The last number that was taken.
    pub(crate) fn last_taken(&self) -> u64 {
        self.next.load(Relaxed) - 1
    }

    /// Takes `count` numbers, or none when fewer are left.
    pub(crate) fn claim(&self, count: u32) -> Result<Range<u64>, SequenceExhausted> {
        let mut start = self.next.load(Relaxed);
        loop {
            let end =
                start.checked_add(u64::from(count)).filter(|end| *end - 1 <= self.last).ok_or(SequenceExhausted)?;
            match self.next.compare_exchange_weak(start, end, Relaxed, Relaxed) {
                Ok(_) => return Ok(start..end),
                Err(current) => start = current,
            }
        }
    }

    /// Takes as many numbers as are left, at most `count`.
    pub(crate) fn claim_up_to(&self, count: u64) -> Range<u64> {
        let mut start = self.next.load(Relaxed);
        loop {
            // `last` is below the highest number, so this does not wrap.
            let end = start.saturating_add(count).min(self.last + 1).max(start);
            match self.next.compare_exchange_weak(start, end, Relaxed, Relaxed) {
                Ok(_) => return start..end,
                Err(current) => start = current,
            }
        }
    }
}

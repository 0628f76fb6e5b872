//! What is counted besides totals: how large batches are, and what each SA has dropped.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::counters::Counter;

/// Buckets of a histogram: 1, 2, 3 to 4, 5 to 8 and so on; the last is all that is more than 64.
pub const BUCKETS: usize = 8;

/// Batches whose sizes are counted, in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// A frame read from the TUN.
    TunRead,
    /// A run sent as one message.
    SendRun,
    /// A message received.
    ReceivedMessage,
    /// A frame written to the TUN.
    TunWrite,
}

impl Batch {
    /// Every kind with its name.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::TunRead, "tun_read"),
        (Self::SendRun, "udp_send_run"),
        (Self::ReceivedMessage, "udp_receive_message"),
        (Self::TunWrite, "tun_write"),
    ];
}

/// How many batches of each size there were. One thread writes, anybody reads.
#[derive(Default)]
pub struct Histograms([[AtomicU64; BUCKETS]; Batch::ALL.len()]);

impl Histograms {
    /// Counts a batch of `packets`; none is no batch.
    #[inline]
    pub fn count(&self, batch: Batch, packets: usize) {
        let Some(above) = packets.checked_sub(1) else { return };
        let bucket = (usize::BITS - above.leading_zeros()) as usize;
        let cell = &self.0[batch as usize][bucket.min(BUCKETS - 1)];
        // Nobody else writes, so that no atomic addition is needed.
        cell.store(cell.load(Relaxed) + 1, Relaxed);
    }

    /// The buckets of one kind.
    #[must_use]
    pub fn get(&self, batch: Batch) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| self.0[batch as usize][bucket].load(Relaxed))
    }
}

/// Reasons for which an inbound SA drops.
pub const INBOUND: [Counter; 9] = [
    Counter::DropReplayed,
    Counter::DropIcvMismatch,
    Counter::DropMalformedEsp,
    Counter::DropBadPadding,
    Counter::DropDummy,
    Counter::DropBadInner,
    Counter::DropSelectorMismatch,
    Counter::DropEcnIllegal,
    Counter::DropSaExpired,
];

/// Reasons for which an outbound SA drops.
pub const OUTBOUND: [Counter; 6] = [
    Counter::DropSequenceExhausted,
    Counter::DropSaExpired,
    Counter::DropNotTransportable,
    Counter::DropTooBig,
    Counter::DropSendFailed,
    Counter::DropSendBlocked,
];

/// What one SA of a direction has dropped, by reason. The counts stop at 2^32 - 1 rather than begin again.
pub struct Drops<const IN: bool, const N: usize> {
    counts: [AtomicU32; N],
}

/// What an inbound SA has dropped.
pub type InboundDrops = Drops<true, { INBOUND.len() }>;
/// What an outbound SA has dropped.
pub type OutboundDrops = Drops<false, { OUTBOUND.len() }>;

impl<const IN: bool, const N: usize> Default for Drops<IN, N> {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU32::new(0)) }
    }
}

impl<const IN: bool, const N: usize> Drops<IN, N> {
    fn reasons() -> &'static [Counter] {
        if IN { &INBOUND } else { &OUTBOUND }
    }

    /// Adds `amount`; reasons that are no matter of an SA are ignored.
    #[cold]
    pub fn add(&self, reason: Counter, amount: usize) {
        if let Some(position) = Self::reasons().iter().position(|each| *each == reason) {
            let amount = u32::try_from(amount).unwrap_or(u32::MAX);
            let _ = self.counts[position].fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_add(amount)));
        }
    }

    /// Every reason with its name and count.
    #[must_use]
    pub fn get(&self) -> Vec<(&'static str, u64)> {
        let counts = self.counts.iter().map(|count| u64::from(count.load(Relaxed)));
        Self::reasons().iter().map(|reason| reason.name()).zip(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fall_into_buckets_of_powers_of_two() {
        let histograms = Histograms::default();
        for packets in [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 65_535] {
            histograms.count(Batch::SendRun, packets);
        }
        assert_eq!(histograms.get(Batch::SendRun), [1, 1, 2, 2, 2, 2, 2, 2]);
        assert_eq!(histograms.get(Batch::TunRead), [0; BUCKETS]);
    }

    #[test]
    fn drops_are_counted_by_reason_and_never_begin_again() {
        let drops = OutboundDrops::default();
        drops.add(Counter::DropSaExpired, 3);
        drops.add(Counter::DropReplayed, 5);
        drops.add(Counter::DropSequenceExhausted, usize::MAX);
        drops.add(Counter::DropSequenceExhausted, 1);
        let counted: Vec<_> = drops.get().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("drop_sequence_exhausted", u64::from(u32::MAX)), ("drop_sa_expired", 3)]);
    }
}

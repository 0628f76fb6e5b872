//! Volume of an SA and the limits set on it (RFC 4301 4.4.2.1 lifetime).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::notice::NoticeKind;

/// Limits in packets and inner octets; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Packets after which a rekey is due.
    pub soft_packets: u64,
    /// Packets the SA may carry at most.
    pub hard_packets: u64,
    /// Octets after which a rekey is due.
    pub soft_bytes: u64,
    /// Octets the SA may carry at most.
    pub hard_bytes: u64,
}

/// What an SA has carried.
#[derive(Debug, Default)]
pub struct Volume {
    limits: Limits,
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Volume {
    /// Nothing carried yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Packets and inner octets so far.
    #[must_use]
    pub fn carried(&self) -> (u64, u64) {
        (self.packets.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Whether a hard limit is reached, so that nothing more may be carried.
    #[must_use]
    pub fn exhausted(&self) -> bool {
        let reached = |limit, value| limit != 0 && value >= limit;
        reached(self.limits.hard_packets, self.packets.load(Relaxed))
            || reached(self.limits.hard_bytes, self.bytes.load(Relaxed))
    }

    /// Adds a batch; `notice` hears of each limit this batch crossed.
    #[inline]
    pub fn add(&self, packets: u64, bytes: u64, mut notice: impl FnMut(NoticeKind)) {
        let packets_before = self.packets.fetch_add(packets, Relaxed);
        let bytes_before = self.bytes.fetch_add(bytes, Relaxed);
        let mut check = |limit: u64, before: u64, added: u64, kind| {
            if limit != 0 && before < limit && limit <= before + added {
                notice(kind);
            }
        };
        check(self.limits.soft_packets, packets_before, packets, NoticeKind::SoftPackets);
        check(self.limits.hard_packets, packets_before, packets, NoticeKind::HardPackets);
        check(self.limits.soft_bytes, bytes_before, bytes, NoticeKind::SoftBytes);
        check(self.limits.hard_bytes, bytes_before, bytes, NoticeKind::HardBytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_told_once_when_it_is_crossed() {
        let volume = Volume::new(Limits { soft_packets: 3, hard_packets: 5, soft_bytes: 0, hard_bytes: 0 });
        let mut told = Vec::new();
        for _ in 0..4 {
            volume.add(2, 100, |kind| told.push(kind));
        }
        assert_eq!(told, [NoticeKind::SoftPackets, NoticeKind::HardPackets]);
        assert_eq!(volume.carried(), (8, 400));
    }

    #[test]
    fn a_hard_limit_exhausts_and_zero_never_does() {
        let volume = Volume::new(Limits { hard_bytes: 100, ..Limits::default() });
        volume.add(1, 99, |_| {});
        assert!(!volume.exhausted());
        volume.add(1, 1, |_| {});
        assert!(volume.exhausted());
        assert!(!Volume::new(Limits::default()).exhausted());
    }
}

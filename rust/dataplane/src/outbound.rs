//! The SAD's outbound half: an SA with its way out.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ironswan_esp::{OutboundSa, SequenceExhausted, prefetch};

use crate::ds_field::CopyDs;
use crate::endpoint::Endpoint;
use crate::limits::Volume;
use crate::tally::OutboundDrops;
use crate::too_big::IPV6_MIN_MTU;
use crate::turn::Order;

/// Runs sent one by one before segmentation is tried again on a path that refused it.
const FALLBACK_RUNS: u32 = 4096;
/// Three quarters of the sequence numbers of an SA without ESN.
const SEQUENCE_SOFT: u64 = 3 << 30;

/// An outbound SA.
pub struct OutboundEntry {
    /// SPI the peer chose.
    pub spi: u32,
    /// Keys and sequence numbers.
    pub sa: OutboundSa,
    /// What it has carried.
    pub volume: Volume,
    /// What it has dropped.
    pub drops: OutboundDrops,
    /// Inbound SA of the same pair.
    pub pair: u32,
    /// Whether packets leave without their IP header.
    pub transport: bool,
    /// The bits of an inner DS field that its outer one has.
    pub ds_mask: u8,
    /// Where its packets go; one store moves it.
    pub endpoint: ArcSwap<Endpoint>,
    /// Octets of the longest inner packet that its path carries whole.
    mtu: AtomicU32,
    esn: bool,
    removed: AtomicBool,
    fallback_runs: AtomicU32,
    pub(crate) order: Order,
    users: Mutex<HashSet<u64>>,
}

impl OutboundEntry {
    /// A new SA that nobody sends on yet.
    #[must_use]
    pub fn new(spi: u32, pair: u32, sa: OutboundSa, esn: bool, volume: Volume, endpoint: Endpoint) -> Self {
        Self {
            spi,
            sa,
            volume,
            drops: OutboundDrops::default(),
            pair,
            transport: false,
            ds_mask: CopyDs::default().outbound(),
            endpoint: ArcSwap::from_pointee(endpoint),
            mtu: AtomicU32::new(u32::MAX),
            esn,
            removed: AtomicBool::new(false),
            fallback_runs: AtomicU32::new(0),
            order: Order::default(),
            users: Mutex::default(),
        }
    }

    /// The same SA in transport mode.
    #[must_use]
    pub fn in_transport_mode(mut self, transport: bool) -> Self {
        self.transport = transport;
        self
    }

    /// The same SA with as much of the DS field. In transport mode the outer header is the packet's own.
    #[must_use]
    pub fn copying(mut self, copy: CopyDs) -> Self {
        self.ds_mask = if self.transport { u8::MAX } else { copy.outbound() };
        self
    }

    /// Takes `count` sequence numbers; true when with them three quarters of all are used.
    pub fn claim(&self, count: u32) -> Result<(Range<u64>, bool), SequenceExhausted> {
        let range = self.sa.claim(count)?;
        let soft = !self.esn && range.start < SEQUENCE_SOFT && SEQUENCE_SOFT <= range.end;
        Ok((range, soft))
    }

    /// Octets of the longest inner packet of a family that the path carries whole.
    #[inline]
    pub fn mtu(&self, v6: bool) -> usize {
        let mtu = self.mtu.load(Relaxed) as usize;
        if v6 { mtu.max(IPV6_MIN_MTU) } else { mtu }
    }

    /// The path carries packets of `path` octets from now on, or of any length; which inner packets that leaves room for.
    pub fn set_path_mtu(&self, path: Option<usize>) -> usize {
        let endpoint = self.endpoint.load();
        let header = if endpoint.remote.is_ipv6() { 40 } else { 20 };
        let front = if endpoint.header().is_some() { header } else { header + 8 };
        // In transport mode the header goes outside.
        let outside = if self.transport { header } else { 0 };
        let fits = |room: usize| (0..room).rev().find(|inner| self.sa.packet_len(*inner) <= room).unwrap_or(0);
        let inner = path.map_or(u32::MAX as usize, |path| fits(path.saturating_sub(front)) + outside);
        self.mtu.store(inner as u32, Relaxed);
        inner
    }

    /// Says that a packet is to be sealed soon.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self);
        self.sa.prefetch();
    }

    /// The ids of the policies that are bound to it.
    pub fn users(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is sent on it any more.
    pub fn remove(&self) {
        self.removed.store(true, Relaxed);
    }

    /// Whether it was removed.
    #[inline]
    pub fn is_removed(&self) -> bool {
        self.removed.load(Relaxed)
    }

    /// Whether runs may go out as one segmented send now.
    pub fn may_segment(&self) -> bool {
        let left = self.fallback_runs.load(Relaxed);
        if left != 0 {
            self.fallback_runs.store(left - 1, Relaxed);
        }
        left == 0
    }

    /// Whether the kernel has lately refused to segment on this path.
    pub fn is_refused_segmentation(&self) -> bool {
        self.fallback_runs.load(Relaxed) != 0
    }

    /// The kernel refused to segment on this path: send one by one for a while.
    pub fn segmentation_refused(&self) {
        self.fallback_runs.store(FALLBACK_RUNS, Relaxed);
    }

    /// A new path: segmentation may work there.
    pub fn set_endpoint(&self, endpoint: Endpoint) {
        self.endpoint.store(Arc::new(endpoint));
        self.fallback_runs.store(0, Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::limits::Limits;
    use ironswan_esp::Suite;

    /// An SA with a fixed key for the tests of the modules around.
    pub fn sample(last_sequence_number: u64, limits: Limits) -> OutboundEntry {
        let suite = Suite::from_keyword("aes128gcm16").unwrap();
        let sa = OutboundSa::new(0x0010_0001, suite, &[7; 20], false, last_sequence_number).unwrap();
        let endpoint = Endpoint::new("192.0.2.1:4500".parse().unwrap(), "192.0.2.2:4500".parse().unwrap());
        OutboundEntry::new(0x0010_0001, 0, sa, false, Volume::new(limits), endpoint)
    }

    #[test]
    fn sequence_numbers_are_told_before_they_end() {
        let entry = sample(SEQUENCE_SOFT - 3, Limits::default());
        assert!(!entry.claim(1).unwrap().1);
        assert!(entry.claim(4).unwrap().1);
        assert!(!entry.claim(1).unwrap().1);
        let spent = sample(u64::from(u32::MAX) - 1, Limits::default());
        assert!(spent.claim(2).is_err());
        assert!(spent.claim(1).is_ok());
    }

    #[test]
    fn a_refused_path_is_tried_again_later_or_when_it_changes() {
        let entry = sample(0, Limits::default());
        assert!(entry.may_segment());
        entry.segmentation_refused();
        assert!((0..FALLBACK_RUNS).all(|_| !entry.may_segment()));
        assert!(entry.may_segment());
        entry.segmentation_refused();
        let endpoint = Endpoint::clone(&entry.endpoint.load());
        entry.set_endpoint(endpoint);
        assert!(entry.may_segment());
    }
}

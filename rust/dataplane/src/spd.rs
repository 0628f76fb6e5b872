//! The outbound SPD (RFC 4301 4.4.1): ordered policies, of which readers see one version at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::flow::Flow;
use crate::index::Index;
use crate::policy::{Given, Policy, Room};
use crate::selector::Selectors;

/// One version of the SPD.
#[derive(Clone, Default)]
pub struct Snapshot {
    version: u64,
    index: Index,
}

impl Snapshot {
    /// The first policy that covers `flow`.
    #[must_use]
    #[inline]
    pub fn find(&self, flow: &Flow) -> Option<&Arc<Policy>> {
        self.index.find(flow)
    }

    /// Visits at least the policies that may match a packet that also `selectors` match; some more than once.
    pub fn overlapping(&self, selectors: &Selectors, visit: impl FnMut(&Policy)) {
        self.index.overlapping(selectors, visit);
    }
}

/// The SPD: one writer at a time, many readers.
#[derive(Default)]
pub struct Spd {
    current: ArcSwap<Snapshot>,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    policies: HashMap<u64, Arc<Policy>>,
    added: u64,
    room: Arc<Room>,
}

impl Spd {
    /// Without policies; what they will hold takes its place in `room`.
    #[must_use]
    pub fn new(room: Arc<Room>) -> Self {
        Self { current: ArcSwap::default(), written: Mutex::new(Written { room, ..Written::default() }) }
    }

    /// The present version.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Adds a policy behind those of the same priority, of which lower ones are asked first; None when the id is taken.
    pub fn add(&self, id: u64, selectors: Selectors, priority: i64) -> Option<Arc<Policy>> {
        let mut written = self.written();
        if written.policies.contains_key(&id) {
            return None;
        }
        written.added += 1;
        let policy = Policy::new(id, (priority, written.added), selectors, Arc::clone(&written.room));
        let policy = Arc::new(policy);
        self.publish(|index| index.insert(&policy));
        written.policies.insert(id, Arc::clone(&policy));
        Some(policy)
    }

    /// Removes a policy; gives what it held, for which there is none now.
    pub fn remove(&self, id: u64) -> Given {
        let mut written = self.written();
        let Some(policy) = written.policies.remove(&id) else { return Given::default() };
        self.publish(|index| index.remove(&policy));
        policy.retire(Instant::now())
    }

    /// The policy with this id.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<Policy>> {
        self.written().policies.get(&id).cloned()
    }

    fn publish(&self, change: impl FnOnce(&mut Index)) {
        let mut snapshot = Snapshot::clone(&self.current.load());
        snapshot.version += 1;
        change(&mut snapshot.index);
        self.current.store(Arc::new(snapshot));
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flows a cache can remember at first, and at most: 64 KiB and 4 MiB.
const FLOWS: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 16;

/// What the policy of a flow was, in one version of the SPD. On a cache line of its own: with many flows, a hit costs one.
#[repr(align(64))]
struct Remembered {
    flow: Flow,
    policy: Arc<Policy>,
    version: u64,
}

/// Of so many flows that would displace another one does: where there are more flows than room, some at least stay.
const YIELDS: usize = 8;

/// A worker's memory of which policy a flow had. It grows while flows are in each other's way.
pub struct FlowCache {
    flows: Box<[Option<Remembered>]>,
    conflicts: usize,
}

impl Default for FlowCache {
    fn default() -> Self {
        Self::with_room(*FLOWS.start())
    }
}

impl FlowCache {
    fn with_room(flows: usize) -> Self {
        Self { flows: (0..flows).map(|_| None).collect(), conflicts: 0 }
    }

    /// As `Snapshot::find`, remembered.
    #[inline]
    pub fn find<'a>(&'a mut self, snapshot: &'a Snapshot, flow: &Flow) -> Option<&'a Arc<Policy>> {
        let at = flow.hash() as usize & (self.flows.len() - 1);
        let live = self.flows[at].as_ref().is_some_and(|known| known.version == snapshot.version);
        if live && self.flows[at].as_ref().is_some_and(|known| known.flow == *flow) {
            return self.flows[at].as_ref().map(|known| &known.policy);
        }
        self.remember(snapshot, flow, live)
    }

    #[inline(never)]
    fn remember<'a>(&'a mut self, snapshot: &'a Snapshot, flow: &Flow, occupied: bool) -> Option<&'a Arc<Policy>> {
        let policy = snapshot.find(flow)?;
        if occupied {
            self.conflicts += 1;
            if self.conflicts > self.flows.len() && self.flows.len() < *FLOWS.end() {
                *self = Self::with_room(self.flows.len() * 4);
            } else if !self.conflicts.is_multiple_of(YIELDS) {
                return Some(policy);
            }
        }
        let at = flow.hash() as usize & (self.flows.len() - 1);
        self.flows[at] = Some(Remembered { flow: *flow, policy: Arc::clone(policy), version: snapshot.version });
        Some(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Ports;
    use crate::selector::Selector;

    fn range(start: &str, end: &str) -> Vec<Selector> {
        Selector::new(0, start.parse().unwrap(), end.parse().unwrap(), 0, 65535).into_iter().collect()
    }

    fn add(spd: &Spd, id: u64, [start, end]: [&str; 2], priority: i64) -> bool {
        spd.add(id, Selectors::new(range("0.0.0.0", "255.255.255.255"), range(start, end)), priority).is_some()
    }

    fn flow(destination: u128) -> Flow {
        Flow { source: 1, destination, v6: false, protocol: 6, ports: Ports::Known(1, 2) }
    }

    #[test]
    fn the_lower_priority_number_is_asked_first_and_ties_keep_their_order() {
        let spd = Spd::default();
        assert!(add(&spd, 1, ["10.0.0.0", "10.255.255.255"], 10));
        assert!(add(&spd, 2, ["10.1.0.0", "10.1.255.255"], 5));
        assert!(add(&spd, 3, ["10.0.0.0", "10.255.255.255"], 10));
        assert!(!add(&spd, 3, ["10.0.0.0", "10.0.0.0"], 1));
        let id = |destination| spd.snapshot().find(&flow(destination)).map(|policy| policy.id);
        assert_eq!((id(0x0a01_0001), id(0x0a02_0001), id(0x0b00_0001)), (Some(2), Some(1), None));
        spd.remove(1);
        assert_eq!(spd.snapshot().find(&flow(0x0a02_0001)).map(|policy| policy.id), Some(3));
    }

    #[test]
    fn the_flow_cache_forgets_when_the_spd_changes() {
        let (spd, mut cache) = (Spd::default(), FlowCache::default());
        add(&spd, 1, ["10.0.0.0", "10.255.255.255"], 10);
        assert_eq!(cache.find(&spd.snapshot(), &flow(0x0a01_0001)).map(|p| p.id), Some(1));
        add(&spd, 2, ["10.1.0.0", "10.1.255.255"], 5);
        assert_eq!(cache.find(&spd.snapshot(), &flow(0x0a01_0001)).map(|p| p.id), Some(2));
        spd.remove(2);
        spd.remove(1);
        assert!(cache.find(&spd.snapshot(), &flow(0x0a01_0001)).is_none());
    }
    #[test]
    fn the_flow_cache_grows_with_the_flows_within_its_bounds() {
        let (spd, mut cache) = (Spd::default(), FlowCache::default());
        add(&spd, 1, ["10.0.0.0", "10.255.255.255"], 10);
        add(&spd, 2, ["10.0.0.0", "10.0.0.255"], 5);
        let mut look = |flows: u128| {
            for number in 0..flows {
                let policy = cache.find(&spd.snapshot(), &flow(0x0a00_0000 + number)).map(|policy| policy.id);
                assert_eq!(policy, Some(if number < 256 { 2 } else { 1 }));
            }
            cache.flows.len()
        };
        (0..9).for_each(|_| _ = look(100));
        assert_eq!(look(100), *FLOWS.start());
        (0..9).for_each(|_| _ = look(100_000));
        assert_eq!(look(100_000), *FLOWS.end());
    }
}

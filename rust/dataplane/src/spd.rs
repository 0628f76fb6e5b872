//! The outbound SPD (RFC 4301 4.4.1): ordered policies in a snapshot, the SA of each in a cell of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::flow::Flow;
use crate::outbound::OutboundEntry;
use crate::selector::Selectors;

/// Frames held for one policy; a frame may be a super-packet.
const HELD_FRAMES: usize = 16;
/// Octets held for one policy.
const HELD_OCTETS: usize = 256 << 10;
/// A held frame older than this is of no use to its sender.
const HELD_FOR: Duration = Duration::from_secs(10);
/// Acquires of one policy are at least this far apart.
const ACQUIRE_INTERVAL: Duration = Duration::from_secs(1);

/// What must be protected, and by which SA now.
pub struct Policy {
    /// The control plane's name for it.
    pub id: u64,
    /// Which packets.
    pub selectors: Selectors,
    /// Lower is asked first.
    pub priority: i64,
    /// The SA that carries it; a rekey switches by one store.
    bound: ArcSwapOption<OutboundEntry>,
    hold: Mutex<Hold>,
}

#[derive(Default)]
struct Hold {
    frames: VecDeque<(Instant, Vec<u8>)>,
    octets: usize,
    last_acquire: Option<Instant>,
}

/// What became of a frame without SA.
#[derive(Debug, PartialEq, Eq)]
pub enum Held {
    /// Kept; `acquire` when the control plane is to be asked for an SA.
    Kept {
        /// Whether an Acquire is due.
        acquire: bool,
    },
    /// No room; `acquire` as above.
    Full {
        /// Whether an Acquire is due.
        acquire: bool,
    },
    /// An SA was bound meanwhile: send it after all.
    Bound,
}

impl Policy {
    /// A policy without SA.
    #[must_use]
    pub fn new(id: u64, selectors: Selectors, priority: i64) -> Self {
        Self { id, selectors, priority, bound: ArcSwapOption::empty(), hold: Mutex::default() }
    }

    /// The SA bound now, unless it was removed.
    #[inline]
    pub fn bound(&self) -> Option<Arc<OutboundEntry>> {
        self.bound.load_full().filter(|entry| !entry.is_removed())
    }

    /// Binds or unbinds; the frames held so far, and how many were too old, come back for sending.
    pub fn bind(&self, entry: Option<Arc<OutboundEntry>>, now: Instant) -> (Vec<Vec<u8>>, usize) {
        let unbound = entry.is_none();
        self.bound.store(entry);
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if unbound {
            return (Vec::new(), 0);
        }
        hold.octets = 0;
        hold.last_acquire = None;
        let all = std::mem::take(&mut hold.frames);
        let total = all.len();
        let fresh: Vec<_> = all
            .into_iter()
            .filter(|(since, _)| now.duration_since(*since) < HELD_FOR)
            .map(|(_, frame)| frame)
            .collect();
        let expired = total - fresh.len();
        (fresh, expired)
    }

    /// Unbinds `entry` if it is the one bound.
    pub fn unbind(&self, entry: &Arc<OutboundEntry>) {
        if self.bound.load().as_ref().is_some_and(|bound| Arc::ptr_eq(bound, entry)) {
            self.bound.store(None);
        }
    }

    /// Gives away the held frames that `moved` says belong to another policy now.
    pub fn yield_held(&self, moved: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let (given, kept): (Vec<_>, Vec<_>) = hold.frames.drain(..).partition(|(_, frame)| moved(frame));
        hold.octets = kept.iter().map(|(_, frame)| frame.len()).sum();
        hold.frames = kept.into();
        given.into_iter().map(|(_, frame)| frame).collect()
    }

    /// Forgets SA and held frames: a worker's flow cache may remember the policy longer than the SPD.
    pub fn retire(&self) {
        self.bound.store(None);
        *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Hold::default();
    }

    /// Keeps `frame` until an SA is bound, within bounds. The lock makes sure that `bind` sees it or we see the SA.
    pub fn hold(&self, frame: &[u8], now: Instant) -> Held {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bound().is_some() {
            return Held::Bound;
        }
        let acquire = hold.last_acquire.is_none_or(|last| now.duration_since(last) >= ACQUIRE_INTERVAL);
        if acquire {
            hold.last_acquire = Some(now);
        }
        while hold.frames.front().is_some_and(|(since, _)| now.duration_since(*since) >= HELD_FOR) {
            hold.octets -= hold.frames.pop_front().map_or(0, |(_, frame)| frame.len());
        }
        if hold.frames.len() >= HELD_FRAMES || hold.octets + frame.len() > HELD_OCTETS {
            return Held::Full { acquire };
        }
        hold.octets += frame.len();
        hold.frames.push_back((now, frame.to_vec()));
        Held::Kept { acquire }
    }
}

/// One version of the SPD.
#[derive(Default)]
pub struct Snapshot {
    version: u64,
    policies: Vec<Arc<Policy>>,
}

impl Snapshot {
    /// The first policy that covers `flow`.
    #[must_use]
    pub fn find(&self, flow: &Flow) -> Option<&Arc<Policy>> {
        self.policies.iter().find(|policy| policy.selectors.match_outbound(flow))
    }

    /// All policies in order.
    #[must_use]
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }
}

/// The SPD: one writer, many readers.
#[derive(Default)]
pub struct Spd(ArcSwap<Snapshot>);

impl Spd {
    /// The present version.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Adds a policy behind those of the same priority; false when the id is taken.
    pub fn add(&self, policy: Policy) -> bool {
        let mut policies = self.0.load().policies.clone();
        if policies.iter().any(|present| present.id == policy.id) {
            return false;
        }
        let at = policies.partition_point(|present| present.priority <= policy.priority);
        policies.insert(at, Arc::new(policy));
        self.publish(policies);
        true
    }

    /// Removes a policy; what it held is dropped.
    pub fn remove(&self, id: u64) -> Option<Arc<Policy>> {
        let mut policies = self.0.load().policies.clone();
        let at = policies.iter().position(|policy| policy.id == id)?;
        let removed = policies.remove(at);
        self.publish(policies);
        Some(removed)
    }

    /// The policy with this id.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<Policy>> {
        self.0.load().policies.iter().find(|policy| policy.id == id).cloned()
    }

    fn publish(&self, policies: Vec<Arc<Policy>>) {
        let version = self.0.load().version + 1;
        self.0.store(Arc::new(Snapshot { version, policies }));
    }
}

const CACHE_ENTRIES: usize = 1024;

/// What the policy of a flow was.
type Remembered = Option<(Flow, Arc<Policy>)>;

/// A worker's memory of which policy a flow had, valid for one version of the SPD.
pub struct FlowCache {
    version: u64,
    entries: Box<[Remembered]>,
}

impl Default for FlowCache {
    fn default() -> Self {
        Self { version: 0, entries: vec![None; CACHE_ENTRIES].into_boxed_slice() }
    }
}

impl FlowCache {
    /// As `Snapshot::find`, remembered.
    #[inline]
    pub fn find(&mut self, snapshot: &Snapshot, flow: &Flow) -> Option<&Arc<Policy>> {
        if self.version != snapshot.version {
            self.entries.fill(None);
            self.version = snapshot.version;
        }
        let entry = &mut self.entries[flow.hash() as usize % CACHE_ENTRIES];
        if entry.as_ref().is_none_or(|(known, _)| known != flow) {
            *entry = Some((*flow, Arc::clone(snapshot.find(flow)?)));
        }
        entry.as_ref().map(|(_, policy)| policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Ports;
    use crate::limits::Limits;
    use crate::outbound::tests::sample;
    use crate::selector::Selector;

    fn policy(id: u64, remote: [&str; 2], priority: i64) -> Policy {
        let range = |start: &str, end: &str| {
            Selector::new(0, start.parse().unwrap(), end.parse().unwrap(), 0, 65535).into_iter().collect()
        };
        let selectors = Selectors { local: range("0.0.0.0", "255.255.255.255"), remote: range(remote[0], remote[1]) };
        Policy::new(id, selectors, priority)
    }

    fn flow(destination: u128) -> Flow {
        Flow { source: 1, destination, v6: false, protocol: 6, ports: Ports::Known(1, 2) }
    }

    #[test]
    fn the_lower_priority_number_is_asked_first_and_ties_keep_their_order() {
        let spd = Spd::default();
        assert!(spd.add(policy(1, ["10.0.0.0", "10.255.255.255"], 10)));
        assert!(spd.add(policy(2, ["10.1.0.0", "10.1.255.255"], 5)));
        assert!(spd.add(policy(3, ["10.0.0.0", "10.255.255.255"], 10)));
        assert!(!spd.add(policy(3, ["10.0.0.0", "10.0.0.0"], 1)));
        let id = |destination| spd.snapshot().find(&flow(destination)).map(|policy| policy.id);
        assert_eq!((id(0x0a01_0001), id(0x0a02_0001), id(0x0b00_0001)), (Some(2), Some(1), None));
        spd.remove(1);
        assert_eq!(spd.snapshot().find(&flow(0x0a02_0001)).map(|policy| policy.id), Some(3));
    }

    #[test]
    fn the_flow_cache_forgets_when_the_spd_changes() {
        let (spd, mut cache) = (Spd::default(), FlowCache::default());
        spd.add(policy(1, ["10.0.0.0", "10.255.255.255"], 10));
        assert_eq!(cache.find(&spd.snapshot(), &flow(0x0a01_0001)).map(|p| p.id), Some(1));
        spd.add(policy(2, ["10.1.0.0", "10.1.255.255"], 5));
        assert_eq!(cache.find(&spd.snapshot(), &flow(0x0a01_0001)).map(|p| p.id), Some(2));
        spd.remove(2);
        spd.remove(1);
        assert!(cache.find(&spd.snapshot(), &flow(0x0a01_0001)).is_none());
    }

    #[test]
    fn held_frames_come_back_with_the_sa_and_one_acquire_is_raised() {
        let (policy, now) = (policy(1, ["10.0.0.0", "10.0.0.9"], 0), Instant::now());
        assert_eq!(policy.hold(b"first", now), Held::Kept { acquire: true });
        assert_eq!(policy.hold(b"second", now), Held::Kept { acquire: false });
        let entry = Arc::new(sample(0, Limits::default()));
        let (frames, expired) = policy.bind(Some(Arc::clone(&entry)), now);
        assert_eq!((frames, expired), (vec![b"first".to_vec(), b"second".to_vec()], 0));
        assert_eq!(policy.hold(b"third", now), Held::Bound);
        policy.unbind(&entry);
        assert_eq!(policy.hold(b"fourth", now), Held::Kept { acquire: true });
    }

    #[test]
    fn frames_held_by_a_trap_are_given_to_the_policy_that_covers_them_now() {
        let trap = policy(1, ["10.0.0.0", "10.255.255.255"], 9);
        let now = Instant::now();
        for frame in [b"stays", b"moves", b"stays"] {
            trap.hold(frame, now);
        }
        assert_eq!(trap.yield_held(|frame| frame == b"moves"), [b"moves"]);
        assert_eq!(trap.yield_held(|_| true), [b"stays", b"stays"]);
        assert!(trap.yield_held(|_| true).is_empty());
    }

    #[test]
    fn the_hold_queue_is_bounded_and_forgets_old_frames() {
        let (policy, now) = (policy(1, ["10.0.0.0", "10.0.0.9"], 0), Instant::now());
        let kept = (0..HELD_FRAMES + 5).filter(|_| matches!(policy.hold(b"x", now), Held::Kept { .. })).count();
        assert_eq!(kept, HELD_FRAMES);
        let later = now + HELD_FOR;
        assert_eq!(policy.hold(b"new", later), Held::Kept { acquire: true });
        let (frames, expired) = policy.bind(Some(Arc::new(sample(0, Limits::default()))), later);
        assert_eq!((frames, expired), (vec![b"new".to_vec()], 0));
    }

    #[test]
    fn a_removed_sa_is_not_bound_any_more() {
        let policy = policy(1, ["10.0.0.0", "10.0.0.9"], 0);
        let entry = Arc::new(sample(0, Limits::default()));
        policy.bind(Some(Arc::clone(&entry)), Instant::now());
        assert!(policy.bound().is_some());
        entry.remove();
        assert!(policy.bound().is_none());
    }
}

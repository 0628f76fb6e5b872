//! A policy of the SPD: what it covers, the SA that carries it now, and the frames that wait for one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::outbound::OutboundEntry;
use crate::own::Own;
use crate::selector::Selectors;

/// Frames held for one policy; a frame may be a super-packet.
const HELD_FRAMES: usize = 16;
/// Octets held for one policy.
const HELD_OCTETS: usize = 256 << 10;
/// Octets held for all policies together.
const HELD_TOTAL: usize = 64 << 20;
/// A held frame older than this is of no use to its sender.
const HELD_FOR: Duration = Duration::from_secs(10);
/// Acquires of one policy are at least this far apart.
const ACQUIRE_INTERVAL: Duration = Duration::from_secs(1);

/// A policy's place in the SPD: its priority, of which the lower is asked first, and the order in which equals were added.
pub type Rank = (i64, u64);

/// What must be protected, and by which SA now.
// In the order in which a packet asks, on as few cache lines as can be.
#[repr(C)]
pub struct Policy {
    /// The control plane's name for it.
    pub id: u64,
    /// The SA that carries it; a rekey switches by one store.
    bound: ArcSwapOption<OutboundEntry>,
    /// What workers have of their own; most policies have nothing.
    own: OnceLock<Own>,
    /// When it is asked.
    pub rank: Rank,
    /// Which packets.
    pub selectors: Selectors,
    hold: Mutex<Hold>,
    room: Arc<Room>,
}

/// The octets that may be held, shared by the policies of one SPD.
pub struct Room(AtomicUsize);

impl Default for Room {
    fn default() -> Self {
        Self(AtomicUsize::new(HELD_TOTAL))
    }
}

impl Room {
    fn take(&self, octets: usize) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(octets)).is_ok()
    }

    fn give(&self, octets: usize) {
        self.0.fetch_add(octets, Relaxed);
    }
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
    /// A policy without SA, which holds frames in `room`.
    #[must_use]
    pub fn new(id: u64, rank: Rank, selectors: Selectors, room: Arc<Room>) -> Self {
        let (bound, own) = (ArcSwapOption::empty(), OnceLock::new());
        Self { id, bound, own, rank, selectors, hold: Mutex::default(), room }
    }

    /// The SA bound now, unless it was removed.
    #[inline]
    pub fn bound(&self) -> Option<Arc<OutboundEntry>> {
        self.bound.load_full().filter(|entry| !entry.is_removed())
    }

    /// The SA on which `worker` sends: its own, else the one for all. `ask` is called when it is to ask for its own.
    #[inline]
    pub fn carrier(&self, worker: usize, ask: impl FnOnce()) -> Option<Arc<OutboundEntry>> {
        match self.own.get() {
            None => self.bound(),
            Some(own) => own.carrier(worker).or_else(|| {
                let bound = self.bound()?;
                if own.accept(worker) {
                    ask();
                }
                Some(bound)
            }),
        }
    }

    /// Gives one of `workers` an SA of its own, or takes it away. False when there is no such worker.
    pub fn bind_own(&self, worker: usize, workers: usize, entry: Option<Arc<OutboundEntry>>) -> bool {
        if worker >= workers {
            return false;
        }
        let own = self.own.get_or_init(|| Own::new(workers));
        self.switch(own.place(worker), entry);
        true
    }

    /// Lets one of `workers` ask for an SA of its own, once, when it has packets. False when there is no such worker.
    pub fn invite(&self, worker: usize, workers: usize) -> bool {
        worker < workers && self.own.get_or_init(|| Own::new(workers)).invite(worker)
    }

    /// Binds or unbinds; the frames held so far, and how many were too old, come back for sending.
    pub fn bind(&self, entry: Option<Arc<OutboundEntry>>, now: Instant) -> (Vec<Vec<u8>>, usize) {
        let unbound = entry.is_none();
        self.switch(&self.bound, entry);
        let mut hold = self.locked();
        if unbound {
            return (Vec::new(), 0);
        }
        hold.last_acquire = None;
        let all = std::mem::take(&mut hold.frames);
        self.shrink(&mut hold, 0);
        let total = all.len();
        let fresh: Vec<_> = all
            .into_iter()
            .filter(|(since, _)| now.duration_since(*since) < HELD_FOR)
            .map(|(_, frame)| frame)
            .collect();
        let expired = total - fresh.len();
        (fresh, expired)
    }

    /// Unbinds `entry` wherever it is bound.
    pub fn unbind(&self, entry: &Arc<OutboundEntry>) {
        for place in self.places() {
            if place.load().as_ref().is_some_and(|bound| Arc::ptr_eq(bound, entry)) {
                self.switch(place, None);
            }
        }
    }

    fn places(&self) -> impl Iterator<Item = &ArcSwapOption<OutboundEntry>> {
        std::iter::once(&self.bound).chain(self.own.get().into_iter().flat_map(Own::places))
    }

    /// Gives away the held frames that `moved` says belong to another policy now.
    pub fn yield_held(&self, moved: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let mut hold = self.locked();
        if hold.frames.is_empty() {
            return Vec::new();
        }
        let (given, kept): (Vec<_>, Vec<_>) = hold.frames.drain(..).partition(|(_, frame)| moved(frame));
        hold.frames = kept.into();
        let octets = hold.frames.iter().map(|(_, frame)| frame.len()).sum();
        self.shrink(&mut hold, octets);
        given.into_iter().map(|(_, frame)| frame).collect()
    }

    /// Forgets SA and held frames: a worker's flow cache may remember the policy longer than the SPD.
    pub fn retire(&self) {
        self.places().for_each(|place| self.switch(place, None));
        let mut hold = self.locked();
        self.shrink(&mut hold, 0);
        *hold = Hold::default();
    }

    /// Keeps `frame` until an SA is bound, within bounds. The lock makes sure that `bind` sees it or we see the SA.
    pub fn hold(&self, worker: usize, frame: &[u8], now: Instant) -> Held {
        let mut hold = self.locked();
        if self.carrier(worker, || ()).is_some() {
            return Held::Bound;
        }
        let acquire = hold.last_acquire.is_none_or(|last| now.duration_since(last) >= ACQUIRE_INTERVAL);
        if acquire {
            hold.last_acquire = Some(now);
        }
        while hold.frames.front().is_some_and(|(since, _)| now.duration_since(*since) >= HELD_FOR) {
            let octets = hold.octets - hold.frames.pop_front().map_or(0, |(_, frame)| frame.len());
            self.shrink(&mut hold, octets);
        }
        let fits = hold.frames.len() < HELD_FRAMES && hold.octets + frame.len() <= HELD_OCTETS;
        if !fits || !self.room.take(frame.len()) {
            return Held::Full { acquire };
        }
        hold.octets += frame.len();
        hold.frames.push_back((now, frame.to_vec()));
        Held::Kept { acquire }
    }

    /// Each SA knows which policies use it, so that none has to be looked for when the SA goes.
    fn switch(&self, place: &ArcSwapOption<OutboundEntry>, entry: Option<Arc<OutboundEntry>>) {
        if let Some(entry) = &entry {
            entry.users().insert(self.id);
        }
        let Some(before) = place.swap(entry) else { return };
        if !self.places().any(|place| place.load().as_ref().is_some_and(|bound| Arc::ptr_eq(bound, &before))) {
            before.users().remove(&self.id);
        }
    }

    fn shrink(&self, hold: &mut Hold, octets: usize) {
        self.room.give(hold.octets - octets);
        hold.octets = octets;
    }

    fn locked(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let hold = self.hold.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.room.give(hold.octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::outbound::tests::sample;

    fn no_selectors() -> Selectors {
        Selectors::new(Vec::new(), Vec::new())
    }

    fn policy() -> Policy {
        Policy::new(1, (0, 0), no_selectors(), Arc::default())
    }

    fn held(room: &Room) -> usize {
        HELD_TOTAL - room.0.load(Relaxed)
    }

    #[test]
    fn held_frames_come_back_with_the_sa_and_one_acquire_is_raised() {
        let (policy, now) = (policy(), Instant::now());
        assert_eq!(policy.hold(0, b"first", now), Held::Kept { acquire: true });
        assert_eq!(policy.hold(0, b"second", now), Held::Kept { acquire: false });
        let entry = Arc::new(sample(0, Limits::default()));
        let (frames, expired) = policy.bind(Some(Arc::clone(&entry)), now);
        assert_eq!((frames, expired), (vec![b"first".to_vec(), b"second".to_vec()], 0));
        assert_eq!(policy.hold(0, b"third", now), Held::Bound);
        policy.unbind(&entry);
        assert_eq!(policy.hold(0, b"fourth", now), Held::Kept { acquire: true });
    }

    #[test]
    fn frames_held_by_a_trap_are_given_to_the_policy_that_covers_them_now() {
        let (trap, now) = (policy(), Instant::now());
        for frame in [b"stays", b"moves", b"stays"] {
            trap.hold(0, frame, now);
        }
        assert_eq!(trap.yield_held(|frame| frame == b"moves"), [b"moves"]);
        assert_eq!(trap.yield_held(|_| true), [b"stays", b"stays"]);
        assert!(trap.yield_held(|_| true).is_empty());
    }

    #[test]
    fn the_hold_queue_is_bounded_and_forgets_old_frames() {
        let (policy, now) = (policy(), Instant::now());
        let kept = (0..HELD_FRAMES + 5).filter(|_| matches!(policy.hold(0, b"x", now), Held::Kept { .. })).count();
        assert_eq!(kept, HELD_FRAMES);
        let later = now + HELD_FOR;
        assert_eq!(policy.hold(0, b"new", later), Held::Kept { acquire: true });
        let (frames, expired) = policy.bind(Some(Arc::new(sample(0, Limits::default()))), later);
        assert_eq!((frames, expired), (vec![b"new".to_vec()], 0));
    }

    #[test]
    fn all_policies_together_hold_no_more_than_one_bound() {
        let (room, now, frame) = (Arc::new(Room::default()), Instant::now(), vec![0; HELD_OCTETS]);
        let mut policies: Vec<_> =
            (0..=HELD_TOTAL / HELD_OCTETS).map(|_| Policy::new(1, (0, 0), no_selectors(), Arc::clone(&room))).collect();
        let kept = |policies: &[Policy]| {
            policies.iter().filter(|policy| matches!(policy.hold(0, &frame, now), Held::Kept { .. })).count()
        };
        assert_eq!(kept(&policies), HELD_TOTAL / HELD_OCTETS);
        policies[0].bind(Some(Arc::new(sample(0, Limits::default()))), now);
        policies[1].yield_held(|_| true);
        policies[2].retire();
        policies.remove(3);
        assert_eq!(held(&room), HELD_TOTAL - 4 * HELD_OCTETS);
        drop(policies);
        assert_eq!(held(&room), 0);
    }

    #[test]
    fn a_removed_sa_is_not_bound_any_more() {
        let policy = policy();
        let entry = Arc::new(sample(0, Limits::default()));
        policy.bind(Some(Arc::clone(&entry)), Instant::now());
        assert!(policy.bound().is_some());
        entry.remove();
        assert!(policy.bound().is_none());
    }

    #[test]
    fn an_sa_knows_the_policies_that_use_it() {
        let policy = policy();
        let [old, new] = [(); 2].map(|()| Arc::new(sample(0, Limits::default())));
        for entry in [&old, &old, &new] {
            policy.bind(Some(Arc::clone(entry)), Instant::now());
        }
        assert!(old.users().is_empty());
        assert!(new.users().contains(&1));
        policy.retire();
        assert!(new.users().is_empty());
    }
}

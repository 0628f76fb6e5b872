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

/// The octets that may be held, shared by all policies.
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
pub enum Held {
    /// No SA is there.
    Waiting {
        /// Whether the frame was kept; else there was no room.
        kept: bool,
        /// Whether the control plane is to be asked for an SA now.
        acquire: bool,
        /// Frames held before that made way because they were too old.
        expired: usize,
    },
    /// An SA was bound meanwhile: send it after all.
    Bound(Arc<OutboundEntry>),
}

/// Held frames that a policy gives away.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Those of use to their senders.
    pub fresh: Vec<Vec<u8>>,
    /// How many were too old.
    pub expired: usize,
}

impl Given {
    fn new(frames: impl IntoIterator<Item = (Instant, Vec<u8>)>, now: Instant) -> Self {
        let mut given = Self::default();
        for (since, frame) in frames {
            if is_old(since, now) {
                given.expired += 1;
            } else {
                given.fresh.push(frame);
            }
        }
        given
    }

    /// Takes those of another policy too.
    pub fn add(&mut self, other: Self) {
        self.fresh.extend(other.fresh);
        self.expired += other.expired;
    }
}

fn is_old(since: Instant, now: Instant) -> bool {
    now.duration_since(since) >= HELD_FOR
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

    /// Binds or unbinds; the frames held so far come back for sending.
    pub fn bind(&self, entry: Option<Arc<OutboundEntry>>, now: Instant) -> Given {
        let unbound = entry.is_none();
        self.switch(&self.bound, entry);
        let mut hold = self.locked();
        if unbound {
            return Given::default();
        }
        hold.last_acquire = None;
        let all = std::mem::take(&mut hold.frames);
        self.shrink(&mut hold, 0);
        Given::new(all, now)
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
    pub fn yield_held(&self, moved: impl Fn(&[u8]) -> bool, now: Instant) -> Given {
        let mut hold = self.locked();
        if hold.frames.is_empty() {
            return Given::default();
        }
        let (given, kept): (Vec<_>, Vec<_>) = hold.frames.drain(..).partition(|(_, frame)| moved(frame));
        hold.frames = kept.into();
        let octets = hold.frames.iter().map(|(_, frame)| frame.len()).sum();
        self.shrink(&mut hold, octets);
        Given::new(given, now)
    }

    /// Forgets the SA, and gives up the held frames: a worker's flow cache may remember the policy longer than the SPD.
    pub fn retire(&self, now: Instant) -> Given {
        self.places().for_each(|place| self.switch(place, None));
        let mut hold = self.locked();
        self.shrink(&mut hold, 0);
        Given::new(std::mem::take(&mut *hold).frames, now)
    }

    /// Keeps `frame` until an SA is bound, within bounds. The lock makes sure that `bind` sees it or we see the SA.
    pub fn hold(&self, worker: usize, frame: &[u8], now: Instant) -> Held {
        let mut hold = self.locked();
        if let Some(entry) = self.carrier(worker, || ()) {
            return Held::Bound(entry);
        }
        let acquire = hold.last_acquire.is_none_or(|last| now.duration_since(last) >= ACQUIRE_INTERVAL);
        if acquire {
            hold.last_acquire = Some(now);
        }
        let mut expired = 0;
        while hold.frames.front().is_some_and(|(since, _)| is_old(*since, now)) {
            let octets = hold.octets - hold.frames.pop_front().map_or(0, |(_, frame)| frame.len());
            self.shrink(&mut hold, octets);
            expired += 1;
        }
        let fits = hold.frames.len() < HELD_FRAMES && hold.octets + frame.len() <= HELD_OCTETS;
        let kept = fits && self.room.take(frame.len());
        if kept {
            hold.octets += frame.len();
            hold.frames.push_back((now, frame.to_vec()));
        }
        Held::Waiting { kept, acquire, expired }
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

    /// Whether it was kept, whether an Acquire is due, and how many made way; None when there is an SA.
    fn hold(policy: &Policy, frame: &[u8], now: Instant) -> Option<(bool, bool, usize)> {
        match policy.hold(0, frame, now) {
            Held::Waiting { kept, acquire, expired } => Some((kept, acquire, expired)),
            Held::Bound(_) => None,
        }
    }

    fn given(fresh: &[&[u8]], expired: usize) -> Given {
        Given { fresh: fresh.iter().map(|frame| frame.to_vec()).collect(), expired }
    }

    fn held(room: &Room) -> usize {
        HELD_TOTAL - room.0.load(Relaxed)
    }

    #[test]
    fn held_frames_come_back_with_the_sa_and_one_acquire_is_raised() {
        let (policy, now) = (policy(), Instant::now());
        assert_eq!(hold(&policy, b"first", now), Some((true, true, 0)));
        assert_eq!(hold(&policy, b"second", now), Some((true, false, 0)));
        let entry = Arc::new(sample(0, Limits::default()));
        assert_eq!(policy.bind(Some(Arc::clone(&entry)), now), given(&[b"first", b"second"], 0));
        assert!(matches!(policy.hold(0, b"third", now), Held::Bound(bound) if Arc::ptr_eq(&bound, &entry)));
        policy.unbind(&entry);
        assert_eq!(hold(&policy, b"fourth", now), Some((true, true, 0)));
    }

    #[test]
    fn frames_held_by_a_trap_are_given_to_the_policy_that_covers_them_now() {
        let (trap, now) = (policy(), Instant::now());
        for frame in [b"stays", b"moves", b"stays"] {
            trap.hold(0, frame, now);
        }
        assert_eq!(trap.yield_held(|frame| frame == b"moves", now), given(&[b"moves"], 0));
        assert_eq!(trap.yield_held(|_| true, now), given(&[b"stays", b"stays"], 0));
        assert_eq!(trap.yield_held(|_| true, now), Given::default());
    }

    #[test]
    fn a_frame_that_was_held_too_long_is_not_sent_and_is_counted_wherever_it_goes() {
        let begin = Instant::now();
        let later = begin + HELD_FOR;
        let filled = || {
            let policy = policy();
            policy.hold(0, b"old", begin);
            policy.hold(0, b"new", begin + Duration::from_secs(1));
            policy
        };
        let bound = filled().bind(Some(Arc::new(sample(0, Limits::default()))), later);
        for all in [bound, filled().yield_held(|_| true, later), filled().retire(later)] {
            assert_eq!(all, given(&[b"new"], 1));
        }
        assert_eq!(hold(&filled(), b"newest", later), Some((true, true, 1)));
    }

    #[test]
    fn the_hold_queue_is_bounded_and_forgets_old_frames() {
        let (policy, now) = (policy(), Instant::now());
        let kept = (0..HELD_FRAMES + 5).filter(|_| hold(&policy, b"x", now).is_some_and(|(kept, ..)| kept)).count();
        assert_eq!(kept, HELD_FRAMES);
        let later = now + HELD_FOR;
        assert_eq!(hold(&policy, b"new", later), Some((true, true, HELD_FRAMES)));
        assert_eq!(policy.bind(Some(Arc::new(sample(0, Limits::default()))), later), given(&[b"new"], 0));
    }

    #[test]
    fn all_policies_together_hold_no_more_than_one_bound() {
        let (room, now, frame) = (Arc::new(Room::default()), Instant::now(), vec![0; HELD_OCTETS]);
        let mut policies: Vec<_> =
            (0..=HELD_TOTAL / HELD_OCTETS).map(|_| Policy::new(1, (0, 0), no_selectors(), Arc::clone(&room))).collect();
        let kept = |policies: &[Policy]| {
            policies.iter().filter(|policy| hold(policy, &frame, now).is_some_and(|(kept, ..)| kept)).count()
        };
        assert_eq!(kept(&policies), HELD_TOTAL / HELD_OCTETS);
        policies[0].bind(Some(Arc::new(sample(0, Limits::default()))), now);
        policies[1].yield_held(|_| true, now);
        policies[2].retire(Instant::now());
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
        policy.retire(Instant::now());
        assert!(new.users().is_empty());
    }
}

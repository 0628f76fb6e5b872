//! SAs that single workers have of their own for one policy (RFC 9611), beside the one for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwapOption;

use crate::outbound::OutboundEntry;

/// A place for each worker.
pub struct Own(Box<[Place]>);

#[derive(Default)]
struct Place {
    entry: ArcSwapOption<OutboundEntry>,
    invited: AtomicBool,
}

impl Own {
    /// Nobody has any, and nobody is to ask.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Place::default()).collect())
    }

    /// The worker's SA, unless it was removed.
    #[inline]
    pub fn carrier(&self, worker: usize) -> Option<Arc<OutboundEntry>> {
        self.0.get(worker)?.entry.load_full().filter(|entry| !entry.is_removed())
    }

    /// Where the worker's SA stands; the worker must be one of them.
    pub fn place(&self, worker: usize) -> &ArcSwapOption<OutboundEntry> {
        &self.0[worker].entry
    }

    /// All such places.
    pub fn places(&self) -> impl Iterator<Item = &ArcSwapOption<OutboundEntry>> {
        self.0.iter().map(|place| &place.entry)
    }

    /// The worker is to ask for an SA. False when there is no such worker.
    pub fn invite(&self, worker: usize) -> bool {
        self.0.get(worker).is_some_and(|place| {
            place.invited.store(true, Relaxed);
            true
        })
    }

    /// Whether the worker is to ask now: true once for each invitation.
    #[inline]
    pub fn accept(&self, worker: usize) -> bool {
        self.0.get(worker).is_some_and(|place| place.invited.load(Relaxed) && place.invited.swap(false, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::*;
    use crate::limits::Limits;
    use crate::outbound::tests::sample;
    use crate::policy::{Held, Policy};
    use crate::selector::Selectors;

    fn policy() -> Policy {
        Policy::new(1, (0, 0), Selectors::new(Vec::new(), Vec::new()), Arc::default())
    }

    fn entries<const N: usize>() -> [Arc<OutboundEntry>; N] {
        [(); N].map(|()| Arc::new(sample(0, Limits::default())))
    }

    fn carries(policy: &Policy, worker: usize, entry: &Arc<OutboundEntry>) -> bool {
        policy.carrier(worker, || ()).is_some_and(|carrier| Arc::ptr_eq(&carrier, entry))
    }

    #[test]
    fn a_worker_uses_its_own_sa_and_the_one_for_all_while_it_has_none() {
        let (policy, [all, own]) = (policy(), entries());
        policy.bind(Some(Arc::clone(&all)), Instant::now());
        assert!(policy.bind_own(1, 2, Some(Arc::clone(&own))));
        assert!(!policy.bind_own(2, 2, Some(Arc::clone(&own))));
        assert!(carries(&policy, 0, &all) && carries(&policy, 1, &own));
        own.remove();
        assert!(carries(&policy, 1, &all));
    }

    #[test]
    fn a_worker_asks_once_for_each_invitation_and_only_while_another_sa_carries_its_packets() {
        let (policy, [all, own], asked) = (policy(), entries(), Cell::new(0));
        let send = |worker| _ = policy.carrier(worker, || asked.set(asked.get() + 1));
        assert!(policy.invite(0, 2) && policy.invite(1, 2) && !policy.invite(2, 2));
        send(0);
        assert_eq!(asked.get(), 0);
        policy.bind(Some(all), Instant::now());
        policy.bind_own(1, 2, Some(own));
        (0..3).for_each(|_| send(0));
        send(1);
        assert_eq!(asked.get(), 1);
        policy.invite(0, 2);
        send(0);
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn frames_are_held_only_for_a_worker_that_has_no_sa_at_all() {
        let (policy, [own], now) = (policy(), entries(), Instant::now());
        policy.bind_own(1, 2, Some(own));
        assert!(matches!(policy.hold(0, b"waits", now), Held::Waiting { kept: true, acquire: true, .. }));
        assert!(matches!(policy.hold(1, b"goes", now), Held::Bound(_)));
    }

    #[test]
    fn an_sa_is_unbound_wherever_it_is_bound_and_knows_its_policy_until_then() {
        let (policy, [entry, other]) = (policy(), entries());
        policy.bind(Some(Arc::clone(&entry)), Instant::now());
        policy.bind_own(0, 2, Some(Arc::clone(&entry)));
        policy.bind_own(1, 2, Some(Arc::clone(&other)));
        policy.bind_own(0, 2, None);
        assert!(entry.users().contains(&1));
        policy.bind_own(0, 2, Some(Arc::clone(&entry)));
        policy.unbind(&entry);
        assert!(entry.users().is_empty());
        assert!(policy.carrier(0, || ()).is_none() && carries(&policy, 1, &other));
        policy.retire(Instant::now());
        assert!(other.users().is_empty() && policy.carrier(1, || ()).is_none());
    }
}

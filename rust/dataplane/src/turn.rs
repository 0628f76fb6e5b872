//! The order in which workers send on one SA.

use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::outbound::OutboundEntry;

/// Who waits for a turn looks so often whether the data plane was stopped: only then may whoever has it never give it back.
const LOOK: Duration = Duration::from_millis(20);

/// Who sends next on an SA: tickets are served in the order in which they were drawn, so that no worker waits for ever.
#[derive(Default)]
pub struct Order {
    tickets: Mutex<Tickets>,
    served: Condvar,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    serving: u64,
}

impl Order {
    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to take sequence numbers of an SA and to send them, held from claim to send, so that workers cannot
/// reorder the packets of one SA (a peer's window may be as small as 32).
pub struct SendTurn(Arc<OutboundEntry>);

impl SendTurn {
    /// The right, if nobody has it or waits for it.
    pub fn try_take(entry: &Arc<OutboundEntry>) -> Option<Self> {
        let mut tickets = entry.order.tickets();
        if tickets.next != tickets.serving {
            return None;
        }
        tickets.next += 1;
        Some(Self(Arc::clone(entry)))
    }

    /// Waits for the right; None when the data plane is `stopped` meanwhile, after which the SA sends no more. The caller must
    /// hold no other turn, or two workers could wait for each other.
    pub fn take(entry: &Arc<OutboundEntry>, stopped: &AtomicBool) -> Option<Self> {
        let mut tickets = entry.order.tickets();
        let ours = tickets.next;
        tickets.next += 1;
        while tickets.serving != ours {
            if stopped.load(Acquire) {
                return None;
            }
            tickets = entry.order.served.wait_timeout(tickets, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(Self(Arc::clone(entry)))
    }

    /// The SA.
    pub fn entry(&self) -> &Arc<OutboundEntry> {
        &self.0
    }
}

impl Drop for SendTurn {
    fn drop(&mut self) {
        let mut tickets = self.0.order.tickets();
        tickets.serving += 1;
        let waited_for = tickets.next != tickets.serving;
        drop(tickets);
        if waited_for {
            self.0.order.served.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::outbound::tests::sample;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    static RUNNING: AtomicBool = AtomicBool::new(false);

    #[test]
    fn a_turn_excludes_others_until_it_ends() {
        let entry = Arc::new(sample(0, Limits::default()));
        let turn = SendTurn::try_take(&entry).unwrap();
        assert!(SendTurn::try_take(&entry).is_none());
        drop(turn);
        assert_eq!(SendTurn::take(&entry, &RUNNING).unwrap().entry().spi, 0x0010_0001);
    }

    #[test]
    fn who_waits_is_served_before_who_just_had_a_turn() {
        let entry = Arc::new(sample(0, Limits::default()));
        let turn = SendTurn::take(&entry, &RUNNING).unwrap();
        let waiting = std::thread::spawn({
            let entry = Arc::clone(&entry);
            move || drop(SendTurn::take(&entry, &RUNNING))
        });
        while entry.order.tickets().next != 2 {
            std::thread::yield_now();
        }
        drop(turn);
        // Whether the other thread has run meanwhile or not: its turn was before any we can take now.
        let again = SendTurn::take(&entry, &RUNNING).unwrap();
        assert_eq!(entry.order.tickets().serving, 2);
        drop(again);
        waiting.join().unwrap();
    }

    #[test]
    fn who_waits_for_a_turn_that_never_ends_is_let_go_when_the_data_plane_stops() {
        let (entry, stopped) = (Arc::new(sample(0, Limits::default())), AtomicBool::new(false));
        let _never_given_back = SendTurn::try_take(&entry).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| SendTurn::take(&entry, &stopped).is_none());
            while entry.order.tickets().next != 2 {
                std::thread::yield_now();
            }
            stopped.store(true, Relaxed);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn sequence_numbers_taken_in_turns_are_used_in_order_by_every_number_of_workers() {
        for workers in [2, 4] {
            let entry = Arc::new(sample(0, Limits::default()));
            let used = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| {
                        for round in 0..2_000 {
                            let turn = SendTurn::try_take(&entry).or_else(|| SendTurn::take(&entry, &RUNNING));
                            let (range, _) = entry.claim(1 + round % 7).unwrap();
                            assert_eq!(used.swap(range.end - 1, Relaxed) + 1, range.start);
                            drop(turn);
                        }
                    });
                }
            });
        }
    }
}

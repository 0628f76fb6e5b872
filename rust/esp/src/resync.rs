//! When to look for a sender that is 2^32 or more packets ahead (RFC 4303 A3): a count, and bounded work.
//!
//! The trigger counts consecutive authentication failures. Each time it is reached one packet, and only one, is tried under the
//! next few values of the high half; then counting starts again. Forged packets therefore cost at most
//! [`SUBSPACES`] openings more in every [`FAILURES`].

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Consecutive failures before a packet is selected (A3.1).
const FAILURES: u32 = 128;
/// Later values of the high half that are tried (A3.2).
pub(crate) const SUBSPACES: u64 = 4;
/// The longest packet that is selected: opening destroys what it opens, so the packet is copied, on the stack.
pub(crate) const LONGEST: usize = 9_216;

/// The trigger of one SA.
#[derive(Default)]
pub(crate) struct Trigger {
    failures: AtomicU32,
}

impl Trigger {
    /// Whether the next packet should be selected. Cheap; [`take`](Self::take) decides.
    #[inline]
    pub(crate) fn due(&self) -> bool {
        self.failures.load(Relaxed) >= FAILURES
    }

    /// True for one caller each time the trigger is reached, and counts from zero again.
    pub(crate) fn take(&self) -> bool {
        self.failures.fetch_update(Relaxed, Relaxed, |failures| (failures >= FAILURES).then_some(0)).is_ok()
    }

    /// Counts one opening.
    #[inline]
    pub(crate) fn count(&self, authentic: bool) {
        if !authentic {
            let _ = self.failures.fetch_update(Relaxed, Relaxed, |failures| failures.checked_add(1));
        } else if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_is_selected_for_each_run_of_failures() {
        let trigger = Trigger::default();
        (0..FAILURES).for_each(|_| trigger.count(false));
        assert!(trigger.due());
        assert!(trigger.take());
        assert!(!trigger.take());
        assert!(!trigger.due());
    }

    #[test]
    fn an_authentic_packet_starts_the_count_again() {
        let trigger = Trigger::default();
        (1..FAILURES).for_each(|_| trigger.count(false));
        trigger.count(true);
        trigger.count(false);
        assert!(!trigger.due());
    }
}

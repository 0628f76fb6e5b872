//! How much may leave under a key.

use std::sync::{Mutex, PoisonError};

use super::outcome::{Outcome, Status};

/// How many packets and octets may leave under a key. Octets of packets are counted as in [`Counters`](super::Counters), those of
/// dummies too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
}

/// What has left.
pub(crate) struct Used {
    limits: Option<Limits>,
    used: Mutex<Limits>,
}

impl Used {
    pub(crate) fn new(limits: Option<Limits>) -> Self {
        Self { limits, used: Mutex::new(Limits { packets: 0, octets: 0 }) }
    }

    /// Refuses of what was planned what does not fit.
    pub(crate) fn keep_within(&self, outcome: &mut Outcome) {
        let Some(limits) = self.limits else { return };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = outcome.statuses.iter_mut().zip(&outcome.plans);
        for (status, plan) in planned.filter(|(status, _)| **status == Status::Ok) {
            let (packets, octets) = (used.packets + 1, used.octets.saturating_add(plan.len as u64));
            if packets > limits.packets || octets > limits.octets {
                *status = Status::LimitReached;
            } else {
                *used = Limits { packets, octets };
            }
        }
    }
}

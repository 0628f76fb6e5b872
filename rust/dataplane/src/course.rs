//! Where a receiving thread is to run, by what it has done.

use std::time::{Duration, Instant};

use crate::trial::{Done, Trial};

/// For how long is looked at what arrives where before a thread is moved.
pub const WINDOW: Duration = Duration::from_millis(10);
/// For how long a thread that has been moved stays at least. Twice as long each time it is moved soon after: what arrives
/// now here and now there is not to be followed.
const STAY: Duration = Duration::from_millis(20);
/// The longest of these times.
const LONGEST_STAY: Duration = Duration::from_millis(1_280);
/// How many of these times after it a thread is moved soon.
const SOON: u32 = 4;
/// For how long what a trial has shown is taken to hold.
const VERDICT: Duration = Duration::from_secs(2);

/// Where a thread may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Where the kernel likes.
    Anywhere,
    /// On the processor on which the kernel handles what arrives.
    On(usize),
    /// Off it, where it is too little for both.
    Beside(usize),
}

/// What leads a receiving thread to where it stands.
#[derive(Debug)]
pub struct Course {
    stand: Stand,
    seen: Option<usize>,
    /// It is not moved to another processor before.
    stays_until: Instant,
    stay: Duration,
    /// A trial's result holds so long.
    verdict_until: Instant,
    trial: Trial,
}

impl Course {
    /// Anywhere.
    pub fn new(now: Instant) -> Self {
        Self {
            stand: Stand::Anywhere,
            seen: None,
            stays_until: now,
            stay: Duration::ZERO,
            verdict_until: now,
            trial: Trial::default(),
        }
    }

    /// Where the thread is to run.
    pub fn stand(&self) -> Stand {
        self.stand
    }

    /// There is no load.
    pub fn rest(&mut self) {
        self.seen = None;
        self.go(Stand::Anywhere);
    }

    /// The thread has done this in a window that has ended now. `arrival` is where the kernel handles what arrives, if the
    /// thread is to run there.
    pub fn judge(&mut self, arrival: Option<usize>, done: Done, now: Instant) {
        let Some(arrival) = arrival else { return self.rest() };
        let is_steady = self.seen.replace(arrival) == Some(arrival);
        match self.stand {
            Stand::On(processor) if processor == arrival => self.judge_on(processor, done, now),
            Stand::Beside(processor) if processor == arrival => self.judge_beside(processor, done, now),
            _ if is_steady && now >= self.stays_until => {
                let again = now < self.stays_until + SOON * self.stay;
                self.stay = if again { (2 * self.stay).min(LONGEST_STAY) } else { STAY };
                self.stays_until = now + self.stay;
                self.go(Stand::On(arrival));
            }
            _ => {}
        }
    }

    fn judge_on(&mut self, processor: usize, done: Done, now: Instant) {
        if now >= self.verdict_until && self.trial.is_due(done) {
            self.stand = Stand::Beside(processor);
        }
    }

    fn judge_beside(&mut self, processor: usize, done: Done, now: Instant) {
        if self.trial.is_running() {
            let Some(is_worth) = self.trial.verdict(done) else { return };
            self.verdict_until = now + VERDICT;
            if !is_worth {
                self.stand = Stand::On(processor);
            }
        } else if now >= self.verdict_until {
            self.stand = Stand::On(processor);
        }
    }

    fn go(&mut self, stand: Stand) {
        (self.stand, self.trial) = (stand, Trial::default());
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;

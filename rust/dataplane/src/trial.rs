//! Whether a thread carries more beside a processor that is too little for it.
//!
//! The processor is too little where the thread never sleeps, and where others have it for half of the time while the thread
//! has something to do: programs, or the other thread of a gateway, with another processor idle perhaps. Then it is tried
//! beside it, and its rate there is compared with what it was.

use std::ops::AddAssign;
use std::time::Duration;

/// Windows by which a place is judged.
const WINDOWS: u32 = 4;

/// What a receiving thread has done in a window under load, or in several on end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub octets: usize,
    pub elapsed: Duration,
    /// It had nothing to do for a moment.
    pub has_slept: bool,
    /// For how long it had something to do and others had the processor.
    pub waited: Duration,
}

impl Done {
    fn shows_shortage(&self) -> bool {
        !self.has_slept || 2 * self.waited >= self.elapsed
    }

    /// Octets a second.
    fn rate(&self) -> u128 {
        self.octets as u128 * 1_000_000_000 / self.elapsed.as_nanos().max(1)
    }
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.octets += other.octets;
        self.elapsed += other.elapsed;
        self.has_slept |= other.has_slept;
        self.waited += other.waited;
    }
}

/// A trial, and what leads to it.
#[derive(Debug, Default)]
pub struct Trial {
    stage: Stage,
    windows: u32,
    done: Done,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The thread is on the processor: its rate when that was too little for it, if it was so just now.
    On(Option<u128>),
    /// It is beside it, in the window in which it was moved: the rate before.
    Moved(u128),
    /// It is beside it, and counts.
    Beside(u128),
}

impl Default for Stage {
    fn default() -> Self {
        Self::On(None)
    }
}

impl Trial {
    /// The thread is beside the processor, and it is not known whether that is worth it.
    pub fn is_running(&self) -> bool {
        !matches!(self.stage, Stage::On(_))
    }

    /// It has done this on the processor. Whether it is to be tried beside it: the trial has begun then.
    pub fn is_due(&mut self, done: Done) -> bool {
        let Stage::On(last) = self.stage else { return false };
        if let Some(done) = self.counted(done) {
            let rate = Some(done.rate()).filter(|_| done.shows_shortage());
            self.stage = match (last, rate) {
                // What grows anyway would make every other place look better.
                (Some(last), Some(rate)) if !is_more(rate, last) => Stage::Moved(rate),
                _ => Stage::On(rate),
            };
        }
        self.is_running()
    }

    /// It has done this beside the processor. Whether that is worth it, once it is known: the trial is over then.
    pub fn verdict(&mut self, done: Done) -> Option<bool> {
        match self.stage {
            Stage::On(_) => None,
            Stage::Moved(before) => {
                self.stage = Stage::Beside(before);
                None
            }
            Stage::Beside(before) => {
                let done = self.counted(done)?;
                *self = Self::default();
                Some(is_more(done.rate(), before))
            }
        }
    }

    /// All that was done since the last time, once it is enough.
    fn counted(&mut self, done: Done) -> Option<Done> {
        self.done += done;
        self.windows += 1;
        if self.windows < WINDOWS {
            return None;
        }
        self.windows = 0;
        Some(std::mem::take(&mut self.done))
    }
}

/// By a sixteenth.
fn is_more(rate: u128, before: u128) -> bool {
    rate * 16 >= before * 17
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(10);

    fn done(octets: usize) -> Done {
        Done { octets, elapsed: WINDOW, has_slept: true, waited: WINDOW / 2 }
    }

    /// In how many windows of these a trial begins.
    fn due_after(windows: impl IntoIterator<Item = Done>) -> Option<usize> {
        let mut trial = Trial::default();
        windows.into_iter().position(|done| trial.is_due(done)).map(|before| before + 1)
    }

    fn verdict(before: usize, beside: Done) -> Option<bool> {
        let mut trial = Trial::default();
        assert!((0..8).any(|_| trial.is_due(done(before))));
        // The window in which it was moved does not count.
        assert_eq!(trial.verdict(done(0)), None);
        let verdicts: Vec<_> = (0..4).filter_map(|_| trial.verdict(beside)).collect();
        assert!(!trial.is_running() && trial.verdict(beside).is_none());
        verdicts.first().copied()
    }

    #[test]
    fn a_trial_begins_when_others_have_the_processor_for_half_of_the_time_or_the_thread_never_sleeps() {
        let less = Done { waited: WINDOW * 49 / 100, ..done(1_000) };
        let awake = Done { waited: Duration::ZERO, has_slept: false, ..done(1_000) };
        for (window, due) in [(done(1_000), Some(8)), (less, None), (awake, Some(8))] {
            assert_eq!(due_after([window; 100]), due, "{window:?}");
        }
        let once = Done { has_slept: true, ..awake };
        assert_eq!(due_after([awake, awake, once, awake].repeat(25)), None);
        assert_eq!(due_after([awake; 4].into_iter().chain([once; 4]).cycle().take(100)), None);
    }

    #[test]
    fn what_grows_is_not_tried_before_it_stays() {
        let growing = (0..100).map(|window| done(1_000 + window / 4 * 1_000));
        assert_eq!(due_after(growing.clone().take(68)), None);
        // By less than a sixteenth from one four to the next.
        assert_eq!(due_after(growing), Some(72));
        let less = [done(1_000); 4].into_iter().chain([done(900); 4]);
        assert_eq!(due_after(less), Some(8));
    }

    #[test]
    fn a_place_is_worth_it_by_a_sixteenth_more_a_second() {
        let longer = Done { elapsed: 2 * WINDOW, ..done(33_999) };
        let cases = [(done(17_000), true), (done(16_999), false), (done(90_000), true), (longer, false)];
        for (beside, is_worth) in cases {
            assert_eq!(verdict(16_000, beside), Some(is_worth), "{beside:?}");
        }
    }
}

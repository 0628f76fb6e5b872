//! On which processor a worker's threads run while there is load.
//!
//! The receiving thread runs where the kernel handles what arrives: it finds the packets in that processor's caches, and no
//! other processor has to be interrupted to wake it, which in a virtual machine takes longer than all that is done with a
//! packet. The sending thread leaves that processor to it. Where one processor is too little for both the kernel and the
//! thread, it runs beside it if that carries more (see [`trial`](crate::trial)). A crowd of small packets is work for all
//! processors there are: then each thread runs where the kernel likes.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::course::{Course, Stand, WINDOW};
use crate::processors::{Processors, Waits, of_arrival};
use crate::round::Round;
use crate::sys;
use crate::trial::Done;

/// For how long the sending thread leaves a processor to one that receives nothing.
const STALE: Duration = Duration::from_millis(100);

/// The processor to which a worker's receiving thread keeps, or off which, for the other threads to see.
#[derive(Debug)]
pub struct Place {
    is_wanted: bool,
    processor: AtomicUsize,
    /// Changes with every window in which the thread has received something.
    windows: AtomicU32,
}

impl Place {
    const NOWHERE: usize = usize::MAX;

    /// None for now, and for good unless it is wanted.
    pub const fn new(is_wanted: bool) -> Self {
        Self { is_wanted, processor: AtomicUsize::new(Self::NOWHERE), windows: AtomicU32::new(0) }
    }

    /// Whether it is to keep to one under load.
    pub const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// The processor, if there is one.
    pub fn get(&self) -> Option<usize> {
        Some(self.processor.load(Relaxed)).filter(|&processor| processor != Self::NOWHERE)
    }

    /// What the calling thread has to choose from.
    fn choice(&self) -> Option<Processors> {
        Processors::of_this_thread().ok().filter(|all| self.is_wanted && all.count() > 1)
    }

    fn set(&self, processor: Option<usize>) {
        self.processor.store(processor.unwrap_or(Self::NOWHERE), Relaxed);
    }
}

/// Moves the calling thread, which receives.
pub struct Receiving<'a> {
    /// None where it stays where it is put.
    all: Option<Processors>,
    place: &'a Place,
    course: Course,
    since: Instant,
    round: Round,
    /// The connected socket that had something last, since then.
    line: Option<RawFd>,
    sleeps: i64,
    waits: Waits,
    waited: Duration,
}

impl<'a> Receiving<'a> {
    /// Not moved yet, and never unless that is wanted and there is more than one processor for it.
    pub fn new(place: &'a Place) -> Self {
        let (now, waits) = (Instant::now(), Waits::of_this_thread());
        Self {
            all: place.choice(),
            place,
            course: Course::new(now),
            since: now,
            round: Round::default(),
            line: None,
            sleeps: sys::sleeps(),
            waited: waits.total(),
            waits,
        }
    }

    /// The thread has received one more round, and something from a connected socket with it or not.
    pub fn received(&mut self, round: Round, line: Option<RawFd>) {
        let Some(all) = self.all else { return };
        self.round += round;
        self.line = line.or(self.line);
        let now = Instant::now();
        if now - self.since < WINDOW {
            return;
        }
        let (sleeps, waited, round) = (sys::sleeps(), self.waits.total(), std::mem::take(&mut self.round));
        let is_to_follow = |&processor: &usize| all.has(processor) && !round.is_crowd(now - self.since);
        let arrival = self.line.take().and_then(of_arrival).filter(is_to_follow);
        let done = Done {
            octets: round.octets,
            elapsed: now - self.since,
            has_slept: sleeps != self.sleeps,
            waited: waited.saturating_sub(self.waited),
        };
        (self.since, self.sleeps, self.waited) = (now, sleeps, waited);
        self.place.windows.fetch_add(1, Relaxed);
        let before = self.course.stand();
        self.course.judge(arrival, done, now);
        if self.course.stand() != before {
            self.follow(self.course.stand(), all);
        }
    }

    /// There is no load: it runs where the kernel likes.
    pub fn rest(&mut self) {
        if let (Stand::On(_) | Stand::Beside(_), Some(all)) = (self.course.stand(), self.all) {
            self.course.rest();
            self.follow(Stand::Anywhere, all);
        }
    }

    fn follow(&mut self, stand: Stand, all: Processors) {
        let (processors, place) = match stand {
            Stand::Anywhere => (all, None),
            Stand::On(processor) => (all.only(processor), Some(processor)),
            Stand::Beside(processor) => (all.without(processor), Some(processor)),
        };
        let is_kept = processors.keep().is_ok();
        self.place.set(place.filter(|_| is_kept));
        if !is_kept {
            // Somebody has given us others meanwhile, and is to have what he wants.
            self.all = None;
        }
    }
}

/// Moves the calling thread, which sends.
pub struct Sending<'a> {
    all: Option<Processors>,
    place: &'a Place,
    left: Option<usize>,
    windows: u32,
    since: Instant,
}

impl<'a> Sending<'a> {
    /// As [`Receiving::new`]; the place is the receiving thread's.
    pub fn new(place: &'a Place) -> Self {
        Self { all: place.choice(), place, left: None, windows: 0, since: Instant::now() }
    }

    /// Leaves the processor to which the receiving thread keeps, or off which, if there is one. Off it both stay together:
    /// what this thread sends would arrive now here and now there, and a peer's threads would follow it.
    #[inline]
    pub fn leave(&mut self) {
        let (mut place, windows) = (self.place.get(), self.place.windows.load(Relaxed));
        if place.is_some() {
            let now = Instant::now();
            if windows != self.windows {
                (self.windows, self.since) = (windows, now);
            }
            place = place.filter(|_| now - self.since < STALE);
        }
        if place != self.left {
            self.left = place;
            if let Some(all) = self.all {
                let _ = place.map_or(all, |processor| all.without(processor)).keep();
            }
        }
    }

    /// Whether it leaves one.
    pub fn leaves_one(&self) -> bool {
        self.left.is_some()
    }
}

/// Whether the calling thread may run on more than one processor.
pub fn has_choice() -> bool {
    Processors::of_this_thread().is_ok_and(|all| all.count() > 1)
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;

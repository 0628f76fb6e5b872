//! On which processor a worker's threads run while there is load.
//!
//! The receiving thread runs where the kernel handles what arrives: it finds the packets in that processor's caches, and no
//! other processor has to be interrupted to wake it, which in a virtual machine takes longer than all that is done with a
//! packet. The sending thread leaves that processor to it. Where one processor is too little for both the kernel and the
//! thread, which shows when the thread never sleeps, it runs beside it if that carries more. A crowd of small packets is work
//! for all processors there are: then each thread runs where the kernel likes.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::duty::Round;
use crate::processors::{Processors, of_arrival};
use crate::sys;

/// For how long is looked at what arrives where before a thread is moved.
const WINDOW: Duration = Duration::from_millis(10);
/// Time from one packet to the next, on the average, below which small ones are a crowd.
const CROWDED: Duration = Duration::from_micros(5);
/// Octets of a packet, on the average, below which they are small.
const SMALL: usize = 1_000;
/// For how long a thread that has been moved stays at least. Twice as long each time it is moved soon after: what arrives
/// now here and now there is not to be followed.
const STAY: Duration = Duration::from_millis(20);
/// The longest of these times.
const LONGEST_STAY: Duration = Duration::from_millis(1_280);
/// How many of these times after it a thread is moved soon.
const SOON: u32 = 4;
/// For how long what a trial has shown is taken to hold.
const VERDICT: Duration = Duration::from_secs(1);
/// For how long the sending thread leaves a processor to one that receives nothing.
const STALE: Duration = Duration::from_millis(100);
/// What a worker beside what arrives must carry, in eighths of what it carried before, for it to stay there.
const WORTH: usize = 9;

/// The processor to which a worker's receiving thread keeps, for the other threads to see.
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

    /// The processor, if it keeps to one.
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

/// Where a thread may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Anywhere,
    On(usize),
    /// Where one processor is too little.
    Beside(usize),
}

/// What a receiving thread has done in a window under load.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Where the kernel handles what arrives, if the thread is to run there.
    arrival: Option<usize>,
    octets: usize,
    /// It had nothing to do for a moment.
    has_slept: bool,
}

/// Where a receiving thread is to run, by what it has done.
#[derive(Debug)]
struct Course {
    stand: Stand,
    seen: Option<usize>,
    /// It is not moved to another processor before.
    stays_until: Instant,
    stay: Duration,
    /// A trial's result holds so long.
    verdict_until: Instant,
    /// What was carried in the window before a trial, until it has ended; and how many windows it has lasted.
    trial: Option<(usize, u32)>,
}

impl Course {
    fn new(now: Instant) -> Self {
        Self {
            stand: Stand::Anywhere,
            seen: None,
            stays_until: now,
            stay: Duration::ZERO,
            verdict_until: now,
            trial: None,
        }
    }

    fn rest(&mut self) {
        (self.stand, self.seen, self.trial) = (Stand::Anywhere, None, None);
    }

    fn judge(&mut self, window: Window, now: Instant) {
        let Some(arrival) = window.arrival else { return self.rest() };
        let is_steady = self.seen.replace(arrival) == Some(arrival);
        match self.stand {
            Stand::On(processor) if processor == arrival => {
                let is_enough = window.has_slept || now < self.verdict_until;
                if !is_enough {
                    (self.stand, self.trial) = (Stand::Beside(processor), Some((window.octets, 0)));
                }
            }
            Stand::Beside(processor) if processor == arrival => match self.trial {
                // In the first window it was moved.
                Some((before, 0)) => self.trial = Some((before, 1)),
                Some((before, _)) => {
                    (self.trial, self.verdict_until) = (None, now + VERDICT);
                    if window.octets * 8 < before * WORTH {
                        self.stand = Stand::On(processor);
                    }
                }
                None if now >= self.verdict_until => self.stand = Stand::On(processor),
                None => {}
            },
            _ if is_steady && now >= self.stays_until => {
                let again = now < self.stays_until + SOON * self.stay;
                self.stay = if again { (2 * self.stay).min(LONGEST_STAY) } else { STAY };
                self.stays_until = now + self.stay;
                (self.stand, self.trial) = (Stand::On(arrival), None);
            }
            _ => {}
        }
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
}

impl<'a> Receiving<'a> {
    /// Not moved yet, and never unless that is wanted and there is more than one processor for it.
    pub fn new(place: &'a Place) -> Self {
        let now = Instant::now();
        Self {
            all: place.choice(),
            place,
            course: Course::new(now),
            since: now,
            round: Round::default(),
            line: None,
            sleeps: sys::sleeps(),
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
        let (sleeps, round) = (sys::sleeps(), std::mem::take(&mut self.round));
        let is_to_follow = |&processor: &usize| all.has(processor) && !is_crowd(round, now - self.since);
        let arrival = self.line.take().and_then(of_arrival).filter(is_to_follow);
        let window = Window { arrival, octets: round.octets, has_slept: sleeps != self.sleeps };
        (self.since, self.sleeps) = (now, sleeps);
        self.place.windows.fetch_add(1, Relaxed);
        let before = self.course.stand;
        self.course.judge(window, now);
        self.follow(before, all);
    }

    /// There is no load: it runs where the kernel likes.
    pub fn rest(&mut self) {
        if let (Stand::On(_) | Stand::Beside(_), Some(all)) = (self.course.stand, self.all) {
            let before = self.course.stand;
            self.course.rest();
            self.follow(before, all);
        }
    }

    fn follow(&mut self, before: Stand, all: Processors) {
        let (processors, place) = match self.course.stand {
            stand if stand == before => return,
            Stand::Anywhere => (all, None),
            Stand::On(processor) => (all.only(processor), Some(processor)),
            Stand::Beside(processor) => (all.without(processor), None),
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

    /// Leaves the processor to which the receiving thread keeps, if it does.
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

fn is_crowd(round: Round, elapsed: Duration) -> bool {
    let packets = round.packets.max(1);
    elapsed / (packets as u32) < CROWDED && round.octets / packets < SMALL
}

/// Whether the calling thread may run on more than one processor.
pub fn has_choice() -> bool {
    Processors::of_this_thread().is_ok_and(|all| all.count() > 1)
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;

//! How urgent a thread that carries packets is to the kernel.
//!
//! A thread that waits for its turn among ordinary programs adds that wait to a round trip at every gateway, twice, where
//! packets that the kernel forwards wait for none of them. Such a thread runs before all (`SCHED_RR`) while that
//! helps and others do not suffer: it has something to carry all the time, it leaves time to others, and it is not woken so
//! often that a program which sends many small packets would be interrupted at each of them, instead of having them carried
//! by the dozen.
//!
//! Where the threads of a worker have their places on processors (see [`placement`](crate::placement)), others are less in
//! their way, and what they lose by interrupting each other is more than what they gain: they wait for their turn, and find
//! more in it (`SCHED_BATCH`).

use std::time::{Duration, Instant};

use crate::sys::{self, Class, Clock};

/// For how long is looked at what a thread does before it is judged.
const WINDOW: Duration = Duration::from_millis(5);
/// Time from one frame or message to the next, on the average, below which they come too often.
const CROWDED: Duration = Duration::from_micros(25);
/// As above, from which on they are so few that an ordinary thread serves as well: an idle host lets it run where its
/// waker runs, with a warm cache, and the kernel moves urgent ones less.
const SELDOM: Duration = Duration::from_millis(1);
/// For how many windows a thread stays ordinary to which frames or messages came too often: an urgent one gets them one
/// by one, so that they would not look like it for long.
const PENANCE: u32 = 40;

/// The urgency of one thread.
#[derive(Debug)]
pub struct Urgency {
    is_ours: bool,
    is_permitted: bool,
    class: Class,
    processors: u32,
    since: Moment,
    pieces: u32,
    penance: u32,
}

/// A time on the clocks by which a thread is judged.
#[derive(Clone, Copy, Debug)]
struct Moment {
    wall: Instant,
    thread: Duration,
    process: Duration,
}

/// What a thread has done in a window.
#[derive(Clone, Copy, Debug)]
struct Load {
    elapsed: Duration,
    /// Frames or messages that the kernel gave it.
    pieces: u32,
    /// Its time on a processor.
    thread: Duration,
    /// That of all threads of the process.
    process: Duration,
}

impl Urgency {
    /// The calling thread's: an ordinary one for now, which never runs before others unless that is `wanted` and permitted, which
    /// takes `CAP_SYS_NICE` or a real-time limit. A thread that was started as another than an ordinary one stays what it is.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        let is_ours = sys::is_ordinary();
        let try_it = || sys::set_class(Class::RealTime).and_then(|()| sys::set_class(Class::Ordinary));
        let is_permitted = wanted && is_ours && try_it().is_ok();
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
        Self { is_ours, is_permitted, class: Class::Ordinary, processors, since: Moment::now(), pieces: 0, penance: 0 }
    }

    /// Whether the kernel lets it be urgent.
    #[must_use]
    pub fn is_permitted(&self) -> bool {
        self.is_permitted
    }

    /// Whether it runs before ordinary ones now.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.class == Class::RealTime
    }

    /// The thread has carried so many more frames or messages, and has its place on a processor or none.
    #[inline]
    pub fn carried(&mut self, pieces: usize, is_placed: bool) {
        self.pieces = self.pieces.saturating_add(pieces as u32);
        if self.is_ours && self.since.wall.elapsed() >= WINDOW {
            self.judge(is_placed);
        }
    }

    #[cold]
    fn judge(&mut self, is_placed: bool) {
        let now = Moment::now();
        let load = now.load_since(&self.since, self.pieces);
        (self.since, self.pieces) = (now, 0);
        let is_deserved = load.deserves_urgency(&mut self.penance, self.processors);
        let class = match is_placed {
            true => Class::Batch,
            false if is_deserved && self.is_permitted => Class::RealTime,
            false => Class::Ordinary,
        };
        // Where the permission was taken back, it stays as it is.
        if class != self.class && sys::set_class(class).is_ok() {
            self.class = class;
        }
    }
}

impl Moment {
    fn now() -> Self {
        let [thread, process] = [Clock::Thread, Clock::Process].map(sys::processor_time);
        Self { wall: Instant::now(), thread, process }
    }

    fn load_since(&self, since: &Self, pieces: u32) -> Load {
        Load {
            elapsed: self.wall - since.wall,
            pieces,
            thread: self.thread.saturating_sub(since.thread),
            process: self.process.saturating_sub(since.process),
        }
    }
}

impl Load {
    fn deserves_urgency(&self, penance: &mut u32, processors: u32) -> bool {
        let interval = self.elapsed / self.pieces.max(1);
        *penance = if interval < CROWDED { PENANCE } else { penance.saturating_sub(1) };
        *penance == 0 && interval < SELDOM && self.leaves_time(processors)
    }

    /// A twentieth of its processor, and a quarter of all.
    fn leaves_time(&self, processors: u32) -> bool {
        self.thread * 20 <= self.elapsed * 19 && self.process * 4 <= self.elapsed * 3 * processors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pieces: u32) -> Load {
        let thread = WINDOW / 2;
        Load { elapsed: WINDOW, pieces, thread, process: thread }
    }

    #[test]
    fn a_steady_stream_is_urgent_and_few_packets_are_not() {
        for (pieces, urgent) in [(0, false), (5, false), (6, true), (50, true), (200, true)] {
            assert_eq!(load(pieces).deserves_urgency(&mut 0, 2), urgent, "{pieces}");
        }
    }

    #[test]
    fn a_crowd_of_small_pieces_is_carried_by_an_ordinary_thread_for_a_while() {
        let mut penance = 0;
        assert!(!load(201).deserves_urgency(&mut penance, 2));
        for _ in 1..PENANCE {
            assert!(!load(50).deserves_urgency(&mut penance, 2));
        }
        assert!(load(50).deserves_urgency(&mut penance, 2));
    }

    #[test]
    fn who_leaves_no_time_to_others_is_ordinary_until_it_does() {
        // In hundredths of the window.
        let busy = |thread: u32, process: u32, processors| {
            let [thread, process] = [thread, process].map(|part| WINDOW * part / 100);
            Load { thread, process, ..load(50) }.deserves_urgency(&mut 0, processors)
        };
        assert!(busy(95, 150, 2));
        assert!(!busy(96, 96, 2));
        assert!(!busy(50, 151, 2));
        assert!(!busy(50, 76, 1));
        assert!(busy(50, 75, 1));
    }

    #[test]
    fn nobody_is_urgent_who_is_not_wanted_to_be() {
        let mut urgency = Urgency::new(false);
        urgency.since.wall -= WINDOW;
        urgency.carried(50, false);
        assert!(!urgency.is_permitted() && !urgency.is_urgent());
        assert_eq!(urgency.pieces, 0);
    }

    #[test]
    fn one_that_has_its_place_interrupts_nobody_until_it_has_it_no_more() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut urgency = Urgency::new(true);
                let mut class = |is_placed| {
                    urgency.since.wall -= WINDOW;
                    urgency.carried(50, is_placed);
                    // SAFETY: plain call; 0 stands for the calling thread.
                    (urgency.is_urgent(), unsafe { libc::sched_getscheduler(0) })
                };
                assert_eq!(class(true), (false, libc::SCHED_BATCH));
                assert_ne!(class(false).1, libc::SCHED_BATCH);
            });
        });
    }

    #[test]
    fn one_that_was_started_in_another_class_stays_in_it() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sys::set_class(Class::Batch).unwrap();
                let mut urgency = Urgency::new(true);
                urgency.since.wall -= WINDOW;
                urgency.carried(50, false);
                // SAFETY: plain call; 0 stands for the calling thread.
                assert_eq!(unsafe { libc::sched_getscheduler(0) }, libc::SCHED_BATCH);
                assert!(!urgency.is_permitted());
            });
        });
    }
}

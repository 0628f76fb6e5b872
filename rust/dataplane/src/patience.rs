//! How long a worker at rest looks for more before it sleeps.
//!
//! A thread that sleeps has to be woken, and often an idle processor with it, which takes a packet longer than all that is done
//! with it. Where the next one comes soon after the last, as with questions and their answers, the thread stays awake and looks
//! again and again, and between two looks lets any other program run that waits for its processor.

use std::io;
use std::time::{Duration, Instant};

use crate::sys::{self, Clock, Epoll, Tokens};

/// What comes within that time comes soon. To wake for it costs some tens of µs.
const SOON: Duration = Duration::from_micros(200);
/// Added to what was hoped for when something came soon. Hope is halved each time before.
const CAME: u8 = 128;
/// The least hope with which one looks: every other time it has come soon.
const LEAST: u8 = 64;
/// Time that other programs take in one look, from which on they need the processor more than it helps to look.
const TAKEN: Duration = Duration::from_micros(200);
/// For how long it is then slept at once; twice as long each time, as long as they go on.
const RETREAT: Duration = Duration::from_millis(10);
/// The longest of these times.
const LONGEST_RETREAT: Duration = Duration::from_millis(2_560);

/// The patience of one thread.
#[derive(Debug)]
pub struct Patience {
    is_wanted: bool,
    hope: u8,
    resumes: Instant,
    retreat: Duration,
}

impl Patience {
    /// The calling thread's: none for now, and none ever unless it is wanted and the thread is an ordinary one. A real-time
    /// thread would let nobody run between two looks.
    pub fn new(is_wanted: bool) -> Self {
        Self { is_wanted: is_wanted && sys::is_ordinary(), hope: 0, resumes: Instant::now(), retreat: RETREAT }
    }

    /// Whether it would look for more before it sleeps.
    pub fn looks(&self) -> bool {
        self.looks_at(Instant::now())
    }

    /// As [`Epoll::wait`], asleep or awake.
    pub fn wait(&mut self, epoll: &Epoll) -> io::Result<Tokens> {
        let began = Instant::now();
        let found = if self.looks_at(began) { self.look(epoll, began)? } else { None };
        let tokens = match found {
            Some(tokens) => tokens,
            None => epoll.wait(true)?,
        };
        self.hope = self.hope / 2 + if began.elapsed() < SOON { CAME } else { 0 };
        Ok(tokens)
    }

    fn looks_at(&self, now: Instant) -> bool {
        self.is_wanted && self.hope >= LEAST && now >= self.resumes
    }

    fn look(&mut self, epoll: &Epoll, began: Instant) -> io::Result<Option<Tokens>> {
        let mine = sys::processor_time(Clock::Thread);
        let mut now = began;
        while now - began < SOON {
            let tokens = epoll.wait(false)?;
            if tokens.len() > 0 {
                return Ok(Some(tokens));
            }
            sys::let_others_run();
            now = Instant::now();
        }
        // The rest of it may be the host's, of which nobody here had anything.
        let mine = sys::processor_time(Clock::Thread).saturating_sub(mine);
        if (now - began).saturating_sub(mine) > TAKEN {
            self.retreat_at(now);
        }
        Ok(None)
    }

    /// Others needed the processor.
    fn retreat_at(&mut self, now: Instant) {
        let again = now < self.resumes + self.retreat;
        self.retreat = if again { (self.retreat * 2).min(LONGEST_RETREAT) } else { RETREAT };
        self.resumes = now + self.retreat;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::EventFd;

    const TOKEN: u64 = 7;

    /// Wanted, in whatever class the tests run.
    fn hoping(hope: u8) -> Patience {
        Patience { is_wanted: true, hope, ..Patience::new(true) }
    }

    fn signalled() -> (Epoll, EventFd) {
        let (epoll, event) = (Epoll::new().unwrap(), EventFd::new().unwrap());
        epoll.add(event.fd(), TOKEN).unwrap();
        event.signal();
        (epoll, event)
    }

    #[test]
    fn one_looks_while_every_other_time_something_comes_soon() {
        let mut patience = hoping(0);
        let mut seen = Vec::new();
        for came in [0, CAME, 0, CAME, 0, 0, CAME] {
            patience.hope = patience.hope / 2 + came;
            seen.push(patience.looks());
        }
        assert_eq!(seen, [false, true, true, true, true, false, true]);
    }

    #[test]
    fn what_is_there_is_found_awake_and_asleep() {
        let (epoll, _event) = signalled();
        for hope in [0, u8::MAX] {
            let mut patience = hoping(hope);
            assert_eq!(patience.wait(&epoll).unwrap().collect::<Vec<_>>(), [TOKEN]);
        }
    }

    #[test]
    fn one_who_finds_nothing_awake_sleeps_until_it_comes() {
        let (epoll, event) = signalled();
        event.clear();
        let mut patience = hoping(CAME);
        assert!(patience.look(&epoll, Instant::now()).unwrap().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| patience.wait(&epoll).unwrap().collect::<Vec<_>>());
            event.signal();
            assert_eq!(waiting.join().unwrap(), [TOKEN]);
        });
    }

    #[test]
    fn nobody_looks_who_is_not_wanted_to() {
        assert!(!Patience { hope: u8::MAX, ..Patience::new(false) }.looks());
    }

    #[test]
    fn a_thread_of_another_class_sleeps_at_once() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let parameters = libc::sched_param { sched_priority: 0 };
                // SAFETY: `parameters` lives through the call; 0 stands for the calling thread.
                assert_eq!(unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) }, 0);
                assert!(!Patience { hope: u8::MAX, ..Patience::new(true) }.looks());
            });
        });
    }

    #[test]
    fn one_retreats_for_longer_each_time_while_others_need_the_processor() {
        let mut patience = hoping(u8::MAX);
        let mut now = patience.resumes + Duration::from_secs(1);
        let mut times = Vec::new();
        for _ in 0..10 {
            patience.retreat_at(now);
            assert!(!patience.looks_at(now));
            times.push((patience.resumes - now).as_millis());
            now = patience.resumes;
            assert!(patience.looks_at(now));
        }
        assert_eq!(times, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 2560]);
        now += LONGEST_RETREAT;
        patience.retreat_at(now);
        assert_eq!(patience.resumes - now, RETREAT);
    }
}

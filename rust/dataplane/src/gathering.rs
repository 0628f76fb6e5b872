//! How long an urgent thread lets the frames of a stream gather before it reads them.
//!
//! It runs the moment a frame is there, and takes the processor from the very program that is about to write the next one: a
//! large frame at a time, each with a wake-up and a send of its own, and caches that change hands at each. Network cards hold
//! their interrupts back for the same reason. What came together is worth the short wait; where nothing does, it ends.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::duty::Round;
use crate::sys::{Epoll, Tokens};

/// How long is waited: for two or three of the largest frames of a stream of 5 Gbit/s.
const WAIT: Duration = Duration::from_micros(100);
/// Octets in a round from which on it is one of a stream.
const LARGE: usize = 30_000;
/// Frames that make a wait worth while.
const TOGETHER: usize = 2;
/// The most waits in its favour that are remembered.
const MOST: u8 = 8;
/// What one that was in vain counts, in waits that were not.
const IN_VAIN: u8 = 2;
/// For how long is not waited where more waits were in vain.
const RETREAT: Duration = Duration::from_millis(10);

/// The waits of one thread.
#[derive(Debug)]
pub struct Gathering {
    is_due: bool,
    /// What came in a wait is about to be carried.
    is_judged: bool,
    favour: u8,
    resumes: Instant,
}

impl Gathering {
    /// Nothing is waited for yet.
    pub fn new() -> Self {
        Self { is_due: false, is_judged: false, favour: 0, resumes: Instant::now() }
    }

    /// As [`Epoll::wait`], later where frames are to gather.
    pub fn wait(&mut self, epoll: &Epoll, asleep: bool) -> io::Result<Tokens> {
        if std::mem::take(&mut self.is_due) {
            sleep(WAIT);
            let tokens = epoll.wait(false)?;
            if tokens.len() > 0 {
                self.is_judged = true;
                return Ok(tokens);
            }
            self.judge(0);
        }
        epoll.wait(asleep)
    }

    /// The thread has carried a round. One that is not urgent waits for its turn as it is, with frames gathering.
    pub fn carried(&mut self, round: Round, is_urgent: bool) {
        if std::mem::take(&mut self.is_judged) {
            self.judge(round.pieces);
        }
        // The clock last: it need not be read for every round of small packets.
        self.is_due = is_urgent && !round.more && round.octets >= LARGE && Instant::now() >= self.resumes;
    }

    /// A wait brought so many frames.
    fn judge(&mut self, frames: usize) {
        if frames >= TOGETHER {
            self.favour = MOST.min(self.favour + 1);
        } else if let Some(left) = self.favour.checked_sub(IN_VAIN) {
            self.favour = left;
        } else {
            self.favour = 0;
            self.resumes = Instant::now() + RETREAT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::EventFd;

    const STREAM: Round = Round { packets: 40, octets: 46_000, pieces: 1, more: false };
    const TWO: Round = Round { packets: 80, octets: 92_000, pieces: 2, more: false };

    fn ready() -> (Epoll, EventFd) {
        let (epoll, event) = (Epoll::new().unwrap(), EventFd::new().unwrap());
        epoll.add(event.fd(), 7).unwrap();
        (epoll, event)
    }

    #[test]
    fn only_an_urgent_thread_waits_and_only_after_large_frames_of_which_no_more_are_there() {
        let mut gathering = Gathering::new();
        let mut due = |round, is_urgent| {
            gathering.carried(round, is_urgent);
            gathering.is_due
        };
        assert!(due(STREAM, true));
        assert!(!due(STREAM, false));
        assert!(!due(Round { more: true, ..STREAM }, true));
        assert!(!due(Round { octets: LARGE - 1, ..STREAM }, true));
        assert!(due(TWO, true));
    }

    #[test]
    fn a_wait_is_for_once_and_gives_what_came() {
        let (epoll, event) = ready();
        let mut gathering = Gathering::new();
        gathering.carried(STREAM, true);
        event.signal();
        assert_eq!(gathering.wait(&epoll, true).unwrap().collect::<Vec<_>>(), [7]);
        assert!(gathering.is_judged && !gathering.is_due);
        gathering.carried(TWO, true);
        assert_eq!((gathering.is_judged, gathering.favour), (false, 1));
    }

    #[test]
    fn a_wait_without_a_frame_is_in_vain_and_the_thread_waits_no_more_for_a_time() {
        let (epoll, _event) = ready();
        let (mut gathering, began) = (Gathering::new(), Instant::now());
        gathering.carried(STREAM, true);
        assert_eq!(gathering.wait(&epoll, false).unwrap().len(), 0);
        assert!(gathering.resumes >= began + RETREAT);
        gathering.resumes = began + Duration::from_secs(3600);
        gathering.carried(STREAM, true);
        assert!(!gathering.is_due);
        gathering.resumes = Instant::now();
        gathering.carried(STREAM, true);
        assert!(gathering.is_due);
    }

    #[test]
    fn waits_that_brought_several_frames_make_up_for_half_as_many_in_vain() {
        let mut gathering = Gathering::new();
        let mut retreats = |frames| {
            let before = gathering.resumes;
            gathering.judge(frames);
            gathering.resumes >= before + RETREAT
        };
        assert!((0..20).all(|_| !retreats(TOGETHER)));
        assert!([1, 0, 1, 0].into_iter().all(|frames| !retreats(frames)));
        assert!(retreats(1));
    }
}

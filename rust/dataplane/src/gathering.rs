//! How long a thread lets frames gather before it reads them.
//!
//! An urgent one runs the moment a frame of a stream is there, and takes the processor from the very program that is about to
//! write the next one: a large frame at a time, each with a wake-up and a send of its own, and caches that change hands at
//! each. In a crowd of small packets an ordinary one does so too, every few packets, whenever it has caught up. Network cards
//! hold their interrupts back for the same reason. What came together is worth the short wait; where nothing does, it ends.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::round::Round;
use crate::sys::{Epoll, Tokens};

/// How long is waited: for two or three of the largest frames of a stream of 5 Gbit/s.
const WAIT: Duration = Duration::from_micros(100);
/// How long in a crowd: for a dozen packets or more.
const SHORT_WAIT: Duration = Duration::from_micros(60);
/// For how long is looked at what is carried before it is a crowd.
const WINDOW: Duration = Duration::from_millis(10);
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
    due: Option<Duration>,
    /// What came in a wait is about to be carried.
    is_judged: bool,
    favour: u8,
    resumes: Instant,
    carried: Round,
    since: Instant,
    is_crowd: bool,
}

impl Gathering {
    /// Nothing is waited for yet.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            due: None,
            is_judged: false,
            favour: 0,
            resumes: now,
            carried: Round::default(),
            since: now,
            is_crowd: false,
        }
    }

    /// As [`Epoll::wait`], later where frames are to gather.
    pub fn wait(&mut self, epoll: &Epoll, asleep: bool) -> io::Result<Tokens> {
        if let Some(time) = self.due.take() {
            sleep(time);
            let tokens = epoll.wait(false)?;
            if tokens.len() > 0 {
                self.is_judged = true;
                return Ok(tokens);
            }
            self.judge(0);
        }
        epoll.wait(asleep)
    }

    /// The thread has carried a round. One that is not urgent waits for its turn as it is, with frames gathering, but for a
    /// crowd.
    pub fn carried(&mut self, round: Round, is_urgent: bool) {
        if std::mem::take(&mut self.is_judged) {
            self.judge(round.pieces);
        }
        let now = Instant::now();
        self.carried += round;
        if now - self.since >= WINDOW {
            self.is_crowd = std::mem::take(&mut self.carried).is_crowd(now - self.since);
            self.since = now;
        }
        let (gather, time) = if is_urgent { (round.octets >= LARGE, WAIT) } else { (self.is_crowd, SHORT_WAIT) };
        self.due = (gather && !round.more && now >= self.resumes).then_some(time);
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
    fn an_urgent_thread_waits_after_large_frames_of_which_no_more_are_there() {
        let mut gathering = Gathering::new();
        let mut due = |round, is_urgent| {
            gathering.carried(round, is_urgent);
            gathering.due == Some(WAIT)
        };
        assert!(due(STREAM, true));
        assert!(!due(STREAM, false));
        assert!(!due(Round { more: true, ..STREAM }, true));
        assert!(!due(Round { octets: LARGE - 1, ..STREAM }, true));
        assert!(due(TWO, true));
    }

    #[test]
    fn an_ordinary_thread_waits_in_a_crowd_of_small_packets_for_less() {
        let mut gathering = Gathering::new();
        let mut due = |packets, is_urgent, more| {
            gathering.since -= WINDOW;
            let round = Round { packets, octets: packets * 64, pieces: packets, more };
            gathering.carried(round, is_urgent);
            gathering.due
        };
        assert_eq!(due(2_000, false, false), Some(SHORT_WAIT));
        assert_eq!(due(2_000, false, true), None);
        assert_eq!(due(400, true, false), None);
        assert_eq!(due(1_000, false, false), None);
    }

    #[test]
    fn a_crowd_is_one_until_the_next_window_has_ended() {
        let mut gathering = Gathering::new();
        let few = Round { packets: 1, octets: 64, pieces: 1, more: false };
        let mut due = |round, since: Duration| {
            gathering.since = Instant::now().checked_sub(since).unwrap();
            gathering.carried(round, false);
            gathering.due.is_some()
        };
        assert!(!due(few, Duration::ZERO), "nothing is known yet");
        assert!(due(Round { packets: 2_000, octets: 128_000, ..few }, WINDOW));
        assert!(due(few, Duration::ZERO));
        assert!(!due(few, WINDOW));
    }

    #[test]
    fn a_wait_is_for_once_and_gives_what_came() {
        let (epoll, event) = ready();
        let mut gathering = Gathering::new();
        gathering.carried(STREAM, true);
        event.signal();
        assert_eq!(gathering.wait(&epoll, true).unwrap().collect::<Vec<_>>(), [7]);
        assert!(gathering.is_judged && gathering.due.is_none());
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
        assert!(gathering.due.is_none());
        gathering.resumes = Instant::now();
        gathering.carried(STREAM, true);
        assert!(gathering.due.is_some());
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

use super::Stand::{Anywhere, Beside, On};
use super::*;

/// A course and its clock, a window after the other.
struct Trip {
    course: Course,
    now: Instant,
}

impl Trip {
    fn new() -> Self {
        let now = Instant::now();
        Self { course: Course::new(now), now }
    }

    fn window(&mut self, arrival: Option<usize>, done: Done) -> Stand {
        self.now += WINDOW;
        self.course.judge(arrival, done, self.now);
        self.course.stand()
    }

    fn arrivals(&mut self, arrivals: &[usize]) -> Vec<Stand> {
        arrivals.iter().map(|&arrival| self.window(Some(arrival), EASY)).collect()
    }

    fn settled() -> Self {
        let mut trip = Self::new();
        trip.arrivals(&[1, 1]);
        trip
    }

    /// How many windows of these it takes until it stands elsewhere, and where.
    fn next(&mut self, done: Done) -> (u32, Stand) {
        let before = self.course.stand();
        (1..1_000).map(|windows| (windows, self.window(Some(1), done))).find(|&(_, stand)| stand != before).unwrap()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

const EASY: Done = Done { octets: 1_000, elapsed: WINDOW, has_slept: true, waited: Duration::ZERO };
const BUSY: Done = Done { has_slept: false, ..EASY };
/// Of a verdict.
const HOLDS: u32 = 200;

#[test]
fn a_thread_goes_where_packets_arrive_for_two_windows() {
    assert_eq!(Trip::new().arrivals(&[3, 0, 0, 0]), [Anywhere, Anywhere, On(0), On(0)]);
    let mut trip = Trip::settled();
    assert_eq!(trip.window(None, EASY), Anywhere);
    assert_eq!(trip.arrivals(&[1, 1]), [Anywhere, On(1)]);
    trip.course.rest();
    assert_eq!((trip.course.stand(), trip.course.seen), (Anywhere, None));
}

#[test]
fn what_arrives_now_here_and_now_there_is_followed_ever_less() {
    let mut trip = Trip::new();
    let mut moves = Vec::new();
    for number in 0..1_000 {
        let before = trip.course.stand();
        // Five windows on each.
        if trip.window(Some(number / 5 % 2), EASY) != before {
            moves.push(number);
        }
    }
    assert_eq!(moves[..3], [1, 6, 11]);
    assert!((10..20).contains(&moves.len()), "{moves:?}");
    let last = moves.windows(2).map(|two| two[1] - two[0]).next_back().unwrap();
    assert!((128..=140).contains(&last), "{moves:?}");
    trip.wait((SOON + 1) * LONGEST_STAY);
    let other = usize::from(trip.course.stand() == On(0));
    assert_eq!(trip.arrivals(&[other, other])[1], On(other));
    assert_eq!(trip.course.stay, STAY);
}

#[test]
fn a_thread_is_tried_beside_a_processor_that_is_too_little_and_stays_where_it_carries_more() {
    let mut trip = Trip::settled();
    assert_eq!(trip.next(BUSY), (8, Beside(1)));
    assert_eq!(trip.next(BUSY), (5, On(1)), "no more than before");
    assert_eq!(trip.next(BUSY), (HOLDS + 7, Beside(1)), "what it has shown holds");
    assert_eq!(trip.next(Done { octets: 2_000, ..BUSY }), (5 + HOLDS, On(1)), "more, and that holds as long");
    assert_eq!(trip.next(BUSY), (8, Beside(1)));
    let mut trip = Trip::settled();
    assert!((0..1_000).all(|_| trip.window(Some(1), EASY) == On(1)));
}

#[test]
fn a_thread_beside_what_arrives_goes_with_it() {
    let mut trip = Trip::settled();
    trip.next(BUSY);
    assert_eq!(trip.arrivals(&[0, 0]), [Beside(1), On(0)]);
    assert!(!trip.course.trial.is_running());
}

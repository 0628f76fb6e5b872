use std::net::UdpSocket;
use std::os::fd::AsRawFd;

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

    fn window(&mut self, window: Window) -> Stand {
        self.now += WINDOW;
        self.course.judge(window, self.now);
        self.course.stand
    }

    fn arrivals(&mut self, arrivals: &[usize]) -> Vec<Stand> {
        arrivals.iter().map(|&arrival| self.window(at(arrival))).collect()
    }

    fn settled() -> Self {
        let mut trip = Self::new();
        trip.arrivals(&[1, 1]);
        trip
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

fn at(arrival: usize) -> Window {
    Window { arrival: Some(arrival), octets: 1_000, has_slept: true }
}

fn busy(octets: usize) -> Window {
    Window { octets, has_slept: false, ..at(1) }
}

#[test]
fn a_thread_goes_where_packets_arrive_for_two_windows() {
    use Stand::{Anywhere, On};
    assert_eq!(Trip::new().arrivals(&[3, 0, 0, 0]), [Anywhere, Anywhere, On(0), On(0)]);
    let nowhere = Window { arrival: None, ..at(0) };
    let mut trip = Trip::settled();
    assert_eq!(trip.window(nowhere), Anywhere);
    assert_eq!(trip.arrivals(&[1, 1]), [Anywhere, On(1)]);
}

#[test]
fn what_arrives_now_here_and_now_there_is_followed_ever_less() {
    let mut trip = Trip::new();
    let mut moves = Vec::new();
    for number in 0..1_000 {
        let before = trip.course.stand;
        // Five windows on each.
        if trip.window(at(number / 5 % 2)) != before {
            moves.push(number);
        }
    }
    assert_eq!(moves[..3], [1, 6, 11]);
    assert!((10..20).contains(&moves.len()), "{moves:?}");
    let last = moves.windows(2).map(|two| two[1] - two[0]).next_back().unwrap();
    assert!((128..=140).contains(&last), "{moves:?}");
    trip.wait((SOON + 1) * LONGEST_STAY);
    let other = usize::from(trip.course.stand == Stand::On(0));
    assert_eq!(trip.arrivals(&[other, other])[1], Stand::On(other));
    assert_eq!(trip.course.stay, STAY);
}

#[test]
fn a_thread_that_never_sleeps_stays_beside_if_it_carries_an_eighth_more_there() {
    use Stand::{Beside, On};
    for (octets, stand) in [(900, On(1)), (1_124, On(1)), (1_125, Beside(1)), (2_000, Beside(1))] {
        let mut trip = Trip::settled();
        assert_eq!(trip.window(busy(1_000)), Beside(1));
        // The window in which it was moved does not count.
        assert_eq!(trip.window(busy(0)), Beside(1));
        assert_eq!(trip.window(busy(octets)), stand, "{octets}");
        for _ in 0..99 {
            assert_eq!(trip.window(busy(1_000)), stand, "{octets}: what it has shown holds for a second");
        }
        assert_ne!(trip.window(busy(1_000)), stand, "{octets}");
    }
}

#[test]
fn small_packets_are_a_crowd_when_they_are_many() {
    let round = |packets, size| Round { packets, octets: packets * size, ..Round::default() };
    for (packets, size, is_so) in
        [(0, 0, false), (2_000, 64, false), (2_001, 64, true), (9_000, 999, true), (9_000, 1_000, false)]
    {
        assert_eq!(is_crowd(round(packets, size), WINDOW), is_so, "{packets} of {size}");
    }
    assert!(!is_crowd(round(2_001, 64), 2 * WINDOW));
}

#[test]
fn a_thread_beside_what_arrives_goes_with_it() {
    let mut trip = Trip::settled();
    assert_eq!(trip.window(busy(1_000)), Stand::Beside(1));
    assert_eq!(trip.arrivals(&[0, 0]), [Stand::Beside(1), Stand::On(0)]);
    assert_eq!(trip.course.trial, None);
}

#[test]
fn the_thread_moves_and_the_other_leaves_it_the_processor_while_packets_come_by_a_line() {
    std::thread::scope(|scope| {
        // In a thread of its own, for it is moved.
        scope.spawn(|| {
            let all = Processors::of_this_thread().unwrap();
            if all.count() < 2 {
                return;
            }
            let processor = (0..1024).find(|&processor| all.has(processor)).unwrap();
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(socket.local_addr().unwrap()).unwrap();
            let place = Place::new(true);
            let mut receiving = Receiving::new(&place);
            let mut window = |of_a_line: bool| {
                all.only(processor).keep().unwrap();
                socket.send(b"one").unwrap();
                all.keep().unwrap();
                receiving.since -= WINDOW;
                let line = of_a_line.then(|| socket.as_raw_fd());
                receiving.received(Round { packets: 1, octets: 3, ..Round::default() }, line);
                (place.get(), Processors::of_this_thread().unwrap().count())
            };
            let free = (None, all.count());
            assert_eq!(window(true), free);
            assert_eq!(window(true), (Some(processor), 1));
            let mut sending = Sending { all: Some(all), ..Sending::new(&place) };
            sending.leave();
            let left = Processors::of_this_thread().unwrap();
            assert_eq!((left.count(), left.has(processor)), (all.count() - 1, false));
            sending.since -= STALE;
            sending.leave();
            assert_eq!(Processors::of_this_thread().unwrap().count(), all.count(), "nothing comes any more");
            place.windows.fetch_add(1, Relaxed);
            sending.leave();
            assert!(sending.leaves_one());
            assert_eq!(window(false), free, "what comes comes by a line no more");
            sending.leave();
            assert_eq!(Processors::of_this_thread().unwrap().count(), all.count());
        });
    });
}

#[test]
fn nobody_is_moved_who_is_not_wanted_to_be_or_was_given_other_processors() {
    let place = Place::new(false);
    assert!(Receiving::new(&place).all.is_none() && Sending::new(&place).all.is_none());
    let mut receiving = Receiving::new(&place);
    let none = Processors::of_this_thread().unwrap().only(usize::MAX);
    receiving.all = Some(none);
    receiving.course.stand = Stand::On(1);
    receiving.follow(Stand::Anywhere, none);
    assert!(receiving.all.is_none() && place.get().is_none());
}

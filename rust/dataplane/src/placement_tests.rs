use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use super::*;

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
fn a_processor_that_is_too_little_is_left_by_both_threads() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let place = Place::new(true);
            let mut receiving = Receiving::new(&place);
            let Some(all) = receiving.all else { return };
            let mut sending = Sending::new(&place);
            let processor = (0..1024).find(|&processor| all.has(processor)).unwrap();
            let others = || {
                let here = Processors::of_this_thread().unwrap();
                (here.count(), here.has(processor))
            };
            receiving.follow(Stand::Beside(processor), all);
            assert_eq!(others(), (all.count() - 1, false));
            all.keep().unwrap();
            sending.leave();
            assert_eq!(others(), (all.count() - 1, false));
            receiving.follow(Stand::Anywhere, all);
            assert_eq!((others().0, place.get()), (all.count(), None));
            sending.leave();
            assert!(!sending.leaves_one());
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
    receiving.follow(Stand::On(1), none);
    assert!(receiving.all.is_none() && place.get().is_none());
}

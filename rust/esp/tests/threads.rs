//! Threads that share an SA, in every order that their steps can have: the window and the counter are compiled here against
//! loom's mutex and atomics.
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../src/sequence.rs"]
mod sequence;
#[path = "../src/shared_window.rs"]
mod shared_window;
#[path = "../src/window.rs"]
mod window;

/// What `src/sync.rs` is to the crate.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

use loom::sync::Arc;
use loom::thread;

use sequence::Sequence;
use shared_window::SharedWindow;
use window::ReplayWindow;

/// What a thread does with an authentic packet: look, open (nothing shared happens there), mark.
fn receive(window: &SharedWindow, low: u32) -> bool {
    let Some(number) = window.check(low) else { return false };
    thread::yield_now();
    window.mark(number)
}

/// E04: the check before the ICV is repeated at the update.
#[test]
fn of_threads_with_the_same_packet_one_is_first() {
    loom::model(|| {
        let window = Arc::new(SharedWindow::new(ReplayWindow::new(32, false, 0)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let window = Arc::clone(&window);
                thread::spawn(move || receive(&window, 5))
            })
            .collect();
        let here = receive(&window, 5);
        let there = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(there.filter(|first| *first).count() + usize::from(here), 1);
    });
}

#[test]
fn a_packet_that_falls_left_of_the_window_while_it_is_opened_is_refused() {
    loom::model(|| {
        let window = Arc::new(SharedWindow::new(ReplayWindow::new(32, true, 0)));
        let other = Arc::clone(&window);
        let jump = thread::spawn(move || receive(&other, 1000));
        let accepted = receive(&window, 1);
        assert!(jump.join().unwrap());
        let window = window.locked();
        assert_eq!(window.highest(), 1000);
        assert!(!window.check(1), "seen or too old, whichever was first (accepted: {accepted})");
    });
}

/// E02: however threads interleave, a number is taken once and none is left out.
#[test]
fn numbers_are_taken_once() {
    loom::model(|| {
        let sequence = Arc::new(Sequence::new(false, u64::from(u32::MAX) - 5));
        let threads = [2, 3].map(|count| {
            let sequence = Arc::clone(&sequence);
            thread::spawn(move || sequence.claim_up_to(count).collect::<Vec<_>>())
        });
        let here: Vec<_> = sequence.claim(2).map(Iterator::collect).unwrap_or_default();
        let mut taken: Vec<u64> = here;
        for thread in threads {
            taken.extend(thread.join().unwrap());
        }
        taken.sort_unstable();
        let first = u64::from(u32::MAX) - 4;
        assert_eq!(taken, (first..first + taken.len() as u64).collect::<Vec<_>>());
        assert!(taken.len() == 5 && sequence.claim(1).is_err(), "the last number is taken and none after it");
    });
}

//! Which addresses are this host's. A packet socket gets what is to be forwarded too, and that is nobody's to open here:
//! fragments of it must not take the ring away from us.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::route;

/// How long an answer holds: addresses come and go.
const HOLDS: Duration = Duration::from_secs(1);
const PLACES: usize = 16;
/// The kernel is asked so often in a run. What exceeds it counts as ours: a flood must not hide our own packets.
const QUESTIONS: usize = 8;

/// What the kernel said lately.
pub struct LocalAddresses {
    known: [Option<Answer>; PLACES],
    now: Instant,
    questions: usize,
}

#[derive(Clone, Copy)]
struct Answer {
    address: IpAddr,
    ours: bool,
    since: Instant,
}

impl LocalAddresses {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self { known: [None; PLACES], now: Instant::now(), questions: 0 }
    }

    /// A new run of packets.
    pub fn begin(&mut self, now: Instant) {
        (self.now, self.questions) = (now, 0);
    }

    /// Whether a packet to `address` is for this host, as its routing would decide.
    #[inline]
    pub fn has(&mut self, address: IpAddr) -> bool {
        let place = place(address);
        match self.known[place] {
            Some(answer) if answer.address == address && self.now - answer.since < HOLDS => answer.ours,
            _ => self.ask(address, place),
        }
    }

    #[cold]
    fn ask(&mut self, address: IpAddr, place: usize) -> bool {
        if self.questions == QUESTIONS {
            return true;
        }
        self.questions += 1;
        // Not by whether a socket can have it, which with `ip_nonlocal_bind` is always so.
        let ours = route::is_local(address).unwrap_or(true);
        self.known[place] = Some(Answer { address, ours, since: self.now });
        ours
    }
}

fn place(address: IpAddr) -> usize {
    let last = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    usize::from(last) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reserved (RFC 1112, section 4): no host has it, not even one that uses the networks for documentation.
    fn foreign(last: u8) -> IpAddr {
        [240, 0, 0, last].into()
    }

    #[test]
    fn loopback_is_ours_and_an_address_of_others_is_not() {
        let mut local = LocalAddresses::new();
        assert!(local.has([127, 0, 0, 1].into()) && !local.has(foreign(1)));
    }

    #[test]
    fn the_kernel_is_asked_once_a_second_for_an_address() {
        let mut local = LocalAddresses::new();
        let begin = Instant::now();
        for (after, asked) in [(0, 1), (999, 0), (1000, 1)] {
            local.begin(begin + Duration::from_millis(after));
            assert!(!local.has(foreign(2)) && !local.has(foreign(2)));
            assert_eq!(local.questions, asked);
        }
    }

    #[test]
    fn a_flood_to_many_addresses_costs_a_few_questions_and_the_rest_counts_as_ours() {
        let mut local = LocalAddresses::new();
        local.begin(Instant::now());
        let ours = (0..100).filter(|&last| local.has(foreign(last))).count();
        assert_eq!((ours, local.questions), (100 - QUESTIONS, QUESTIONS));
    }
}

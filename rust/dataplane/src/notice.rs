//! What the data plane tells the control plane: bounded queues and the eventfd that says they are not empty.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::counters::Counter;
use crate::ike::{Allowance, Standing};
use crate::sys::EventFd;

/// Something that happened to an SA, or to the data plane itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// The first authenticated packet on an inbound SA.
    FirstPacket,
    /// Soft octet limit crossed.
    SoftBytes,
    /// Hard octet limit crossed; the SA carries nothing more.
    HardBytes,
    /// Soft packet limit crossed.
    SoftPackets,
    /// Hard packet limit crossed.
    HardPackets,
    /// Three quarters of the sequence numbers are used.
    SequenceSoft,
    /// An authenticated packet came from another address than the SA's.
    PeerMoved,
    /// A worker panicked: the data plane has stopped and passes nothing.
    WorkerFailed,
}

impl NoticeKind {
    /// The word the control plane knows it by.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstPacket => "first_packet",
            Self::SoftBytes => "soft_bytes",
            Self::HardBytes => "hard_bytes",
            Self::SoftPackets => "soft_packets",
            Self::HardPackets => "hard_packets",
            Self::SequenceSoft => "sequence_soft",
            Self::PeerMoved => "peer_moved",
            Self::WorkerFailed => "worker_failed",
        }
    }
}

/// One item for the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An IKE message, without the non-ESP marker.
    Ike {
        /// Address and port it came to.
        local: SocketAddr,
        /// Address and port it came from.
        remote: SocketAddr,
        /// The message.
        data: Vec<u8>,
    },
    /// A policy without SA has traffic, or a worker that has no SA of its own for it.
    Acquire {
        /// The policy.
        policy_id: u64,
        /// Inner source.
        source: IpAddr,
        /// Inner destination.
        destination: IpAddr,
        /// Inner protocol.
        protocol: u8,
        /// Inner source port, 0 if none.
        source_port: u16,
        /// Inner destination port, 0 if none.
        destination_port: u16,
        /// The worker that asks for an SA of its own.
        worker: Option<u32>,
    },
    /// Something happened to an SA.
    Sa {
        /// What.
        kind: NoticeKind,
        /// SPI of the SA; 0 when it is about the data plane.
        spi: u32,
        /// The peer's address where it matters.
        remote: Option<SocketAddr>,
    },
    /// Somebody deleted a named interface: nothing is carried for it any more.
    InterfaceGone {
        /// Its name.
        name: String,
    },
}

/// IKE messages waiting at most, of IKE SAs there are and as many of strangers, who can fill their queue at will.
const IKE_MESSAGES: usize = 1024;
/// Octets of IKE messages waiting at most, of each.
const IKE_OCTETS: usize = 4 << 20;
/// Messages of strangers given at once, so that the control plane is soon back at everything else.
const STRANGERS: usize = 128;
/// Acquires and SA notices waiting at most.
const NOTICES: usize = 65_536;

#[derive(Default)]
struct IkeQueue {
    messages: VecDeque<Notice>,
    octets: usize,
}

impl IkeQueue {
    fn has_room(&self, length: usize) -> bool {
        self.messages.len() < IKE_MESSAGES && self.octets + length <= IKE_OCTETS
    }

    fn take(&mut self, at_most: usize) -> impl Iterator<Item = Notice> {
        let count = at_most.min(self.messages.len());
        let octets = &mut self.octets;
        self.messages.drain(..count).inspect(|message| {
            if let Notice::Ike { data, .. } = message {
                *octets -= data.len();
            }
        })
    }
}

struct Queues {
    notices: VecDeque<Notice>,
    known: IkeQueue,
    strangers: IkeQueue,
    allowance: Allowance,
}

impl Queues {
    fn new(now: Instant) -> Self {
        let notices = VecDeque::new();
        let (known, strangers) = (IkeQueue::default(), IkeQueue::default());
        Self { notices, known, strangers, allowance: Allowance::new(now) }
    }

    /// `way` is the address it came to, and the one it came from.
    fn add_ike(
        &mut self,
        standing: Standing,
        way: (SocketAddr, SocketAddr),
        data: &[u8],
        now: Instant,
    ) -> Result<(), Counter> {
        let queue = match standing {
            Standing::Known => &mut self.known,
            Standing::Stranger if self.allowance.take(now) => &mut self.strangers,
            Standing::Stranger => return Err(Counter::DropIkeRate),
        };
        if !queue.has_room(data.len()) {
            return Err(Counter::DropIkeQueueFull);
        }
        queue.octets += data.len();
        let (local, remote) = way;
        queue.messages.push_back(Notice::Ike { local, remote, data: data.to_vec() });
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.known.messages.is_empty() && self.strangers.messages.is_empty()
    }
}

/// The queues with their eventfd.
pub struct Notices {
    queues: Mutex<Queues>,
    event: EventFd,
}

impl Notices {
    /// Empty queues.
    pub fn new() -> io::Result<Self> {
        Ok(Self { queues: Mutex::new(Queues::new(Instant::now())), event: EventFd::new()? })
    }

    /// Readable while something waits.
    pub fn fd(&self) -> RawFd {
        self.event.fd()
    }

    /// Appends; false when the queue is full and the notice was dropped. That a worker failed is never dropped.
    pub fn push(&self, notice: Notice) -> bool {
        let vital = matches!(notice, Notice::Sa { kind: NoticeKind::WorkerFailed, .. });
        self.append(|queues| {
            let room = vital || queues.notices.len() < NOTICES;
            if room {
                queues.notices.push_back(notice);
            }
            room
        })
    }

    /// Appends a copy of an IKE message, or says why not.
    pub fn push_ike(&self, standing: Standing, way: (SocketAddr, SocketAddr), data: &[u8]) -> Result<(), Counter> {
        let mut result = Ok(());
        self.append(|queues| {
            result = queues.add_ike(standing, way, data, Instant::now());
            result.is_ok()
        });
        result
    }

    fn append(&self, add: impl FnOnce(&mut Queues) -> bool) -> bool {
        let mut queues = self.queues();
        let idle = queues.is_empty();
        let added = add(&mut queues);
        if idle && added {
            self.event.signal();
        }
        added
    }

    /// Takes what happened to SAs, then messages of IKE SAs there are, then some of strangers; the rest of these is left
    /// for the next time.
    pub fn drain(&self) -> Vec<Notice> {
        let mut queues = self.queues();
        let mut all: Vec<_> = queues.notices.drain(..).collect();
        all.extend(queues.known.take(usize::MAX));
        all.extend(queues.strangers.take(STRANGERS));
        if queues.is_empty() {
            self.event.clear();
        }
        all
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRY: Notice = Notice::Sa { kind: NoticeKind::SoftBytes, spi: 1, remote: None };

    /// Never so fast that the allowance is used up.
    fn push_ike(notices: &Notices, standing: Standing, size: usize) -> bool {
        let any: SocketAddr = "192.0.2.1:500".parse().unwrap();
        let result = notices.push_ike(standing, (any, any), &vec![0; size]);
        notices.queues().allowance = Allowance::new(Instant::now());
        result.is_ok()
    }

    fn readable(notices: &Notices) -> bool {
        let mut poll = libc::pollfd { fd: notices.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    #[test]
    fn a_flood_of_strangers_is_bounded_and_crowds_out_nothing_else() {
        let notices = Notices::new().unwrap();
        let accepted = (0..IKE_MESSAGES + 10).filter(|_| push_ike(&notices, Standing::Stranger, 100)).count();
        assert_eq!(accepted, IKE_MESSAGES);
        assert!(push_ike(&notices, Standing::Known, 40));
        assert!(notices.push(EXPIRY));
        let drained = notices.drain();
        assert_eq!(drained[0], EXPIRY);
        assert!(matches!(&drained[1], Notice::Ike { data, .. } if data.len() == 40));
        assert_eq!(drained.len(), 2 + STRANGERS);
    }

    #[test]
    fn what_was_left_keeps_the_descriptor_readable_and_makes_room() {
        let notices = Notices::new().unwrap();
        assert!(!readable(&notices));
        let pushed = STRANGERS + 1;
        assert!((0..pushed).all(|_| push_ike(&notices, Standing::Stranger, 100)));
        assert_eq!(notices.drain().len(), STRANGERS);
        assert!(readable(&notices));
        assert_eq!(notices.drain().len(), 1);
        assert!(!readable(&notices));
        assert!((0..IKE_MESSAGES).all(|_| push_ike(&notices, Standing::Stranger, IKE_OCTETS / IKE_MESSAGES)));
    }

    #[test]
    fn only_strangers_have_an_allowance() {
        let (mut queues, now) = (Queues::new(Instant::now()), Instant::now());
        let any: SocketAddr = "192.0.2.1:500".parse().unwrap();
        let mut add = |standing| queues.add_ike(standing, (any, any), b"message", now);
        while add(Standing::Stranger) != Err(Counter::DropIkeRate) {}
        assert_eq!(add(Standing::Known), Ok(()));
    }

    #[test]
    fn octets_are_bounded_too() {
        let notices = Notices::new().unwrap();
        for standing in [Standing::Known, Standing::Stranger] {
            let accepted = (0..200).filter(|_| push_ike(&notices, standing, 60_000)).count();
            assert_eq!(accepted, IKE_OCTETS / 60_000);
        }
    }

    #[test]
    fn of_very_many_notices_a_bounded_number_waits_and_the_failure_of_a_worker_always() {
        let notices = Notices::new().unwrap();
        assert_eq!((0..200_000).filter(|_| notices.push(EXPIRY)).count(), NOTICES);
        let failed = Notice::Sa { kind: NoticeKind::WorkerFailed, spi: 0, remote: None };
        assert!(notices.push(failed.clone()));
        assert_eq!(notices.drain().last(), Some(&failed));
    }
}

//! What the data plane tells the control plane: bounded queues and the eventfd that says they are not empty.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};

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
}

/// IKE messages waiting at most; an attacker can fill this queue, so it does not hold the notices.
const IKE_MESSAGES: usize = 1024;
/// Octets of IKE messages waiting at most.
const IKE_OCTETS: usize = 4 << 20;
/// Acquires and SA notices waiting at most.
const NOTICES: usize = 65_536;

#[derive(Default)]
struct Queues {
    notices: VecDeque<Notice>,
    ike: VecDeque<Notice>,
    ike_octets: usize,
}

/// Both queues with their eventfd.
pub struct Notices {
    queues: Mutex<Queues>,
    event: EventFd,
}

impl Notices {
    /// Empty queues.
    pub fn new() -> io::Result<Self> {
        Ok(Self { queues: Mutex::default(), event: EventFd::new()? })
    }

    /// Readable while something waits.
    pub fn fd(&self) -> RawFd {
        self.event.fd()
    }

    /// Appends; false when the queue is full and the item was dropped.
    pub fn push(&self, notice: Notice) -> bool {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = queues.notices.is_empty() && queues.ike.is_empty();
        if let Notice::Ike { data, .. } = &notice {
            if queues.ike.len() >= IKE_MESSAGES || queues.ike_octets + data.len() > IKE_OCTETS {
                return false;
            }
            queues.ike_octets += data.len();
            queues.ike.push_back(notice);
        } else {
            if queues.notices.len() >= NOTICES {
                return false;
            }
            queues.notices.push_back(notice);
        }
        if idle {
            self.event.signal();
        }
        true
    }

    /// Takes all; what happened to SAs comes before IKE messages.
    pub fn drain(&self) -> Vec<Notice> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        self.event.clear();
        queues.ike_octets = 0;
        let mut all: Vec<_> = queues.notices.drain(..).collect();
        all.extend(queues.ike.drain(..));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ike(size: usize) -> Notice {
        let any: SocketAddr = "192.0.2.1:500".parse().unwrap();
        Notice::Ike { local: any, remote: any, data: vec![0; size] }
    }

    #[test]
    fn a_flood_of_ike_is_bounded_and_does_not_crowd_out_notices() {
        let notices = Notices::new().unwrap();
        let accepted = (0..IKE_MESSAGES + 10).filter(|_| notices.push(ike(100))).count();
        assert_eq!(accepted, IKE_MESSAGES);
        let expiry = Notice::Sa { kind: NoticeKind::SoftBytes, spi: 1, remote: None };
        assert!(notices.push(expiry.clone()));
        assert_eq!(notices.drain()[0], expiry);
        assert!(notices.drain().is_empty());
    }

    #[test]
    fn octets_are_bounded_too() {
        let notices = Notices::new().unwrap();
        let accepted = (0..200).filter(|_| notices.push(ike(60_000))).count();
        assert_eq!(accepted, IKE_OCTETS / 60_000);
    }
}

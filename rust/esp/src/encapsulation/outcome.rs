//! Batches of packets, and what came of each packet of one.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::drop::Drop;

/// What came of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// It was encapsulated or decapsulated.
    Ok,
    /// A sequence number that is zero, seen before, or left of the window.
    Replayed,
    /// The ICV does not match.
    IcvMismatch,
    /// Too short, of an impossible length, or with headers that do not fit together.
    Malformed,
    /// Authentic, with padding that is not 1, 2, 3, …, or too long.
    BadPadding,
    /// Authentic, and to be discarded (RFC 4303 2.6).
    Dummy,
    /// Authentic, and not what the SA is for (RFC 4301 5.2).
    SelectorMismatch,
    /// No sequence number was left.
    SequenceExhausted,
    /// For another SA.
    WrongSpi,
    /// A fragment where only whole datagrams are taken.
    Fragment,
    /// The outer header says congestion and the inner transport does not understand it (RFC 6040 4.2).
    EcnIllegal,
    /// The SA's packets or octets are used up.
    LimitReached,
    /// The result would be longer than an IP packet can be.
    TooLong,
    /// No ESP: another protocol, an IKE message, a NAT keepalive.
    NotEsp,
}

impl Status {
    /// Every status, in the order of their codes.
    pub const ALL: [Self; 14] = [
        Self::Ok,
        Self::Replayed,
        Self::IcvMismatch,
        Self::Malformed,
        Self::BadPadding,
        Self::Dummy,
        Self::SelectorMismatch,
        Self::SequenceExhausted,
        Self::WrongSpi,
        Self::Fragment,
        Self::EcnIllegal,
        Self::LimitReached,
        Self::TooLong,
        Self::NotEsp,
    ];

    /// A word for counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Replayed => "replayed",
            Self::IcvMismatch => "icv_mismatch",
            Self::Malformed => "malformed",
            Self::BadPadding => "bad_padding",
            Self::Dummy => "dummy",
            Self::SelectorMismatch => "selector_mismatch",
            Self::SequenceExhausted => "sequence_exhausted",
            Self::WrongSpi => "wrong_spi",
            Self::Fragment => "fragment",
            Self::EcnIllegal => "ecn_illegal",
            Self::LimitReached => "limit_reached",
            Self::TooLong => "too_long",
            Self::NotEsp => "not_esp",
        }
    }
}

impl From<Drop> for Status {
    fn from(reason: Drop) -> Self {
        match reason {
            Drop::Malformed => Self::Malformed,
            Drop::Replayed => Self::Replayed,
            Drop::IcvMismatch => Self::IcvMismatch,
            Drop::BadPadding => Self::BadPadding,
            Drop::Dummy => Self::Dummy,
        }
    }
}

/// Packets one behind the other in one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packets {
    pub(crate) octets: Vec<u8>,
    /// Where each packet begins, and at the end where the last one ends.
    pub(crate) offsets: Vec<usize>,
}

impl Default for Packets {
    fn default() -> Self {
        Self { octets: Vec::new(), offsets: vec![0] }
    }
}

impl Packets {
    /// A buffer as packets of these lengths. None unless they add up to it.
    pub fn cut(octets: Vec<u8>, lengths: &[usize]) -> Option<Self> {
        let mut offsets = Vec::with_capacity(lengths.len() + 1);
        offsets.push(0);
        let mut end = 0_usize;
        for len in lengths {
            end = end.checked_add(*len)?;
            offsets.push(end);
        }
        (end == octets.len()).then_some(Self { octets, offsets })
    }

    /// Adds a packet.
    pub fn push(&mut self, packet: &[u8]) {
        self.octets.extend_from_slice(packet);
        self.offsets.push(self.octets.len());
    }

    /// Adds a packet of `len` octets that `write` writes over zeros; none where it fails.
    pub fn push_with<E>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
        let start = self.octets.len();
        self.octets.resize(start + len, 0);
        let result = write(&mut self.octets[start..]);
        match result {
            Ok(()) => self.offsets.push(self.octets.len()),
            Err(_) => self.octets.truncate(start),
        }
        result
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The packet at `index`, or None behind the last.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.octets.get(*self.offsets.get(index)?..*self.offsets.get(index + 1)?)
    }

    /// The packets in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.offsets.windows(2).map(|bounds| &self.octets[bounds[0]..bounds[1]])
    }

    pub(crate) fn some(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> + Clone {
        self.offsets[range.start..=range.end].windows(2).map(|bounds| &self.octets[bounds[0]..bounds[1]])
    }

    /// All octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Where each packet begins, and where the last one ends.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The buffer, to be used again.
    pub fn into_octets(self) -> Vec<u8> {
        self.octets
    }

    pub(crate) fn clear(&mut self) {
        self.octets.clear();
        self.offsets.truncate(1);
    }
}

/// What came of a batch: as many packets as went in, those that failed empty. Used again, it keeps its memory.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The packets.
    pub packets: Packets,
    /// What came of each.
    pub statuses: Vec<Status>,
    /// The next header of each; 0 where it failed.
    pub next_headers: Vec<u8>,
    /// The sequence number of each, 64 bits wide with ESN; 0 where it failed.
    pub sequence_numbers: Vec<u64>,
    pub(crate) plans: Vec<Plan>,
}

/// Where the parts of a packet lie.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// Octets before ESP in the packet that is being made or taken apart.
    pub(crate) front: usize,
    /// Octets of ESP (or, before it is made, of payload).
    pub(crate) len: usize,
    /// Where ESP begins in what was received.
    pub(crate) at: usize,
}

impl Outcome {
    /// Nothing yet, with memory for packets.
    pub fn with_buffer(buffer: Vec<u8>) -> Self {
        let packets = Packets { octets: buffer, ..Packets::default() };
        Self { packets, ..Self::default() }
    }

    /// Gives sequence numbers to what was planned; what gets none fails.
    pub(crate) fn number(&mut self, claim: impl FnOnce(u64) -> Range<u64>) {
        let wanted = self.statuses.iter().filter(|status| **status == Status::Ok).count();
        let mut numbers = claim(wanted as u64);
        for (status, next_header) in self.statuses.iter_mut().zip(&mut self.next_headers) {
            let number = if *status == Status::Ok { numbers.next() } else { None };
            if *status == Status::Ok && number.is_none() {
                *status = Status::SequenceExhausted;
            }
            if *status != Status::Ok {
                *next_header = 0;
            }
            self.sequence_numbers.push(number.unwrap_or(0));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.packets.clear();
        self.statuses.clear();
        self.next_headers.clear();
        self.sequence_numbers.clear();
        self.plans.clear();
    }
}

/// What an SA has done so far, by status. Octets are counted alike on both sides: those of inner packets in tunnel mode, those
/// behind the IP headers in transport mode; neither padding nor dummies.
#[derive(Debug, Default)]
pub struct Counters {
    by_status: [AtomicU64; Status::ALL.len()],
    octets: AtomicU64,
    ecn_anomalies: AtomicU64,
}

impl Counters {
    /// Packets with that status.
    pub fn packets(&self, status: Status) -> u64 {
        self.by_status[status as usize].load(Relaxed)
    }

    /// Octets that were carried.
    pub fn octets(&self) -> u64 {
        self.octets.load(Relaxed)
    }

    /// Packets whose ECN fields should not meet (RFC 6040 4.2), dropped or not.
    pub fn ecn_anomalies(&self) -> u64 {
        self.ecn_anomalies.load(Relaxed)
    }

    pub(crate) fn count(&self, statuses: &[Status], octets: u64, ecn_anomalies: u64) {
        let mut counts = [0_u64; Status::ALL.len()];
        for status in statuses {
            counts[*status as usize] += 1;
        }
        for (counter, count) in self.by_status.iter().zip(counts).filter(|(_, count)| *count > 0) {
            counter.fetch_add(count, Relaxed);
        }
        self.octets.fetch_add(octets, Relaxed);
        if ecn_anomalies > 0 {
            self.ecn_anomalies.fetch_add(ecn_anomalies, Relaxed);
        }
    }
}

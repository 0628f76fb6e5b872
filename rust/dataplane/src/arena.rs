//! The transmit arena: sealed packets side by side, in runs of equal size on one path, each run one message.

mod plain;

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

use ironswan_esp::Job;

use crate::counters::Counter;
use crate::egress::Outlet;
use crate::endpoint::{Control, Endpoint};
use crate::outbound::OutboundEntry;
use crate::sys;
use crate::tally::Batch;
use crate::turn::SendTurn;
use crate::udp::{self, UdpSocket};

const OCTETS: usize = 256 << 10;
/// Messages of one sendmmsg at most.
const RUNS: usize = 32;
/// SAs whose sequence numbers are held back from other workers at most.
const TURNS: usize = 64;
/// `UDP_MAX_SEGMENTS` of the kernels that have the smallest.
const SEGMENTS: usize = 64;
/// Octets of one UDP datagram over IPv4 at most, which bounds the whole run.
const RUN_OCTETS: usize = 65_507;
/// Packets that may wait to be sealed without the list of them having to grow.
const PLANNED: usize = 1024;
/// Packets sealed together.
const SIDE_BY_SIDE: usize = 64;
/// An IPv6 header.
const LONGEST_FRONT: usize = 40;
/// How long a full socket buffer may hold us up.
const BLOCKED_MS: i32 = 20;

/// Packets of `segment` octets from `start`; the last may be shorter. They may be of several SAs with one path.
struct Run {
    turn: usize,
    start: usize,
    length: usize,
    segment: usize,
    count: usize,
    open: bool,
    /// The DS field of their outer headers.
    class: u8,
    /// Packets of more than one SA.
    mixed: bool,
}

/// An SA that packets were sealed for, and the path they take.
struct Turn {
    right: SendTurn,
    endpoint: Arc<Endpoint>,
    /// The first of the turns in a row with the same path.
    path: usize,
}

/// A packet that waits to be sealed.
struct Planned {
    turn: usize,
    at: Range<usize>,
    sequence_number: u64,
}

/// Packets not yet sent, sealed or, where several at once are faster, only planned.
pub struct Arena {
    octets: Vec<u8>,
    used: usize,
    planned: Vec<Planned>,
    runs: Vec<Run>,
    turns: Vec<Turn>,
    current: usize,
    /// Of the next IPv4 packet that is plain ESP.
    identification: u16,
    /// A full queue has held up the flush under way, which it may once: others wait for the turns meanwhile.
    waited: Cell<bool>,
}

impl Default for Arena {
    fn default() -> Self {
        let octets = vec![0; OCTETS];
        let (runs, planned) = (Vec::with_capacity(RUNS), Vec::with_capacity(PLANNED));
        Self {
            octets,
            used: 0,
            planned,
            runs,
            turns: Vec::new(),
            current: 0,
            identification: 0,
            waited: Cell::default(),
        }
    }
}

impl Arena {
    /// Nothing in it; its IPv4 packets of plain ESP are numbered from here.
    pub fn numbering_from(identification: u16) -> Self {
        Self { identification, ..Self::default() }
    }

    /// Makes room for packets of `length` octets of `entry`, whose sequence numbers are ours to take until the next flush.
    /// False when the data plane was stopped while another worker had them.
    pub fn reserve(&mut self, entry: &Arc<OutboundEntry>, packets: usize, length: usize, outlet: &Outlet<'_>) -> bool {
        let octets = packets * (length + LONGEST_FRONT);
        if self.used + octets > self.octets.len() || self.runs.len() + 2 > RUNS {
            self.flush(outlet);
        }
        if octets > self.octets.len() {
            // A frame of very many very small segments; it happens once at most for a given segment size.
            self.octets.resize(octets, 0);
        }
        if self.turns.get(self.current).is_some_and(|turn| Arc::ptr_eq(turn.right.entry(), entry)) {
            return true;
        }
        let turn = if let Some(turn) = SendTurn::try_take(entry) {
            turn
        } else if let Some(position) = self.turns.iter().position(|turn| Arc::ptr_eq(turn.right.entry(), entry)) {
            self.current = position;
            return true;
        } else {
            self.flush(outlet);
            let Some(turn) = SendTurn::take(entry, &outlet.shared.stopped) else { return false };
            turn
        };
        if self.turns.len() == TURNS {
            self.flush(outlet);
        }
        self.begin(turn, outlet);
        true
    }

    fn begin(&mut self, right: SendTurn, outlet: &Outlet<'_>) {
        let endpoint = right.entry().endpoint.load_full();
        self.current = self.turns.len();
        // A receiver with several workers gives a run to one of them by its first SPI, and others may have earlier packets of the
        // SAs behind it. Whoever has several workers himself may well have such a peer, and makes runs of one SA.
        let alone = outlet.shared.stations.len() == 1;
        let last = self.turns.last().filter(|last| alone && *last.endpoint == *endpoint);
        let path = last.map_or(self.current, |last| last.path);
        self.turns.push(Turn { right, endpoint, path });
    }

    /// The place of the next packet of the SA reserved for, which gets this DS field outside.
    #[inline]
    pub fn place(&mut self, length: usize, class: u8) -> &mut [u8] {
        let Turn { endpoint, path, .. } = &self.turns[self.current];
        if let Some(header) = endpoint.header() {
            let (start, front) = (self.used, header.length());
            self.used += front + length;
            self.runs.push(Run {
                turn: self.current,
                start,
                length: front + length,
                segment: 0,
                count: 1,
                open: false,
                class,
                mixed: false,
            });
            let (before, packet) = self.octets[start..self.used].split_at_mut(front);
            header.write(before, length, self.identification, class);
            self.identification = self.identification.wrapping_add(1);
            return packet;
        }
        let (path, start) = (*path, self.used);
        self.used += length;
        match self.runs.last_mut() {
            Some(run) if run.takes(length, class) && self.turns[run.turn].path == path => {
                run.length += length;
                run.count += 1;
                run.open = length == run.segment;
                run.mixed |= run.turn != self.current;
            }
            _ => {
                let turn = self.current;
                self.runs.push(Run { turn, start, length, segment: length, count: 1, open: true, class, mixed: false });
            }
        }
        &mut self.octets[start..start + length]
    }

    /// Leaves the packet placed last, `length` octets that are planned, to be sealed beside those after it.
    #[inline]
    pub fn seal_later(&mut self, length: usize, sequence_number: u64) {
        self.planned.push(Planned { turn: self.current, at: self.used - length..self.used, sequence_number });
    }

    /// Seals what waits, packets of one SA side by side.
    fn seal(&mut self) {
        let (mut rest, mut position) = (self.octets.as_mut_slice(), 0);
        for planned in self.planned.chunk_by(|one, next| one.turn == next.turn).flat_map(|run| run.chunks(SIDE_BY_SIDE))
        {
            let mut jobs: [Job<'_>; SIDE_BY_SIDE] =
                std::array::from_fn(|_| Job { sequence_number: 0, packet: &mut [] });
            for (job, Planned { at, sequence_number, .. }) in jobs.iter_mut().zip(planned) {
                let (packet, behind) = rest.split_at_mut(at.start - position).1.split_at_mut(at.len());
                (rest, position) = (behind, at.end);
                *job = Job { sequence_number: *sequence_number, packet };
            }
            self.turns[planned[0].turn].right.entry().sa.seal_planned(&mut jobs[..planned.len()]);
        }
        self.planned.clear();
    }

    /// Sends all runs and gives the turns back.
    pub fn flush(&mut self, outlet: &Outlet<'_>) {
        self.seal();
        self.waited.set(false);
        let way = |run: &Run| {
            let endpoint = &self.turns[run.turn].endpoint;
            (endpoint.remote.is_ipv6(), endpoint.header().is_some(), endpoint.own_port)
        };
        for batch in self.runs.chunk_by(|one, next| way(one) == way(next)) {
            let (v6, plain, _) = way(&batch[0]);
            match (outlet.socket(&self.turns[batch[0].turn].endpoint), outlet.plain) {
                (_, Some(sockets)) if plain => self.send_plain(batch, sockets, v6, outlet),
                (Some(socket), _) if !plain => batch.chunks(RUNS).for_each(|runs| self.send(runs, socket, outlet)),
                _ => batch.iter().for_each(|run| self.drop(run, Counter::DropSendFailed, run.count, outlet)),
            }
        }
        self.discard();
    }

    /// Forgets what was not sent and gives the turns back. After a panic nothing else will do: a run may hold a packet that was
    /// placed and not sealed.
    pub fn discard(&mut self) {
        self.planned.clear();
        self.runs.clear();
        self.turns.clear();
        self.used = 0;
    }

    /// By `socket` if it only sends; else by the line to their peer, when all have the same one, and by `socket` when that fails.
    /// Not now by one and now by another: queues that are fair to sockets would let a packet overtake others of its SA.
    fn send(&self, runs: &[Run], socket: &UdpSocket, outlet: &Outlet<'_>) {
        let line = |run: &Run| self.turns[run.turn].endpoint.line();
        let first = runs.first().filter(|_| !socket.only_sends).and_then(line);
        let alone = first.filter(|first| runs.iter().all(|run| line(run).is_some_and(|line| Arc::ptr_eq(line, first))));
        let sent = alone.map_or(0, |line| self.send_by(&line.socket, true, runs, outlet));
        if sent < runs.len() {
            self.send_by(socket, false, &runs[sent..], outlet);
        }
    }

    /// How many of them are done with. On a line that ends where it fails: errors there are also those of other packets before.
    fn send_by(&self, socket: &UdpSocket, line: bool, runs: &[Run], outlet: &Outlet<'_>) -> usize {
        // Not written before they are used: most calls send one run.
        let mut controls = [const { MaybeUninit::<Control>::uninit() }; RUNS];
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; RUNS];
        let mut messages = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; RUNS];
        let mut whole = [true; RUNS];
        for (index, run) in runs.iter().enumerate() {
            let Turn { right, endpoint, .. } = &self.turns[run.turn];
            let control = controls[index].write(if line { Control::default() } else { endpoint.control });
            if run.class != 0 {
                control.push_class(endpoint.remote.is_ipv6(), run.class);
            }
            if run.count > 1 {
                let entry = right.entry();
                // Only the socket that sends them singly counts them.
                let may = if line { !entry.is_refused_segmentation() } else { entry.may_segment() };
                whole[index] = outlet.shared.segmentation && may;
                control.push_segment_size(run.segment as u16);
            }
            let octets = &self.octets[run.start..run.start + run.length];
            let vector = std::slice::from_mut(vectors[index].write(sys::vector(octets)));
            let remote = (!line).then_some(&endpoint.raw_remote);
            messages[index].write(libc::mmsghdr { msg_hdr: udp::header(remote, control, vector), msg_len: 0 });
        }
        self.send_messages((socket, line), runs, &mut messages, &mut whole, outlet)
    }

    /// As `send_by`, with a message for each run, of which those that are not `whole` go out one packet after the other.
    #[inline]
    fn send_messages(
        &self,
        (socket, line): (&UdpSocket, bool),
        runs: &[Run],
        messages: &mut [MaybeUninit<libc::mmsghdr>; RUNS],
        whole: &mut [bool; RUNS],
        outlet: &Outlet<'_>,
    ) -> usize {
        let mut next = 0;
        while next < runs.len() {
            if !whole[next] {
                if line {
                    return next;
                }
                self.send_singly(&runs[next], socket, outlet);
                next += 1;
                continue;
            }
            let upto = next + whole[next..runs.len()].iter().take_while(|whole| **whole).count();
            outlet.counters.count(Counter::UdpSendCalls);
            let (first, count) = (messages[next..upto].as_mut_ptr().cast(), (upto - next) as u32);
            // SAFETY: headers `next..upto` are written and point to names, controls and octets that stay during the call.
            let sent = unsafe { libc::sendmmsg(socket.fd(), first, count, libc::MSG_DONTWAIT) };
            if let Ok(sent @ 1..) = usize::try_from(sent) {
                outlet.counters.add(Counter::UdpRuns, sent);
                let sent = next..next + sent;
                runs[sent.clone()].iter().for_each(|run| outlet.counters.batches.count(Batch::SendRun, run.count));
                next = sent.end;
                continue;
            }
            let run = &runs[next];
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::ENOBUFS) if self.wait_once(socket) => {}
                Some(libc::EAGAIN | libc::ENOBUFS) => {
                    self.drop(run, Counter::DropSendBlocked, run.count, outlet);
                    next += 1;
                }
                _ if line => return next,
                // The device cannot checksum, or the path carries less than a segment: the kernel will not cut.
                Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE) if run.count > 1 => {
                    self.turns[run.turn].right.entry().segmentation_refused();
                    whole[next] = false;
                }
                _ => {
                    self.drop(run, Counter::DropSendFailed, run.count, outlet);
                    next += 1;
                }
            }
        }
        next
    }

    fn send_singly(&self, run: &Run, socket: &UdpSocket, outlet: &Outlet<'_>) {
        let endpoint = &self.turns[run.turn].endpoint;
        let control = run.control(endpoint);
        outlet.counters.count(Counter::SegmentationFallbacks);
        for packet in self.octets[run.start..run.start + run.length].chunks(run.segment) {
            outlet.counters.count(Counter::UdpSendCalls);
            let send = || socket.send(&endpoint.raw_remote, &control, &[packet]);
            let again = |error| if is_full(&error) && self.wait_once(socket) { send() } else { Err(error) };
            let result = send().or_else(again);
            match result {
                Ok(()) => {
                    outlet.counters.count(Counter::UdpRuns);
                    outlet.counters.batches.count(Batch::SendRun, 1);
                }
                Err(error) if is_full(&error) => self.drop(run, Counter::DropSendBlocked, 1, outlet),
                Err(_) => self.drop(run, Counter::DropSendFailed, 1, outlet),
            }
        }
    }

    /// Waits for room in the socket's buffer; false when this flush has waited already. There may be room although the socket
    /// does not count as writable yet: it does when its buffer is half empty.
    #[cold]
    fn wait_once(&self, socket: &UdpSocket) -> bool {
        let first = !self.waited.replace(true);
        if first {
            socket.wait_writable(BLOCKED_MS);
        }
        first
    }

    /// Counts packets of a run that the kernel did not take. Of a mixed run nobody knows whose they were.
    #[cold]
    fn drop(&self, run: &Run, reason: Counter, packets: usize, outlet: &Outlet<'_>) {
        outlet.counters.add(reason, packets);
        if !run.mixed {
            self.turns[run.turn].right.entry().drops.add(reason, packets);
        }
    }
}

/// Whether the buffer of the socket, or the queue of the device, had no room.
fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS))
}

impl Run {
    /// The control messages of its packets sent singly.
    fn control(&self, endpoint: &Endpoint) -> Control {
        endpoint.control.with_class(endpoint.remote.is_ipv6(), self.class)
    }

    fn takes(&self, length: usize, class: u8) -> bool {
        self.open
            && class == self.class
            && length <= self.segment
            && self.count < SEGMENTS
            && self.length + length <= RUN_OCTETS
    }
}

#[cfg(test)]
#[path = "arena_tests.rs"]
mod tests;

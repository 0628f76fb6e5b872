//! UDP to TUN: sort IKE, keepalives and ESP apart, open in place, check selectors, merge, write.

mod inner;
mod plain;
mod scout;
mod sink;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::Guard;
use ironswan_esp::{Drop as Reject, Opened};

use crate::coalesce::Coalescer;
use crate::counters::Counter;
use crate::device::Device;
use crate::egress::Outlet;
use crate::flow::Flow;
use crate::inbound::{InboundEntry, worker_of};
use crate::mss;
use crate::notice::{Notice, NoticeKind};
use crate::round::Round;
use crate::tally::Batch;
use crate::transport::Room;
use crate::tun::Offloads;
use crate::udp::{MESSAGE_LEN, MESSAGES, Receiver, SPARE, UdpSocket};

use inner::inner;
pub use plain::PlainInlet;
use scout::Scout;
use sink::{TunSink, VECTORS, sink, turn_to};

const KEEPALIVE: [u8; 1] = [0xff];
/// Packets opened together when that saves only the window's lock: few, so that they stay in the innermost cache.
const TOGETHER: usize = 8;
/// Packets opened together when the suite works on several at once.
const SIDE_BY_SIDE: usize = 32;
/// Receives before the other sockets have their turn.
const RECEIVES: usize = 2;

/// One worker's inbound side.
pub struct Ingress {
    receiver: Receiver,
    coalescer: Coalescer,
    room: Room,
    vectors: Vec<libc::iovec>,
}

/// Consecutive packets of one SA within one message.
struct Run<'a> {
    spi: u32,
    entry: Option<Guard<Option<Arc<InboundEntry>>>>,
    expired: bool,
    flow: Option<Flow>,
    /// The low half of the highest sequence number among those that were authentic, if any was.
    newest: Option<u32>,
    /// The DS field of the outer headers, and whether inner packets may change by it.
    class: u8,
    class_matters: bool,
    /// What was handed on.
    packets: u64,
    octets: u64,
    outlet: &'a Outlet<'a>,
}

/// Datagrams in the receive buffer, each `segment` octets long but the last.
struct Datagrams {
    at: Range<usize>,
    segment: usize,
}

impl Ingress {
    /// Merges as far as the TUN's offloads allow.
    #[must_use]
    pub fn new(offloads: Offloads) -> Self {
        let coalescer = Coalescer::new(offloads.tcp, offloads.udp);
        Self { receiver: Receiver::default(), coalescer, room: Room::new(SPARE), vectors: Vec::with_capacity(VECTORS) }
    }

    /// Carries what waits in the socket, up to a bound.
    pub fn run(&mut self, socket: &UdpSocket, device: &Arc<Device>, outlet: &Outlet<'_>) -> io::Result<Round> {
        let mut round = Round::default();
        for _ in 0..RECEIVES {
            let count = self.receiver.receive(socket.fd())?;
            outlet.counters.count(Counter::UdpReceiveCalls);
            outlet.counters.add(Counter::UdpMessages, count);
            round.pieces += count;
            let mut scout = Scout::new(outlet, count, &self.receiver);
            let mut sink = self.sink(device, outlet);
            for index in 0..count {
                round.octets += self.receiver.received(index).length;
                round.packets += self.take_message(index, socket, &mut scout, &mut sink, outlet);
            }
            self.close(sink);
            if count < MESSAGES {
                return Ok(round);
            }
        }
        round.more = true;
        Ok(round)
    }

    /// How many datagrams it had.
    fn take_message(
        &mut self,
        index: usize,
        socket: &UdpSocket,
        scout: &mut Scout<'_>,
        sink: &mut TunSink<'_>,
        outlet: &Outlet<'_>,
    ) -> usize {
        let received = self.receiver.received(index);
        let Some(remote) = self.receiver.remote(index) else {
            outlet.counters.count(Counter::DropRunt);
            return 1;
        };
        if received.truncated {
            outlet.counters.count(Counter::DropTruncated);
            return 1;
        }
        let message = index * MESSAGE_LEN..index * MESSAGE_LEN + received.length;
        let (mut run, class) = (Run::new(outlet), self.receiver.class(index));
        let mut datagrams = 0;
        let mut start = message.start;
        while start < message.end || datagrams == 0 {
            let end = message.end.min(start + received.segment);
            let mut taken = start..end;
            match &self.receiver.octets[taken.clone()] {
                data if !socket.esp => self.take_ike(index, data, socket, remote, outlet),
                [0, 0, 0, 0, ike @ ..] => self.take_ike(index, ike, socket, remote, outlet),
                [a, b, c, d, ..] => {
                    run.enter(u32::from_be_bytes([*a, *b, *c, *d]), class, Some(remote));
                    if let Some(entry) = run.entry() {
                        let Self { receiver, room, coalescer, .. } = self;
                        turn_to(entry, &mut receiver.octets, room, coalescer, sink);
                    }
                    taken.end = start + run.stretch(&self.receiver.octets[start..message.end], received.segment);
                    let packets = Datagrams { at: taken.clone(), segment: received.segment };
                    if !self.room.has(taken.len(), taken.len().div_ceil(received.segment)) {
                        self.flush(sink);
                    }
                    run.open(&mut self.receiver.octets, &packets, &mut self.room, &mut self.coalescer, sink);
                }
                data if data == KEEPALIVE => outlet.counters.count(Counter::Keepalives),
                _ => outlet.counters.count(Counter::DropRunt),
            }
            let count = taken.len().div_ceil(received.segment.max(1)).max(1);
            (0..count).for_each(|_| scout.step(&self.receiver));
            datagrams += count;
            start = taken.end;
        }
        run.finish(Some(remote));
        outlet.counters.add(Counter::UdpDatagrams, datagrams);
        outlet.counters.batches.count(Batch::ReceivedMessage, datagrams);
        datagrams
    }

    fn sink<'a>(&mut self, device: &Arc<Device>, outlet: &'a Outlet<'_>) -> TunSink<'a> {
        self.coalescer.merge(outlet.shared.refused.leaves(device.tun.offloads));
        sink(device, outlet, std::mem::take(&mut self.vectors))
    }

    fn close(&mut self, mut sink: TunSink<'_>) {
        self.flush(&mut sink);
        self.vectors = sink.vectors;
    }

    /// Hands on all that was opened, so that nothing of the batch is needed any more.
    fn flush(&mut self, sink: &mut TunSink<'_>) {
        let merged = self.coalescer.flush(&mut self.receiver.octets, sink);
        sink.counters.add(Counter::Coalesced, merged);
        self.room.clear();
    }

    fn take_ike(&self, index: usize, data: &[u8], socket: &UdpSocket, remote: SocketAddr, outlet: &Outlet<'_>) {
        let Some(standing) = outlet.shared.ike_spis.standing(data) else {
            let reason = if data.is_empty() { Counter::DropRunt } else { Counter::DropIkeMalformed };
            outlet.counters.count(reason);
            return;
        };
        let address: IpAddr = self.receiver.local_address(index).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let local = SocketAddr::new(address, socket.port);
        outlet.counters.count(Counter::IkeDatagrams);
        if let Err(reason) = outlet.shared.notices.push_ike(standing, (local, remote), data) {
            outlet.counters.count(reason);
        }
    }
}

impl<'a> Run<'a> {
    fn new(outlet: &'a Outlet<'a>) -> Self {
        let (class, class_matters) = (0, false);
        Self {
            spi: 0,
            entry: None,
            expired: false,
            flow: None,
            newest: None,
            class,
            class_matters,
            packets: 0,
            octets: 0,
            outlet,
        }
    }

    /// The packets that follow have this SPI, and this DS field outside.
    #[inline]
    fn enter(&mut self, spi: u32, class: u8, remote: Option<SocketAddr>) {
        if spi != self.spi {
            self.finish(remote);
            self.begin(spi);
        }
        self.class = class;
        self.class_matters = self.entry().is_some_and(|entry| entry.from_outer.matters(class));
    }

    /// Octets of the datagrams at the front of `octets` that have the SPI entered and are opened together.
    #[inline]
    fn stretch(&self, octets: &[u8], segment: usize) -> usize {
        let most = match self.entry() {
            Some(entry) if entry.sa.is_side_by_side() => SIDE_BY_SIDE,
            _ => TOGETHER,
        };
        let spi = self.spi.to_be_bytes();
        let count = octets.chunks(segment).take(most).take_while(|packet| packet.starts_with(&spi)).count();
        octets.len().min(count * segment)
    }

    /// Opens ESP packets of the SPI entered, and hands on those about which everything is right.
    fn open(
        &mut self,
        octets: &mut [u8],
        packets: &Datagrams,
        room: &mut Room,
        coalescer: &mut Coalescer,
        sink: &mut TunSink<'_>,
    ) {
        let counters = self.outlet.counters;
        let count = packets.at.len().div_ceil(packets.segment);
        let Some(entry) = self.entry.as_ref().and_then(|guard| guard.as_ref()) else {
            counters.add(Counter::DropUnknownSpi, count);
            return;
        };
        if self.expired {
            self.drop(Counter::DropSaExpired, count);
            return;
        }
        if count == 1 {
            let opened = entry.sa.open_in_place(&mut octets[packets.at.clone()]);
            if let Some(inner) = self.accept(octets, packets.at.start, &opened, room) {
                coalescer.push(octets, inner, sink);
            }
            return;
        }
        // What lies ready for results is written for every batch: no more than there can be.
        if count <= TOGETHER {
            self.open_together::<TOGETHER>(octets, packets, room, coalescer, sink);
        } else {
            self.open_together::<SIDE_BY_SIDE>(octets, packets, room, coalescer, sink);
        }
    }

    /// Opens at most `N` packets of the SA entered.
    #[inline]
    fn open_together<const N: usize>(
        &mut self,
        octets: &mut [u8],
        packets: &Datagrams,
        room: &mut Room,
        coalescer: &mut Coalescer,
        sink: &mut TunSink<'_>,
    ) {
        let Some(entry) = self.entry() else { return };
        let count = packets.at.len().div_ceil(packets.segment);
        let mut batch: [&mut [u8]; N] = std::array::from_fn(|_| Default::default());
        let mut results: [_; N] = std::array::from_fn(|_| Err(Reject::Malformed));
        for (packet, octets) in batch.iter_mut().zip(octets[packets.at.clone()].chunks_mut(packets.segment)) {
            *packet = octets;
        }
        entry.sa.open_batch(&mut batch[..count], &mut results[..count]);
        for (opened, start) in results[..count].iter().zip(packets.at.clone().step_by(packets.segment)) {
            if let Some(inner) = self.accept(octets, start, opened, room) {
                coalescer.push(octets, inner, sink);
            }
        }
    }

    /// Where the inner packet of the ESP packet at `start` lies, when everything about it is right.
    #[inline]
    fn accept(
        &mut self,
        octets: &mut [u8],
        start: usize,
        opened: &Result<Opened, Reject>,
        room: &mut Room,
    ) -> Option<Range<usize>> {
        let opened = match opened {
            Ok(opened) => opened,
            Err(reject) => {
                if *reject == Reject::Dummy {
                    // Authentic, and therefore a sign that the peer is there and uses the SA.
                    self.hear(octets[start + 4..].first_chunk().map_or(0, |low| u32::from_be_bytes(*low)));
                }
                self.drop((*reject).into(), 1);
                return None;
            }
        };
        self.hear(opened.sequence_number as u32);
        let payload = start + opened.range.start..start + opened.range.end;
        let upper_len = payload.len();
        let inner = match &self.entry()?.rebuild {
            None => inner(octets, payload, opened.next_header).map(|(flow, packet)| (flow, packet.len(), packet)),
            Some(rebuild) => rebuild
                .packet(octets, payload, opened.next_header, self.class, room)
                .and_then(|packet| Some((Flow::read(&octets[packet.clone()])?, upper_len, packet))),
        };
        let Some((flow, octets_carried, packet)) = inner else {
            self.drop(Counter::DropBadInner, 1);
            return None;
        };
        if self.flow != Some(flow) {
            if !self.entry()?.selectors.match_inbound(&flow) {
                self.drop(Counter::DropSelectorMismatch, 1);
                return None;
            }
            self.flow = Some(flow);
        }
        if self.class_matters && !self.entry()?.from_outer.give(&mut octets[packet.clone()], self.class) {
            self.drop(Counter::DropEcnIllegal, 1);
            return None;
        }
        let most = self.outlet.shared.mss_mtu.load(Relaxed).min(self.entry()?.mss_mtu.load(Relaxed) as usize);
        mss::clamp(&mut octets[packet.clone()], &flow, most, false);
        room.keep(&packet);
        self.packets += 1;
        self.octets += octets_carried as u64;
        Some(packet)
    }

    /// An authentic packet of the SA entered has this low half of a sequence number.
    #[inline]
    fn hear(&mut self, low: u32) {
        // A window is far smaller than half of what 32 bits count: the difference says which of two is the later one.
        if self.newest.is_none_or(|newest| low.wrapping_sub(newest).cast_signed() > 0) {
            self.newest = Some(low);
        }
    }

    /// Counts what the SA entered drops.
    fn drop(&self, reason: Counter, packets: usize) {
        self.outlet.counters.add(reason, packets);
        if let Some(entry) = self.entry() {
            entry.drops.add(reason, packets);
        }
    }

    #[inline]
    fn entry(&self) -> Option<&Arc<InboundEntry>> {
        self.entry.as_ref().and_then(|guard| guard.as_ref())
    }

    fn begin(&mut self, spi: u32) {
        self.spi = spi;
        let workers = self.outlet.shared.stations.len() as u32;
        if workers > 1 && worker_of(spi, workers) != self.outlet.worker as u32 {
            self.outlet.counters.count(Counter::StrayedRuns);
        }
        self.entry = self.outlet.shared.sad.find(spi);
        self.expired = self.entry().is_some_and(|entry| entry.volume.exhausted());
        self.flow = None;
    }

    /// Accounts for the packets that were authentic, and those of them that were handed on. `remote` is where they came from in
    /// UDP: only a NAT moves a peer.
    fn finish(&mut self, remote: Option<SocketAddr>) {
        let Some(newest) = self.newest.take() else { return };
        let Some(entry) = self.entry.as_ref().and_then(|guard| guard.as_ref()) else { return };
        let outlet = self.outlet;
        let spi = entry.spi;
        let tell = |kind| outlet.tell(Notice::Sa { kind, spi, remote });
        outlet.counters.add(Counter::Opened, self.packets as usize);
        outlet.counters.add(Counter::OpenedBytes, self.octets as usize);
        entry.volume.add(self.packets, self.octets, tell);
        if entry.first_packet() {
            tell(NoticeKind::FirstPacket);
        }
        if remote.is_some_and(|remote| entry.moved_to(remote, newest)) {
            tell(NoticeKind::PeerMoved);
        }
        (self.packets, self.octets) = (0, 0);
    }
}

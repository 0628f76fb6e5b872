//! UDP to TUN: sort IKE, keepalives and ESP apart, open in place, check selectors, merge, write.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use arc_swap::Guard;
use ironswan_esp::Drop as Reject;

use crate::coalesce::{Coalescer, Sink};
use crate::counters::{Counter, Counters};
use crate::egress::Outlet;
use crate::flow::Flow;
use crate::inbound::{InboundEntry, Lookahead};
use crate::notice::{Notice, NoticeKind};
use crate::tun::{Offloads, TunQueue};
use crate::udp::{MESSAGE_LEN, MESSAGES, Received, Receiver, UdpSocket};
use crate::vnet::Header;

/// Zeros where an SPI would be: what follows is IKE (RFC 3948 2.2).
const NON_ESP_MARKER: [u8; 4] = [0; 4];
const KEEPALIVE: [u8; 1] = [0xff];
/// Receives before the other sockets have their turn.
const RECEIVES: usize = 2;

/// One worker's inbound side.
pub struct Ingress {
    receiver: Receiver,
    coalescer: Coalescer,
}

/// Goes through the datagrams that were received ahead of those who open them.
struct Scout<'a> {
    lookahead: Lookahead<'a>,
    messages: Range<usize>,
    message: Option<(usize, Received)>,
    start: usize,
}

/// Consecutive packets of one SA within one message.
struct Run<'a> {
    spi: u32,
    entry: Option<Guard<Option<Arc<InboundEntry>>>>,
    expired: bool,
    flow: Option<Flow>,
    packets: u64,
    octets: u64,
    outlet: &'a Outlet<'a>,
}

struct TunSink<'a> {
    queue: &'a TunQueue,
    counters: &'a Counters,
    vectors: Vec<libc::iovec>,
}

impl Sink for TunSink<'_> {
    fn write(&mut self, header: Header, octets: &[u8], pieces: &[Range<usize>]) {
        let header = header.write();
        let vector = |octets: &[u8]| libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
        self.vectors.clear();
        self.vectors.push(vector(&header));
        self.vectors.extend(pieces.iter().map(|piece| vector(&octets[piece.clone()])));
        self.counters.count(Counter::TunWrites);
        if self.queue.write(&self.vectors).is_err() {
            self.counters.add(Counter::DropTunWrite, pieces.len());
        }
    }
}

impl Ingress {
    /// Merges as far as the TUN's offloads allow.
    #[must_use]
    pub fn new(offloads: Offloads) -> Self {
        Self { receiver: Receiver::default(), coalescer: Coalescer::new(offloads.tcp, offloads.udp) }
    }

    /// Carries what waits in the socket, up to a bound; true when there may be more.
    pub fn run(&mut self, socket: &UdpSocket, queue: &TunQueue, outlet: &Outlet<'_>) -> io::Result<bool> {
        for _ in 0..RECEIVES {
            let count = self.receiver.receive(socket)?;
            outlet.counters.count(Counter::UdpReceiveCalls);
            outlet.counters.add(Counter::UdpMessages, count);
            let mut scout = Scout::new(outlet, count, &self.receiver);
            let mut sink = TunSink { queue, counters: outlet.counters, vectors: Vec::with_capacity(96) };
            for index in 0..count {
                self.take_message(index, socket, &mut scout, &mut sink, outlet);
            }
            let merged = self.coalescer.flush(&mut self.receiver.octets, &mut sink);
            outlet.counters.add(Counter::Coalesced, merged);
            if count < MESSAGES {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take_message(
        &mut self,
        index: usize,
        socket: &UdpSocket,
        scout: &mut Scout<'_>,
        sink: &mut TunSink<'_>,
        outlet: &Outlet<'_>,
    ) {
        let received = self.receiver.received(index);
        let Some(remote) = self.receiver.remote(index) else { return };
        if received.truncated {
            outlet.counters.count(Counter::DropTruncated);
            return;
        }
        let base = index * MESSAGE_LEN;
        let mut run = Run::new(outlet);
        let mut datagrams = 0;
        let mut start = 0;
        while start < received.length || datagrams == 0 {
            let end = received.length.min(start + received.segment);
            let at = base + start..base + end;
            datagrams += 1;
            start = end;
            scout.step(&self.receiver);
            match &self.receiver.octets[at.clone()] {
                data if !socket.esp => self.take_ike(index, data, socket, remote, outlet),
                [0, 0, 0, 0, ..] => {
                    let data = &self.receiver.octets[at.start + NON_ESP_MARKER.len()..at.end];
                    self.take_ike(index, data, socket, remote, outlet);
                }
                [_, _, _, _, ..] => {
                    if let Some(inner) = run.open(&mut self.receiver.octets, at, remote) {
                        self.coalescer.push(&mut self.receiver.octets, inner, sink);
                    }
                }
                data if data == KEEPALIVE => outlet.counters.count(Counter::Keepalives),
                _ => outlet.counters.count(Counter::DropRunt),
            }
        }
        run.finish(remote);
        outlet.counters.add(Counter::UdpDatagrams, datagrams);
    }

    fn take_ike(&self, index: usize, data: &[u8], socket: &UdpSocket, remote: SocketAddr, outlet: &Outlet<'_>) {
        if data.is_empty() {
            outlet.counters.count(Counter::DropRunt);
            return;
        }
        let address: IpAddr = self.receiver.local_address(index).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let local = SocketAddr::new(address, socket.port);
        outlet.counters.count(Counter::IkeDatagrams);
        if !outlet.shared.notices.push(Notice::Ike { local, remote, data: data.to_vec() }) {
            outlet.counters.count(Counter::DropIkeQueueFull);
        }
    }
}

impl<'a> Scout<'a> {
    /// Two datagrams ahead.
    fn new(outlet: &'a Outlet<'_>, count: usize, receiver: &Receiver) -> Self {
        let lookahead = Lookahead::new(&outlet.shared.sad);
        let mut scout = Self { lookahead, messages: 0..count, message: None, start: 0 };
        scout.step(receiver);
        scout.step(receiver);
        scout
    }

    #[inline]
    fn step(&mut self, receiver: &Receiver) {
        if self.message.is_none_or(|(_, received)| self.start >= received.length) {
            self.message = self.messages.next().map(|index| (index, receiver.received(index)));
            self.start = 0;
        }
        let Some((index, message)) = self.message else { return };
        let at = index * MESSAGE_LEN + self.start;
        self.start += message.segment.max(1);
        if let Some(spi) = receiver.octets[at..].first_chunk() {
            self.lookahead.expect(u32::from_be_bytes(*spi));
        }
    }
}

impl<'a> Run<'a> {
    fn new(outlet: &'a Outlet<'a>) -> Self {
        Self { spi: 0, entry: None, expired: false, flow: None, packets: 0, octets: 0, outlet }
    }

    /// Opens the ESP packet at `at`; where its inner packet lies, when everything about it is right.
    #[inline]
    fn open(&mut self, octets: &mut [u8], at: Range<usize>, remote: SocketAddr) -> Option<Range<usize>> {
        let spi =
            u32::from_be_bytes([octets[at.start], octets[at.start + 1], octets[at.start + 2], octets[at.start + 3]]);
        if spi != self.spi {
            self.finish(remote);
            self.begin(spi);
        }
        let counters = self.outlet.counters;
        let Some(entry) = self.entry.as_ref().and_then(|guard| guard.as_ref()) else {
            counters.count(Counter::DropUnknownSpi);
            return None;
        };
        if self.expired {
            counters.count(Counter::DropSaExpired);
            return None;
        }
        let opened = match entry.sa.open_in_place(&mut octets[at.clone()]) {
            Ok(opened) => opened,
            Err(reject) => {
                counters.count(counter_of(reject));
                return None;
            }
        };
        self.packets += 1;
        let range = at.start + opened.range.start..at.start + opened.range.end;
        let packet = &octets[range.clone()];
        let Some((flow, length)) = inner(packet, opened.next_header) else {
            counters.count(Counter::DropBadInner);
            return None;
        };
        if self.flow != Some(flow) {
            if !entry.selectors.match_inbound(&flow) {
                counters.count(Counter::DropSelectorMismatch);
                return None;
            }
            self.flow = Some(flow);
        }
        self.octets += length as u64;
        Some(range.start..range.start + length)
    }

    fn begin(&mut self, spi: u32) {
        self.spi = spi;
        self.entry = self.outlet.shared.sad.find(spi);
        self.expired = self.entry.as_ref().and_then(|guard| guard.as_ref()).is_some_and(|e| e.volume.exhausted());
        self.flow = None;
    }

    /// Accounts for the packets that were authentic.
    fn finish(&mut self, remote: SocketAddr) {
        let Some(entry) = self.entry.as_ref().and_then(|guard| guard.as_ref()).filter(|_| self.packets > 0) else {
            return;
        };
        let outlet = self.outlet;
        let spi = entry.spi;
        let tell = |kind| outlet.tell(Notice::Sa { kind, spi, remote: Some(remote) });
        outlet.counters.add(Counter::Opened, self.packets as usize);
        outlet.counters.add(Counter::OpenedBytes, self.octets as usize);
        entry.volume.add(self.packets, self.octets, tell);
        if entry.first_packet() {
            tell(NoticeKind::FirstPacket);
        }
        if entry.moved_to(remote) {
            tell(NoticeKind::PeerMoved);
        }
        (self.packets, self.octets) = (0, 0);
    }
}

/// The inner packet's flow and its length by its own header: what is behind is TFC padding (RFC 4303 2.7).
#[inline]
fn inner(packet: &[u8], next_header: u8) -> Option<(Flow, usize)> {
    let version = packet.first()? >> 4;
    if !matches!((next_header, version), (4, 4) | (41, 6)) {
        return None;
    }
    let flow = Flow::read(packet)?;
    let length = if flow.v6 {
        40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]))
    } else {
        usize::from(u16::from_be_bytes([packet[2], packet[3]]))
    };
    let least = if flow.v6 { 40 } else { usize::from(packet[0] & 15) * 4 };
    (least..=packet.len()).contains(&length).then_some((flow, length))
}

fn counter_of(reject: Reject) -> Counter {
    match reject {
        Reject::Replayed => Counter::DropReplayed,
        Reject::IcvMismatch => Counter::DropIcvMismatch,
        Reject::Dummy => Counter::DropDummy,
        Reject::BadPadding => Counter::DropBadPadding,
        Reject::Malformed => Counter::DropMalformedEsp,
    }
}

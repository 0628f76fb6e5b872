//! TUN to UDP: find the policy, cut the super-packet straight into the transmit arena, seal in place, send in runs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::arena::Arena;
use crate::counters::{Counter, Counters};
use crate::device::Device;
use crate::ds_field::class;
use crate::endpoint::Endpoint;
use crate::flow::{Flow, Ports};
use crate::fragments::{Fragments, Taken};
use crate::frame_buffer::FrameBuffer;
use crate::lanes::Turns;
use crate::mss;
use crate::notice::{Notice, NoticeKind};
use crate::outbound::OutboundEntry;
use crate::plain::Plain;
use crate::plane::Shared;
use crate::policy::{Held, Policy};
use crate::round::Round;
use crate::spd::{FlowCache, Snapshot};
use crate::split::Plan;
use crate::sys::vector;
use crate::tally::Batch;
use crate::too_big::{self, Budget};
use crate::tun::{self, TunQueue};
use crate::udp::UdpSocket;
use crate::vnet;

/// Next header of an IPv4 packet in tunnel mode.
const IPV4: u8 = 4;
/// Next header of an IPv6 packet in tunnel mode.
const IPV6: u8 = 41;
/// Frames taken from the TUN before what they gave is sent.
const FRAMES: usize = 64;
/// Packets cut from them before the same.
const PACKETS: usize = 256;
/// Reads that fail one after the other before the device is given up: were it about frames, some would have been sound.
pub const FAILED_READS: u32 = 100_000;

/// One worker's outbound side.
pub struct Egress {
    frames: [FrameBuffer; 2],
    arena: Arena,
    fragments: Fragments,
    answers: Budget,
}

/// A device as one worker reads it: its queue, and the flows it remembers of it.
pub struct Port {
    /// The device.
    pub device: Arc<Device>,
    /// Its lanes that may have frames.
    pub turns: Turns,
    cache: FlowCache,
    failed_reads: u32,
}

impl Port {
    /// Nothing is remembered yet.
    #[must_use]
    pub fn new(device: Arc<Device>) -> Self {
        Self { device, turns: Turns::default(), cache: FlowCache::default(), failed_reads: 0 }
    }

    /// Whether the device is still to be read after this error of a lane. One error a round: should the next read fail too,
    /// without an end, others have their turn meanwhile.
    #[cold]
    fn bears(&mut self, error: &io::Error, lane: usize, outlet: &Outlet<'_>) -> bool {
        if tun::is_gone(error) {
            return false;
        }
        outlet.counters.count(Counter::DropTunRead);
        self.turns.clear(lane);
        self.failed_reads += 1;
        self.failed_reads < FAILED_READS
    }
}

/// A frame whose SA is known and on its way into the cache, while the next frame is read.
struct Classified {
    length: usize,
    next_header: u8,
    entry: Arc<OutboundEntry>,
}

impl Default for Egress {
    fn default() -> Self {
        let (arena, fragments, answers) = Default::default();
        Self { frames: [FrameBuffer::new(), FrameBuffer::new()], arena, fragments, answers }
    }
}

/// Where a worker sends.
pub struct Outlet<'a> {
    /// What all workers share.
    pub shared: &'a Shared,
    /// This worker's counters.
    pub counters: &'a Counters,
    /// This worker's number.
    pub worker: usize,
    /// This worker's sockets for ESP over IPv4 and IPv6, that send from the shared port and from one of its own.
    pub sockets: [[Option<&'a UdpSocket>; 2]; 2],
    /// This worker's sockets for plain ESP, when it may have them.
    pub plain: Option<&'a Plain>,
}

impl Outlet<'_> {
    /// The socket for ESP in UDP to `endpoint`.
    pub fn socket(&self, endpoint: &Endpoint) -> Option<&UdpSocket> {
        let family = usize::from(endpoint.remote.is_ipv6());
        let own = if endpoint.own_port { self.sockets[1][family] } else { None };
        own.or(self.sockets[0][family])
    }

    /// Tells the control plane, or counts that it could not.
    pub fn tell(&self, notice: Notice) {
        if !self.shared.notices.push(notice) {
            self.counters.count(Counter::DropNoticeQueueFull);
        }
    }

    fn drop_for(&self, entry: &OutboundEntry, reason: Counter, packets: usize) {
        self.counters.add(reason, packets);
        entry.drops.add(reason, packets);
    }

    fn tell_sa(&self, kind: NoticeKind, entry: &OutboundEntry, remote: Option<SocketAddr>) {
        self.tell(Notice::Sa { kind, spi: entry.spi, remote });
    }
}

impl Egress {
    /// Nothing is under way; plain frames over IPv4 have identifications from this one on.
    pub fn numbering_from(identification: u16) -> Self {
        Self { arena: Arena::numbering_from(identification), ..Self::default() }
    }

    /// Carries what waits in the TUN, a frame of each lane in turn, up to a bound.
    pub fn run(&mut self, port: &mut Port, outlet: &Outlet<'_>) -> io::Result<Round> {
        let device = Arc::clone(&port.device);
        let (lanes, snapshot) = (device.tun.lanes(outlet.worker), device.spd.snapshot());
        let (mut packets, mut octets) = (0, 0);
        let mut frames = 0;
        let mut waiting = None;
        let ended = loop {
            if frames == FRAMES || packets >= PACKETS {
                break Ok(true);
            }
            let turn = frames % 2;
            let Some(lane) = port.turns.next() else { break Ok(false) };
            let length = match lanes[lane].read(&mut self.frames[turn]) {
                Ok(Some(length)) => length,
                Ok(None) => {
                    port.turns.clear(lane);
                    port.failed_reads = 0;
                    continue;
                }
                Err(error) if port.bears(&error, lane, outlet) => continue,
                Err(error) => break Err(error),
            };
            port.failed_reads = 0;
            frames += 1;
            octets += length;
            let classified = self.classify(turn, length, (&snapshot, &mut port.cache), outlet);
            packets += self.carry(1 - turn, waiting, &lanes[0], outlet);
            waiting = classified;
        };
        packets += self.carry((frames + 1) % 2, waiting, &lanes[0], outlet);
        outlet.counters.add(Counter::TunReads, frames);
        outlet.counters.add(Counter::TunPackets, packets);
        // Also after an error: other workers wait for the turns that the arena has.
        self.arena.flush(outlet);
        ended.map(|more| Round { packets, octets, pieces: frames, more })
    }

    #[cfg(test)]
    pub fn arena(&mut self) -> &mut Arena {
        &mut self.arena
    }

    /// Forgets what a panic has left half done.
    pub fn discard(&mut self) {
        self.arena.discard();
    }

    /// Carries a frame that was held.
    pub fn release(&mut self, frame: &[u8], port: &mut Port, outlet: &Outlet<'_>) {
        let snapshot = port.device.spd.snapshot();
        self.frames[0][..frame.len()].copy_from_slice(frame);
        let classified = self.classify(0, frame.len(), (&snapshot, &mut port.cache), outlet);
        self.carry(0, classified, &port.device.tun.lanes(outlet.worker)[0], outlet);
        self.arena.flush(outlet);
    }

    /// Finds the SA of a frame; None when it is dropped, held or a fragment of what is put together.
    fn classify(
        &mut self,
        turn: usize,
        mut length: usize,
        (snapshot, cache): (&Snapshot, &mut FlowCache),
        outlet: &Outlet<'_>,
    ) -> Option<Classified> {
        if self.fragments.is_open() {
            length = self.put_together(turn, length)?;
        }
        let frame = &self.frames[turn][..length];
        let Some(flow) = frame.get(vnet::LEN..).and_then(Flow::read) else {
            outlet.counters.count(Counter::DropMalformedInner);
            return None;
        };
        let Some(policy) = cache.find(snapshot, &flow) else {
            outlet.counters.count(Counter::DropNoPolicy);
            return None;
        };
        let worker = outlet.worker;
        let ask = || tell_acquire(policy, &flow, Some(worker as u32), outlet);
        let entry = policy.carrier(worker, ask).or_else(|| hold(policy, &flow, frame, outlet))?;
        entry.prefetch();
        if entry.transport && self.fragments.begin(frame) {
            return None;
        }
        let (header, packet) = self.frames[turn][..length].split_at_mut(vnet::LEN);
        let partial = header[0] & vnet::NEEDS_CSUM != 0;
        let most = outlet.shared.mss_mtu.load(Relaxed).min(entry.mtu(flow.v6));
        mss::clamp(packet, &flow, most, partial);
        Some(Classified { length, next_header: if flow.v6 { IPV6 } else { IPV4 }, entry })
    }

    /// The length of the frame to go on with: the one that came, or the datagram of which it is the last fragment.
    #[inline(never)]
    fn put_together(&mut self, turn: usize, length: usize) -> Option<usize> {
        let frame = &mut self.frames[turn];
        match self.fragments.take(frame.get(vnet::LEN..length)?) {
            Taken::Not => Some(length),
            Taken::Kept => None,
            Taken::Whole(packet) => {
                let length = vnet::LEN + packet.len();
                frame[..vnet::LEN].fill(0);
                frame[vnet::LEN..length].copy_from_slice(&packet);
                Some(length)
            }
        }
    }

    /// Seals what a frame holds; how many packets that is.
    fn carry(&mut self, turn: usize, classified: Option<Classified>, queue: &TunQueue, outlet: &Outlet<'_>) -> usize {
        let Some(Classified { length, next_header, entry }) = classified else { return 0 };
        let Some(plan) = Plan::new(&mut self.frames[turn][..length]) else {
            outlet.counters.count(Counter::DropMalformedInner);
            return 0;
        };
        let segments = plan.segments();
        outlet.counters.batches.count(Batch::TunRead, segments);
        let mtu = entry.mtu(next_header == IPV6);
        if plan.len(0) > mtu && too_big::is_indivisible(plan.packet()) {
            outlet.drop_for(&entry, Counter::DropTooBig, segments);
            tell_too_big(plan.packet(), mtu, &mut self.answers, queue, outlet);
            return 0;
        }
        let (plan, next_header) = if entry.transport {
            let Some(upper) = plan.into_upper_parts() else {
                outlet.drop_for(&entry, Counter::DropNotTransportable, segments);
                return 0;
            };
            upper
        } else {
            (plan, next_header)
        };
        seal(&plan, &entry, next_header, &mut self.arena, outlet);
        plan.segments()
    }
}

/// Tells the sender of a packet how long one may be.
#[cold]
fn tell_too_big(packet: &[u8], mtu: usize, answers: &mut Budget, queue: &TunQueue, outlet: &Outlet<'_>) {
    let Some(answer) = too_big::answer(packet, mtu).filter(|_| answers.spend(Instant::now())) else { return };
    let header = vnet::Header::default().write();
    let written = queue.write(&[vector(&header), vector(&answer)]);
    outlet.counters.count(if written.is_ok() { Counter::TooBigTold } else { Counter::DropTunWrite });
}

/// Keeps the frame for an SA to come; gives the SA if it came this moment.
fn hold(policy: &Policy, flow: &Flow, frame: &[u8], outlet: &Outlet<'_>) -> Option<Arc<OutboundEntry>> {
    let (kept, acquire, expired) = match policy.hold(outlet.worker, frame, Instant::now()) {
        Held::Bound(entry) => return Some(entry),
        Held::Waiting { kept, acquire, expired } => (kept, acquire, expired),
    };
    outlet.counters.count(if kept { Counter::Held } else { Counter::DropHoldFull });
    outlet.counters.add(Counter::DropHoldExpired, expired);
    if acquire {
        tell_acquire(policy, flow, None, outlet);
    }
    None
}

/// Asks the control plane for an SA: any, or one for a worker.
fn tell_acquire(policy: &Policy, flow: &Flow, worker: Option<u32>, outlet: &Outlet<'_>) {
    outlet.counters.count(Counter::Acquires);
    let (source, destination) = flow.addresses();
    let (source_port, destination_port) = match flow.ports {
        Ports::Known(source, destination) => (source, destination),
        Ports::Opaque => (0, 0),
    };
    let protocol = flow.protocol;
    let policy_id = policy.id;
    outlet.tell(Notice::Acquire { policy_id, source, destination, protocol, source_port, destination_port, worker });
}

/// Claims sequence numbers for all packets of the frame at once, cuts and seals them.
fn seal(plan: &Plan<'_>, entry: &Arc<OutboundEntry>, next_header: u8, arena: &mut Arena, outlet: &Outlet<'_>) {
    let segments = plan.segments();
    if entry.volume.exhausted() {
        outlet.drop_for(entry, Counter::DropSaExpired, segments);
        return;
    }
    let sa = &entry.sa;
    if !arena.reserve(entry, segments, sa.packet_len(plan.len(0)), outlet) {
        outlet.drop_for(entry, Counter::DropSendFailed, segments);
        return;
    }
    let Ok((sequence_numbers, soft)) = entry.claim(segments as u32) else {
        outlet.drop_for(entry, Counter::DropSequenceExhausted, segments);
        return;
    };
    if soft {
        outlet.tell_sa(NoticeKind::SequenceSoft, entry, None);
    }
    let (header_len, together) = (sa.header_len(), sa.is_side_by_side());
    let class = class(plan.packet()) & entry.ds_mask;
    for (index, sequence_number) in sequence_numbers.enumerate() {
        let inner_len = plan.len(index);
        let length = sa.packet_len(inner_len);
        let packet = arena.place(length, class);
        plan.write(index, &mut packet[header_len..header_len + inner_len]);
        if together {
            sa.plan(sequence_number, packet, inner_len, next_header);
            arena.seal_later(length, sequence_number);
        } else {
            sa.seal_in_place(sequence_number, packet, inner_len, next_header);
        }
    }
    let octets = plan.total_len();
    outlet.counters.add(Counter::Sealed, segments);
    outlet.counters.add(Counter::SealedBytes, octets);
    entry.volume.add(segments as u64, octets as u64, |kind| outlet.tell_sa(kind, entry, None));
}

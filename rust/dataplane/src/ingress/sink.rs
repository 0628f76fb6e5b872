//! The way from opened packets to the TUN of their SA.

use std::ops::Range;
use std::sync::Arc;

use crate::coalesce::{Coalescer, Sink};
use crate::counters::{Counter, Counters};
use crate::device::Device;
use crate::egress::Outlet;
use crate::inbound::InboundEntry;
use crate::merging::{self, Refused};
use crate::tally::Batch;
use crate::transport::Room;
use crate::vnet::Header;

/// Writes frames to a TUN.
pub struct TunSink<'a> {
    /// What has no other device goes to this one.
    first: Arc<Device>,
    device: Arc<Device>,
    worker: usize,
    refused: &'a Refused,
    pub(super) counters: &'a Counters,
    pub(super) vectors: Vec<libc::iovec>,
}

/// Parts of a frame at most, without the vector of them having to grow.
pub const VECTORS: usize = 96;

/// Writes to `device`, until packets for another come. `vectors` are lent, so that they need not be made for every batch.
pub fn sink<'a>(device: &Arc<Device>, outlet: &'a Outlet<'_>, vectors: Vec<libc::iovec>) -> TunSink<'a> {
    let (first, device, worker) = (Arc::clone(device), Arc::clone(device), outlet.worker);
    TunSink { first, device, worker, refused: &outlet.shared.refused, counters: outlet.counters, vectors }
}

/// What comes now goes to the device of `entry`: what is open for another is written first, for its flows may look like
/// this one's.
#[inline]
pub fn turn_to(
    entry: &InboundEntry,
    octets: &mut [u8],
    room: &mut Room,
    coalescer: &mut Coalescer,
    sink: &mut TunSink<'_>,
) {
    let device = entry.device.as_ref().unwrap_or(&sink.first);
    if !Arc::ptr_eq(device, &sink.device) {
        let device = Arc::clone(device);
        let merged = coalescer.flush(octets, sink);
        sink.counters.add(Counter::Coalesced, merged);
        room.clear();
        sink.device = device;
    }
}

impl Sink for TunSink<'_> {
    fn write(&mut self, header: Header, octets: &[u8], pieces: &[Range<usize>]) {
        let queue = &self.device.tun.lanes(self.worker)[0];
        let counters = self.counters;
        counters.batches.count(Batch::TunWrite, pieces.len());
        let written = merging::write(header, octets, pieces, &mut self.vectors, |parts| {
            counters.count(Counter::TunWrites);
            queue.write(parts)
        });
        if written.singly {
            self.refused.add(header.gso_type);
        }
        if written.lost > 0 {
            counters.add(Counter::DropTunWrite, written.lost);
        }
    }
}

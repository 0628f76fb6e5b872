//! The SAD's inbound half. We choose these SPIs, so each carries its slot: a lookup is an index and a compare.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::{ArcSwapOption, Guard};
use ironswan_esp::{InboundSa, prefetch};

use crate::device::Device;
use crate::ds_field::{CopyDs, FromOuter};
use crate::limits::Volume;
use crate::selector::Selectors;
use crate::sys;
use crate::tally::InboundDrops;
use crate::transport::Rebuild;

/// Bits of an SPI that name its slot; those above name its worker.
pub(crate) const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// The largest number above the slot.
const HIGHEST: u32 = (1 << (32 - SLOT_BITS)) - 1;
const PAGE_BITS: u32 = 10;
const PAGE_LEN: usize = 1 << PAGE_BITS;

/// An inbound SA with what must hold of the packets it gives.
pub struct InboundEntry {
    /// SPI, as in the packets.
    pub spi: u32,
    /// Keys and replay window.
    pub sa: InboundSa,
    /// Selectors negotiated for it.
    pub selectors: Selectors,
    /// Where its packets go, when it is not the default device.
    pub device: Option<Arc<Device>>,
    /// In transport mode: the header a payload gets.
    pub rebuild: Option<Box<Rebuild>>,
    /// In tunnel mode: what inner DS fields have from outer ones.
    pub from_outer: FromOuter,
    /// What it has carried.
    pub volume: Volume,
    /// What it has dropped.
    pub drops: InboundDrops,
    /// Octets of the packets whose MSS our hosts are told: what the way back to the peer carries whole.
    pub mss_mtu: AtomicU32,
    peer: Mutex<Peer>,
    seen: AtomicBool,
}

struct Peer {
    expected: SocketAddr,
    // Most peers never move: where one has moved to takes no room in all the others.
    told: Option<Box<SocketAddr>>,
}

impl InboundEntry {
    /// A new SA whose packets are expected from `remote`.
    #[must_use]
    pub fn new(spi: u32, sa: InboundSa, selectors: Selectors, volume: Volume, remote: SocketAddr) -> Self {
        let peer = Mutex::new(Peer { expected: remote, told: None });
        let drops = InboundDrops::default();
        let (seen, mss_mtu) = (AtomicBool::new(false), AtomicU32::new(u32::MAX));
        let from_outer = CopyDs::default().inbound();
        Self { spi, sa, selectors, device: None, rebuild: None, from_outer, volume, drops, mss_mtu, peer, seen }
    }

    /// The same SA with packets for a device of its own.
    #[must_use]
    pub fn for_device(mut self, device: Option<Arc<Device>>) -> Self {
        self.device = device;
        self
    }

    /// The same SA in transport mode.
    #[must_use]
    pub fn in_transport_mode(mut self, rebuild: Option<Rebuild>) -> Self {
        self.rebuild = rebuild.map(Box::new);
        self
    }

    /// The same SA with as much of the DS field. In transport mode the outer header's is the packet's own already.
    #[must_use]
    pub fn copying(mut self, copy: CopyDs) -> Self {
        self.from_outer = if self.rebuild.is_some() { CopyDs::NOTHING.inbound() } else { copy.inbound() };
        self
    }

    /// True the first time only.
    #[inline]
    pub fn first_packet(&self) -> bool {
        !self.seen.load(Relaxed) && !self.seen.swap(true, Relaxed)
    }

    /// Whether authenticated packets from `remote` are news: not the expected address, and not told before. `newest` are 32 bits of
    /// the highest sequence number among them. Only the newest packet of all tells where the peer is: an older one may have been
    /// kept back by somebody who sends it from elsewhere.
    pub fn moved_to(&self, remote: SocketAddr, newest: u32) -> bool {
        let mut peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        if remote == peer.expected {
            peer.told = None;
            return false;
        }
        // 32 bits suffice: a number that differs in the others alone is outside of every window.
        if self.sa.highest() as u32 != newest {
            return false;
        }
        let news = peer.told.as_deref() != Some(&remote);
        if news {
            peer.told = Some(Box::new(remote));
        }
        news
    }

    /// Packets are expected from `remote` from now on.
    pub fn follow(&self, remote: SocketAddr) {
        let mut peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        *peer = Peer { expected: remote, told: None };
    }
}

/// The worker of `workers` to which the packets of an SPI go, if the kernel steers them.
#[inline]
#[must_use]
pub fn worker_of(spi: u32, workers: u32) -> u32 {
    (spi >> SLOT_BITS) % workers
}

/// Has SAs in the cache by the time their packets are opened. It is told of each packet [`AHEAD`](Self::AHEAD) packets before.
pub struct Lookahead<'a> {
    sad: &'a Sad,
    spi: u32,
    /// The SAs of the last two packets that were expected, if theirs were not those of the packets before.
    coming: [Option<Guard<Option<Arc<InboundEntry>>>>; 2],
}

impl<'a> Lookahead<'a> {
    /// Packets between the one that is told of and the one that is opened.
    pub const AHEAD: usize = 4;

    /// Nothing is expected yet.
    #[must_use]
    pub fn new(sad: &'a Sad) -> Self {
        Self { sad, spi: 0, coming: [None, None] }
    }

    /// A packet with this SPI comes after the three that were expected before.
    #[inline]
    pub fn expect(&mut self, spi: u32) {
        let again = std::mem::replace(&mut self.spi, spi) == spi;
        let [older, newer] = &mut self.coming;
        if again && older.is_none() && newer.is_none() {
            return;
        }
        // Two packets ago only where the SA is was known; where its keys are is by now.
        if let Some(entry) = older.as_ref().and_then(|guard| guard.as_ref()) {
            entry.sa.prefetch();
        }
        *older = newer.take();
        if !again {
            *newer = self.sad.find(spi);
            if let Some(entry) = newer.as_ref().and_then(|guard| guard.as_ref()) {
                prefetch::<InboundEntry>(entry);
            }
        }
    }
}

/// Some slots.
struct Page {
    /// The SPI of each SA apart from it, so that finding it reads nothing of the SA, which with many of them is far away.
    spis: Box<[AtomicU32]>,
    entries: Box<[ArcSwapOption<InboundEntry>]>,
}

impl Default for Page {
    fn default() -> Self {
        let all = || 0..PAGE_LEN;
        Self {
            spis: all().map(|_| AtomicU32::new(0)).collect(),
            entries: all().map(|_| ArcSwapOption::empty()).collect(),
        }
    }
}

impl Page {
    fn put(&self, slot: usize, entry: Option<Arc<InboundEntry>>) {
        let spi = entry.as_ref().map_or(0, |entry| entry.spi);
        self.entries[slot].store(entry);
        self.spis[slot].store(spi, Release);
    }
}

/// Inbound SAs by slot. Workers read without a lock; one store installs or removes an SA.
pub struct Sad {
    pages: Box<[OnceLock<Page>]>,
    slots: Mutex<Slots>,
}

/// Slots come back into use in the order they were freed, so that a late packet rarely meets a new SA.
#[derive(Default)]
struct Slots {
    /// The SPI for which each slot is reserved; 0 none.
    reserved: Vec<u32>,
    free: VecDeque<u32>,
}

impl Slots {
    fn take(&mut self) -> Option<u32> {
        if self.reserved.len() > SLOT_MASK as usize {
            return self.free.pop_front();
        }
        self.reserved.push(0);
        Some(self.reserved.len() as u32 - 1)
    }

    fn reserved(&mut self, spi: u32) -> Option<&mut u32> {
        self.reserved.get_mut((spi & SLOT_MASK) as usize).filter(|reserved| **reserved == spi && spi != 0)
    }
}

impl Default for Sad {
    fn default() -> Self {
        let pages = (0..1 << (SLOT_BITS - PAGE_BITS)).map(|_| OnceLock::new()).collect();
        Self { pages, slots: Mutex::default() }
    }
}

impl Sad {
    /// Reserves an SPI for the only worker there is.
    pub fn allocate(&self) -> Option<u32> {
        self.allocate_for(0, 1)
    }

    /// Reserves an SPI whose packets go to `worker` of `workers`: the slot below random non-zero bits of which they are
    /// the remainder, therefore above 255. None when all slots are taken.
    pub fn allocate_for(&self, worker: u32, workers: u32) -> Option<u32> {
        let mut slots = self.slots();
        let slot = slots.take()?;
        let least = if worker == 0 { workers } else { worker };
        let choices = (HIGHEST - least) / workers + 1;
        let high = least + sys::random_u32() % choices * workers;
        let spi = high << SLOT_BITS | slot;
        slots.reserved[slot as usize] = spi;
        Some(spi)
    }

    /// Whether `spi` was allocated here and not released since.
    pub fn is_allocated(&self, spi: u32) -> bool {
        self.slots().reserved(spi).is_some()
    }

    /// Removes the SA, if there is one, and frees the slot. Unknown SPIs are ignored.
    pub fn release(&self, spi: u32) {
        let mut slots = self.slots();
        if let Some(reserved) = slots.reserved(spi) {
            *reserved = 0;
            let slot = spi & SLOT_MASK;
            slots.free.push_back(slot);
            if let (Some(page), at) = self.place(slot) {
                page.put(at, None);
            }
        }
    }

    /// Puts `entry` into the slot its SPI names, in place of any other.
    pub fn install(&self, entry: InboundEntry) {
        let slot = entry.spi & SLOT_MASK;
        let page = self.pages[(slot >> PAGE_BITS) as usize].get_or_init(Page::default);
        page.put(slot as usize % PAGE_LEN, Some(Arc::new(entry)));
    }

    /// The SA with this SPI. One that takes its slot this very moment may be given instead: the ICV, which covers the SPI, tells.
    #[inline]
    pub fn find(&self, spi: u32) -> Option<Guard<Option<Arc<InboundEntry>>>> {
        let (page, at) = self.place(spi & SLOT_MASK);
        let page = page.filter(|page| page.spis[at].load(Acquire) == spi)?;
        Some(page.entries[at].load()).filter(|entry| entry.is_some())
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page of a slot, if it was ever used, and where on it the slot is.
    #[inline]
    fn place(&self, slot: u32) -> (Option<&Page>, usize) {
        (self.pages[(slot >> PAGE_BITS) as usize].get(), slot as usize % PAGE_LEN)
    }
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;

//! The SAD's inbound half. We choose these SPIs, so each carries its slot: a lookup is an index and a compare.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::{ArcSwapOption, Guard};
use ironswan_esp::InboundSa;

use crate::limits::Volume;
use crate::selector::Selectors;
use crate::sys;

const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
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
    /// What it has carried.
    pub volume: Volume,
    peer: Mutex<Peer>,
    seen: AtomicBool,
}

struct Peer {
    expected: SocketAddr,
    told: Option<SocketAddr>,
}

impl InboundEntry {
    /// A new SA whose packets are expected from `remote`.
    #[must_use]
    pub fn new(spi: u32, sa: InboundSa, selectors: Selectors, volume: Volume, remote: SocketAddr) -> Self {
        let peer = Mutex::new(Peer { expected: remote, told: None });
        Self { spi, sa, selectors, volume, peer, seen: AtomicBool::new(false) }
    }

    /// True the first time only.
    #[inline]
    pub fn first_packet(&self) -> bool {
        !self.seen.load(Relaxed) && !self.seen.swap(true, Relaxed)
    }

    /// Whether authenticated packets from `remote` are news: not the expected address, and not told before.
    pub fn moved_to(&self, remote: SocketAddr) -> bool {
        let mut peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        if remote == peer.expected {
            peer.told = None;
            return false;
        }
        peer.told.replace(remote) != Some(remote)
    }

    /// Packets are expected from `remote` from now on.
    pub fn follow(&self, remote: SocketAddr) {
        let mut peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        *peer = Peer { expected: remote, told: None };
    }
}

type Page = Box<[ArcSwapOption<InboundEntry>]>;

/// Inbound SAs by slot. Workers read without a lock; one store installs or removes an SA.
pub struct Sad {
    pages: Box<[OnceLock<Page>]>,
    slots: Mutex<Slots>,
}

/// Slots come back into use in the order they were freed, so that a late packet rarely meets a new SA.
#[derive(Default)]
struct Slots {
    reserved: std::collections::HashMap<u32, u32>,
    free: VecDeque<u32>,
    next: u32,
}

impl Default for Sad {
    fn default() -> Self {
        let pages = (0..1 << (SLOT_BITS - PAGE_BITS)).map(|_| OnceLock::new()).collect();
        Self { pages, slots: Mutex::default() }
    }
}

impl Sad {
    /// Reserves an SPI: the slot below random non-zero bits, therefore above 255. None when all slots are taken.
    pub fn allocate(&self) -> Option<u32> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = if slots.next <= SLOT_MASK {
            slots.next += 1;
            slots.next - 1
        } else {
            slots.free.pop_front()?
        };
        let high = loop {
            let high = sys::random_u32() >> SLOT_BITS;
            if high != 0 {
                break high;
            }
        };
        let spi = high << SLOT_BITS | slot;
        slots.reserved.insert(slot, spi);
        Some(spi)
    }

    /// Whether `spi` was allocated here and not released since.
    pub fn is_allocated(&self, spi: u32) -> bool {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.reserved.get(&(spi & SLOT_MASK)) == Some(&spi)
    }

    /// Removes the SA, if there is one, and frees the slot. Unknown SPIs are ignored.
    pub fn release(&self, spi: u32) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = spi & SLOT_MASK;
        if slots.reserved.get(&slot) == Some(&spi) {
            slots.reserved.remove(&slot);
            slots.free.push_back(slot);
            if let Some(cell) = self.cell(slot) {
                cell.store(None);
            }
        }
    }

    /// Puts `entry` into the slot its SPI names, in place of any other.
    pub fn install(&self, entry: InboundEntry) {
        let slot = entry.spi & SLOT_MASK;
        let page = self.pages[(slot >> PAGE_BITS) as usize]
            .get_or_init(|| (0..PAGE_LEN).map(|_| ArcSwapOption::empty()).collect());
        page[slot as usize % PAGE_LEN].store(Some(Arc::new(entry)));
    }

    /// The SA with exactly this SPI.
    #[inline]
    pub fn find(&self, spi: u32) -> Option<Guard<Option<Arc<InboundEntry>>>> {
        let entry = self.cell(spi & SLOT_MASK)?.load();
        if entry.as_ref()?.spi == spi { Some(entry) } else { None }
    }

    fn cell(&self, slot: u32) -> Option<&ArcSwapOption<InboundEntry>> {
        self.pages[(slot >> PAGE_BITS) as usize].get()?.get(slot as usize % PAGE_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use ironswan_esp::Suite;

    fn entry(spi: u32) -> InboundEntry {
        let suite = Suite::from_keyword("aes128gcm16").unwrap();
        let sa = InboundSa::new(spi, suite, &[7; 20], false, 64, 0).unwrap();
        let remote = "192.0.2.1:4500".parse().unwrap();
        InboundEntry::new(spi, sa, Selectors::default(), Volume::new(Limits::default()), remote)
    }

    #[test]
    fn spis_are_distinct_and_never_reserved_values() {
        let sad = Sad::default();
        let mut spis: Vec<_> = (0..3000).map(|_| sad.allocate().unwrap()).collect();
        assert!(spis.iter().all(|spi| *spi > 255));
        spis.sort_unstable();
        spis.dedup();
        assert_eq!(spis.len(), 3000);
    }

    #[test]
    fn an_spi_of_the_same_slot_with_other_high_bits_finds_nothing() {
        let sad = Sad::default();
        let spi = sad.allocate().unwrap();
        sad.install(entry(spi));
        assert!(sad.find(spi).is_some());
        assert!(sad.find(spi ^ 1 << 31).is_none());
        assert!(sad.find(spi + 1).is_none());
        sad.release(spi);
        assert!(sad.find(spi).is_none());
        assert!(!sad.is_allocated(spi));
    }

    #[test]
    fn a_new_address_is_told_once_until_it_is_followed() {
        let entry = entry(1 << 20);
        let (old, new) = ("192.0.2.1:4500".parse().unwrap(), "192.0.2.9:1024".parse().unwrap());
        assert!(!entry.moved_to(old));
        assert!(entry.moved_to(new));
        assert!(!entry.moved_to(new));
        entry.follow(new);
        assert!(!entry.moved_to(new));
        assert!(entry.moved_to(old));
    }

    #[test]
    fn only_the_first_packet_is_first() {
        let entry = entry(1 << 20);
        assert!(entry.first_packet());
        assert!(!entry.first_packet());
    }
}

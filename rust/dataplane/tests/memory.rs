//! What each SA and each policy takes, with all that is made for it: at 100,000 of them it is megabytes that count.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ironswan_dataplane::endpoint::Endpoint;
use ironswan_dataplane::inbound::{InboundEntry, Sad};
use ironswan_dataplane::limits::{Limits, Volume};
use ironswan_dataplane::outbound::OutboundEntry;
use ironswan_dataplane::spd::Spd;
use ironswan_dataplane::{Selector, Selectors};
use ironswan_esp::{InboundSa, OutboundSa, Suite};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// What the heap takes for an allocation of this size: a header, and steps of 16 octets.
fn cost(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

// SAFETY: everything is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(cost(layout.size()), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(cost(layout.size()), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COUNT: u32 = 10_000;
/// Octets of memory for one SA.
const MOST: usize = 2 << 10;

fn suite() -> Suite {
    Suite::from_keyword("aes256gcm16").unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn selectors(number: u32) -> Selectors {
    let range = |start: u32, end: u32| {
        vec![Selector::new(0, Ipv4Addr::from(start).into(), Ipv4Addr::from(end).into(), 0, 65535).unwrap()]
    };
    Selectors::new(range(0, u32::MAX), range(0x0a00_0000 + number, 0x0a00_0000 + number))
}

/// Octets for each of `COUNT` times what `make` does.
fn octets_each(what: &str, mut make: impl FnMut(u32)) -> usize {
    let before = LIVE.load(Relaxed);
    (0..COUNT).for_each(&mut make);
    let each = (LIVE.load(Relaxed) - before) / COUNT as usize;
    println!("{what}: {each} octets each");
    each
}

// One test: the count is of the whole process.
#[test]
fn an_sa_takes_less_than_two_kibibytes_and_gives_all_of_it_back() {
    let (sad, spd, mut spis, mut entries) =
        (Sad::default(), Spd::default(), Vec::new(), Vec::with_capacity(COUNT as usize));
    let limits = Limits::default();
    for window in [64, 1024, 4096] {
        let each = octets_each(&format!("inbound SA, window of {window}"), |number| {
            let spi = sad.allocate().unwrap();
            let sa = InboundSa::new(spi, suite(), &[7; 36], true, window, 0).unwrap();
            sad.install(InboundEntry::new(spi, sa, selectors(number), Volume::new(limits), address("192.0.2.2:4500")));
            spis.push(spi);
        });
        assert!(each < MOST, "{each}");
    }
    let each = octets_each("outbound SA", |number| {
        let sa = OutboundSa::new(number + 256, suite(), &[7; 36], true, 0).unwrap();
        let endpoint = Endpoint::new(address("192.0.2.1:4500"), address("192.0.2.2:4500"));
        entries.push(Arc::new(OutboundEntry::new(number + 256, 0, sa, true, Volume::new(limits), endpoint)));
    });
    assert!(each < MOST, "{each}");
    let each = octets_each("policy", |number| {
        spd.add(number.into(), selectors(number), 0).unwrap();
    });
    assert!(each < MOST / 2, "{each}");
    let each = octets_each("use of an SA by a policy", |number| {
        spd.get(number.into()).unwrap().bind(Some(Arc::clone(&entries[number as usize])), std::time::Instant::now());
    });
    assert!(each < MOST / 4, "{each}");

    let live = LIVE.load(Relaxed);
    (0..COUNT).for_each(|number| _ = spd.remove(number.into()));
    spis.drain(..).for_each(|spi| sad.release(spi));
    entries.clear();
    let given_back = live - LIVE.load(Relaxed);
    assert!(given_back > COUNT as usize * 4 * 800, "{given_back}");
}

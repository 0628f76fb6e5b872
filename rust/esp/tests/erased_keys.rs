//! No memory that an SA gives back holds its key.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ironswan_esp::{InboundSa, OutboundSa, Suite};

/// Key and salt: octets found in no memory by chance.
static KEYMAT: [u8; 36] = [
    0x1d, 0xd9, 0xfb, 0x61, 0x2a, 0xac, 0x31, 0xec, 0xcd, 0xb1, 0x69, 0x0a, 0x1c, 0xe1, 0x41, 0x07, 0xcc, 0x79, 0xe9,
    0xc7, 0x0e, 0x2f, 0xc1, 0x48, 0x5b, 0xf2, 0x38, 0xb0, 0x26, 0xc4, 0xf8, 0xdc, 0x63, 0x47, 0x9a, 0xd6,
];

struct Looking;

thread_local! {
    static LOOKING: Cell<bool> = const { Cell::new(false) };
    static BLOCKS: Cell<usize> = const { Cell::new(0) };
    static LEFTOVERS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Looking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that all of a block may be read when it comes back.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if LOOKING.get() {
            BLOCKS.set(BLOCKS.get() + 1);
            for at in 0..layout.size().saturating_sub(3) {
                // SAFETY: four octets from `at` lie within the block, which is still allocated.
                let octets: [u8; 4] = std::array::from_fn(|i| unsafe { pointer.add(at + i).read_volatile() });
                if KEYMAT.windows(4).any(|part| part == octets) {
                    LEFTOVERS.set(LEFTOVERS.get() + 1);
                }
            }
        }
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Looking = Looking;

fn leftovers(drop: impl FnOnce()) -> usize {
    BLOCKS.set(0);
    LEFTOVERS.set(0);
    LOOKING.set(true);
    drop();
    LOOKING.set(false);
    assert!(BLOCKS.get() > 0, "something was freed");
    LEFTOVERS.get()
}

#[test]
fn what_was_not_erased_would_be_found() {
    let copy = Box::new(KEYMAT);
    assert!(leftovers(|| std::mem::drop(copy)) > 0);
}

#[test]
fn dropped_sas_leave_neither_key_nor_salt() {
    for suite in Suite::ALL {
        let keymat = &KEYMAT[..suite.keymat_len()];
        let outbound = OutboundSa::new(1, suite, keymat, false, 0).unwrap();
        let inbound = InboundSa::new(1, suite, keymat, true, 64, 0).unwrap();
        assert_eq!(leftovers(|| std::mem::drop((outbound, inbound))), 0, "{suite:?}");
    }
}

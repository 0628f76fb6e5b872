//! No memory that an SA gives back holds its key.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ironswan_esp::{AhKey, INTEG, InboundSa, OutboundSa, Suite};

/// Keys and salt: octets found in no memory by chance.
static KEYMAT: [u8; 114] = [
    0x91, 0xf9, 0x5e, 0x47, 0x43, 0x61, 0x01, 0x01, 0x86, 0x02, 0x2a, 0x26, 0xdb, 0x56, 0x2b, 0x7b, 0xb2, 0x1e, 0x6a,
    0x59, 0x0e, 0x8d, 0x16, 0xd9, 0xf4, 0xe1, 0xd4, 0x87, 0xaf, 0x4c, 0x99, 0x99, 0x3d, 0x1d, 0x77, 0xab, 0xeb, 0xe7,
    0xaf, 0x29, 0x9c, 0xfc, 0xf8, 0xfe, 0x07, 0xb4, 0x3b, 0x4a, 0x56, 0x54, 0xa9, 0x5f, 0x8a, 0x05, 0x1a, 0x6f, 0x04,
    0x67, 0x5e, 0x9a, 0x5c, 0xb5, 0xa0, 0xaf, 0xab, 0x8f, 0xb6, 0x1d, 0x87, 0x7c, 0xb7, 0x2c, 0xca, 0x10, 0x5b, 0xf8,
    0x72, 0x41, 0xeb, 0x2c, 0x3a, 0xaa, 0xa4, 0x76, 0xec, 0xb1, 0x75, 0x89, 0xa3, 0x51, 0xe4, 0xa3, 0x80, 0x8b, 0xcb,
    0xc7, 0xa9, 0x98, 0x93, 0x95, 0x3e, 0x66, 0xe1, 0x65, 0xef, 0x9d, 0x39, 0x8f, 0x43, 0x7a, 0xa8, 0x61, 0x61, 0x55,
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
    for suite in Suite::all() {
        let keymat = &KEYMAT[..suite.keymat_len()];
        let outbound = OutboundSa::new(1, suite, keymat, false, 0).unwrap();
        let inbound = InboundSa::new(1, suite, keymat, true, 64, 0).unwrap();
        assert_eq!(leftovers(|| std::mem::drop((outbound, inbound))), 0, "{suite:?}");
    }
}

#[test]
fn dropped_keys_of_ah_leave_neither_key_nor_salt() {
    for integ in INTEG {
        let key = Box::new(AhKey::new(integ, &KEYMAT[..integ.key_len + integ.salt_len], true).unwrap());
        assert_eq!(leftovers(|| std::mem::drop(key)), 0, "{}", integ.keyword);
    }
}

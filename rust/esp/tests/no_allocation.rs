//! No packet costs an allocation.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ironswan_esp::encapsulation::{
    Decapsulator, DecapsulatorOptions, Encapsulator, EncapsulatorOptions, Framing, Mode, Outcome, Packets, Status,
    TunnelHeader,
};
use ironswan_esp::{Drop, InboundSa, OutboundSa, Suite};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn sealing_and_opening_allocate_nothing() {
    for suite in Suite::all() {
        let keymat = vec![3; suite.keymat_len()];
        let outbound = OutboundSa::new(1, suite, &keymat, true, 0).unwrap();
        let inbound = InboundSa::new(1, suite, &keymat, true, 1024, 0).unwrap();
        let mut packets = vec![vec![0_u8; outbound.packet_len(400)]; 64];
        let mut slices: Vec<&mut [u8]> = packets.iter_mut().map(Vec::as_mut_slice).collect();
        let mut results = vec![Err(Drop::Malformed); 64];
        let before = ALLOCATIONS.with(Cell::get);
        for _ in 0..2 {
            for (number, packet) in outbound.claim(64).unwrap().zip(&mut slices) {
                outbound.seal_in_place(number, packet, 400, 4);
            }
            inbound.open_batch(&mut slices, &mut results);
            assert!(results.iter().all(Result::is_ok));
            for (number, packet) in outbound.claim(64).unwrap().zip(&mut slices) {
                outbound.seal_in_place(number, packet, 400, 4);
                assert!(inbound.open_in_place(packet).is_ok());
            }
        }
        // Forged packets, replays and the search for a sender far ahead (RFC 4303 A3) cost none either.
        outbound.seal_in_place(outbound.claim(1).unwrap().start, slices[0], 400, 4);
        slices[0][30] ^= 1;
        let mut forged = [0_u8; 600];
        let forged = &mut forged[..slices[0].len()];
        for _ in 0..300 {
            forged.copy_from_slice(slices[0]);
            assert_eq!(inbound.open_in_place(forged), Err(Drop::IcvMismatch));
        }
        assert_eq!(inbound.open_in_place(slices[1]), Err(Drop::Replayed));
        assert_eq!(ALLOCATIONS.with(Cell::get), before);
    }
}

/// Whole batches through encapsulation and back: the memory of the first batch serves the next ones.
#[test]
fn batches_reuse_their_memory() {
    for suite in Suite::all() {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let keymat = vec![3; suite.keymat_len()];
            let tunnel = TunnelHeader::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
            let options = EncapsulatorOptions { mode, tunnel, udp: Some((4500, 4500)), tfc: 0, limits: None };
            let outbound = Encapsulator::new(OutboundSa::new(1, suite, &keymat, true, 0).unwrap(), options);
            let options = DecapsulatorOptions { mode, accept: None, nat_original: None, ecn: true };
            let inbound = Decapsulator::new(InboundSa::new(1, suite, &keymat, true, 1024, 0).unwrap(), options);
            let mut packets = Packets::default();
            for len in (20..100_u8).step_by(3) {
                let mut packet = vec![0; usize::from(len)];
                packet[..4].copy_from_slice(&[0x45, 0, 0, len]);
                packets.push(&packet);
            }
            let (mut sealed, mut opened) = (Outcome::default(), Outcome::default());
            let mut round = || {
                outbound.encap(&packets, Framing::Ip, 4, &mut sealed).unwrap();
                inbound.decap(&sealed.packets, Framing::Ip, &mut opened).unwrap();
                assert!(opened.statuses.iter().all(|status| *status == Status::Ok), "{suite} {mode:?}");
            };
            round();
            let before = ALLOCATIONS.with(Cell::get);
            (0..3).for_each(|_| round());
            assert_eq!(ALLOCATIONS.with(Cell::get), before, "{suite} {mode:?}");
        }
    }
}

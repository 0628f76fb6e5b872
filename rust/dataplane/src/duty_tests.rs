//! Devices that fail, and threads that do.
#![allow(clippy::panic, reason = "panics are what is tested")]

use std::fs::File;

use super::*;
use crate::egress::FAILED_READS;
use crate::testing::{Rig, frame, lane, skipped, udp_packet};
use crate::turn::SendTurn;

/// The first lane asked is the second one.
const LAST: usize = 0;
const FIRST: usize = 1;

/// Reading it fails as when there is no device behind it: here none ever was. None where that cannot be had.
fn without_device() -> Option<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun");
    file.inspect_err(|error| skipped(&format!("/dev/net/tun: {error}"))).ok()
}

#[test]
fn a_device_that_is_gone_keeps_no_turn_of_what_was_sealed_before() {
    let Some(gone) = without_device() else { return };
    let (kernel, ours) = lane();
    let (rig, duty) = (Rig::new(vec![gone, ours]), Duty::new(0).unwrap());
    let entry = rig.protect_everything();
    kernel.send(&frame(&udp_packet(false, 1, b"sealed"))).unwrap();
    let mut outbound = duty.outbound();
    duty.follow(&mut outbound, &rig.shared.devices, 0).unwrap();
    for lane in [LAST, FIRST] {
        outbound.mark(FIRST_DEVICE + lane as u64);
    }
    let error = duty.carry(&mut outbound, &rig.outlet()).unwrap_err();
    assert!(error.to_string().contains("gone"));
    assert_eq!(rig.counted([Counter::Sealed, Counter::DropSendFailed]), [1, 1]);
    assert!(SendTurn::try_take(&entry).is_some());
}

#[test]
fn what_a_thread_that_panics_has_not_sealed_is_never_sent_and_keeps_no_turn() {
    let (rig, duty) = (Rig::new(vec![lane().1]), Duty::new(0).unwrap());
    let entry = rig.protect_everything();
    let panicked = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut outbound = duty.outbound();
            let arena = outbound.egress.arena();
            assert!(arena.reserve(&entry, 1, 100, &rig.outlet()));
            arena.place(100, 0);
            panic!("before it is sealed");
        });
        thread.join().is_err()
    });
    assert!(panicked && SendTurn::try_take(&entry).is_none());
    duty.outbound().egress.arena().flush(&rig.outlet());
    assert_eq!(rig.counted([Counter::DropSendFailed]), [0]);
    assert!(SendTurn::try_take(&entry).is_some());
}

#[test]
fn a_frame_that_cannot_be_read_is_counted_and_passed_over() {
    let (kernel, ours) = lane();
    // Not what a TUN says, but an error as any other.
    let unreadable = File::open("/").unwrap();
    let rig = Rig::new(vec![ours, unreadable]);
    let (mut egress, mut port) = (Egress::default(), Port::new(rig.shared.devices.first()));
    rig.protect_everything();
    kernel.send(&frame(&udp_packet(false, 1, b"sealed"))).unwrap();
    for lane in [LAST, FIRST] {
        port.turns.mark(lane);
    }
    assert_eq!(egress.run(&mut port, &rig.outlet()).unwrap().packets, 1);
    assert_eq!(rig.counted([Counter::Sealed, Counter::DropTunRead]), [1, 1]);
}

#[test]
fn a_device_of_which_no_frame_can_be_read_is_given_up() {
    let rig = Rig::new(vec![File::open("/").unwrap()]);
    let (mut egress, mut port) = (Egress::default(), Port::new(rig.shared.devices.first()));
    let mut run = || {
        port.turns.mark(0);
        egress.run(&mut port, &rig.outlet())
    };
    assert!((1..FAILED_READS).all(|_| run().is_ok()));
    assert!(run().is_err());
}

#[test]
fn a_held_frame_whose_interface_is_gone_is_counted() {
    let (rig, duty) = (Rig::new(Vec::new()), Duty::new(0).unwrap());
    let frame = frame(&udp_packet(false, 1, b"held"));
    duty.outbound().release(vec![Released { device: 7, frame }], &rig.outlet());
    assert_eq!(rig.counted([Counter::DropNoPolicy]), [1]);
}

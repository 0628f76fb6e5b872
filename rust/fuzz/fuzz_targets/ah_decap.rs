//! AH: any octets, and authentic packets with a changed octet.
#![no_main]

use ironswan_esp::encapsulation::{Mode, Outcome, Packets, Status, TunnelHeader};
use ironswan_esp::{AhDecapsulator, AhDecapsulatorOptions, AhEncapsulator, AhEncapsulatorOptions, AhKey, INTEG, ReplayWindow};
use ironswan_fuzz::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(([flags, integ, at, change], rest)) = input.split_first_chunk() else { return };
    let integ = &INTEG[usize::from(*integ) % INTEG.len()];
    let esn = flags & 1 != 0;
    let mode = if flags & 2 != 0 { Mode::Transport } else { Mode::Tunnel };
    let keymat = vec![0x5a; integ.key_len + integ.salt_len];
    let key = || AhKey::new(integ, &keymat, esn).ok();
    let (Some(sending), Some(receiving)) = (key(), key()) else { return };
    let mut packets = Packets::default();
    packets.push(rest);
    let mut sealed = false;
    if flags & 4 != 0 {
        let tunnel = TunnelHeader::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let options = AhEncapsulatorOptions { spi: 7, esn, last_sequence_number: 0, mode, tunnel, limits: None };
        let Ok(outbound) = AhEncapsulator::new(sending, options) else { return };
        let mut outcome = Outcome::default();
        outbound.encap(&packets, &mut outcome);
        check(&outcome, 1);
        sealed = outcome.statuses[0] == Status::Ok;
        packets = outcome.packets;
    }
    let mut packet = packets.get(0).unwrap_or_default().to_vec();
    if let Some(octet) = packet.get_mut(usize::from(*at)) {
        *octet ^= change;
    }
    let mut batch = Packets::default();
    batch.push(&packet);
    batch.push(&packet);
    let options = AhDecapsulatorOptions { spi: 7, mode, accept: None, ecn: true };
    let inbound = AhDecapsulator::new(receiving, ReplayWindow::new(64, esn, 0), options);
    let mut outcome = Outcome::default();
    inbound.decap(&batch, &mut outcome);
    check(&outcome, 2);
    assert_ne!(outcome.statuses[1], Status::Ok, "a packet is accepted once");
    assert!(sealed || outcome.statuses[0] != Status::Ok, "only what was sealed opens");
});

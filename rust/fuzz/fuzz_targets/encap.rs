//! Encapsulation of any octets, in any mode and framing; what is accepted opens again.
#![no_main]

use ironswan_esp::encapsulation::{Framing, Outcome, Packets, Status};
use ironswan_fuzz::{Choices, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choices, rest)) = Choices::read(input) else { return };
    let mut batch = Packets::default();
    for part in rest.chunks(rest.len() / 2 + 1) {
        batch.push(part);
    }
    for framing in [Framing::Esp, Framing::Udp, Framing::Ip] {
        let (mut sealed, mut opened) = (Outcome::default(), Outcome::default());
        if choices.outbound(framing).encap(&batch, framing, 17, &mut sealed).is_err() {
            continue;
        }
        check(&sealed, batch.len());
        let _ = choices.inbound().decap(&sealed.packets, framing, &mut opened);
        check(&opened, batch.len());
        for (before, after) in sealed.statuses.iter().zip(&opened.statuses) {
            // A packet whose protocol is 59 is a dummy to its receiver.
            let opens = matches!(after, Status::Ok | Status::Dummy);
            assert_eq!(*before == Status::Ok, opens, "what was sealed opens, and nothing else");
        }
    }
});

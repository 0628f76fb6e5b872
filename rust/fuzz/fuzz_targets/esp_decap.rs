//! Any octets at all, and any octets made authentic, given to inbound SAs: no panic, and nothing outside the packet.
//!
//! The second octet chooses the suite, the first whether the rest is the packet as it is or a payload to be sealed first, so that the
//! code behind the ICV is reached too.
#![no_main]

use ironswan_esp::{Drop, InboundSa, OutboundSa, Suite, inner_len};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(([choice, suite], rest)) = input.split_first_chunk() else { return };
    let suites = Suite::all().count();
    let Some(suite) = Suite::all().nth(usize::from(*suite) % suites) else { return };
    let esn = choice & 4 != 0;
    let keymat = vec![0x5a; suite.keymat_len()];
    let Ok(inbound) = InboundSa::new(1, suite, &keymat, esn, 64, 0) else { return };
    let mut packet = rest.to_vec();
    if choice & 8 != 0 {
        let Ok(outbound) = OutboundSa::new(1, suite, &keymat, esn, 0) else { return };
        let Ok(numbers) = outbound.claim(1) else { return };
        let next_header = [4, 41, rest.first().copied().unwrap_or(4), 59][usize::from(choice >> 4 & 3)];
        packet = vec![0; outbound.packet_len(rest.len())];
        packet[outbound.header_len()..][..rest.len()].copy_from_slice(rest);
        outbound.seal_in_place(numbers.start, &mut packet, rest.len(), next_header);
    }
    let Ok(batch) = InboundSa::new(1, suite, &keymat, esn, 64, 0) else { return };
    let mut copies = [packet.clone(), packet.clone()];
    let mut results = [Err(Drop::Malformed), Err(Drop::Malformed)];
    batch.open_batch(&mut copies.each_mut().map(Vec::as_mut_slice), &mut results);
    let opened = inbound.open_in_place(&mut packet);
    assert_eq!(results[0], opened, "a batch gives what a single packet gives");
    assert!(results[1].is_err(), "a packet opens once");
    if let Ok(opened) = opened {
        assert!(opened.range.end <= packet.len() && choice & 8 != 0, "only what was sealed opens");
        let payload = &packet[opened.range];
        assert_eq!(payload, rest);
        assert!(inner_len(opened.next_header, payload).is_none_or(|length| (20..=payload.len()).contains(&length)));
    }
});

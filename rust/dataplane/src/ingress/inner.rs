//! Inner packets of tunnel mode.

use std::ops::Range;

use crate::flow::Flow;

/// The inner packet's flow and where it lies, its length by its own header: what is behind is TFC padding (RFC 4303 2.7).
#[inline]
pub fn inner(octets: &[u8], payload: Range<usize>, next_header: u8) -> Option<(Flow, Range<usize>)> {
    let packet = &octets[payload.clone()];
    let version = packet.first()? >> 4;
    if !matches!((next_header, version), (4, 4) | (41, 6)) {
        return None;
    }
    let flow = Flow::read(packet)?;
    let length = if flow.v6 {
        40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]))
    } else {
        usize::from(u16::from_be_bytes([packet[2], packet[3]]))
    };
    let least = if flow.v6 { 40 } else { usize::from(packet[0] & 15) * 4 };
    (least..=packet.len()).contains(&length).then_some((flow, payload.start..payload.start + length))
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::udp_packet;

    const OFFSET: usize = 24;

    /// What of the octets behind an ESP header and an IV is the packet.
    fn range(packet: &[u8], next_header: u8) -> Option<Range<usize>> {
        let octets = [&[0xee; OFFSET], packet, &[0xee; 40]].concat();
        inner(&octets, OFFSET..OFFSET + packet.len(), next_header).map(|(_, packet)| packet)
    }

    #[test]
    fn padding_behind_a_packet_is_cut_off() {
        for (v6, next_header) in [(false, 4), (true, 41)] {
            let packet = udp_packet(v6, 5000, b"inner");
            let whole = Some(OFFSET..OFFSET + packet.len());
            for padding in [0, 1, 1000] {
                assert_eq!(range(&[&packet[..], &vec![0xcc; padding]].concat(), next_header), whole);
            }
        }
    }

    #[test]
    fn a_packet_of_another_version_than_its_next_header_says_is_none() {
        for v6 in [false, true] {
            let packet = udp_packet(v6, 5000, b"inner");
            let right = if v6 { 41 } else { 4 };
            for next_header in [0, 4, 6, 17, 41, 59, 61] {
                assert_eq!(range(&packet, next_header).is_some(), next_header == right, "{v6} {next_header}");
            }
        }
        let mut other = udp_packet(false, 5000, b"inner");
        other[0] = 0x55;
        assert_eq!(range(&other, 4), None);
    }

    #[test]
    fn a_packet_that_ends_behind_what_was_protected_or_within_its_header_is_none() {
        for (v6, next_header, header_len) in [(false, 4, 20), (true, 41, 40)] {
            let packet = udp_packet(v6, 5000, b"inner");
            assert_eq!(range(&packet[..packet.len() - 1], next_header), None);
            assert_eq!(range(&packet[..header_len - 1], next_header), None);
            assert_eq!(range(&[], next_header), None);
        }
        let mut short = udp_packet(false, 5000, b"inner");
        short[2..4].copy_from_slice(&19_u16.to_be_bytes());
        assert_eq!(range(&short, 4), None);
        short[2..4].copy_from_slice(&20_u16.to_be_bytes());
        assert_eq!(range(&short, 4), Some(OFFSET..OFFSET + 20));
    }
}

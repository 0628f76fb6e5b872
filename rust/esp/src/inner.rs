//! Where the inner datagram of a tunnel payload ends: what is behind it is TFC padding (RFC 4303 2.7).

use crate::encapsulation::ip::{IPV4_HEADER, IPV6_HEADER};
use crate::encapsulation::protocol::{IPV4, IPV6};

/// The length of the inner datagram by its own header; the octets of `payload` behind it are TFC padding.
///
/// None when `next_header` is not IPv4 or IPv6 in a tunnel, when the version in the datagram is another, or when the length
/// cannot be: shorter than its header or longer than the payload. IPv6 jumbograms (RFC 2675) are not tunnelled.
#[inline]
pub fn inner_len(next_header: u8, payload: &[u8]) -> Option<usize> {
    let version = payload.first()? >> 4;
    let (least, length) = match (next_header, version) {
        (IPV4, 4) => {
            let header = usize::from(payload[0] & 15) * 4;
            if header < IPV4_HEADER {
                return None;
            }
            (header, length_at(payload, 2)?)
        }
        (IPV6, 6) => (IPV6_HEADER, IPV6_HEADER + length_at(payload, 4)?),
        _ => return None,
    };
    (least..=payload.len()).contains(&length).then_some(length)
}

fn length_at(payload: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*payload.get(at)?, *payload.get(at + 1)?])))
}

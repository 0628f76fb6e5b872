//! What is checked and mended in a packet that was just decapsulated.

use super::decap::{Accept, DecapsulatorOptions};
use super::ecn;
use super::frame::Found;
use super::ip::IpHeaders;
use super::outcome::Status;
use crate::inner_len;

/// Fragments that begin before this octet could overwrite what a first fragment said of ports (RFC 4301 7.2, RFC 1858).
const LEAST_FRAGMENT_OFFSET: usize = 16;

/// What became of a packet's payload.
pub(crate) struct Finished {
    /// Octets of the packet as it goes on.
    pub(crate) len: usize,
    /// Whether the ECN fields should not have met.
    pub(crate) anomaly: bool,
}

/// Looks at the inner packet of any protocol that tunnels: its length, ECN, fragments, selectors. `outer_class` is None where
/// ECN is not carried inward.
pub(crate) fn finish_inner(
    packet: &mut [u8],
    next_header: u8,
    outer_class: Option<u8>,
    accept: Option<&Accept>,
) -> Result<Finished, Status> {
    let len = inner_len(next_header, packet).ok_or(Status::Malformed)?;
    let packet = &mut packet[..len];
    let combined = outer_class.map(|outer| ecn::combine(IpHeaders::traffic_class(packet), outer));
    if accept.is_some_and(|accept| is_overlapping(packet) || !accept(packet)) {
        return Err(Status::SelectorMismatch);
    }
    if let Some(combined) = combined {
        ecn::set(packet, combined.inner.ok_or(Status::EcnIllegal)?);
    }
    Ok(Finished { len, anomaly: combined.is_some_and(|combined| combined.anomaly) })
}

/// Puts the IP headers right in front of a payload of transport mode.
pub(super) fn finish_transport(
    packet: &mut [u8],
    found: &Found,
    next_header: u8,
    options: &DecapsulatorOptions,
) -> Result<Finished, Status> {
    let len = packet.len();
    if let Some(headers) = &found.headers {
        headers.rewrite(packet, next_header, len);
        if let Some(original) = options.nat_original {
            original.mend(packet, headers);
        }
        if options.accept.as_ref().is_some_and(|accept| !accept(packet)) {
            return Err(Status::SelectorMismatch);
        }
    }
    Ok(Finished { len, anomaly: false })
}

/// A later IPv4 fragment that begins within the transport header.
fn is_overlapping(packet: &[u8]) -> bool {
    let offset = 8 * usize::from(u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff);
    packet[0] >> 4 == 4 && (1..LEAST_FRAGMENT_OFFSET).contains(&offset)
}

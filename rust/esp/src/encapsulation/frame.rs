//! What stands before ESP: where it is found, and the UDP header of an encapsulated packet.

use super::ip::{IPV6_HEADER, IpHeaders, esp_in_udp, fold, sum};
use super::outcome::Status;
use super::protocol::{self, FRAGMENT, ROUTING};
use super::{Framing, UDP_HEADER};

/// Type of a routing header whose segments are listed from the last to the first.
const SEGMENT_ROUTING: u8 = 4;

/// Where ESP lies in a received buffer.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// The IP headers, where there are any.
    pub(super) headers: Option<IpHeaders>,
    /// Octets before ESP.
    pub(super) at: usize,
    /// Octets of ESP.
    pub(super) len: usize,
}

/// Finds ESP in what was received.
#[inline]
pub(super) fn find(packet: &[u8], framing: Framing) -> Result<Found, Status> {
    match framing {
        Framing::Esp => Ok(Found { headers: None, at: 0, len: packet.len() }),
        Framing::Udp => {
            let esp = esp_in_udp(packet).ok_or(Status::NotEsp)?;
            Ok(Found { headers: None, at: UDP_HEADER, len: esp.len() })
        }
        Framing::Ip => behind_ip(packet),
    }
}

fn behind_ip(packet: &[u8]) -> Result<Found, Status> {
    let headers = IpHeaders::received(packet).ok_or(Status::Malformed)?;
    // RFC 4303 3.4.1: reassembly comes before ESP.
    if headers.fragment {
        return Err(Status::Fragment);
    }
    let payload = headers.payload(packet);
    match headers.protocol {
        protocol::ESP => Ok(Found { headers: Some(headers), at: headers.len, len: payload.len() }),
        protocol::UDP => {
            let esp = esp_in_udp(payload).ok_or(Status::NotEsp)?;
            Ok(Found { headers: Some(headers), at: headers.len + UDP_HEADER, len: esp.len() })
        }
        _ => Err(Status::NotEsp),
    }
}

/// Writes a UDP header without checksum, as RFC 3948 2.1 wants it.
pub(super) fn write_udp(header: &mut [u8], (source, destination): (u16, u16), payload_len: usize) {
    header[..2].copy_from_slice(&source.to_be_bytes());
    header[2..4].copy_from_slice(&destination.to_be_bytes());
    header[4..6].copy_from_slice(&((UDP_HEADER + payload_len) as u16).to_be_bytes());
    header[6..8].fill(0);
}

/// Where an IPv6 packet goes in the end: a routing header with segments left says so (RFC 8200 8.1), first in a segment routing
/// header (RFC 8754 2), last in others. `end` is where the extension headers end.
fn final_destination(packet: &[u8], end: usize) -> &[u8] {
    let (mut next, mut at) = (packet[6], IPV6_HEADER);
    while at < end {
        let len = if next == FRAGMENT { 8 } else { 8 + 8 * usize::from(packet[at + 1]) };
        if next == ROUTING && packet[at + 3] > 0 && len >= 24 {
            let address = if packet[at + 2] == SEGMENT_ROUTING { at + 8 } else { at + len - 16 };
            return &packet[address..address + 16];
        }
        (next, at) = (packet[at], at + len);
    }
    &packet[24..IPV6_HEADER]
}

/// Writes the UDP checksum of an IPv6 packet, which hosts may insist on (RFC 8200 8.1). `udp_at` is where UDP begins.
pub(super) fn set_udp_checksum_v6(packet: &mut [u8], udp_at: usize) {
    let datagram = &packet[udp_at..];
    let addresses = sum(&packet[8..24]) + sum(final_destination(packet, udp_at));
    let total = addresses + sum(datagram) + datagram.len() as u64 + u64::from(protocol::UDP);
    let checksum = match !fold(total) {
        0 => 0xffff,
        checksum => checksum,
    };
    packet[udp_at + 6..udp_at + 8].copy_from_slice(&checksum.to_be_bytes());
}

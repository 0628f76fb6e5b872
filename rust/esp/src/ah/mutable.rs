//! What changes on the way is not covered by the ICV: it is zero while that is computed, or as it will arrive (RFC 4302 3.3.3.1,
//! appendix A).

use crate::encapsulation::ip::{IPV4_HEADER, IPV6_HEADER, IpHeaders};
use crate::encapsulation::protocol::{DESTINATION_OPTIONS, HOP_BY_HOP, ROUTING};

/// The bit of an IPv6 option's type that says its data may change (RFC 8200 4.2).
const MAY_CHANGE: u8 = 0x20;

/// IPv4 options that do not change (RFC 4302 appendix A1): end, no operation, security, extended security, commercial security,
/// router alert, sender directed multi-destination delivery.
const IMMUTABLE_OPTIONS: [u8; 7] = [0, 1, 130, 133, 134, 148, 149];
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Who computes the ICV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The sender, who predicts where a route ends.
    Sender,
    /// The receiver, who is that end and takes addresses as they came: a packet that is still on its route, or was led to
    /// another destination, is not what was signed.
    Receiver,
}

/// Zeroes the mutable fields of the headers of `packet`, and for the sender predicts what is known to change. None when the
/// headers do not hold together.
pub(super) fn clear(packet: &mut [u8], headers: &IpHeaders, side: Side) -> Option<()> {
    if headers.v6 { clear_v6(packet, headers.len, side) } else { clear_v4(packet, headers.len, side) }
}

/// Whether a sender could clear these headers: those without options and extensions hold together.
pub(super) fn is_sound(packet: &[u8], headers: &IpHeaders) -> bool {
    let plain = if headers.v6 { IPV6_HEADER } else { IPV4_HEADER };
    headers.len == plain
        || Kept::new(packet, headers.len)
            .is_some_and(|mut copy| clear(copy.octets_mut(), headers, Side::Sender).is_some())
}

/// TOS, flags, offset, TTL, checksum, and options.
fn clear_v4(packet: &mut [u8], len: usize, side: Side) -> Option<()> {
    packet[1] = 0;
    packet[6..9].fill(0);
    packet[10..12].fill(0);
    let mut at = IPV4_HEADER;
    while at < len {
        let kind = packet[at];
        if kind == 0 {
            break;
        }
        if kind == 1 {
            at += 1;
            continue;
        }
        let option_len = usize::from(*packet.get(at + 1)?);
        let end = at + option_len;
        if option_len < 2 || end > len {
            return None;
        }
        if side == Side::Sender && matches!(kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE) {
            predict_destination_v4(packet, at, end);
        }
        if !IMMUTABLE_OPTIONS.contains(&kind) {
            packet[at..end].fill(0);
        }
        at = end;
    }
    Some(())
}

/// A source route that was not yet followed to its end: the packet arrives with its last address as destination.
fn predict_destination_v4(packet: &mut [u8], at: usize, end: usize) {
    let next = usize::from(packet[at + 2..end].first().copied().unwrap_or(u8::MAX));
    if next < 4 || at + next + 3 > end || end < at + 7 {
        return;
    }
    packet.copy_within(end - 4..end, 16);
}

/// Traffic class, flow label, hop limit, and what stands between the header and AH.
fn clear_v6(packet: &mut [u8], len: usize, side: Side) -> Option<()> {
    packet[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    packet[7] = 0;
    let (mut kind, mut at) = (packet[6], IPV6_HEADER);
    while at < len {
        let extension_len = 8 + 8 * usize::from(*packet.get(at + 1)?);
        let end = at + extension_len;
        if end > len {
            return None;
        }
        match kind {
            HOP_BY_HOP | DESTINATION_OPTIONS => clear_options(&mut packet[at + 2..end])?,
            ROUTING if side == Side::Sender => predict_route_v6(packet, at, end)?,
            ROUTING => {}
            _ => return None,
        }
        kind = packet[at];
        at = end;
    }
    Some(())
}

/// Zeroes the data of options that may change.
fn clear_options(mut options: &mut [u8]) -> Option<()> {
    while let [kind, rest @ ..] = options {
        if *kind == 0 {
            options = rest;
            continue;
        }
        let (length, rest) = rest.split_first_mut()?;
        let (data, behind) = rest.split_at_mut_checked(usize::from(*length))?;
        if *kind & MAY_CHANGE != 0 {
            data.fill(0);
        }
        options = behind;
    }
    Some(())
}

/// A routing header of type 0 arrives with no segments left, the addresses moved up by one and the last as destination. Other
/// types are taken as they are.
fn predict_route_v6(packet: &mut [u8], at: usize, end: usize) -> Option<()> {
    let (routing_type, left) = (packet[at + 2], usize::from(packet[at + 3]));
    let addresses = (end - at - 8) / 16;
    if routing_type != 0 || left == 0 {
        return Some(());
    }
    if left > addresses {
        return None;
    }
    let first = at + 8 + 16 * (addresses - left);
    for address in (first..at + 8 + 16 * addresses).step_by(16) {
        for octet in 0..16 {
            packet.swap(24 + octet, address + octet);
        }
    }
    packet[at + 3] = 0;
    Some(())
}

/// A copy of headers while their mutable fields are cleared, on the stack.
pub(super) struct Kept {
    octets: [u8; Self::MOST],
    len: usize,
}

impl Kept {
    /// Octets of headers before AH that are taken: more than any sender needs.
    const MOST: usize = 1024;

    pub(super) fn new(packet: &[u8], len: usize) -> Option<Self> {
        let mut octets = [0; Self::MOST];
        octets.get_mut(..len)?.copy_from_slice(packet.get(..len)?);
        Some(Self { octets, len })
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.octets[..self.len]
    }
}

//! Transport mode (RFC 4301 4.1, RFC 4303 3.1.1): what of a packet is sealed, and the header an opened payload gets again.
//! The header itself does not travel: the outer one is the socket's, and the addresses are those of the selectors.

use std::net::IpAddr;
use std::ops::Range;

use crate::checksum::{changed, set_ipv4_header, sum};
use crate::flow::upper_layer;
use crate::selector::Selectors;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
/// Octets of the longest header that is written.
pub const HEADER_MAX: usize = IPV6_HEADER;
const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const FRAGMENT_HEADER: usize = 8;
const ICMPV6: u8 = 58;
/// TTL or hop limit of a header that is written: the packet has arrived, nobody counts it down any more.
const HOPS: u8 = 64;

/// The mode of an SA (RFC 4301 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Whole packets are sealed.
    Tunnel,
    /// What is behind the IP header is sealed.
    Transport {
        /// Source and destination the peer has in its packets, where a NAT changes them (RFC 7296 2.23.1).
        nat_original: Option<(IpAddr, IpAddr)>,
    },
}

/// Where the part of a packet begins that transport mode seals, and that part's next header. None for what cannot travel
/// without its header: IPv4 options, a fragment, IPv6 headers for the routers on the way.
#[must_use]
pub fn upper_part(packet: &[u8]) -> Option<(usize, u8)> {
    match packet.first()? >> 4 {
        4 => {
            let header: &[u8; IPV4_HEADER] = packet.first_chunk()?;
            let whole = usize::from(u16::from_be_bytes([header[2], header[3]])) == packet.len();
            // More fragments, or an offset.
            let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
            (header[0] == 0x45 && whole && !fragment).then_some((IPV4_HEADER, header[9]))
        }
        6 => {
            let header: &[u8; IPV6_HEADER] = packet.first_chunk()?;
            let whole = usize::from(u16::from_be_bytes([header[4], header[5]])) == packet.len() - IPV6_HEADER;
            let (start, next) = behind_atomic_fragment(packet, header[6])?;
            (whole && is_for_the_destination(next, packet.get(start..)?)).then_some((start, next))
        }
        _ => None,
    }
}

/// A fragment header with neither an offset nor more to come stands before a whole datagram (RFC 6946) and may go.
fn behind_atomic_fragment(packet: &[u8], next: u8) -> Option<(usize, u8)> {
    if next != FRAGMENT {
        return Some((IPV6_HEADER, next));
    }
    let [following, _, high, low] = *packet.get(IPV6_HEADER..)?.first_chunk()?;
    let whole = u16::from_be_bytes([high, low]) & 0xfff9 == 0;
    whole.then_some((IPV6_HEADER + FRAGMENT_HEADER, following))
}

/// RFC 4303 3.1.1: hop-by-hop, routing and fragment headers stand before ESP, and so do options before a routing header.
fn is_for_the_destination(mut next: u8, mut rest: &[u8]) -> bool {
    const DESTINATION_OPTIONS: u8 = 60;
    while next == DESTINATION_OPTIONS {
        let [following, length, ..] = *rest else { return false };
        let Some(behind) = rest.get(usize::from(length) * 8 + 8..) else { return false };
        (next, rest) = (following, behind);
    }
    !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT)
}

/// What turns opened payloads of an SA into packets again.
pub struct Rebuild {
    header: [u8; HEADER_MAX],
    header_len: usize,
    /// Sums of the addresses that checksums were made with and of those in the header, where they differ.
    mend: Option<(u64, u64)>,
}

impl Rebuild {
    /// Headers from the peer to us. None when either side of the selectors is not exactly one address, or when addresses
    /// are of two families.
    #[must_use]
    pub fn new(selectors: &Selectors, nat_original: Option<(IpAddr, IpAddr)>) -> Option<Self> {
        let (source, v6) = selectors.single_remote()?;
        let (destination, other) = selectors.single_local()?;
        if v6 != other {
            return None;
        }
        let (source, destination) = (source.to_be_bytes(), destination.to_be_bytes());
        let mut header = [0; HEADER_MAX];
        let (header_len, addresses) = if v6 {
            (header[0], header[7]) = (0x60, HOPS);
            header[8..24].copy_from_slice(&source);
            header[24..40].copy_from_slice(&destination);
            (IPV6_HEADER, 8..40)
        } else {
            // An atomic datagram: DF set, so that the identification means nothing (RFC 6864 4.1).
            (header[0], header[6], header[8]) = (0x45, 0x40, HOPS);
            header[12..16].copy_from_slice(&source[12..]);
            header[16..20].copy_from_slice(&destination[12..]);
            (IPV4_HEADER, 12..20)
        };
        let mend = match nat_original {
            None => None,
            Some((source, destination)) if source.is_ipv6() == v6 && destination.is_ipv6() == v6 => {
                Some((address_sum(source) + address_sum(destination), sum(&header[addresses])))
            }
            Some(_) => return None,
        };
        Some(Self { header, header_len, mend })
    }

    /// Puts the header before the payload at `at`, in `room`; where the whole packet lies then. Its DS field is `class`, that of
    /// the header it came with. None for a next header that cannot stand there, and for what is too long for a packet.
    #[inline]
    pub fn packet(
        &self,
        octets: &mut [u8],
        at: Range<usize>,
        next: u8,
        class: u8,
        room: &mut Room,
    ) -> Option<Range<usize>> {
        let v6 = self.header_len == IPV6_HEADER;
        let length_field = if v6 { at.len() } else { at.len() + self.header_len };
        if (v6 && !is_for_the_destination(next, &octets[at.clone()])) || length_field > usize::from(u16::MAX) {
            return None;
        }
        if let Some((before, after)) = self.mend {
            mend(&mut octets[at.clone()], next, v6, before, after);
        }
        let packet = room.put(octets, at, self.header_len);
        let header = &mut octets[packet.start..packet.start + self.header_len];
        header.copy_from_slice(&self.header[..self.header_len]);
        let (length_at, next_at) = if v6 { (4, 6) } else { (2, 9) };
        header[length_at..length_at + 2].copy_from_slice(&(length_field as u16).to_be_bytes());
        header[next_at] = next;
        if v6 {
            (header[0], header[1]) = (header[0] | class >> 4, class << 4);
        } else {
            header[1] = class;
            set_ipv4_header(header);
        }
        Some(packet)
    }
}

fn address_sum(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    }
}

/// Makes a checksum right for the addresses the packet gets here (RFC 3948 3.1.2).
fn mend(payload: &mut [u8], next: u8, v6: bool, before: u64, after: u64) {
    let length = payload.len();
    let (protocol, upper_len) = if v6 {
        let (protocol, upper) = upper_layer(next, payload);
        (protocol, upper.map_or(0, <[u8]>::len))
    } else {
        (next, length)
    };
    let offset = match protocol {
        TCP => 16,
        UDP => 6,
        ICMPV6 if v6 => 2,
        _ => return,
    };
    let at = length - upper_len + offset;
    let Some(field) = payload.get_mut(at..at + 2) else { return };
    // A UDP datagram without checksum stays without.
    if protocol == UDP && field == [0, 0] {
        return;
    }
    let new = changed(u16::from_ne_bytes([field[0], field[1]]), before, after);
    let new = if protocol == UDP && new == 0 { 0xffff } else { new };
    field.copy_from_slice(&new.to_ne_bytes());
}

/// Where headers can be written in a batch of datagrams side by side: in front of a payload, over what ESP had there and
/// over the end of a datagram that was dealt with; or, with the payload, in spare octets behind the batch.
pub struct Room {
    /// Where the last packet that is still needed ends.
    floor: usize,
    spare: Range<usize>,
    next: usize,
}

impl Room {
    /// With the spare octets at `spare`.
    #[must_use]
    pub fn new(spare: Range<usize>) -> Self {
        Self { floor: 0, next: spare.start, spare }
    }

    /// Nothing of the batch is needed any more.
    pub fn clear(&mut self) {
        self.floor = 0;
        self.next = self.spare.start;
    }

    /// Whether `packets` of so many octets together, and their headers, have room for certain.
    #[inline]
    #[must_use]
    pub fn has(&self, octets: usize, packets: usize) -> bool {
        self.next + octets + packets * HEADER_MAX <= self.spare.end
    }

    /// The packet at `packet` is still needed.
    #[inline]
    pub fn keep(&mut self, packet: &Range<usize>) {
        if packet.start < self.spare.start {
            self.floor = packet.end;
        }
    }

    fn put(&mut self, octets: &mut [u8], at: Range<usize>, header_len: usize) -> Range<usize> {
        if at.start >= self.floor + header_len {
            return at.start - header_len..at.end;
        }
        let start = self.next;
        self.next += header_len + at.len();
        octets.copy_within(at, start + header_len);
        start..self.next
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;

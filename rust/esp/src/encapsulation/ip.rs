//! The headers of an IP packet, read once: where they end, what stands behind them.

use crate::{SPI_AND_SEQUENCE, inner_len};

use super::protocol::{self, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};

/// Octets of an IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;
/// Octets of an IPv6 header without extensions.
pub(crate) const IPV6_HEADER: usize = 40;
/// Octets of the longest IP packet whose length its header can say, jumbograms (RFC 2675) apart.
pub(crate) const LONGEST: usize = 65_535;

/// The headers of a packet up to where ESP is, or would be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IpHeaders {
    pub(crate) v6: bool,
    /// Octets of all headers.
    pub(crate) len: usize,
    /// Octets of the packet by its own length field.
    pub(crate) total: usize,
    /// Where the number of what follows the headers stands.
    pub(crate) protocol_at: usize,
    /// That number.
    pub(crate) protocol: u8,
    /// Whether this is a part of a datagram.
    pub(crate) fragment: bool,
}

impl IpHeaders {
    /// The headers behind which ESP or AH is to be put. None when it is no whole IP packet. What the buffer holds behind the
    /// packet is none of it.
    #[inline]
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        Self::read_up_to(packet, &[])
    }

    /// The headers of a received packet up to ESP, AH, or UDP, where destination options may stand before these.
    #[inline]
    pub(crate) fn received(packet: &[u8]) -> Option<Self> {
        Self::read_up_to(packet, &[protocol::ESP, protocol::AH, protocol::UDP])
    }

    fn read_up_to(packet: &[u8], ends: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::read_v4(packet),
            6 => Self::read_v6(packet, ends),
            _ => None,
        }
    }

    fn read_v4(packet: &[u8]) -> Option<Self> {
        let header: &[u8; IPV4_HEADER] = packet.first_chunk()?;
        let len = usize::from(header[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let whole = len >= IPV4_HEADER && (len..=packet.len()).contains(&total);
        // More fragments, or an offset.
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        whole.then_some(Self { v6: false, len, total, protocol_at: 9, protocol: header[9], fragment })
    }

    /// RFC 4303 3.1.1: ESP stands behind the extension headers that are for every hop, for routing and for fragmentation, and
    /// so behind destination options that stand before one of these.
    fn read_v6(packet: &[u8], ends: &[u8]) -> Option<Self> {
        let header: &[u8; IPV6_HEADER] = packet.first_chunk()?;
        let total = IPV6_HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let packet = packet.get(..total)?;
        let mut headers =
            Self { v6: true, len: IPV6_HEADER, total, protocol_at: 6, protocol: header[6], fragment: false };
        let mut before_options = None;
        while matches!(headers.protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
            let extension = packet.get(headers.len..)?;
            let [next, length, _, _, _, _, _, _] = extension.first_chunk()?;
            let kind = headers.protocol;
            if kind == DESTINATION_OPTIONS {
                before_options.get_or_insert(headers);
            } else {
                before_options = None;
            }
            let extension_len = if kind == FRAGMENT { 8 } else { 8 + 8 * usize::from(*length) };
            // An offset, or more fragments: without either it is a whole datagram (RFC 6946).
            headers.fragment |= kind == FRAGMENT && u16::from_be_bytes([extension[2], extension[3]]) & 0xfff9 != 0;
            headers.protocol_at = headers.len;
            headers.protocol = *next;
            headers.len += extension_len;
            if headers.len > total {
                return None;
            }
        }
        // The last options are for the destination and may be protected.
        Some(before_options.filter(|_| !ends.contains(&headers.protocol)).unwrap_or(headers))
    }

    /// What stands behind the headers.
    pub(crate) fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        &packet[self.len..self.total]
    }

    /// The octet with DSCP and ECN.
    #[inline]
    pub(crate) fn traffic_class(packet: &[u8]) -> u8 {
        if packet[0] >> 4 == 4 { packet[1] } else { packet[0] << 4 | packet[1] >> 4 }
    }

    /// Changes what follows the headers, and the length, in `packet`, which begins with these headers.
    pub(crate) fn rewrite(&self, packet: &mut [u8], protocol: u8, total: usize) {
        packet[self.protocol_at] = protocol;
        if self.v6 {
            packet[4..6].copy_from_slice(&((total - IPV6_HEADER) as u16).to_be_bytes());
        } else {
            packet[2..4].copy_from_slice(&(total as u16).to_be_bytes());
            set_ipv4_checksum(&mut packet[..self.len]);
        }
    }
}

/// What a tunnel says of a packet: its next header, and where it ends by its own length. None when it is no whole IP packet.
#[inline]
pub(crate) fn tunnelled(packet: &[u8]) -> Option<(u8, usize)> {
    let next_header = if packet.first()? >> 4 == 6 { protocol::IPV6 } else { protocol::IPV4 };
    Some((next_header, inner_len(next_header, packet)?))
}

/// Writes the checksum of an IPv4 header.
pub(crate) fn set_ipv4_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let checksum = !fold(sum(header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// The octets as 16-bit words, added up (RFC 1071).
pub(crate) fn sum(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<2>();
    let last = rest.first().map_or(0, |octet| u64::from(*octet) << 8);
    words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>() + last
}

/// Carries added to the lowest bits.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Finds ESP behind a UDP header. None: another datagram, an IKE message, a keepalive (RFC 3948 2.2, 2.3).
pub(crate) fn esp_in_udp(datagram: &[u8]) -> Option<&[u8]> {
    let (header, payload) = datagram.split_first_chunk::<{ super::UDP_HEADER }>()?;
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let payload = payload.get(..len.checked_sub(super::UDP_HEADER)?)?;
    (payload.len() >= SPI_AND_SEQUENCE && payload[..4] != [0; 4]).then_some(payload)
}

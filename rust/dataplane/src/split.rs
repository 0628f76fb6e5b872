//! Cuts a super-packet of the TUN into the packets it stands for. Planning checks every bound; writing cannot fail.

use crate::checksum::{copy_and_sum, fold, pseudo_header, sum, sum_few, without, word};
use crate::transport::upper_part;
use crate::vnet::{self, Header};

const TCP: u8 = 6;
const UDP: u8 = 17;
/// FIN and PSH belong to the last segment only.
const LAST_ONLY: u8 = 0x09;

/// A frame whose headers have been checked.
#[derive(Debug)]
pub struct Plan<'a> {
    packet: &'a [u8],
    segments: usize,
    segment_size: usize,
    l4: usize,
    header_len: usize,
    protocol: u8,
    /// Octets at the beginning that are not written.
    skip: usize,
    common: Common,
}

/// What of the headers is the same in every packet, summed up. A header is not read again once it is written: the processor
/// would wait for what it has just stored piece by piece.
#[derive(Debug, Default)]
struct Common {
    /// The IPv4 header without length, identification and checksum.
    ip: u64,
    /// The TCP header without sequence number, flags and checksum, or UDP's ports; the pseudo header without the length.
    l4: u64,
    id: u16,
    sequence: u32,
}

impl Common {
    fn new(packet: &[u8], l4: usize, header_len: usize, protocol: u8) -> Self {
        let (ip, upper) = packet[..header_len].split_at(l4);
        let v4 = ip[0] >> 4 == 4;
        let addresses = if v4 { &ip[12..20] } else { &ip[8..40] };
        let pseudo_header = pseudo_header(addresses, 0, protocol);
        let (l4, sequence) = if protocol == TCP {
            let varying = [4, 6, 12, 16].map(|at| without(word(upper, at)));
            (sum_few(upper) + varying.iter().sum::<u64>(), u32::from_be_bytes([upper[4], upper[5], upper[6], upper[7]]))
        } else {
            (sum_few(&upper[..4]), 0)
        };
        let (ip, id) = if v4 {
            let varying = [2, 4, 10].map(|at| without(word(ip, at)));
            (sum_few(ip) + varying.iter().sum::<u64>(), u16::from_be_bytes([ip[4], ip[5]]))
        } else {
            (0, 0)
        };
        Self { ip, l4: l4 + pseudo_header, id, sequence }
    }
}

impl<'a> Plan<'a> {
    /// Reads the offload header of `frame`, and completes the checksum of a packet that needs no cutting.
    /// None when header and packet contradict each other.
    pub fn new(frame: &'a mut [u8]) -> Option<Self> {
        let header = Header::read(frame)?;
        let packet = &mut frame[vnet::LEN..];
        if header.gso_type == vnet::GSO_NONE {
            if header.flags & vnet::NEEDS_CSUM != 0 {
                complete_checksum(packet, header)?;
            }
            let segment_size = packet.len();
            return Some(Self {
                packet,
                segments: 1,
                segment_size,
                l4: 0,
                header_len: 0,
                protocol: 0,
                skip: 0,
                common: Common::default(),
            });
        }
        Self::cut(packet, header)
    }

    fn cut(packet: &'a [u8], header: Header) -> Option<Self> {
        let l4 = usize::from(header.csum_start);
        let version = packet.first()? >> 4;
        let (protocol, min_l4) = match (header.gso_type, version) {
            (vnet::GSO_TCPV4, 4) => (TCP, 20),
            (vnet::GSO_TCPV6, 6) => (TCP, 40),
            (vnet::GSO_UDP_L4, 4) => (UDP, 20),
            (vnet::GSO_UDP_L4, 6) => (UDP, 40),
            _ => return None,
        };
        if l4 < min_l4 || (version == 4 && l4 != usize::from(packet[0] & 15) * 4) {
            return None;
        }
        let l4_len = if protocol == TCP { usize::from(*packet.get(l4 + 12)? >> 4) * 4 } else { 8 };
        let (header_len, segment_size) = (l4 + l4_len, usize::from(header.gso_size));
        if (protocol == TCP && l4_len < 20) || header_len >= packet.len() || segment_size == 0 {
            return None;
        }
        let segments = (packet.len() - header_len).div_ceil(segment_size);
        let common = Common::new(packet, l4, header_len, protocol);
        Some(Self { packet, segments, segment_size, l4, header_len, protocol, skip: 0, common })
    }

    /// What transport mode seals of these packets, and its next header. None when it cannot carry them, see `upper_part`.
    #[must_use]
    pub fn into_upper_parts(self) -> Option<(Self, u8)> {
        let (skip, next_header) = upper_part(self.packet)?;
        (self.header_len == 0 || skip <= self.l4).then_some((Self { skip, ..self }, next_header))
    }

    /// The super-packet, or the packet that needs no cutting.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        self.packet
    }

    /// How many packets there are.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Octets of packet `index`; the first is the longest.
    #[must_use]
    pub fn len(&self, index: usize) -> usize {
        self.header_len + self.payload(index).len() - self.skip
    }

    /// Octets of all packets together.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.packet.len() + (self.segments - 1) * self.header_len - self.segments * self.skip
    }

    /// Writes packet `index` to `target`, which is `len(index)` long.
    #[inline]
    pub fn write(&self, index: usize, target: &mut [u8]) {
        let payload = self.payload(index);
        if self.header_len == 0 {
            target.copy_from_slice(&payload[self.skip..]);
            return;
        }
        let (header, rest) = target.split_at_mut(self.header_len - self.skip);
        header.copy_from_slice(&self.packet[self.skip..self.header_len]);
        let payload_sum = copy_and_sum(rest, payload);
        let (ip, l4) = header.split_at_mut(self.l4 - self.skip);
        let l4_len = l4.len() + payload.len();
        if self.skip == 0 {
            self.set_ip_header(ip, l4_len, index);
        }
        let sum = payload_sum + self.common.l4 + u64::from((l4_len as u16).to_be());
        if self.protocol == TCP { self.set_tcp_header(l4, index, sum) } else { set_udp_header(l4, l4_len, sum) }
    }

    fn payload(&self, index: usize) -> &[u8] {
        let start = self.header_len + index * self.segment_size;
        &self.packet[start..self.packet.len().min(start + self.segment_size)]
    }

    /// Lengths, identification and checksum of the IP header.
    fn set_ip_header(&self, ip: &mut [u8], l4_len: usize, index: usize) {
        if ip[0] >> 4 == 4 {
            let total = ((ip.len() + l4_len) as u16).to_be();
            let id = self.common.id.wrapping_add(index as u16).to_be();
            let check = !fold(self.common.ip + u64::from(total) + u64::from(id));
            ip[2..4].copy_from_slice(&total.to_ne_bytes());
            ip[4..6].copy_from_slice(&id.to_ne_bytes());
            ip[10..12].copy_from_slice(&check.to_ne_bytes());
        } else {
            let payload_len = (ip.len() - 40 + l4_len) as u16;
            ip[4..6].copy_from_slice(&payload_len.to_be_bytes());
        }
    }

    /// Sequence number, flags and checksum, `sum` being that of all else.
    fn set_tcp_header(&self, tcp: &mut [u8], index: usize, sum: u64) {
        let sequence = self.common.sequence.wrapping_add((index * self.segment_size) as u32).to_be();
        if index + 1 < self.segments {
            tcp[13] &= !LAST_ONLY;
        }
        let check = !fold(sum + u64::from(sequence) + word(tcp, 12));
        tcp[4..8].copy_from_slice(&sequence.to_ne_bytes());
        tcp[16..18].copy_from_slice(&check.to_ne_bytes());
    }
}

/// Length and checksum, `sum` being that of all else.
fn set_udp_header(udp: &mut [u8], l4_len: usize, sum: u64) {
    let length = (l4_len as u16).to_be();
    let check = !fold(sum + u64::from(length));
    let check = if check == 0 { 0xffff } else { check };
    udp[4..6].copy_from_slice(&length.to_ne_bytes());
    udp[6..8].copy_from_slice(&check.to_ne_bytes());
}

fn complete_checksum(packet: &mut [u8], header: Header) -> Option<()> {
    let start = usize::from(header.csum_start);
    let at = start + usize::from(header.csum_offset);
    if at + 2 > packet.len() {
        return None;
    }
    // The pseudo header's sum stands in the field already.
    let check = !fold(sum(&packet[start..]));
    let check = if check == 0 { 0xffff } else { check };
    packet[at..at + 2].copy_from_slice(&check.to_ne_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{l4_checksum_is_right, tcp_packet, udp_packet};

    fn frame(header: Header, packet: &[u8]) -> Vec<u8> {
        [&header.write()[..], packet].concat()
    }

    fn gso(gso_type: u8, l4: u16, csum_offset: u16, size: u16) -> Header {
        let flags = vnet::NEEDS_CSUM;
        Header { flags, gso_type, hdr_len: 0, gso_size: size, csum_start: l4, csum_offset }
    }

    fn segments(frame: &mut [u8]) -> Vec<Vec<u8>> {
        let plan = Plan::new(frame).unwrap();
        let all: Vec<_> = (0..plan.segments())
            .map(|index| {
                let mut target = vec![0xee; plan.len(index)];
                plan.write(index, &mut target);
                target
            })
            .collect();
        assert_eq!(plan.total_len(), all.iter().map(Vec::len).sum::<usize>());
        all
    }

    #[test]
    fn a_tcp_super_packet_becomes_segments_with_right_sequence_numbers_flags_and_checksums() {
        for v6 in [false, true] {
            let payload: Vec<u8> = (0..250).collect();
            let packet = tcp_packet(v6, 1000, 0x19, &payload);
            let (kind, l4) = if v6 { (vnet::GSO_TCPV6, 40) } else { (vnet::GSO_TCPV4, 20) };
            let all = segments(&mut frame(gso(kind, l4, 16, 100), &packet));
            let l4 = usize::from(l4);
            assert_eq!(all.iter().map(|s| s.len() - l4 - 20).collect::<Vec<_>>(), [100, 100, 50]);
            for (index, segment) in all.iter().enumerate() {
                let sequence = u32::from_be_bytes(segment[l4 + 4..l4 + 8].try_into().unwrap());
                assert_eq!(sequence, 1000 + 100 * index as u32);
                assert_eq!(segment[l4 + 13], if index == 2 { 0x19 } else { 0x10 });
                assert!(l4_checksum_is_right(segment));
                if !v6 {
                    assert_eq!(fold(sum(&segment[..20])), 0xffff);
                    assert_eq!(segment[4..6], (7 + index as u16).to_be_bytes());
                    assert_eq!(usize::from(u16::from_be_bytes([segment[2], segment[3]])), segment.len());
                }
            }
            assert_eq!(all.iter().flat_map(|s| s[l4 + 20..].to_vec()).collect::<Vec<_>>(), payload);
        }
    }

    #[test]
    fn a_udp_super_packet_becomes_datagrams_with_their_own_lengths() {
        for v6 in [false, true] {
            let packet = udp_packet(v6, 5000, &[9; 130]);
            let l4: u16 = if v6 { 40 } else { 20 };
            let all = segments(&mut frame(gso(vnet::GSO_UDP_L4, l4, 6, 64), &packet));
            let l4 = usize::from(l4);
            assert_eq!(all.len(), 3);
            for (segment, length) in all.iter().zip([72_u16, 72, 10]) {
                assert_eq!(segment[l4 + 4..l4 + 6], length.to_be_bytes());
                assert!(l4_checksum_is_right(segment));
            }
        }
    }

    #[test]
    fn a_single_packet_gets_its_partial_checksum_completed() {
        let mut packet = udp_packet(false, 5000, b"hello");
        let partial = fold(pseudo_header(&packet[12..20], 13, UDP));
        packet[26..28].copy_from_slice(&partial.to_ne_bytes());
        let header = Header { flags: vnet::NEEDS_CSUM, csum_start: 20, csum_offset: 6, ..Header::default() };
        let all = segments(&mut frame(header, &packet));
        assert_eq!(all.len(), 1);
        assert!(l4_checksum_is_right(&all[0]));
    }

    #[test]
    fn offload_headers_that_contradict_the_packet_are_refused() {
        let packet = tcp_packet(false, 1, 0x10, &[1; 100]);
        let bad = [
            gso(vnet::GSO_TCPV6, 20, 16, 50),
            gso(vnet::GSO_TCPV4, 24, 16, 50),
            gso(vnet::GSO_TCPV4, 20, 16, 0),
            gso(vnet::GSO_TCPV4, 60000, 16, 50),
            gso(9, 20, 16, 50),
        ];
        for header in bad {
            assert!(Plan::new(&mut frame(header, &packet)).is_none(), "{header:?}");
        }
        for length in 0..40 {
            assert!(Plan::new(&mut frame(gso(vnet::GSO_TCPV4, 20, 16, 50), &packet[..length])).is_none());
        }
        let outside = Header { flags: vnet::NEEDS_CSUM, csum_start: 139, csum_offset: 0, ..Header::default() };
        assert!(Plan::new(&mut frame(outside, &packet)).is_none());
        assert!(Plan::new(&mut [0; 9]).is_none());
    }
}

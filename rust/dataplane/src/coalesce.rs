//! Merges opened packets of one flow into super-packets for the TUN. Packets stay where they lie; a super-packet is a
//! list of pieces. Checksums, IPv4's too, are verified before a packet is merged, because the merged one gets new checksums
//! and would hide what was wrong.

use std::ops::Range;

use crate::checksum::{fold, pseudo_header, set_ipv4_header, sum, sum_few};
use crate::tun::Offloads;
use crate::vnet::{self, Header};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
/// Flows open at a time; more than this many interleaved in one batch are rare.
const FLOWS: usize = 8;
/// The kernel takes no more datagrams in one UDP super-packet.
const UDP_SEGMENTS: usize = 64;
const LARGEST: usize = 65_535;

/// Takes finished frames.
pub trait Sink {
    /// `pieces` of `octets`, behind `header`, are one frame.
    fn write(&mut self, header: Header, octets: &[u8], pieces: &[Range<usize>]);
}

/// What of a packet decides whether it can be merged.
#[derive(Clone, Debug)]
struct Candidate {
    v6: bool,
    protocol: u8,
    l4: usize,
    header_len: usize,
    payload_len: usize,
    sequence: u32,
    id: Option<u16>,
    push: bool,
}

#[derive(Default)]
struct Aggregate {
    first: Option<Candidate>,
    pieces: Vec<Range<usize>>,
    payload_len: usize,
    closed: bool,
}

/// Open super-packets of one receive batch.
pub struct Coalescer {
    open: Vec<Aggregate>,
    count: usize,
    tcp: bool,
    udp: bool,
    merged: usize,
}

impl Coalescer {
    /// Merges TCP and UDP as far as the TUN takes them.
    #[must_use]
    pub fn new(tcp: bool, udp: bool) -> Self {
        Self { open: (0..FLOWS).map(|_| Aggregate::default()).collect(), count: 0, tcp, udp, merged: 0 }
    }

    /// Merges from now on what these offloads are for.
    #[inline]
    pub fn merge(&mut self, offloads: Offloads) {
        (self.tcp, self.udp) = (offloads.tcp, offloads.udp);
    }

    /// Takes the packet at `at`; it may be merged, kept open or written at once.
    #[inline]
    pub fn push(&mut self, octets: &mut [u8], at: Range<usize>, sink: &mut impl Sink) {
        let packet = &octets[at.clone()];
        let Some(position) = (0..self.count).find(|index| self.open[*index].same_flow(octets, packet)) else {
            match self.candidate(packet) {
                Some(candidate) => self.begin(octets, at, candidate, sink),
                None => sink.write(Header::default(), octets, &[at]),
            }
            return;
        };
        let candidate = self.candidate(packet);
        let aggregate = &mut self.open[position];
        match candidate {
            Some(next) if aggregate.takes(octets, packet, &next) => {
                aggregate.append(octets, &at, &next);
                self.merged += 1;
            }
            candidate => {
                // Order within the flow: what is open goes first.
                aggregate.write(octets, sink);
                if let Some(candidate) = candidate {
                    aggregate.restart(at, candidate);
                } else {
                    self.close(position);
                    sink.write(Header::default(), octets, &[at]);
                }
            }
        }
    }

    /// Writes all that is open; the number of packets merged into others since the last time.
    pub fn flush(&mut self, octets: &mut [u8], sink: &mut impl Sink) -> usize {
        for aggregate in &mut self.open[..self.count] {
            aggregate.write(octets, sink);
        }
        self.count = 0;
        std::mem::take(&mut self.merged)
    }

    fn begin(&mut self, octets: &mut [u8], at: Range<usize>, candidate: Candidate, sink: &mut impl Sink) {
        if self.count == FLOWS {
            self.open[0].write(octets, sink);
            self.close(0);
        }
        self.open[self.count].restart(at, candidate);
        self.count += 1;
    }

    fn close(&mut self, position: usize) {
        self.count -= 1;
        self.open[position..=self.count].rotate_left(1);
    }

    fn candidate(&self, packet: &[u8]) -> Option<Candidate> {
        let (v6, l4, protocol, id) = match (packet.first()? >> 4, packet.len()) {
            (4, 20..) if packet[0] == 0x45 && mergeable_v4(packet) => {
                // With DF the identification means nothing; without, segmentation will count it up.
                let id = (packet[6] & 0x40 == 0).then(|| u16::from_be_bytes([packet[4], packet[5]]));
                (false, 20, packet[9], id)
            }
            (6, 40..) if usize::from(u16::from_be_bytes([packet[4], packet[5]])) == packet.len() - 40 => {
                (true, 40, packet[6], None)
            }
            _ => return None,
        };
        let upper = &packet[l4..];
        let (l4_len, sequence, push) = match protocol {
            TCP if self.tcp && upper.len() > 20 && upper[13] & !PSH == ACK => {
                (usize::from(upper[12] >> 4) * 4, u32::from_be(word(upper, 4)), upper[13] & PSH != 0)
            }
            UDP if self.udp && upper.len() > 8 && mergeable_udp(upper) => (8, 0, false),
            _ => return None,
        };
        if l4_len < 8 || l4_len >= upper.len() || (protocol == TCP && l4_len < 20) {
            return None;
        }
        let addresses = if v6 { &packet[8..40] } else { &packet[12..20] };
        if fold(sum(upper) + pseudo_header(addresses, upper.len(), protocol)) != 0xffff {
            return None;
        }
        let payload_len = upper.len() - l4_len;
        Some(Candidate { v6, protocol, l4, header_len: l4 + l4_len, payload_len, sequence, id, push })
    }
}

fn mergeable_v4(packet: &[u8]) -> bool {
    let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0xbfff != 0;
    let whole = usize::from(u16::from_be_bytes([packet[2], packet[3]])) == packet.len();
    !fragment && whole && fold(sum_few(&packet[..20])) == 0xffff
}

fn mergeable_udp(udp: &[u8]) -> bool {
    usize::from(u16::from_be_bytes([udp[4], udp[5]])) == udp.len() && udp[6..8] != [0, 0]
}

impl Aggregate {
    fn restart(&mut self, at: Range<usize>, candidate: Candidate) {
        self.closed = candidate.push;
        self.payload_len = candidate.payload_len;
        self.first = Some(candidate);
        self.pieces.clear();
        self.pieces.push(at);
    }

    /// Same version, protocol, addresses and ports.
    #[inline]
    fn same_flow(&self, octets: &[u8], packet: &[u8]) -> bool {
        let Some(first) = &self.first else { return false };
        let head = &octets[self.pieces[0].start..self.pieces[0].start + first.header_len];
        let l4 = first.l4;
        if packet.len() < l4 + 8 || packet[0] != head[0] || word(packet, l4) != word(head, l4) {
            return false;
        }
        // Compared as numbers: the lengths are known, and this is asked of every packet.
        if first.v6 {
            packet[6] == first.protocol && packet[8..40].as_chunks::<16>() == head[8..40].as_chunks::<16>()
        } else {
            packet[9] == first.protocol && word(packet, 12) == word(head, 12) && word(packet, 16) == word(head, 16)
        }
    }

    /// Whether `next`, of the same flow, continues this one.
    #[inline]
    fn takes(&self, octets: &[u8], packet: &[u8], next: &Candidate) -> bool {
        let Some(first) = &self.first else { return false };
        let head = &octets[self.pieces[0].clone()];
        let count = self.pieces.len();
        let fits = !self.closed
            && next.header_len == first.header_len
            && next.payload_len <= first.payload_len
            && first.header_len + self.payload_len + next.payload_len <= LARGEST;
        let id_continues = match (first.id, next.id) {
            (Some(first), Some(next)) => next == first.wrapping_add(count as u16),
            (None, None) => true,
            _ => false,
        };
        // Traffic class, flow label and hop limit; or type of service, DF and TTL
        let same_ip = if first.v6 {
            packet[..4] == head[..4] && packet[7] == head[7]
        } else {
            packet[1] == head[1] && packet[8] == head[8]
        };
        let l4 = first.l4;
        let continues = if first.protocol == TCP {
            next.sequence == first.sequence.wrapping_add(self.payload_len as u32)
                && word(packet, l4 + 8) == word(head, l4 + 8)
                // Data offset, reserved bits and AE
                && packet[l4 + 12] == head[l4 + 12]
                && packet[l4 + 14..l4 + 16] == head[l4 + 14..l4 + 16]
                && packet[l4 + 20..first.header_len] == head[l4 + 20..first.header_len]
        } else {
            count < UDP_SEGMENTS
        };
        fits && id_continues && same_ip && continues
    }

    #[inline]
    fn append(&mut self, octets: &mut [u8], at: &Range<usize>, next: &Candidate) {
        let Some(first) = &self.first else { return };
        self.pieces.push(at.start + next.header_len..at.start + next.header_len + next.payload_len);
        self.payload_len += next.payload_len;
        self.closed = next.payload_len < first.payload_len || next.push;
        if next.push {
            octets[self.pieces[0].start + first.l4 + 13] |= PSH;
        }
    }

    fn write(&mut self, octets: &mut [u8], sink: &mut impl Sink) {
        let Some(first) = self.first.take() else { return };
        let mut header = Header::default();
        if self.pieces.len() > 1 {
            let head = &mut octets[self.pieces[0].clone()];
            let l4_len = first.header_len - first.l4 + self.payload_len;
            let addresses = set_lengths(head, &first, l4_len);
            let csum_offset = if first.protocol == TCP { 16 } else { 6 };
            let partial = fold(pseudo_header(&head[addresses], l4_len, first.protocol));
            let check_at = first.l4 + csum_offset;
            head[check_at..check_at + 2].copy_from_slice(&partial.to_ne_bytes());
            header = Header {
                flags: vnet::NEEDS_CSUM,
                gso_type: match (first.protocol, first.v6) {
                    (TCP, false) => vnet::GSO_TCPV4,
                    (TCP, true) => vnet::GSO_TCPV6,
                    _ => vnet::GSO_UDP_L4,
                },
                hdr_len: first.header_len as u16,
                gso_size: first.payload_len as u16,
                csum_start: first.l4 as u16,
                csum_offset: csum_offset as u16,
            };
        }
        sink.write(header, octets, &self.pieces);
    }
}

#[inline]
fn word(octets: &[u8], at: usize) -> u32 {
    octets[at..at + 4].first_chunk().map_or(0, |word| u32::from_ne_bytes(*word))
}

fn set_lengths(head: &mut [u8], first: &Candidate, l4_len: usize) -> Range<usize> {
    if first.protocol == UDP {
        head[first.l4 + 4..first.l4 + 6].copy_from_slice(&(l4_len as u16).to_be_bytes());
    }
    if first.v6 {
        head[4..6].copy_from_slice(&(l4_len as u16).to_be_bytes());
        8..40
    } else {
        head[2..4].copy_from_slice(&((20 + l4_len) as u16).to_be_bytes());
        set_ipv4_header(&mut head[..20]);
        12..20
    }
}

#[cfg(test)]
#[path = "coalesce_tests.rs"]
mod tests;

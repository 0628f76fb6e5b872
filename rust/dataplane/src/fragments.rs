//! Datagrams that the kernel cut to the TUN's MTU, put together again: transport mode seals whole ones (RFC 4303 3.1.1).
//! The kernel hands all fragments of a datagram to one queue, in order; others are not waited for.

use std::ops::Range;

use crate::checksum::set_ipv4_header;
use crate::vnet::{self, Header};

/// Datagrams in the making at a time, of as many programs that send at once.
const OPEN: usize = 4;
const LARGEST: usize = 65_535;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const FRAGMENT: u8 = 44;
const FRAGMENT_HEADER: usize = 8;
/// More fragments, in IPv4's field; in IPv6's it is bit 0, and the offset is in octets as it stands there.
const MORE_V4: u16 = 0x2000;

/// What became of a packet that may be a later fragment.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is none of a datagram in the making.
    Not,
    /// More are to come.
    Kept,
    /// It was the last: the whole datagram.
    Whole(Vec<u8>),
}

/// Datagrams of which the beginning has come.
#[derive(Default)]
pub struct Fragments(Vec<Pending>);

struct Pending {
    key: Key,
    header_len: usize,
    packet: Vec<u8>,
}

/// Addresses, protocol and identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    addresses: [u8; 32],
    protocol: u8,
    id: u32,
}

/// One fragment.
struct Fragment {
    key: Key,
    header_len: usize,
    data: Range<usize>,
    offset: usize,
    more: bool,
}

impl Fragments {
    /// Whether later fragments are waited for.
    #[inline]
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.is_empty()
    }

    /// Begins with a first fragment; false when the frame is not one. The oldest in the making makes room.
    pub fn begin(&mut self, frame: &[u8]) -> bool {
        let plain = Header::read(frame).is_some_and(|header| header.gso_type == vnet::GSO_NONE && header.flags == 0);
        let Some(packet) = frame.get(vnet::LEN..).filter(|_| plain) else { return false };
        let Some(fragment) = Fragment::read(packet).filter(|f| f.offset == 0 && f.more) else { return false };
        self.0.retain(|pending| pending.key != fragment.key);
        if self.0.len() == OPEN {
            self.0.remove(0);
        }
        let mut begun = packet[..fragment.header_len].to_vec();
        begun.extend(&packet[fragment.data]);
        self.0.push(Pending { key: fragment.key, header_len: fragment.header_len, packet: begun });
        true
    }

    /// Takes a later fragment, if the packet is the one that continues a datagram in the making.
    pub fn take(&mut self, packet: &[u8]) -> Taken {
        let Some(fragment) = Fragment::read(packet).filter(|fragment| fragment.offset != 0) else { return Taken::Not };
        let Some(position) = self.0.iter().position(|pending| pending.continues(&fragment)) else { return Taken::Not };
        self.0[position].packet.extend(&packet[fragment.data]);
        if fragment.more {
            return Taken::Kept;
        }
        Taken::Whole(self.0.remove(position).finish())
    }
}

impl Pending {
    fn continues(&self, fragment: &Fragment) -> bool {
        self.key == fragment.key
            && self.packet.len() - self.header_len == fragment.offset
            && self.packet.len() + fragment.data.len() <= LARGEST
    }

    fn finish(mut self) -> Vec<u8> {
        let total = self.packet.len();
        if self.header_len == IPV6_HEADER {
            self.packet[6] = self.key.protocol;
            self.packet[4..6].copy_from_slice(&((total - IPV6_HEADER) as u16).to_be_bytes());
        } else {
            self.packet[2..4].copy_from_slice(&(total as u16).to_be_bytes());
            self.packet[6..8].fill(0);
            set_ipv4_header(&mut self.packet[..IPV4_HEADER]);
        }
        self.packet
    }
}

impl Fragment {
    /// Reads a fragment without IPv4 options or other IPv6 extension headers in front; None for any other packet.
    fn read(packet: &[u8]) -> Option<Self> {
        let fragment = match packet.first()? >> 4 {
            4 => Self::read_v4(packet.first_chunk()?),
            6 => Self::read_v6(packet.first_chunk()?),
            _ => None,
        }?;
        let aligned = !fragment.more || fragment.data.len().is_multiple_of(8);
        (aligned && fragment.data.end == packet.len() && !fragment.data.is_empty()).then_some(fragment)
    }

    fn read_v4(header: &[u8; IPV4_HEADER]) -> Option<Self> {
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (more, offset) = (word(6) & MORE_V4 != 0, usize::from(word(6) & 0x1fff) * 8);
        let mut addresses = [0; 32];
        addresses[..8].copy_from_slice(&header[12..]);
        let key = Key { addresses, protocol: header[9], id: u32::from(word(4)) };
        let data = IPV4_HEADER..usize::from(word(2));
        let whole = !more && offset == 0;
        (header[0] == 0x45 && !whole).then_some(Self { key, header_len: IPV4_HEADER, data, offset, more })
    }

    fn read_v6(header: &[u8; IPV6_HEADER + FRAGMENT_HEADER]) -> Option<Self> {
        let (ip, extension) = header.split_at(IPV6_HEADER);
        let field = u16::from_be_bytes([extension[2], extension[3]]);
        let (more, offset) = (field & 1 != 0, usize::from(field & 0xfff8));
        let mut addresses = [0; 32];
        addresses.copy_from_slice(&ip[8..]);
        let id = u32::from_be_bytes([extension[4], extension[5], extension[6], extension[7]]);
        let key = Key { addresses, protocol: extension[0], id };
        let data = header.len()..IPV6_HEADER + usize::from(u16::from_be_bytes([ip[4], ip[5]]));
        let whole = !more && offset == 0;
        (ip[6] == FRAGMENT && !whole).then_some(Self { key, header_len: IPV6_HEADER, data, offset, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::udp_packet;

    /// A packet cut into fragments of `size` octets of data, as frames of the TUN.
    fn cut(packet: &[u8], size: usize, id: u8) -> Vec<Vec<u8>> {
        let v6 = packet[0] >> 4 == 6;
        let (header, data) = packet.split_at(if v6 { IPV6_HEADER } else { IPV4_HEADER });
        let pieces = data.chunks(size).count();
        data.chunks(size)
            .enumerate()
            .map(|(index, piece)| fragment(header, piece, index * size, index + 1 < pieces, id))
            .collect()
    }

    fn fragment(header: &[u8], piece: &[u8], offset: usize, more: bool, id: u8) -> Vec<u8> {
        let mut frame = [&Header::default().write()[..], header].concat();
        let packet = &mut frame[vnet::LEN..];
        if header.len() == IPV6_HEADER {
            let extension = [header[6], 0, 0, 0, 0, 0, 0, id];
            packet[6] = FRAGMENT;
            packet[4..6].copy_from_slice(&((piece.len() + 8) as u16).to_be_bytes());
            frame.extend(extension);
            let at = frame.len() - 6;
            frame[at..at + 2].copy_from_slice(&(offset as u16 | u16::from(more)).to_be_bytes());
        } else {
            packet[5] = id;
            packet[2..4].copy_from_slice(&((IPV4_HEADER + piece.len()) as u16).to_be_bytes());
            let field = (offset / 8) as u16 | if more { MORE_V4 } else { 0 };
            packet[6..8].copy_from_slice(&field.to_be_bytes());
        }
        frame.extend(piece);
        frame
    }

    fn take(fragments: &mut Fragments, frame: &[u8]) -> Taken {
        fragments.take(&frame[vnet::LEN..])
    }

    fn whole(fragments: &mut Fragments, last: &[u8]) -> Vec<u8> {
        match take(fragments, last) {
            Taken::Whole(packet) => packet,
            Taken::Not | Taken::Kept => Vec::new(),
        }
    }

    #[test]
    fn fragments_in_order_become_the_datagram_again() {
        for v6 in [false, true] {
            let packet = udp_packet(v6, 5000, &[0xab; 3000]);
            let frames = cut(&packet, 1400, 7);
            let mut fragments = Fragments::default();
            assert!(!fragments.is_open());
            assert!(fragments.begin(&frames[0]));
            assert_eq!(take(&mut fragments, &frames[1]), Taken::Kept);
            let whole = whole(&mut fragments, &frames[2]);
            let header = if v6 { IPV6_HEADER } else { IPV4_HEADER };
            assert_eq!(whole[header..], packet[header..]);
            assert_eq!(crate::transport::upper_part(&whole), Some((header, 17)));
            assert!(!fragments.is_open());
        }
    }

    #[test]
    fn datagrams_in_the_making_do_not_mix() {
        let packet = udp_packet(false, 5000, &[1; 2000]);
        let other = udp_packet(false, 5000, &[2; 2000]);
        let (one, two) = (cut(&packet, 1400, 1), cut(&other, 1400, 2));
        let mut fragments = Fragments::default();
        assert!(fragments.begin(&one[0]) && fragments.begin(&two[0]));
        assert_eq!(fragments.take(&packet), Taken::Not);
        for (frames, sent) in [(one, packet), (two, other)] {
            assert_eq!(whole(&mut fragments, &frames[1])[20..], sent[20..]);
        }
    }

    #[test]
    fn what_does_not_continue_is_not_taken() {
        let frames = cut(&udp_packet(false, 5000, &[1; 4200]), 1400, 1);
        let mut fragments = Fragments::default();
        assert!(!fragments.begin(&frames[1]));
        assert!(fragments.begin(&frames[0]));
        assert_eq!(take(&mut fragments, &frames[2]), Taken::Not);
        assert_eq!(take(&mut fragments, &frames[0]), Taken::Not);
        for length in 0..60 {
            assert_eq!(fragments.take(&frames[1][vnet::LEN..vnet::LEN + length]), Taken::Not);
        }
    }

    #[test]
    fn the_oldest_makes_room_and_no_datagram_grows_too_long() {
        let packet = udp_packet(false, 5000, &[1; 2000]);
        let all: Vec<_> = (0..=OPEN as u8).map(|id| cut(&packet, 1400, id)).collect();
        let mut fragments = Fragments::default();
        assert!(all.iter().all(|frames| fragments.begin(&frames[0])));
        assert_eq!(take(&mut fragments, &all[0][1]), Taken::Not);
        assert!(matches!(take(&mut fragments, &all[1][1]), Taken::Whole(_)));
        let header = &packet[..IPV4_HEADER];
        let mut endless = Fragments::default();
        assert!(endless.begin(&fragment(header, &vec![0; 40_000], 0, true, 9)));
        assert_eq!(take(&mut endless, &fragment(header, &vec![0; 30_000], 40_000, false, 9)), Taken::Not);
    }

    #[test]
    fn whole_packets_and_those_with_an_offload_header_begin_nothing() {
        let packet = udp_packet(false, 5000, &[1; 100]);
        let mut fragments = Fragments::default();
        assert!(!fragments.begin(&[&Header::default().write()[..], &packet].concat()));
        let mut first = cut(&udp_packet(false, 5000, &[1; 2000]), 1400, 1).remove(0);
        first[0] = vnet::NEEDS_CSUM;
        assert!(!fragments.begin(&first));
        assert!(!fragments.begin(&first[..5]));
    }
}

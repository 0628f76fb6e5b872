//! What the SPD asks of an inner packet: addresses, protocol and ports, read once from its headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// ICMP for both families: type and code stand where others have ports (RFC 7296 3.13.1).
const ICMP: [u8; 2] = [1, 58];

/// Ports of a packet, or the reason there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Source and destination port; for ICMP both are type and code.
    Known(u16, u16),
    /// A fragment without the header that has them, or a protocol without ports (RFC 4301 4.4.1.1 OPAQUE).
    Opaque,
}

/// The fields of an inner packet that selectors match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Inner source address; IPv4 as a number below 2^32.
    pub source: u128,
    /// Inner destination address.
    pub destination: u128,
    /// Whether the addresses are IPv6.
    pub v6: bool,
    /// Upper protocol, behind IPv6 extension headers.
    pub protocol: u8,
    /// Ports, where the packet has them.
    pub ports: Ports,
}

impl Flow {
    /// Reads the headers of `packet`; None when it is no complete IPv4 or IPv6 header.
    #[must_use]
    #[inline]
    pub fn read(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::read_v4(packet),
            6 => Self::read_v6(packet),
            _ => None,
        }
    }

    fn read_v4(packet: &[u8]) -> Option<Self> {
        let header_len = usize::from(packet[0] & 15) * 4;
        if header_len < 20 || packet.len() < header_len {
            return None;
        }
        let protocol = packet[9];
        let later_fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff != 0;
        Some(Self {
            source: u128::from(be32(&packet[12..16])),
            destination: u128::from(be32(&packet[16..20])),
            v6: false,
            protocol,
            ports: if later_fragment { Ports::Opaque } else { ports(protocol, &packet[header_len..]) },
        })
    }

    fn read_v6(packet: &[u8]) -> Option<Self> {
        if packet.len() < 40 {
            return None;
        }
        let (protocol, upper) = upper_layer(packet[6], &packet[40..]);
        Some(Self {
            source: be128(&packet[8..24]),
            destination: be128(&packet[24..40]),
            v6: true,
            protocol,
            ports: upper.map_or(Ports::Opaque, |upper| ports(protocol, upper)),
        })
    }

    /// The addresses as values for a person or for Python.
    #[must_use]
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        (address(self.source, self.v6), address(self.destination, self.v6))
    }

    /// A hash for the flow cache; it need not resist an attacker, a collision costs one policy lookup.
    #[must_use]
    #[inline]
    pub fn hash(&self) -> u64 {
        let fold = |value: u128| (value as u64) ^ ((value >> 64) as u64);
        let ports = match self.ports {
            Ports::Known(source, destination) => u64::from(source) << 16 | u64::from(destination),
            Ports::Opaque => 1 << 40,
        };
        let mixed = fold(self.source).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ fold(self.destination).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
            ^ (ports << 8 | u64::from(self.protocol)).wrapping_mul(0x1656_67b1_9e37_79f9);
        mixed ^ (mixed >> 29)
    }
}

fn address(value: u128, v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::from(value).into() } else { Ipv4Addr::from(value as u32).into() }
}

fn be32(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet))
}

fn be128(octets: &[u8]) -> u128 {
    octets.iter().fold(0, |value, octet| value << 8 | u128::from(*octet))
}

fn ports(protocol: u8, upper: &[u8]) -> Ports {
    match upper {
        [kind, code, ..] if ICMP.contains(&protocol) => {
            let both = u16::from_be_bytes([*kind, *code]);
            Ports::Known(both, both)
        }
        // TCP, UDP, DCCP, SCTP, UDP-Lite
        [a, b, c, d, ..] if matches!(protocol, 6 | 17 | 33 | 132 | 136) => {
            Ports::Known(u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))
        }
        _ => Ports::Opaque,
    }
}

/// Skips IPv6 extension headers; the upper header is None in a later fragment or a cut chain.
pub(crate) fn upper_layer(mut next: u8, mut rest: &[u8]) -> (u8, Option<&[u8]>) {
    loop {
        let length = match (next, rest) {
            (0 | 43 | 60 | 135, [_, length, ..]) => usize::from(*length) * 8 + 8,
            (51, [_, length, ..]) => usize::from(*length) * 4 + 8,
            (44, [following, _, high, low, ..]) => {
                if u16::from_be_bytes([*high, *low]) & 0xfff8 != 0 {
                    return (*following, None);
                }
                8
            }
            (0 | 43 | 60 | 135 | 51 | 44, _) => return (next, None),
            _ => return (next, Some(rest)),
        };
        next = rest[0];
        match rest.get(length..) {
            Some(following) => rest = following,
            None => return (next, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(protocol: u8, offset: u16, upper: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, (offset >> 8) as u8, offset as u8, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(upper);
        packet
    }

    fn v6(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        packet.extend([0x20; 16]);
        packet.extend([0x21; 16]);
        packet.extend(rest);
        packet
    }

    #[test]
    fn reads_addresses_and_ports_of_ipv4() {
        let flow = Flow::read(&v4(17, 0x4000, &[0, 53, 1, 0])).unwrap();
        assert_eq!(flow.addresses().0.to_string(), "10.0.0.1");
        assert_eq!((flow.protocol, flow.ports), (17, Ports::Known(53, 256)));
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        assert_eq!(Flow::read(&v4(17, 0x0001, &[0, 53, 1, 0])).unwrap().ports, Ports::Opaque);
        let second = v6(44, &[6, 0, 0, 8, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(Flow::read(&second).map(|f| (f.protocol, f.ports)), Some((6, Ports::Opaque)));
    }

    #[test]
    fn skips_ipv6_extension_headers() {
        let mut rest = vec![6, 0, 0, 0, 0, 0, 0, 0];
        rest.extend([0, 80, 0, 81]);
        assert_eq!(Flow::read(&v6(60, &rest)).map(|f| (f.protocol, f.ports)), Some((6, Ports::Known(80, 81))));
    }

    #[test]
    fn icmp_type_and_code_stand_for_ports() {
        assert_eq!(Flow::read(&v4(1, 0, &[8, 3, 0, 0])).unwrap().ports, Ports::Known(0x803, 0x803));
    }

    #[test]
    fn what_is_cut_short_is_no_flow() {
        let packet = v4(6, 0, &[0, 1, 0, 2]);
        for length in 0..20 {
            assert!(Flow::read(&packet[..length]).is_none());
        }
        let cut = v6(60, &[6, 9]);
        assert_eq!(Flow::read(&cut).unwrap().ports, Ports::Opaque);
        assert!(Flow::read(&[0x50; 60]).is_none());
    }
}

//! The outer header of a tunnel (RFC 4301 5.1.2.1).

use std::net::IpAddr;

use super::ecn;
use super::ip::{IPV4_HEADER, IPV6_HEADER, IpHeaders, set_ipv4_checksum};

const DONT_FRAGMENT: u8 = 0x40;

/// The outer Don't Fragment bit (RFC 4301 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DontFragment {
    /// As in the inner packet; set for IPv6, which is never fragmented on the way, and for a dummy, which is to look like most
    /// packets.
    Copy,
    /// Always set.
    Set,
    /// Never set.
    Clear,
}

/// How the outer header of a tunnel is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelHeader {
    source: IpAddr,
    destination: IpAddr,
    /// The DSCP to send; None copies the inner one.
    pub dscp: Option<u8>,
    /// Whether ECN is copied (RFC 6040 normal mode), or not used.
    pub ecn: bool,
    /// The DF bit.
    pub dont_fragment: DontFragment,
    /// TTL or hop limit.
    pub hop_limit: u8,
}

impl TunnelHeader {
    /// Between two addresses, DSCP, ECN and DF copied. None when they are of two families.
    pub fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        (source.is_ipv4() == destination.is_ipv4()).then_some(Self {
            source,
            destination,
            dscp: None,
            ecn: true,
            dont_fragment: DontFragment::Copy,
            hop_limit: 64,
        })
    }

    /// Octets of the header.
    pub fn len(&self) -> usize {
        if self.source.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER }
    }

    /// Whether the outer header is IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header of a packet with `payload_len` octets of `protocol` behind it into `header`, `len` octets long.
    /// `inner` is what is encapsulated, empty for a dummy. `identification` is IPv4's.
    pub fn write(&self, header: &mut [u8], inner: &[u8], protocol: u8, payload_len: usize, identification: u16) {
        let inner_class = if inner.is_empty() { 0 } else { IpHeaders::traffic_class(inner) };
        let class = self.dscp.map_or(inner_class & !ecn::ECN, |dscp| dscp << 2) | ecn::outer(inner_class, self.ecn);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let flags = if self.dont_fragment(inner) { DONT_FRAGMENT } else { 0 };
                header[..2].copy_from_slice(&[0x45, class]);
                header[2..4].copy_from_slice(&((IPV4_HEADER + payload_len) as u16).to_be_bytes());
                header[4..6].copy_from_slice(&identification.to_be_bytes());
                header[6..12].copy_from_slice(&[flags, 0, self.hop_limit, protocol, 0, 0]);
                header[12..16].copy_from_slice(&source.octets());
                header[16..20].copy_from_slice(&destination.octets());
                set_ipv4_checksum(&mut header[..IPV4_HEADER]);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                header[..4].copy_from_slice(&(6 << 28 | u32::from(class) << 20).to_be_bytes());
                header[4..6].copy_from_slice(&(payload_len as u16).to_be_bytes());
                header[6..8].copy_from_slice(&[protocol, self.hop_limit]);
                header[8..24].copy_from_slice(&source.octets());
                header[24..40].copy_from_slice(&destination.octets());
            }
            // `new` makes no such header.
            _ => {}
        }
    }

    fn dont_fragment(&self, inner: &[u8]) -> bool {
        match self.dont_fragment {
            DontFragment::Set => true,
            DontFragment::Clear => false,
            DontFragment::Copy => inner.first().is_none_or(|first| first >> 4 == 6 || inner[6] & DONT_FRAGMENT != 0),
        }
    }
}

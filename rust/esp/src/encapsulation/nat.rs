//! Transport mode through a NAT: checksums that were made with other addresses (RFC 3948 3.1.2).

use std::net::IpAddr;

use super::ip::{IpHeaders, fold, sum};
use super::protocol;

/// The addresses the peer had put into its packets, before the NAT (RFC 7296 2.23.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatOriginal {
    sum: u64,
}

impl NatOriginal {
    /// From the original source and destination. None when they are of two families.
    pub fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Some(Self { sum: sum(&source.octets()) + sum(&destination.octets()) })
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Some(Self { sum: sum(&source.octets()) + sum(&destination.octets()) })
            }
            _ => None,
        }
    }

    /// Makes the checksum of a whole packet right for the addresses that are in it now.
    pub(crate) fn mend(self, packet: &mut [u8], headers: &IpHeaders) {
        let now = sum(if headers.v6 { &packet[8..40] } else { &packet[12..20] });
        let at = match packet[headers.protocol_at] {
            protocol::TCP => 16,
            protocol::UDP => 6,
            protocol::ICMPV6 if headers.v6 => 2,
            _ => return,
        };
        let is_udp = packet[headers.protocol_at] == protocol::UDP;
        let Some(checksum) = packet.get_mut(headers.len + at..headers.len + at + 2) else { return };
        // A UDP datagram without checksum stays without.
        if is_udp && checksum == [0, 0] {
            return;
        }
        update_checksum(checksum, self.sum, now);
        if is_udp && checksum == [0, 0] {
            checksum.fill(0xff);
        }
    }
}

/// Takes `before` out of a checksum and adds `after` (RFC 1624 equation 3). Both are sums of 16-bit words.
pub(crate) fn update_checksum(checksum: &mut [u8], before: u64, after: u64) {
    let old = !u16::from_be_bytes([checksum[0], checksum[1]]);
    let new = !fold(u64::from(old) + u64::from(!fold(before)) + u64::from(fold(after)));
    checksum.copy_from_slice(&new.to_be_bytes());
}

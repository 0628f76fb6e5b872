//! ECN through tunnels (RFC 6040), and the octet of an IP header where it stands beside the DSCP: IPv4's DS field, IPv6's traffic
//! class.

use super::ip::IpHeaders;

const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;
/// The bits of a traffic class that are ECN's.
pub const ECN: u8 = 3;

/// The outer ECN field (RFC 6040 4.1): normal mode copies, compatibility mode sends Not-ECT.
pub(crate) fn outer(inner: u8, normal: bool) -> u8 {
    if normal { inner & ECN } else { NOT_ECT }
}

/// What decapsulation makes of the two fields (RFC 6040 figure 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combined {
    /// The inner field as it goes on; None: the packet is dropped.
    pub inner: Option<u8>,
    /// A combination that no sound path makes.
    pub anomaly: bool,
}

/// What becomes of the inner field behind this outer one; of both octets only the bits of ECN count.
#[must_use]
pub fn combine(inner: u8, outer: u8) -> Combined {
    let (inner, outer) = (inner & ECN, outer & ECN);
    let (inner, anomaly) = match (inner, outer) {
        (NOT_ECT, CE) => (None, true),
        (NOT_ECT, ECT_0 | ECT_1) => (Some(NOT_ECT), true),
        (ECT_0, ECT_1) => (Some(ECT_1), false),
        (ECT_1, ECT_0) => (Some(ECT_1), true),
        (CE, ECT_1) => (Some(CE), true),
        (ECT_0 | ECT_1, CE) => (Some(CE), false),
        (inner, _) => (Some(inner), false),
    };
    Combined { inner, anomaly }
}

/// The octet with DSCP and ECN of an IP packet, which has a whole header.
#[inline]
#[must_use]
pub fn class(packet: &[u8]) -> u8 {
    IpHeaders::traffic_class(packet)
}

/// Writes the ECN field of an IP packet.
pub(crate) fn set(packet: &mut [u8], ecn: u8) {
    set_class(packet, class(packet) & !ECN | ecn);
}

/// Writes the octet with DSCP and ECN of an IP packet, which has a whole header. A wrong IPv4 checksum stays wrong.
pub fn set_class(packet: &mut [u8], class: u8) {
    if packet[0] >> 4 == 6 {
        packet[0] = packet[0] & 0xf0 | class >> 4;
        packet[1] = packet[1] & 0x0f | class << 4;
    } else if packet[1] != class {
        let before = u16::from_be_bytes([packet[0], packet[1]]);
        packet[1] = class;
        let after = u16::from_be_bytes([packet[0], packet[1]]);
        super::nat::update_checksum(&mut packet[10..12], u64::from(before), u64::from(after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A12: the table of RFC 6040 figure 4, rows by inner, columns by outer Not-ECT, ECT(0), ECT(1), CE.
    #[test]
    fn decapsulation_follows_the_table() {
        let drop = None;
        for (inner, row) in [
            (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), drop]),
            (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
            (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
            (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
        ] {
            for (outer, expected) in [NOT_ECT, ECT_0, ECT_1, CE].into_iter().zip(row) {
                assert_eq!(combine(inner, outer).inner, expected, "inner {inner} outer {outer}");
            }
        }
    }

    #[test]
    fn what_no_sound_path_makes_is_an_anomaly() {
        let anomalies: Vec<_> =
            (0..16).map(|i| (i >> 2, i & 3)).filter(|(inner, outer)| combine(*inner, *outer).anomaly).collect();
        assert_eq!(anomalies, [(NOT_ECT, ECT_1), (NOT_ECT, ECT_0), (NOT_ECT, CE), (ECT_1, ECT_0), (CE, ECT_1)]);
    }

    #[test]
    fn a_changed_field_leaves_the_ipv4_checksum_right() {
        for ecn in 0..4 {
            let mut header = [0x45, 0xb9, 0, 20, 1, 2, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
            super::super::ip::set_ipv4_checksum(&mut header);
            set(&mut header, ecn);
            assert_eq!(header[1], 0xb8 | ecn);
            assert_eq!(super::super::ip::fold(super::super::ip::sum(&header)), 0xffff);
        }
    }

    #[test]
    fn the_class_of_an_ipv6_packet_leaves_version_and_flow_label_alone() {
        let mut header = [0x6f; 40];
        header[1..4].fill(0xff);
        for written in [0, 0xb9, 0xff] {
            set_class(&mut header, written);
            assert_eq!((class(&header), header[0] >> 4, header[1] & 15, header[2]), (written, 6, 15, 0xff));
        }
        set_class(&mut header, 0xb8);
        set(&mut header, CE);
        assert_eq!(class(&header), 0xbb);
    }
}

//! The DS field, that octet of an IP header with DSCP and ECN (in IPv6 the traffic class): which of it a tunnel copies from the
//! inner header to the outer one and back (RFC 4301 5.1.2, RFC 6040).

pub use ironswan_esp::encapsulation::ecn::class;
use ironswan_esp::encapsulation::ecn::{ECN, combine, set_class};

/// Between which headers the DSCP is copied, in swanctl's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyDscp {
    /// From the inner to the outer one.
    #[default]
    Out,
    /// From the outer to the inner one.
    In,
    /// Both.
    Yes,
    /// Neither.
    No,
}

/// What of the DS field a tunnel copies. In transport mode there is but one header, and nothing to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyDs {
    /// The normal mode of RFC 6040, in both directions.
    pub ecn: bool,
    /// The DSCP.
    pub dscp: CopyDscp,
}

impl Default for CopyDs {
    fn default() -> Self {
        Self { ecn: true, dscp: CopyDscp::Out }
    }
}

impl CopyDs {
    /// Neither ECN nor DSCP.
    pub const NOTHING: Self = Self { ecn: false, dscp: CopyDscp::No };

    /// The bits that an outer field has from the inner one; the others are 0.
    #[must_use]
    pub fn outbound(self) -> u8 {
        let dscp = matches!(self.dscp, CopyDscp::Out | CopyDscp::Yes);
        (if self.ecn { ECN } else { 0 }) | if dscp { !ECN } else { 0 }
    }

    /// What an inner field has from the outer one.
    #[must_use]
    pub fn inbound(self) -> FromOuter {
        let dscp = matches!(self.dscp, CopyDscp::In | CopyDscp::Yes);
        FromOuter { ecn: if self.ecn { ECN } else { 0 }, dscp }
    }
}

/// What an inbound SA in tunnel mode gives its packets of the outer field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromOuter {
    ecn: u8,
    dscp: bool,
}

impl FromOuter {
    /// Whether packets may change behind a header with this field. An outer Not-ECT leaves every inner field as it is.
    #[inline]
    #[must_use]
    pub fn matters(self, outer: u8) -> bool {
        outer & self.ecn != 0 || self.dscp
    }

    /// Changes a packet, which has a whole header, as the outer field says. False when it is to be dropped: congestion was met
    /// on the way, and its sender would not understand (RFC 6040 4.2).
    #[inline(never)]
    #[must_use]
    pub fn give(self, packet: &mut [u8], outer: u8) -> bool {
        let inner = class(packet);
        let Some(ecn) = combine(inner, outer & self.ecn).inner else { return false };
        let dscp = if self.dscp { outer } else { inner };
        set_class(packet, dscp & !ECN | ecn);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{fold, sum};
    use crate::testing::udp_packet;

    const EF: u8 = 46 << 2;
    const DSCPS: [CopyDscp; 4] = [CopyDscp::Out, CopyDscp::In, CopyDscp::Yes, CopyDscp::No];

    fn given(copy: CopyDs, v6: bool, inner: u8, outer: u8) -> Option<u8> {
        let mut packet = udp_packet(v6, 5000, b"payload");
        set_class(&mut packet, inner);
        let rest = packet[2..10].to_vec();
        let taken = copy.inbound().give(&mut packet, outer);
        assert!(v6 || fold(sum(&packet[..20])) == 0xffff);
        assert_eq!(packet[2..10], rest);
        taken.then(|| class(&packet))
    }

    #[test]
    fn outer_fields_have_the_bits_that_are_to_be_copied() {
        let masks = |ecn| DSCPS.map(|dscp| CopyDs { ecn, dscp }.outbound());
        assert_eq!(masks(true), [0xff, 0x03, 0xff, 0x03]);
        assert_eq!(masks(false), [0xfc, 0, 0xfc, 0]);
    }

    #[test]
    fn congestion_on_the_way_reaches_the_inner_packet_or_drops_it() {
        let copy = CopyDs::default();
        for v6 in [false, true] {
            // By inner Not-ECT, ECT(1), ECT(0) and CE.
            assert_eq!(
                [0, 1, 2, 3].map(|ecn| given(copy, v6, EF | ecn, 3)),
                [None, Some(EF | 3), Some(EF | 3), Some(EF | 3)]
            );
            assert_eq!(given(copy, v6, EF | 2, 1), Some(EF | 1));
            assert_eq!(given(copy, v6, EF, 2), Some(EF));
        }
    }

    #[test]
    fn what_is_not_copied_stays_whatever_the_outer_header_has() {
        for dscp in [CopyDscp::Out, CopyDscp::No] {
            assert_eq!(given(CopyDs { ecn: false, dscp }, false, EF, 0x2f), Some(EF));
            assert!(!CopyDs { ecn: false, dscp }.inbound().matters(0xff));
            assert!(!CopyDs { ecn: true, dscp }.inbound().matters(0xfc));
        }
    }

    #[test]
    fn a_dscp_that_is_copied_in_may_also_be_none() {
        for dscp in [CopyDscp::In, CopyDscp::Yes] {
            let copy = CopyDs { ecn: false, dscp };
            assert!(copy.inbound().matters(0));
            assert_eq!([0, 0x2b].map(|outer| given(copy, true, EF | 2, outer)), [Some(2), Some(0x28 | 2)]);
        }
    }
}

//! Traffic selectors (RFC 4301 4.4.1.1) in the form the packet path compares.

use std::net::IpAddr;
use std::slice;

use crate::flow::{Flow, Ports};

/// One range of addresses, one protocol (0 any), one range of ports. Families agree and start is not above end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector {
    start: u128,
    end: u128,
    v6: bool,
    protocol: u8,
    start_port: u16,
    end_port: u16,
}

/// Which end of a packet a selector is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Source address and port.
    Source,
    /// Destination address and port.
    Destination,
}

impl Selector {
    /// None when the families differ or a range is reversed (ports 65535..0 are OPAQUE and allowed).
    #[must_use]
    pub fn new(protocol: u8, start: IpAddr, end: IpAddr, start_port: u16, end_port: u16) -> Option<Self> {
        let opaque = (start_port, end_port) == (65535, 0);
        let ((start, v6), (end, end_v6)) = (number(start), number(end));
        let valid = v6 == end_v6 && start <= end && (opaque || start_port <= end_port);
        valid.then_some(Self { start, end, v6, protocol, start_port, end_port })
    }

    /// Whether it is about IPv6.
    #[must_use]
    pub fn is_v6(&self) -> bool {
        self.v6
    }

    /// First and last address.
    #[must_use]
    pub fn addresses(&self) -> (u128, u128) {
        (self.start, self.end)
    }

    /// Whether the packet's address, protocol and port at `end` lie within.
    #[must_use]
    pub fn matches(&self, flow: &Flow, end: End) -> bool {
        let address = if end == End::Source { flow.source } else { flow.destination };
        self.v6 == flow.v6
            && (self.start..=self.end).contains(&address)
            && (self.protocol == 0 || self.protocol == flow.protocol)
            && self.matches_port(flow, end)
    }

    fn matches_port(&self, flow: &Flow, end: End) -> bool {
        let range = (self.start_port, self.end_port);
        match flow.ports {
            _ if range == (0, 65535) => true,
            Ports::Opaque => range == (65535, 0),
            Ports::Known(source, destination) => {
                let port = if end == End::Source { source } else { destination };
                (self.start_port..=self.end_port).contains(&port)
            }
        }
    }
}

fn number(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), false),
        IpAddr::V6(address) => (u128::from(address), true),
    }
}

/// The selectors of an SA or a policy, seen from this gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selectors(Sides);

/// Nearly all have one selector a side, which then lie where the policy or the SA lies: with many of them, whether a packet
/// matches is asked of what is in no cache.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sides {
    One { local: Selector, remote: Selector },
    Many { local: Box<[Selector]>, remote: Box<[Selector]> },
}

impl Selectors {
    /// What lies behind us, and what lies behind the peer.
    #[must_use]
    pub fn new(local: Vec<Selector>, remote: Vec<Selector>) -> Self {
        Self(match (&*local, &*remote) {
            ([local], [remote]) => Sides::One { local: *local, remote: *remote },
            _ => Sides::Many { local: local.into(), remote: remote.into() },
        })
    }

    /// What lies behind us.
    #[must_use]
    pub fn local(&self) -> &[Selector] {
        match &self.0 {
            Sides::One { local, .. } => slice::from_ref(local),
            Sides::Many { local, .. } => local,
        }
    }

    /// What lies behind the peer.
    #[must_use]
    pub fn remote(&self) -> &[Selector] {
        match &self.0 {
            Sides::One { remote, .. } => slice::from_ref(remote),
            Sides::Many { remote, .. } => remote,
        }
    }

    /// The one address of our side, and whether it is IPv6; None when there are several.
    #[must_use]
    pub fn single_local(&self) -> Option<(u128, bool)> {
        single(self.local())
    }

    /// The one address of the peer's side, as above.
    #[must_use]
    pub fn single_remote(&self) -> Option<(u128, bool)> {
        single(self.remote())
    }

    /// A packet from behind us to behind the peer.
    #[must_use]
    pub fn match_outbound(&self, flow: &Flow) -> bool {
        self.local().iter().any(|s| s.matches(flow, End::Source))
            && self.remote().iter().any(|s| s.matches(flow, End::Destination))
    }

    /// A packet from behind the peer to behind us (RFC 4301 5.2 step 4).
    #[must_use]
    pub fn match_inbound(&self, flow: &Flow) -> bool {
        self.remote().iter().any(|s| s.matches(flow, End::Source))
            && self.local().iter().any(|s| s.matches(flow, End::Destination))
    }
}

fn single(side: &[Selector]) -> Option<(u128, bool)> {
    let first = side.first()?;
    let same = |s: &Selector| (s.start, s.end, s.v6) == (first.start, first.start, first.v6);
    side.iter().all(same).then_some((first.start, first.v6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(protocol: u8, start: &str, end: &str, ports: (u16, u16)) -> Option<Selector> {
        Selector::new(protocol, start.parse().unwrap(), end.parse().unwrap(), ports.0, ports.1)
    }

    fn flow(ports: Ports) -> Flow {
        Flow { source: 0x0a00_0001, destination: 0x0a01_0001, v6: false, protocol: 17, ports }
    }

    #[test]
    fn refuses_mixed_families_and_reversed_ranges() {
        assert!(selector(0, "10.0.0.1", "::1", (0, 65535)).is_none());
        assert!(selector(0, "10.0.0.2", "10.0.0.1", (0, 65535)).is_none());
        assert!(selector(0, "10.0.0.1", "10.0.0.1", (2, 1)).is_none());
    }

    #[test]
    fn directions_swap_local_and_remote() {
        let range = |start, end| selector(0, start, end, (0, 65535)).into_iter().collect();
        let selectors = Selectors::new(range("10.0.0.0", "10.0.0.255"), range("10.1.0.0", "10.1.0.255"));
        let flow = flow(Ports::Known(1, 2));
        assert!(selectors.match_outbound(&flow));
        assert!(!selectors.match_inbound(&flow));
    }

    #[test]
    fn a_port_range_does_not_match_a_fragment_without_ports() {
        let dns = selector(17, "10.1.0.0", "10.1.0.255", (53, 53)).unwrap();
        assert!(dns.matches(&flow(Ports::Known(9, 53)), End::Destination));
        assert!(!dns.matches(&flow(Ports::Known(53, 9)), End::Destination));
        assert!(!dns.matches(&flow(Ports::Opaque), End::Destination));
        let opaque = selector(17, "10.1.0.0", "10.1.0.255", (65535, 0)).unwrap();
        assert!(opaque.matches(&flow(Ports::Opaque), End::Destination));
        assert!(!opaque.matches(&flow(Ports::Known(1, 2)), End::Destination));
    }

    #[test]
    fn an_ipv4_selector_does_not_match_the_same_number_in_ipv6() {
        let any = selector(0, "0.0.0.0", "255.255.255.255", (0, 65535)).unwrap();
        assert!(!any.matches(&Flow { v6: true, ..flow(Ports::Opaque) }, End::Source));
    }
}

//! From IP packets to ESP packets and back, many at a time: modes, outer headers, UDP encapsulation.
//!
//! [`Encapsulator`] and [`Decapsulator`] put an SA together with what stands around ESP. They know addresses and headers, and no
//! policy: whether a packet fits its SA's selectors is asked of a function.

mod decap;
pub mod ecn;
mod encap;
mod frame;
pub(crate) mod ip;
mod limits;
mod nat;
mod one_by_one;
mod opened;
pub(crate) mod outcome;
mod outer;

pub use decap::{Accept, Decapsulator, DecapsulatorOptions};
pub use encap::{Encapsulator, EncapsulatorOptions, Misuse};
pub use limits::Limits;
pub(crate) use limits::Used;
pub use nat::NatOriginal;
pub(crate) use opened::finish_inner;
pub use outcome::{Counters, Outcome, Packets, Status};
pub use outer::{DontFragment, TunnelHeader};

/// What a tunnel keeps of a packet (RFC 4301 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of it, behind new headers.
    Tunnel,
    /// What stands behind its IP headers.
    Transport,
}

/// What stands before the ESP header in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Nothing.
    Esp,
    /// A UDP header (RFC 3948).
    Udp,
    /// IP headers, and a UDP header where there is UDP encapsulation.
    Ip,
}

/// Protocol numbers, those of IPv6 extension headers (RFC 8200 4) among them.
pub(crate) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ESP: u8 = 50;
    pub(crate) const AH: u8 = 51;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
}

/// Octets of a UDP header.
pub(crate) const UDP_HEADER: usize = 8;

//! Addresses in the form system calls take them: socket addresses and the control message that chooses the source.

use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::lines::Line;
use crate::plain::{IpHeader, NextHop};

/// A socket address as the kernel writes and reads it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RawAddress {
    storage: libc::sockaddr_in6,
    length: libc::socklen_t,
}

impl RawAddress {
    /// Room for any address, to be filled by the kernel.
    #[must_use]
    pub fn empty() -> Self {
        // SAFETY: all zeros are a valid sockaddr_in6.
        Self { storage: unsafe { mem::zeroed() }, length: mem::size_of::<libc::sockaddr_in6>() as _ }
    }

    /// The kernel's form of `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let mut raw = Self::empty();
        match address {
            SocketAddr::V4(address) => {
                let value = libc::sockaddr_in {
                    sin_family: libc::AF_INET as _,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                // SAFETY: sockaddr_in is smaller than sockaddr_in6 and no more aligned.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in>().write(value) };
                raw.length = mem::size_of::<libc::sockaddr_in>() as _;
            }
            SocketAddr::V6(address) => {
                raw.storage.sin6_family = libc::AF_INET6 as _;
                raw.storage.sin6_port = address.port().to_be();
                raw.storage.sin6_addr.s6_addr = address.ip().octets();
            }
        }
        raw
    }

    /// What the kernel wrote.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match i32::from(self.storage.sin6_family) {
            libc::AF_INET => {
                // SAFETY: the family says which of the two types the kernel wrote.
                let v4 = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in>().read() };
                Some((Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)), u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                let v6 = &self.storage;
                Some((Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port)).into())
            }
            _ => None,
        }
    }

    /// Pointer and length for a `msghdr`; valid as long as `self` stays where it is.
    pub fn parts(&self) -> (*mut libc::c_void, libc::socklen_t) {
        ((&raw const self.storage).cast_mut().cast(), self.length)
    }
}

/// Octets of control messages of one send or receive, aligned as `cmsghdr` must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Control {
    octets: [u8; 96],
    length: usize,
}

impl Default for Control {
    fn default() -> Self {
        Self { octets: [0; 96], length: 0 }
    }
}

const CMSG_HEADER: usize = mem::size_of::<libc::cmsghdr>();

impl Control {
    /// Room to receive into.
    #[must_use]
    pub fn receiving() -> Self {
        Self { octets: [0; 96], length: 96 }
    }

    /// The PKTINFO message that makes `source` the source address; nothing when it is unspecified.
    #[must_use]
    pub fn with_source(source: IpAddr) -> Self {
        let mut control = Self::default();
        match source {
            _ if source.is_unspecified() => {}
            IpAddr::V4(address) => {
                // in_pktinfo: interface index, source to use, header destination
                let mut info = [0_u8; 12];
                info[4..8].copy_from_slice(&address.octets());
                control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V6(address) => {
                let mut info = [0_u8; 20];
                info[..16].copy_from_slice(&address.octets());
                control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
        control
    }

    /// Appends one message.
    pub fn push(&mut self, level: i32, kind: i32, value: &[u8]) {
        let header = libc::cmsghdr { cmsg_len: CMSG_HEADER + value.len(), cmsg_level: level, cmsg_type: kind };
        let at = self.length;
        let place = self.octets[at..at + CMSG_HEADER].as_mut_ptr();
        // SAFETY: the slice has room for a header; alignment is not assumed.
        unsafe { place.cast::<libc::cmsghdr>().write_unaligned(header) };
        self.octets[at + CMSG_HEADER..at + CMSG_HEADER + value.len()].copy_from_slice(value);
        self.length = at + CMSG_HEADER + value.len().next_multiple_of(8);
    }

    /// Appends `UDP_SEGMENT`: the message is cut into datagrams of `size` octets.
    pub fn push_segment_size(&mut self, size: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }

    /// Appends the DS field of the IP header.
    pub fn push_class(&mut self, v6: bool, class: u8) {
        let (level, kind) = if v6 { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) } else { (libc::IPPROTO_IP, libc::IP_TOS) };
        self.push(level, kind, &i32::from(class).to_ne_bytes());
    }

    /// The same, with this DS field where it is not 0.
    #[must_use]
    pub fn with_class(mut self, v6: bool, class: u8) -> Self {
        if class != 0 {
            self.push_class(v6, class);
        }
        self
    }

    /// Each message the kernel wrote into the first `length` octets.
    pub fn messages(&self, length: usize) -> impl Iterator<Item = (i32, i32, &[u8])> {
        let mut rest = &self.octets[..length.min(self.octets.len())];
        std::iter::from_fn(move || {
            let header = rest.get(..CMSG_HEADER)?;
            // SAFETY: there are as many octets as the header has; alignment is not assumed.
            let header = unsafe { header.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
            let value = rest.get(CMSG_HEADER..header.cmsg_len)?;
            rest = rest.get(header.cmsg_len.next_multiple_of(8)..).unwrap_or(&[]);
            Some((header.cmsg_level, header.cmsg_type, value))
        })
    }

    /// Pointer and length for a `msghdr`.
    pub fn parts(&self) -> (*mut libc::c_void, usize) {
        let pointer = if self.length == 0 { std::ptr::null_mut() } else { self.octets.as_ptr().cast_mut().cast() };
        (pointer, self.length)
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.remote == other.remote
            && self.control.octets == other.control.octets
            && self.own_port == other.own_port
            && self.front() == other.front()
            && self.next_hop == other.next_hop
    }
}

/// Where the packets of an SA go from and to, and what stands before ESP.
#[derive(Clone)]
pub struct Endpoint {
    /// The peer's address and port.
    pub remote: SocketAddr,
    /// `remote`, ready for `msg_name`.
    pub raw_remote: RawAddress,
    /// Control messages that choose `local`.
    pub control: Control,
    /// Whether the source port is that of the worker that sends.
    pub own_port: bool,
    line: Option<Arc<Line>>,
    plain: Option<IpHeader>,
    next_hop: Option<NextHop>,
}

impl Endpoint {
    /// ESP in UDP (RFC 3948). A local port of 0 stands for the sending worker's own.
    #[must_use]
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        let control = Control::with_source(local.ip());
        let (raw_remote, own_port) = (RawAddress::new(remote), local.port() == 0);
        Self { remote, raw_remote, control, own_port, line: None, plain: None, next_hop: None }
    }

    /// The same over a line to the peer, or without one.
    pub(crate) fn over(self, line: Option<Arc<Line>>) -> Self {
        Self { line, ..self }
    }

    /// The line to the peer, if there is one.
    #[inline]
    pub(crate) fn line(&self) -> Option<&Arc<Line>> {
        self.line.as_ref()
    }

    /// ESP as protocol 50. None when the addresses are not of one version, or ours is unspecified.
    #[must_use]
    pub fn plain(local: IpAddr, remote: IpAddr) -> Option<Self> {
        let header = IpHeader::new(local, remote)?;
        // A raw socket takes no port.
        let remote = SocketAddr::new(remote, 0);
        let control = Control::with_source(local);
        let raw_remote = RawAddress::new(remote);
        Some(Self { remote, raw_remote, control, own_port: false, line: None, plain: Some(header), next_hop: None })
    }

    /// The same with frames that go to `next_hop`, or with none.
    #[must_use]
    pub fn towards(&self, next_hop: Option<NextHop>) -> Self {
        Self { next_hop, ..self.clone() }
    }

    /// The IP header before every packet, when ESP goes out plain.
    #[inline]
    pub fn header(&self) -> Option<&IpHeader> {
        self.plain.as_ref()
    }

    /// Octets before ESP that are ours to write.
    #[inline]
    pub fn front(&self) -> usize {
        self.plain.as_ref().map_or(0, IpHeader::length)
    }

    /// Where its frames go on the link, if that is known.
    pub fn next_hop(&self) -> Option<&NextHop> {
        self.next_hop.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["192.0.2.1:4500", "[2001:db8::1]:500"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(RawAddress::new(address).address(), Some(address));
        }
        assert_eq!(RawAddress::empty().address(), None);
    }

    #[test]
    fn control_messages_are_read_as_written() {
        let mut control = Control::with_source("192.0.2.1".parse().unwrap());
        control.push_segment_size(1456);
        let all: Vec<_> = control.messages(control.parts().1).map(|(l, k, v)| (l, k, v.to_vec())).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].2[4..8], [192, 0, 2, 1]);
        assert_eq!(
            (all[1].0, all[1].1, &all[1].2[..]),
            (libc::SOL_UDP, libc::UDP_SEGMENT, &1456_u16.to_ne_bytes()[..])
        );
    }

    #[test]
    fn a_message_has_room_for_source_class_and_segment_size_and_none_for_class_0() {
        for (source, level, kind) in
            [("192.0.2.1", libc::IPPROTO_IP, libc::IP_TOS), ("2001:db8::1", libc::IPPROTO_IPV6, libc::IPV6_TCLASS)]
        {
            let plain = Control::with_source(source.parse().unwrap());
            let mut control = plain.with_class(kind == libc::IPV6_TCLASS, 0xbb);
            control.push_segment_size(1456);
            let all: Vec<_> = control.messages(control.parts().1).map(|(l, k, v)| (l, k, v.to_vec())).collect();
            assert_eq!((all.len(), &all[1]), (3, &(level, kind, 0xbb_i32.to_ne_bytes().to_vec())));
            assert_eq!(plain.with_class(false, 0).parts().1, plain.parts().1);
        }
    }

    #[test]
    fn an_unspecified_source_leaves_the_choice_to_the_kernel() {
        assert_eq!(Control::with_source("::".parse().unwrap()).parts().1, 0);
    }
}

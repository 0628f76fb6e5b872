//! Plain ESP, protocol 50: which sockets a worker has for it, and which of them is used when.
//!
//! In: the ring, or the raw socket while there are packets that the ring cannot take (fragments and IPv6 extension headers, with
//! which only the kernel's IP can deal, and packets longer than a frame). Each packet comes by one of them. Out: an Ethernet frame by
//! the packet socket while the next hop is known, which costs half of what the raw socket does.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::checksum::set_ipv4_header;
use crate::raw::RawSocket;
use crate::sys::{check, set_option};
use crate::udp::set_buffers;

const PACKET_QDISC_BYPASS: i32 = 20;
const ESP: u8 = 50;
const HOP_LIMIT: u8 = 64;

/// Where the frames of an endpoint go on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Index of the interface.
    pub interface: i32,
    /// Its MTU.
    pub mtu: usize,
    /// Link-layer address, the first `length` octets.
    pub address: [u8; 8],
    /// Octets of it.
    pub length: u8,
}

impl NextHop {
    /// As the packet socket takes it.
    #[must_use]
    pub fn raw(&self, v6: bool) -> libc::sockaddr_ll {
        // SAFETY: all zeros are a valid sockaddr_ll.
        let mut raw: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        raw.sll_family = libc::AF_PACKET as u16;
        raw.sll_protocol = if v6 { libc::ETH_P_IPV6 as u16 } else { libc::ETH_P_IP as u16 }.to_be();
        raw.sll_ifindex = self.interface;
        raw.sll_halen = self.length;
        raw.sll_addr = self.address;
        raw
    }
}

/// The IP header in front of every packet of an endpoint.
#[derive(Clone, Debug)]
pub struct IpHeader {
    octets: [u8; 40],
    length: usize,
}

impl IpHeader {
    /// For packets between two addresses of one version; None when they are not, or ours is not known.
    #[must_use]
    pub fn new(local: IpAddr, remote: IpAddr) -> Option<Self> {
        let mut octets = [0; 40];
        let length = match (local, remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) if !local.is_unspecified() => {
                (octets[0], octets[8], octets[9]) = (0x45, HOP_LIMIT, ESP);
                octets[12..16].copy_from_slice(&local.octets());
                octets[16..20].copy_from_slice(&remote.octets());
                20
            }
            (IpAddr::V6(local), IpAddr::V6(remote)) if !local.is_unspecified() => {
                (octets[0], octets[6], octets[7]) = (0x60, ESP, HOP_LIMIT);
                octets[8..24].copy_from_slice(&local.octets());
                octets[24..40].copy_from_slice(&remote.octets());
                40
            }
            _ => return None,
        };
        Some(Self { octets, length })
    }

    /// Octets of it.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Writes it in front of `payload` octets, with `class` as its DS field. `identification` lets routers fragment (RFC 791;
    /// DF is not set).
    #[inline]
    pub fn write(&self, target: &mut [u8], payload: usize, identification: u16, class: u8) {
        target.copy_from_slice(&self.octets[..self.length]);
        if self.length == 20 {
            target[1] = class;
            target[2..4].copy_from_slice(&((20 + payload) as u16).to_be_bytes());
            target[4..6].copy_from_slice(&identification.to_be_bytes());
            set_ipv4_header(target);
        } else {
            (target[0], target[1]) = (target[0] | class >> 4, class << 4);
            target[4..6].copy_from_slice(&(payload as u16).to_be_bytes());
        }
    }
}

/// A worker's sockets for plain ESP.
pub struct Plain {
    packet: OwnedFd,
    /// For IPv4 and IPv6.
    pub inlets: [Option<Inlet>; 2],
}

/// What one IP version's packets come in by.
pub struct Inlet {
    /// Its raw socket.
    pub raw: RawSocket,
    /// The version.
    pub v6: bool,
}

impl Plain {
    /// Opens all but the rings.
    pub fn new(mark: u32) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: plain call; the result is ours. Protocol 0: it receives nothing.
        let packet = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_PACKET, kind, 0))?) };
        set_buffers(packet.as_raw_fd())?;
        // Straight to the device, which spares a lock and a queue whose length would be delay. The price is that the queueing
        // discipline of the uplink, which other traffic shares, neither shapes nor ranks these frames.
        set_option(packet.as_raw_fd(), libc::SOL_PACKET, PACKET_QDISC_BYPASS, 1)?;
        let inlet = |v6| RawSocket::new(v6, mark).map(|raw| Inlet { raw, v6 });
        let v6 = match inlet(true) {
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => None,
            other => Some(other?),
        };
        Ok(Self { packet, inlets: [Some(inlet(false)?), v6] })
    }

    /// The packet socket.
    pub fn packet_fd(&self) -> RawFd {
        self.packet.as_raw_fd()
    }

    /// The raw socket of a version.
    pub fn raw_fd(&self, v6: bool) -> Option<RawFd> {
        self.inlets[usize::from(v6)].as_ref().map(|inlet| inlet.raw.fd())
    }
}

//! Raw sockets of protocol 50: plain ESP where packet sockets do not do. The kernel makes the IP header, fragments and
//! reassembles. One is always open: else the kernel would answer that it does not know the protocol.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::sys::{check, set_option, set_option_raw};
use crate::udp::set_buffers;

const ESP: i32 = 50;

/// A raw socket of one IP version. For IPv4 what is received begins with the IP header, for IPv6 with ESP's.
pub struct RawSocket {
    fd: OwnedFd,
}

impl RawSocket {
    /// A socket that receives nothing yet. Needs `CAP_NET_RAW`.
    pub fn new(v6: bool, mark: u32) -> io::Result<Self> {
        let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: plain call; the result is ours.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(family, kind, ESP))?) };
        let raw = fd.as_raw_fd();
        set_buffers(raw)?;
        if v6 {
            // As frames have none: routers that choose a path by it would reorder an SA that uses both.
            set_option(raw, libc::IPPROTO_IPV6, libc::IPV6_AUTOFLOWLABEL, 0)?;
            // The header itself is not received.
            set_option(raw, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
        } else {
            set_option(raw, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)?;
        }
        if mark != 0 {
            set_option(raw, libc::SOL_SOCKET, libc::SO_MARK, mark.cast_signed())?;
        }
        let socket = Self { fd };
        socket.receive(false)?;
        Ok(socket)
    }

    /// The descriptor.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Whether packets are received from now on, or left to the packet ring.
    pub fn receive(&self, all: bool) -> io::Result<()> {
        // BPF_RET|BPF_K
        let mut program = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: if all { u32::MAX } else { 0 } }];
        let filter = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
        set_option_raw(self.fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
    }
}

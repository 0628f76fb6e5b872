//! The UDP sockets: IKE's port and the port IKE and ESP share (RFC 3948), for IPv4 and IPv6.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::endpoint::{Control, RawAddress};
use crate::inbound::SLOT_BITS;
use crate::sys::{check, check_size, get_option, set_option, set_option_raw, vector};

/// What a socket may hold: some milliseconds of a fast stream. More would carry no more, but make all who share the tunnel wait.
const BUFFER: i32 = 4 << 20;
/// Ignore path MTU reports, which anybody can forge, and let the kernel fragment after ESP.
const IP_PMTUDISC_OMIT: i32 = 5;
const SO_NETNS_COOKIE: i32 = 71;

/// One bound socket.
pub struct UdpSocket {
    fd: OwnedFd,
    /// Its port.
    pub port: u16,
    /// Its family.
    pub v6: bool,
    /// Whether its datagrams may be ESP.
    pub esp: bool,
    /// Whether it takes nothing, and no thread waits for it. Whoever waits for a socket is told by the kernel of each frame of it
    /// that is freed, since there may be room to send again: where a run is cut into frames, forty times for one run.
    pub only_sends: bool,
    /// What the kernel does for us.
    pub offloads: UdpOffloads,
}

/// Which offloads of a socket are on.
#[derive(Clone, Copy, Debug)]
pub struct UdpOffloads {
    /// Runs are received in one piece.
    pub gro: bool,
    /// Runs can be sent in one piece (Linux 4.18).
    pub segmentation: bool,
}

/// How sockets are opened.
#[derive(Clone, Copy)]
pub struct UdpOptions {
    /// `SO_MARK`, 0 none.
    pub mark: u32,
    /// Another socket has the port already, and shares it.
    pub shared: bool,
    /// Receive runs of datagrams in one piece.
    pub gro: bool,
    /// The cookie of the only network namespace it may be in: the calling thread may have gone to another.
    pub namespace: Option<u64>,
}

impl UdpSocket {
    /// Binds `port` on all addresses of the family. `UDP_ENCAP` is never set: the kernel would take the ESP itself.
    pub fn bind(v6: bool, port: u16, esp: bool, options: UdpOptions) -> io::Result<Self> {
        let any: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        Self::open(SocketAddr::new(any, port), esp, options)
    }

    /// One by which ESP leaves from `port`, from any if it is 0, and by which nothing comes in.
    pub fn for_sending(v6: bool, port: u16, options: UdpOptions) -> io::Result<Self> {
        let socket = Self::bind(v6, port, true, options)?;
        // What arrived there would fill a buffer for ever.
        socket.deafen()?;
        Ok(Self { only_sends: true, ..socket })
    }

    /// One for ESP with a single peer, beside the socket that has the port and shares it.
    pub fn connected(local: SocketAddr, remote: SocketAddr, options: UdpOptions) -> io::Result<Self> {
        let socket = Self::open(local, true, UdpOptions { shared: true, ..options })?;
        let address = RawAddress::new(remote);
        let (name, length) = address.parts();
        // What came since it was bound may be anybody's, and is taken as on the other socket.
        // SAFETY: `address` lives through the call.
        check(unsafe { libc::connect(socket.fd(), name.cast(), length) })?;
        Ok(socket)
    }

    fn open(local: SocketAddr, esp: bool, options: UdpOptions) -> io::Result<Self> {
        let (v6, port) = (local.is_ipv6(), local.port());
        let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: plain call; the result is ours.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(family, kind, 0))?) };
        let raw = fd.as_raw_fd();
        if options.namespace.is_some() && options.namespace != namespace(raw).ok() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        if v6 {
            set_option(raw, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
            set_option(raw, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            set_option(raw, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, i32::from(esp))?;
        } else {
            set_option(raw, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
            set_option(raw, libc::IPPROTO_IP, libc::IP_RECVTOS, i32::from(esp))?;
            set_option(raw, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, IP_PMTUDISC_OMIT)?;
        }
        set_buffers(raw)?;
        if options.mark != 0 {
            set_option(raw, libc::SOL_SOCKET, libc::SO_MARK, options.mark.cast_signed())?;
        }
        if options.shared {
            set_option(raw, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        // Without it (before Linux 5.0) each datagram comes alone: slower, not wrong.
        let gro = options.gro && set_option(raw, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
        // A size of 0 is none: it only asks whether the option is known.
        let segmentation = options.gro && set_option(raw, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        let address = RawAddress::new(local);
        let (name, length) = address.parts();
        // SAFETY: `address` lives through the call.
        check(unsafe { libc::bind(raw, name.cast(), length) })?;
        Ok(Self { fd, port, v6, esp, only_sends: false, offloads: UdpOffloads { gro, segmentation } })
    }

    /// The descriptor.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Steers ESP among `workers` sockets of this port by SPI, so that one SA stays with one worker. IKE, whose marker
    /// is zero, and what is too short to have an SPI go to the first. Sockets beyond that number, bound after them, get nothing.
    pub fn steer_by_spi(&self, workers: u32) -> io::Result<()> {
        let statement = |code, value| libc::sock_filter { code, jt: 0, jf: 0, k: value };
        // BPF_LD|BPF_W|BPF_ABS 0; BPF_ALU|BPF_RSH SLOT_BITS; BPF_ALU|BPF_MOD workers; BPF_RET|BPF_A
        let mut program =
            [statement(0x20, 0), statement(0x74, SLOT_BITS), statement(0x94, workers), statement(0x16, 0)];
        self.attach(libc::SO_ATTACH_REUSEPORT_CBPF, &mut program)
    }

    /// The cookie of its network namespace (Linux 5.14).
    pub fn namespace(&self) -> io::Result<u64> {
        namespace(self.fd())
    }

    /// Lets other sockets of this user have its port from now on. Not before it is bound: a second gateway is to be refused.
    pub fn share_port(&self) -> io::Result<()> {
        set_option(self.fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)
    }

    /// Takes nothing any more.
    fn deafen(&self) -> io::Result<()> {
        // BPF_RET|BPF_K 0
        self.attach(libc::SO_ATTACH_FILTER, &mut [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }])
    }

    fn attach(&self, option: i32, program: &mut [libc::sock_filter]) -> io::Result<()> {
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        set_option_raw(self.fd(), libc::SOL_SOCKET, option, &filter)
    }

    /// Sends one datagram made of `pieces`.
    pub fn send(&self, remote: &RawAddress, control: &Control, pieces: &[&[u8]]) -> io::Result<()> {
        let mut vectors: Vec<_> = pieces.iter().map(|piece| vector(piece)).collect();
        let message = header(Some(remote), control, &mut vectors);
        // SAFETY: all that `message` points to lives through the call.
        check_size(unsafe { libc::sendmsg(self.fd(), &raw const message, 0) }).map(drop)
    }

    /// Waits a moment for room to send.
    pub fn wait_writable(&self, milliseconds: i32) -> bool {
        wait_writable(self.fd(), milliseconds)
    }
}

fn namespace(fd: RawFd) -> io::Result<u64> {
    get_option(fd, libc::SOL_SOCKET, SO_NETNS_COOKIE)
}

/// Asks for large buffers, or as large as an unprivileged process may have.
pub fn set_buffers(fd: RawFd) -> io::Result<()> {
    for (force, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        set_option(fd, libc::SOL_SOCKET, force, BUFFER).or_else(|_| set_option(fd, libc::SOL_SOCKET, plain, BUFFER))?;
    }
    Ok(())
}

/// Waits a moment for room to send.
pub fn wait_writable(fd: RawFd, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) == 1 }
}

/// A message header over parts that must outlive it; without `remote` for a connected socket.
pub fn header(remote: Option<&RawAddress>, control: &Control, vectors: &mut [libc::iovec]) -> libc::msghdr {
    let (name, name_len) = remote.map_or((std::ptr::null_mut(), 0), RawAddress::parts);
    let (control, control_len) = control.parts();
    // SAFETY: all zeros are a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = name;
    message.msg_namelen = name_len;
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len();
    message.msg_control = control;
    message.msg_controllen = control_len;
    message
}

/// One received run of datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Octets in its part of the buffer.
    pub length: usize,
    /// Octets of each datagram but the last.
    pub segment: usize,
    /// It did not fit.
    pub truncated: bool,
}

/// Messages received by one call at most.
pub const MESSAGES: usize = 8;
/// Octets of one message at most.
pub const MESSAGE_LEN: usize = 65_536;

/// Octets behind the messages, for packets that get a header for which there is no room in front of them.
pub const SPARE: std::ops::Range<usize> = MESSAGES * MESSAGE_LEN..(MESSAGES + 4) * MESSAGE_LEN;

/// Buffers for one recvmmsg; message i has its own 64 KiB of `octets`.
pub struct Receiver {
    /// The octets received.
    pub octets: Vec<u8>,
    names: [RawAddress; MESSAGES],
    controls: [Control; MESSAGES],
    headers: [libc::mmsghdr; MESSAGES],
}

impl Default for Receiver {
    fn default() -> Self {
        Self {
            octets: vec![0; SPARE.end],
            names: [RawAddress::empty(); MESSAGES],
            controls: [Control::receiving(); MESSAGES],
            // SAFETY: all zeros are a valid mmsghdr.
            headers: unsafe { mem::zeroed() },
        }
    }
}

impl Receiver {
    /// Receives what waits, up to MESSAGES; the number received.
    pub fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: MESSAGE_LEN }; MESSAGES];
        for (index, message) in self.headers.iter_mut().enumerate() {
            vectors[index].iov_base = self.octets[index * MESSAGE_LEN..].as_mut_ptr().cast();
            message.msg_hdr = header(Some(&self.names[index]), &self.controls[index], &mut vectors[index..=index]);
            // The kernel writes here, so these pointers must come from what may be written.
            message.msg_hdr.msg_name = (&raw mut self.names[index]).cast();
            message.msg_hdr.msg_control = (&raw mut self.controls[index]).cast();
        }
        // SAFETY: each header points to a name, a control buffer and 64 KiB of octets of its own, all owned by self.
        let count = unsafe {
            libc::recvmmsg(fd, self.headers.as_mut_ptr(), MESSAGES as u32, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        match check(count) {
            Ok(count) => Ok(count.cast_unsigned() as usize),
            // Anything but a descriptor that is none says something of one datagram or one moment.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::ENOTSOCK)) => Err(error),
            Err(_) => Ok(0),
        }
    }

    /// Sizes of message `index`.
    pub fn received(&self, index: usize) -> Received {
        let message = &self.headers[index];
        let length = (message.msg_len as usize).min(MESSAGE_LEN);
        let size = self.controls[index]
            .messages(message.msg_hdr.msg_controllen)
            .find(|(level, kind, _)| (*level, *kind) == (libc::SOL_UDP, libc::UDP_GRO))
            .and_then(|(_, _, value)| value.get(..4))
            .map_or(0, |value| i32::from_ne_bytes([value[0], value[1], value[2], value[3]]));
        let segment = usize::try_from(size).ok().filter(|size| *size > 0).unwrap_or(length);
        Received { length, segment, truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 }
    }

    /// The DS field of the datagrams of message `index`: the kernel joins none whose fields differ.
    #[inline]
    pub fn class(&self, index: usize) -> u8 {
        let control = &self.controls[index];
        let class =
            control.messages(self.headers[index].msg_hdr.msg_controllen).find_map(|(level, kind, value)| {
                match (level, kind, value) {
                    (libc::IPPROTO_IP, libc::IP_TOS, [class, ..]) => Some(*class),
                    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, value) => {
                        value.first_chunk().map(|class| u32::from_ne_bytes(*class) as u8)
                    }
                    _ => None,
                }
            });
        class.unwrap_or(0)
    }

    /// Who sent message `index`.
    pub fn remote(&self, index: usize) -> Option<SocketAddr> {
        // Where the kernel wrote no name, that of an earlier message still stands.
        if self.headers[index].msg_hdr.msg_namelen == 0 {
            return None;
        }
        self.names[index].address()
    }

    /// The address message `index` was sent to.
    pub fn local_address(&self, index: usize) -> Option<IpAddr> {
        let control = &self.controls[index];
        control.messages(self.headers[index].msg_hdr.msg_controllen).find_map(|(level, kind, value)| {
            match (level, kind, value) {
                // in_pktinfo: interface index, local address, header destination
                (libc::IPPROTO_IP, libc::IP_PKTINFO, [_, _, _, _, _, _, _, _, a, b, c, d]) => {
                    Some(Ipv4Addr::new(*a, *b, *c, *d).into())
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, value) => {
                    <[u8; 16]>::try_from(value.get(..16)?).ok().map(|octets| Ipv6Addr::from(octets).into())
                }
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::port_of;

    #[test]
    fn nothing_that_comes_to_a_port_reaches_the_socket_that_only_sends_from_it() {
        let options = UdpOptions { mark: 0, shared: false, gro: false, namespace: None };
        let receiving = UdpSocket::bind(false, 0, true, options).unwrap();
        let port = port_of(&receiving);
        receiving.share_port().unwrap();
        let sending = UdpSocket::for_sending(false, port, UdpOptions { shared: true, ..options }).unwrap();
        receiving.steer_by_spi(1).unwrap();
        let peers: Vec<_> = (0..2 * MESSAGES).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut receiver = Receiver::default();
        for peer in &peers {
            peer.send_to(b"some ESP", ("127.0.0.1", port)).unwrap();
            let mut wanted = libc::pollfd { fd: receiving.fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, which lives through the call.
            assert_eq!(unsafe { libc::poll(&raw mut wanted, 1, 10_000) }, 1);
            assert_eq!(receiver.receive(receiving.fd()).unwrap(), 1);
        }
        let peer = &peers[0];
        sending.send(&RawAddress::new(peer.local_addr().unwrap()), &Control::default(), &[b"an answer"]).unwrap();
        assert_eq!(peer.recv_from(&mut [0; 16]).unwrap(), (9, ([127, 0, 0, 1], port).into()));
    }
}

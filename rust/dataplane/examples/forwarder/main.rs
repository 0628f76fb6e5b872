//! A TUN device joined to a UDP socket with the segmentation offloads of both, and in between nothing, or one cipher with one
//! key: no SA, no policy. The baselines `forwarder` and `forwarder-gcm` of `ironswan bench tunnel` show with it what the
//! system calls, the copies and the cipher cost. It protects nothing and is no part of ironswan.
//!
//! Usage: `forwarder TUN LOCAL REMOTE CIPHER`, the addresses with their ports, the cipher `none` or `aes128gcm16`. Needs
//! Linux 6.2.

mod cipher;

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;

use ironswan_dataplane::coalesce::{Coalescer, Sink};
use ironswan_dataplane::split::Plan;
use ironswan_dataplane::urgency::Urgency;
use ironswan_dataplane::vnet;

use cipher::{Cipher, HEADER, TRAILER};

const SEGMENTS: usize = 64;
const RUN_OCTETS: usize = 65_000;
const RUNS: usize = 64;
const ARENA: usize = 1 << 19;
/// The most that one frame takes of the arena: 64 KiB and as many headers as its smallest segments have.
const FRAME: usize = 1 << 18;
const MESSAGES: usize = 8;
const MESSAGE_LEN: usize = 65_536;
const BUFFER: libc::c_int = 16 << 20;
const NICE: libc::c_int = -10;
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
/// CSUM, TSO4, TSO6, USO4, USO6
const OFFLOADS: libc::c_ulong = 0x67;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().collect();
    let [_, name, local, remote, cipher] = words.as_slice() else {
        return Err("usage: forwarder TUN LOCAL REMOTE CIPHER".into());
    };
    let (local, remote): (SocketAddr, SocketAddr) = (local.parse()?, remote.parse()?);
    let (sealing, opening) = (Cipher::new(cipher, local.ip())?, Cipher::new(cipher, remote.ip())?);
    let (tun, udp) = (open_tun(name)?, open_udp(local, remote)?);
    // Both threads are as privileged as the gateway's by default, and as urgent, so that the two differ in their work alone.
    // SAFETY: plain call for this thread, which hands it on to those it starts.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    thread::scope(|scope| {
        let outbound = scope.spawn(|| outbound(&tun, &udp, sealing));
        let inbound = inbound(&tun, &udp, &opening);
        outbound.join().unwrap_or_else(|_| Err(io::Error::other("the outbound side panicked"))).and(inbound)
    })?;
    Ok(())
}

fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn open_tun(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: all zeros are a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (target, octet) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *target = libc::c_char::from_ne_bytes([octet]);
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, TUNSETOFFLOAD takes its flags by value.
    unsafe {
        check(libc::ioctl(file.as_raw_fd(), TUNSETIFF as _, &raw mut request) as isize)?;
        check(libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD as _, OFFLOADS) as isize)?;
    }
    Ok(file)
}

fn open_udp(local: SocketAddr, remote: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local)?;
    socket.connect(remote)?;
    set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1)?;
    for (force, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        set_option(&socket, libc::SOL_SOCKET, force, BUFFER)
            .or_else(|_| set_option(&socket, libc::SOL_SOCKET, plain, BUFFER))?;
    }
    Ok(socket)
}

fn set_option(socket: &UdpSocket, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointer is valid for `length` octets.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    check(result as isize).map(drop)
}

/// Datagrams of one length, but for a shorter last one: one message with `UDP_SEGMENT`.
struct Run {
    octets: Range<usize>,
    segment: usize,
    count: usize,
}

/// Datagrams ready to be sent.
struct Outgoing {
    arena: Vec<u8>,
    runs: Vec<Run>,
    used: usize,
}

impl Outgoing {
    fn put(&mut self, plan: &Plan<'_>, cipher: &mut Cipher) {
        for index in 0..plan.segments() {
            let inner = plan.len(index);
            let length = HEADER + inner + TRAILER;
            let start = self.place(length);
            let datagram = &mut self.arena[start..start + length];
            plan.write(index, &mut datagram[HEADER..HEADER + inner]);
            cipher.seal(datagram);
        }
    }

    fn place(&mut self, length: usize) -> usize {
        let start = self.used;
        self.used += length;
        match self.runs.last_mut() {
            Some(run) if run.takes(length) => {
                run.octets.end += length;
                run.count += 1;
            }
            _ => self.runs.push(Run { octets: start..self.used, segment: length, count: 1 }),
        }
        start
    }

    fn is_full(&self) -> bool {
        self.used + FRAME > self.arena.len() || self.runs.len() >= RUNS
    }

    fn flush(&mut self, udp: &UdpSocket) {
        for runs in self.runs.chunks(RUNS) {
            send(runs, &self.arena, udp);
        }
        self.runs.clear();
        self.used = 0;
    }
}

impl Run {
    fn takes(&self, length: usize) -> bool {
        // After a shorter datagram no other can follow.
        self.octets.len() == self.count * self.segment
            && length <= self.segment
            && self.count < SEGMENTS
            && self.octets.len() + length <= RUN_OCTETS
    }
}

/// A control message with `UDP_SEGMENT`, aligned as the kernel wants it.
#[repr(C)]
#[derive(Clone, Copy)]
struct SegmentSize {
    header: libc::cmsghdr,
    size: u16,
    padding: [u8; 6],
}

impl SegmentSize {
    fn new(size: usize) -> Self {
        // SAFETY: all zeros are a valid cmsghdr.
        let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = libc::UDP_SEGMENT;
        header.cmsg_len = (size_of::<libc::cmsghdr>() + 2) as _;
        Self { header, size: size as u16, padding: [0; 6] }
    }
}

fn send(runs: &[Run], arena: &[u8], udp: &UdpSocket) {
    let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; RUNS];
    let mut sizes = [SegmentSize::new(0); RUNS];
    // SAFETY: all zeros are a valid mmsghdr.
    let mut messages: [libc::mmsghdr; RUNS] = unsafe { mem::zeroed() };
    for (index, run) in runs.iter().enumerate() {
        let octets = &arena[run.octets.clone()];
        vectors[index] = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
        let message = &mut messages[index].msg_hdr;
        message.msg_iov = &raw mut vectors[index];
        message.msg_iovlen = 1;
        if run.count > 1 {
            sizes[index] = SegmentSize::new(run.segment);
            message.msg_control = (&raw mut sizes[index]).cast();
            message.msg_controllen = size_of::<SegmentSize>() as _;
        }
    }
    let mut next = 0;
    while next < runs.len() {
        let left = (runs.len() - next) as u32;
        // SAFETY: `left` messages from `next` on, over memory that lives during the call.
        let sent = unsafe { libc::sendmmsg(udp.as_raw_fd(), messages[next..].as_mut_ptr(), left, 0) };
        // What cannot be sent is lost, as on any wire.
        next += usize::try_from(sent).unwrap_or(1).max(1);
    }
}

fn outbound(tun: &File, udp: &UdpSocket, mut cipher: Cipher) -> io::Result<()> {
    let mut frame = vec![0; vnet::LEN + 65_536];
    let mut outgoing = Outgoing { arena: vec![0; ARENA], runs: Vec::with_capacity(2 * RUNS), used: 0 };
    let (mut urgency, mut frames) = (Urgency::new(true), 0);
    loop {
        // SAFETY: the pointer and length are those of `frame`.
        let length = unsafe { libc::read(tun.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len()) };
        match check(length) {
            Ok(length) => {
                frames += 1;
                if let Some(plan) = Plan::new(&mut frame[..length]) {
                    outgoing.put(&plan, &mut cipher);
                }
                if outgoing.is_full() {
                    outgoing.flush(udp);
                    urgency.carried(mem::take(&mut frames), false);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                outgoing.flush(udp);
                urgency.carried(mem::take(&mut frames), false);
                wait(tun);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn wait(tun: &File) {
    let mut poll = libc::pollfd { fd: tun.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&raw mut poll, 1, -1) };
}

/// Writes merged packets to the TUN.
struct Device<'a>(&'a File);

impl Sink for Device<'_> {
    fn write(&mut self, header: vnet::Header, octets: &[u8], pieces: &[Range<usize>]) {
        let header = header.write();
        let vector = |part: &[u8]| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() };
        let vectors: Vec<_> =
            std::iter::once(vector(&header)).chain(pieces.iter().map(|piece| vector(&octets[piece.clone()]))).collect();
        let count = libc::c_int::try_from(vectors.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: every iovec describes memory borrowed during the call. What cannot be written is lost.
        let _ = unsafe { libc::writev(self.0.as_raw_fd(), vectors.as_ptr(), count) };
    }
}

/// Room for the control message with the segment size that `UDP_GRO` gives.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

fn inbound(tun: &File, udp: &UdpSocket, cipher: &Cipher) -> io::Result<()> {
    let mut octets = vec![0; MESSAGES * MESSAGE_LEN];
    let mut coalescer = Coalescer::new(true, true);
    let (mut device, mut urgency) = (Device(tun), Urgency::new(true));
    loop {
        let received = match receive(udp, &mut octets) {
            // The other end is not there yet.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ECONNREFUSED | libc::EINTR)) => continue,
            received => received?,
        };
        urgency.carried(received.len(), false);
        for (index, (length, segment)) in received.into_iter().enumerate() {
            let end = index * MESSAGE_LEN + length;
            for start in (index * MESSAGE_LEN..end).step_by(segment.max(1)) {
                if let Some(inner) = cipher.open(&mut octets, start..end.min(start + segment)) {
                    coalescer.push(&mut octets, inner, &mut device);
                }
            }
        }
        coalescer.flush(&mut octets, &mut device);
    }
}

/// Waits for datagrams; the length of each message received and of the datagrams it is made of.
fn receive(udp: &UdpSocket, octets: &mut [u8]) -> io::Result<Vec<(usize, usize)>> {
    let mut controls = [Control([0; 64]); MESSAGES];
    let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: MESSAGE_LEN }; MESSAGES];
    // SAFETY: all zeros are a valid mmsghdr.
    let mut messages: [libc::mmsghdr; MESSAGES] = unsafe { mem::zeroed() };
    for (index, part) in octets.chunks_mut(MESSAGE_LEN).enumerate() {
        vectors[index].iov_base = part.as_mut_ptr().cast();
        let message = &mut messages[index].msg_hdr;
        message.msg_iov = &raw mut vectors[index];
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut controls[index]).cast();
        message.msg_controllen = size_of::<Control>() as _;
    }
    // SAFETY: MESSAGES messages over memory that lives during the call.
    let count = unsafe {
        let wait = libc::MSG_WAITFORONE;
        libc::recvmmsg(udp.as_raw_fd(), messages.as_mut_ptr(), MESSAGES as u32, wait, std::ptr::null_mut())
    };
    let count = check(count as isize)?;
    Ok(messages[..count].iter().map(|message| (message.msg_len as usize, datagram_len(message))).collect())
}

fn datagram_len(message: &libc::mmsghdr) -> usize {
    // SAFETY: recvmmsg has filled the header and its control messages; each is read within its length.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(&raw const message.msg_hdr);
        while let Some(header) = control.as_ref() {
            if (header.cmsg_level, header.cmsg_type) == (libc::SOL_UDP, libc::UDP_GRO) {
                let size = libc::CMSG_DATA(control).cast::<libc::c_int>().read_unaligned();
                return usize::try_from(size).unwrap_or(0);
            }
            control = libc::CMSG_NXTHDR(&raw const message.msg_hdr, control);
        }
    }
    message.msg_len as usize
}

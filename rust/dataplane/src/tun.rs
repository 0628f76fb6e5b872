//! The TUN device: queues, offloads, and the interface's size and state.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::lanes::{LANES, Steering};
use crate::sys::{check, check_size};

const TUN_F_CSUM: libc::c_uint = 0x01;
const TUN_F_TSO4: libc::c_uint = 0x02;
const TUN_F_TSO6: libc::c_uint = 0x04;
const TUN_F_USO4: libc::c_uint = 0x20;
const TUN_F_USO6: libc::c_uint = 0x40;
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
/// Refuse a device that is there already.
const IFF_TUN_EXCL: libc::c_int = 0x8000;
const QUEUE_LEN: libc::c_int = 1000;

/// What a read gives when the device is gone (`EBADFD`); any other error says something of one frame.
const GONE: i32 = libc::EBADFD;

/// What is asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffloadMode {
    /// As much as the kernel has.
    Auto,
    /// TCP segmentation at least, or an error.
    On,
    /// None: one packet a read and a write.
    Off,
}

/// Which offloads are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// TCP super-packets both ways.
    pub tcp: bool,
    /// UDP super-packets both ways (Linux 6.2).
    pub udp: bool,
}

/// One queue of the device.
pub struct TunQueue(File);

/// Whether an error of a queue says that the device is there no more.
pub fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(GONE)
}

impl TunQueue {
    /// The descriptor, for epoll.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// One frame with its offload header; None when there is none now.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        // SAFETY: the pointer and length are those of `buffer`.
        let result = check_size(unsafe { libc::read(self.fd(), buffer.as_mut_ptr().cast(), buffer.len()) });
        match result {
            Ok(length) => Ok(Some(length)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes one frame from its pieces.
    #[inline]
    pub fn write(&self, pieces: &[libc::iovec]) -> io::Result<()> {
        let count = libc::c_int::try_from(pieces.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: each iovec describes memory that its owner keeps borrowed during the call.
        check_size(unsafe { libc::writev(self.fd(), pieces.as_ptr(), count) }).map(drop)
    }
}

/// The device with all its queues.
pub struct Tun {
    queues: Vec<TunQueue>,
    lanes: usize,
    /// The name it got.
    pub name: String,
    /// Its interface index.
    pub index: u32,
    /// What the kernel agreed to.
    pub offloads: Offloads,
}

impl Tun {
    /// Creates the device with a queue for each worker, sets its MTU and brings it up; `EBUSY` where there is one of that
    /// name, for its queues would be shared with whoever made it. With `lanes`, a single worker has several queues, where
    /// that is possible.
    pub fn open(name: &str, mtu: u32, workers: usize, lanes: bool, mode: OffloadMode) -> io::Result<Self> {
        let mut request = Request::new(name)?;
        let several = if lanes && workers == 1 { open_lanes(&mut request).ok() } else { None };
        let queues = several.map_or_else(|| open_queues(&mut request, workers), Ok)?;
        let mut offloads = Offloads::default();
        for queue in &queues {
            offloads = set_offloads(queue, mode)?;
        }
        let name = request.name();
        let index = configure(&mut request, mtu)?;
        Ok(Self { lanes: queues.len() / workers, queues, name, index, offloads })
    }

    /// A single worker's device whose queues are these files.
    #[cfg(test)]
    pub fn of_files(files: Vec<File>) -> Self {
        let (lanes, name, offloads) = (files.len(), "files".to_owned(), Offloads::default());
        Self { queues: files.into_iter().map(TunQueue).collect(), lanes, name, index: 0, offloads }
    }

    /// Whether workers have several queues each.
    pub fn has_lanes(&self) -> bool {
        self.lanes > 1
    }

    /// A worker's queues, one for each lane.
    #[inline]
    pub fn lanes(&self, worker: usize) -> &[TunQueue] {
        &self.queues[worker * self.lanes..][..self.lanes]
    }
}

/// An ifreq whose name is set.
struct Request(libc::ifreq);

impl Request {
    fn new(name: &str) -> io::Result<Self> {
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.bytes().any(|b| b == 0 || b == b'/') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no interface name")));
        }
        // SAFETY: all zeros are a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (target, octet) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *target = libc::c_char::from_ne_bytes([octet]);
        }
        Ok(Self(request))
    }

    fn name(&self) -> String {
        self.0.ifr_name.iter().take_while(|c| **c != 0).map(|c| char::from(c.to_ne_bytes()[0])).collect()
    }

    fn call(&mut self, fd: RawFd, number: libc::c_ulong) -> io::Result<()> {
        // SAFETY: all calls made here read or write one ifreq.
        check(unsafe { libc::ioctl(fd, number as _, &raw mut self.0) }).map(drop)
    }
}

/// The first makes the device, and the others attach to it.
fn open_queues(request: &mut Request, count: usize) -> io::Result<Vec<TunQueue>> {
    let several = if count > 1 { libc::IFF_MULTI_QUEUE } else { 0 };
    (0..count).map(|index| open_queue(request, several | if index == 0 { IFF_TUN_EXCL } else { 0 })).collect()
}

/// Refused without the privilege to load a program.
fn open_lanes(request: &mut Request) -> io::Result<Vec<TunQueue>> {
    let steering = Steering::load()?;
    let queues = open_queues(request, LANES)?;
    steering.attach(queues[0].fd())?;
    Ok(queues)
}

fn open_queue(request: &mut Request, flags: libc::c_int) -> io::Result<TunQueue> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    request.0.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | flags) as libc::c_short;
    request.call(file.as_raw_fd(), TUNSETIFF)?;
    Ok(TunQueue(file))
}

fn set_offloads(queue: &TunQueue, mode: OffloadMode) -> io::Result<Offloads> {
    let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    // SAFETY: TUNSETOFFLOAD takes its flags by value.
    let try_flags =
        |flags: libc::c_uint| check(unsafe { libc::ioctl(queue.fd(), TUNSETOFFLOAD as _, libc::c_ulong::from(flags)) });
    if mode == OffloadMode::Off {
        return try_flags(0).map(|_| Offloads::default());
    }
    if try_flags(tcp | TUN_F_USO4 | TUN_F_USO6).is_ok() {
        return Ok(Offloads { tcp: true, udp: true });
    }
    match try_flags(tcp) {
        Ok(_) => Ok(Offloads { tcp: true, udp: false }),
        Err(error) if mode == OffloadMode::On => Err(error),
        Err(_) => try_flags(0).map(|_| Offloads::default()),
    }
}

fn configure(request: &mut Request, mtu: u32) -> io::Result<u32> {
    // SAFETY: plain call; the result is ours.
    let fd = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let socket = socket.as_raw_fd();
    request.0.ifr_ifru.ifru_mtu = mtu.cast_signed();
    request.call(socket, libc::SIOCSIFMTU)?;
    // ifr_qlen is an int at the same place of the union.
    request.0.ifr_ifru.ifru_mtu = QUEUE_LEN;
    // Inside a user namespace the queue length is not ours to set: shorter, not wrong.
    let _ = request.call(socket, libc::SIOCSIFTXQLEN);
    // A link-local address would make the kernel send router solicitations, which no policy takes. None without IPv6.
    let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{}/addr_gen_mode", request.name()), "1");
    request.call(socket, libc::SIOCGIFFLAGS)?;
    // SAFETY: SIOCGIFFLAGS has filled the flags.
    let flags = unsafe { request.0.ifr_ifru.ifru_flags };
    request.0.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    request.call(socket, libc::SIOCSIFFLAGS)?;
    request.call(socket, libc::SIOCGIFINDEX)?;
    // SAFETY: SIOCGIFINDEX has filled the index.
    Ok(unsafe { request.0.ifr_ifru.ifru_ifindex }.cast_unsigned())
}

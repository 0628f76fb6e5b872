//! A datagram generator and its sink, for the demo and the benchmark: many datagrams a system call, so that the
//! generator is not what is measured.

use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use crate::sys::{check, check_size, set_option};

const BATCH: usize = 64;
const LARGEST: usize = 65_507;

/// Batches of datagrams over one buffer; the kernel only reads it when sending, and nobody reads it after.
struct Batch {
    _payloads: Vec<Vec<u8>>,
    _vectors: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

impl Batch {
    /// As many whole turns of `payloads` as fit.
    fn new(mut payloads: Vec<Vec<u8>>) -> Self {
        let vector =
            |payload: &mut Vec<u8>| libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
        let turn: Vec<_> = payloads.iter_mut().map(vector).collect();
        let count = BATCH - BATCH % turn.len().max(1);
        let mut vectors: Vec<_> = turn.iter().cycle().take(count).copied().collect();
        let messages = vectors
            .iter_mut()
            .map(|vector| {
                // SAFETY: all zeros are a valid mmsghdr.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_iov = vector;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        Self { _payloads: payloads, _vectors: vectors, messages }
    }
}

/// Sends datagrams of `sizes` octets as `send_payloads` does.
pub fn send(fd: RawFd, sizes: &[usize], duration: Duration, rate: u64) -> io::Result<u64> {
    if !(1..=BATCH).contains(&sizes.len()) || sizes.iter().any(|size| *size > LARGEST) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut batch = Batch::new(sizes.iter().map(|size| vec![0x55; *size]).collect());
    pace(fd, batch.messages.len(), duration, rate, |datagrams| {
        let messages = &mut batch.messages[datagrams];
        // SAFETY: as many messages over memory that `batch` owns.
        let sent = check(unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), messages.len() as u32, 0) })?;
        Ok(sent.cast_unsigned() as usize)
    })
}

/// Sends datagrams with these payloads, all of one length, in turn, on a connected socket for `duration`, at most `rate` a
/// second (0: as fast as it goes), and lets the kernel cut them apart; how many were sent.
pub fn flood(fd: RawFd, payloads: &[Vec<u8>], duration: Duration, rate: u64) -> io::Result<u64> {
    let length = payloads.first().map_or(0, Vec::len);
    let whole = payloads.len() * length;
    if length == 0 || payloads.len() > BATCH || whole > LARGEST || payloads.iter().any(|each| each.len() != length) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let segment = i32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    set_option(fd, libc::SOL_UDP, libc::UDP_SEGMENT, segment)?;
    let octets = payloads.concat();
    pace(fd, payloads.len(), duration, rate, |datagrams| {
        let octets = &octets[datagrams.start * length..datagrams.end * length];
        // SAFETY: the pointer and length are those of `octets`.
        Ok(check_size(unsafe { libc::send(fd, octets.as_ptr().cast(), octets.len(), 0) })? / length)
    })
}

/// Has `out` send the datagrams of a batch that are due, over and over.
fn pace(
    fd: RawFd,
    batch: usize,
    duration: Duration,
    rate: u64,
    mut out: impl FnMut(Range<usize>) -> io::Result<usize>,
) -> io::Result<u64> {
    let start = Instant::now();
    let mut sent = 0_u64;
    loop {
        let elapsed = start.elapsed();
        if elapsed >= duration {
            return Ok(sent);
        }
        let due = if rate == 0 { u64::MAX } else { (elapsed.as_micros() * u128::from(rate) / 1_000_000) as u64 };
        // Go on where the last call ended, so that all of the batch have their share.
        let first = (sent % batch as u64) as usize;
        let count = due.saturating_sub(sent).min((batch - first) as u64) as usize;
        if count == 0 {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        match out(first..first + count) {
            Ok(done) => sent += done as u64,
            Err(error) if is_passing(&error) => wait(fd, libc::POLLOUT, Duration::from_millis(1)),
            Err(error) => return Err(error),
        }
    }
}

/// Where datagrams go that are spread over many addresses.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The first address.
    pub first: Ipv4Addr,
    /// How many addresses follow each other.
    pub addresses: u32,
    /// Datagrams for one address before the next one's.
    pub in_a_row: u32,
    /// The port, at all of them.
    pub port: u16,
}

impl Spread {
    fn name(self, number: u64) -> libc::sockaddr_in {
        let turn = number / u64::from(self.in_a_row) % u64::from(self.addresses);
        // SAFETY: all zeros are a valid sockaddr_in.
        let mut name: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        name.sin_family = libc::AF_INET as libc::sa_family_t;
        name.sin_port = self.port.to_be();
        name.sin_addr.s_addr = self.first.to_bits().wrapping_add(turn as u32).to_be();
        name
    }
}

/// Sends datagrams of `size` octets from an unconnected socket to one address after the other, as fast as it goes; how
/// many were sent.
pub fn send_spread(fd: RawFd, size: usize, spread: Spread, duration: Duration) -> io::Result<u64> {
    if size > LARGEST || spread.addresses == 0 || spread.in_a_row == 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut batch = Batch::new(vec![vec![0x55; size]]);
    let mut names = [spread.name(0); BATCH];
    let start = Instant::now();
    let mut sent = 0_u64;
    while start.elapsed() < duration {
        for ((name, message), number) in names.iter_mut().zip(&mut batch.messages).zip(sent..) {
            *name = spread.name(number);
            message.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        // SAFETY: BATCH messages over memory that `batch` and `names` own.
        let result = check(unsafe { libc::sendmmsg(fd, batch.messages.as_mut_ptr(), BATCH as u32, 0) });
        match result {
            Ok(done) => sent += u64::from(done.cast_unsigned()),
            Err(error) if is_passing(&error) => wait(fd, libc::POLLOUT, Duration::from_millis(1)),
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Receives datagrams on a bound socket for `duration`; how many came.
pub fn receive(fd: RawFd, duration: Duration) -> io::Result<u64> {
    let mut batch = Batch::new(vec![vec![0; LARGEST]]);
    let start = Instant::now();
    let mut received = 0_u64;
    loop {
        let Some(left) = duration.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
            return Ok(received);
        };
        let messages = batch.messages.as_mut_ptr();
        // SAFETY: BATCH messages over memory that `batch` owns; they may overwrite each other, nobody reads them.
        let result =
            check(unsafe { libc::recvmmsg(fd, messages, BATCH as u32, libc::MSG_DONTWAIT, std::ptr::null_mut()) });
        match result {
            Ok(done) => received += u64::from(done.cast_unsigned()),
            Err(error) if is_passing(&error) => wait(fd, libc::POLLIN, left),
            Err(error) => return Err(error),
        }
    }
}

/// Full or empty queues, and ICMP errors that earlier datagrams met.
fn is_passing(error: &io::Error) -> bool {
    let passing = [libc::EAGAIN, libc::EINTR, libc::ENOBUFS, libc::ECONNREFUSED];
    error.raw_os_error().is_some_and(|code| passing.contains(&code))
}

fn wait(fd: RawFd, events: i16, at_most: Duration) {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    let milliseconds = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX).max(1);
    // SAFETY: one pollfd.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
}

//! Lanes: the several queues of a TUN that a worker reads in turn, so that a ping or a call does not wait behind a bulk
//! transfer. The kernel chooses the lane of a packet by a program of ours.
//!
//! TCP connections have lanes by addresses and ports. Of everything else all packets between two hosts that have one protocol
//! share a lane, for fragments have no ports and are not to overtake what was sent before them.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::sys::check;

/// Lanes of a worker, in a device that has them.
pub const LANES: usize = 8;

const TUNSETSTEERINGEBPF: libc::c_ulong = 0x8004_54e0;
const BPF_PROG_LOAD: libc::c_long = 5;
const SOCKET_FILTER: u32 = 1;
/// An odd number whose bits are as good as random.
const SPREAD: i32 = 0x61c8_8647;
/// More Fragments, and the offset (RFC 791 3.1).
const FRAGMENTED: i32 = 0x3fff;
/// IPv6's fragment header.
const FRAGMENT: i32 = 44;
const TCP: i32 = 6;

/// The program that gives the number of a packet's lane, in the kernel.
pub struct Steering(OwnedFd);

impl Steering {
    /// Loads it. Needs `CAP_BPF` or `CAP_SYS_ADMIN`.
    pub fn load() -> io::Result<Self> {
        let program = program();
        let license = c"Apache-2.0";
        let attributes = Attributes {
            kind: SOCKET_FILTER,
            count: program.len() as u32,
            instructions: program.as_ptr() as u64,
            license: license.as_ptr() as u64,
            ..Attributes::default()
        };
        // SAFETY: the attributes and what they point to live through the call, and their size is told.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attributes, size_of::<Attributes>()) };
        let fd = check(result as libc::c_int)?;
        // SAFETY: a non-negative result is a new descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Lets it choose among the queues of a TUN, of which `queue` is one.
    pub fn attach(&self, queue: RawFd) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        // SAFETY: the call reads one int.
        check(unsafe { libc::ioctl(queue, TUNSETSTEERINGEBPF as _, &raw const fd) }).map(drop)
    }
}

/// The beginning of the kernel's `union bpf_attr`, as far as loading wants it.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
}

/// An instruction (RFC 9669 3).
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    opcode: u8,
    /// The source in the high half, the destination in the low one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// Hashes addresses and protocol of the packet, and TCP's ports; the kernel takes the result modulo the number of queues.
/// What ends before these fields, and what is no IP, goes to the first queue: a load that fails ends the program with 0.
fn program() -> Vec<Instruction> {
    let op = |opcode, to: u8, from: u8, offset, immediate| Instruction {
        opcode,
        registers: from << 4 | to,
        offset,
        immediate,
    };
    // Loads are from the packet into register 0, as register 6 says where it is.
    let octet = |at| op(0x30, 0, 0, 0, at);
    let half = |at| op(0x28, 0, 0, 0, at);
    let word = |at| op(0x20, 0, 0, 0, at);
    let word_behind = |register| op(0x40, 0, register, 0, 0);
    let copy = |to, from| op(0xbf, to, from, 0, 0);
    let set = |to, value| op(0xb7, to, 0, 0, value);
    let and = |to, bits| op(0x57, to, 0, 0, bits);
    let shift_left = |to, by| op(0x67, to, 0, 0, by);
    let shift_right = |to, by| op(0x77, to, 0, 0, by);
    let skip = |count| op(0x05, 0, 0, count, 0);
    let skip_if = |register, value, count| op(0x15, register, 0, count, value);
    let skip_unless = |register, value, count| op(0x55, register, 0, count, value);
    let end = op(0x95, 0, 0, 0, 0);
    // Register 7 is the hash, 8 the protocol, 9 where the upper header begins, 0 where it is not all there.
    let (times, plus) = (op(0x27, 7, 0, 0, SPREAD), op(0x0f, 7, 0, 0, 0));
    let mix = |load| [load, times, plus];

    let mut v4 = [12, 16].map(word).map(mix).concat();
    v4.extend([octet(9), copy(8, 0), octet(0), and(0, 15), shift_left(0, 2), copy(9, 0)]);
    v4.extend([half(6), and(0, FRAGMENTED), skip_if(0, 0, 1), set(9, 0)]);
    let mut v6 = [8, 12, 16, 20, 24, 28, 32, 36].map(word).map(mix).concat();
    v6.extend([octet(6), copy(8, 0), set(9, 40)]);
    v6.extend([skip_unless(8, FRAGMENT, 3), octet(40), copy(8, 0), set(9, 0)]);
    let no_ip = [set(0, 0), end];
    let ports = mix(word_behind(9));

    let mut all = vec![copy(6, 1), set(7, 0), octet(0), shift_right(0, 4)];
    all.push(skip_unless(0, 4, steps(&v4) + 1));
    all.extend(&v4);
    all.push(skip(1 + steps(&no_ip) + steps(&v6)));
    all.push(skip_if(0, 6, steps(&no_ip)));
    all.extend(no_ip);
    all.extend(&v6);
    all.extend([skip_unless(8, TCP, 1 + steps(&ports)), skip_if(9, 0, steps(&ports))]);
    all.extend(ports);
    all.extend(mix(copy(0, 8)));
    // Of a product the high half is the better one.
    all.extend([times, shift_right(7, 32), copy(0, 7), end]);
    all
}

fn steps(part: &[Instruction]) -> i16 {
    i16::try_from(part.len()).unwrap_or(i16::MAX)
}

/// The lanes that may have frames, each of which has its turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turns {
    ready: u32,
    last: u32,
}

impl Turns {
    /// This one may have frames.
    #[inline]
    pub fn mark(&mut self, lane: usize) {
        self.ready |= 1 << lane;
    }

    /// This one has none.
    #[inline]
    pub fn clear(&mut self, lane: usize) {
        self.ready &= !(1 << lane);
    }

    /// None may have any.
    pub fn is_empty(self) -> bool {
        self.ready == 0
    }

    /// Whose turn it is now.
    #[inline]
    pub fn next(&mut self) -> Option<usize> {
        let behind = self.ready & !((2 << self.last) - 1);
        let from = if behind == 0 { self.ready } else { behind };
        (from != 0).then(|| {
            self.last = from.trailing_zeros();
            self.last as usize
        })
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;

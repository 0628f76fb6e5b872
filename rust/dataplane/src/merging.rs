//! Merged packets on their way into a TUN, and what is done where the kernel takes none: kernels of 2024 refused some that
//! were as they should be.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::split::Plan;
use crate::sys::vector;
use crate::tun::Offloads;
use crate::vnet::{self, Header};

/// Which kinds of merged packets the kernel has refused. It is asked but once: the packets go singly from then on.
#[derive(Default)]
pub struct Refused {
    tcp: AtomicBool,
    udp: AtomicBool,
}

impl Refused {
    /// What is left of the offloads of a TUN.
    #[inline]
    pub fn leaves(&self, offered: Offloads) -> Offloads {
        let Offloads { tcp, udp } = offered;
        Offloads { tcp: tcp && !self.tcp.load(Relaxed), udp: udp && !self.udp.load(Relaxed) }
    }

    /// A packet behind such a header was refused.
    pub fn add(&self, gso_type: u8) {
        let kind = if gso_type == vnet::GSO_UDP_L4 { &self.udp } else { &self.tcp };
        kind.store(true, Relaxed);
    }
}

/// What became of the packets of a frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// Those that are lost.
    pub lost: usize,
    /// The kernel took them singly after it had refused them as one frame.
    pub singly: bool,
}

/// Writes `pieces` of `octets`, behind `header`, by `write`, which is given a frame in parts. `vectors` are lent.
#[inline]
pub fn write(
    header: Header,
    octets: &[u8],
    pieces: &[Range<usize>],
    vectors: &mut Vec<libc::iovec>,
    mut write: impl FnMut(&[libc::iovec]) -> io::Result<()>,
) -> Written {
    let raw = header.write();
    vectors.clear();
    vectors.push(vector(&raw));
    vectors.extend(pieces.iter().map(|piece| vector(&octets[piece.clone()])));
    match write(vectors) {
        Ok(()) => Written { lost: 0, singly: false },
        Err(error) if pieces.len() > 1 && error.raw_os_error() == Some(libc::EINVAL) => {
            write_singly(header, octets, pieces, write)
        }
        Err(_) => Written { lost: pieces.len(), singly: false },
    }
}

/// Cuts the frame as the kernel would have done.
#[cold]
fn write_singly(
    header: Header,
    octets: &[u8],
    pieces: &[Range<usize>],
    mut write: impl FnMut(&[libc::iovec]) -> io::Result<()>,
) -> Written {
    let mut frame = header.write().to_vec();
    for piece in pieces {
        frame.extend(&octets[piece.clone()]);
    }
    let raw = Header::default().write();
    let mut taken = 0;
    if let Some(plan) = Plan::new(&mut frame) {
        for index in 0..plan.segments() {
            let mut packet = vec![0; plan.len(index)];
            plan.write(index, &mut packet);
            taken += usize::from(write(&[vector(&raw), vector(&packet)]).is_ok());
        }
    }
    Written { lost: pieces.len() - taken, singly: taken > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coalesce::{Coalescer, Sink};
    use crate::testing::{tcp_packet, udp_packet};

    const ALL: Offloads = Offloads { tcp: true, udp: true };

    /// A kernel that takes no merged packets, and of single ones no more than it has room for.
    struct Strict {
        room: usize,
        taken: Vec<Vec<u8>>,
        written: Vec<Written>,
    }

    impl Sink for Strict {
        fn write(&mut self, header: Header, octets: &[u8], pieces: &[Range<usize>]) {
            let kernel = |parts: &[libc::iovec]| {
                // SAFETY: the parts are those of the frame being written.
                let part =
                    |part: &libc::iovec| unsafe { std::slice::from_raw_parts(part.iov_base.cast(), part.iov_len) };
                let frame: Vec<u8> = parts.iter().flat_map(part).copied().collect();
                if Header::read(&frame).unwrap().gso_type != vnet::GSO_NONE {
                    return Err(io::Error::from_raw_os_error(libc::EINVAL));
                }
                if self.taken.len() == self.room {
                    return Err(io::Error::from_raw_os_error(libc::ENOMEM));
                }
                self.taken.push(frame[vnet::LEN..].to_vec());
                Ok(())
            };
            self.written.push(super::write(header, octets, pieces, &mut Vec::new(), kernel));
        }
    }

    fn written(packets: &[Vec<u8>], room: usize) -> Strict {
        let mut coalescer = Coalescer::new(true, true);
        let mut strict = Strict { room, taken: Vec::new(), written: Vec::new() };
        let (mut octets, mut start) = (packets.concat(), 0);
        for packet in packets {
            coalescer.push(&mut octets, start..start + packet.len(), &mut strict);
            start += packet.len();
        }
        coalescer.flush(&mut octets, &mut strict);
        strict
    }

    fn tcp_run(v6: bool) -> Vec<Vec<u8>> {
        (0..3).map(|index| tcp_packet(v6, 100 * index, if index == 2 { 0x18 } else { 0x10 }, &[3; 100])).collect()
    }

    /// Without the identification of IPv4, which is none where DF is set.
    fn payloads(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        packets.iter().map(|packet| packet[if packet[0] >> 4 == 4 { 12 } else { 0 }..].to_vec()).collect()
    }

    #[test]
    fn what_the_kernel_refuses_as_one_frame_is_written_singly_and_nothing_is_lost() {
        for v6 in [false, true] {
            let udp: Vec<_> = [100, 100, 60].map(|length| udp_packet(v6, 5000, &vec![9; length])).into();
            for packets in [tcp_run(v6), udp] {
                let strict = written(&packets, 3);
                assert_eq!(strict.written, [Written { lost: 0, singly: true }]);
                assert_eq!(payloads(&strict.taken), payloads(&packets));
            }
        }
    }

    #[test]
    fn what_is_refused_singly_too_is_lost_and_says_nothing_of_merged_packets() {
        assert_eq!(written(&tcp_run(false), 1).written, [Written { lost: 2, singly: true }]);
        assert_eq!(written(&tcp_run(false), 0).written, [Written { lost: 3, singly: false }]);
        assert_eq!(written(&tcp_run(false)[..1], 0).written, [Written { lost: 1, singly: false }]);
    }

    #[test]
    fn what_was_refused_once_is_switched_off_alone_and_no_refusal_switches_on() {
        let refused = Refused::default();
        assert_eq!(refused.leaves(ALL), ALL);
        refused.add(vnet::GSO_UDP_L4);
        assert_eq!(refused.leaves(ALL), Offloads { tcp: true, udp: false });
        assert_eq!(refused.leaves(Offloads::default()), Offloads::default());
        refused.add(vnet::GSO_TCPV6);
        assert_eq!(refused.leaves(ALL), Offloads::default());
    }
}

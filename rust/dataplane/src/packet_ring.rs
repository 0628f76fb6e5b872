//! Plain ESP from the network: a ring of frames that the kernel fills (packet(7)), read without a system call a packet.
//!
//! `TPACKET_V2`, which hands over every frame as it comes. `TPACKET_V3` would hand over blocks, the last of them no earlier
//! than a millisecond after its first packet: ten times what a packet through an idle tunnel may take.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::{check, set_option, set_option_raw};

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const PACKET_IGNORE_OUTGOING: i32 = 23;
const TP_STATUS_KERNEL: u32 = 0;
const TP_STATUS_USER: u32 = 1;
/// A frame with its headers, where no interface has a larger MTU than Ethernet's.
const FRAME: usize = 2048;
/// The same where one has.
const JUMBO_FRAME: usize = 16_384;
const RING: usize = 8 << 20;
const BLOCK: usize = 64 << 10;
const ESP: u32 = 50;
/// IPv6 headers that may stand before ESP, and that only the kernel's IP can deal with: hop-by-hop options, routing, fragment and
/// destination options.
const BEFORE_ESP: [u32; 4] = [0, 43, 44, 60];
/// Offsets below this name what the kernel knows of a packet (`SKF_AD_OFF`); 4 is its type, of which 0 is "to this host".
const ANCILLARY: u32 = 0xffff_f000;
const PACKET_TYPE: u32 = ANCILLARY + 4;

/// What a ring has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// All ESP to this host, also that from which it is seen that the ring does not suffice.
    All,
    /// Only what the ring cannot take, first fragments, IPv6 extension headers and what is too long for a frame; the rest goes
    /// another way.
    Unfit,
}

/// A packet socket of one IP version with its ring.
pub struct PacketRing {
    fd: OwnedFd,
    memory: NonNull<u8>,
    frame: usize,
    next: usize,
    v6: bool,
}

// SAFETY: the mapping belongs to this value alone, and all access goes through `&mut self`.
unsafe impl Send for PacketRing {}

/// A packet in the ring, from its IP header; gone with the next call.
pub struct Frame<'a> {
    /// As much as fitted.
    pub octets: &'a [u8],
    /// Whether all of it did.
    pub whole: bool,
}

impl PacketRing {
    /// A ring that gets nothing yet. Needs `CAP_NET_RAW`.
    pub fn new(v6: bool, largest_mtu: usize) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: plain call; the result is ours. Protocol 0: nothing arrives before `bind`.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_PACKET, kind, 0))?) };
        let raw = fd.as_raw_fd();
        set_option(raw, libc::SOL_PACKET, libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V2 as i32)?;
        // Unknown before Linux 4.20: the filter asks for packets to this host, which ours are not.
        let _ = set_option(raw, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
        let frame = if largest_mtu + 128 > FRAME { JUMBO_FRAME } else { FRAME };
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: (RING / BLOCK) as u32,
            tp_frame_size: frame as u32,
            tp_frame_nr: (RING / frame) as u32,
        };
        set_option_raw(raw, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping of the ring just made, as long as it is.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), RING, protection, flags, raw, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { fd, memory, frame, next: 0, v6 })
    }

    /// The descriptor, readable while there are frames.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Begins to take packets, from all interfaces.
    pub fn bind(&self) -> io::Result<()> {
        // SAFETY: all zeros are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = if self.v6 { ETH_P_IPV6 } else { ETH_P_IP }.to_be();
        // SAFETY: `address` lives through the call and is as long as it says.
        check(unsafe { libc::bind(self.fd(), (&raw const address).cast(), size_of_val(&address) as u32) }).map(drop)
    }

    /// Chooses what is taken from now on.
    pub fn take(&self, taking: Taking) -> io::Result<()> {
        let mut program = program(self.v6, taking, self.room() as u32);
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        set_option_raw(self.fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
    }

    /// Octets of the longest packet that fits.
    pub fn room(&self) -> usize {
        // The header, the link-layer address behind it, and what alignment may cost.
        self.frame - size_of::<libc::tpacket2_hdr>() - size_of::<libc::sockaddr_ll>() - 48
    }

    /// Whether a frame waits.
    pub fn is_ready(&self) -> bool {
        self.status().load(Ordering::Acquire) & TP_STATUS_USER != 0
    }

    /// Shows the next packet to `look`, then gives its frame back to the kernel. None when there is none.
    pub fn next<T>(&mut self, look: impl FnOnce(Frame<'_>) -> T) -> Option<T> {
        if !self.is_ready() {
            return None;
        }
        let start = self.next * self.frame;
        #[allow(clippy::cast_ptr_alignment, reason = "the kernel aligns frames")]
        // SAFETY: inside the mapping; the kernel does not touch a frame while its status is ours.
        let (header, octets) = unsafe {
            let frame = self.memory.as_ptr().add(start);
            let header = frame.cast::<libc::tpacket2_hdr>().read();
            let at = usize::from(header.tp_net).min(self.frame);
            let length = (header.tp_snaplen as usize).min(self.frame - at);
            (header, std::slice::from_raw_parts(frame.add(at), length))
        };
        let result = look(Frame { octets, whole: header.tp_len as usize == octets.len() });
        self.status().store(TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % (RING / self.frame);
        Some(result)
    }

    fn status(&self) -> &AtomicU32 {
        // SAFETY: the status is the first field of every frame, aligned, and shared with the kernel as an atomic is.
        unsafe { AtomicU32::from_ptr(self.memory.as_ptr().add(self.next * self.frame).cast()) }
    }
}

/// The MTU of the interface that has the largest, loopback aside.
pub fn largest_mtu() -> usize {
    // SAFETY: plain calls; the result is ours.
    let (socket, names) =
        unsafe { (libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0), libc::if_nameindex()) };
    let mut largest = 0;
    let mut entry = names;
    // SAFETY: the list ends with an index of 0; every other entry has a name that ends with a zero.
    unsafe {
        while !entry.is_null() && (*entry).if_index != 0 {
            let mut request: libc::ifreq = std::mem::zeroed();
            libc::strncpy(request.ifr_name.as_mut_ptr(), (*entry).if_name, libc::IFNAMSIZ - 1);
            if request.ifr_name[..3] != [108, 111, 0] && libc::ioctl(socket, libc::SIOCGIFMTU, &raw mut request) == 0 {
                largest = largest.max(request.ifr_ifru.ifru_mtu.cast_unsigned() as usize);
            }
            entry = entry.add(1);
        }
        if !names.is_null() {
            libc::if_freenameindex(names);
        }
        libc::close(socket);
    }
    largest
}

impl Drop for PacketRing {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; nothing refers to it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), RING) };
    }
}

const fn statement(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

/// Jumps over `jt` statements when the comparison holds, else over `jf`.
const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// The filter of a ring: ESP to this host, by the packet's own IP header.
fn program(v6: bool, taking: Taking, room: u32) -> Vec<libc::sock_filter> {
    const WORD: u16 = 0x20;
    const HALF: u16 = 0x28;
    const OCTET: u16 = 0x30;
    const LENGTH: u16 = 0x80;
    const EQUAL: u16 = 0x15;
    const GREATER: u16 = 0x25;
    const ANY_OF: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let host = [statement(WORD, PACKET_TYPE), jump(EQUAL, 0, 1, 0), statement(RETURN, 0)];
    let too_long = [statement(LENGTH, 0), jump(GREATER, room, 0, 1), statement(RETURN, u32::MAX), statement(RETURN, 0)];
    let all = [statement(RETURN, u32::MAX)];
    let wanted: &[_] = if taking == Taking::All { &all } else { &too_long };
    let version: Vec<_> = if v6 {
        // What is none of the values ends here, what is one goes on behind.
        let one_of = |values: &[u32]| {
            let behind = (1..=values.len() as u8).rev();
            let compared = values.iter().zip(behind).map(|(value, behind)| jump(EQUAL, *value, behind, 0));
            compared.chain([statement(RETURN, 0)]).collect::<Vec<_>>()
        };
        let [hop_by_hop, routing, fragment, destination] = BEFORE_ESP;
        let first = one_of(&BEFORE_ESP);
        // ESP behind one of them, or what may have it behind one more: never fit for the ring.
        let second = one_of(&[ESP, hop_by_hop, routing, fragment, destination]);
        let unfit = [&first[..], &[statement(OCTET, 40)], &second, &all].concat();
        [&[statement(OCTET, 6), jump(EQUAL, ESP, unfit.len() as u8, 0)], &unfit[..]].concat()
    } else {
        let mut esp = vec![statement(OCTET, 9), jump(EQUAL, ESP, 1, 0), statement(RETURN, 0)];
        if taking == Taking::Unfit {
            // Later fragments say nothing that the first did not; the first has only "more" set.
            esp.extend([
                statement(HALF, 6),
                jump(ANY_OF, 0x1fff, 0, 1),
                statement(RETURN, 0),
                jump(ANY_OF, 0x2000, 0, 1),
                statement(RETURN, u32::MAX),
            ]);
        }
        esp
    };
    [&host[..], &version, wanted].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the kernel would put a packet to this host into a ring with this filter.
    fn takes(program: &[libc::sock_filter], packet: &[u8]) -> bool {
        let load = |at: u32, octets: usize| match at {
            PACKET_TYPE => Some(0),
            at => packet
                .get(at as usize..at as usize + octets)
                .map(|found| found.iter().fold(0, |a, b| a << 8 | u32::from(*b))),
        };
        let (mut a, mut next) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program[next];
            next += 1;
            let holds = match code {
                0x20 | 0x28 | 0x30 => {
                    let Some(value) = load(k, if code == 0x20 { 4 } else { usize::from(code == 0x28) + 1 }) else {
                        return false;
                    };
                    a = value;
                    continue;
                }
                0x80 => {
                    a = packet.len() as u32;
                    continue;
                }
                0x06 => return k != 0,
                0x15 => a == k,
                0x25 => a > k,
                code => {
                    assert_eq!(code, 0x45);
                    a & k != 0
                }
            };
            next += usize::from(if holds { jt } else { jf });
        }
    }

    fn v6(headers: &[u8], octets: usize) -> Vec<u8> {
        let mut packet = vec![0; octets];
        packet[6] = headers[0];
        for (place, next) in headers[1..].iter().enumerate() {
            packet[40 + 8 * place] = *next;
        }
        packet
    }

    #[test]
    fn esp_behind_extension_headers_is_seen_and_always_too_much_for_the_ring() {
        for taking in [Taking::All, Taking::Unfit] {
            let program = program(true, taking, 1900);
            for before in [0, 43, 44, 60] {
                assert!(takes(&program, &v6(&[before, 50], 100)), "{before}");
                assert!(takes(&program, &v6(&[0, before, 50], 100)), "{before}");
                for other in [6, 17, 51, 58, 59] {
                    assert!(!takes(&program, &v6(&[before, other], 100)), "{before}, {other}");
                }
                assert!(!takes(&program, &v6(&[before], 40)));
            }
            for other in [1, 6, 17, 51, 58, 59, 61] {
                assert!(!takes(&program, &v6(&[other, 50], 100)), "{other}");
            }
        }
    }

    #[test]
    fn esp_right_behind_the_header_is_for_the_ring_unless_it_is_too_long() {
        for (taking, short) in [(Taking::All, true), (Taking::Unfit, false)] {
            let program = program(true, taking, 1900);
            assert_eq!(takes(&program, &v6(&[50], 1900)), short);
            assert!(takes(&program, &v6(&[50], 1901)));
        }
    }

    #[test]
    fn of_ipv4_fragments_the_first_is_always_seen_and_the_others_while_the_ring_takes_all() {
        for (taking, others) in [(Taking::All, true), (Taking::Unfit, false)] {
            let program = program(false, taking, 1900);
            let mut packet = vec![0; 100];
            packet[9] = 50;
            for (fragment, seen) in [([0, 0], others), ([0x20, 0], true), ([0x20, 9], others), ([0, 9], others)] {
                packet[6..8].copy_from_slice(&fragment);
                assert_eq!(takes(&program, &packet), seen, "{fragment:?}");
            }
            packet[9] = 17;
            assert!(!takes(&program, &packet));
        }
    }
}

//! What the unit tests of this crate share: packets, and a worker that has no sockets.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use crate::checksum::{fold, pseudo_header, set_ipv4_header, sum};
use crate::counters::{Counter, Counters};
use crate::egress::Outlet;
use crate::limits::Limits;
use crate::outbound::OutboundEntry;
use crate::outbound::tests::sample;
use crate::plane::{Options, Shared};
use crate::selector::{Selector, Selectors};
use crate::tun::{OffloadMode, Tun};
use crate::udp::UdpSocket;
use crate::vnet;

fn ip(v6: bool, protocol: u8, l4: &[u8]) -> Vec<u8> {
    let mut packet = if v6 {
        let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        header[4..6].copy_from_slice(&(l4.len() as u16).to_be_bytes());
        header.extend([1; 16]);
        header.extend([2; 16]);
        header
    } else {
        let mut header = vec![0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 1, 0, 1];
        header[2..4].copy_from_slice(&(20 + l4.len() as u16).to_be_bytes());
        set_ipv4_header(&mut header);
        header
    };
    packet.extend(l4);
    let (at, offset) = (packet.len() - l4.len(), if protocol == 6 { 16 } else { 6 });
    let addresses = if v6 { 8..40 } else { 12..20 };
    let check = !fold(sum(&packet[at..]) + pseudo_header(&packet[addresses], l4.len(), protocol));
    packet[at + offset..at + offset + 2].copy_from_slice(&check.to_ne_bytes());
    packet
}

/// A TCP segment with 20 octets of header, ports 1000 to 2000.
pub fn tcp_packet(v6: bool, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut tcp = vec![0x03, 0xe8, 0x07, 0xd0];
    tcp.extend(sequence.to_be_bytes());
    tcp.extend([0, 0, 0, 1, 0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    tcp.extend(payload);
    ip(v6, 6, &tcp)
}

/// A UDP datagram from `port` to 2000.
pub fn udp_packet(v6: bool, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut udp = port.to_be_bytes().to_vec();
    udp.extend([0x07, 0xd0]);
    udp.extend((8 + payload.len() as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    ip(v6, 17, &udp)
}

/// Whether TCP's or UDP's checksum is right.
pub fn l4_checksum_is_right(packet: &[u8]) -> bool {
    let (at, addresses, protocol) = if packet[0] >> 4 == 6 { (40, 8..40, packet[6]) } else { (20, 12..20, packet[9]) };
    fold(sum(&packet[at..]) + pseudo_header(&packet[addresses], packet.len() - at, protocol)) == 0xffff
}

/// A worker of a data plane without sockets: what it seals cannot be sent.
pub struct Rig {
    /// With one device, whose number is 0.
    pub shared: Shared,
    /// The worker's.
    pub counters: Counters,
}

impl Rig {
    /// The lanes of its TUN are these files.
    pub fn new(lanes: Vec<File>) -> Self {
        let options = Options {
            tun_name: String::new(),
            mtu: 1400,
            workers: 1,
            ike_port: 0,
            nat_t_port: 0,
            mark: 0,
            offloads: OffloadMode::Off,
            nice: 0,
            real_time: false,
            busy_poll: false,
            affinity: false,
        };
        let shared = Shared::new(&options, Tun::of_files(lanes), Vec::new(), false).unwrap();
        Self { shared, counters: Counters::default() }
    }

    /// Where its packets go.
    pub fn outlet(&self) -> Outlet<'_> {
        Outlet { shared: &self.shared, counters: &self.counters, worker: 0, sockets: [[None; 2]; 2], plain: None }
    }

    /// An SA for all IPv4 packets.
    pub fn protect_everything(&self) -> Arc<OutboundEntry> {
        let entry = Arc::new(sample(0, Limits::default()));
        let everything = || Selector::new(0, [0; 4].into(), [255; 4].into(), 0, 65535).into_iter().collect();
        let policy = self.shared.devices.first().spd.add(1, Selectors::new(everything(), everything()), 0).unwrap();
        policy.bind(Some(Arc::clone(&entry)), Instant::now());
        entry
    }

    /// What was counted.
    pub fn counted<const N: usize>(&self, counters: [Counter; N]) -> [u64; N] {
        counters.map(|counter| self.counters.get(counter))
    }
}

/// A file to read frames from as from a TUN, and what they are sent into.
pub fn lane() -> (UnixDatagram, File) {
    let (kernel, ours) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (kernel, OwnedFd::from(ours).into())
}

/// A packet as a TUN gives it.
pub fn frame(packet: &[u8]) -> Vec<u8> {
    [&[0; vnet::LEN], packet].concat()
}

/// Says what a test needs that is not here. With `IRONSWAN_REQUIRE_PEERS=1`, as on a build machine, that fails.
#[allow(clippy::print_stderr, reason = "who runs the tests is to know what did not run")]
pub fn skipped(reason: &str) {
    assert!(std::env::var("IRONSWAN_REQUIRE_PEERS").as_deref() != Ok("1"), "{reason}");
    eprintln!("skipped: {reason}");
}

/// Gives this thread a network of its own, in which loopback is up; false, and says so, where that is not permitted.
pub fn network_of_our_own() -> bool {
    // SAFETY: plain call that changes this thread only.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        skipped("a network namespace needs root");
        return false;
    }
    Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success()
}

/// The port that a socket was given.
pub fn port_of(socket: &UdpSocket) -> u16 {
    // SAFETY: the socket is open during the call.
    let copy = unsafe { BorrowedFd::borrow_raw(socket.fd()) }.try_clone_to_owned().unwrap();
    std::net::UdpSocket::from(copy).local_addr().unwrap().port()
}

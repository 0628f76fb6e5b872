//! Several workers seal on the same SAs: what arrives at a real socket is in the order of the sequence numbers, within the
//! smallest window a receiver may have (RFC 4303 3.4.3: 32), and no worker waits for ever. Needs root, for a network
//! namespace of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use ironswan_dataplane::{
    CopyDs, DataPlane, Limits, Mode, OffloadMode, Options, Path, SaParameters, Selector, Selectors,
};

const SMALLEST_WINDOW: u32 = 32;
const SENDERS: usize = 3;
/// Source ports of each sender: flows enough for every queue of the TUN.
const FLOWS: usize = 16;
const ROUNDS: usize = 400;
const SAS: u8 = 3;
/// Octets of each datagram of the flood.
const LENGTH: usize = 200;
/// For all of it to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gives this thread, and those it starts, a network of its own; false where that is not permitted, and no test may be skipped for
/// it.
fn alone() -> bool {
    // SAFETY: plain call that changes this thread only.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        assert!(std::env::var("IRONSWAN_REQUIRE_PEERS").as_deref() != Ok("1"), "a network namespace needs root");
        eprintln!("skipped: a network namespace needs root");
        return false;
    }
    ip("link set lo up");
    true
}

fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
}

fn behind(sa: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, 10 + sa)
}

fn only(address: Ipv4Addr) -> Vec<Selector> {
    vec![Selector::new(0, address.into(), address.into(), 0, 65535).unwrap()]
}

/// A data plane whose SA number n carries what goes to `behind(n)`, all of it to `peer`.
fn gateway(workers: usize, peer: SocketAddr) -> DataPlane {
    let (tun_name, offloads) = ("ipsec0".to_owned(), OffloadMode::Auto);
    let options = Options {
        tun_name,
        mtu: 1400,
        workers,
        ike_port: 500,
        nat_t_port: 4500,
        mark: 0,
        offloads,
        nice: 0,
        real_time: false,
        busy_poll: false,
        affinity: false,
    };
    let plane = DataPlane::start(&options).unwrap();
    ip("addr add 10.9.0.1/24 dev ipsec0");
    let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 4500);
    for sa in 0..SAS {
        let spi = 0x1000 + u32::from(sa);
        let limits = Limits::default();
        let (mode, copy) = (Mode::Tunnel, CopyDs::default());
        let parameters = SaParameters { spi, suite: "aes128gcm16", keymat: &[7; 20], esn: false, limits, mode, copy };
        let path = Path { local, remote: peer, udp_encap: true };
        let handle = plane.install_outbound(&parameters, 0, path).unwrap();
        let own = only(Ipv4Addr::new(10, 9, 0, 1));
        plane.add_policy(sa.into(), Selectors::new(own, only(behind(sa))), 0, 0).unwrap();
        plane.bind_policy(sa.into(), Some(handle)).unwrap();
    }
    plane
}

/// Of each SA, how many packets came, how many of them short ones, and how far behind the furthest one was.
#[derive(Debug, Default)]
struct Seen {
    packets: u64,
    short: u64,
    highest: u32,
    furthest_behind: u32,
}

/// What comes until nothing does any more and all has come that is waited for.
fn watch(socket: &UdpSocket, all: impl Fn(&HashMap<u32, Seen>) -> bool) -> HashMap<u32, Seen> {
    let mut seen: HashMap<u32, Seen> = HashMap::new();
    let mut buffer = [0; 2048];
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Ok(length) = socket.recv(&mut buffer) else {
            if all(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "not all has come: {seen:?}");
            continue;
        };
        let word = |at: usize| u32::from_be_bytes(buffer[at..at + 4].try_into().unwrap());
        assert!(length > 8);
        let (sa, sequence_number) = (seen.entry(word(0)).or_default(), word(4));
        sa.packets += 1;
        sa.short += u64::from(length < LENGTH);
        sa.furthest_behind = sa.furthest_behind.max(sa.highest.saturating_sub(sequence_number));
        sa.highest = sa.highest.max(sequence_number);
    }
}

fn flows() -> Vec<UdpSocket> {
    let source = IpAddr::from(Ipv4Addr::new(10, 9, 0, 1));
    (0..FLOWS).map(|_| UdpSocket::bind((source, 0)).unwrap()).collect()
}

fn flood(flows: &[UdpSocket]) {
    for round in 0..ROUNDS {
        for flow in flows {
            let to = behind((round % usize::from(SAS)) as u8);
            // A full queue of the TUN drops, which does not reorder.
            let _ = flow.send_to(&[0x55; LENGTH], (to, 9));
        }
    }
}

fn receiver() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let octets: libc::c_int = 64 << 20;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is valid for `length` octets.
    let set = unsafe {
        let value = (&raw const octets).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, value, length)
    };
    assert_eq!(set, 0);
    socket
}

fn sealed(counters: &[(&str, u64)]) -> u64 {
    counters.iter().find(|(name, _)| *name == "sealed_packets").unwrap().1
}

fn order_is_kept_by(workers: usize) {
    if !alone() {
        return;
    }
    let socket = receiver();
    let plane = gateway(workers, socket.local_addr().unwrap());
    let each = || plane.worker_counters().iter().map(|counters| sealed(counters)).collect::<Vec<_>>();
    let all_sent = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        // Not one is lost that was sealed.
        let watching = scope.spawn(|| {
            let packets = |seen: &HashMap<u32, Seen>| seen.values().map(|sa| sa.packets).sum::<u64>();
            watch(&socket, |seen| all_sent.load(Relaxed) && packets(seen) == each().iter().sum())
        });
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| flood(&flows()))).collect();
        for sender in senders {
            sender.join().unwrap();
        }
        all_sent.store(true, Relaxed);
        watching.join().unwrap()
    });
    let each = each();
    eprintln!("{workers} workers sealed {each:?}: {seen:?}");
    assert!(each.iter().all(|sealed| *sealed > 0), "not every worker had packets: {each:?}");
    for (spi, sa) in &seen {
        assert!(sa.furthest_behind < SMALLEST_WINDOW, "SPI {spi:#x}: {sa:?}");
    }
    // Nobody holds a turn or waits for one.
    let last = UdpSocket::bind("10.9.0.1:0").unwrap();
    let send = || (0..SAS).for_each(|sa| _ = last.send_to(b"after", (behind(sa), 9)).unwrap());
    send();
    watch(&socket, |seen| {
        let all = seen.values().filter(|sa| sa.short > 0).count() == usize::from(SAS);
        if !all {
            // A queue of the TUN was still full.
            send();
        }
        all
    });
    plane.stop();
}

#[test]
fn two_workers_keep_the_order_of_every_sa() {
    order_is_kept_by(2);
}

#[test]
fn four_workers_keep_the_order_of_every_sa() {
    order_is_kept_by(4);
}

#[test]
fn workers_whose_device_vanishes_under_load_end_and_none_waits_for_another() {
    if !alone() {
        return;
    }
    let socket = receiver();
    let plane = gateway(2, socket.local_addr().unwrap());
    let senders: Vec<_> = (0..SENDERS).map(|_| flows()).collect();
    let vanished = AtomicBool::new(false);
    thread::scope(|scope| {
        for flows in &senders {
            scope.spawn(|| {
                while !vanished.load(Relaxed) {
                    flood(flows);
                }
            });
        }
        while plane.worker_counters().iter().any(|counters| sealed(counters) < 1000) {
            thread::yield_now();
        }
        ip("link del ipsec0");
        vanished.store(true, Relaxed);
    });
    let (done, ended) = std::sync::mpsc::channel();
    thread::spawn(move || {
        plane.stop();
        let _ = done.send(plane.failure().map(str::to_owned));
    });
    let failure = ended.recv_timeout(Duration::from_secs(10)).expect("a worker waits for another").unwrap();
    assert!(failure.contains("is gone"), "{failure}");
}

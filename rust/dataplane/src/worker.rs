//! A worker: one TUN queue and its sockets, with a thread for each direction, which carries its packets to completion.
//! Two threads rather than one, because the answers to a stream (TCP's ACKs) need not wait for a turn of it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::{Arc, OnceLock};

use crate::device::Device;
use crate::egress::{Egress, Outlet, Port};
use crate::ingress::{Ingress, PlainInlet};
use crate::notice::{Notice, NoticeKind, Notices};
use crate::packet_ring::{PacketRing, largest_mtu};
use crate::plane::Shared;
use crate::station::{Released, Station};
use crate::sys::Epoll;
use crate::tun::OffloadMode;

const WAKE: u64 = 0;
const FIRST_DEVICE: u64 = 1;
const FIRST_SOCKET: u64 = 1;

/// What a thread of a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// TUN to network.
    Out,
    /// Network to TUN.
    In,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Out, Self::In];
}

/// Runs until the data plane stops. A panic or a failed device stops the whole data plane: its TUN stays, so that what
/// is routed into it goes nowhere instead of leaving in clear by another way.
pub fn run(shared: &Arc<Shared>, index: usize, direction: Direction) {
    let station = &shared.stations[index];
    let work = || match direction {
        Direction::Out => send(shared, station),
        Direction::In => receive(shared, station),
    };
    supervise(work, || shared.stop(), &shared.failure, &shared.notices);
}

/// Does the work. When it fails, all workers are to stop, and the control plane hears of it: of the first failure why.
fn supervise(
    work: impl FnOnce() -> io::Result<()>,
    stop: impl FnOnce(),
    first_failure: &OnceLock<String>,
    notices: &Notices,
) {
    if let Some(failure) = failure_of(work) {
        let first = first_failure.set(failure).is_ok();
        stop();
        if first {
            notices.push(Notice::Sa { kind: NoticeKind::WorkerFailed, spi: 0, remote: None });
        }
    }
}

/// Does the work and says how it failed, if it did: a panic is a failure as any other.
fn failure_of(work: impl FnOnce() -> io::Result<()>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.err().map(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Some(format!("a worker panicked: {}", text.unwrap_or_default()))
        }
    }
}

fn outlet<'a>(shared: &'a Shared, station: &'a Station, direction: Direction) -> Outlet<'a> {
    let sockets = [[false, true].map(|v6| station.esp_socket(v6)), [false, true].map(|v6| station.own_port(v6))];
    let counters = shared.counters_of(station.index, direction);
    Outlet { shared, counters, worker: station.index, sockets, plain: station.plain.as_ref() }
}

fn send(shared: &Shared, station: &Station) -> io::Result<()> {
    let wake = station.wake(Direction::Out);
    let epoll = Epoll::new()?;
    epoll.add(wake.fd(), WAKE)?;
    let outlet = outlet(shared, station, Direction::Out);
    let mut egress = Egress::default();
    let mut ports = Vec::new();
    follow(&mut ports, shared, station, &epoll)?;
    loop {
        let idle = !ports.iter().any(|port: &Port| port.ready);
        let mut woken = false;
        // Asked every time round: a stream that keeps us busy must not hide that we are to stop.
        epoll.wait(idle, |token| match ports.iter_mut().find(|port| token_of(&port.device) == token) {
            Some(port) => port.ready = true,
            None => woken = true,
        })?;
        if shared.stopped.load(Acquire) {
            return Ok(());
        }
        if woken {
            wake.clear();
            follow(&mut ports, shared, station, &epoll)?;
            for Released { device, frame } in station.take_released() {
                if let Some(port) = ports.iter_mut().find(|port| port.device.id == device) {
                    egress.release(&frame, port, &outlet);
                }
            }
        }
        for port in ports.iter_mut().filter(|port| port.ready) {
            port.ready = egress.run(port, &outlet).map_err(|error| gone(&port.device.tun.name, &error))?;
        }
    }
}

/// Brings a worker's ports in step with the devices there are.
fn follow(ports: &mut Vec<Port>, shared: &Shared, station: &Station, epoll: &Epoll) -> io::Result<()> {
    let devices = shared.devices.load();
    let queue = |device: &Device| device.tun.queues[station.index].fd();
    for gone in ports.extract_if(.., |port| !devices.iter().any(|device| device.id == port.device.id)) {
        epoll.remove(queue(&gone.device))?;
    }
    for device in devices.iter() {
        if !ports.iter().any(|port| port.device.id == device.id) {
            epoll.add(queue(device), token_of(device))?;
            ports.push(Port::new(Arc::clone(device)));
        }
    }
    Ok(())
}

fn token_of(device: &Device) -> u64 {
    FIRST_DEVICE + u64::from(device.id)
}

/// Reading from a TUN fails only when there is none any more.
fn gone(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the interface {name} is gone, somebody deleted it ({error})"))
}

fn receive(shared: &Shared, station: &Station) -> io::Result<()> {
    let device = shared.devices.first();
    let wake = station.wake(Direction::In);
    let epoll = Epoll::new()?;
    epoll.add(wake.fd(), WAKE)?;
    for (number, socket) in station.sockets.iter().enumerate() {
        epoll.add(socket.fd(), FIRST_SOCKET + number as u64)?;
    }
    let mut plain = Inlets::new(shared, station, &epoll)?;
    let outlet = outlet(shared, station, Direction::In);
    let mut ingress = Ingress::new(device.tun.offloads);
    // A bit for each socket that may have something; those of plain ESP follow the others.
    let mut ready = 0_u32;
    loop {
        epoll.wait(ready == 0, |token| match token {
            WAKE => wake.clear(),
            socket => ready |= 1 << (socket - FIRST_SOCKET),
        })?;
        if shared.stopped.load(Acquire) {
            return Ok(());
        }
        plain.use_rings_when_wanted(shared, &epoll)?;
        for (number, socket) in station.sockets.iter().enumerate() {
            if ready & 1 << number != 0 && !ingress.run(socket, &device, &outlet)? {
                ready &= !(1 << number);
            }
        }
        for (number, inlet) in plain.versions.iter_mut().enumerate() {
            let bit = 1 << (station.sockets.len() + number);
            if ready & bit != 0 && !ingress.run_plain(inlet, &device, &outlet)? {
                ready &= !bit;
            }
        }
    }
}

/// Where plain ESP comes in: the raw sockets, and rings from the moment on that an SA uses them.
struct Inlets<'a> {
    versions: Vec<PlainInlet<'a>>,
    first: u64,
    rings: bool,
}

impl<'a> Inlets<'a> {
    fn new(shared: &Shared, station: &'a Station, epoll: &Epoll) -> io::Result<Self> {
        let first = FIRST_SOCKET + station.sockets.len() as u64;
        let all = station.plain.iter().flat_map(|plain| plain.inlets.iter().flatten());
        // Every raw socket gets a copy of every packet: only the first worker's take them.
        let mine = all.filter(|_| station.index == 0);
        let inlets: Vec<_> = mine.map(PlainInlet::new).collect::<io::Result<_>>()?;
        for (number, inlet) in inlets.iter().enumerate() {
            epoll.add(inlet.raw_fd(), first + number as u64)?;
        }
        Ok(Self { versions: inlets, first, rings: shared.offload_mode == OffloadMode::Off })
    }

    fn use_rings_when_wanted(&mut self, shared: &Shared, epoll: &Epoll) -> io::Result<()> {
        if self.rings || !shared.plain_wanted.load(Acquire) {
            return Ok(());
        }
        self.rings = true;
        let mut in_use = false;
        for (number, inlet) in self.versions.iter_mut().enumerate() {
            // Refused inside some containers: the raw sockets go on.
            let Ok(ring) = PacketRing::new(inlet.is_v6(), largest_mtu()) else { continue };
            epoll.add(ring.fd(), self.first + number as u64)?;
            inlet.use_ring(ring)?;
            in_use = true;
        }
        shared.rings.store(in_use, Relaxed);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "panics are what is tested")]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn the_first_of_several_workers_that_fail_stops_all_and_is_told_once() {
        let (stopped, failure, notices) = (AtomicUsize::new(0), OnceLock::new(), Notices::new().unwrap());
        let stop = || {
            stopped.fetch_add(1, Relaxed);
        };
        supervise(|| Ok(()), stop, &failure, &notices);
        assert_eq!((stopped.load(Relaxed), failure.get(), notices.drain().len()), (0, None, 0));
        std::thread::scope(|scope| {
            scope.spawn(|| supervise(|| panic!("a bug"), stop, &failure, &notices));
        });
        supervise(|| Err(io::Error::other("no device")), stop, &failure, &notices);
        assert_eq!(failure.get().map(String::as_str), Some("a worker panicked: a bug"));
        assert_eq!(stopped.load(Relaxed), 2);
        let failed = Notice::Sa { kind: NoticeKind::WorkerFailed, spi: 0, remote: None };
        assert_eq!(notices.drain(), [failed]);
    }

    #[test]
    fn a_panic_and_an_error_are_failures_with_their_words() {
        assert_eq!(failure_of(|| Ok(())), None);
        assert_eq!(failure_of(|| Err(io::Error::other("no device"))), Some("no device".to_owned()));
        assert_eq!(failure_of(|| panic!("out of {}", "bounds")), Some("a worker panicked: out of bounds".to_owned()));
        assert_eq!(failure_of(|| panic!("plainly")), Some("a worker panicked: plainly".to_owned()));
    }
}

//! A worker: one TUN queue and its sockets, with a thread for each direction, which carries its packets to completion.
//! Two threads rather than one, because the answers to a stream (TCP's ACKs) need not wait for a turn of it; at rest one of
//! them does all (see [`duty`](crate::duty)).

use std::io;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::{Arc, OnceLock};

use crate::device::Device;
use crate::duty::FIRST_DEVICE;
use crate::egress::Outlet;
use crate::gathering::Gathering;
use crate::ingress::{Ingress, PlainInlet};
use crate::lines::FIRST_LINE;
use crate::notice::{Notice, NoticeKind, Notices};
use crate::packet_ring::{PacketRing, largest_mtu};
use crate::patience::Patience;
use crate::placement::{Receiving, Sending};
use crate::plane::Shared;
use crate::round::Round;
use crate::station::Station;
use crate::sys::Epoll;
use crate::tun::OffloadMode;
use crate::urgency::Urgency;

const WAKE: u64 = 0;
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
pub fn run(shared: &Arc<Shared>, index: usize, direction: Direction, urgency: Urgency) {
    let station = &shared.stations[index];
    let work = || match direction {
        Direction::Out => send(shared, station, urgency),
        Direction::In => receive(shared, station, urgency),
    };
    let stop = || {
        shared.stop();
        station.duty.give_up();
    };
    supervise(work, stop, &shared.failure, &shared.notices);
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
    let sockets = [[false, true].map(|v6| station.sender(v6)), [false, true].map(|v6| station.own_port(v6))];
    let counters = shared.counters_of(station.index, direction);
    Outlet { shared, counters, worker: station.index, sockets, plain: station.plain.as_ref() }
}

fn send(shared: &Shared, station: &Station, mut urgency: Urgency) -> io::Result<()> {
    let (duty, wake) = (&station.duty, station.wake(Direction::Out));
    let epoll = duty.epoll(Direction::Out);
    epoll.add(wake.fd(), WAKE)?;
    let outlet = outlet(shared, station, Direction::Out);
    duty.follow(&mut duty.outbound(), &shared.devices, station.index)?;
    let mut gathering = Gathering::new();
    let mut placement = Sending::new(&station.place);
    let mut more = false;
    loop {
        // Asked every time round: a stream that keeps us busy must not hide that we are to stop.
        let tokens = gathering.wait(epoll, !more)?;
        if shared.stopped.load(Acquire) {
            return Ok(());
        }
        placement.leave();
        let mut outbound = duty.outbound();
        for token in tokens {
            if token == WAKE {
                wake.clear();
                duty.follow(&mut outbound, &shared.devices, station.index)?;
                outbound.release(station.take_released(), &outlet);
            } else {
                outbound.mark(token);
            }
        }
        more = false;
        if duty.has(Direction::Out) {
            let round = duty.carry(&mut outbound, &outlet)?;
            urgency.carried(round.pieces, placement.leaves_one());
            gathering.carried(round, urgency.is_urgent());
            more = round.more;
        }
    }
}

fn receive(shared: &Shared, station: &Station, mut urgency: Urgency) -> io::Result<()> {
    let (duty, wake) = (&station.duty, station.wake(Direction::In));
    let epoll = duty.epoll(Direction::In);
    epoll.add(wake.fd(), WAKE)?;
    let mut inbound = Inbound::new(shared, station, epoll)?;
    let sending = outlet(shared, station, Direction::Out);
    let mut patience = Patience::new(shared.busy_poll);
    let mut placement = Receiving::new(&station.place);
    loop {
        let mut read_tun = false;
        let tokens = if inbound.ready == 0 && duty.has(Direction::In) && !urgency.is_urgent() {
            patience.wait(epoll)?
        } else {
            epoll.wait(inbound.ready == 0)?
        };
        for token in tokens {
            match token {
                WAKE => wake.clear(),
                FIRST_DEVICE.. => {
                    duty.outbound().mark(token);
                    read_tun = true;
                }
                socket => inbound.ready |= 1 << socket,
            }
        }
        if shared.stopped.load(Acquire) {
            return Ok(());
        }
        inbound.plain.use_rings_when_wanted(shared, epoll)?;
        let received = inbound.run()?;
        duty.received(received, station.index)?;
        if duty.has(Direction::Out) {
            placement.received(received, inbound.line.take());
        } else {
            placement.rest();
        }
        let mut pieces = received.pieces;
        if read_tun && duty.has(Direction::In) {
            pieces += duty.carry(&mut duty.outbound(), &sending)?.pieces;
        }
        // Others must be able to have the processor from a thread that does not sleep.
        let awake = duty.has(Direction::In) && patience.looks();
        urgency.carried(if awake { 0 } else { pieces }, station.place.get().is_some());
    }
}

/// What a receiving thread receives by.
struct Inbound<'a> {
    station: &'a Station,
    device: Arc<Device>,
    outlet: Outlet<'a>,
    ingress: Ingress,
    plain: Inlets<'a>,
    /// A bit for each socket that may have something, at its token.
    ready: u64,
    /// The line that has had something, the last of them.
    line: Option<RawFd>,
}

impl<'a> Inbound<'a> {
    fn new(shared: &'a Shared, station: &'a Station, epoll: &Epoll) -> io::Result<Self> {
        for (number, socket) in station.sockets.iter().enumerate() {
            epoll.add(socket.fd(), FIRST_SOCKET + number as u64)?;
        }
        let device = shared.devices.first();
        let (ingress, plain) = (Ingress::new(device.tun.offloads), Inlets::new(shared, station, epoll)?);
        Ok(Self {
            station,
            device,
            outlet: outlet(shared, station, Direction::In),
            ingress,
            plain,
            ready: 0,
            line: None,
        })
    }

    /// Carries what waits in each socket that may have something, up to a bound.
    fn run(&mut self) -> io::Result<Round> {
        let mut received = Round::default();
        for (token, socket) in (FIRST_SOCKET..).zip(&self.station.sockets) {
            if self.ready & 1 << token != 0 {
                let round = self.ingress.run(socket, &self.device, &self.outlet)?;
                received += round;
                self.ready &= !(u64::from(!round.more) << token);
            }
        }
        for (token, inlet) in (self.plain.first..).zip(&mut self.plain.versions) {
            if self.ready & 1 << token != 0 {
                let round = self.ingress.run_plain(inlet, &self.device, &self.outlet)?;
                received += round;
                self.ready &= !(u64::from(!round.more) << token);
            }
        }
        received += self.run_lines()?;
        Ok(received)
    }

    fn run_lines(&mut self) -> io::Result<Round> {
        let mut received = Round::default();
        let mut lines = self.ready >> FIRST_LINE;
        while lines != 0 {
            let number = lines.trailing_zeros();
            lines &= lines - 1;
            self.ready &= !(1 << FIRST_LINE << number);
            let line = self.station.lines.as_ref().map(|lines| lines.get(number as usize));
            let Some(Some(line)) = line.as_deref() else { continue };
            let round = self.ingress.run(&line.socket, &self.device, &self.outlet)?;
            self.line = Some(line.socket.fd());
            received += round;
            self.ready |= u64::from(round.more) << FIRST_LINE << number;
        }
        Ok(received)
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

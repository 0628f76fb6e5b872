//! Which of a worker's two threads reads the TUN.
//!
//! Under load it is the one that sends, so that neither direction waits for a round of the other. At rest it is the one that
//! receives, which then does all there is to do: the answer that the kernel gives to a packet while it is written to the TUN
//! (an echo reply, a TCP segment) leaves by the same thread, and none has to wake for it.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::counters::Counter;
use crate::device::{DEFAULT, Device, Devices};
use crate::egress::{Egress, Outlet, Port};
use crate::lanes::{LANES, Turns};
use crate::notice::Notice;
use crate::round::Round;
use crate::station::Released;
use crate::sys::Epoll;
use crate::tun;
use crate::worker::Direction;

/// The token of the first device's first lane; lower ones are for what else a thread sleeps on.
pub const FIRST_DEVICE: u64 = 64;
/// For how long is looked at what was carried before a worker is taken to be at rest.
const WINDOW: Duration = Duration::from_millis(20);
/// Packets read from the TUN in a window from which on there is load, however small the rounds are.
const MANY: usize = 1000;

/// A worker's TUN queues, and who has them.
pub struct Duty {
    epolls: [Epoll; 2],
    outbound: Mutex<Outbound>,
    /// The receiving thread has them. Changes with `outbound` locked.
    at_rest: AtomicBool,
    /// The receiving thread has had a large round.
    load: AtomicBool,
}

/// What reads the TUN.
pub struct Outbound {
    egress: Egress,
    ports: Vec<Port>,
    /// Since when the other two are kept.
    since: Instant,
    packets: usize,
    load: bool,
    /// A port whose device is gone is still among them.
    lost: bool,
}

impl Duty {
    /// At rest, without a queue. IPv4 packets that are not the kernel's own have identifications from this one on.
    pub fn new(identification: u16) -> io::Result<Self> {
        let (egress, ports, since) = (Egress::numbering_from(identification), Vec::new(), Instant::now());
        let outbound = Outbound { egress, ports, since, packets: 0, load: false, lost: false };
        let epolls = [Epoll::new()?, Epoll::new()?];
        Ok(Self {
            epolls,
            outbound: Mutex::new(outbound),
            at_rest: AtomicBool::new(true),
            load: AtomicBool::new(false),
        })
    }

    /// What a thread sleeps on.
    pub fn epoll(&self, direction: Direction) -> &Epoll {
        &self.epolls[direction as usize]
    }

    /// Whose the queues are now.
    pub fn has(&self, direction: Direction) -> bool {
        self.at_rest.load(Relaxed) == (direction == Direction::In)
    }

    /// For the thread that has the queues, or has to see after them. What a thread that panicked meanwhile has left is not sent:
    /// it may not be sealed.
    pub fn outbound(&self) -> MutexGuard<'_, Outbound> {
        self.outbound.lock().unwrap_or_else(|poisoned| {
            let mut outbound = poisoned.into_inner();
            outbound.egress.discard();
            self.outbound.clear_poison();
            outbound
        })
    }

    /// The worker has failed: gives back the turns it had, for which others may wait.
    pub fn give_up(&self) {
        self.outbound().egress.discard();
    }

    /// Brings the queues in step with the devices there are.
    pub fn follow(&self, outbound: &mut Outbound, devices: &Devices, worker: usize) -> io::Result<()> {
        let devices = devices.load();
        let epoll = self.epoll(if self.has(Direction::In) { Direction::In } else { Direction::Out });
        let ports = &mut outbound.ports;
        let there = |id| devices.iter().any(|device| device.id == id && !device.is_gone());
        for gone in ports.extract_if(.., |port| !there(port.device.id)) {
            each_lane(&gone.device, worker, |fd, _| epoll.remove(fd))?;
        }
        for device in devices.iter().filter(|device| !device.is_gone()) {
            if !ports.iter().any(|port| port.device.id == device.id) {
                each_lane(device, worker, |fd, token| epoll.add(fd, token))?;
                ports.push(Port::new(Arc::clone(device)));
            }
        }
        Ok(())
    }

    /// Carries what waits in the queues, up to a bound, and sees whose they are then.
    pub fn carry(&self, outbound: &mut Outbound, outlet: &Outlet<'_>) -> io::Result<Round> {
        let round = outbound.run(outlet)?;
        if std::mem::take(&mut outbound.lost) {
            self.follow(outbound, &outlet.shared.devices, outlet.worker)?;
        }
        self.sent(round, outbound, outlet.worker)?;
        Ok(round)
    }

    /// The receiving thread has carried this: after a large round the TUN is the sending thread's to read.
    pub fn received(&self, round: Round, worker: usize) -> io::Result<()> {
        if !round.is_large() {
            return Ok(());
        }
        if !self.load.load(Relaxed) {
            self.load.store(true, Relaxed);
        }
        if self.has(Direction::In) { self.hand_over(&mut self.outbound(), Direction::Out, worker) } else { Ok(()) }
    }

    /// As `received`, of what was read from the TUN; `outbound` belongs to the calling thread.
    fn sent(&self, round: Round, outbound: &mut Outbound, worker: usize) -> io::Result<()> {
        let received = self.load.load(Relaxed) && self.load.swap(false, Relaxed);
        outbound.load |= round.is_large() || received;
        outbound.packets += round.packets;
        let complete = outbound.since.elapsed() >= WINDOW;
        let load = outbound.load || complete && outbound.packets >= MANY;
        if complete {
            (outbound.since, outbound.packets, outbound.load) = (Instant::now(), 0, false);
        }
        if load {
            self.hand_over(outbound, Direction::Out, worker)
        } else if complete {
            self.hand_over(outbound, Direction::In, worker)
        } else {
            Ok(())
        }
    }

    fn hand_over(&self, outbound: &mut Outbound, to: Direction, worker: usize) -> io::Result<()> {
        if self.has(to) {
            return Ok(());
        }
        let from = if to == Direction::In { Direction::Out } else { Direction::In };
        for port in &mut outbound.ports {
            each_lane(&port.device, worker, |fd, token| {
                self.epoll(from).remove(fd)?;
                self.epoll(to).add(fd, token)
            })?;
            // Who has it now is told what waits in it.
            port.turns = Turns::default();
        }
        self.at_rest.store(to == Direction::In, Relaxed);
        Ok(())
    }
}

impl Outbound {
    /// The queue with this token may have frames.
    pub fn mark(&mut self, token: u64) {
        let (id, lane) = ((token - FIRST_DEVICE) / LANES as u64, (token - FIRST_DEVICE) as usize % LANES);
        if let Some(port) = self.ports.iter_mut().find(|port| u64::from(port.device.id) == id) {
            port.turns.mark(lane);
        }
    }

    fn run(&mut self, outlet: &Outlet<'_>) -> io::Result<Round> {
        let mut all = Round::default();
        for port in self.ports.iter_mut().filter(|port| !port.turns.is_empty()) {
            match self.egress.run(port, outlet) {
                Ok(round) => all += round,
                Err(error) if port.device.id == DEFAULT => return Err(in_words(&port.device.tun.name, &error)),
                Err(_) => {
                    self.lost = true;
                    lose(&port.device, outlet);
                }
            }
        }
        Ok(all)
    }

    /// Carries frames that were held.
    pub fn release(&mut self, frames: Vec<Released>, outlet: &Outlet<'_>) {
        for Released { device, frame } in frames {
            match self.ports.iter_mut().find(|port| port.device.id == device) {
                Some(port) => self.egress.release(&frame, port, outlet),
                // The interface went, and its policies with it.
                None => outlet.counters.count(Counter::DropNoPolicy),
            }
        }
    }
}

/// Does it for each of a worker's queues of the device, with its token.
fn each_lane(device: &Device, worker: usize, mut act: impl FnMut(RawFd, u64) -> io::Result<()>) -> io::Result<()> {
    let first = FIRST_DEVICE + u64::from(device.id) * LANES as u64;
    device.tun.lanes(worker).iter().zip(first..).try_for_each(|(queue, token)| act(queue.fd(), token))
}

/// A named device cannot be read any more, which is no matter of what passes others.
#[cold]
fn lose(device: &Device, outlet: &Outlet<'_>) {
    if device.lose() {
        outlet.tell(Notice::InterfaceGone { name: device.tun.name.clone() });
    }
}

fn in_words(name: &str, error: &io::Error) -> io::Error {
    let text = if tun::is_gone(error) {
        format!("the interface {name} is gone, somebody deleted it ({error})")
    } else {
        format!("the interface {name} cannot be read ({error})")
    };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
#[path = "duty_tests.rs"]
mod tests;

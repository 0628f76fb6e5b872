//! A worker thread: one TUN queue, its sockets, both directions to completion.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use crate::counters::Counters;
use crate::egress::{Egress, Outlet};
use crate::ingress::Ingress;
use crate::notice::{Notice, NoticeKind};
use crate::plane::{Shared, Station};
use crate::sys::Epoll;
use crate::udp::UdpSocket;

const TUN: u64 = 0;
const WAKE: u64 = 1;
const FIRST_SOCKET: u64 = 2;

/// Runs until the data plane stops. A panic or a failed device stops the whole data plane: its TUN stays, so that what
/// is routed into it goes nowhere instead of leaving in clear by another way.
pub fn run(shared: &Arc<Shared>, index: usize) {
    let result = catch_unwind(AssertUnwindSafe(|| Worker::new(shared, index)?.work()));
    if !matches!(result, Ok(Ok(()))) {
        shared.stop();
        shared.notices.push(Notice::Sa { kind: NoticeKind::WorkerFailed, spi: 0, remote: None });
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    station: &'a Station,
    counters: &'a Counters,
    epoll: Epoll,
    egress: Egress,
    ingress: Ingress,
    ready: Ready,
}

/// What may have something for us: the TUN, and a bit for each socket.
#[derive(Default)]
struct Ready {
    tun: bool,
    sockets: u32,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared, index: usize) -> io::Result<Self> {
        let station = &shared.stations[index];
        let epoll = Epoll::new()?;
        epoll.add(shared.tun.queues[index].fd(), TUN)?;
        epoll.add(station.wake.fd(), WAKE)?;
        for (number, socket) in station.sockets.iter().enumerate() {
            epoll.add(socket.fd(), FIRST_SOCKET + number as u64)?;
        }
        let ingress = Ingress::new(shared.tun.offloads);
        let counters = &shared.counters[index];
        Ok(Self { shared, station, counters, epoll, egress: Egress::default(), ingress, ready: Ready::default() })
    }

    fn work(&mut self) -> io::Result<()> {
        let shared = self.shared;
        let esp = |v6| self.station.esp_socket(v6).map(|socket| socket as &UdpSocket);
        let outlet = Outlet { shared, counters: self.counters, sockets: [esp(false), esp(true)] };
        let queue = &shared.tun.queues[self.station.index];
        loop {
            // Asked every time round: while one side keeps us busy the other must not go unseen.
            self.wait()?;
            if shared.stopped.load(Acquire) {
                return Ok(());
            }
            let released = self.station.take_released();
            if !released.is_empty() {
                self.egress.release(released, &outlet);
            }
            if self.ready.tun {
                self.ready.tun = self.egress.run(queue, &outlet)?;
            }
            for (number, socket) in self.station.sockets.iter().enumerate() {
                if self.ready.sockets & 1 << number != 0 && !self.ingress.run(socket, queue, &outlet)? {
                    self.ready.sockets &= !(1 << number);
                }
            }
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        let Self { epoll, ready, station, .. } = self;
        let busy = ready.tun || ready.sockets != 0;
        epoll.wait(!busy, |token| match token {
            TUN => ready.tun = true,
            WAKE => station.wake.clear(),
            socket => ready.sockets |= 1 << (socket - FIRST_SOCKET),
        })
    }
}

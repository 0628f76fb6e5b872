//! What one worker owns: its sockets, and what wakes its threads.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::duty::Duty;
use crate::lines::Lines;
use crate::placement::Place;
use crate::plain::Plain;
use crate::plane::Options;
use crate::sys::EventFd;
use crate::tun::OffloadMode;
use crate::udp::{UdpOptions, UdpSocket};
use crate::worker::Direction;

/// A frame that was held and may go now, and the device it was read from.
pub struct Released {
    pub(crate) device: u32,
    pub(crate) frame: Vec<u8>,
}

/// What one worker owns, and where others leave it something.
pub struct Station {
    pub(crate) index: usize,
    pub(crate) sockets: Vec<UdpSocket>,
    pub(crate) plain: Option<Plain>,
    /// Those that only send: from a port no other worker has, and from the shared one.
    own_ports: Vec<UdpSocket>,
    senders: Vec<UdpSocket>,
    pub(crate) duty: Duty,
    /// None with several workers.
    pub(crate) lines: Option<Lines>,
    /// Of its receiving thread.
    pub(crate) place: Place,
    wake: [EventFd; 2],
    released: Mutex<Vec<Released>>,
}

impl Station {
    /// The shared port for every worker, IKE's own port for the first; IPv6 where the kernel has it.
    fn open(index: usize, workers: usize, options: &Options) -> io::Result<Self> {
        let gro = options.offloads != OffloadMode::Off;
        // The first is bound alone, so that a second gateway is refused, and shares its port with all after it.
        let udp = UdpOptions { mark: options.mark, shared: index > 0, gro, namespace: None };
        let alone = UdpOptions { shared: false, gro: false, ..udp };
        let (mut sockets, mut own_ports) = (Vec::new(), Vec::new());
        for v6 in [false, true] {
            sockets.extend(bind(v6, options.nat_t_port, true, udp)?);
            if index == 0 {
                sockets.extend(bind(v6, options.ike_port, false, alone)?);
            }
            if workers > 1 {
                // The shared port does as well.
                own_ports.extend(UdpSocket::for_sending(v6, 0, alone));
            }
        }
        sockets.iter().filter(|socket| socket.esp).try_for_each(UdpSocket::share_port)?;
        let namespace = sockets.first().and_then(|socket| socket.namespace().ok());
        let lines = (workers == 1 && namespace.is_some()).then(|| Lines::new(UdpOptions { namespace, ..udp }));
        let wake = [EventFd::new()?, EventFd::new()?];
        // Without CAP_NET_RAW there is ESP in UDP alone.
        let plain = Plain::new(options.mark).ok();
        // Far apart: a receiver must not take fragments of two workers' packets for those of one (RFC 791 3.2).
        let duty = Duty::new((index * 0x1_0000 / workers) as u16)?;
        let place = Place::new(options.affinity && lines.is_some());
        let senders = Vec::new();
        Ok(Self { index, sockets, plain, own_ports, senders, duty, lines, place, wake, released: Mutex::default() })
    }

    /// Frames that were held and may go now.
    pub(crate) fn release(&self, device: u32, frames: Vec<Vec<u8>>) {
        let frames = frames.into_iter().map(|frame| Released { device, frame });
        self.released.lock().unwrap_or_else(PoisonError::into_inner).extend(frames);
        self.wake(Direction::Out).signal();
    }

    pub(crate) fn wake_both(&self) {
        self.wake.iter().for_each(EventFd::signal);
    }

    fn esp_socket(&self, v6: bool) -> Option<&UdpSocket> {
        self.sockets.iter().find(|socket| socket.esp && socket.v6 == v6)
    }

    /// The socket that sends ESP from the shared port.
    pub(crate) fn sender(&self, v6: bool) -> Option<&UdpSocket> {
        self.senders.iter().find(|socket| socket.v6 == v6).or_else(|| self.esp_socket(v6))
    }

    /// The socket that sends from a port no other worker has.
    pub(crate) fn own_port(&self, v6: bool) -> Option<&UdpSocket> {
        self.own_ports.iter().find(|socket| socket.v6 == v6)
    }

    pub(crate) fn wake(&self, direction: Direction) -> &EventFd {
        &self.wake[direction as usize]
    }

    pub(crate) fn take_released(&self) -> Vec<Released> {
        std::mem::take(&mut self.released.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All stations, and whether the kernel steers each SA to its worker. One that does not spreads peers instead: any worker
/// opens any SA.
pub fn open_all(workers: usize, options: &Options) -> io::Result<(Vec<Station>, bool)> {
    let mut stations: Vec<_> =
        (0..workers).map(|index| Station::open(index, workers, options)).collect::<io::Result<_>>()?;
    // Before the kernel knows which of a port's sockets a datagram is for, it asks any of them whether to join it to others.
    let gro = options.offloads != OffloadMode::Off;
    let udp = UdpOptions { mark: options.mark, shared: true, gro, namespace: None };
    let senders = || [false, true].into_iter().flat_map(move |v6| UdpSocket::for_sending(v6, options.nat_t_port, udp));
    // After all that receive there: only then does the kernel leave them out.
    for station in &mut stations {
        station.senders.extend(senders());
    }
    let mut shared = stations[0].sockets.iter().filter(|socket| socket.esp);
    let is_steered = shared.all(|socket| socket.steer_by_spi(workers as u32).is_ok());
    if !is_steered {
        for station in &mut stations {
            station.senders.clear();
        }
    }
    Ok((stations, is_steered && workers > 1))
}

fn bind(v6: bool, port: u16, esp: bool, options: UdpOptions) -> io::Result<Option<UdpSocket>> {
    match UdpSocket::bind(v6, port, esp, options) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if v6 && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("UDP port {port}: {error}"))),
    }
}

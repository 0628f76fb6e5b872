//! What one worker owns: its sockets, and what wakes its threads.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::plain::Plain;
use crate::plane::Options;
use crate::sys::EventFd;
use crate::tun::OffloadMode;
use crate::udp::{UdpOptions, UdpSocket};
use crate::worker::Direction;

/// What one worker owns, and where others leave it something.
pub struct Station {
    pub(crate) index: usize,
    pub(crate) sockets: Vec<UdpSocket>,
    pub(crate) plain: Option<Plain>,
    wake: [EventFd; 2],
    released: Mutex<Vec<Vec<u8>>>,
}

impl Station {
    /// The shared port for every worker, IKE's own port for the first; IPv6 where the kernel has it.
    pub(crate) fn open(index: usize, workers: usize, options: &Options) -> io::Result<Self> {
        let udp = UdpOptions { mark: options.mark, shared: workers > 1, gro: options.offloads != OffloadMode::Off };
        let mut sockets = Vec::new();
        for v6 in [false, true] {
            let mut ports = vec![(options.nat_t_port, true, udp)];
            if index == 0 {
                ports.push((options.ike_port, false, UdpOptions { shared: false, gro: false, ..udp }));
            }
            for (port, esp, udp) in ports {
                match UdpSocket::bind(v6, port, esp, udp) {
                    Ok(socket) => sockets.push(socket),
                    Err(error) if v6 && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                    Err(error) => {
                        let kind = error.kind();
                        return Err(io::Error::new(kind, format!("UDP port {port}: {error}")));
                    }
                }
            }
        }
        if index + 1 == workers && workers > 1 {
            for socket in sockets.iter().filter(|socket| socket.esp) {
                socket.steer_by_spi(workers as u32)?;
            }
        }
        let wake = [EventFd::new()?, EventFd::new()?];
        // Without CAP_NET_RAW there is ESP in UDP alone.
        let plain = Plain::new(options.mark).ok();
        Ok(Self { index, sockets, plain, wake, released: Mutex::default() })
    }

    /// Frames that were held and may go now.
    pub(crate) fn release(&self, frames: Vec<Vec<u8>>) {
        self.released.lock().unwrap_or_else(PoisonError::into_inner).extend(frames);
        self.wake(Direction::Out).signal();
    }

    pub(crate) fn wake_both(&self) {
        self.wake.iter().for_each(EventFd::signal);
    }

    pub(crate) fn esp_socket(&self, v6: bool) -> Option<&UdpSocket> {
        self.sockets.iter().find(|socket| socket.esp && socket.v6 == v6)
    }

    pub(crate) fn wake(&self, direction: Direction) -> &EventFd {
        &self.wake[direction as usize]
    }

    pub(crate) fn take_released(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.released.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

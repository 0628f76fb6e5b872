//! The data plane as the control plane sees it: start, SAs, policies, notices, counters, stop.

mod counts;
mod offloads;
mod paths;
mod shared;
mod workers;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use ironswan_esp::{InboundSa, OutboundSa, Suite};

use crate::counters::Counter;
use crate::device;
use crate::ds_field::CopyDs;
use crate::endpoint::{Control, RawAddress};
use crate::error::Error;
use crate::flow::Flow;
use crate::ike::IkeSpi;
use crate::inbound::InboundEntry;
use crate::limits::{Limits, Volume};
use crate::notice::Notice;
use crate::outbound::OutboundEntry;
use crate::selector::Selectors;
use crate::sys;
use crate::transport::{Mode, Rebuild};
use crate::tun::OffloadMode;
use crate::urgency::Urgency;
use crate::vnet;
use crate::worker::{self, Direction};

pub use offloads::Offload;
pub use paths::Path;
pub use shared::Shared;

/// How a data plane is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Interface to create.
    pub tun_name: String,
    /// Its MTU.
    pub mtu: u32,
    /// Workers, each with a TUN queue, sockets and a thread for each direction of its own; 0: as many as there are CPUs
    /// for this process.
    pub workers: usize,
    /// IKE's port.
    pub ike_port: u16,
    /// Port of IKE and ESP behind the marker.
    pub nat_t_port: u16,
    /// `SO_MARK` of all we send, 0 none.
    pub mark: u32,
    /// Segmentation offloads.
    pub offloads: OffloadMode,
    /// Niceness of the workers' threads, -20 to 19; without the privilege theirs stays.
    pub nice: i32,
    /// Whether these threads run before all ordinary ones while nobody suffers from it, where that is permitted.
    pub real_time: bool,
    /// Whether a worker at rest looks for more before it sleeps, where packets come soon after each other.
    pub busy_poll: bool,
    /// Whether, under load, a worker's receiving thread keeps to the processor on which its packets arrive.
    pub affinity: bool,
}

/// An SA to install: suite, keys and what limits it.
pub struct SaParameters<'a> {
    /// SPI in the packets.
    pub spi: u32,
    /// Keyword of the suite, such as `aes128gcm16`.
    pub suite: &'a str,
    /// Encryption key and salt.
    pub keymat: &'a [u8],
    /// Extended sequence numbers.
    pub esn: bool,
    /// Volume limits.
    pub limits: Limits,
    /// Tunnel or transport.
    pub mode: Mode,
    /// What of the DS field goes from one header to the other.
    pub copy: CopyDs,
}

/// A running data plane; dropping it stops it.
pub struct DataPlane {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    outbound: Mutex<HashMap<u64, Arc<OutboundEntry>>>,
    next_handle: AtomicU64,
    next_worker: AtomicUsize,
    nat_t_port: u16,
}

impl DataPlane {
    /// Opens devices and sockets in the caller's network namespace and starts the workers.
    pub fn start(options: &Options) -> io::Result<Self> {
        let plane = Self {
            shared: Arc::new(Shared::open(options)?),
            threads: Mutex::default(),
            outbound: Mutex::default(),
            next_handle: AtomicU64::new(1),
            next_worker: AtomicUsize::new(0),
            nat_t_port: options.nat_t_port,
        };
        for worker in 0..plane.workers() {
            for direction in Direction::ALL {
                plane.spawn(worker, direction, options.nice)?;
            }
        }
        Ok(plane)
    }

    fn spawn(&self, worker: usize, direction: Direction, nice: i32) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let name = if direction == Direction::Out { "out" } else { "in" };
        let thread = std::thread::Builder::new().name(format!("ironswan-{worker}-{name}"));
        let thread = thread.spawn(move || {
            sys::set_niceness(nice);
            let urgency = Urgency::new(shared.real_time.0);
            shared.real_time.1.store(urgency.is_permitted(), Ordering::Relaxed);
            worker::run(&shared, worker, direction, urgency);
        })?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Readable while `drain` has something.
    pub fn notice_fd(&self) -> RawFd {
        self.shared.notices.fd()
    }

    /// Takes what the workers had to say.
    pub fn drain(&self) -> Vec<Notice> {
        self.shared.notices.drain()
    }

    /// Sends an IKE message, behind the non-ESP marker on the shared port; a keepalive goes as it is.
    pub fn send(&self, local: SocketAddr, remote: SocketAddr, data: &[u8]) -> io::Result<()> {
        let station = &self.shared.stations[0];
        let socket = station
            .sockets
            .iter()
            .find(|socket| socket.port == local.port() && socket.v6 == remote.is_ipv6())
            .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
        let marker: &[u8] = if local.port() == self.nat_t_port && data != [0xff] { &[0; 4] } else { &[] };
        socket.send(&RawAddress::new(remote), &Control::with_source(local.ip()), &[marker, data])
    }

    /// Lets messages of the IKE SA with this SPI of ours through a flood of others.
    pub fn admit_ike(&self, spi: IkeSpi) {
        self.shared.ike_spis.admit(spi);
    }

    /// Takes that back; unknown SPIs are ignored.
    pub fn dismiss_ike(&self, spi: IkeSpi) {
        self.shared.ike_spis.dismiss(spi);
    }

    /// Gives an SPI back, with the SA on it.
    pub fn release_spi(&self, spi: u32) {
        self.shared.sad.release(spi);
    }

    /// Installs an inbound SA on an allocated SPI.
    pub fn install_inbound(
        &self,
        parameters: &SaParameters<'_>,
        replay_window: u32,
        selectors: Selectors,
        remote: SocketAddr,
        interface: u32,
    ) -> Result<(), Error> {
        let device = match interface {
            device::DEFAULT => None,
            other => Some(self.shared.devices.get(other)?),
        };
        if !self.shared.sad.is_allocated(parameters.spi) {
            return Err(Error::UnknownSpi(parameters.spi));
        }
        let suite = suite(parameters)?;
        let replay_window = self.window(replay_window);
        let sa = InboundSa::new(parameters.spi, suite, parameters.keymat, parameters.esn, replay_window, 0)
            .map_err(|_| Error::BadKey)?;
        let rebuild = match parameters.mode {
            Mode::Tunnel => None,
            Mode::Transport { nat_original } => {
                Some(Rebuild::new(&selectors, nat_original).ok_or(Error::NotHostToHost)?)
            }
        };
        let volume = Volume::new(parameters.limits);
        let entry = InboundEntry::new(parameters.spi, sa, selectors, volume, remote).for_device(device);
        self.shared.sad.install(entry.in_transport_mode(rebuild).copying(parameters.copy));
        Ok(())
    }

    /// Installs an outbound SA; the handle names it from now on.
    pub fn install_outbound(&self, parameters: &SaParameters<'_>, pair: u32, path: Path) -> Result<u64, Error> {
        let endpoint = self.endpoint(path)?;
        let suite = suite(parameters)?;
        let sa =
            OutboundSa::new(parameters.spi, suite, parameters.keymat, parameters.esn, 0).map_err(|_| Error::BadKey)?;
        let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
        let volume = Volume::new(parameters.limits);
        let entry = OutboundEntry::new(parameters.spi, pair, sa, parameters.esn, volume, endpoint)
            .in_transport_mode(parameters.mode != Mode::Tunnel)
            .copying(parameters.copy);
        self.outbound().insert(handle, Arc::new(entry));
        Ok(handle)
    }

    /// Stops sending on an outbound SA; policies bound to it are unbound. Unknown handles are ignored.
    pub fn remove_outbound(&self, handle: u64) {
        let Some(entry) = self.outbound().remove(&handle) else { return };
        entry.remove();
        let users = std::mem::take(&mut *entry.users());
        for (_, policy) in users.into_iter().filter_map(|id| self.shared.devices.policy(id).ok()) {
            policy.unbind(&entry);
        }
    }

    /// Lowers the MSS of TCP connections from now on to what fits packets of `mtu` octets; 0 leaves it as it is.
    pub fn clamp_mss(&self, mtu: usize) {
        self.shared.mss_mtu.store(mtu, Ordering::Relaxed);
    }

    /// Makes one more interface, for routes to choose; its number. Policies and inbound SAs name it.
    pub fn add_interface(&self, name: &str, mtu: u32) -> io::Result<u32> {
        let id = self.shared.devices.add(name, mtu)?;
        self.wake_senders();
        Ok(id)
    }

    /// Takes an interface away; its policies and SAs are to go before. Unknown ones are ignored.
    pub fn remove_interface(&self, id: u32) {
        self.shared.devices.remove(id);
        self.wake_senders();
    }

    fn wake_senders(&self) {
        self.shared.stations.iter().for_each(|station| station.wake(Direction::Out).signal());
    }

    /// Adds a policy without SA for what is read from an interface.
    pub fn add_policy(&self, id: u64, selectors: Selectors, priority: i64, interface: u32) -> Result<(), Error> {
        let device = self.shared.devices.get(interface)?;
        if self.shared.devices.policy(id).is_ok() {
            return Err(Error::PolicyExists(id));
        }
        device.spd.add(id, selectors, priority).map(drop).ok_or(Error::PolicyExists(id))
    }

    /// Switches a policy to another SA, or to none. What it held is sent, and what others held that it covers now: a
    /// trap held the frames for which the SA of a policy above it was made.
    pub fn bind_policy(&self, id: u64, handle: Option<u64>) -> Result<(), Error> {
        let (device, policy) = self.shared.devices.policy(id)?;
        let entry = handle.map(|handle| self.entry(handle)).transpose()?;
        let bound = entry.is_some();
        let now = Instant::now();
        let mut given = policy.bind(entry, now);
        if bound {
            let snapshot = device.spd.snapshot();
            let covered = |frame: &[u8]| {
                let flow = frame.get(vnet::LEN..).and_then(Flow::read);
                flow.and_then(|flow| snapshot.find(&flow)).is_some_and(|found| found.id == id)
            };
            snapshot.overlapping(&policy.selectors, |other| {
                if other.id != id {
                    given.add(other.yield_held(covered, now));
                }
            });
        }
        self.shared.counters_of(0, Direction::Out).add(Counter::DropHoldExpired, given.expired);
        if !given.fresh.is_empty() {
            self.shared.stations[0].release(device.id, given.fresh);
        }
        Ok(())
    }

    /// Removes a policy; its traffic finds no policy and is dropped, and so is what it held. Unknown ids are ignored.
    pub fn remove_policy(&self, id: u64) {
        let Ok((device, _)) = self.shared.devices.policy(id) else { return };
        let given = device.spd.remove(id);
        let counters = self.shared.counters_of(0, Direction::Out);
        counters.add(Counter::DropHoldExpired, given.expired);
        counters.add(Counter::DropNoPolicy, given.fresh.len());
    }

    /// Name and index of the interface that policies steer packets into.
    pub fn interface(&self) -> (String, u32) {
        let device = self.shared.devices.first();
        (device.tun.name.clone(), device.tun.index)
    }

    /// Why the workers stopped, when nobody told them to.
    pub fn failure(&self) -> Option<&str> {
        self.shared.failure.get().map(String::as_str)
    }

    /// Stops the workers and waits for them. Devices and sockets close when the data plane is dropped.
    pub fn stop(&self) {
        self.shared.stop();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A worker catches its own panics.
            let _ = thread.join();
        }
    }

    fn outbound(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<OutboundEntry>>> {
        self.outbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, handle: u64) -> Result<Arc<OutboundEntry>, Error> {
        self.outbound().get(&handle).cloned().ok_or(Error::UnknownHandle(handle))
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.stop();
    }
}

fn suite(parameters: &SaParameters<'_>) -> Result<Suite, Error> {
    Suite::from_keyword(parameters.suite).ok_or_else(|| Error::UnknownSuite(parameters.suite.to_owned()))
}

/// An address with its port, from text.
pub fn socket_address(address: &str, port: u16) -> Result<SocketAddr, Error> {
    let address: IpAddr = address.parse().map_err(|_| Error::BadAddress(address.to_owned()))?;
    Ok(SocketAddr::new(address, port))
}

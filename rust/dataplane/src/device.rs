//! The TUN devices: one that policies steer packets into, and any number of named ones for routes to choose. Each has an
//! SPD of its own, so that the same inner networks may be behind several of them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::error::Error;
use crate::policy::{Policy, Room};
use crate::spd::Spd;
use crate::tun::{OffloadMode, Tun};

/// The number of the device that is always there.
pub const DEFAULT: u32 = 0;

/// A TUN with what applies to its packets.
pub struct Device {
    /// Its number, never used again.
    pub id: u32,
    /// The interface and its queues.
    pub tun: Tun,
    /// The policies for what is read from it.
    pub spd: Spd,
    gone: AtomicBool,
}

impl Device {
    fn new(id: u32, tun: Tun, room: &Arc<Room>) -> Self {
        Self { id, tun, spd: Spd::new(Arc::clone(room)), gone: AtomicBool::new(false) }
    }

    /// Somebody deleted the interface; true the first time only.
    pub fn lose(&self) -> bool {
        !self.gone.swap(true, Relaxed)
    }

    /// Whether the interface is not there any more, though nobody told us to remove it.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }
}

/// All devices, of which workers keep a copy of their own until they are woken.
pub struct Devices {
    all: ArcSwap<Vec<Arc<Device>>>,
    next: Mutex<u32>,
    workers: usize,
    offloads: OffloadMode,
    /// For what the policies of all of them hold together.
    room: Arc<Room>,
}

impl Devices {
    /// The default device alone.
    #[must_use]
    pub fn new(tun: Tun, workers: usize, offloads: OffloadMode) -> Self {
        let room = Arc::default();
        let device = Device::new(DEFAULT, tun, &room);
        let (all, next) = (ArcSwap::from_pointee(vec![Arc::new(device)]), Mutex::new(DEFAULT + 1));
        Self { all, next, workers, offloads, room }
    }

    /// Those there are now, the default one first.
    pub fn load(&self) -> Guard<Arc<Vec<Arc<Device>>>> {
        self.all.load()
    }

    /// The one that is always there.
    pub fn first(&self) -> Arc<Device> {
        Arc::clone(&self.load()[0])
    }

    /// The one with this number.
    pub fn get(&self, id: u32) -> Result<Arc<Device>, Error> {
        self.load().iter().find(|device| device.id == id).cloned().ok_or(Error::UnknownInterface(id))
    }

    /// Makes one more.
    pub fn add(&self, name: &str, mtu: u32) -> io::Result<u32> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        // Lanes cost the kernel megabytes, and of these there may be many.
        let tun = Tun::open(name, mtu, self.workers, false, self.offloads)?;
        let id = *next;
        *next += 1;
        self.insert(id, tun);
        Ok(id)
    }

    fn insert(&self, id: u32, tun: Tun) {
        let device = Arc::new(Device::new(id, tun, &self.room));
        self.all.store(Arc::new(self.load().iter().cloned().chain([device]).collect()));
    }

    /// Takes one away; the default one stays. It is closed when the last worker has let go of it.
    pub fn remove(&self, id: u32) {
        let _one_writer = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.all
            .store(Arc::new(self.load().iter().filter(|each| each.id == DEFAULT || each.id != id).cloned().collect()));
    }

    /// A policy and the device whose it is.
    pub fn policy(&self, id: u64) -> Result<(Arc<Device>, Arc<Policy>), Error> {
        let found = self.load().iter().find_map(|device| Some((Arc::clone(device), device.spd.get(id)?)));
        found.ok_or(Error::UnknownPolicy(id))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::policy::Held;
    use crate::selector::Selectors;

    #[test]
    fn what_policies_hold_is_bounded_for_all_devices_together() {
        let devices = Devices::new(Tun::of_files(Vec::new()), 1, OffloadMode::Off);
        devices.insert(7, Tun::of_files(Vec::new()));
        let (now, frame) = (Instant::now(), vec![0; 128 << 10]);
        let holds = |device: u32, id| {
            let spd = &devices.get(device).unwrap().spd;
            let policy = spd.add(id, Selectors::new(Vec::new(), Vec::new()), 0).unwrap();
            matches!(policy.hold(0, &frame, now), Held::Waiting { kept: true, .. })
        };
        let full = (0..10_000).find(|id| !holds(DEFAULT, *id)).unwrap();
        assert!(!holds(7, full));
    }
}

//! What the kernel does for us, as far as it is known now.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::DataPlane;
use crate::device::Device;
use crate::error::Error;
use crate::placement::has_choice;
use crate::tun::OffloadMode;

/// Something the kernel may do for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// Its name.
    pub name: &'static str,
    /// Whether we wanted it.
    pub asked: bool,
    /// Whether it is in use.
    pub in_use: bool,
}

impl DataPlane {
    /// All there are.
    pub fn offloads(&self) -> [Offload; 9] {
        let wanted = self.shared.offload_mode != OffloadMode::Off;
        let plain = wanted && self.shared.plain_wanted.load(Relaxed);
        let devices = self.shared.devices.load();
        let merged = |device: &Arc<Device>| self.shared.refused.leaves(device.tun.offloads);
        let sockets = || self.shared.stations.iter().flat_map(|station| &station.sockets).filter(|socket| socket.esp);
        let placed = self.shared.stations.iter().any(|station| station.place.is_wanted());
        let row = |name, asked, in_use| Offload { name, asked, in_use };
        [
            row("tun_tcp", wanted, devices.iter().all(|device| merged(device).tcp)),
            row("tun_udp", wanted, devices.iter().all(|device| merged(device).udp)),
            row("tun_lanes", wanted && self.workers() == 1, devices[0].tun.has_lanes()),
            row("udp_segment", wanted, self.shared.segmentation && !self.is_refused_everywhere()),
            row("udp_gro", wanted, sockets().all(|socket| socket.offloads.gro)),
            row("esp_rings", plain, self.shared.rings.load(Relaxed)),
            row("real_time", self.shared.real_time.0, self.shared.real_time.1.load(Relaxed)),
            row("affinity", placed, placed && has_choice()),
            row("spi_steering", self.workers() > 1, self.shared.steered),
        ]
    }

    /// Whether the kernel has lately refused to segment on the path of an outbound SA, so that its packets go one by one.
    pub fn is_refused_segmentation(&self, handle: u64) -> Result<bool, Error> {
        Ok(self.entry(handle)?.is_refused_segmentation())
    }

    fn is_refused_everywhere(&self) -> bool {
        let entries = self.outbound();
        !entries.is_empty() && entries.values().all(|entry| entry.is_refused_segmentation())
    }
}

//! What the workers and the control side have in common.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Options, workers};
use crate::counters::Counters;
use crate::device::Devices;
use crate::ike::IkeSpis;
use crate::inbound::Sad;
use crate::merging::Refused;
use crate::notice::Notices;
use crate::station::{self, Station};
use crate::tun::{OffloadMode, Tun};
use crate::worker::Direction;

/// What workers and control side share.
pub struct Shared {
    pub(crate) devices: Devices,
    pub(crate) stations: Vec<Station>,
    pub(super) counters: Vec<[Counters; 2]>,
    pub(crate) sad: Sad,
    pub(crate) notices: Notices,
    pub(crate) ike_spis: IkeSpis,
    pub(crate) segmentation: bool,
    /// The MTU that TCP connections get an MSS for; 0: theirs stays.
    pub(crate) mss_mtu: AtomicUsize,
    pub(crate) steered: bool,
    pub(crate) offload_mode: OffloadMode,
    /// Some SA sends plain ESP, and will hear it.
    pub(crate) plain_wanted: AtomicBool,
    /// What the TUN does not take merged.
    pub(crate) refused: Refused,
    /// Packet rings are in use.
    pub(crate) rings: AtomicBool,
    /// Whether threads are wanted to be urgent, and whether the kernel permits it.
    pub(super) real_time: (bool, AtomicBool),
    pub(crate) busy_poll: bool,
    pub(crate) stopped: AtomicBool,
    /// Why the workers stopped, when nobody told them to.
    pub(crate) failure: OnceLock<String>,
}

impl Shared {
    /// Opens the default device and all sockets in the caller's network namespace.
    pub(super) fn open(options: &Options) -> io::Result<Self> {
        let workers = workers::number(options.workers);
        let lanes = options.offloads != OffloadMode::Off;
        // The ports first: one that is refused them has not touched an interface.
        let (stations, steered) = station::open_all(workers, options)?;
        let tun = Tun::open(&options.tun_name, options.mtu, workers, lanes, options.offloads)?;
        Self::new(options, tun, stations, steered)
    }

    /// With what was opened; each of the stations is a worker's.
    pub(crate) fn new(options: &Options, tun: Tun, stations: Vec<Station>, steered: bool) -> io::Result<Self> {
        let workers = stations.len();
        let segmentation =
            stations.iter().flat_map(|station| &station.sockets).any(|socket| socket.offloads.segmentation);
        Ok(Self {
            devices: Devices::new(tun, workers, options.offloads),
            stations,
            counters: (0..workers).map(|_| Default::default()).collect(),
            sad: Sad::default(),
            notices: Notices::new()?,
            ike_spis: IkeSpis::default(),
            segmentation,
            mss_mtu: AtomicUsize::new(0),
            steered,
            offload_mode: options.offloads,
            plain_wanted: AtomicBool::new(false),
            refused: Refused::default(),
            rings: AtomicBool::new(false),
            real_time: (options.real_time, AtomicBool::new(false)),
            busy_poll: options.busy_poll,
            stopped: AtomicBool::new(false),
            failure: OnceLock::new(),
        })
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        for station in &self.stations {
            station.wake_both();
        }
    }

    /// The counters of one thread.
    pub(crate) fn counters_of(&self, worker: usize, direction: Direction) -> &Counters {
        &self.counters[worker][direction as usize]
    }
}

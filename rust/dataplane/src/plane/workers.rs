//! What the control side asks of and for the workers.

use std::sync::atomic::Ordering::Relaxed;

use super::DataPlane;
use crate::error::Error;

/// Workers at most.
const MOST: usize = 64;
/// The least replay window where several workers may open packets of one SA.
const SHARED_WINDOW: u32 = 4096;

/// How many workers there are when so many are asked for; 0 stands for the CPUs of this process.
pub fn number(asked: usize) -> usize {
    let workers = match asked {
        // By affinity and by the CPU quota of the control group.
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    workers.min(MOST)
}

impl DataPlane {
    /// A run may hold packets of several SAs, so that two workers open packets of one at the same time: what one of them
    /// is behind must lie within the window.
    pub(super) fn window(&self, asked: u32) -> u32 {
        if self.workers() > 1 { asked.max(SHARED_WINDOW) } else { asked }
    }

    /// Reserves an inbound SPI whose packets go to `worker`; to each in turn when none is named.
    pub fn allocate_spi(&self, worker: Option<usize>) -> Result<u32, Error> {
        let workers = self.workers();
        let worker = worker.unwrap_or_else(|| self.next_worker.fetch_add(1, Relaxed) % workers);
        if worker >= workers {
            return Err(Error::UnknownWorker(worker));
        }
        self.shared.sad.allocate_for(worker as u32, workers as u32).ok_or(Error::NoSpi)
    }

    /// Gives a worker an SA of its own for a policy, or takes it away: it uses the policy's SA then.
    pub fn bind_own(&self, id: u64, handle: Option<u64>, worker: usize) -> Result<(), Error> {
        let (_, policy) = self.shared.devices.policy(id)?;
        let entry = handle.map(|handle| self.entry(handle)).transpose()?;
        if policy.bind_own(worker, self.workers(), entry) { Ok(()) } else { Err(Error::UnknownWorker(worker)) }
    }

    /// Lets a worker that uses the policy's SA ask for one of its own, once, by an Acquire.
    pub fn invite(&self, id: u64, worker: usize) -> Result<(), Error> {
        let (_, policy) = self.shared.devices.policy(id)?;
        if policy.invite(worker, self.workers()) { Ok(()) } else { Err(Error::UnknownWorker(worker)) }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.shared.stations.len()
    }
}

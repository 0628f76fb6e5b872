//! What has been carried and dropped, for those who ask.

use super::DataPlane;
use crate::counters::{Counter, Counters};
use crate::error::Error;
use crate::tally;

impl DataPlane {
    /// All counters, summed over the workers.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let sum = |counter| self.shared.counters.iter().flatten().map(|counters| counters.get(counter)).sum();
        Counter::ALL.iter().map(|(counter, name)| (*name, sum(*counter))).collect()
    }

    /// All counters of each worker.
    pub fn worker_counters(&self) -> Vec<Vec<(&'static str, u64)>> {
        let sum = |threads: &[Counters; 2], counter| threads.iter().map(|counters| counters.get(counter)).sum();
        let named = |threads| Counter::ALL.iter().map(|(counter, name)| (*name, sum(threads, *counter))).collect();
        self.shared.counters.iter().map(named).collect()
    }

    /// Sizes of batches by kind, for each worker; see `tally::BUCKETS`.
    pub fn worker_batches(&self) -> Vec<Vec<(&'static str, [u64; tally::BUCKETS])>> {
        let sum = |[out, into]: &[Counters; 2], batch| {
            let (out, into) = (out.batches.get(batch), into.batches.get(batch));
            std::array::from_fn(|bucket| out[bucket] + into[bucket])
        };
        let named = |threads| tally::Batch::ALL.iter().map(|(batch, name)| (*name, sum(threads, *batch))).collect();
        self.shared.counters.iter().map(named).collect()
    }

    /// Sizes of batches by kind, summed over the workers.
    pub fn batches(&self) -> Vec<(&'static str, [u64; tally::BUCKETS])> {
        let mut sums = tally::Batch::ALL.map(|(_, name)| (name, [0; tally::BUCKETS]));
        for batches in self.worker_batches() {
            for ((_, sum), (_, buckets)) in sums.iter_mut().zip(batches) {
                sum.iter_mut().zip(buckets).for_each(|(sum, one)| *sum += one);
            }
        }
        sums.into()
    }

    /// What an inbound SA has dropped, by reason.
    pub fn inbound_drops(&self, spi: u32) -> Result<Vec<(&'static str, u64)>, Error> {
        let entry = self.shared.sad.find(spi).ok_or(Error::UnknownSpi(spi))?;
        Ok(entry.as_ref().map_or_else(Vec::new, |entry| entry.drops.get()))
    }

    /// What an outbound SA has dropped, by reason.
    pub fn outbound_drops(&self, handle: u64) -> Result<Vec<(&'static str, u64)>, Error> {
        Ok(self.entry(handle)?.drops.get())
    }

    /// Packets and inner octets an inbound SA has carried: without what was authentic and then dropped.
    pub fn inbound_counters(&self, spi: u32) -> Result<(u64, u64), Error> {
        let entry = self.shared.sad.find(spi).ok_or(Error::UnknownSpi(spi))?;
        Ok(entry.as_ref().map_or((0, 0), |entry| entry.volume.carried()))
    }

    /// Packets and inner octets an outbound SA has carried.
    pub fn outbound_counters(&self, handle: u64) -> Result<(u64, u64), Error> {
        Ok(self.entry(handle)?.volume.carried())
    }

    /// The highest sequence number an inbound SA has accepted, and the packets its window spans.
    pub fn inbound_window(&self, spi: u32) -> Result<(u64, u32), Error> {
        let entry = self.shared.sad.find(spi).ok_or(Error::UnknownSpi(spi))?;
        let window = entry.as_ref().map(|entry| entry.sa.window());
        Ok(window.map_or((0, 0), |window| (window.highest(), window.size())))
    }

    /// The last sequence number an outbound SA has used.
    pub fn outbound_sequence(&self, handle: u64) -> Result<u64, Error> {
        Ok(self.entry(handle)?.sa.sequence_number())
    }
}

//! Where the packets of outbound SAs go, and in what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::DataPlane;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::lines::Line;
use crate::plain::NextHop;
use crate::worker::Direction;

/// How the packets of an outbound SA travel.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// In UDP between these ports (RFC 3948), or as protocol 50 between the addresses.
    pub udp_encap: bool,
}

impl DataPlane {
    /// Moves an outbound SA to another path, and lets its inbound SA expect packets from there.
    pub fn update_endpoint(&self, handle: u64, path: Path) -> Result<(), Error> {
        let entry = self.entry(handle)?;
        entry.set_endpoint(self.endpoint(path)?);
        if let Some(inbound) = self.shared.sad.find(entry.pair).as_ref().and_then(|guard| guard.as_ref()) {
            inbound.follow(path.remote);
        }
        Ok(())
    }

    /// The path of an outbound SA carries packets of `path` octets from now on, ours with all headers; None: any. What is longer
    /// and may not be cut is dropped and its sender told (RFC 4301 8.2). Gives the octets of the longest inner packet.
    pub fn set_path_mtu(&self, handle: u64, path: Option<usize>) -> Result<usize, Error> {
        let entry = self.entry(handle)?;
        let inner = entry.set_path_mtu(path);
        if let Some(inbound) = self.shared.sad.find(entry.pair).as_ref().and_then(|guard| guard.as_ref()) {
            inbound.mss_mtu.store(inner as u32, Ordering::Relaxed);
        }
        Ok(inner)
    }

    /// Sends the plain ESP of an SA as frames to `next_hop` from now on, or leaves it to the kernel's IP.
    pub fn set_next_hop(&self, handle: u64, next_hop: Option<NextHop>) -> Result<(), Error> {
        let entry = self.entry(handle)?;
        let endpoint = entry.endpoint.load();
        if endpoint.next_hop() != next_hop.as_ref() {
            entry.endpoint.store(Arc::new(endpoint.towards(next_hop)));
        }
        Ok(())
    }

    fn line(&self, local: SocketAddr, remote: SocketAddr) -> Option<Arc<Line>> {
        let station = &self.shared.stations[0];
        let lines =
            station.lines.as_ref().filter(|_| !local.ip().is_unspecified() && local.port() == self.nat_t_port)?;
        lines.between(local, remote, station.duty.epoll(Direction::In))
    }

    /// The endpoint of a path. With the first that is plain the workers look out for plain ESP by faster means.
    pub(super) fn endpoint(&self, Path { local, remote, udp_encap }: Path) -> Result<Endpoint, Error> {
        if udp_encap {
            return Ok(Endpoint::new(local, remote).over(self.line(local, remote)));
        }
        if self.shared.stations[0].plain.is_none() {
            return Err(Error::NoRawSockets);
        }
        let endpoint = Endpoint::plain(local.ip(), remote.ip()).ok_or(Error::NoSource)?;
        if !self.shared.plain_wanted.swap(true, Ordering::AcqRel) {
            self.shared.stations.iter().for_each(|station| station.wake(Direction::In).signal());
        }
        Ok(endpoint)
    }
}

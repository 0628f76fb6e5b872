//! `_native.DataPlane`.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::{Arc, RwLock};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use ironswan_dataplane as core;
use ironswan_dataplane::{Limits, NextHop, OffloadMode, Options, Path, SaParameters};

use crate::arguments::{SelectorTuple, address, read_copy, read_mode, refused, selectors};
use crate::notices;

/// The packet path: a TUN device, UDP sockets, SAs and policies, carried by threads that never take the GIL.
#[pyclass(frozen, module = "ironswan._native")]
pub struct DataPlane {
    plane: RwLock<Option<Arc<core::DataPlane>>>,
}

impl DataPlane {
    fn plane(&self) -> PyResult<Arc<core::DataPlane>> {
        let plane = self.plane.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        plane.clone().ok_or_else(|| PyRuntimeError::new_err("the data plane is closed"))
    }
}

#[pymethods]
impl DataPlane {
    #[new]
    #[pyo3(signature = (*, tun_name="ipsec0", mtu=1422, workers=1, ike_port=500, nat_t_port=4500, mark=0, offloads="auto", nice=0, real_time=false, busy_poll=false, affinity=false))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        tun_name: &str,
        mtu: u32,
        workers: usize,
        ike_port: u16,
        nat_t_port: u16,
        mark: u32,
        offloads: &str,
        nice: i32,
        real_time: bool,
        busy_poll: bool,
        affinity: bool,
    ) -> PyResult<Self> {
        let offloads = match offloads {
            "auto" => OffloadMode::Auto,
            "on" => OffloadMode::On,
            "off" => OffloadMode::Off,
            _ => return Err(PyValueError::new_err(r#"offloads is "auto", "on" or "off""#)),
        };
        let tun_name = tun_name.to_owned();
        let options = Options {
            tun_name,
            mtu,
            workers,
            ike_port,
            nat_t_port,
            mark,
            offloads,
            nice,
            real_time,
            busy_poll,
            affinity,
        };
        let plane = py.detach(|| core::DataPlane::start(&options))?;
        Ok(Self { plane: RwLock::new(Some(Arc::new(plane))) })
    }

    /// An eventfd, readable while `drain` has something.
    fn fileno(&self) -> PyResult<RawFd> {
        Ok(self.plane()?.notice_fd())
    }

    /// Take everything the workers had to say.
    fn drain(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        self.plane()?.drain().into_iter().map(|notice| notices::to_python(py, notice)).collect()
    }

    /// Send an IKE message; False when the kernel would not take it.
    #[pyo3(signature = (local_addr, local_port, remote_addr, remote_port, data))]
    fn send(
        &self,
        local_addr: &str,
        local_port: u16,
        remote_addr: &str,
        remote_port: u16,
        data: &[u8],
    ) -> PyResult<bool> {
        let (local, remote) = (address(local_addr, local_port)?, address(remote_addr, remote_port)?);
        Ok(self.plane()?.send(local, remote, data).is_ok())
    }

    /// Let messages of the IKE SA with this SPI of ours through a flood of others.
    #[pyo3(signature = (spi))]
    fn admit_ike(&self, spi: core::IkeSpi) -> PyResult<()> {
        self.plane()?.admit_ike(spi);
        Ok(())
    }

    /// Take that back.
    #[pyo3(signature = (spi))]
    fn dismiss_ike(&self, spi: core::IkeSpi) -> PyResult<()> {
        self.plane()?.dismiss_ike(spi);
        Ok(())
    }

    /// Reserve an inbound SPI, for `worker` or for each in turn; its low 20 bits are its slot in the SAD.
    #[pyo3(signature = (worker=None))]
    fn allocate_spi(&self, worker: Option<usize>) -> PyResult<u32> {
        self.plane()?.allocate_spi(worker).map_err(refused)
    }

    /// Give an SPI back, with the SA on it.
    #[pyo3(signature = (spi))]
    fn release_spi(&self, spi: u32) -> PyResult<()> {
        self.plane()?.release_spi(spi);
        Ok(())
    }

    /// Install an inbound SA on an allocated SPI. Limits of 0 are none. In transport mode `nat_original` are the source and
    /// destination the peer puts into its packets, where a NAT changes them.
    #[pyo3(signature = (spi, suite, keymat, *, esn, replay_window, remote_ts, local_ts, remote_addr, remote_port,
        soft_packets=0, hard_packets=0, soft_bytes=0, hard_bytes=0, mode="tunnel", nat_original=None, interface=0, copy_ecn=true, copy_dscp="out"))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
    fn install_inbound(
        &self,
        spi: u32,
        suite: &str,
        keymat: &[u8],
        esn: bool,
        replay_window: u32,
        remote_ts: Vec<SelectorTuple>,
        local_ts: Vec<SelectorTuple>,
        remote_addr: &str,
        remote_port: u16,
        soft_packets: u64,
        hard_packets: u64,
        soft_bytes: u64,
        hard_bytes: u64,
        mode: &str,
        nat_original: Option<(String, String)>,
        interface: u32,
        copy_ecn: bool,
        copy_dscp: &str,
    ) -> PyResult<()> {
        let limits = Limits { soft_packets, hard_packets, soft_bytes, hard_bytes };
        let (mode, copy) = (read_mode(mode, nat_original.as_ref())?, read_copy(copy_ecn, copy_dscp)?);
        let parameters = SaParameters { spi, suite, keymat, esn, limits, mode, copy };
        let remote = address(remote_addr, remote_port)?;
        let selectors = selectors(&local_ts, &remote_ts)?;
        self.plane()?.install_inbound(&parameters, replay_window, selectors, remote, interface).map_err(refused)
    }

    /// Remove an inbound SA and give its SPI back.
    #[pyo3(signature = (spi))]
    fn remove_inbound(&self, spi: u32) -> PyResult<()> {
        self.release_spi(spi)
    }

    /// Install an outbound SA and return its handle. `key_owner` is the inbound SPI of the same pair.
    #[pyo3(signature = (spi, suite, keymat, *, esn, local_addr, local_port, remote_addr, remote_port,
        soft_packets=0, hard_packets=0, soft_bytes=0, hard_bytes=0, key_owner=0, udp_encap=true, mode="tunnel",
        copy_ecn=true, copy_dscp="out"))]
    #[allow(clippy::too_many_arguments)]
    fn install_outbound(
        &self,
        spi: u32,
        suite: &str,
        keymat: &[u8],
        esn: bool,
        local_addr: &str,
        local_port: u16,
        remote_addr: &str,
        remote_port: u16,
        soft_packets: u64,
        hard_packets: u64,
        soft_bytes: u64,
        hard_bytes: u64,
        key_owner: u32,
        udp_encap: bool,
        mode: &str,
        copy_ecn: bool,
        copy_dscp: &str,
    ) -> PyResult<u64> {
        let limits = Limits { soft_packets, hard_packets, soft_bytes, hard_bytes };
        let (mode, copy) = (read_mode(mode, None)?, read_copy(copy_ecn, copy_dscp)?);
        let parameters = SaParameters { spi, suite, keymat, esn, limits, mode, copy };
        let (local, remote) = (address(local_addr, local_port)?, address(remote_addr, remote_port)?);
        let path = Path { local, remote, udp_encap };
        self.plane()?.install_outbound(&parameters, key_owner, path).map_err(refused)
    }

    /// Stop sending on an outbound SA; policies bound to it are unbound.
    #[pyo3(signature = (handle))]
    fn remove_outbound(&self, handle: u64) -> PyResult<()> {
        self.plane()?.remove_outbound(handle);
        Ok(())
    }

    /// Send from and to other addresses; the paired inbound SA expects packets from there.
    #[pyo3(signature = (handle, local_addr, local_port, remote_addr, remote_port, *, udp_encap=true))]
    fn update_endpoint(
        &self,
        handle: u64,
        local_addr: &str,
        local_port: u16,
        remote_addr: &str,
        remote_port: u16,
        udp_encap: bool,
    ) -> PyResult<()> {
        let (local, remote) = (address(local_addr, local_port)?, address(remote_addr, remote_port)?);
        self.plane()?.update_endpoint(handle, Path { local, remote, udp_encap }).map_err(refused)
    }

    /// Send the plain ESP of an SA as frames to a link-layer address of at most 8 octets, or with none through the kernel's IP.
    #[pyo3(signature = (handle, interface, mtu, address))]
    fn set_next_hop(&self, handle: u64, interface: i32, mtu: usize, address: Option<&[u8]>) -> PyResult<()> {
        let next_hop = address
            .map(|address| link_address(address).map(|(address, length)| NextHop { interface, mtu, address, length }));
        self.plane()?.set_next_hop(handle, next_hop.transpose()?).map_err(refused)
    }

    /// Tell the octets that the path of an outbound SA carries, 0 for any; returns those of the longest inner packet.
    #[pyo3(signature = (handle, mtu))]
    fn set_path_mtu(&self, handle: u64, mtu: usize) -> PyResult<usize> {
        self.plane()?.set_path_mtu(handle, (mtu != 0).then_some(mtu)).map_err(refused)
    }

    /// Lower the MSS of TCP connections to what fits packets of `mtu` octets; 0 leaves it as it is.
    #[pyo3(signature = (mtu))]
    fn clamp_mss(&self, mtu: usize) -> PyResult<()> {
        self.plane()?.clamp_mss(mtu);
        Ok(())
    }

    /// Make one more interface and return its number.
    #[pyo3(signature = (name, mtu))]
    fn add_interface(&self, py: Python<'_>, name: &str, mtu: u32) -> PyResult<u32> {
        let plane = self.plane()?;
        Ok(py.detach(|| plane.add_interface(name, mtu))?)
    }

    /// Remove an interface whose policies and SAs are gone.
    #[pyo3(signature = (interface))]
    fn remove_interface(&self, interface: u32) -> PyResult<()> {
        self.plane()?.remove_interface(interface);
        Ok(())
    }

    /// Add a policy without SA for what goes into an interface; lower priority numbers are asked first.
    #[pyo3(signature = (policy_id, local_ts, remote_ts, *, priority=0, interface=0))]
    #[allow(clippy::needless_pass_by_value)]
    fn add_policy(
        &self,
        policy_id: u64,
        local_ts: Vec<SelectorTuple>,
        remote_ts: Vec<SelectorTuple>,
        priority: i64,
        interface: u32,
    ) -> PyResult<()> {
        self.plane()?.add_policy(policy_id, selectors(&local_ts, &remote_ts)?, priority, interface).map_err(refused)
    }

    /// Let a policy, or one worker of it, use another outbound SA, or none. Held packets are sent.
    #[pyo3(signature = (policy_id, handle, *, worker=None))]
    fn bind_policy(&self, policy_id: u64, handle: Option<u64>, worker: Option<usize>) -> PyResult<()> {
        let plane = self.plane()?;
        match worker {
            None => plane.bind_policy(policy_id, handle),
            Some(worker) => plane.bind_own(policy_id, handle, worker),
        }
        .map_err(refused)
    }

    /// Let a worker without an SA of its own for a policy ask for one, once, when it has packets.
    #[pyo3(signature = (policy_id, worker))]
    fn invite(&self, policy_id: u64, worker: usize) -> PyResult<()> {
        self.plane()?.invite(policy_id, worker).map_err(refused)
    }

    /// Remove a policy; its packets are dropped.
    #[pyo3(signature = (policy_id))]
    fn remove_policy(&self, policy_id: u64) -> PyResult<()> {
        self.plane()?.remove_policy(policy_id);
        Ok(())
    }

    /// Batch statistics, and one counter for each reason to drop.
    fn counters(&self) -> PyResult<HashMap<&'static str, u64>> {
        Ok(self.plane()?.counters().into_iter().collect())
    }

    /// Batches by kind and size in packets: 1, 2, 3 to 4, 5 to 8 ... 33 to 64, more.
    fn batches(&self) -> PyResult<HashMap<&'static str, Vec<u64>>> {
        Ok(self.plane()?.batches().into_iter().map(|(name, buckets)| (name, buckets.to_vec())).collect())
    }

    /// Batches of each worker.
    fn worker_batches(&self) -> PyResult<Vec<HashMap<&'static str, Vec<u64>>>> {
        let named = |batches: Vec<(&'static str, [u64; 8])>| {
            batches.into_iter().map(|(name, buckets)| (name, buckets.to_vec())).collect()
        };
        Ok(self.plane()?.worker_batches().into_iter().map(named).collect())
    }

    /// Packets an inbound SA has dropped, by reason.
    #[pyo3(signature = (spi))]
    fn inbound_drops(&self, spi: u32) -> PyResult<HashMap<&'static str, u64>> {
        Ok(self.plane()?.inbound_drops(spi).map_err(refused)?.into_iter().collect())
    }

    /// Packets an outbound SA has dropped, by reason.
    #[pyo3(signature = (handle))]
    fn outbound_drops(&self, handle: u64) -> PyResult<HashMap<&'static str, u64>> {
        Ok(self.plane()?.outbound_drops(handle).map_err(refused)?.into_iter().collect())
    }

    /// The same for each worker.
    fn worker_counters(&self) -> PyResult<Vec<HashMap<&'static str, u64>>> {
        Ok(self.plane()?.worker_counters().into_iter().map(|counters| counters.into_iter().collect()).collect())
    }

    /// How many workers there are.
    fn workers(&self) -> PyResult<usize> {
        Ok(self.plane()?.workers())
    }

    /// Packets and inner octets an inbound SA has carried.
    #[pyo3(signature = (spi))]
    fn inbound_counters(&self, spi: u32) -> PyResult<(u64, u64)> {
        self.plane()?.inbound_counters(spi).map_err(refused)
    }

    /// Packets and inner octets an outbound SA has carried.
    #[pyo3(signature = (handle))]
    fn outbound_counters(&self, handle: u64) -> PyResult<(u64, u64)> {
        self.plane()?.outbound_counters(handle).map_err(refused)
    }

    /// Why the workers stopped, when nobody told them to.
    fn failure(&self) -> PyResult<Option<String>> {
        Ok(self.plane()?.failure().map(str::to_owned))
    }

    /// Which offloads are in use now.
    fn offloads(&self) -> PyResult<HashMap<&'static str, bool>> {
        Ok(self.plane()?.offloads().map(|offload| (offload.name, offload.in_use)).into())
    }

    /// Which offloads were asked for.
    fn offloads_asked(&self) -> PyResult<HashMap<&'static str, bool>> {
        Ok(self.plane()?.offloads().map(|offload| (offload.name, offload.asked)).into())
    }

    /// Whether the kernel has lately refused to segment on the path of an outbound SA.
    #[pyo3(signature = (handle))]
    fn segmentation_refused(&self, handle: u64) -> PyResult<bool> {
        self.plane()?.is_refused_segmentation(handle).map_err(refused)
    }

    /// The highest sequence number an inbound SA has accepted, and the packets its replay window spans.
    #[pyo3(signature = (spi))]
    fn inbound_window(&self, spi: u32) -> PyResult<(u64, u32)> {
        self.plane()?.inbound_window(spi).map_err(refused)
    }

    /// The last sequence number an outbound SA has used.
    #[pyo3(signature = (handle))]
    fn outbound_sequence(&self, handle: u64) -> PyResult<u64> {
        self.plane()?.outbound_sequence(handle).map_err(refused)
    }

    /// Name and index of the TUN device.
    fn interface(&self) -> PyResult<(String, u32)> {
        let plane = self.plane()?;
        Ok(plane.interface())
    }

    /// Stop the workers, wait for them, close devices and sockets. Closing twice is harmless.
    fn close(&self, py: Python<'_>) {
        let taken = self.plane.write().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        // Another call may hold the data plane for a moment longer: what it drops in the end, with the interpreter held, has no
        // workers left to wait for.
        py.detach(|| {
            if let Some(plane) = &taken {
                plane.stop();
            }
            drop(taken);
        });
    }
}

/// A link-layer address as the kernel takes it (`sockaddr_ll`), and its length.
fn link_address(octets: &[u8]) -> PyResult<([u8; 8], u8)> {
    let mut address = [0; 8];
    let room = address.get_mut(..octets.len()).ok_or_else(|| {
        PyValueError::new_err(format!("a link-layer address has at most 8 octets, not {}", octets.len()))
    })?;
    room.copy_from_slice(octets);
    Ok((address, octets.len() as u8))
}

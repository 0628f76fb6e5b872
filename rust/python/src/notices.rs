//! What `drain` gives, as Python values.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use ironswan_dataplane::Notice;

/// An IKE message received, without the non-ESP marker.
#[pyclass(frozen, get_all, module = "ironswan._native")]
pub struct IkeDatagram {
    local_addr: String,
    local_port: u16,
    remote_addr: String,
    remote_port: u16,
    data: Py<PyBytes>,
}

#[pymethods]
impl IkeDatagram {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str, &'static str, &'static str) {
        ("local_addr", "local_port", "remote_addr", "remote_port", "data")
    }

    #[new]
    fn new(local_addr: String, local_port: u16, remote_addr: String, remote_port: u16, data: Py<PyBytes>) -> Self {
        Self { local_addr, local_port, remote_addr, remote_port, data }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!(
            "IkeDatagram({:?}, {}, {:?}, {}, <{} octets>)",
            self.local_addr,
            self.local_port,
            self.remote_addr,
            self.remote_port,
            self.data.as_bytes(py).len()
        )
    }
}

/// A policy without SA has traffic, or a worker that has no SA of its own for it.
#[pyclass(frozen, get_all, module = "ironswan._native")]
pub struct Acquire {
    policy_id: u64,
    src: String,
    dst: String,
    protocol: u8,
    sport: u16,
    dport: u16,
    worker: Option<u32>,
}

#[pymethods]
impl Acquire {
    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["policy_id", "src", "dst", "protocol", "sport", "dport", "worker"])
    }

    #[new]
    #[pyo3(signature = (policy_id, src, dst, protocol, sport, dport, worker=None))]
    fn new(
        policy_id: u64,
        src: String,
        dst: String,
        protocol: u8,
        sport: u16,
        dport: u16,
        worker: Option<u32>,
    ) -> Self {
        Self { policy_id, src, dst, protocol, sport, dport, worker }
    }

    fn __repr__(&self) -> String {
        let Self { policy_id, src, dst, protocol, sport, dport, worker } = self;
        let asking = worker.map_or(String::new(), |worker| format!(", worker={worker}"));
        format!("Acquire({policy_id}, {src:?}, {dst:?}, {protocol}, {sport}, {dport}{asking})")
    }
}

/// Something happened to an SA, or, with SPI 0, to the data plane.
#[pyclass(frozen, get_all, module = "ironswan._native")]
pub struct SaNotice {
    kind: String,
    spi: u32,
    remote_addr: String,
    remote_port: u16,
}

#[pymethods]
impl SaNotice {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str, &'static str) {
        ("kind", "spi", "remote_addr", "remote_port")
    }

    #[new]
    fn new(kind: String, spi: u32, remote_addr: String, remote_port: u16) -> Self {
        Self { kind, spi, remote_addr, remote_port }
    }

    fn __repr__(&self) -> String {
        format!("SaNotice({:?}, {:#010x}, {:?}, {})", self.kind, self.spi, self.remote_addr, self.remote_port)
    }
}

/// Somebody deleted a named interface: nothing is carried for it any more.
#[pyclass(frozen, get_all, module = "ironswan._native")]
pub struct InterfaceGone {
    name: String,
}

#[pymethods]
impl InterfaceGone {
    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["name"])
    }

    #[new]
    fn new(name: String) -> Self {
        Self { name }
    }

    fn __repr__(&self) -> String {
        format!("InterfaceGone({:?})", self.name)
    }
}

/// The Python value of one notice.
pub fn to_python(py: Python<'_>, notice: Notice) -> PyResult<Py<PyAny>> {
    Ok(match notice {
        Notice::Ike { local, remote, data } => {
            let (local_addr, remote_addr) = (local.ip().to_string(), remote.ip().to_string());
            let data = PyBytes::new(py, &data).unbind();
            Py::new(py, IkeDatagram::new(local_addr, local.port(), remote_addr, remote.port(), data))?.into_any()
        }
        Notice::Acquire { policy_id, source, destination, protocol, source_port, destination_port, worker } => {
            let (src, dst) = (source.to_string(), destination.to_string());
            Py::new(py, Acquire::new(policy_id, src, dst, protocol, source_port, destination_port, worker))?.into_any()
        }
        Notice::Sa { kind, spi, remote } => {
            let (remote_addr, remote_port) =
                remote.map_or((String::new(), 0), |remote| (remote.ip().to_string(), remote.port()));
            Py::new(py, SaNotice::new(kind.as_str().to_owned(), spi, remote_addr, remote_port))?.into_any()
        }
        Notice::InterfaceGone { name } => Py::new(py, InterfaceGone::new(name))?.into_any(),
    })
}

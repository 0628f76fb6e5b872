//! `Results`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

use ironswan_esp::encapsulation::{Outcome, Status};

use super::batch::PacketBatch;

/// `ironswan.esp.Status`, member by code.
static MEMBERS: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();

/// What came of a batch.
#[pyclass(frozen, module = "ironswan.esp")]
pub struct Results {
    packets: Py<PacketBatch>,
    statuses: Vec<Status>,
    next_headers: Vec<u8>,
    sequence_numbers: Vec<u64>,
}

impl Results {
    pub(super) fn new(py: Python<'_>, outcome: Outcome) -> PyResult<Self> {
        let Outcome { packets, statuses, next_headers, sequence_numbers, .. } = outcome;
        Ok(Self { packets: Py::new(py, PacketBatch::from(packets))?, statuses, next_headers, sequence_numbers })
    }
}

#[pymethods]
impl Results {
    /// The packets, as many as went in; those that failed are empty.
    #[getter]
    fn packets(&self, py: Python<'_>) -> Py<PacketBatch> {
        self.packets.clone_ref(py)
    }

    /// The next header of each packet; 0 where it failed.
    #[getter]
    fn next_headers<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.next_headers)
    }

    /// What came of each packet.
    #[getter]
    fn statuses(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let members = MEMBERS.get_or_try_init(py, || {
            let class = py.import("ironswan.esp")?.getattr("Status")?;
            let member = |status: Status| Ok(class.call1((status as u8,))?.unbind());
            Status::ALL.into_iter().map(member).collect::<PyResult<Vec<_>>>()
        })?;
        Ok(self.statuses.iter().map(|status| members[*status as usize].clone_ref(py)).collect())
    }

    /// The statuses as octets, for `NumPy` or a quick look.
    #[getter]
    fn status_codes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let codes: Vec<u8> = self.statuses.iter().map(|status| *status as u8).collect();
        PyBytes::new(py, &codes)
    }

    /// The sequence number of each packet, 64 bits wide with ESN; 0 where it failed.
    #[getter]
    fn sequence_numbers(&self) -> Vec<u64> {
        self.sequence_numbers.clone()
    }

    /// Whether every packet is OK.
    #[getter]
    fn ok(&self) -> bool {
        self.statuses.iter().all(|status| *status == Status::Ok)
    }

    fn __len__(&self) -> usize {
        self.statuses.len()
    }

    fn __repr__(&self) -> String {
        let ok = self.statuses.iter().filter(|status| **status == Status::Ok).count();
        format!("<Results of {} packets, {ok} ok>", self.statuses.len())
    }
}

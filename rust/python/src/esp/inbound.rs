//! `InboundSa`.

use std::collections::HashMap;

use pyo3::prelude::*;

use ironswan_esp as core;
use ironswan_esp::encapsulation::{Decapsulator, DecapsulatorOptions, Mode, NatOriginal, Outcome};

use super::arguments::{address_pair, counters, framing, mode, mode_word, refused, selectors, suite, window_bits};
use super::batch::PacketBatch;
use super::number::{Spi, ranged};
use super::outbound::check_sequence_number;
use super::pool;
use super::process::Process;
use super::results::Results;

/// An inbound ESP SA, for any number of threads.
#[pyclass(frozen, module = "ironswan.esp")]
pub struct InboundSa {
    decapsulator: Decapsulator,
    process: Process,
}

#[pymethods]
impl InboundSa {
    #[new]
    #[pyo3(signature = (spi, suite, keymat, *, mode="tunnel", replay_window=64, esn=false, sequence_number=0,
        selectors=None, nat_oa=None, ecn=true))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
    fn new(
        spi: Spi,
        suite: &str,
        keymat: &[u8],
        mode: &str,
        #[pyo3(from_py_with = ranged::<32, 65_536>)] replay_window: u64,
        esn: bool,
        #[pyo3(from_py_with = ranged::<0, { u64::MAX }>)] sequence_number: u64,
        selectors: Option<Vec<(Bound<'_, PyAny>, Bound<'_, PyAny>)>>,
        nat_oa: Option<(String, String)>,
        ecn: bool,
    ) -> PyResult<Self> {
        let (suite, mode) = (self::suite(suite)?, self::mode(mode)?);
        check_sequence_number(sequence_number, esn)?;
        if mode == Mode::Tunnel && nat_oa.is_some() {
            return Err(refused("nat_oa mends checksums of transport mode; a tunnel carries the original addresses"));
        }
        let nat_original = match &nat_oa {
            Some(pair) => {
                let (source, destination) = address_pair(pair, "nat_oa")?;
                NatOriginal::new(source, destination)
            }
            None => None,
        };
        let sa = core::InboundSa::new(spi.0 as u32, suite, keymat, esn, replay_window as u32, sequence_number)
            .map_err(refused)?;
        let options = DecapsulatorOptions { mode, accept: self::selectors(selectors)?, nat_original, ecn };
        Ok(Self { decapsulator: Decapsulator::new(sa, options), process: Process::this() })
    }

    /// Decapsulate every packet of a batch.
    #[pyo3(signature = (batch, *, framing="esp"))]
    fn decap(&self, py: Python<'_>, batch: &Bound<'_, PacketBatch>, framing: &str) -> PyResult<Results> {
        self.process.check()?;
        let framing = self::framing(framing)?;
        let packets = &batch.get().packets;
        let mut outcome = Outcome::with_buffer(pool::take());
        py.detach(|| self.decapsulator.decap(packets, framing, &mut outcome)).map_err(refused)?;
        Results::new(py, outcome)
    }

    /// The SPI.
    #[getter]
    fn spi(&self) -> u32 {
        self.decapsulator.sa().spi()
    }

    /// The suite's keyword.
    #[getter]
    fn suite(&self) -> String {
        self.decapsulator.sa().suite().to_string()
    }

    /// "tunnel" or "transport".
    #[getter]
    fn mode(&self) -> &'static str {
        mode_word(self.decapsulator.mode())
    }

    /// The highest sequence number seen, 64 bits wide with ESN.
    #[getter]
    fn sequence_number(&self) -> u64 {
        self.decapsulator.sa().window().highest()
    }

    /// Packets the replay window spans.
    #[getter]
    fn replay_window(&self) -> u32 {
        self.decapsulator.sa().window().size()
    }

    /// The window: bit i says whether `sequence_number - i` was seen.
    #[getter]
    fn window(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        window_bits(py, &self.decapsulator.sa().window())
    }

    /// Packets and octets that were decapsulated, and packets by what they were dropped for.
    #[getter]
    fn counters(&self) -> HashMap<&'static str, u64> {
        counters(self.decapsulator.counters()).into_iter().collect()
    }

    fn __repr__(&self) -> String {
        let sa = self.decapsulator.sa();
        format!("<InboundSa {:#010x} {} {}, highest seen {}>", sa.spi(), sa.suite(), self.mode(), sa.window().highest())
    }
}

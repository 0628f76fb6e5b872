//! `AhOutboundSa` and `AhInboundSa`.

use std::collections::HashMap;

use pyo3::prelude::*;

use ironswan_esp::encapsulation::{Limits, Outcome};
use ironswan_esp::{
    AhDecapsulator, AhDecapsulatorOptions, AhEncapsulator, AhEncapsulatorOptions, AhKey, Integ, ReplayWindow,
};

use super::arguments::{counters, mode, mode_word, refused, selectors, tunnel_header, window_bits};
use super::batch::PacketBatch;
use super::number::{Dscp, Long, Spi, ranged};
use super::outbound::check_sequence_number;
use super::pool;
use super::process::Process;
use super::results::Results;

fn key(suite: &str, keymat: &[u8], esn: bool) -> PyResult<AhKey> {
    let integ = Integ::from_keyword(suite).ok_or_else(|| {
        refused(format!("AH has no {suite:?}: name an integrity algorithm, like sha256, aescmac or aes128gmac"))
    })?;
    AhKey::new(integ, keymat, esn).map_err(refused)
}

/// An outbound AH SA, for any number of threads.
#[pyclass(frozen, module = "ironswan.esp")]
pub struct AhOutboundSa {
    encapsulator: AhEncapsulator,
    process: Process,
}

#[pymethods]
impl AhOutboundSa {
    #[new]
    #[pyo3(signature = (spi, suite, keymat, *, mode="tunnel", tunnel=None, esn=false, sequence_number=0, dscp=None, ecn=true,
        df="copy", hop_limit=64, limits=None))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
    fn new(
        spi: Spi,
        suite: &str,
        keymat: &[u8],
        mode: &str,
        tunnel: Option<(String, String)>,
        esn: bool,
        #[pyo3(from_py_with = ranged::<0, { u64::MAX }>)] sequence_number: u64,
        dscp: Option<Dscp>,
        ecn: bool,
        df: &str,
        #[pyo3(from_py_with = ranged::<1, 255>)] hop_limit: u64,
        limits: Option<(Long, Long)>,
    ) -> PyResult<Self> {
        let (spi, mode) = (spi.0 as u32, self::mode(mode)?);
        check_sequence_number(sequence_number, esn)?;
        let options = AhEncapsulatorOptions {
            spi,
            esn,
            last_sequence_number: sequence_number,
            mode,
            tunnel: tunnel_header(mode, tunnel.as_ref(), dscp, ecn, df, hop_limit)?,
            limits: limits.map(|(packets, octets)| Limits { packets: packets.0, octets: octets.0 }),
        };
        let encapsulator = AhEncapsulator::new(key(suite, keymat, esn)?, options)
            .map_err(|_| refused("AH in tunnel mode needs the outer addresses: tunnel=(source, destination)"))?;
        Ok(Self { encapsulator, process: Process::this() })
    }

    /// Put AH into every packet of a batch of IP packets.
    #[pyo3(signature = (batch))]
    fn encap(&self, py: Python<'_>, batch: &Bound<'_, PacketBatch>) -> PyResult<Results> {
        self.process.check()?;
        let packets = &batch.get().packets;
        let mut outcome = Outcome::with_buffer(pool::take());
        py.detach(|| self.encapsulator.encap(packets, &mut outcome));
        Results::new(py, outcome)
    }

    /// The SPI.
    #[getter]
    fn spi(&self) -> u32 {
        self.encapsulator.options().spi
    }

    /// The keyword of the integrity algorithm.
    #[getter]
    fn suite(&self) -> &'static str {
        self.encapsulator.key().integ().keyword
    }

    /// "tunnel" or "transport".
    #[getter]
    fn mode(&self) -> &'static str {
        mode_word(self.encapsulator.options().mode)
    }

    /// The last sequence number sent, 64 bits wide with ESN; 0 before the first.
    #[getter]
    fn sequence_number(&self) -> u64 {
        self.encapsulator.sequence_number()
    }

    /// Packets and octets that were encapsulated, and packets by what they failed for.
    #[getter]
    fn counters(&self) -> HashMap<&'static str, u64> {
        counters(self.encapsulator.counters()).into_iter().collect()
    }

    fn __repr__(&self) -> String {
        format!("<AhOutboundSa {:#010x} {}, last sent {}>", self.spi(), self.suite(), self.sequence_number())
    }
}

/// An inbound AH SA, for any number of threads.
#[pyclass(frozen, module = "ironswan.esp")]
pub struct AhInboundSa {
    decapsulator: AhDecapsulator,
    process: Process,
}

#[pymethods]
impl AhInboundSa {
    #[new]
    #[pyo3(signature = (spi, suite, keymat, *, mode="tunnel", replay_window=64, esn=false, sequence_number=0,
        selectors=None, ecn=true))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        spi: Spi,
        suite: &str,
        keymat: &[u8],
        mode: &str,
        #[pyo3(from_py_with = ranged::<32, 65_536>)] replay_window: u64,
        esn: bool,
        #[pyo3(from_py_with = ranged::<0, { u64::MAX }>)] sequence_number: u64,
        selectors: Option<Vec<(Bound<'_, PyAny>, Bound<'_, PyAny>)>>,
        ecn: bool,
    ) -> PyResult<Self> {
        let (spi, mode) = (spi.0 as u32, self::mode(mode)?);
        check_sequence_number(sequence_number, esn)?;
        let options = AhDecapsulatorOptions { spi, mode, accept: self::selectors(selectors)?, ecn };
        let window = ReplayWindow::new(replay_window as u32, esn, sequence_number);
        let decapsulator = AhDecapsulator::new(key(suite, keymat, esn)?, window, options);
        Ok(Self { decapsulator, process: Process::this() })
    }

    /// Take AH out of every packet of a batch of IP packets.
    #[pyo3(signature = (batch))]
    fn decap(&self, py: Python<'_>, batch: &Bound<'_, PacketBatch>) -> PyResult<Results> {
        self.process.check()?;
        let packets = &batch.get().packets;
        let mut outcome = Outcome::with_buffer(pool::take());
        py.detach(|| self.decapsulator.decap(packets, &mut outcome));
        Results::new(py, outcome)
    }

    /// The SPI.
    #[getter]
    fn spi(&self) -> u32 {
        self.decapsulator.options().spi
    }

    /// The keyword of the integrity algorithm.
    #[getter]
    fn suite(&self) -> &'static str {
        self.decapsulator.key().integ().keyword
    }

    /// "tunnel" or "transport".
    #[getter]
    fn mode(&self) -> &'static str {
        mode_word(self.decapsulator.options().mode)
    }

    /// The highest sequence number seen, 64 bits wide with ESN.
    #[getter]
    fn sequence_number(&self) -> u64 {
        self.decapsulator.window().highest()
    }

    /// Packets the replay window spans.
    #[getter]
    fn replay_window(&self) -> u32 {
        self.decapsulator.window().size()
    }

    /// The window: bit i says whether `sequence_number - i` was seen.
    #[getter]
    fn window(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        window_bits(py, &self.decapsulator.window())
    }

    /// Packets and octets that were decapsulated, and packets by what they were dropped for.
    #[getter]
    fn counters(&self) -> HashMap<&'static str, u64> {
        counters(self.decapsulator.counters()).into_iter().collect()
    }

    fn __repr__(&self) -> String {
        format!("<AhInboundSa {:#010x} {}, highest seen {}>", self.spi(), self.suite(), self.sequence_number())
    }
}

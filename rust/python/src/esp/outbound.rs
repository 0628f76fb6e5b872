//! `OutboundSa`.

use std::collections::HashMap;

use pyo3::prelude::*;

use ironswan_esp as core;
use ironswan_esp::encapsulation::{Encapsulator, EncapsulatorOptions, Limits, Mode, Outcome};

use super::arguments::{counters, framing, mode, mode_word, refused, spi, suite, tunnel_header};
use super::batch::PacketBatch;
use super::pool;
use super::results::Results;

/// An outbound ESP SA, for any number of threads.
#[pyclass(frozen, module = "ironswan.esp")]
pub struct OutboundSa {
    encapsulator: Encapsulator,
}

#[pymethods]
impl OutboundSa {
    #[new]
    #[pyo3(signature = (spi, suite, keymat, *, mode="tunnel", tunnel=None, udp_encap=None, esn=false, sequence_number=0,
        dscp=None, ecn=true, df="copy", hop_limit=64, tfc=None, limits=None))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
    fn new(
        spi: u32,
        suite: &str,
        keymat: &[u8],
        mode: &str,
        tunnel: Option<(String, String)>,
        udp_encap: Option<(u16, u16)>,
        esn: bool,
        sequence_number: u64,
        dscp: Option<u8>,
        ecn: bool,
        df: &str,
        hop_limit: u8,
        tfc: Option<u16>,
        limits: Option<(u64, u64)>,
    ) -> PyResult<Self> {
        let (spi, suite, mode) = (self::spi(spi)?, self::suite(suite)?, self::mode(mode)?);
        check_sequence_number(sequence_number, esn)?;
        if mode == Mode::Transport && tfc.is_some() {
            return Err(refused(
                "tfc pads the inner packets of tunnel mode; a transport payload does not say where it ends",
            ));
        }
        let sa = core::OutboundSa::new(spi, suite, keymat, esn, sequence_number).map_err(refused)?;
        let options = EncapsulatorOptions {
            mode,
            tunnel: tunnel_header(tunnel.as_ref(), dscp, ecn, df, hop_limit)?,
            udp: udp_encap,
            tfc: tfc.map_or(0, usize::from),
            limits: limits.map(|(packets, octets)| Limits { packets, octets }),
        };
        Ok(Self { encapsulator: Encapsulator::new(sa, options) })
    }

    /// Encapsulate every packet of a batch.
    #[pyo3(signature = (batch, *, framing="esp", next_header=61))]
    fn encap(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, PacketBatch>,
        framing: &str,
        next_header: u8,
    ) -> PyResult<Results> {
        let framing = self::framing(framing)?;
        let packets = &batch.get().packets;
        let mut outcome = Outcome::with_buffer(pool::take());
        py.detach(|| self.encapsulator.encap(packets, framing, next_header, &mut outcome)).map_err(refused)?;
        Results::new(py, outcome)
    }

    /// Make dummy packets (RFC 4303 2.6) with `length` octets of payload.
    #[pyo3(signature = (count, length, *, framing="esp"))]
    fn dummies(&self, py: Python<'_>, count: usize, length: u16, framing: &str) -> PyResult<Results> {
        let framing = self::framing(framing)?;
        let mut outcome = Outcome::with_buffer(pool::take());
        py.detach(|| self.encapsulator.dummies(count, usize::from(length), framing, &mut outcome)).map_err(refused)?;
        Results::new(py, outcome)
    }

    /// Octets that encapsulation adds to a packet of `length` octets; in transport mode its IP headers are not counted.
    #[pyo3(signature = (length, *, framing="esp"))]
    fn overhead(&self, length: u16, framing: &str) -> PyResult<usize> {
        Ok(self.encapsulator.overhead(usize::from(length), self::framing(framing)?))
    }

    /// The SPI.
    #[getter]
    fn spi(&self) -> u32 {
        self.encapsulator.sa().spi()
    }

    /// The suite's keyword.
    #[getter]
    fn suite(&self) -> String {
        self.encapsulator.sa().suite().to_string()
    }

    /// "tunnel" or "transport".
    #[getter]
    fn mode(&self) -> &'static str {
        mode_word(self.encapsulator.options().mode)
    }

    /// The last sequence number sent, 64 bits wide with ESN; 0 before the first.
    #[getter]
    fn sequence_number(&self) -> u64 {
        self.encapsulator.sa().sequence_number()
    }

    /// Packets and octets that were encapsulated, and packets by what they failed for.
    #[getter]
    fn counters(&self) -> HashMap<&'static str, u64> {
        counters(self.encapsulator.counters()).into_iter().collect()
    }

    fn __repr__(&self) -> String {
        let sa = self.encapsulator.sa();
        format!("<OutboundSa {:#010x} {} {}, last sent {}>", sa.spi(), sa.suite(), self.mode(), sa.sequence_number())
    }
}

pub(super) fn check_sequence_number(sequence_number: u64, esn: bool) -> PyResult<()> {
    if !esn && sequence_number > u64::from(u32::MAX) {
        return Err(refused("without esn=True a sequence number is at most 4294967295"));
    }
    Ok(())
}

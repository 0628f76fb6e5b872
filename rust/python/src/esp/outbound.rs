//! `OutboundSa`.

use std::collections::HashMap;

use pyo3::prelude::*;

use ironswan_esp as core;
use ironswan_esp::encapsulation::{Encapsulator, EncapsulatorOptions, Limits, Mode, Outcome};

use super::arguments::{counters, framing, mode, mode_word, refused, suite, tunnel_header};
use super::batch::PacketBatch;
use super::number::{Dscp, Long, Short, Spi, ranged};
use super::pool;
use super::process::Process;
use super::results::Results;

/// Dummies that are made at once, and octets of all of them: a number beyond is a mistake, and would exhaust memory.
const MOST_DUMMIES: usize = 65_536;
const MOST_OCTETS_OF_DUMMIES: usize = 64 << 20;

/// An outbound ESP SA, for any number of threads.
#[pyclass(frozen, module = "ironswan.esp")]
pub struct OutboundSa {
    encapsulator: Encapsulator,
    process: Process,
}

#[pymethods]
impl OutboundSa {
    #[new]
    #[pyo3(signature = (spi, suite, keymat, *, mode="tunnel", tunnel=None, udp_encap=None, esn=false, sequence_number=0,
        dscp=None, ecn=true, df="copy", hop_limit=64, tfc=None, limits=None))]
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)]
    fn new(
        spi: Spi,
        suite: &str,
        keymat: &[u8],
        mode: &str,
        tunnel: Option<(String, String)>,
        udp_encap: Option<(Short, Short)>,
        esn: bool,
        #[pyo3(from_py_with = ranged::<0, { u64::MAX }>)] sequence_number: u64,
        dscp: Option<Dscp>,
        ecn: bool,
        df: &str,
        #[pyo3(from_py_with = ranged::<1, 255>)] hop_limit: u64,
        tfc: Option<Short>,
        limits: Option<(Long, Long)>,
    ) -> PyResult<Self> {
        let (suite, mode) = (self::suite(suite)?, self::mode(mode)?);
        check_sequence_number(sequence_number, esn)?;
        if mode == Mode::Transport && tfc.is_some() {
            return Err(refused(
                "tfc pads the inner packets of tunnel mode; a transport payload does not say where it ends",
            ));
        }
        let sa = core::OutboundSa::new(spi.0 as u32, suite, keymat, esn, sequence_number).map_err(refused)?;
        let options = EncapsulatorOptions {
            mode,
            tunnel: tunnel_header(mode, tunnel.as_ref(), dscp, ecn, df, hop_limit)?,
            udp: udp_encap.map(|(source, destination)| (source.0 as u16, destination.0 as u16)),
            tfc: tfc.map_or(0, |tfc| tfc.0 as usize),
            limits: limits.map(|(packets, octets)| Limits { packets: packets.0, octets: octets.0 }),
        };
        Ok(Self { encapsulator: Encapsulator::new(sa, options), process: Process::this() })
    }

    /// Encapsulate every packet of a batch.
    #[pyo3(signature = (batch, *, framing="esp", next_header=61))]
    fn encap(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, PacketBatch>,
        framing: &str,
        #[pyo3(from_py_with = ranged::<0, 255>)] next_header: u64,
    ) -> PyResult<Results> {
        self.process.check()?;
        let framing = self::framing(framing)?;
        let packets = &batch.get().packets;
        let mut outcome = Outcome::with_buffer(pool::take());
        py.detach(|| self.encapsulator.encap(packets, framing, next_header as u8, &mut outcome)).map_err(refused)?;
        Results::new(py, outcome)
    }

    /// Make dummy packets (RFC 4303 2.6) with `length` octets of payload, at most 65,536 and 64 MiB at once.
    #[pyo3(signature = (count, length, *, framing="esp"))]
    fn dummies(&self, py: Python<'_>, count: usize, length: Short, framing: &str) -> PyResult<Results> {
        self.process.check()?;
        let (framing, len) = (self::framing(framing)?, length.0 as usize);
        let packet_len = len + self.encapsulator.overhead(len, framing);
        let most = MOST_DUMMIES.min(MOST_OCTETS_OF_DUMMIES / packet_len);
        if count > most {
            return Err(refused(format!("count is at most {most} for packets of {packet_len} octets")));
        }
        let mut outcome = Outcome::with_buffer(pool::take());
        py.detach(|| self.encapsulator.dummies(count, len, framing, &mut outcome)).map_err(refused)?;
        Results::new(py, outcome)
    }

    /// Octets that encapsulation adds to a packet of `length` octets; in transport mode its IP headers are not counted.
    #[pyo3(signature = (length, *, framing="esp"))]
    fn overhead(&self, length: Short, framing: &str) -> PyResult<usize> {
        Ok(self.encapsulator.overhead(length.0 as usize, self::framing(framing)?))
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

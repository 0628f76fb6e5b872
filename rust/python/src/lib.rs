//! The Python module `ironswan._native`: conversions between Python's values and those of the ESP engine and the data plane. No protocol logic.

mod arguments;
mod dataplane;
mod esp;
mod notices;

use std::os::fd::RawFd;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use ironswan_dataplane::traffic;

/// The data plane of ironswan: packets never enter Python.
// A PacketBatch copies buffers that Python may write to; only the interpreter's lock keeps it from writing meanwhile.
#[pymodule(name = "_native", gil_used = true)]
mod native {
    #[pymodule_export]
    use super::dataplane::DataPlane;
    #[pymodule_export]
    use super::esp::registry::suites;
    #[pymodule_export]
    use super::esp::{AhInboundSa, AhOutboundSa, InboundSa, OutboundSa, PacketBatch, Results, SuiteInfo};
    #[pymodule_export]
    use super::notices::{Acquire, IkeDatagram, InterfaceGone, SaNotice};
    #[pymodule_export]
    use super::{udp_flood, udp_receive, udp_send, udp_send_mix, udp_send_spread};
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}

/// Send datagrams of `size` octets on a connected socket for `seconds`, at most `rate` a second (0 no limit).
#[pyfunction]
#[pyo3(signature = (sock_fd, size, seconds, rate=0))]
fn udp_send(py: Python<'_>, sock_fd: RawFd, size: usize, seconds: f64, rate: u64) -> PyResult<u64> {
    let duration = duration(seconds)?;
    Ok(py.detach(|| traffic::send(sock_fd, &[size], duration, rate))?)
}

/// Send datagrams of `sizes` octets in turn, 64 sizes at most, as fast as it goes for `seconds`; how many were sent.
#[pyfunction]
#[pyo3(signature = (sock_fd, sizes, seconds))]
#[allow(clippy::needless_pass_by_value, reason = "PyO3 makes no slice of a list")]
fn udp_send_mix(py: Python<'_>, sock_fd: RawFd, sizes: Vec<usize>, seconds: f64) -> PyResult<u64> {
    let duration = duration(seconds)?;
    Ok(py.detach(|| traffic::send(sock_fd, &sizes, duration, 0))?)
}

/// Send datagrams with these payloads in turn, 64 at most and of one length, on a connected socket for `seconds`, at most
/// `rate` a second (0 no limit); how many were sent. The kernel cuts them from larger ones, which costs less.
#[pyfunction]
#[pyo3(signature = (sock_fd, payloads, seconds, rate=0))]
#[allow(clippy::needless_pass_by_value, reason = "PyO3 makes no slice of a list")]
fn udp_flood(py: Python<'_>, sock_fd: RawFd, payloads: Vec<Vec<u8>>, seconds: f64, rate: u64) -> PyResult<u64> {
    let duration = duration(seconds)?;
    Ok(py.detach(|| traffic::flood(sock_fd, &payloads, duration, rate))?)
}

/// Send datagrams of `size` octets from an unconnected socket for `seconds`, as fast as it goes, `in_a_row` to each of
/// `addresses` IPv4 addresses from `first` on; how many were sent.
#[pyfunction]
#[pyo3(signature = (sock_fd, size, seconds, *, first, addresses, in_a_row, port))]
#[allow(clippy::too_many_arguments, reason = "they have names in Python")]
fn udp_send_spread(
    py: Python<'_>,
    sock_fd: RawFd,
    size: usize,
    seconds: f64,
    first: &str,
    addresses: u32,
    in_a_row: u32,
    port: u16,
) -> PyResult<u64> {
    let duration = duration(seconds)?;
    let first = first.parse().map_err(|_| PyValueError::new_err(format!("{first:?} is no IPv4 address")))?;
    let spread = traffic::Spread { first, addresses, in_a_row, port };
    Ok(py.detach(|| traffic::send_spread(sock_fd, size, spread, duration))?)
}

/// Receive datagrams on a bound socket for `seconds`; how many came.
#[pyfunction]
#[pyo3(signature = (sock_fd, seconds))]
fn udp_receive(py: Python<'_>, sock_fd: RawFd, seconds: f64) -> PyResult<u64> {
    let duration = duration(seconds)?;
    Ok(py.detach(|| traffic::receive(sock_fd, duration))?)
}

fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

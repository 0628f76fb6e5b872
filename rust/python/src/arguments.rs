//! What the data plane is told, from Python's words to Rust's values.

use std::net::{IpAddr, SocketAddr};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use ironswan_dataplane::{CopyDs, CopyDscp, Error, Mode, Selector, Selectors, socket_address};

/// (protocol, start address, end address, start port, end port)
pub type SelectorTuple = (u8, String, String, u16, u16);

/// An error of the data plane as Python's.
#[allow(clippy::needless_pass_by_value, reason = "handed to map_err")]
pub fn refused(error: Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A mode by its name.
pub fn read_mode(mode: &str, nat_original: Option<&(String, String)>) -> PyResult<Mode> {
    match mode {
        "tunnel" => Ok(Mode::Tunnel),
        "transport" => {
            let read = |(source, destination): &(String, String)| Ok::<_, PyErr>((ip(source)?, ip(destination)?));
            Ok(Mode::Transport { nat_original: nat_original.map(read).transpose()? })
        }
        _ => Err(PyValueError::new_err(r#"mode is "tunnel" or "transport""#)),
    }
}

/// What is copied of the DS field, in swanctl's words.
pub fn read_copy(ecn: bool, dscp: &str) -> PyResult<CopyDs> {
    let dscp = match dscp {
        "out" => CopyDscp::Out,
        "in" => CopyDscp::In,
        "yes" => CopyDscp::Yes,
        "no" => CopyDscp::No,
        _ => return Err(PyValueError::new_err(r#"copy_dscp is "out", "in", "yes" or "no""#)),
    };
    Ok(CopyDs { ecn, dscp })
}

fn ip(text: &str) -> PyResult<IpAddr> {
    text.parse::<IpAddr>().map_err(|_| refused(Error::BadAddress(text.to_owned())))
}

/// An address with its port.
pub fn address(text: &str, port: u16) -> PyResult<SocketAddr> {
    socket_address(text, port).map_err(refused)
}

/// The selectors of an SA or a policy.
pub fn selectors(local: &[SelectorTuple], remote: &[SelectorTuple]) -> PyResult<Selectors> {
    let read = |tuples: &[SelectorTuple]| tuples.iter().map(selector).collect::<PyResult<Vec<_>>>();
    Ok(Selectors::new(read(local)?, read(remote)?))
}

fn selector((protocol, start, end, start_port, end_port): &SelectorTuple) -> PyResult<Selector> {
    Selector::new(*protocol, ip(start)?, ip(end)?, *start_port, *end_port).ok_or_else(|| refused(Error::BadSelector))
}

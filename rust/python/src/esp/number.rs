//! Numbers with a range: what lies outside is a `ValueError` that says so.

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;

/// A number of `LEAST..=MOST`.
#[derive(Clone, Copy)]
pub(super) struct Number<const LEAST: u64, const MOST: u64>(pub(super) u64);

/// A DSCP.
pub(super) type Dscp = Number<0, 63>;
/// A port, or octets of a packet.
pub(super) type Short = Number<0, 0xffff>;
/// An SPI: zero is never on the wire (RFC 4303 2.1).
pub(super) type Spi = Number<1, 0xffff_ffff>;
/// A sequence number or a limit.
pub(super) type Long = Number<0, { u64::MAX }>;

impl<'a, 'py, const LEAST: u64, const MOST: u64> FromPyObject<'a, 'py> for Number<LEAST, MOST> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let refused = || PyValueError::new_err(format!("a number of {LEAST}..{MOST} is expected, not {}", &*object));
        match object.extract::<u64>() {
            Ok(number) if (LEAST..=MOST).contains(&number) => Ok(Self(number)),
            Ok(_) => Err(refused()),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => Err(refused()),
            Err(error) => Err(error),
        }
    }
}

/// The number itself, for arguments that have one as default.
pub(super) fn ranged<const LEAST: u64, const MOST: u64>(object: &Bound<'_, PyAny>) -> PyResult<u64> {
    Ok(object.extract::<Number<LEAST, MOST>>()?.0)
}

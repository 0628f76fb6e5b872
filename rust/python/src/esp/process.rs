//! The process an SA belongs to. A fork copies it, and the copies would repeat nonces and take packets twice.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The process that made an SA.
pub(super) struct Process(u32);

impl Process {
    /// This one.
    pub(super) fn this() -> Self {
        Self(std::process::id())
    }

    /// Raises `RuntimeError` in any other process.
    pub(super) fn check(&self) -> PyResult<()> {
        if self.0 == std::process::id() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "an SA is not carried over a fork, where its sequence numbers would be used again: make a new one with new keys in the child",
        ))
    }
}

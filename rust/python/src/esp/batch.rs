//! `PacketBatch`.

use std::ffi::c_int;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyIndexError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyMemoryView, PySlice};

use ironswan_esp::encapsulation::Packets;

use super::pool;

/// Packets one behind the other in one read-only buffer.
#[pyclass(frozen, module = "ironswan.esp")]
pub struct PacketBatch {
    pub(super) packets: Packets,
}

impl From<Packets> for PacketBatch {
    fn from(packets: Packets) -> Self {
        Self { packets }
    }
}

impl Drop for PacketBatch {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.packets).into_octets());
    }
}

#[pymethods]
impl PacketBatch {
    #[new]
    #[pyo3(signature = (packets=None))]
    fn new(packets: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let mut batch = Packets::default();
        if let Some(packets) = packets {
            for packet in packets.try_iter()? {
                push(&mut batch, &packet?)?;
            }
        }
        Ok(batch.into())
    }

    /// From one buffer that holds the packets one behind the other. Raises `ValueError` unless the lengths add up to it.
    #[staticmethod]
    #[pyo3(signature = (buffer, lengths))]
    #[allow(clippy::needless_pass_by_value)]
    fn from_buffer(buffer: &Bound<'_, PyAny>, lengths: Vec<usize>) -> PyResult<Self> {
        with_octets(buffer, |octets| {
            let total = lengths.iter().try_fold(0_usize, |total, len| total.checked_add(*len));
            if total != Some(octets.len()) {
                let message = match total {
                    Some(total) => format!("the lengths add up to {total} octets, the buffer has {}", octets.len()),
                    None => "the lengths add up to more than memory has".to_owned(),
                };
                return Err(PyValueError::new_err(message));
            }
            let mut batch = Packets::with_capacity(lengths.len(), octets.len());
            let mut rest = octets;
            for len in &lengths {
                let (packet, behind) = rest.split_at(*len);
                batch.push(packet);
                rest = behind;
            }
            Ok(batch.into())
        })
    }

    /// Where each packet begins in the buffer, and where the last one ends.
    #[getter]
    fn offsets(&self) -> Vec<usize> {
        self.packets.offsets().to_vec()
    }

    /// Octets of each packet.
    #[getter]
    fn lengths(&self) -> Vec<usize> {
        self.packets.iter().map(<[u8]>::len).collect()
    }

    /// Octets of all packets.
    #[getter]
    fn nbytes(&self) -> usize {
        self.packets.octets().len()
    }

    /// Copies of the packets.
    fn tolist<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.packets.iter().map(|packet| PyBytes::new(py, packet)).collect()
    }

    /// The IP packets of a capture file, pcap or pcapng. Raises `OSError` and `ironswan.pcap`'s errors.
    #[staticmethod]
    #[pyo3(signature = (path))]
    fn from_pcap(path: &Bound<'_, PyAny>) -> PyResult<Self> {
        let packets = path.py().import("ironswan.pcap")?.getattr("ip_packets")?.call1((path,))?;
        Self::new(Some(&packets))
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        let count = slf.get().packets.len().cast_signed();
        let views = (0..count).map(|index| Self::__getitem__(slf, index)).collect::<PyResult<Vec<_>>>()?;
        views.into_pyobject(slf.py())?.try_iter()
    }

    fn __len__(&self) -> usize {
        self.packets.len()
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        let offsets = slf.get().packets.offsets();
        let index = if index < 0 { index + (offsets.len() - 1).cast_signed() } else { index };
        let bounds = usize::try_from(index).ok().and_then(|index| offsets.get(index..)?.first_chunk::<2>());
        let [start, end] = *bounds.ok_or_else(|| PyIndexError::new_err("no packet with that index"))?;
        let view = PyMemoryView::from(slf.as_any())?;
        view.get_item(PySlice::new(slf.py(), start.cast_signed(), end.cast_signed(), 1))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().packets == self.packets)
    }

    fn __repr__(&self) -> String {
        format!("<PacketBatch of {} packets, {} octets>", self.packets.len(), self.packets.octets().len())
    }

    #[allow(clippy::needless_pass_by_value, reason = "the slot's signature")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let octets = slf.get().packets.octets();
        let length = octets.len().cast_signed();
        // SAFETY: the buffer belongs to a frozen object, which the view keeps alive; FillInfo refuses a request to write.
        let result =
            unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), octets.as_ptr().cast_mut().cast(), length, 1, flags) };
        if result == 0 {
            Ok(())
        } else {
            let refused = || PyBufferError::new_err("a PacketBatch is read-only");
            Err(PyErr::take(slf.py()).unwrap_or_else(refused))
        }
    }
}

fn push(batch: &mut Packets, packet: &Bound<'_, PyAny>) -> PyResult<()> {
    with_octets(packet, |octets| {
        batch.push(octets);
        Ok(())
    })
}

/// Gives `work` the octets of any contiguous buffer.
fn with_octets<T>(object: &Bound<'_, PyAny>, work: impl FnOnce(&[u8]) -> PyResult<T>) -> PyResult<T> {
    if let Ok(octets) = object.cast::<PyBytes>() {
        return work(octets.as_bytes());
    }
    let buffer = PyBuffer::<u8>::get(object)?;
    if !buffer.is_c_contiguous() {
        return Err(PyBufferError::new_err("packets are contiguous buffers of octets"));
    }
    // SAFETY: the buffer is contiguous, alive until `buffer` is dropped, and nothing runs that could write to it: the
    // interpreter is held and `work` only copies.
    let octets = unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>().cast_const(), buffer.len_bytes()) };
    work(octets)
}

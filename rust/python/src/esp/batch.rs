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
        let octets = copied(buffer)?;
        let given = octets.len();
        Packets::cut(octets, &lengths).map(Self::from).ok_or_else(|| {
            let total = lengths.iter().try_fold(0_usize, |total, len| total.checked_add(*len));
            PyValueError::new_err(match total {
                Some(total) => format!("the lengths add up to {total} octets, the buffer has {given}"),
                None => "the lengths add up to more than memory has".to_owned(),
            })
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

/// Copies a packet behind the others.
fn push(batch: &mut Packets, packet: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(octets) = packet.cast::<PyBytes>() {
        batch.push(octets.as_bytes());
        return Ok(());
    }
    let octets = contiguous(packet)?;
    batch.push_with(octets.len_bytes(), |room| octets.copy_to_slice(packet.py(), room))
}

/// A copy of a buffer, in memory of the pool.
fn copied(buffer: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut copy = pool::take();
    if let Ok(octets) = buffer.cast::<PyBytes>() {
        let octets = octets.as_bytes();
        // Nobody writes to `bytes`, so others may have the interpreter meanwhile.
        buffer.py().detach(|| copy.extend_from_slice(octets));
    } else {
        let octets = contiguous(buffer)?;
        copy.resize(octets.len_bytes(), 0);
        octets.copy_to_slice(buffer.py(), &mut copy)?;
    }
    Ok(copy)
}

/// A contiguous buffer of octets. Somebody else may write to it, so it is only ever copied, by Python itself.
fn contiguous(object: &Bound<'_, PyAny>) -> PyResult<PyBuffer<u8>> {
    let buffer = PyBuffer::<u8>::get(object)?;
    if buffer.is_c_contiguous() {
        Ok(buffer)
    } else {
        Err(PyBufferError::new_err("packets are contiguous buffers of octets"))
    }
}

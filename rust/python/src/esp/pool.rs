//! Buffers of batches that are gone, for the next ones: memory fresh from the kernel costs more than the cipher.

use std::sync::{Mutex, PoisonError};

/// Buffers that are kept, and the largest of them in octets.
const MOST: usize = 8;
const LARGEST: usize = 4 << 20;

static BUFFERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty buffer, with memory where there is one.
pub(super) fn take() -> Vec<u8> {
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
}

/// Keeps a buffer's memory.
pub(super) fn give(mut buffer: Vec<u8>) {
    buffer.clear();
    if (1..=LARGEST).contains(&buffer.capacity()) {
        let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < MOST {
            buffers.push(buffer);
        }
    }
}

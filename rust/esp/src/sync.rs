//! What is shared between threads. The model in `tests/threads.rs` puts its own in this place and tries every interleaving.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
pub(crate) use std::sync::{Mutex, MutexGuard};

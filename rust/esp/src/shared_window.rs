//! The replay window of an SA that several threads use: locked to look and to mark, never while a packet is opened.

use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};
use crate::window::ReplayWindow;

pub(crate) struct SharedWindow(Mutex<ReplayWindow>);

impl SharedWindow {
    pub(crate) fn new(window: ReplayWindow) -> Self {
        Self(Mutex::new(window))
    }

    /// All bits of a packet's sequence number, when the window would accept it. Nothing is marked.
    pub(crate) fn check(&self, low: u32) -> Option<u64> {
        self.locked().look(low)
    }

    /// Checks again and marks an authentic packet's number as seen: of several threads with the same packet one is first.
    pub(crate) fn mark(&self, sequence_number: u64) -> bool {
        self.locked().mark(sequence_number)
    }

    /// The window, to check or mark several packets under one lock.
    pub(crate) fn locked(&self) -> MutexGuard<'_, ReplayWindow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

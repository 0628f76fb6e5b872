//! An inbound SA: the replay window, and packets opened in place (RFC 4303 3.4).

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::drop::Drop;
use crate::suite::{KeyError, Suite};
use crate::transform::{Job, Transform};
use crate::window::ReplayWindow;
use crate::{NO_NEXT_HEADER, PADDING, SPI_AND_SEQUENCE, TRAILER};

/// What a packet held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where the payload lies in the packet; traffic flow padding behind the inner datagram is still in it.
    pub range: Range<usize>,
    /// The payload's protocol.
    pub next_header: u8,
    /// The sequence number, all 64 bits of it with ESN.
    pub sequence_number: u64,
}

/// An inbound SA, for any number of threads. The window is locked for a few instructions, never while a packet is opened.
pub struct InboundSa {
    spi: u32,
    suite: Suite,
    transform: Box<dyn Transform>,
    header_len: usize,
    icv_len: usize,
    alignment: usize,
    window: Mutex<ReplayWindow>,
}

impl InboundSa {
    /// An SA with a window of `replay_window` packets (32..=65536); nothing up to `highest` is accepted. Fails when `keymat` is
    /// not as long as the suite takes.
    pub fn new(
        spi: u32,
        suite: Suite,
        keymat: &[u8],
        esn: bool,
        replay_window: u32,
        highest: u64,
    ) -> Result<Self, KeyError> {
        let transform = suite.transform(keymat, esn)?;
        Ok(Self {
            spi,
            suite,
            header_len: SPI_AND_SEQUENCE + transform.iv_len(),
            icv_len: transform.icv_len(),
            alignment: transform.alignment(),
            transform,
            window: Mutex::new(ReplayWindow::new(replay_window, esn, highest)),
        })
    }

    /// The SPI, as in the packets.
    pub fn spi(&self) -> u32 {
        self.spi
    }

    /// The suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// A copy of the window.
    pub fn window(&self) -> ReplayWindow {
        self.locked().clone()
    }

    /// Opens a packet, from its SPI to its ICV, where it lies.
    ///
    /// The order is RFC 4303's: the window is looked at first, the ICV decides, and only then is the number marked as seen.
    /// When an error is returned the packet's content is undefined and the SA unchanged, but for dummies and bad padding, which
    /// are authentic and therefore seen.
    pub fn open_in_place(&self, packet: &mut [u8]) -> Result<Opened, Drop> {
        let low = self.plan(packet)?;
        let sequence_number = check(&self.locked(), low)?;
        if !self.transform.open(&mut Job { sequence_number, packet }) {
            return Err(Drop::IcvMismatch);
        }
        if !self.locked().mark(sequence_number) {
            return Err(Drop::Replayed);
        }
        self.finish(packet, sequence_number)
    }

    /// Opens several packets and writes into `results`, as long as `packets`, what came of each. The window is locked twice in
    /// all.
    pub fn open_batch(&self, packets: &mut [&mut [u8]], results: &mut [Result<Opened, Drop>]) {
        {
            let window = self.locked();
            for (packet, result) in packets.iter().zip(results.iter_mut()) {
                *result = self.plan(packet).and_then(|low| check(&window, low)).map(|sequence_number| Opened {
                    range: 0..0,
                    next_header: 0,
                    sequence_number,
                });
            }
        }
        for (packet, result) in packets.iter_mut().zip(results.iter_mut()) {
            if let Ok(opened) = result
                && !self.transform.open(&mut Job { sequence_number: opened.sequence_number, packet })
            {
                *result = Err(Drop::IcvMismatch);
            }
        }
        let mut window = self.locked();
        for (packet, result) in packets.iter().zip(results.iter_mut()) {
            if let Ok(opened) = result {
                let sequence_number = opened.sequence_number;
                *result = if window.mark(sequence_number) {
                    self.finish(packet, sequence_number)
                } else {
                    Err(Drop::Replayed)
                };
            }
        }
    }

    /// Checks the length and gives the 32 bits of sequence number that the packet carries.
    fn plan(&self, packet: &[u8]) -> Result<u32, Drop> {
        let body = packet.len().checked_sub(self.header_len + self.icv_len).ok_or(Drop::Malformed)?;
        if body < TRAILER || !body.is_multiple_of(self.alignment) {
            return Err(Drop::Malformed);
        }
        Ok(u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]))
    }

    /// Takes the trailer off an authentic packet.
    fn finish(&self, packet: &[u8], sequence_number: u64) -> Result<Opened, Drop> {
        let body = &packet[self.header_len..packet.len() - self.icv_len];
        let (payload, trailer) = body.split_at(body.len() - TRAILER);
        let pad_len = usize::from(trailer[0]);
        let inner_len = payload.len().checked_sub(pad_len).ok_or(Drop::BadPadding)?;
        if payload[inner_len..] != PADDING[..pad_len] {
            return Err(Drop::BadPadding);
        }
        if trailer[1] == NO_NEXT_HEADER {
            return Err(Drop::Dummy);
        }
        let range = self.header_len..self.header_len + inner_len;
        Ok(Opened { range, next_header: trailer[1], sequence_number })
    }

    fn locked(&self) -> MutexGuard<'_, ReplayWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(window: &ReplayWindow, low: u32) -> Result<u64, Drop> {
    window.infer(low).filter(|number| window.check(*number)).ok_or(Drop::Replayed)
}

impl fmt::Debug for InboundSa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundSa").field("spi", &self.spi).field("suite", &self.suite).finish_non_exhaustive()
    }
}

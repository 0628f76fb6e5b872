//! An inbound SA: the replay window, and packets opened in place (RFC 4303 3.4).

use std::fmt;
use std::ops::Range;

use crate::drop::Drop;
use crate::erased::Erased;
use crate::prefetch::prefetch;
use crate::resync;
use crate::shared_window::SharedWindow;
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
///
/// A sender that is 2^32 or more packets ahead, so that the high half of the sequence number is not what was inferred, is found
/// again (RFC 4303 A3): after many packets in a row that are not authentic one is tried under the next few high halves.
pub struct InboundSa {
    spi: u32,
    suite: Suite,
    transform: Erased<dyn Transform>,
    header_len: usize,
    icv_len: usize,
    alignment: usize,
    window: SharedWindow,
    resync: Option<resync::Trigger>,
    side_by_side: bool,
}

/// Packets handed to the transform together.
const SIDE_BY_SIDE: usize = 32;

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
        let window = ReplayWindow::new(replay_window, esn, highest);
        Ok(Self::with_transform(spi, suite, suite.transform(keymat, esn)?, esn, window))
    }

    pub(crate) fn with_transform(
        spi: u32,
        suite: Suite,
        transform: Erased<dyn Transform>,
        esn: bool,
        window: ReplayWindow,
    ) -> Self {
        Self {
            spi,
            suite,
            header_len: SPI_AND_SEQUENCE + transform.iv_len(),
            icv_len: transform.icv_len(),
            alignment: transform.alignment(),
            side_by_side: transform.side_by_side(),
            transform,
            window: SharedWindow::new(window),
            resync: esn.then(resync::Trigger::default),
        }
    }

    /// Says that a packet for this SA comes soon.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(&*self.transform);
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
        self.window.locked().clone()
    }

    /// The highest sequence number seen.
    pub fn highest(&self) -> u64 {
        self.window.locked().highest()
    }

    /// Opens a packet, from its SPI to its ICV, where it lies.
    ///
    /// The order is RFC 4303's: the window is looked at first, the ICV decides, and only then is the number marked as seen.
    /// When an error is returned the packet's content is undefined and the SA unchanged, but for dummies and bad padding, which
    /// are authentic and therefore seen.
    pub fn open_in_place(&self, packet: &mut [u8]) -> Result<Opened, Drop> {
        let sequence_number = self.check(self.plan(packet)?)?;
        let sequence_number = self.open(sequence_number, packet)?;
        self.mark(sequence_number)?;
        self.finish(sequence_number, packet)
    }

    /// Opens several packets and writes into `results` what came of each. The window is locked twice in all, and the transform
    /// gets the packets side by side where that is faster.
    ///
    /// # Panics
    ///
    /// When `results` is not as long as `packets`.
    pub fn open_batch(&self, packets: &mut [&mut [u8]], results: &mut [Result<Opened, Drop>]) {
        assert_eq!(packets.len(), results.len(), "every packet has a result");
        {
            let window = self.window.locked();
            for (packet, result) in packets.iter().zip(results.iter_mut()) {
                *result = match self.plan(packet).and_then(|low| check(&window, low)) {
                    // What the packet holds is written by finish.
                    Ok(sequence_number) => Ok(Opened { range: 0..0, next_header: 0, sequence_number }),
                    Err(reason) => Err(reason),
                };
            }
        }
        for (packets, results) in packets.chunks_mut(SIDE_BY_SIDE).zip(results.chunks_mut(SIDE_BY_SIDE)) {
            self.open_some(packets, results);
        }
        let mut window = self.window.locked();
        for (packet, result) in packets.iter().zip(results.iter_mut()) {
            if let Ok(Opened { sequence_number, .. }) = *result {
                *result = mark(&mut window, sequence_number).and_then(|()| self.finish(sequence_number, packet));
            }
        }
    }

    /// Checks the length and gives the 32 bits of sequence number that the packet carries. The other steps rely on it.
    pub fn plan(&self, packet: &[u8]) -> Result<u32, Drop> {
        let body = packet.len().checked_sub(self.header_len + self.icv_len).ok_or(Drop::Malformed)?;
        if body < TRAILER || body & (self.alignment - 1) != 0 {
            return Err(Drop::Malformed);
        }
        Ok(u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]))
    }

    /// All bits of a packet's sequence number, when the window would accept it. The window is not moved.
    pub fn check(&self, low: u32) -> Result<u64, Drop> {
        self.window.check(low).ok_or(Drop::Replayed)
    }

    /// Opens a planned packet where it lies and gives its sequence number, which is another one than was inferred only when the
    /// sender was found again (RFC 4303 A3). The packet's content is undefined when it is not authentic.
    ///
    /// # Panics
    ///
    /// When `packet` is shorter than [`plan`](Self::plan) lets through.
    pub fn open(&self, sequence_number: u64, packet: &mut [u8]) -> Result<u64, Drop> {
        if self.resync.as_ref().is_some_and(resync::Trigger::due)
            && let Some(result) = self.open_ahead(sequence_number, packet)
        {
            return result;
        }
        let authentic = self.transform.open(&mut Job { sequence_number, packet });
        self.judge(authentic)?;
        Ok(sequence_number)
    }

    /// Checks again and marks an authentic packet's number as seen: of several threads with the same packet one is first.
    pub fn mark(&self, sequence_number: u64) -> Result<(), Drop> {
        if self.window.mark(sequence_number) { Ok(()) } else { Err(Drop::Replayed) }
    }

    /// Takes the trailer off an authentic packet.
    ///
    /// # Panics
    ///
    /// When `packet` is shorter than [`plan`](Self::plan) lets through.
    pub fn finish(&self, sequence_number: u64, packet: &[u8]) -> Result<Opened, Drop> {
        let body = &packet[self.header_len..packet.len() - self.icv_len];
        let (payload, trailer) = body.split_at(body.len() - TRAILER);
        // RFC 4303 2.6: of a dummy only the next header need be well-formed.
        if trailer[1] == NO_NEXT_HEADER {
            return Err(Drop::Dummy);
        }
        let pad_len = usize::from(trailer[0]);
        let inner_len = payload.len().checked_sub(pad_len).ok_or(Drop::BadPadding)?;
        if pad_len != 0 && payload[inner_len..] != PADDING[..pad_len] {
            return Err(Drop::BadPadding);
        }
        let range = self.header_len..self.header_len + inner_len;
        Ok(Opened { range, next_header: trailer[1], sequence_number })
    }

    /// Opens at most [`SIDE_BY_SIDE`] packets, those of which the window may accept.
    fn open_some(&self, packets: &mut [&mut [u8]], results: &mut [Result<Opened, Drop>]) {
        if !self.side_by_side || self.resync.as_ref().is_some_and(resync::Trigger::due) {
            for (packet, result) in packets.iter_mut().zip(results) {
                if let Ok(opened) = result {
                    match self.open(opened.sequence_number, packet) {
                        Ok(sequence_number) => opened.sequence_number = sequence_number,
                        Err(reason) => *result = Err(reason),
                    }
                }
            }
            return;
        }
        let mut jobs: [Job<'_>; SIDE_BY_SIDE] = std::array::from_fn(|_| Job { sequence_number: 0, packet: &mut [] });
        let mut count = 0;
        for (packet, result) in packets.iter_mut().zip(results.iter()) {
            if let Ok(opened) = result {
                jobs[count] = Job { sequence_number: opened.sequence_number, packet };
                count += 1;
            }
        }
        let mut authentic = [false; SIDE_BY_SIDE];
        self.transform.open_batch(&mut jobs[..count], &mut authentic[..count]);
        let accepted = results.iter_mut().filter(|result| result.is_ok());
        for (result, authentic) in accepted.zip(authentic) {
            if let Err(reason) = self.judge(authentic) {
                *result = Err(reason);
            }
        }
    }

    /// Tries a packet under the inferred high half and the next few (RFC 4303 A3.2). None: it is not selected for that.
    // Never inlined: its copy would make the stack frame of every packet larger.
    #[cold]
    #[inline(never)]
    fn open_ahead(&self, sequence_number: u64, packet: &mut [u8]) -> Option<Result<u64, Drop>> {
        let mut copy = [0; resync::LONGEST];
        let copy = copy.get_mut(..packet.len())?;
        if !self.resync.as_ref()?.take() {
            return None;
        }
        copy.copy_from_slice(packet);
        for ahead in 0..=resync::SUBSPACES {
            let Some(sequence_number) = sequence_number.checked_add(ahead << 32) else { break };
            packet.copy_from_slice(copy);
            if self.transform.open(&mut Job { sequence_number, packet }) {
                return Some(Ok(sequence_number));
            }
        }
        Some(Err(Drop::IcvMismatch))
    }

    fn judge(&self, authentic: bool) -> Result<(), Drop> {
        if let Some(trigger) = &self.resync {
            trigger.count(authentic);
        }
        if authentic { Ok(()) } else { Err(Drop::IcvMismatch) }
    }

    /// Whether packets are opened faster several at once.
    pub fn is_side_by_side(&self) -> bool {
        self.side_by_side
    }

    /// Octets in front of the payload: SPI, sequence number, IV.
    pub(crate) fn header_len(&self) -> usize {
        self.header_len
    }

    /// The window, to check or mark several packets under one lock.
    pub(crate) fn shared_window(&self) -> &SharedWindow {
        &self.window
    }
}

pub(crate) fn check(window: &ReplayWindow, low: u32) -> Result<u64, Drop> {
    window.look(low).ok_or(Drop::Replayed)
}

fn mark(window: &mut ReplayWindow, sequence_number: u64) -> Result<(), Drop> {
    if window.mark(sequence_number) { Ok(()) } else { Err(Drop::Replayed) }
}

impl fmt::Debug for InboundSa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundSa").field("spi", &self.spi).field("suite", &self.suite).finish_non_exhaustive()
    }
}

//! HMAC (RFC 2104) truncated as ESP and AH want it (RFC 2404, RFC 4868), over messages one by one or side by side.
//!
//! A key is kept as the two chaining values after its block, so that a message costs no block for the key.

use zeroize::Zeroize;

use crate::hash::Hash;
use crate::mac::{Icv, Mac, Message, one_by_one};

/// The longest block, SHA-512's.
const LONGEST_BLOCK: usize = 128;
/// The most messages that are hashed side by side.
const MOST_LANES: usize = 16;

pub(crate) struct Hmac<H: Hash> {
    inner: H::State,
    outer: H::State,
    icv_len: usize,
}

impl<H: Hash> Hmac<H> {
    /// None when the key is longer than a block; no algorithm of ESP has such a key.
    pub(crate) fn new(key: &[u8], icv_len: usize) -> Option<Self> {
        let mut block = [0; LONGEST_BLOCK];
        block[..H::BLOCK].get_mut(..key.len())?.copy_from_slice(key);
        let [inner, outer] = [0x36, 0x5c].map(|pad| {
            let mut padded = block.map(|octet| octet ^ pad);
            let mut state = H::INITIAL;
            H::compress(&mut state, &padded[..H::BLOCK]);
            padded.zeroize();
            state
        });
        block.zeroize();
        Some(Self { inner, outer, icv_len })
    }
}

impl<H: Hash> Mac for Hmac<H> {
    fn icv_len(&self) -> usize {
        self.icv_len
    }

    fn mac(&self, parts: &[&[u8]], icv: &mut [u8]) {
        let mut state = self.inner;
        let mut tail = Tail::<H>::default();
        let mut octets = 0;
        for part in parts {
            octets += part.len();
            let rest = tail.fill(part, &mut state);
            let (blocks, rest) = rest.split_at(rest.len() / H::BLOCK * H::BLOCK);
            H::compress(&mut state, blocks);
            tail.fill(rest, &mut state);
        }
        H::compress(&mut state, tail.padded(octets));
        tail.digest(&state);
        state = self.outer;
        H::compress(&mut state, tail.padded(H::DIGEST));
        H::write(&state, icv);
    }

    fn mac_batch(&self, messages: &[Message<'_>], icvs: &mut [Icv]) {
        if messages.len() < H::WORTH_LANES || H::lanes() == 0 {
            one_by_one(self, messages, icvs);
        } else {
            SideBySide { hmac: self, lanes: H::lanes() }.run(messages, icvs);
        }
    }
}

impl<H: Hash> Drop for Hmac<H> {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The end of a message that fills no block, and its padding.
struct Tail<H> {
    octets: [u8; 2 * LONGEST_BLOCK],
    filled: usize,
    hash: std::marker::PhantomData<H>,
}

impl<H> Default for Tail<H> {
    fn default() -> Self {
        Self { octets: [0; 2 * LONGEST_BLOCK], filled: 0, hash: std::marker::PhantomData }
    }
}

impl<H: Hash> Tail<H> {
    /// Adds what is needed to fill a block that was begun, hashes it when full, and gives the rest back. Where none was begun
    /// only less than a block is taken.
    fn fill<'a>(&mut self, part: &'a [u8], state: &mut H::State) -> &'a [u8] {
        if self.filled == 0 && part.len() >= H::BLOCK {
            return part;
        }
        let (now, rest) = part.split_at(part.len().min(H::BLOCK - self.filled));
        self.octets[self.filled..][..now.len()].copy_from_slice(now);
        self.filled += now.len();
        if self.filled == H::BLOCK {
            H::compress(state, &self.octets[..H::BLOCK]);
            self.filled = 0;
        }
        rest
    }

    /// The last blocks of a message of `octets` octets behind the key's block (FIPS 180-4 5.1).
    fn padded(&mut self, octets: usize) -> &[u8] {
        let end = (self.filled + 1 + H::LENGTH).next_multiple_of(H::BLOCK);
        self.octets[self.filled] = 0x80;
        self.octets[self.filled + 1..end - 8].fill(0);
        let bits = 8 * (H::BLOCK + octets) as u64;
        self.octets[end - 8..end].copy_from_slice(&bits.to_be_bytes());
        self.filled = 0;
        &self.octets[..end]
    }

    /// Holds the inner digest, for the outer hash.
    fn digest(&mut self, state: &H::State) {
        H::write(state, &mut self.octets[..H::DIGEST]);
        self.filled = H::DIGEST;
    }
}

/// One of the messages that are hashed side by side.
struct Lane<'a, H> {
    message: usize,
    /// Whole blocks of the message that are still to be hashed.
    body: &'a [u8],
    tail: Tail<H>,
    /// What of `tail` is still to be hashed.
    rest: std::ops::Range<usize>,
    outer: bool,
}

impl<'a, H: Hash> Lane<'a, H> {
    fn new(index: usize, message: &Message<'a>) -> Self {
        let packet = message.packet;
        let (body, end) = packet.split_at(packet.len() / H::BLOCK * H::BLOCK);
        let mut tail = Tail::default();
        let suffix = message.suffix();
        tail.octets[..end.len()].copy_from_slice(end);
        tail.octets[end.len()..][..suffix.len()].copy_from_slice(suffix);
        tail.filled = end.len() + suffix.len();
        let rest = 0..tail.padded(packet.len() + suffix.len()).len();
        Self { message: index, body, tail, rest, outer: false }
    }

    /// Blocks that can be hashed as they lie.
    fn ready(&self) -> &[u8] {
        if self.body.is_empty() { &self.tail.octets[self.rest.clone()] } else { self.body }
    }

    fn advance(&mut self, octets: usize) {
        if self.body.is_empty() {
            self.rest.start += octets;
        } else {
            self.body = &self.body[octets..];
        }
    }
}

struct SideBySide<'a, H: Hash> {
    hmac: &'a Hmac<H>,
    lanes: usize,
}

impl<H: Hash> SideBySide<'_, H> {
    /// Keeps every lane filled while there are messages: a lane that is done takes the next.
    fn run(&self, messages: &[Message<'_>], icvs: &mut [Icv]) {
        let mut lanes: [Option<Lane<'_, H>>; MOST_LANES] = [const { None }; MOST_LANES];
        let lanes = &mut lanes[..self.lanes];
        let mut states = [H::INITIAL; MOST_LANES];
        let mut waiting = messages.iter().enumerate();
        loop {
            for (lane, state) in lanes.iter_mut().zip(&mut states) {
                if lane.is_none() {
                    *lane = waiting.next().map(|(index, message)| Lane::new(index, message));
                    *state = self.hmac.inner;
                }
            }
            if !Self::step(lanes, &mut states[..self.lanes]) {
                return;
            }
            for (lane, state) in lanes.iter_mut().zip(&mut states) {
                if let Some(done) = lane.take_if(|lane| self.is_done(lane, state)) {
                    H::write(state, &mut icvs[done.message][..self.hmac.icv_len]);
                }
            }
        }
    }

    /// Hashes as many blocks of every lane as all of them have. False when no lane has any.
    fn step(lanes: &mut [Option<Lane<'_, H>>], states: &mut [H::State]) -> bool {
        let active = lanes.iter().flatten();
        let Some(octets) = active.clone().map(|lane| lane.ready().len()).min() else { return false };
        if active.clone().count() < H::WORTH_LANES {
            for (lane, state) in lanes.iter_mut().zip(states) {
                if let Some(lane) = lane {
                    H::compress(state, &lane.ready()[..octets]);
                    lane.advance(octets);
                }
            }
            return true;
        }
        // A lane without message hashes what another does.
        let filler = active.clone().next().map_or(&[][..], Lane::ready);
        let mut data = [&filler[..octets]; MOST_LANES];
        for (data, lane) in data.iter_mut().zip(lanes.iter()) {
            if let Some(lane) = lane {
                *data = &lane.ready()[..octets];
            }
        }
        H::compress_lanes(states, &data[..lanes.len()]);
        lanes.iter_mut().flatten().for_each(|lane| lane.advance(octets));
        true
    }

    /// Whether the lane's state is that of the outer hash; begins the outer hash where the inner one has ended.
    fn is_done(&self, lane: &mut Lane<'_, H>, state: &mut H::State) -> bool {
        if !lane.ready().is_empty() || lane.outer {
            return lane.ready().is_empty();
        }
        lane.tail.digest(state);
        lane.rest = 0..lane.tail.padded(H::DIGEST).len();
        lane.outer = true;
        *state = self.hmac.outer;
        false
    }
}

#[cfg(test)]
#[path = "hmac_tests.rs"]
mod tests;

//! The replay window (RFC 4303 3.4.3): a ring of bits in words, so that moving it never shifts, as RFC 6479 has one of words. Each
//! number that comes into the window takes the bit of one that leaves it.

const WORD: u64 = u64::BITS as u64;
/// Sizes that can be asked for.
const SIZES: std::ops::RangeInclusive<u32> = 32..=65_536;

/// Which sequence numbers were seen, from the highest back over the window's size.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    highest: u64,
    size: u64,
    esn: bool,
    words: Box<[u64]>,
}

impl ReplayWindow {
    /// A window of `size` packets, clamped to 32..=65536, exact. Nothing up to `highest` is accepted.
    pub fn new(size: u32, esn: bool, highest: u64) -> Self {
        let size = size.clamp(*SIZES.start(), *SIZES.end());
        let words = (size as usize).div_ceil(WORD as usize).next_power_of_two();
        let fill = if highest == 0 { 0 } else { u64::MAX };
        Self { highest, size: u64::from(size), esn, words: vec![fill; words].into() }
    }

    /// The highest sequence number that was marked.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Packets the window spans.
    pub fn size(&self) -> u32 {
        self.size as u32
    }

    /// The window as octets: bit i, counted from the least significant bit of the first octet, says whether the highest number
    /// less i was seen.
    pub fn bits(&self) -> Vec<u8> {
        let mut octets = vec![0; (self.size as usize).div_ceil(8)];
        for back in 0..self.size.min(self.highest) {
            octets[back as usize / 8] |= u8::from(self.seen(self.highest - back)) << (back % 8);
        }
        octets
    }

    /// All 64 bits of the sequence number of which a packet carries 32 (RFC 4303 A2.2). None: a number that cannot be.
    pub fn infer(&self, low: u32) -> Option<u64> {
        if !self.esn {
            return Some(u64::from(low));
        }
        let (high_t, low_t) = (self.highest >> 32, self.highest as u32);
        let left = low_t.wrapping_sub(self.size as u32 - 1);
        let high = if u64::from(low_t) >= self.size - 1 {
            // Case A: the window lies in one subspace; what is left of it belongs to the next.
            if low >= left { high_t } else { high_t + 1 }
        } else if low >= left {
            // Case B: the window reaches back into the subspace before.
            high_t.checked_sub(1)?
        } else {
            high_t
        };
        if high > u64::from(u32::MAX) {
            return None;
        }
        Some(high << 32 | u64::from(low))
    }

    /// All 64 bits of the number of a packet that may be accepted.
    pub(crate) fn look(&self, low: u32) -> Option<u64> {
        self.infer(low).filter(|number| self.check(*number))
    }

    /// Whether a packet with this number may be accepted: neither zero, nor left of the window, nor seen.
    pub fn check(&self, sequence_number: u64) -> bool {
        if sequence_number > self.highest {
            return true;
        }
        sequence_number != 0 && self.highest - sequence_number < self.size && !self.seen(sequence_number)
    }

    /// Checks again and marks as seen. Called only for authentic packets. False: another packet with this number was first.
    pub fn mark(&mut self, sequence_number: u64) -> bool {
        if !self.check(sequence_number) {
            return false;
        }
        if sequence_number > self.highest {
            self.advance(sequence_number);
        }
        let at = self.index(sequence_number);
        self.words[at] |= bit(sequence_number);
        true
    }

    /// Nothing between the highest number and this one was seen.
    fn advance(&mut self, sequence_number: u64) {
        let next = self.highest + 1;
        if sequence_number - self.highest >= self.words.len() as u64 * WORD {
            self.words.fill(0);
        } else {
            let (first, last) = (next / WORD, sequence_number / WORD);
            for word in first..=last {
                let before = if word == first { bit(next) - 1 } else { 0 };
                let behind = if word == last { !(bit(sequence_number) | (bit(sequence_number) - 1)) } else { 0 };
                let at = word as usize & (self.words.len() - 1);
                self.words[at] &= before | behind;
            }
        }
        self.highest = sequence_number;
    }

    fn seen(&self, sequence_number: u64) -> bool {
        self.words[self.index(sequence_number)] & bit(sequence_number) != 0
    }

    fn index(&self, sequence_number: u64) -> usize {
        (sequence_number / WORD) as usize & (self.words.len() - 1)
    }
}

const fn bit(sequence_number: u64) -> u64 {
    1 << (sequence_number % WORD)
}

//! What a thread carries between two looks at what waits.

use std::ops::AddAssign;
use std::time::Duration;

/// Packets in a round from which on there is load.
const PACKETS: usize = 8;
/// Octets that make as much of it.
const OCTETS: usize = 12_000;
/// Time from one packet to the next, on the average, below which small ones are a crowd.
const CROWDED: Duration = Duration::from_micros(7);
/// Octets of a packet, on the average, below which they are small.
const SMALL: usize = 1_000;

/// What a round of a thread has carried, or several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    /// Packets of it.
    pub packets: usize,
    /// Octets of it.
    pub octets: usize,
    /// Frames or messages in which the kernel gave them.
    pub pieces: usize,
    /// There may be more.
    pub more: bool,
}

impl Round {
    /// Whether it is one of a worker under load.
    pub fn is_large(self) -> bool {
        self.packets >= PACKETS || self.octets >= OCTETS
    }

    /// Whether this, carried in that time, was a crowd of small packets.
    pub fn is_crowd(self, elapsed: Duration) -> bool {
        let packets = self.packets.max(1);
        elapsed / (packets as u32) < CROWDED && self.octets / packets < SMALL
    }
}

impl AddAssign for Round {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.octets += other.octets;
        self.pieces += other.pieces;
        self.more |= other.more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(packets: usize, size: usize) -> Round {
        Round { packets, octets: packets * size, ..Round::default() }
    }

    #[test]
    fn many_packets_are_load_and_so_are_a_few_large_ones() {
        for (packets, size, is_so) in
            [(0, 0, false), (7, 64, false), (8, 1, true), (1, 12_000, true), (2, 5_999, false)]
        {
            assert_eq!(round(packets, size).is_large(), is_so, "{packets} of {size}");
        }
    }

    #[test]
    fn small_packets_are_a_crowd_when_they_are_many() {
        const TIME: Duration = Duration::from_millis(7);
        for (packets, size, is_so) in
            [(0, 0, false), (1_000, 64, false), (1_001, 64, true), (9_000, 999, true), (9_000, 1_000, false)]
        {
            assert_eq!(round(packets, size).is_crowd(TIME), is_so, "{packets} of {size}");
        }
        assert!(!round(1_001, 64).is_crowd(2 * TIME));
    }
}

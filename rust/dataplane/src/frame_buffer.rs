//! Room for a frame of the TUN, where the kernel copies it fastest.

use std::ops::{Deref, DerefMut};

use crate::vnet;

/// The longest frame.
const LEN: usize = vnet::LEN + 65_536;
/// The headers of the frames of most streams: offload header, IPv4, and TCP with timestamps.
const HEADERS: usize = vnet::LEN + 20 + 32;
/// Octets that a processor stores at once at most.
const WORD: usize = 64;

/// As long as the longest frame. The payload of most streams begins at a whole word: where it does not, many processors take half
/// as long again for the kernel's copy.
pub struct FrameBuffer {
    octets: Vec<u8>,
    start: usize,
}

impl FrameBuffer {
    /// Zeros.
    pub fn new() -> Self {
        let octets = vec![0; LEN + 2 * WORD];
        // Where this is not known (under Miri), frames lie anywhere.
        let start = (octets.as_ptr().align_offset(WORD) % WORD + WORD - HEADERS % WORD) % WORD;
        Self { octets, start }
    }
}

impl Deref for FrameBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.octets[self.start..][..LEN]
    }
}

impl DerefMut for FrameBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.octets[self.start..][..LEN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_room_for_the_longest_frame_with_the_payload_at_a_whole_word() {
        for _ in 0..3 {
            let buffer = FrameBuffer::new();
            assert_eq!(buffer.len(), LEN);
            assert_eq!(buffer[HEADERS..].as_ptr().align_offset(WORD), 0);
        }
    }
}

//! What runs ahead of the opening, so that SAs are in the cache by the time they are needed.

use std::ops::Range;

use crate::egress::Outlet;
use crate::inbound::Lookahead;
use crate::udp::{MESSAGE_LEN, Received, Receiver};

/// Goes through the datagrams that were received ahead of those who open them.
pub struct Scout<'a> {
    lookahead: Lookahead<'a>,
    messages: Range<usize>,
    message: Option<(usize, Received)>,
    start: usize,
}

impl<'a> Scout<'a> {
    /// Ahead as far as SAs take to come into the cache.
    pub fn new(outlet: &'a Outlet<'_>, count: usize, receiver: &Receiver) -> Self {
        let lookahead = Lookahead::new(&outlet.shared.sad);
        // Before a datagram that is alone there is nothing to do meanwhile.
        let alone = count == 1 && receiver.received(0).length <= receiver.received(0).segment;
        let messages = if alone { 0..0 } else { 0..count };
        let mut scout = Self { lookahead, messages, message: None, start: 0 };
        (0..Lookahead::AHEAD).for_each(|_| scout.step(receiver));
        scout
    }

    /// One datagram on.
    #[inline]
    pub fn step(&mut self, receiver: &Receiver) {
        if self.message.is_none_or(|(_, received)| self.start >= received.length) {
            self.message = self.messages.next().map(|index| (index, receiver.received(index)));
            self.start = 0;
        }
        let Some((index, message)) = self.message else { return };
        let at = index * MESSAGE_LEN + self.start;
        self.start += message.segment.max(1);
        if let Some(spi) = receiver.octets[at..].first_chunk() {
            self.lookahead.expect(u32::from_be_bytes(*spi));
        }
    }
}

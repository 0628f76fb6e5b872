//! What can be said of an IKE message by its header (RFC 7296 3.1), before it is copied or anybody reads it.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

const HEADER: usize = 28;
const FLAGS: usize = 19;
/// The sender is the original initiator of the IKE SA.
const INITIATOR: u8 = 0x08;

/// An IKE SPI.
pub type IkeSpi = [u8; 8];

/// Whose an IKE message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It names an IKE SA of ours.
    Known,
    /// Anybody may send as many of these as he likes.
    Stranger,
}

/// Our SPIs of the IKE SAs whose messages must get through a flood of others.
#[derive(Default)]
pub struct IkeSpis(RwLock<HashSet<IkeSpi>>);

impl IkeSpis {
    /// Messages with this SPI are not a stranger's from now on.
    pub fn admit(&self, spi: IkeSpi) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(spi);
    }

    /// They are again.
    pub fn dismiss(&self, spi: IkeSpi) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&spi);
    }

    /// Whose a message is; None when it is no IKE message: each has an initiator's SPI and its own length. Whatever else is
    /// wrong with it is for the control plane to say.
    pub fn standing(&self, data: &[u8]) -> Option<Standing> {
        let header: &[u8; HEADER] = data.first_chunk()?;
        let (initiator, responder) = (&header[..8], &header[8..16]);
        if initiator == [0; 8] || header[24..] != (data.len() as u32).to_be_bytes() {
            return None;
        }
        let ours = if header[FLAGS] & INITIATOR == 0 { initiator } else { responder };
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).contains(ours);
        Some(if known { Standing::Known } else { Standing::Stranger })
    }
}

/// How many messages of strangers are taken: so many at once, and one each interval. Far more than there can be key
/// exchanges, and few enough that a flood leaves the control plane, and the packet path beside it, their time.
pub struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    const MOST: u32 = 1024;
    const INTERVAL: Duration = Duration::from_micros(100);

    /// The whole of it.
    pub fn new(now: Instant) -> Self {
        Self { left: Self::MOST, since: now }
    }

    /// Whether one more may be taken.
    pub fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.since).as_micros() / Self::INTERVAL.as_micros();
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        if gained >= Self::MOST - self.left {
            (self.left, self.since) = (Self::MOST, now);
        } else {
            self.left += gained;
            self.since += Self::INTERVAL * gained;
        }
        let any = self.left > 0;
        self.left -= u32::from(any);
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_used_up_and_comes_back_with_time() {
        let mut now = Instant::now();
        let mut allowance = Allowance::new(now);
        let mut taken = |now| (0..5000).take_while(|_| allowance.take(now)).count();
        assert_eq!(taken(now), 1024);
        now += Duration::from_micros(150);
        assert_eq!(taken(now), 1);
        now += Duration::from_micros(50);
        assert_eq!(taken(now), 1);
        now += Duration::from_millis(10);
        assert_eq!(taken(now), 100);
        now += Duration::from_secs(1 << 40);
        assert_eq!(taken(now), 1024);
    }

    fn message(initiator: IkeSpi, responder: IkeSpi, flags: u8) -> Vec<u8> {
        let mut data = [initiator, responder].concat();
        data.extend([0x21, 0x20, 37, flags, 0, 0, 0, 1, 0, 0, 0, 30, 1, 2]);
        data
    }

    #[test]
    fn a_message_is_known_by_the_spi_on_our_side() {
        let spis = IkeSpis::default();
        spis.admit([7; 8]);
        assert_eq!(spis.standing(&message([1; 8], [7; 8], INITIATOR)), Some(Standing::Known));
        assert_eq!(spis.standing(&message([7; 8], [1; 8], 0)), Some(Standing::Known));
        assert_eq!(spis.standing(&message([7; 8], [1; 8], INITIATOR)), Some(Standing::Stranger));
        assert_eq!(spis.standing(&message([1; 8], [0; 8], INITIATOR)), Some(Standing::Stranger));
        spis.dismiss([7; 8]);
        assert_eq!(spis.standing(&message([7; 8], [1; 8], 0)), Some(Standing::Stranger));
    }

    #[test]
    fn what_has_no_ike_header_is_no_ike_message() {
        let spis = IkeSpis::default();
        let whole = message([1; 8], [2; 8], 0);
        for length in 0..whole.len() {
            assert_eq!(spis.standing(&whole[..length]), None);
        }
        assert_eq!(spis.standing(&message([0; 8], [2; 8], 0)), None);
        assert_eq!(spis.standing(&[whole, vec![0]].concat()), None);
    }
}

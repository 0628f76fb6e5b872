//! AH on the way in (RFC 4302 3.4).

use super::mutable::{self, Kept, Side};
use super::{AhKey, FIXED};
use crate::encapsulation::ip::IpHeaders;
use crate::encapsulation::{Accept, Counters, Mode, Outcome, Packets, Status, finish_inner, protocol};
use crate::shared_window::SharedWindow;
use crate::window::ReplayWindow;

/// What an [`AhDecapsulator`] needs besides its key.
pub struct AhDecapsulatorOptions {
    /// The SPI, as in the packets.
    pub spi: u32,
    /// Tunnel or transport.
    pub mode: Mode,
    /// The SA's selectors; None takes everything.
    pub accept: Option<Accept>,
    /// Whether congestion marks of the outer header are carried inward (RFC 6040).
    pub ecn: bool,
}

/// An inbound AH SA. Packets are whole IP packets.
pub struct AhDecapsulator {
    key: AhKey,
    options: AhDecapsulatorOptions,
    window: SharedWindow,
    counters: Counters,
}

/// A packet that was found authentic.
struct Authentic {
    sequence_number: u64,
    next_header: u8,
    /// Where the result lies in the buffer.
    start: usize,
    len: usize,
    /// Octets without the IP headers that stay in transport mode.
    carried: usize,
    anomaly: bool,
}

/// AH as it was found.
struct Found {
    headers: IpHeaders,
    ah_len: usize,
    sequence_number: u64,
}

impl AhDecapsulator {
    /// With a window; nothing up to its highest number is accepted.
    pub fn new(key: AhKey, window: ReplayWindow, options: AhDecapsulatorOptions) -> Self {
        Self { key, options, window: SharedWindow::new(window), counters: Counters::default() }
    }

    /// The key's algorithm.
    pub fn key(&self) -> &AhKey {
        &self.key
    }

    /// How it decapsulates.
    pub fn options(&self) -> &AhDecapsulatorOptions {
        &self.options
    }

    /// A copy of the window.
    pub fn window(&self) -> ReplayWindow {
        self.window.locked().clone()
    }

    /// What it has done.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes AH out of `packets`.
    pub fn decap(&self, packets: &Packets, outcome: &mut Outcome) {
        outcome.clear();
        let (mut octets, mut anomalies) = (0, 0);
        for packet in packets.iter() {
            let base = outcome.packets.octets.len();
            let (status, next_header, number, end) = match self.take(packet, &mut outcome.packets.octets) {
                Ok(Authentic { sequence_number, next_header, start, len, carried, anomaly }) => {
                    outcome.packets.octets.copy_within(start..start + len, base);
                    octets += carried as u64;
                    anomalies += u64::from(anomaly);
                    (Status::Ok, next_header, sequence_number, base + len)
                }
                Err(status) => {
                    anomalies += u64::from(status == Status::EcnIllegal);
                    (status, 0, 0, base)
                }
            };
            outcome.packets.octets.truncate(end);
            outcome.packets.offsets.push(end);
            outcome.statuses.push(status);
            outcome.next_headers.push(next_header);
            outcome.sequence_numbers.push(number);
        }
        self.counters.count(&outcome.statuses, octets, anomalies);
    }

    /// Copies a packet behind what is in `out`, and makes the result of it.
    fn take(&self, packet: &[u8], out: &mut Vec<u8>) -> Result<Authentic, Status> {
        let found = self.find(packet)?;
        let base = out.len();
        let headers = found.headers;
        out.extend_from_slice(&packet[..headers.total]);
        let copy = &mut out[base..];
        let kept = Kept::new(copy, headers.len).ok_or(Status::Malformed)?;
        mutable::clear(copy, &headers, Side::Receiver).ok_or(Status::Malformed)?;
        let icv = headers.len + FIXED..headers.len + FIXED + self.key.field_len();
        copy[icv.clone()].fill(0);
        if !self.key.verify(found.sequence_number, copy, &packet[icv]) {
            return Err(Status::IcvMismatch);
        }
        copy[..headers.len].copy_from_slice(kept.octets());
        if !self.window.mark(found.sequence_number) {
            return Err(Status::Replayed);
        }
        let next_header = packet[headers.len];
        let (start, len, anomaly) = self.finish(copy, &found, next_header)?;
        let carried = if self.options.mode == Mode::Tunnel { len } else { len - headers.len };
        let sequence_number = found.sequence_number;
        Ok(Authentic { sequence_number, next_header, start: base + start, len, carried, anomaly })
    }

    fn find(&self, packet: &[u8]) -> Result<Found, Status> {
        let headers = IpHeaders::received(packet).ok_or(Status::Malformed)?;
        if headers.fragment {
            return Err(Status::Fragment);
        }
        if headers.protocol != protocol::AH {
            return Err(Status::NotEsp);
        }
        let [_, len, _, _, spi @ .., s0, s1, s2, s3] =
            headers.payload(packet).first_chunk::<FIXED>().ok_or(Status::Malformed)?;
        if *spi != self.options.spi.to_be_bytes() {
            return Err(Status::WrongSpi);
        }
        let ah_len = 4 * (usize::from(*len) + 2);
        if ah_len != self.key.header_len(headers.v6) || ah_len > headers.total - headers.len {
            return Err(Status::Malformed);
        }
        let low = u32::from_be_bytes([*s0, *s1, *s2, *s3]);
        let sequence_number = self.window.check(low).ok_or(Status::Replayed)?;
        Ok(Found { headers, ah_len, sequence_number })
    }

    /// Where the result lies in the copy. AH has no dummies: next header 59 is a packet like others in transport mode, and no IP
    /// packet in tunnel mode.
    fn finish(&self, copy: &mut [u8], found: &Found, next_header: u8) -> Result<(usize, usize, bool), Status> {
        let headers = &found.headers;
        let behind = headers.len + found.ah_len;
        if self.options.mode == Mode::Tunnel {
            let class = self.options.ecn.then(|| IpHeaders::traffic_class(copy));
            let finished = finish_inner(&mut copy[behind..], next_header, class, self.options.accept.as_ref())?;
            return Ok((behind, finished.len, finished.anomaly));
        }
        copy.copy_within(..headers.len, found.ah_len);
        let packet = &mut copy[found.ah_len..];
        headers.rewrite(packet, next_header, headers.total - found.ah_len);
        if self.options.accept.as_ref().is_some_and(|accept| !accept(packet)) {
            return Err(Status::SelectorMismatch);
        }
        Ok((found.ah_len, headers.total - found.ah_len, false))
    }
}

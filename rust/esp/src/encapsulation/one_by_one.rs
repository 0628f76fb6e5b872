//! Decapsulation of tunnels whose suite opens packets one by one: each is put where its payload will be right behind the one before,
//! so that no payload is moved.

use std::ops::Range;

use super::Framing;
use super::decap::{Decapsulator, SIDE_BY_SIDE};
use super::opened::finish_inner;
use super::outcome::{Outcome, Plan, Status};
use crate::inbound;

/// The longest SPI, sequence number and IV of such a suite.
const LONGEST_HEADER: usize = 16;

impl Decapsulator {
    /// Opens some packets behind what is in the outcome already. Returns octets carried and ECN anomalies.
    pub(super) fn open_one_by_one<'a>(
        &self,
        input: impl Iterator<Item = &'a [u8]> + Clone,
        range: Range<usize>,
        framing: Framing,
        outcome: &mut Outcome,
    ) -> (u64, u64) {
        let mut numbers = self.checked(input.clone(), &range, outcome);
        let mut octets = 0;
        let mut anomalies = [false; SIDE_BY_SIDE];
        let slots = input.zip(range.clone()).zip(numbers.iter_mut().zip(&mut anomalies));
        for ((packet, index), (number, anomaly)) in slots {
            let mut next_header = 0;
            if outcome.statuses[index] == Status::Ok {
                let start = outcome.packets.octets.len();
                match self.open_behind(packet, outcome.plans[index], framing, number, &mut outcome.packets.octets) {
                    Ok((header, is_unsound)) => {
                        next_header = header;
                        octets += (outcome.packets.octets.len() - start) as u64;
                        *anomaly = is_unsound;
                    }
                    Err(status) => {
                        outcome.statuses[index] = status;
                        *anomaly = status == Status::EcnIllegal;
                    }
                }
            }
            outcome.next_headers.push(next_header);
            outcome.packets.offsets.push(outcome.packets.octets.len());
        }
        octets -= self.mark(&numbers, &range, &mut anomalies, outcome);
        (octets, anomalies.iter().filter(|anomaly| **anomaly).count() as u64)
    }

    /// The sequence numbers of what the window would accept; 0 for what it would not.
    fn checked<'a>(
        &self,
        input: impl Iterator<Item = &'a [u8]>,
        range: &Range<usize>,
        outcome: &mut Outcome,
    ) -> [u64; SIDE_BY_SIDE] {
        let mut numbers = [0; SIDE_BY_SIDE];
        let window = self.sa.shared_window().locked();
        for ((packet, index), number) in input.zip(range.clone()).zip(&mut numbers) {
            let Plan { at, len, .. } = outcome.plans[index];
            if outcome.statuses[index] == Status::Ok {
                let checked = self.sa.plan(&packet[at..at + len]).and_then(|low| inbound::check(&window, low));
                *number = checked.unwrap_or(0);
                outcome.statuses[index] = checked.map_or_else(Status::from, |_| Status::Ok);
            }
        }
        numbers
    }

    /// Opens one packet; its payload becomes the end of `out`, which is otherwise left as it was. `number` is set to 0 when the
    /// packet is not authentic. Returns the next header, and whether the ECN fields should not have met.
    fn open_behind(
        &self,
        packet: &[u8],
        plan: Plan,
        framing: Framing,
        number: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<(u8, bool), Status> {
        let header_len = self.sa.header_len();
        if out.len() < header_len {
            // Nothing is there for the header to lie over.
            let before = out.len();
            out.splice(0..0, [0; LONGEST_HEADER]);
            let result = self.open_behind(packet, plan, framing, number, out);
            out.drain(..LONGEST_HEADER);
            debug_assert!(result.is_ok() || out.len() == before);
            return result;
        }
        let start = out.len();
        let esp_at = start - header_len;
        let mut kept = [0; LONGEST_HEADER];
        kept[..header_len].copy_from_slice(&out[esp_at..]);
        out.truncate(esp_at);
        out.extend_from_slice(&packet[plan.at..plan.at + plan.len]);
        let opened = self.sa.open(*number, &mut out[esp_at..]);
        *number = opened.unwrap_or(0);
        let finished = opened.and_then(|number| self.sa.finish(number, &out[esp_at..]));
        out[esp_at..start].copy_from_slice(&kept[..header_len]);
        let result = finished.map_err(Status::from).and_then(|opened| {
            let class = self.outer_class(packet, framing);
            let payload = &mut out[start..start + opened.range.len()];
            let finished = finish_inner(payload, opened.next_header, class, self.options.accept.as_ref())?;
            Ok((finished, opened.next_header))
        });
        out.truncate(start + result.as_ref().map_or(0, |(finished, _)| finished.len));
        result.map(|(finished, next_header)| (next_header, finished.anomaly))
    }

    /// Marks authentic packets as seen, and takes out again those of which another thread, or the same batch, had one before.
    /// Returns the octets that were taken out.
    fn mark(
        &self,
        numbers: &[u64; SIDE_BY_SIDE],
        range: &Range<usize>,
        anomalies: &mut [bool; SIDE_BY_SIDE],
        outcome: &mut Outcome,
    ) -> u64 {
        let mut removed = 0;
        let mut window = self.sa.shared_window().locked();
        for ((index, number), anomaly) in range.clone().zip(numbers).zip(anomalies) {
            let is_first = *number == 0 || window.mark(*number);
            let is_opened = outcome.statuses[index] == Status::Ok;
            outcome.sequence_numbers.push(if is_first && is_opened { *number } else { 0 });
            let bounds = outcome.packets.offsets[index] - removed..outcome.packets.offsets[index + 1] - removed;
            outcome.packets.offsets[index] = bounds.start;
            if !is_first {
                outcome.statuses[index] = Status::Replayed;
                outcome.next_headers[index] = 0;
                *anomaly = false;
                removed += bounds.len();
                outcome.packets.octets.drain(bounds);
            }
        }
        outcome.packets.offsets[range.end] -= removed;
        removed as u64
    }
}

//! Decapsulation (RFC 4303 3.4).

use super::frame::{Found, find};
use super::ip::IpHeaders;
use super::nat::NatOriginal;
use super::opened::{Finished, finish_inner, finish_transport};
use super::outcome::{Counters, Outcome, Packets, Plan, Status};
use super::{Framing, Misuse, Mode};
use crate::drop::Drop;
use crate::inbound::{InboundSa, Opened};

/// Packets that are opened side by side.
pub(super) const SIDE_BY_SIDE: usize = 32;

/// Says whether a packet that was decapsulated is one the SA is for (RFC 4301 5.2).
pub type Accept = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What a [`Decapsulator`] needs besides its SA.
pub struct DecapsulatorOptions {
    /// Tunnel or transport.
    pub mode: Mode,
    /// The SA's selectors; None takes everything.
    pub accept: Option<Accept>,
    /// The addresses before a NAT, in transport mode.
    pub nat_original: Option<NatOriginal>,
    /// Whether congestion marks of the outer header are carried inward (RFC 6040).
    pub ecn: bool,
}

/// An inbound SA with what stands around it.
pub struct Decapsulator {
    pub(super) sa: InboundSa,
    pub(super) options: DecapsulatorOptions,
    counters: Counters,
}

impl Decapsulator {
    /// Around `sa`.
    pub fn new(sa: InboundSa, options: DecapsulatorOptions) -> Self {
        Self { sa, options, counters: Counters::default() }
    }

    /// The SA.
    pub fn sa(&self) -> &InboundSa {
        &self.sa
    }

    /// Tunnel or transport.
    pub fn mode(&self) -> Mode {
        self.options.mode
    }

    /// What it has done.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Decapsulates `packets` into `outcome`.
    pub fn decap(&self, packets: &Packets, framing: Framing, outcome: &mut Outcome) -> Result<(), Misuse> {
        if self.options.mode == Mode::Transport && framing != Framing::Ip && self.options.accept.is_some() {
            return Err(Misuse::NoAddresses);
        }
        outcome.clear();
        for packet in packets.iter() {
            self.plan(packet, framing, outcome);
        }
        outcome.packets.octets.reserve(outcome.plans.iter().map(|plan| plan.front + plan.len).sum());
        let (mut start, mut octets, mut anomalies) = (0, 0, 0);
        let one_by_one = self.options.mode == Mode::Tunnel && !self.sa.is_side_by_side();
        while start < packets.len() {
            let count = SIDE_BY_SIDE.min(packets.len() - start);
            let some = packets.some(start..start + count);
            let (carried, unsound) = if one_by_one {
                self.open_one_by_one(some, start..start + count, framing, outcome)
            } else {
                self.open_some(some, start..start + count, framing, outcome)
            };
            octets += carried;
            anomalies += unsound;
            start += count;
        }
        self.counters.count(&outcome.statuses, octets, anomalies);
        Ok(())
    }

    /// Finds ESP in a packet, and the octets before it that the result keeps.
    fn plan(&self, packet: &[u8], framing: Framing, outcome: &mut Outcome) {
        let found = find(packet, framing).and_then(|found| {
            let esp = &packet[found.at..found.at + found.len];
            match esp.first_chunk() {
                Some(spi) if *spi != self.sa.spi().to_be_bytes() => Err(Status::WrongSpi),
                Some(_) => Ok(found),
                None => Err(Status::Malformed),
            }
        });
        let plan = found
            .map_or_else(|_| Plan::default(), |found| Plan { front: self.kept(&found), len: found.len, at: found.at });
        outcome.plans.push(plan);
        outcome.statuses.push(found.err().unwrap_or(Status::Ok));
    }

    /// The traffic class of the outer header of a tunnel whose ECN field is carried inward (RFC 6040).
    pub(super) fn outer_class(&self, packet: &[u8], framing: Framing) -> Option<u8> {
        let carried = self.options.ecn && self.options.mode == Mode::Tunnel && framing == Framing::Ip;
        carried.then(|| IpHeaders::traffic_class(packet))
    }

    /// Octets of IP headers that stay in transport mode.
    fn kept(&self, found: &Found) -> usize {
        match (self.options.mode, found.headers) {
            (Mode::Transport, Some(IpHeaders { len, .. })) => len,
            _ => 0,
        }
    }

    /// Opens some packets behind what is in the outcome already, and closes the gaps that headers and trailers leave. Returns
    /// octets carried and ECN anomalies.
    fn open_some<'a>(
        &self,
        input: impl Iterator<Item = &'a [u8]>,
        range: std::ops::Range<usize>,
        framing: Framing,
        outcome: &mut Outcome,
    ) -> (u64, u64) {
        let base = outcome.packets.octets.len();
        let mut founds = [None; SIDE_BY_SIDE];
        let mut classes = [None; SIDE_BY_SIDE];
        for ((found, class), (packet, index)) in founds.iter_mut().zip(&mut classes).zip(input.zip(range.clone())) {
            if outcome.statuses[index] == Status::Ok
                && let Ok(place) = find(packet, framing)
            {
                let out = &mut outcome.packets.octets;
                out.extend_from_slice(&packet[..self.kept(&place)]);
                out.extend_from_slice(&packet[place.at..place.at + place.len]);
                *class = self.outer_class(packet, framing);
                *found = Some(place);
            }
        }
        let results = self.open(base, &range, outcome);
        let (mut read, mut write, mut octets, mut anomalies) = (base, base, 0, 0);
        for (slot, index) in range.enumerate() {
            let plan = outcome.plans[index];
            let (mut next_header, mut number) = (0, 0);
            if let Some(found) = &founds[slot] {
                match self.finish(&mut outcome.packets.octets, read, plan, found, classes[slot], &results[slot]) {
                    Ok((from, finished)) => {
                        outcome.packets.octets.copy_within(from..from + finished.len, write);
                        write += finished.len;
                        octets += (finished.len - plan.front) as u64;
                        anomalies += u64::from(finished.anomaly);
                        if let Ok(opened) = &results[slot] {
                            (next_header, number) = (opened.next_header, opened.sequence_number);
                        }
                    }
                    Err(status) => {
                        outcome.statuses[index] = status;
                        anomalies += u64::from(status == Status::EcnIllegal);
                    }
                }
                read += plan.front + plan.len;
            }
            outcome.next_headers.push(next_header);
            outcome.sequence_numbers.push(number);
            outcome.packets.offsets.push(write);
        }
        outcome.packets.octets.truncate(write);
        (octets, anomalies)
    }

    fn open(
        &self,
        base: usize,
        range: &std::ops::Range<usize>,
        outcome: &mut Outcome,
    ) -> [Result<Opened, Drop>; SIDE_BY_SIDE] {
        let mut results = [const { Err(Drop::Malformed) }; SIDE_BY_SIDE];
        let mut jobs: [&mut [u8]; SIDE_BY_SIDE] = std::array::from_fn(|_| &mut [][..]);
        let mut rest = &mut outcome.packets.octets[base..];
        for (job, index) in jobs.iter_mut().zip(range.clone()) {
            let Plan { front, len, .. } = outcome.plans[index];
            let (packet, behind) = rest.split_at_mut(front + len);
            *job = &mut packet[front..];
            rest = behind;
        }
        self.sa.open_batch(&mut jobs[..range.len()], &mut results[..range.len()]);
        results
    }

    /// Checks what was opened and says where the result lies.
    fn finish(
        &self,
        octets: &mut [u8],
        read: usize,
        plan: Plan,
        found: &Found,
        class: Option<u8>,
        result: &Result<Opened, Drop>,
    ) -> Result<(usize, Finished), Status> {
        let opened = result.as_ref().map_err(|reason| Status::from(*reason))?;
        let payload = read + plan.front + opened.range.start..read + plan.front + opened.range.end;
        if self.options.mode == Mode::Tunnel {
            let start = payload.start;
            let accept = self.options.accept.as_ref();
            let finished = finish_inner(&mut octets[payload], opened.next_header, class, accept)?;
            return Ok((start, finished));
        }
        // The headers move up to their payload, over SPI, sequence number and IV.
        let start = payload.start - plan.front;
        octets.copy_within(read..read + plan.front, start);
        let finished = finish_transport(&mut octets[start..payload.end], found, opened.next_header, &self.options)?;
        Ok((start, finished))
    }
}

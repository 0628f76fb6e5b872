//! AH on the way out (RFC 4302 3.3).

use super::AhKey;
use super::mutable::{self, Kept, Side};
use crate::encapsulation::ip::{IpHeaders, LONGEST, tunnelled};
use crate::encapsulation::outcome::Plan;
use crate::encapsulation::{Counters, Limits, Misuse, Mode, Outcome, Packets, Status, TunnelHeader, Used, protocol};
use crate::sequence::Sequence;

/// What an [`AhEncapsulator`] needs besides its key.
#[derive(Clone, Copy, Debug)]
pub struct AhEncapsulatorOptions {
    /// The SPI, as in the packets.
    pub spi: u32,
    /// Whether sequence numbers are 64 bits wide.
    pub esn: bool,
    /// The last sequence number sent; 0: none yet.
    pub last_sequence_number: u64,
    /// Tunnel or transport.
    pub mode: Mode,
    /// The outer header in tunnel mode.
    pub tunnel: Option<TunnelHeader>,
    /// What may leave under the key.
    pub limits: Option<Limits>,
}

/// An outbound AH SA. Packets are whole IP packets.
pub struct AhEncapsulator {
    key: AhKey,
    options: AhEncapsulatorOptions,
    sequence: Sequence,
    used: Used,
    counters: Counters,
}

impl AhEncapsulator {
    /// Fails in tunnel mode without addresses.
    pub fn new(key: AhKey, options: AhEncapsulatorOptions) -> Result<Self, Misuse> {
        if options.mode == Mode::Tunnel && options.tunnel.is_none() {
            return Err(Misuse::NoTunnel);
        }
        let sequence = Sequence::new(options.esn, options.last_sequence_number);
        Ok(Self { key, sequence, used: Used::new(options.limits), options, counters: Counters::default() })
    }

    /// The key's algorithm and what the SA was made with.
    pub fn key(&self) -> &AhKey {
        &self.key
    }

    /// How it encapsulates.
    pub fn options(&self) -> &AhEncapsulatorOptions {
        &self.options
    }

    /// The last sequence number that was taken.
    pub fn sequence_number(&self) -> u64 {
        self.sequence.last_taken()
    }

    /// What it has done.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Puts AH into `packets`.
    pub fn encap(&self, packets: &Packets, outcome: &mut Outcome) {
        outcome.clear();
        for packet in packets.iter() {
            let planned = self.plan(packet);
            outcome.statuses.push(planned.err().unwrap_or(Status::Ok));
            let (plan, next_header) = planned.unwrap_or_default();
            outcome.plans.push(plan);
            outcome.next_headers.push(next_header);
        }
        self.used.keep_within(outcome);
        outcome.number(|count| self.sequence.claim_up_to(count));
        let mut octets = 0;
        for (index, packet) in packets.iter().enumerate() {
            if outcome.statuses[index] == Status::Ok {
                let (plan, number) = (outcome.plans[index], outcome.sequence_numbers[index]);
                let (start, out) = (outcome.packets.octets.len(), &mut outcome.packets.octets);
                if self.write(packet, plan, outcome.next_headers[index], number, out).is_some() {
                    octets += plan.len as u64;
                } else {
                    // Nothing comes here that was planned; were it so, nothing unsigned would leave.
                    out.truncate(start);
                    outcome.statuses[index] = Status::Malformed;
                    (outcome.next_headers[index], outcome.sequence_numbers[index]) = (0, 0);
                }
            }
            outcome.packets.offsets.push(outcome.packets.octets.len());
        }
        self.counters.count(&outcome.statuses, octets, 0);
    }

    fn tunnel(&self) -> Option<TunnelHeader> {
        self.options.tunnel.filter(|_| self.options.mode == Mode::Tunnel)
    }

    /// Where AH goes and what stands behind it. What passes here can be signed: nothing fails once it has a sequence number.
    fn plan(&self, packet: &[u8]) -> Result<(Plan, u8), Status> {
        let (plan, next_header, v6) = if let Some(tunnel) = self.tunnel() {
            let (next_header, len) = tunnelled(packet).ok_or(Status::Malformed)?;
            (Plan { front: tunnel.len(), len, at: 0 }, next_header, tunnel.is_ipv6())
        } else {
            let headers = IpHeaders::read(packet).ok_or(Status::Malformed)?;
            if headers.fragment {
                return Err(Status::Fragment);
            }
            if !mutable::is_sound(packet, &headers) {
                return Err(Status::Malformed);
            }
            let plan = Plan { front: headers.len, len: headers.total - headers.len, at: 0 };
            (plan, headers.protocol, headers.v6)
        };
        let total = plan.front + self.key.header_len(v6) + plan.len;
        if total > LONGEST { Err(Status::TooLong) } else { Ok((plan, next_header)) }
    }

    /// None when headers do not hold together.
    fn write(&self, packet: &[u8], plan: Plan, next_header: u8, number: u64, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        let payload = if let Some(tunnel) = self.tunnel() {
            out.resize(start + plan.front, 0);
            let payload_len = self.key.header_len(tunnel.is_ipv6()) + plan.len;
            tunnel.write(&mut out[start..], packet, protocol::AH, payload_len, number as u16);
            &packet[..plan.len]
        } else {
            let headers = IpHeaders::read(packet)?;
            out.extend_from_slice(&packet[..plan.front]);
            let total = plan.front + self.key.header_len(headers.v6) + plan.len;
            headers.rewrite(&mut out[start..], protocol::AH, total);
            &packet[plan.front..headers.total]
        };
        let ah_len = self.key.header_len(out[start] >> 4 == 6);
        out.extend_from_slice(&[next_header, (ah_len / 4 - 2) as u8, 0, 0]);
        out.extend_from_slice(&self.options.spi.to_be_bytes());
        out.extend_from_slice(&(number as u32).to_be_bytes());
        out.resize(start + plan.front + ah_len, 0);
        out.extend_from_slice(payload);
        self.sign(&mut out[start..], plan.front, number)
    }

    /// Computes the ICV with the mutable fields cleared, and puts them back.
    fn sign(&self, packet: &mut [u8], ah_at: usize, number: u64) -> Option<()> {
        let headers = IpHeaders::received(packet)?;
        let kept = Kept::new(packet, ah_at)?;
        mutable::clear(packet, &headers, Side::Sender)?;
        self.key.sign(number, packet, ah_at);
        packet[..ah_at].copy_from_slice(kept.octets());
        Some(())
    }
}

//! Encapsulation (RFC 4303 3.3).

use std::fmt;

use super::frame::{set_udp_checksum_v6, write_udp};
use super::ip::{IpHeaders, LONGEST, tunnelled};
use super::limits::{Limits, Used};
use super::outcome::{Counters, Outcome, Packets, Plan, Status};
use super::outer::TunnelHeader;
use super::{Framing, Mode, UDP_HEADER, protocol};
use crate::NO_NEXT_HEADER;
use crate::outbound::OutboundSa;
use crate::transform::Job;

/// Packets that are sealed side by side.
const SIDE_BY_SIDE: usize = 64;
static ZEROS: [u8; 512] = [0; 512];

/// What an [`Encapsulator`] needs besides its SA.
#[derive(Clone, Copy, Debug)]
pub struct EncapsulatorOptions {
    /// Tunnel or transport.
    pub mode: Mode,
    /// The outer header in tunnel mode; needed for [`Framing::Ip`] there, and ignored in transport mode.
    pub tunnel: Option<TunnelHeader>,
    /// Source and destination port of UDP encapsulation.
    pub udp: Option<(u16, u16)>,
    /// Inner packets of a tunnel are padded to this many octets (RFC 4303 2.7).
    pub tfc: usize,
    /// What may leave under the key.
    pub limits: Option<Limits>,
}

/// A framing that the SA has nothing to make of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// IP headers in tunnel mode without the tunnel's addresses.
    NoTunnel,
    /// A UDP header without ports.
    NoPorts,
    /// In transport mode there are selectors and no addresses to hold against them.
    NoAddresses,
    /// A dummy of transport mode with IP headers, of which it has none.
    NoHeaders,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTunnel => r#"framing="ip" in tunnel mode needs the outer addresses: tunnel=(source, destination)"#,
            Self::NoPorts => r#"framing="udp" needs ports: udp_encap=(source port, destination port)"#,
            Self::NoAddresses => r#"selectors in transport mode need the IP headers: framing="ip""#,
            Self::NoHeaders => r#"a dummy in transport mode has no IP headers: framing="esp" or "udp""#,
        })
    }
}

impl std::error::Error for Misuse {}

/// An outbound SA with what stands around it.
pub struct Encapsulator {
    sa: OutboundSa,
    options: EncapsulatorOptions,
    used: Used,
    counters: Counters,
}

impl Encapsulator {
    /// Around `sa`.
    pub fn new(sa: OutboundSa, options: EncapsulatorOptions) -> Self {
        Self { sa, used: Used::new(options.limits), options, counters: Counters::default() }
    }

    /// The SA.
    pub fn sa(&self) -> &OutboundSa {
        &self.sa
    }

    /// How it encapsulates.
    pub fn options(&self) -> &EncapsulatorOptions {
        &self.options
    }

    /// What it has done.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Encapsulates `packets` into `outcome`. `next_header` says what bare payloads are (transport mode without IP headers).
    pub fn encap(
        &self,
        packets: &Packets,
        framing: Framing,
        next_header: u8,
        outcome: &mut Outcome,
    ) -> Result<(), Misuse> {
        self.check(framing)?;
        outcome.clear();
        let mut octets = 0;
        for packet in packets.iter() {
            octets += self.plan(packet, framing, next_header, outcome);
        }
        self.used.keep_within(outcome);
        outcome.number(|count| self.sa.claim_up_to(count));
        outcome.packets.octets.reserve(octets);
        let mut carried = 0;
        for (index, packet) in packets.iter().enumerate() {
            if outcome.statuses[index] == Status::Ok {
                let plan = outcome.plans[index];
                carried += self.write(packet, plan, framing, outcome.sequence_numbers[index], &mut outcome.packets);
            }
            outcome.packets.offsets.push(outcome.packets.octets.len());
        }
        self.seal(framing, outcome);
        self.counters.count(&outcome.statuses, carried, 0);
        Ok(())
    }

    /// Makes `count` dummy packets (RFC 4303 2.6) with `len` octets of payload.
    pub fn dummies(&self, count: usize, len: usize, framing: Framing, outcome: &mut Outcome) -> Result<(), Misuse> {
        self.check(framing)?;
        if framing == Framing::Ip && self.options.mode == Mode::Transport {
            return Err(Misuse::NoHeaders);
        }
        outcome.clear();
        let plan = Plan { front: self.front(framing), len, at: 0 };
        let fits = self.fits(plan, framing);
        outcome.statuses.resize(count, if fits { Status::Ok } else { Status::TooLong });
        outcome.next_headers.resize(count, NO_NEXT_HEADER);
        outcome.plans.resize(count, plan);
        self.used.keep_within(outcome);
        outcome.number(|count| self.sa.claim_up_to(count));
        for index in 0..count {
            if outcome.statuses[index] == Status::Ok {
                self.write(&[], plan, framing, outcome.sequence_numbers[index], &mut outcome.packets);
            }
            outcome.packets.offsets.push(outcome.packets.octets.len());
        }
        self.seal(framing, outcome);
        self.counters.count(&outcome.statuses, 0, 0);
        Ok(())
    }

    /// Octets that encapsulation adds to a packet of `len` octets, IP headers of transport mode not counted.
    pub fn overhead(&self, len: usize, framing: Framing) -> usize {
        self.front(framing) + self.sa.packet_len(self.padded(len)) - len
    }

    fn check(&self, framing: Framing) -> Result<(), Misuse> {
        match (framing, self.options.mode) {
            (Framing::Ip, Mode::Tunnel) if self.options.tunnel.is_none() => Err(Misuse::NoTunnel),
            (Framing::Udp, _) if self.options.udp.is_none() => Err(Misuse::NoPorts),
            _ => Ok(()),
        }
    }

    fn tunnel(&self) -> Option<TunnelHeader> {
        self.options.tunnel.filter(|_| self.options.mode == Mode::Tunnel)
    }

    /// Octets of new headers before ESP.
    fn front(&self, framing: Framing) -> usize {
        let udp = if self.options.udp.is_some() { UDP_HEADER } else { 0 };
        match framing {
            Framing::Esp => 0,
            Framing::Udp => UDP_HEADER,
            Framing::Ip => udp + self.tunnel().map_or(0, |tunnel| tunnel.len()),
        }
    }

    /// Octets of payload with the TFC padding of a packet of `len` octets.
    fn padded(&self, len: usize) -> usize {
        len.max(self.options.tfc)
    }

    fn fits(&self, plan: Plan, framing: Framing) -> bool {
        framing == Framing::Esp || plan.front + self.sa.packet_len(self.padded(plan.len)) <= LONGEST
    }

    /// Decides what becomes of a packet, and returns how long it will be.
    fn plan(&self, packet: &[u8], framing: Framing, next_header: u8, outcome: &mut Outcome) -> usize {
        let planned = match self.options.mode {
            Mode::Tunnel => self.plan_tunnel(packet, framing),
            Mode::Transport if framing == Framing::Ip => self.plan_transport(packet),
            Mode::Transport => Ok((Plan { front: self.front(framing), len: packet.len(), at: 0 }, next_header)),
        };
        let planned =
            planned.and_then(
                |(plan, next_header)| {
                    if self.fits(plan, framing) { Ok((plan, next_header)) } else { Err(Status::TooLong) }
                },
            );
        let (plan, next_header) = planned.unwrap_or_default();
        outcome.statuses.push(planned.err().unwrap_or(Status::Ok));
        outcome.next_headers.push(next_header);
        outcome.plans.push(plan);
        if planned.is_ok() { plan.front + self.sa.packet_len(self.padded(plan.len)) } else { 0 }
    }

    fn plan_tunnel(&self, packet: &[u8], framing: Framing) -> Result<(Plan, u8), Status> {
        let (next_header, len) = tunnelled(packet).ok_or(Status::Malformed)?;
        Ok((Plan { front: self.front(framing), len, at: 0 }, next_header))
    }

    fn plan_transport(&self, packet: &[u8]) -> Result<(Plan, u8), Status> {
        let headers = IpHeaders::read(packet).ok_or(Status::Malformed)?;
        // RFC 4303 3.1.1: transport mode is for whole datagrams.
        if headers.fragment {
            return Err(Status::Fragment);
        }
        let udp = if self.options.udp.is_some() { UDP_HEADER } else { 0 };
        Ok((Plan { front: headers.len + udp, len: headers.total - headers.len, at: 0 }, headers.protocol))
    }

    /// Writes headers and payload; room for IV, padding, trailer and ICV is left as zeros. Returns the octets of payload.
    fn write(&self, packet: &[u8], plan: Plan, framing: Framing, sequence_number: u64, packets: &mut Packets) -> u64 {
        let out = &mut packets.octets;
        let payload_len = self.padded(plan.len);
        let esp_len = self.sa.packet_len(payload_len);
        let start = out.len();
        let mut payload = packet;
        if framing != Framing::Esp {
            payload = self.write_front(packet, plan, framing, esp_len, sequence_number, out);
        }
        out.extend_from_slice(&ZEROS[..self.sa.header_len()]);
        out.extend_from_slice(&payload[..plan.len.min(payload.len())]);
        let end = start + plan.front + esp_len;
        while out.len() < end {
            let zeros = ZEROS.len().min(end - out.len());
            out.extend_from_slice(&ZEROS[..zeros]);
        }
        plan.len as u64
    }

    /// Writes what stands before ESP, and returns what goes into it.
    fn write_front<'a>(
        &self,
        packet: &'a [u8],
        plan: Plan,
        framing: Framing,
        esp_len: usize,
        sequence_number: u64,
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        let udp_len = if framing == Framing::Udp || self.options.udp.is_some() { UDP_HEADER } else { 0 };
        let above = if udp_len > 0 { protocol::UDP } else { protocol::ESP };
        let start = out.len();
        out.extend_from_slice(&ZEROS[..plan.front.min(ZEROS.len())]);
        out.resize(start + plan.front, 0);
        let front = &mut out[start..];
        let ip_len = plan.front - udp_len;
        let mut payload = packet;
        match (framing, self.tunnel()) {
            (Framing::Ip, Some(tunnel)) => {
                // A fresh Identification: the SA's numbers do not repeat for 2^16 packets.
                tunnel.write(&mut front[..ip_len], packet, above, udp_len + esp_len, sequence_number as u16);
            }
            (Framing::Ip, None) => {
                front[..ip_len].copy_from_slice(&packet[..ip_len]);
                payload = &packet[ip_len..];
                if let Some(headers) = IpHeaders::read(packet) {
                    headers.rewrite(&mut front[..ip_len], above, ip_len + udp_len + esp_len);
                }
            }
            _ => {}
        }
        if let (true, Some(ports)) = (udp_len > 0, self.options.udp) {
            write_udp(&mut front[ip_len..], ports, esp_len);
        }
        payload
    }

    /// Seals everything that was written.
    fn seal(&self, framing: Framing, outcome: &mut Outcome) {
        let Outcome { packets, statuses, next_headers, sequence_numbers, plans } = outcome;
        let Packets { octets, offsets } = packets;
        let mut rest = octets.as_mut_slice();
        let mut jobs: [Job<'_>; SIDE_BY_SIDE] = std::array::from_fn(|_| Job { sequence_number: 0, packet: &mut [] });
        let mut count = 0;
        for (index, bounds) in offsets.windows(2).enumerate().filter(|(index, _)| statuses[*index] == Status::Ok) {
            let (packet, behind) = rest.split_at_mut(bounds[1] - bounds[0]);
            rest = behind;
            let (sequence_number, plan) = (sequence_numbers[index], plans[index]);
            let packet = &mut packet[plan.front..];
            self.sa.plan(sequence_number, packet, self.padded(plan.len), next_headers[index]);
            jobs[count] = Job { sequence_number, packet };
            count += 1;
            if count == SIDE_BY_SIDE {
                self.sa.seal_planned(&mut jobs);
                count = 0;
            }
        }
        self.sa.seal_planned(&mut jobs[..count]);
        if framing == Framing::Ip && self.options.udp.is_some() {
            for (index, bounds) in offsets.windows(2).enumerate() {
                let packet = &mut octets[bounds[0]..bounds[1]];
                if packet.first().is_some_and(|first| first >> 4 == 6) {
                    set_udp_checksum_v6(packet, plans[index].front - UDP_HEADER);
                }
            }
        }
    }
}

//! Batches of inner packets, and SAs around them.
#![allow(dead_code, clippy::unwrap_used)]

use ironswan_esp::encapsulation::{
    Accept, Decapsulator, DecapsulatorOptions, Encapsulator, EncapsulatorOptions, Framing, Mode, Outcome, Packets,
    Status, TunnelHeader,
};
use ironswan_esp::{InboundSa, OutboundSa, Suite};

/// Suites of both ways through decapsulation: opened one by one, and side by side.
pub const SUITES: [&str; 4] = ["aes128gcm16", "chacha20poly1305iiv", "aes128-sha256", "null-sha512"];
pub const FRAMINGS: [Framing; 3] = [Framing::Esp, Framing::Udp, Framing::Ip];
pub const MODES: [Mode; 2] = [Mode::Tunnel, Mode::Transport];

/// What an SA and its peer are made of.
#[derive(Clone, Copy)]
pub struct Pair {
    pub suite: &'static str,
    pub mode: Mode,
    pub framing: Framing,
    pub spi: u32,
    pub esn: bool,
    pub last: u64,
    pub replay_window: u32,
    pub outer: EncapsulatorOptions,
}

/// A pair of tunnel SAs that put nothing before ESP.
pub fn pair(suite: &'static str) -> Pair {
    let tunnel = TunnelHeader::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let outer = EncapsulatorOptions { mode: Mode::Tunnel, tunnel, udp: None, tfc: 0, limits: None };
    Pair {
        suite,
        mode: Mode::Tunnel,
        framing: Framing::Esp,
        spi: 0x0102_0304,
        esn: false,
        last: 0,
        replay_window: 1024,
        outer,
    }
}

impl Pair {
    fn keymat(&self) -> (Suite, Vec<u8>) {
        let suite = Suite::from_keyword(self.suite).unwrap();
        (suite, (0..suite.keymat_len() as u8).collect())
    }

    pub fn outbound(&self) -> Encapsulator {
        let (suite, keymat) = self.keymat();
        let udp = self.outer.udp.or((self.framing == Framing::Udp).then_some((4500, 4500)));
        let sa = OutboundSa::new(self.spi, suite, &keymat, self.esn, self.last).unwrap();
        Encapsulator::new(sa, EncapsulatorOptions { mode: self.mode, udp, ..self.outer })
    }

    pub fn inbound(&self) -> Decapsulator {
        self.accepting(None)
    }

    pub fn accepting(&self, accept: Option<Accept>) -> Decapsulator {
        let (suite, keymat) = self.keymat();
        let sa = InboundSa::new(self.spi, suite, &keymat, self.esn, self.replay_window, self.last).unwrap();
        Decapsulator::new(sa, DecapsulatorOptions { mode: self.mode, accept, nat_original: None, ecn: true })
    }

    pub fn encap(&self, outbound: &Encapsulator, packets: &[Vec<u8>]) -> Outcome {
        let mut outcome = Outcome::default();
        outbound.encap(&batch(packets), self.framing, 17, &mut outcome).unwrap();
        checked(outcome, packets.len())
    }

    pub fn decap(&self, inbound: &Decapsulator, packets: &[Vec<u8>]) -> Outcome {
        let mut outcome = Outcome::default();
        inbound.decap(&batch(packets), self.framing, &mut outcome).unwrap();
        checked(outcome, packets.len())
    }

    /// Packets as a new SA sends them; all of them must leave.
    pub fn sealed(&self, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let sealed = self.encap(&self.outbound(), packets);
        assert!(sealed.statuses.iter().all(|status| *status == Status::Ok), "{:?}", sealed.statuses);
        list(&sealed)
    }
}

pub fn batch(packets: &[Vec<u8>]) -> Packets {
    let mut batch = Packets::default();
    for packet in packets {
        batch.push(packet);
    }
    batch
}

pub fn list(outcome: &Outcome) -> Vec<Vec<u8>> {
    outcome.packets.iter().map(<[u8]>::to_vec).collect()
}

/// Every list is as long as the batch; what failed is empty and has neither next header nor number.
fn checked(outcome: Outcome, count: usize) -> Outcome {
    assert_eq!(outcome.packets.len(), count);
    assert_eq!(outcome.packets.octets().len(), outcome.packets.offsets()[count]);
    assert_eq!(outcome.statuses.len(), count);
    assert_eq!(outcome.next_headers.len(), count);
    assert_eq!(outcome.sequence_numbers.len(), count);
    for (index, status) in outcome.statuses.iter().enumerate().filter(|(_, status)| **status != Status::Ok) {
        let failed = (outcome.packets.get(index), outcome.next_headers[index], outcome.sequence_numbers[index]);
        assert_eq!(failed, (Some(&[][..]), 0, 0), "{index} {status:?}");
    }
    outcome
}

/// Whole IPv4 and IPv6 packets with UDP in them, each of another length and with other octets.
pub fn inner(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| if index % 3 == 2 { ipv6(index) } else { ipv4(index) }).collect()
}

pub fn ipv4(index: usize) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    packet.extend(payload(index));
    let len = packet.len() as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    let sum: u32 = packet[..20].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let checksum = !((sum >> 16) + (sum & 0xffff)) as u16;
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet
}

pub fn ipv6(index: usize) -> Vec<u8> {
    let payload = payload(index);
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, 17, 64];
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet.extend([0xfd; 16]);
    packet.extend([0xfe; 16]);
    packet.extend(payload);
    packet
}

fn payload(index: usize) -> impl ExactSizeIterator<Item = u8> {
    (0..8 + index * 37 % 211).map(move |at| (at * 7 + index) as u8)
}

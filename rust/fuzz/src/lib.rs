//! What the targets share: SAs chosen by the first octets of the input, and packets made of the rest.

use ironswan_esp::encapsulation::{
    Decapsulator, DecapsulatorOptions, DontFragment, Encapsulator, EncapsulatorOptions, Framing, Mode, Outcome, Packets,
    Status, TunnelHeader,
};
use ironswan_esp::{InboundSa, OutboundSa, Suite};

const SPI: u32 = 0x0102_0304;

/// The choices that the first octets of an input make.
pub struct Choices {
    suite: Suite,
    esn: bool,
    mode: Mode,
    udp: bool,
    v6: bool,
    /// Whether the rest is sealed first.
    pub sealed: bool,
    /// Where in the sealed packet an octet is changed, and how.
    change: (u8, u8),
}

impl Choices {
    /// The choices, and the rest of the input.
    pub fn read(input: &[u8]) -> Option<(Self, &[u8])> {
        let ([flags, suite, at, change], rest) = input.split_first_chunk()?;
        let suites = Suite::all().count();
        let suite = Suite::all().nth(usize::from(*suite) % suites)?;
        let choices = Self {
            suite,
            esn: flags & 1 != 0,
            mode: if flags & 2 != 0 { Mode::Transport } else { Mode::Tunnel },
            udp: flags & 4 != 0,
            v6: flags & 8 != 0,
            sealed: flags & 16 != 0,
            change: (*at, *change),
        };
        Some((choices, rest))
    }

    /// An SA that sends what [`inbound`](Self::inbound) receives.
    pub fn outbound(&self, framing: Framing) -> Encapsulator {
        let keymat = vec![0x5a; self.suite.keymat_len()];
        let Ok(sa) = OutboundSa::new(SPI, self.suite, &keymat, self.esn, 0) else { panic!("the length is the suite's") };
        let tunnel = if self.v6 {
            TunnelHeader::new([0xfd; 16].into(), [0xfe; 16].into())
        } else {
            TunnelHeader::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into())
        };
        let tunnel = tunnel.map(|mut header| {
            header.dont_fragment = DontFragment::Copy;
            header
        });
        let udp = (self.udp || framing == Framing::Udp).then_some((4500, 4500));
        Encapsulator::new(sa, EncapsulatorOptions { mode: self.mode, tunnel, udp, tfc: 0, limits: None })
    }

    /// An SA that receives.
    pub fn inbound(&self) -> Decapsulator {
        let keymat = vec![0x5a; self.suite.keymat_len()];
        let Ok(sa) = InboundSa::new(SPI, self.suite, &keymat, self.esn, 64, 0) else { panic!("the length is the suite's") };
        Decapsulator::new(sa, DecapsulatorOptions { mode: self.mode, accept: None, nat_original: None, ecn: true })
    }
}

/// Any octets, and any packet that was sealed and perhaps changed, through decapsulation.
pub fn decap(input: &[u8], framing: Framing) {
    let Some((choices, rest)) = Choices::read(input) else { return };
    let mut received = Packets::default();
    received.push(rest);
    let mut sealed = false;
    if choices.sealed {
        let mut outcome = Outcome::default();
        if choices.outbound(framing).encap(&received, framing, 17, &mut outcome).is_err() {
            return;
        }
        sealed = outcome.statuses[0] == Status::Ok;
        received = outcome.packets;
    }
    let mut packet = received.get(0).unwrap_or_default().to_vec();
    let (at, change) = choices.change;
    if let Some(octet) = packet.get_mut(usize::from(at)) {
        *octet ^= change;
    }
    // Once alone, and twice in a batch with something unusable in front.
    let (alone, together) = (choices.inbound(), choices.inbound());
    let mut batch = Packets::default();
    for packet in [&[][..], &packet, &packet] {
        batch.push(packet);
    }
    let (mut one, mut all) = (Outcome::default(), Outcome::default());
    let mut single = Packets::default();
    single.push(&packet);
    let _ = alone.decap(&single, framing, &mut one);
    let _ = together.decap(&batch, framing, &mut all);
    check(&one, 1);
    check(&all, 3);
    assert_eq!((one.statuses[0], one.packets.get(0)), (all.statuses[1], all.packets.get(1)), "a batch is its packets");
    assert_ne!(all.statuses[2], Status::Ok, "a packet is accepted once");
    let unauthentic = [Status::IcvMismatch, Status::NotEsp, Status::Fragment, Status::WrongSpi, Status::Replayed];
    if unauthentic.contains(&one.statuses[0]) {
        assert_eq!(alone.sa().window().highest(), 0, "only authentic packets move the window");
    }
    if one.statuses[0] == Status::Ok {
        assert!(sealed, "only what was sealed opens");
    }
    if sealed && change == 0 {
        // A packet whose protocol is 59 is a dummy to its receiver.
        assert!(matches!(one.statuses[0], Status::Ok | Status::Dummy), "what was sealed opens");
        if one.statuses[0] == Status::Ok && (choices.mode == Mode::Tunnel || framing != Framing::Ip) {
            let len = one.packets.get(0).map_or(0, <[u8]>::len);
            assert_eq!(one.packets.get(0), rest.get(..len), "what was sealed comes back");
        }
    }
}

/// Every list is as long as the batch, and what failed is empty.
pub fn check(outcome: &Outcome, count: usize) {
    assert_eq!(outcome.packets.len(), count);
    assert_eq!(outcome.statuses.len(), count);
    assert_eq!(outcome.next_headers.len(), count);
    assert_eq!(outcome.sequence_numbers.len(), count);
    for (packet, status) in outcome.packets.iter().zip(&outcome.statuses) {
        assert!(*status == Status::Ok || packet.is_empty());
    }
}

//! Plain ESP in: packets from the ring or the raw socket, opened one by one and merged as those in UDP are.

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Ingress, Run};
use crate::counters::Counter;
use crate::device::Device;
use crate::ds_field;
use crate::egress::Outlet;
use crate::local::LocalAddresses;
use crate::packet_ring::{Frame, PacketRing, Taking};
use crate::plain::Inlet;
use crate::round::Round;
use crate::sys;
use crate::transport::Room;
use crate::udp::{MESSAGE_LEN, MESSAGES, SPARE};

/// How long the ring is left alone after a packet that it could not take.
const UNFIT_FOR: Duration = Duration::from_secs(60);
/// Packets taken from the ring before what they gave is written.
const PACKETS: usize = 256;
const ESP: u8 = 50;
/// Runs that follow each other within this time are a stream of packets that wake us one by one.
const STREAM_INTERVAL: Duration = Duration::from_micros(100);
/// So many of them, and packets are let come together for this long before the next run.
const STREAM_RUNS: u32 = 8;
const GATHER: Duration = Duration::from_micros(50);

/// One IP version's packets, and by which way they come now.
pub struct PlainInlet<'a> {
    inlet: &'a Inlet,
    ring: Option<PacketRing>,
    local: LocalAddresses,
    unfit: Option<Instant>,
    /// The raw socket may still hold what came before it was told to take nothing.
    left_over: bool,
    last_run: Instant,
    quick_runs: u32,
}

/// What a frame of the ring was.
enum Taken {
    /// ESP that lies here in the buffer, and the DS field of its header.
    Esp(Range<usize>, u8),
    /// Not for this host, which forwards it.
    Foreign,
    /// Only the kernel's IP can make a packet of it.
    Unfit,
    Malformed,
}

impl<'a> PlainInlet<'a> {
    /// Receives by the raw socket.
    pub fn new(inlet: &'a Inlet) -> io::Result<Self> {
        inlet.raw.receive(true)?;
        let (local, last_run) = (LocalAddresses::new(), Instant::now());
        Ok(Self { inlet, ring: None, local, unfit: None, left_over: false, last_run, quick_runs: 0 })
    }

    /// The raw socket.
    pub fn raw_fd(&self) -> RawFd {
        self.inlet.raw.fd()
    }

    /// Its IP version.
    pub fn is_v6(&self) -> bool {
        self.inlet.v6
    }

    /// Receives by `ring` from now on.
    pub fn use_ring(&mut self, ring: PacketRing) -> io::Result<()> {
        ring.take(Taking::All)?;
        ring.bind()?;
        sys::sleep_exactly();
        self.ring = Some(ring);
        self.leave_raw()
    }

    /// What came since the ring was told to take all comes twice, of which the window makes one.
    fn leave_raw(&mut self) -> io::Result<()> {
        self.inlet.raw.receive(false)?;
        (self.unfit, self.left_over) = (None, true);
        Ok(())
    }

    /// Lets packets of a stream gather, as a network card does that interrupts for several at once. Without it every packet
    /// would wake us, be written to the TUN alone, and cost ten times what it does in company.
    fn gather(&mut self) {
        let now = Instant::now();
        self.quick_runs = if now - self.last_run < STREAM_INTERVAL { self.quick_runs + 1 } else { 0 };
        self.last_run = now;
        if self.quick_runs > STREAM_RUNS {
            std::thread::sleep(GATHER);
            self.last_run = Instant::now();
        }
    }

    /// Goes back to the ring when nothing has come for a while that it cannot take.
    fn reconsider(&mut self) -> io::Result<()> {
        let Some(ring) = self.ring.as_ref().filter(|_| self.unfit.is_some_and(|since| since.elapsed() > UNFIT_FOR))
        else {
            return Ok(());
        };
        ring.take(Taking::All)?;
        self.leave_raw()
    }

    fn give_up_ring(&mut self, outlet: &Outlet<'_>) -> io::Result<()> {
        if self.unfit.replace(Instant::now()).is_none()
            && let Some(ring) = &self.ring
        {
            outlet.counters.count(Counter::EspRingFallbacks);
            self.inlet.raw.receive(true)?;
            ring.take(Taking::Unfit)?;
        }
        Ok(())
    }
}

impl Ingress {
    /// Carries what waits, up to a bound.
    pub fn run_plain(
        &mut self,
        from: &mut PlainInlet<'_>,
        device: &Arc<Device>,
        outlet: &Outlet<'_>,
    ) -> io::Result<Round> {
        from.gather();
        let mut round = self.run_ring(from, device, outlet)?;
        let ring_suffices = from.ring.is_some() && from.unfit.is_none() && !from.left_over;
        // When the ring has nothing, the raw socket may have woken us: a packet may get in when it was read for the last time.
        if ring_suffices && round.packets > 0 {
            return Ok(round);
        }
        from.reconsider()?;
        let raw = self.run_raw(from, device, outlet)?;
        from.left_over &= raw.more;
        round += raw;
        Ok(round)
    }

    fn run_ring(&mut self, from: &mut PlainInlet<'_>, device: &Arc<Device>, outlet: &Outlet<'_>) -> io::Result<Round> {
        let PlainInlet { inlet, ring: Some(ring), local, last_run, .. } = from else { return Ok(Round::default()) };
        local.begin(*last_run);
        let (mut sink, mut run) = (self.sink(device, outlet), Run::new(outlet));
        let octets = &mut self.receiver.octets;
        let (mut used, mut packets, mut foreign, mut unfit) = (0, 0, 0, false);
        let frame = ring.room();
        while packets < PACKETS && used + frame <= SPARE.start && self.room.has(frame, 1) {
            let look = |frame: Frame<'_>| match destination(frame.octets, inlet.v6) {
                Some(address) if !local.has(address) => Taken::Foreign,
                _ => take(&frame, inlet.v6, octets, used),
            };
            let Some(taken) = ring.next(look) else { break };
            packets += 1;
            match taken {
                Taken::Esp(at, class) => {
                    used = at.end;
                    run.open_plain(octets, (at, class), &mut self.room, &mut self.coalescer, &mut sink);
                }
                Taken::Foreign => foreign += 1,
                Taken::Unfit => unfit = true,
                Taken::Malformed => outlet.counters.count(Counter::DropMalformedEsp),
            }
        }
        run.finish(None);
        outlet.counters.add(Counter::PlainPackets, packets - foreign);
        let more = ring.is_ready();
        self.close(sink);
        if unfit {
            from.give_up_ring(outlet)?;
        }
        Ok(Round { packets, octets: used, pieces: packets, more })
    }

    fn run_raw(&mut self, from: &PlainInlet<'_>, device: &Arc<Device>, outlet: &Outlet<'_>) -> io::Result<Round> {
        let count = self.receiver.receive(from.raw_fd())?;
        let (mut sink, mut run) = (self.sink(device, outlet), Run::new(outlet));
        let mut octets_received = 0;
        for index in 0..count {
            let received = self.receiver.received(index);
            octets_received += received.length;
            if !self.room.has(received.length, 1) {
                self.flush(&mut sink);
            }
            let class = if from.inlet.v6 { self.receiver.class(index) } else { 0 };
            let octets = &mut self.receiver.octets;
            let at = index * MESSAGE_LEN..index * MESSAGE_LEN + received.length;
            // The kernel has taken IPv6 headers off, and checked IPv4's.
            let header = if from.inlet.v6 { 0 } else { usize::from(octets[at.start] & 15) * 4 };
            if received.truncated || at.len() < header {
                outlet.counters.count(Counter::DropTruncated);
            } else {
                let class = if from.inlet.v6 { class } else { octets[at.start + 1] };
                run.open_plain(
                    octets,
                    (at.start + header..at.end, class),
                    &mut self.room,
                    &mut self.coalescer,
                    &mut sink,
                );
            }
        }
        run.finish(None);
        outlet.counters.add(Counter::PlainPackets, count);
        outlet.counters.add(Counter::PlainRawPackets, count);
        self.close(sink);
        Ok(Round { packets: count, octets: octets_received, pieces: count, more: count == MESSAGES })
    }
}

impl Run<'_> {
    fn open_plain(
        &mut self,
        octets: &mut [u8],
        (at, class): (Range<usize>, u8),
        room: &mut Room,
        coalescer: &mut crate::coalesce::Coalescer,
        sink: &mut super::TunSink<'_>,
    ) {
        let Some(spi) = octets[at.clone()].first_chunk() else {
            self.outlet.counters.count(Counter::DropRunt);
            return;
        };
        self.enter(u32::from_be_bytes(*spi), class, None);
        if let Some(entry) = self.entry() {
            super::turn_to(entry, octets, room, coalescer, sink);
        }
        let segment = at.len();
        self.open(octets, &super::Datagrams { at, segment }, room, coalescer, sink);
    }
}

/// Where a packet goes; None when its header is cut off.
#[inline]
fn destination(octets: &[u8], v6: bool) -> Option<IpAddr> {
    if v6 {
        octets.get(24..)?.first_chunk::<16>().map(|address| IpAddr::from(*address))
    } else {
        octets.get(16..)?.first_chunk::<4>().map(|address| IpAddr::from(*address))
    }
}

/// Copies the ESP of a frame to `target[used..]`. The length is the IP header's: short frames come padded.
fn take(frame: &Frame<'_>, v6: bool, target: &mut [u8], used: usize) -> Taken {
    let octets = frame.octets;
    let esp = if v6 {
        match octets {
            [_, _, _, _, high, low, next, ..] if octets.len() >= 40 => {
                if !frame.whole || *next != ESP {
                    return Taken::Unfit;
                }
                octets.get(40..40 + usize::from(u16::from_be_bytes([*high, *low])))
            }
            _ => None,
        }
    } else {
        match octets {
            [first, _, high, low, _, _, fragment, offset, ..] if octets.len() >= 20 => {
                if !frame.whole || fragment & 0x3f != 0 || *offset != 0 {
                    return Taken::Unfit;
                }
                octets.get(usize::from(first & 15) * 4..usize::from(u16::from_be_bytes([*high, *low])))
            }
            _ => None,
        }
    };
    let Some(esp) = esp else { return Taken::Malformed };
    let at = used..used + esp.len();
    target[at.clone()].copy_from_slice(esp);
    Taken::Esp(at, ds_field::class(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::RawAddress;
    use crate::raw::RawSocket;
    use crate::testing::{Rig, network_of_our_own};
    use crate::tun::Offloads;

    fn taken(octets: &[u8], v6: bool, whole: bool) -> (Taken, Vec<u8>) {
        let mut target = vec![0; 100];
        (take(&Frame { octets, whole }, v6, &mut target, 7), target)
    }

    fn v4(flags: u16, esp: &[u8], padding: usize) -> Vec<u8> {
        let mut packet = vec![0x46, 0xb9, 0, 24 + esp.len() as u8, 0, 0];
        packet.extend(flags.to_be_bytes());
        packet.resize(24, 0);
        packet.extend(esp);
        packet.resize(packet.len() + padding, 0xee);
        packet
    }

    fn v6(next: u8, esp: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x6b, 0x90, 0, 0, 0, esp.len() as u8, next];
        packet.resize(40, 0);
        packet.extend(esp);
        packet
    }

    #[test]
    fn esp_is_found_behind_options_without_the_padding_of_a_short_frame_and_with_its_class() {
        for packet in [v4(0x4000, b"esp packet", 9), v4(0, b"esp packet", 0)] {
            let (taken, target) = taken(&packet, false, true);
            assert!(matches!(taken, Taken::Esp(at, 0xb9) if at == (7..17)));
            assert_eq!(&target[7..17], b"esp packet");
        }
        assert!(matches!(taken(&v6(50, b"esp"), true, true).0, Taken::Esp(at, 0xb9) if at == (7..10)));
    }

    #[test]
    fn fragments_extension_headers_and_packets_longer_than_a_frame_are_left_to_the_kernel() {
        for flags in [0x2000, 0x0001, 0x1fff] {
            assert!(matches!(taken(&v4(flags, b"esp", 0), false, true).0, Taken::Unfit));
        }
        assert!(matches!(taken(&v4(0, b"esp", 0), false, false).0, Taken::Unfit));
        for next in [0, 43, 44, 60] {
            assert!(matches!(taken(&v6(next, b"esp"), true, true).0, Taken::Unfit));
        }
    }

    #[test]
    fn lengths_that_are_not_there_are_malformed() {
        for length in 0..27 {
            assert!(matches!(taken(&v4(0, b"esp", 0)[..length], false, true).0, Taken::Malformed));
        }
        for length in 0..43 {
            assert!(matches!(taken(&v6(50, b"esp")[..length], true, true).0, Taken::Malformed));
        }
        let mut reversed = v4(0, b"esp", 0);
        reversed[3] = 20;
        assert!(matches!(taken(&reversed, false, true).0, Taken::Malformed));
    }

    fn readable(fd: RawFd) -> bool {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    #[test]
    fn what_got_into_the_raw_socket_after_it_was_read_last_does_not_stay_there() {
        if !network_of_our_own() {
            return;
        }
        let inlet = Inlet { raw: RawSocket::new(false, 0).unwrap(), v6: false };
        let mut from = PlainInlet::new(&inlet).unwrap();
        let address = RawAddress::new("127.0.0.1:0".parse().unwrap());
        let (name, length) = address.parts();
        // SAFETY: octets and address live through the call.
        let sent = unsafe { libc::sendto(from.raw_fd(), [1; 20].as_ptr().cast(), 20, 0, name.cast(), length) };
        assert!(sent == 20 && readable(from.raw_fd()));
        from.use_ring(PacketRing::new(false, 1500).unwrap()).unwrap();
        from.left_over = false;
        let (rig, mut ingress) = (Rig::new(Vec::new()), Ingress::new(Offloads::default()));
        let round = ingress.run_plain(&mut from, &rig.shared.devices.first(), &rig.outlet()).unwrap();
        assert!(round.packets == 1 && !readable(from.raw_fd()));
    }
}

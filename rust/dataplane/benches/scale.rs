//! What a packet and a change cost when there are 1, 100, 10,000 or 100,000 SAs and policies. Packets come in random order, so
//! that with many SAs neither a flow nor its SA is in a cache.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ironswan_dataplane::endpoint::Endpoint;
use ironswan_dataplane::flow::Flow;
use ironswan_dataplane::inbound::{InboundEntry, Lookahead, Sad};
use ironswan_dataplane::limits::{Limits, Volume};
use ironswan_dataplane::outbound::OutboundEntry;
use ironswan_dataplane::spd::{FlowCache, Spd};
use ironswan_dataplane::{Selector, Selectors};
use ironswan_esp::{InboundSa, OutboundSa, Suite};

const SIZES: [u32; 4] = [1, 100, 10_000, 100_000];
const KEYMAT: [u8; 20] = [7; 20];
/// Octets of the inner packets.
const INNER: usize = 64;
/// SPI, sequence number, IV, padded payload, ICV.
const SEALED: usize = 8 + 8 + 80 + 16;

/// The numbers below `count`, in an order that is the same in every run.
fn shuffled(count: u32) -> Vec<u32> {
    let (mut all, mut state) = ((0..count).collect::<Vec<_>>(), 0x9e37_79b9_7f4a_7c15_u64);
    for last in (1..all.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.swap(last, (state % (last as u64 + 1)) as usize);
    }
    all
}

/// Gives the items one after the other, for ever.
fn cycle<T: Copy>(items: Vec<T>) -> impl FnMut() -> T {
    let mut at = 0;
    move || {
        at = if at + 1 == items.len() { 0 } else { at + 1 };
        items[at]
    }
}

fn network(number: u32) -> u32 {
    (10 << 24) + number * 64
}

fn selectors(number: u32) -> Selectors {
    let range = |start: u32, end: u32| {
        vec![Selector::new(0, Ipv4Addr::from(start).into(), Ipv4Addr::from(end).into(), 0, 65535).unwrap()]
    };
    Selectors::new(range(0, u32::MAX), range(network(number), network(number) + 63))
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn outbound(number: u32) -> Arc<OutboundEntry> {
    let suite = Suite::from_keyword("aes128gcm16").unwrap();
    let sa = OutboundSa::new(number + 256, suite, &KEYMAT, false, 0).unwrap();
    let endpoint = Endpoint::new(address("192.0.2.1:4500"), address("192.0.2.2:4500"));
    Arc::new(OutboundEntry::new(number + 256, 0, sa, false, Volume::new(Limits::default()), endpoint))
}

fn inbound(spi: u32, number: u32) -> InboundEntry {
    let suite = Suite::from_keyword("aes128gcm16").unwrap();
    let sa = InboundSa::new(spi, suite, &KEYMAT, false, 64, 0).unwrap();
    InboundEntry::new(spi, sa, selectors(number), Volume::new(Limits::default()), address("192.0.2.2:4500"))
}

/// A policy for each SA, and one below them that covers everything.
fn spd(count: u32) -> Spd {
    let (spd, start) = (Spd::default(), Instant::now());
    let everything = vec![Selector::new(0, [0; 4].into(), [255; 4].into(), 0, 65535).unwrap()];
    spd.add(u64::MAX, Selectors::new(everything.clone(), everything), 1);
    for number in shuffled(count) {
        let policy = spd.add(u64::from(number), selectors(number), 0).unwrap();
        policy.bind(Some(outbound(number)), Instant::now());
    }
    eprintln!("{count} outbound SAs and policies installed in {:?}", start.elapsed());
    spd
}

fn packets(count: u32) -> Vec<[u8; INNER]> {
    let packet = |number| {
        let mut packet = [0; INNER];
        packet[..10].copy_from_slice(&[0x45, 0, 0, INNER as u8, 0, 0, 0, 0, 64, 17]);
        packet[12..16].copy_from_slice(&[10, 0, 0, 1]);
        packet[16..20].copy_from_slice(&(network(number) + 1).to_be_bytes());
        packet
    };
    shuffled(count).into_iter().map(packet).collect()
}

fn outbound_side(c: &mut Criterion) {
    let mut group = c.benchmark_group("outbound");
    for count in SIZES {
        let (spd, mut next) = (spd(count), cycle(packets(count)));
        let (snapshot, mut cache) = (spd.snapshot(), FlowCache::default());
        group.bench_function(BenchmarkId::new("policy of a packet, no flow cache", count), |b| {
            b.iter(|| snapshot.find(&Flow::read(&next()).unwrap()).unwrap().id);
        });
        group.bench_function(BenchmarkId::new("policy of a packet", count), |b| {
            b.iter(|| cache.find(&snapshot, &Flow::read(&next()).unwrap()).unwrap().id);
        });
        group.bench_function(BenchmarkId::new("policy, SA, sequence number", count), |b| {
            b.iter(|| {
                let policy = cache.find(&snapshot, &Flow::read(&next()).unwrap()).unwrap();
                policy.bound().unwrap().claim(1).is_ok()
            });
        });
        let mut sealed = [0; SEALED];
        let mut seal = |entry: &Arc<OutboundEntry>| {
            let (numbers, _) = entry.claim(1).unwrap();
            entry.sa.seal_in_place(numbers.start, black_box(&mut sealed), INNER, 4);
            entry.volume.add(1, INNER as u64, |_| {});
        };
        group.bench_function(BenchmarkId::new("policy, SA, 64 octets sealed", count), |b| {
            b.iter(|| {
                let policy = cache.find(&snapshot, &Flow::read(&next()).unwrap()).unwrap();
                seal(&policy.bound().unwrap());
            });
        });
        // As a worker does it: the SA of the next packet is on its way into the cache while one is sealed.
        let mut waiting = cache.find(&snapshot, &Flow::read(&next()).unwrap()).unwrap().bound().unwrap();
        group.bench_function(BenchmarkId::new("the same, one packet ahead", count), |b| {
            b.iter(|| {
                let policy = cache.find(&snapshot, &Flow::read(&next()).unwrap()).unwrap();
                let entry = policy.bound().unwrap();
                entry.prefetch();
                seal(&std::mem::replace(&mut waiting, entry));
            });
        });
        drop(snapshot);
        let mut number = 0;
        group.bench_function(BenchmarkId::new("policy added and removed", count), |b| {
            b.iter(|| {
                number = (number + 7919) % 100_000;
                spd.add(u64::MAX - 1, selectors(number), 0).unwrap();
                spd.remove(u64::MAX - 1);
            });
        });
    }
}

fn inbound_side(c: &mut Criterion) {
    let mut group = c.benchmark_group("inbound");
    for count in SIZES {
        let (sad, start) = (Sad::default(), Instant::now());
        let spis: Vec<_> = (0..count).map(|_| sad.allocate().unwrap()).collect();
        spis.iter().zip(0..).for_each(|(spi, number)| sad.install(inbound(*spi, number)));
        eprintln!("{count} inbound SAs installed in {:?}", start.elapsed());
        let mut next = cycle(shuffled(count).into_iter().map(|number| spis[number as usize]).collect());
        group.bench_function(BenchmarkId::new("SA of an SPI", count), |b| b.iter(|| sad.find(next()).is_some()));
        let (mut packet, mut sequence_number) = ([0; SEALED], 0_u32);
        group.bench_function(BenchmarkId::new("SA, a forged packet refused", count), |b| {
            b.iter(|| {
                sequence_number += 1;
                packet[4..8].copy_from_slice(&sequence_number.to_be_bytes());
                let entry = sad.find(next()).unwrap();
                entry.as_ref().unwrap().sa.open_in_place(black_box(&mut packet)).is_err()
            });
        });
        // As a worker does it: told of each packet some packets before.
        let (mut lookahead, mut ahead) = (Lookahead::new(&sad), [(); Lookahead::AHEAD].map(|()| next()));
        group.bench_function(BenchmarkId::new("the same, some packets ahead", count), |b| {
            b.iter(|| {
                let spi = ahead[0];
                ahead.rotate_left(1);
                ahead[Lookahead::AHEAD - 1] = next();
                lookahead.expect(ahead[Lookahead::AHEAD - 1]);
                sequence_number += 1;
                packet[4..8].copy_from_slice(&sequence_number.to_be_bytes());
                let entry = sad.find(spi).unwrap();
                entry.as_ref().unwrap().sa.open_in_place(black_box(&mut packet)).is_err()
            });
        });
        group.bench_function(BenchmarkId::new("SA installed and removed", count), |b| {
            b.iter(|| {
                let spi = sad.allocate().unwrap();
                sad.install(inbound(spi, 0));
                sad.release(spi);
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2)).without_plots();
    targets = outbound_side, inbound_side
}
criterion_main!(benches);

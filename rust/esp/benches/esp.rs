//! What an SA costs above the cipher: seal and open beside raw *ring* on the same octets.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ironswan_esp::{Drop, InboundSa, Job, OutboundSa, Suite};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::hint::black_box;

const BATCH: usize = 64;
/// Octets of payload: a small packet, a full one, and a full one whose trailer ends a block.
const LENGTHS: [usize; 3] = [64, 1420, 1422];
const KEYMAT: [u8; 96] = [1; 96];
/// Suites that are measured; those without a key of *ring*'s stand alone.
const SUITES: [&str; 11] = [
    "aes128gcm16",
    "aes256gcm16",
    "chacha20poly1305",
    "aes128gcm8",
    "aes128ccm16",
    "aes128gmac",
    "aes128-sha1",
    "aes128-sha256",
    "aes256-sha512",
    "aes128ctr-sha256",
    "null-sha256",
];

fn suites() -> impl Iterator<Item = Suite> {
    SUITES.into_iter().filter_map(Suite::from_keyword)
}

fn keymat(suite: Suite) -> &'static [u8] {
    &KEYMAT[..suite.keymat_len()]
}

fn raw(suite: Suite) -> Option<LessSafeKey> {
    let algorithm = match suite.encr().keyword {
        "aes128gcm16" => &AES_128_GCM,
        "aes256gcm16" => &AES_256_GCM,
        "chacha20poly1305" => &CHACHA20_POLY1305,
        _ => return None,
    };
    Some(LessSafeKey::new(UnboundKey::new(algorithm, &KEYMAT[..suite.encr().key_len]).unwrap()))
}

fn nonce(packet: &[u8]) -> Nonce {
    let mut nonce = [1; 12];
    nonce[4..].copy_from_slice(&packet[8..16]);
    Nonce::assume_unique_for_key(nonce)
}

fn seal(c: &mut Criterion) {
    for suite in suites() {
        for len in LENGTHS {
            let mut group = c.benchmark_group(format!("seal {suite} {len} octets"));
            group.throughput(Throughput::Elements(BATCH as u64));
            let sa = OutboundSa::new(1, suite, keymat(suite), true, 0).unwrap();
            let mut packets = vec![vec![0_u8; sa.packet_len(len)]; BATCH];
            group.bench_function("ironswan", |b| {
                b.iter(|| {
                    for (number, packet) in sa.claim(BATCH as u32).unwrap().zip(&mut packets) {
                        sa.seal_in_place(number, black_box(packet), len, 4);
                    }
                });
            });
            group.bench_function("ironswan batch", |b| {
                b.iter(|| {
                    let mut numbers = sa.claim(BATCH as u32).unwrap();
                    for run in packets.chunks_mut(BATCH / 2) {
                        let mut run = run.iter_mut();
                        let mut jobs: [Job<'_>; BATCH / 2] = std::array::from_fn(|_| Job {
                            sequence_number: numbers.next().unwrap(),
                            packet: run.next().unwrap(),
                        });
                        for job in &mut jobs {
                            sa.plan(job.sequence_number, job.packet, len, 4);
                        }
                        sa.seal_planned(black_box(&mut jobs));
                    }
                });
            });
            let Some(key) = raw(suite) else { continue };
            let mut number = 0_u64;
            group.bench_function("ring", |b| {
                b.iter(|| {
                    for packet in &mut packets {
                        number += 1;
                        packet[8..16].copy_from_slice(&number.to_be_bytes());
                        let end = packet.len() - 16;
                        let nonce = nonce(packet);
                        let (header, body) = packet[..end].split_at_mut(16);
                        let tag =
                            key.seal_in_place_separate_tag(nonce, Aad::from(&header[..8]), black_box(body)).unwrap();
                        packet[end..].copy_from_slice(tag.as_ref());
                    }
                });
            });
            group.finish();
        }
    }
}

fn open(c: &mut Criterion) {
    for suite in suites() {
        for len in LENGTHS {
            let mut group = c.benchmark_group(format!("open {suite} {len} octets"));
            group.throughput(Throughput::Elements(BATCH as u64));
            let outbound = OutboundSa::new(1, suite, keymat(suite), false, 0).unwrap();
            let mut sealed = vec![vec![0_u8; outbound.packet_len(len)]; BATCH];
            for (number, packet) in outbound.claim(BATCH as u32).unwrap().zip(&mut sealed) {
                outbound.seal_in_place(number, packet, len, 4);
            }
            let inbound = || InboundSa::new(1, suite, keymat(suite), false, 64, 0).unwrap();
            group.bench_function("ironswan", |b| {
                b.iter_batched_ref(
                    || (inbound(), sealed.clone()),
                    |(sa, packets)| {
                        for packet in packets {
                            black_box(sa.open_in_place(packet).unwrap());
                        }
                    },
                    BatchSize::SmallInput,
                );
            });
            group.bench_function("ironswan batch", |b| {
                b.iter_batched_ref(
                    || (inbound(), sealed.clone(), vec![Err(Drop::Malformed); BATCH]),
                    |(sa, packets, results)| {
                        let mut packets = packets.iter_mut();
                        let mut slices: [&mut [u8]; BATCH] =
                            std::array::from_fn(|_| packets.next().unwrap().as_mut_slice());
                        sa.open_batch(&mut slices, black_box(results));
                    },
                    BatchSize::SmallInput,
                );
            });
            let Some(key) = raw(suite) else { continue };
            group.bench_function("ring", |b| {
                b.iter_batched_ref(
                    || sealed.clone(),
                    |packets| {
                        for packet in packets {
                            let nonce = nonce(packet);
                            let (header, body) = packet.split_at_mut(16);
                            black_box(key.open_in_place(nonce, Aad::from(&header[..8]), body).unwrap());
                        }
                    },
                    BatchSize::SmallInput,
                );
            });
            group.finish();
        }
    }
}

criterion_group!(benches, seal, open);
criterion_main!(benches);

//! What an SA costs above the cipher: seal and open beside raw *ring* on the same octets.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ironswan_esp::{InboundSa, OutboundSa, Suite};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::hint::black_box;

const BATCH: usize = 64;

fn seal(c: &mut Criterion) {
    for len in [64, 1422] {
        let mut group = c.benchmark_group(format!("seal {len} octets"));
        group.throughput(Throughput::Elements(BATCH as u64));
        let sa = OutboundSa::new(1, Suite::Aes128Gcm16, &[1; 20], true, 0).unwrap();
        let mut packets = vec![vec![0_u8; sa.packet_len(len)]; BATCH];
        group.bench_function("ironswan", |b| {
            b.iter(|| {
                for (number, packet) in sa.claim(BATCH as u32).unwrap().zip(&mut packets) {
                    sa.seal_in_place(number, black_box(packet), len, 4);
                }
            });
        });
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[1; 16]).unwrap());
        let mut number = 0_u64;
        group.bench_function("ring", |b| {
            b.iter(|| {
                for packet in &mut packets {
                    number += 1;
                    let mut nonce = [0; 12];
                    nonce[4..].copy_from_slice(&number.to_be_bytes());
                    let end = packet.len() - 16;
                    let (header, body) = packet[..end].split_at_mut(16);
                    let aad = Aad::from(&header[..8]);
                    let nonce = Nonce::assume_unique_for_key(nonce);
                    let tag = key.seal_in_place_separate_tag(nonce, aad, black_box(body)).unwrap();
                    packet[end..].copy_from_slice(tag.as_ref());
                }
            });
        });
        group.finish();
    }
}

fn open(c: &mut Criterion) {
    for len in [64, 1422] {
        let mut group = c.benchmark_group(format!("open {len} octets"));
        group.throughput(Throughput::Elements(BATCH as u64));
        let outbound = OutboundSa::new(1, Suite::Aes128Gcm16, &[1; 20], false, 0).unwrap();
        let mut sealed = vec![vec![0_u8; outbound.packet_len(len)]; BATCH];
        for (number, packet) in outbound.claim(BATCH as u32).unwrap().zip(&mut sealed) {
            outbound.seal_in_place(number, packet, len, 4);
        }
        group.bench_function("ironswan", |b| {
            b.iter_batched_ref(
                || (InboundSa::new(1, Suite::Aes128Gcm16, &[1; 20], false, 64, 0).unwrap(), sealed.clone()),
                |(sa, packets)| {
                    for packet in packets {
                        black_box(sa.open_in_place(packet).unwrap());
                    }
                },
                BatchSize::SmallInput,
            );
        });
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[1; 16]).unwrap());
        group.bench_function("ring", |b| {
            b.iter_batched_ref(
                || sealed.clone(),
                |packets| {
                    for packet in packets {
                        let mut nonce = [1; 12];
                        nonce[4..].copy_from_slice(&packet[8..16]);
                        let (header, body) = packet.split_at_mut(16);
                        let aad = Aad::from(&header[..8]);
                        black_box(key.open_in_place(Nonce::assume_unique_for_key(nonce), aad, body).unwrap());
                    }
                },
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, seal, open);
criterion_main!(benches);

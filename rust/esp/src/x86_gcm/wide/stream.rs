//! AES in counter mode over vectors of four blocks.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_aesenc_epi128, _mm512_aesenclast_epi128, _mm512_broadcast_i32x4,
    _mm512_set_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_xor_si512,
};

use super::super::BLOCK;
use super::{load_short, reverse};

/// The blocks that are added to a packet, from the counter block on.
pub(super) struct KeyStream<const KEYS: usize> {
    pub(super) round_keys: [__m512i; KEYS],
    /// The next four counter blocks, reversed.
    counters: __m512i,
}

impl<const KEYS: usize> KeyStream<KEYS> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn new(round_keys: [__m512i; KEYS], counter: [u8; BLOCK]) -> Self {
        let first = _mm512_broadcast_i32x4(load_short(&counter));
        let counters = _mm512_add_epi32(first, _mm512_set_epi32(0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0));
        Self { round_keys, counters }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn next_counters<const N: usize>(&mut self) -> [__m512i; N] {
        let mut blocks = [_mm512_setzero_si512(); N];
        for blocks in &mut blocks {
            *blocks = _mm512_shuffle_epi8(self.counters, reverse());
            let four = _mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4);
            self.counters = _mm512_add_epi32(self.counters, four);
        }
        blocks
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    pub(super) fn next<const N: usize>(&mut self) -> [__m512i; N] {
        let blocks = self.next_counters();
        encrypt(&self.round_keys, blocks)
    }
}

/// AES (FIPS 197 5.1).
#[inline]
#[target_feature(enable = "avx512f,vaes")]
pub(super) fn encrypt<const KEYS: usize, const N: usize>(
    keys: &[__m512i; KEYS],
    mut blocks: [__m512i; N],
) -> [__m512i; N] {
    add_key(&mut blocks, keys[0]);
    for key in &keys[1..KEYS - 1] {
        round(&mut blocks, *key);
    }
    last_round(&mut blocks, keys[KEYS - 1]);
    blocks
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn add_key(blocks: &mut [__m512i], key: __m512i) {
    for blocks in blocks {
        *blocks = _mm512_xor_si512(*blocks, key);
    }
}

#[inline]
#[target_feature(enable = "avx512f,vaes")]
pub(super) fn round(blocks: &mut [__m512i], key: __m512i) {
    for blocks in blocks {
        *blocks = _mm512_aesenc_epi128(*blocks, key);
    }
}

#[inline]
#[target_feature(enable = "avx512f,vaes")]
pub(super) fn last_round(blocks: &mut [__m512i], key: __m512i) {
    for blocks in blocks {
        *blocks = _mm512_aesenclast_epi128(*blocks, key);
    }
}

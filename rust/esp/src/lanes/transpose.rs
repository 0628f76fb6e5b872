//! A block of every message, turned so that a vector holds the same word of each.

use std::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_set_epi64, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i64x2,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

/// 16 words of 32 bits, most significant octet first, of the block at `at` of each of 16 messages.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn words_of_32_bits(data: &[&[u8]], at: usize) -> [__m512i; 16] {
    let swap = _mm512_set_epi64(
        0x0c0d_0e0f_0809_0a0b,
        0x0405_0607_0001_0203,
        0x0c0d_0e0f_0809_0a0b,
        0x0405_0607_0001_0203,
        0x0c0d_0e0f_0809_0a0b,
        0x0405_0607_0001_0203,
        0x0c0d_0e0f_0809_0a0b,
        0x0405_0607_0001_0203,
    );
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, data) in rows.iter_mut().zip(data) {
        *row = _mm512_shuffle_epi8(load(data, at), swap);
    }
    let mut pairs = rows;
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    // In group g, quad[4 * g + i] holds of messages 4g to 4g + 3 the words i, 4 + i, 8 + i and 12 + i.
    let mut quads = rows;
    for g in 0..4 {
        let [a, b, c, d] = [pairs[4 * g], pairs[4 * g + 1], pairs[4 * g + 2], pairs[4 * g + 3]];
        quads[4 * g] = _mm512_unpacklo_epi64(a, c);
        quads[4 * g + 1] = _mm512_unpackhi_epi64(a, c);
        quads[4 * g + 2] = _mm512_unpacklo_epi64(b, d);
        quads[4 * g + 3] = _mm512_unpackhi_epi64(b, d);
    }
    let mut words = rows;
    for i in 0..4 {
        let turned = turn([quads[i], quads[4 + i], quads[8 + i], quads[12 + i]]);
        for (j, vector) in turned.into_iter().enumerate() {
            words[4 * j + i] = vector;
        }
    }
    words
}

/// 16 words of 64 bits, most significant octet first, of the block at `at` of each of 8 messages.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn words_of_64_bits(data: &[&[u8]], at: usize) -> [__m512i; 16] {
    let mut words = [_mm512_setzero_si512(); 16];
    for half in 0..2 {
        words[8 * half..][..8].copy_from_slice(&half_of_64_bits(data, at + 64 * half));
    }
    words
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn half_of_64_bits(data: &[&[u8]], at: usize) -> [__m512i; 8] {
    let swap = _mm512_set_epi64(
        0x0809_0a0b_0c0d_0e0f,
        0x0001_0203_0405_0607,
        0x0809_0a0b_0c0d_0e0f,
        0x0001_0203_0405_0607,
        0x0809_0a0b_0c0d_0e0f,
        0x0001_0203_0405_0607,
        0x0809_0a0b_0c0d_0e0f,
        0x0001_0203_0405_0607,
    );
    let mut rows = [_mm512_setzero_si512(); 8];
    for (row, data) in rows.iter_mut().zip(data) {
        *row = _mm512_shuffle_epi8(load(data, at), swap);
    }
    // Even words of two messages side by side, then odd ones.
    let mut even = [_mm512_setzero_si512(); 4];
    let mut odd = even;
    for i in 0..4 {
        even[i] = _mm512_unpacklo_epi64(rows[2 * i], rows[2 * i + 1]);
        odd[i] = _mm512_unpackhi_epi64(rows[2 * i], rows[2 * i + 1]);
    }
    let (even, odd) = (turn(even), turn(odd));
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}

/// Transposes four rows of four 128-bit pieces.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn turn([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (low_ab, high_ab) = (_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0xee>(a, b));
    let (low_cd, high_cd) = (_mm512_shuffle_i64x2::<0x44>(c, d), _mm512_shuffle_i64x2::<0xee>(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(low_ab, low_cd),
        _mm512_shuffle_i64x2::<0xdd>(low_ab, low_cd),
        _mm512_shuffle_i64x2::<0x88>(high_ab, high_cd),
        _mm512_shuffle_i64x2::<0xdd>(high_ab, high_cd),
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(data: &[u8], at: usize) -> __m512i {
    let octets = &data[at..at + 64];
    // SAFETY: the slice is 64 octets long.
    unsafe { _mm512_loadu_si512(octets.as_ptr().cast()) }
}

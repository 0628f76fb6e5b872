//! Sums with 32 octets in a vector register, which needs AVX2.

use std::arch::x86_64::{
    __m256i, _mm_add_epi64, _mm_cvtsi128_si64, _mm_unpackhi_epi64, _mm256_add_epi64, _mm256_castsi256_si128,
    _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64,
    _mm256_sub_epi64,
};

use super::sum_words;

const VECTOR: usize = 32;

/// Whether the processor has what this is compiled for.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2")
}

/// As [`sum`](super::sum).
#[target_feature(enable = "avx2")]
pub(super) fn sum(data: &[u8]) -> u64 {
    let (vectors, rest) = data.as_chunks::<VECTOR>();
    let (mut words, mut high) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for octets in vectors {
        // SAFETY: the array is a vector long.
        let octets = unsafe { _mm256_loadu_si256(octets.as_ptr().cast()) };
        words = _mm256_add_epi64(words, octets);
        high = _mm256_add_epi64(high, _mm256_srli_epi64::<32>(octets));
    }
    // The sum of the words lost what overflowed it, that of their high halves lost nothing: without the latter, what is left of
    // the former modulo 2^64 is the sum of the low halves.
    let low = _mm256_sub_epi64(words, _mm256_slli_epi64::<32>(high));
    total(_mm256_add_epi64(low, high)) + sum_words(rest)
}

/// All four words together.
#[inline]
#[target_feature(enable = "avx2")]
fn total(words: __m256i) -> u64 {
    let pair = _mm_add_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    _mm_cvtsi128_si64(_mm_add_epi64(pair, _mm_unpackhi_epi64(pair, pair))).cast_unsigned()
}

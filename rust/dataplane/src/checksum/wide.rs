//! Sums with 64 octets in a vector register, which needs AVX-512.

use std::arch::x86_64::{
    __m512i, _mm256_storeu_si256, _mm512_add_epi64, _mm512_and_si512, _mm512_castsi512_si256, _mm512_cmplt_epu64_mask,
    _mm512_extracti64x4_epi64, _mm512_loadu_si512, _mm512_mask_add_epi64, _mm512_mask_storeu_epi8,
    _mm512_maskz_loadu_epi8, _mm512_reduce_add_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi64,
};

const VECTOR: usize = 64;

/// Whether the processor has what this is compiled for.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// As [`sum`](super::sum).
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn sum(data: &[u8]) -> u64 {
    let mut sum = Sum::zero();
    let (vectors, rest) = data.as_chunks::<VECTOR>();
    for octets in vectors {
        // SAFETY: the array is a vector long.
        sum.add(unsafe { _mm512_loadu_si512(octets.as_ptr().cast()) });
    }
    // SAFETY: of the memory only the octets of the rest are read.
    sum.add(unsafe { _mm512_maskz_loadu_epi8(there(rest), rest.as_ptr().cast()) });
    sum.total()
}

/// As [`copy_and_sum`](super::copy_and_sum).
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn copy_and_sum(target: &mut [u8], source: &[u8]) -> u64 {
    assert_eq!(target.len(), source.len());
    let mut sum = Sum::zero();
    let (vectors, rest) = source.as_chunks::<VECTOR>();
    let (targets, target_rest) = target.as_chunks_mut::<VECTOR>();
    for (octets, target) in vectors.iter().zip(targets) {
        let (low, high) = target.split_at_mut(VECTOR / 2);
        // Stored whole they would be taken for a copy, for which the compiler calls the library, and then sums in a second pass.
        // SAFETY: both arrays are a vector long.
        unsafe {
            let octets = _mm512_loadu_si512(octets.as_ptr().cast());
            _mm256_storeu_si256(low.as_mut_ptr().cast(), _mm512_castsi512_si256(octets));
            _mm256_storeu_si256(high.as_mut_ptr().cast(), _mm512_extracti64x4_epi64::<1>(octets));
            sum.add(octets);
        }
    }
    // SAFETY: only the octets of the rest are read and written, of which there are as many in both.
    unsafe {
        let octets = _mm512_maskz_loadu_epi8(there(rest), rest.as_ptr().cast());
        _mm512_mask_storeu_epi8(target_rest.as_mut_ptr().cast(), there(rest), octets);
        sum.add(octets);
    }
    sum.total()
}

/// A bit for each octet of less than a vector.
fn there(rest: &[u8]) -> u64 {
    (1 << rest.len()) - 1
}

/// Eight sums of 64-bit words, and how often each overflowed.
struct Sum {
    words: __m512i,
    carries: __m512i,
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> Self {
        Self { words: _mm512_setzero_si512(), carries: _mm512_setzero_si512() }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn add(&mut self, octets: __m512i) {
        self.words = _mm512_add_epi64(self.words, octets);
        let overflowed = _mm512_cmplt_epu64_mask(self.words, octets);
        self.carries = _mm512_mask_add_epi64(self.carries, overflowed, self.carries, _mm512_set1_epi64(1));
    }

    /// A carry out of 64 bits counts as one, as does every 16-bit word in any place (RFC 1071 2).
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn total(self) -> u64 {
        let low = _mm512_and_si512(self.words, _mm512_set1_epi64(0xffff_ffff));
        let halves = _mm512_add_epi64(low, _mm512_srli_epi64::<32>(self.words));
        _mm512_reduce_add_epi64(_mm512_add_epi64(halves, self.carries)).cast_unsigned()
    }
}

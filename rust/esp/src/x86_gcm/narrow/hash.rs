//! GHASH a block at a time, after Karatsuba: three products for four.

use std::arch::x86_64::{
    __m128i, _mm_clmulepi64_si128, _mm_loadu_si128, _mm_set_epi64x, _mm_setzero_si128, _mm_shuffle_epi32, _mm_xor_si128,
};

use zeroize::DefaultIsZeroes;

use super::super::field::{POLYNOMIAL, SWAP_HALVES};

/// A power of the hash key.
#[derive(Clone, Copy, Default)]
pub(super) struct Power {
    pub(super) whole: u128,
    /// The sum of its halves.
    halves: u64,
}

impl DefaultIsZeroes for Power {}

impl Power {
    pub(super) fn new(whole: u128) -> Self {
        Self { whole, halves: whole as u64 ^ (whole >> 64) as u64 }
    }
}

/// A sum of products, not yet reduced: of the low halves, of the high ones, and of the sums of both.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    pub(super) low: __m128i,
    pub(super) middle: __m128i,
    pub(super) high: __m128i,
}

impl Sum {
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn zero() -> Self {
        let zero = _mm_setzero_si128();
        Self { low: zero, middle: zero, high: zero }
    }

    /// Adds the product of a block and a power.
    #[inline]
    #[target_feature(enable = "pclmulqdq,avx")]
    pub(super) fn add(&mut self, block: __m128i, power: &Power) {
        // SAFETY: the number is as long as a block.
        let whole = unsafe { _mm_loadu_si128((&raw const power.whole).cast()) };
        self.low = _mm_xor_si128(self.low, _mm_clmulepi64_si128::<0x00>(block, whole));
        self.high = _mm_xor_si128(self.high, _mm_clmulepi64_si128::<0x11>(block, whole));
        let sum_of_halves = _mm_xor_si128(block, _mm_shuffle_epi32::<SWAP_HALVES>(block));
        let halves = _mm_set_epi64x(0, power.halves.cast_signed());
        self.middle = _mm_xor_si128(self.middle, _mm_clmulepi64_si128::<0x00>(sum_of_halves, halves));
    }

    /// The sum as one block.
    #[inline]
    #[target_feature(enable = "pclmulqdq,avx")]
    pub(super) fn reduce(self) -> __m128i {
        let polynomial = _mm_set_epi64x(POLYNOMIAL.cast_signed(), 0);
        let fold = |to: __m128i, from: __m128i| {
            let product = _mm_clmulepi64_si128::<0x01>(polynomial, from);
            _mm_xor_si128(_mm_xor_si128(to, _mm_shuffle_epi32::<SWAP_HALVES>(from)), product)
        };
        let crosswise = _mm_xor_si128(self.middle, _mm_xor_si128(self.low, self.high));
        fold(self.high, fold(crosswise, self.low))
    }
}

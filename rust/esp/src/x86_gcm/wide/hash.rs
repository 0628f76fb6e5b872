//! GHASH over vectors of four blocks.

use std::arch::asm;
use std::arch::x86_64::{
    __m128i, __m512i, _mm_set_epi64x, _mm_xor_si128, _mm256_castsi256_si128, _mm256_extracti128_si256,
    _mm256_xor_si256, _mm512_broadcast_i32x4, _mm512_castsi512_si256, _mm512_clmulepi64_epi128,
    _mm512_extracti64x4_epi64, _mm512_setzero_si512, _mm512_shuffle_epi32, _mm512_ternarylogic_epi64, _mm512_xor_si512,
};

use super::super::field::{POLYNOMIAL, SWAP_HALVES};
use super::VECTORS;

/// A function of three bits, as truth table.
const XOR: i32 = 0x96;

/// A sum of products, not yet reduced: the low and high halves of each, and the crosswise ones between.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    low: __m512i,
    middle: __m512i,
    high: __m512i,
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn zero() -> Self {
        let zero = _mm512_setzero_si512();
        Self { low: zero, middle: zero, high: zero }
    }

    /// Adds each block times the power beside it.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn add(&mut self, blocks: __m512i, powers: __m512i) {
        self.low = _mm512_xor_si512(self.low, _mm512_clmulepi64_epi128::<0x00>(blocks, powers));
        self.high = _mm512_xor_si512(self.high, _mm512_clmulepi64_epi128::<0x11>(blocks, powers));
        let crosswise = _mm512_clmulepi64_epi128::<0x01>(blocks, powers);
        self.middle = xor(self.middle, crosswise, _mm512_clmulepi64_epi128::<0x10>(blocks, powers));
    }

    /// Keeps the compiler from moving what was added so far behind what is done with `blocks` from now on: it would gather what is
    /// of one kind.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn comes_before(&mut self, [a, b, c, d]: &mut [__m512i; VECTORS]) {
        // SAFETY: there is no instruction in it; the compiler does not know that.
        unsafe {
            asm!("/* {0} {1} {2} {3} {4} {5} {6} */",
                inout(zmm_reg) *a, inout(zmm_reg) *b, inout(zmm_reg) *c, inout(zmm_reg) *d,
                inout(zmm_reg) self.low, inout(zmm_reg) self.middle, inout(zmm_reg) self.high,
                options(pure, nomem, nostack, preserves_flags));
        }
    }

    /// The sum as one block.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn reduce(self) -> __m128i {
        let polynomial = _mm512_broadcast_i32x4(_mm_set_epi64x(POLYNOMIAL.cast_signed(), 0));
        let fold = |to: __m512i, from: __m512i| {
            let product = _mm512_clmulepi64_epi128::<0x01>(polynomial, from);
            xor(to, _mm512_shuffle_epi32::<SWAP_HALVES>(from), product)
        };
        let four = fold(self.high, fold(self.middle, self.low));
        let two = _mm256_xor_si256(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64::<1>(four));
        _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<XOR>(a, b, c)
}

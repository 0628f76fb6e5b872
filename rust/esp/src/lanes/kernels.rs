//! The compression functions of FIPS 180-4 6.1 to 6.4 over lanes: a vector is the same word of every message.
#![allow(clippy::many_single_char_names, clippy::large_types_passed_by_value)] // The standard's names; kept in registers.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_add_epi64, _mm512_loadu_si512, _mm512_rol_epi32, _mm512_ror_epi32,
    _mm512_ror_epi64, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_srli_epi32, _mm512_srli_epi64,
    _mm512_storeu_si512, _mm512_ternarylogic_epi32,
};

use super::transpose::{words_of_32_bits, words_of_64_bits};

/// Functions of three bits, as truth tables.
const XOR: i32 = 0x96;
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

/// Runs `$compress` over all blocks of `$data`, with the states turned into vectors and back.
macro_rules! chain {
    ($states:ident, $data:ident, $word:ty, $words:literal, $block:literal, $transpose:ident, $compress:ident) => {{
        const LANES: usize = 64 / size_of::<$word>();
        let mut lanes = [[0; LANES]; $words];
        for (lane, state) in $states.iter().enumerate().take(LANES) {
            lanes.iter_mut().zip(state).for_each(|(words, word)| words[lane] = *word);
        }
        let mut vectors = [_mm512_setzero_si512(); $words];
        for (vector, words) in vectors.iter_mut().zip(&lanes) {
            // SAFETY: the array is 64 octets long.
            *vector = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
        }
        for at in (0..$data[0].len()).step_by($block) {
            vectors = $compress(vectors, $transpose($data, at));
        }
        for (vector, words) in vectors.iter().zip(&mut lanes) {
            // SAFETY: the array is 64 octets long.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), *vector) };
        }
        for (lane, state) in $states.iter_mut().enumerate().take(LANES) {
            state.iter_mut().zip(&lanes).for_each(|(word, words)| *word = words[lane]);
        }
    }};
}

/// SHA-2's compression, the same for both word sizes but for rounds and rotations.
macro_rules! sha2 {
    ($name:ident, $block:ident, $word:ty, $octets:literal, $rounds:literal, $k:ident, $transpose:ident,
     $add:ident, $set:ident, $ror:ident, $shr:ident,
     $s0:tt, $s1:tt, $e0:tt, $e1:tt) => {
        #[target_feature(enable = "avx512f,avx512bw")]
        pub(super) fn $name(states: &mut [[$word; 8]], data: &[&[u8]]) {
            chain!(states, data, $word, 8, $octets, $transpose, $block);
        }

        #[inline]
        #[target_feature(enable = "avx512f,avx512bw")]
        fn $block(state: [__m512i; 8], mut w: [__m512i; 16]) -> [__m512i; 8] {
            let mut v = state;
            for t in (0..$rounds).step_by(16) {
                for i in 0..16 {
                    if t > 0 {
                        let s0 = sigma!($ror, $shr, w[(i + 1) & 15], $s0);
                        let s1 = sigma!($ror, $shr, w[(i + 14) & 15], $s1);
                        w[i] = $add($add(w[i], s0), $add(w[(i + 9) & 15], s1));
                    }
                    let [a, b, c, d, e, f, g, h] = v;
                    let choose = _mm512_ternarylogic_epi32::<CHOOSE>(e, f, g);
                    let majority = _mm512_ternarylogic_epi32::<MAJORITY>(a, b, c);
                    let wk = $add(w[i], $set($k[t + i].cast_signed()));
                    let t1 = $add($add(h, wk), $add(sigma!($ror, $shr, e, $e1), choose));
                    let t2 = $add(sigma!($ror, $shr, a, $e0), majority);
                    v = [$add(t1, t2), a, b, c, $add(d, t1), e, f, g];
                }
            }
            std::array::from_fn(|i| $add(state[i], v[i]))
        }
    };
}

/// Three rotations, or two and a shift, added without carry.
macro_rules! sigma {
    ($ror:ident, $shr:ident, $x:expr, ($a:literal, $b:literal, shr $c:literal)) => {
        _mm512_ternarylogic_epi32::<XOR>($ror::<$a>($x), $ror::<$b>($x), $shr::<$c>($x))
    };
    ($ror:ident, $shr:ident, $x:expr, ($a:literal, $b:literal, $c:literal)) => {
        _mm512_ternarylogic_epi32::<XOR>($ror::<$a>($x), $ror::<$b>($x), $ror::<$c>($x))
    };
}

sha2!(
    sha256, block_256, u32, 64, 64, K_256, words_of_32_bits,
    _mm512_add_epi32, _mm512_set1_epi32, _mm512_ror_epi32, _mm512_srli_epi32,
    (7, 18, shr 3), (17, 19, shr 10), (2, 13, 22), (6, 11, 25)
);

sha2!(
    sha512, block_512, u64, 128, 80, K_512, words_of_64_bits,
    _mm512_add_epi64, _mm512_set1_epi64, _mm512_ror_epi64, _mm512_srli_epi64,
    (1, 8, shr 7), (19, 61, shr 6), (28, 34, 39), (14, 18, 41)
);

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn sha1(states: &mut [[u32; 5]], data: &[&[u8]]) {
    chain!(states, data, u32, 5, 64, words_of_32_bits, block_1);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn block_1(state: [__m512i; 5], mut w: [__m512i; 16]) -> [__m512i; 5] {
    let mut v = state;
    v = twenty_rounds::<0, CHOOSE>(v, &mut w, 0x5a82_7999);
    v = twenty_rounds::<20, XOR>(v, &mut w, 0x6ed9_eba1);
    v = twenty_rounds::<40, MAJORITY>(v, &mut w, 0x8f1b_bcdc);
    v = twenty_rounds::<60, XOR>(v, &mut w, 0xca62_c1d6);
    std::array::from_fn(|i| _mm512_add_epi32(state[i], v[i]))
}

/// The rounds of SHA-1 from `START`, which share a function and a constant.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn twenty_rounds<const START: usize, const FUNCTION: i32>(
    mut v: [__m512i; 5],
    w: &mut [__m512i; 16],
    k: u32,
) -> [__m512i; 5] {
    let k = _mm512_set1_epi32(k.cast_signed());
    for t in START..START + 20 {
        if t >= 16 {
            let three = _mm512_ternarylogic_epi32::<XOR>(w[(t + 13) & 15], w[(t + 8) & 15], w[(t + 2) & 15]);
            let four = _mm512_ternarylogic_epi32::<XOR>(three, w[t & 15], _mm512_setzero_si512());
            w[t & 15] = _mm512_rol_epi32::<1>(four);
        }
        let [a, b, c, d, e] = v;
        let function = _mm512_ternarylogic_epi32::<FUNCTION>(b, c, d);
        let wk = _mm512_add_epi32(w[t & 15], k);
        let sum = _mm512_add_epi32(_mm512_add_epi32(e, wk), _mm512_add_epi32(_mm512_rol_epi32::<5>(a), function));
        v = [sum, a, _mm512_rol_epi32::<30>(b), c, d];
    }
    v
}

#[rustfmt::skip]
const K_256: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

#[rustfmt::skip]
const K_512: [u64; 80] = [
    0x428a_2f98_d728_ae22, 0x7137_4491_23ef_65cd, 0xb5c0_fbcf_ec4d_3b2f, 0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538, 0x59f1_11f1_b605_d019, 0x923f_82a4_af19_4f9b, 0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242, 0x1283_5b01_4570_6fbe, 0x2431_85be_4ee4_b28c, 0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f, 0x80de_b1fe_3b16_96b1, 0x9bdc_06a7_25c7_1235, 0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2, 0xefbe_4786_384f_25e3, 0x0fc1_9dc6_8b8c_d5b5, 0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275, 0x4a74_84aa_6ea6_e483, 0x5cb0_a9dc_bd41_fbd4, 0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab, 0xa831_c66d_2db4_3210, 0xb003_27c8_98fb_213f, 0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2, 0xd5a7_9147_930a_a725, 0x06ca_6351_e003_826f, 0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc, 0x2e1b_2138_5c26_c926, 0x4d2c_6dfc_5ac4_2aed, 0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de, 0x766a_0abb_3c77_b2a8, 0x81c2_c92e_47ed_aee6, 0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364, 0xa81a_664b_bc42_3001, 0xc24b_8b70_d0f8_9791, 0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218, 0xd699_0624_5565_a910, 0xf40e_3585_5771_202a, 0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8, 0x1e37_6c08_5141_ab53, 0x2748_774c_df8e_eb99, 0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63, 0x4ed8_aa4a_e341_8acb, 0x5b9c_ca4f_7763_e373, 0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc, 0x78a5_636f_4317_2f60, 0x84c8_7814_a1f0_ab72, 0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28, 0xa450_6ceb_de82_bde9, 0xbef9_a3f7_b2c6_7915, 0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c, 0xd186_b8c7_21c0_c207, 0xeada_7dd6_cde0_eb1e, 0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba, 0x0a63_7dc5_a2c8_98a6, 0x113f_9804_bef9_0dae, 0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84, 0x32ca_ab7b_40c7_2493, 0x3c9e_be0a_15c9_bebc, 0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6, 0x597f_299c_fc65_7e2a, 0x5fcb_6fab_3ad6_faec, 0x6c44_198c_4a47_5817,
];

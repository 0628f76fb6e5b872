//! The round keys of AES (FIPS 197 5.2), computed once for a key.

use std::arch::x86_64::{_mm_aeskeygenassist_si128, _mm_cvtsi128_si32, _mm_set1_epi32};

use zeroize::Zeroize;

/// Words of the longest schedule.
const MOST_WORDS: usize = 60;
/// x^8 + x^4 + x^3 + x + 1, by which products in the field of AES are reduced.
const AES_POLYNOMIAL: u32 = 0x11b;

/// Whether AES makes `round_keys` round keys of it.
pub(super) fn is_key_of(key: &[u8], round_keys: usize) -> bool {
    key.len() == 4 * (round_keys - 7)
}

/// The round keys of a key of 4 * (`KEYS` - 7) octets.
#[target_feature(enable = "aes")]
pub(super) fn round_keys<const KEYS: usize>(key: &[u8]) -> [u128; KEYS] {
    let key_words = KEYS - 7;
    let mut words = [0_u32; MOST_WORDS];
    for (word, octets) in words.iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*octets);
    }
    let mut round_constant = 1;
    for i in key_words..4 * KEYS {
        let mut word = words[i - 1];
        if i % key_words == 0 {
            word = substitute(word).rotate_right(8) ^ round_constant;
            round_constant <<= 1;
            round_constant ^= if round_constant & 0x100 == 0 { 0 } else { AES_POLYNOMIAL };
        } else if key_words > 6 && i % key_words == 4 {
            word = substitute(word);
        }
        words[i] = words[i - key_words] ^ word;
    }
    let keys = std::array::from_fn(|i| (0..4).rev().fold(0, |key, j| (key << 32) | u128::from(words[4 * i + j])));
    words.zeroize();
    keys
}

/// The S-box over a word's octets, by an instruction: a table would tell the key through the cache.
#[target_feature(enable = "aes")]
fn substitute(word: u32) -> u32 {
    _mm_cvtsi128_si32(_mm_aeskeygenassist_si128::<0>(_mm_set1_epi32(word.cast_signed()))).cast_unsigned()
}

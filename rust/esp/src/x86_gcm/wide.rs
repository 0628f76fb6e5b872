//! With four blocks in a vector register: AVX-512 with VAES and VPCLMULQDQ.

mod hash;
mod stream;

use std::arch::x86_64::{
    __m128i, __m512i, _mm_loadu_si128, _mm_maskz_loadu_epi8, _mm_set_epi8, _mm_set_epi64x, _mm_shuffle_epi8,
    _mm_storeu_si128, _mm_xor_si128, _mm512_alignr_epi64, _mm512_broadcast_i32x4, _mm512_castsi512_si128,
    _mm512_loadu_si512, _mm512_mask_mov_epi32, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_maskz_loadu_epi64, _mm512_maskz_mov_epi8, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_storeu_si512,
    _mm512_xor_si512, _mm512_zextsi128_si512,
};

use hash::Sum;
use stream::{KeyStream, add_key, encrypt, last_round, round};
use zeroize::Zeroize;

use super::field::hash_key;
use super::schedule::{is_key_of, round_keys};
use super::{BLOCK, Kernel};

/// Octets of a vector.
const VECTOR: usize = 4 * BLOCK;
/// Vectors whose blocks are encrypted at a time; fewer would wait for each other's rounds.
const VECTORS: usize = 4;
/// Octets of those.
const GROUP: usize = VECTORS * VECTOR;
/// Groups that are hashed with one reduction.
const GROUPS: usize = 2;
/// Octets of those.
const CHUNK: usize = GROUPS * GROUP;
/// Blocks of the packet in the first vector, whose fourth block is the tag's counter, or the associated data.
const FIRST: usize = 3;
/// The most blocks that are summed up: what is just not a chunk, and the lengths.
const POWERS: usize = CHUNK / BLOCK + 1;

/// A key's schedule. One is made only where the processor has the instructions.
pub(crate) struct Wide<const KEYS: usize> {
    /// The hash key's powers, the highest first.
    powers: [u128; POWERS],
    round_keys: [u128; KEYS],
}

/// Whether the processor has what the kernel is compiled for.
fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
}

impl<const KEYS: usize> Kernel for Wide<KEYS> {
    fn new(key: &[u8]) -> Option<Self> {
        // SAFETY: the features for which it is compiled were found.
        (available() && is_key_of(key, KEYS)).then(|| unsafe { Self::schedule(key) })
    }

    fn crypt<const SEAL: bool>(&self, counter: [u8; BLOCK], associated: &[u8], body: &mut [u8]) -> [u8; BLOCK] {
        // SAFETY: there is a key, so the features were found.
        unsafe { self.pass::<SEAL>(counter, associated, body) }
    }
}

impl<const KEYS: usize> Drop for Wide<KEYS> {
    fn drop(&mut self) {
        self.powers.zeroize();
        self.round_keys.zeroize();
    }
}

impl<const KEYS: usize> Wide<KEYS> {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn schedule(key: &[u8]) -> Self {
        let mut made = Self { powers: [0; POWERS], round_keys: round_keys(key) };
        let [zeros] = encrypt(&made.wide_round_keys(), [_mm512_setzero_si512()]);
        let hash_key = hash_key(octets(_mm512_castsi512_si128(zeros)));
        let mut power = hash_key;
        for place in made.powers.iter_mut().rev() {
            *place = power;
            let mut product = Sum::zero();
            product.add(_mm512_zextsi128_si512(block(power)), _mm512_zextsi128_si512(block(hash_key)));
            power = u128::from_le_bytes(octets(product.reduce()));
        }
        made
    }

    /// Encryption and hash in one pass.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn pass<const SEAL: bool>(&self, counter: [u8; BLOCK], associated: &[u8], body: &mut [u8]) -> [u8; BLOCK] {
        let bits = |octets: &[u8]| (8 * octets.len() as u64).cast_signed();
        let lengths = _mm_set_epi64x(bits(associated), bits(body));
        let lengths = _mm512_broadcast_i32x4(lengths);
        let blocks = body.len().div_ceil(BLOCK);
        let (first, rest) = body.split_at_mut(body.len().min(FIRST * BLOCK));
        let (chunks, mut rest) = rest.split_at_mut(rest.len() / CHUNK * CHUNK);
        let mut stream = KeyStream::new(self.wide_round_keys(), counter);

        // The counter of the tag comes before those of the packet, and the associated data is hashed before it: both stand
        // behind its first three blocks instead, where they are in nobody's way.
        let [masks] = stream.next();
        let tag_mask = _mm512_castsi512_si128(masks);
        let mut hashed = apply::<SEAL>(rotate(masks), first);
        hashed = _mm512_mask_mov_epi32(hashed, place(3), _mm512_broadcast_i32x4(load_short(associated)));
        if blocks < FIRST {
            hashed = _mm512_mask_mov_epi32(hashed, place(blocks), lengths);
        }
        let all = 1 + blocks + 1;
        let mut sum = Sum::zero();
        sum.add(hashed, rotate(self.powers(if all > POWERS { 4 } else { all })));
        // What was hashed before is added to the first block of what comes next.
        let mut before = _mm512_setzero_si512();
        if all > POWERS {
            before = _mm512_zextsi128_si512(sum.reduce());
            sum = Sum::zero();
        }
        before = self.pass_chunks::<SEAL>(&mut stream, chunks, before);
        let mut blocks_left = (blocks + 1).saturating_sub(FIRST) - chunks.len() / BLOCK;
        if rest.len() >= GROUP {
            let (group, behind) = rest.split_at_mut(GROUP);
            rest = behind;
            let masks: [_; VECTORS] = stream.next();
            for (octets, mask) in group.as_chunks_mut::<VECTOR>().0.iter_mut().zip(masks) {
                sum.add(_mm512_xor_si512(apply_whole::<SEAL>(mask, octets), before), self.powers(blocks_left));
                before = _mm512_setzero_si512();
                blocks_left -= 4;
            }
        }
        while blocks_left > 0 {
            let (octets, behind) = rest.split_at_mut(rest.len().min(VECTOR));
            rest = behind;
            let [mask] = stream.next();
            let mut hashed = apply::<SEAL>(mask, octets);
            if blocks_left <= 4 {
                hashed = _mm512_mask_mov_epi32(hashed, place(blocks_left - 1), lengths);
            }
            sum.add(_mm512_xor_si512(hashed, before), self.powers(blocks_left));
            before = _mm512_setzero_si512();
            blocks_left = blocks_left.saturating_sub(4);
        }
        let reverse = _mm512_castsi512_si128(reverse());
        octets(_mm_xor_si128(_mm_shuffle_epi8(sum.reduce(), reverse), tag_mask))
    }

    /// What `pass` does with whole chunks, of which it hashes one with each reduction; the hash after them.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn pass_chunks<const SEAL: bool>(
        &self,
        stream: &mut KeyStream<KEYS>,
        octets: &mut [u8],
        mut before: __m512i,
    ) -> __m512i {
        for start in (0..octets.len()).step_by(CHUNK) {
            // Hashed beside what is encrypted: when opening the same octets, when sealing those that were written a chunk ago
            // and lie in the cache by now.
            let hashed = if SEAL { start.checked_sub(CHUNK) } else { Some(start) };
            let mut sum = Sum::zero();
            for group in 0..GROUPS {
                let ciphertext = hashed.and_then(|hashed| octets[hashed + group * GROUP..].first_chunk());
                let masks = match ciphertext {
                    Some(ciphertext) => self.next_beside(stream, &mut sum, ciphertext, group, before),
                    None => stream.next(),
                };
                let vectors = octets[start + group * GROUP..].as_chunks_mut().0;
                for (octets, mask) in vectors.iter_mut().zip(masks) {
                    add_mask(mask, octets);
                }
            }
            if hashed.is_some() {
                before = _mm512_zextsi128_si512(sum.reduce());
            }
        }
        if let Some(last) = octets.last_chunk::<CHUNK>().filter(|_| SEAL) {
            let mut sum = Sum::zero();
            for (place, octets) in last.as_chunks().0.iter().enumerate() {
                self.hash(&mut sum, octets, place, before);
            }
            before = _mm512_zextsi128_si512(sum.reduce());
        }
        before
    }

    /// The key stream's next vectors, and in the meantime a group of a chunk is added to the sum: AES and products of polynomials
    /// are different units of the processor, which looks too few instructions ahead to find work for both by itself.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn next_beside(
        &self,
        stream: &mut KeyStream<KEYS>,
        sum: &mut Sum,
        ciphertext: &[u8; GROUP],
        group: usize,
        before: __m512i,
    ) -> [__m512i; VECTORS] {
        let mut blocks = stream.next_counters();
        let keys = &stream.round_keys;
        add_key(&mut blocks, keys[0]);
        let vectors = ciphertext.as_chunks().0;
        // The first vector last: what it is added to is only being reduced.
        for (rounds, i) in keys[1..=2 * VECTORS].as_chunks::<2>().0.iter().zip((0..VECTORS).rev()) {
            for key in rounds {
                round(&mut blocks, *key);
            }
            self.hash(sum, &vectors[i], group * VECTORS + i, before);
            sum.comes_before(&mut blocks);
        }
        for key in &keys[1 + 2 * VECTORS..KEYS - 1] {
            round(&mut blocks, *key);
        }
        last_round(&mut blocks, keys[KEYS - 1]);
        blocks
    }

    /// Adds the vector at this place of a chunk to the sum, the first one together with the hash before.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
    fn hash(&self, sum: &mut Sum, ciphertext: &[u8; VECTOR], place: usize, before: __m512i) {
        let blocks = load_reversed(ciphertext);
        let blocks = if place == 0 { _mm512_xor_si512(blocks, before) } else { blocks };
        sum.add(blocks, self.powers(4 * (GROUPS * VECTORS - place)));
    }

    /// Four powers of the hash key, the highest first; zeros behind the lowest, for a vector of fewer blocks.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn powers(&self, highest: usize) -> __m512i {
        let powers = &self.powers[POWERS - highest..];
        let there = ((1_u16 << (2 * powers.len().min(4))) - 1) as u8;
        // SAFETY: of the memory only the powers that are there are read.
        unsafe { _mm512_maskz_loadu_epi64(there, powers.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn wide_round_keys(&self) -> [__m512i; KEYS] {
        let mut wide = [_mm512_setzero_si512(); KEYS];
        for (wide, key) in wide.iter_mut().zip(&self.round_keys) {
            *wide = _mm512_broadcast_i32x4(block(*key));
        }
        wide
    }
}

/// Adds `mask` to the octets, of which there are at most as many, and gives the ciphertext as it is hashed: reversed, with
/// zeros behind it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn apply<const SEAL: bool>(mask: __m512i, octets: &mut [u8]) -> __m512i {
    let there = ((1_u128 << octets.len().min(VECTOR)) - 1) as u64;
    // SAFETY: of the memory only the octets that are there are read.
    let before = unsafe { _mm512_maskz_loadu_epi8(there, octets.as_ptr().cast()) };
    let after = _mm512_xor_si512(before, mask);
    // SAFETY: of the memory only the octets that are there are written.
    unsafe { _mm512_mask_storeu_epi8(octets.as_mut_ptr().cast(), there, after) };
    let ciphertext = if SEAL { _mm512_maskz_mov_epi8(there, after) } else { before };
    _mm512_shuffle_epi8(ciphertext, reverse())
}

/// As [`apply`], for a whole vector.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn apply_whole<const SEAL: bool>(mask: __m512i, octets: &mut [u8; VECTOR]) -> __m512i {
    // SAFETY: the array is a vector long.
    let before = unsafe { _mm512_loadu_si512(octets.as_ptr().cast()) };
    let after = _mm512_xor_si512(before, mask);
    // SAFETY: the array is a vector long.
    unsafe { _mm512_storeu_si512(octets.as_mut_ptr().cast(), after) };
    _mm512_shuffle_epi8(if SEAL { after } else { before }, reverse())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add_mask(mask: __m512i, octets: &mut [u8; VECTOR]) {
    // SAFETY: the array is a vector long.
    unsafe {
        let before = _mm512_loadu_si512(octets.as_ptr().cast());
        _mm512_storeu_si512(octets.as_mut_ptr().cast(), _mm512_xor_si512(before, mask));
    }
}

/// As it is hashed.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_reversed(ciphertext: &[u8; VECTOR]) -> __m512i {
    // SAFETY: the array is a vector long.
    _mm512_shuffle_epi8(unsafe { _mm512_loadu_si512(ciphertext.as_ptr().cast()) }, reverse())
}

/// The second block first, and the first last.
#[inline]
#[target_feature(enable = "avx512f")]
fn rotate(blocks: __m512i) -> __m512i {
    _mm512_alignr_epi64::<2>(blocks, blocks)
}

/// The words of one of four blocks.
fn place(block: usize) -> u16 {
    0xf << (4 * block)
}

/// What reverses the octets of every block.
#[inline]
#[target_feature(enable = "avx512f")]
fn reverse() -> __m512i {
    _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
}

/// At most a block of octets, reversed, with zeros for what is not there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_short(octets: &[u8]) -> __m128i {
    assert!(octets.len() <= BLOCK, "associated data is at most a block long");
    let there = ((1_u32 << octets.len()) - 1) as u16;
    // SAFETY: of the memory only the octets that are there are read.
    let block = unsafe { _mm_maskz_loadu_epi8(there, octets.as_ptr().cast()) };
    _mm_shuffle_epi8(block, _mm512_castsi512_si128(reverse()))
}

#[inline]
#[target_feature(enable = "sse2")]
fn block(number: u128) -> __m128i {
    // SAFETY: the number is as long as a block.
    unsafe { _mm_loadu_si128((&raw const number).cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn octets(block: __m128i) -> [u8; BLOCK] {
    let mut octets = [0; BLOCK];
    // SAFETY: the array is as long as a block.
    unsafe { _mm_storeu_si128(octets.as_mut_ptr().cast(), block) };
    octets
}

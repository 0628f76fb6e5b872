//! With a block in a vector register, eight registers at a time: AES and PCLMULQDQ, which nearly every processor since 2013 has.

mod hash;

use std::arch::asm;
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_aesenc_si128, _mm_aesenclast_si128, _mm_loadu_si128, _mm_set_epi8, _mm_set_epi32,
    _mm_set_epi64x, _mm_setzero_si128, _mm_shuffle_epi8, _mm_storeu_si128, _mm_xor_si128,
};

use hash::{Power, Sum};
use zeroize::Zeroize;

use super::field::hash_key;
use super::schedule::{is_key_of, round_keys};
use super::{BLOCK, Kernel};

/// Blocks that are encrypted at a time: with fewer the unit for AES would wait for its own results.
const GROUP: usize = 8;
/// Octets of them.
const CHUNK: usize = GROUP * BLOCK;
/// Octets of the packet in the first group, whose first block is the tag's counter, or the associated data.
const FIRST: usize = CHUNK - BLOCK;
/// The most blocks that are summed up at the end: a group, and the lengths.
const POWERS: usize = GROUP + 1;

/// A key's schedule. One is made only where the processor has the instructions.
pub(crate) struct Narrow<const KEYS: usize> {
    /// The hash key's powers, the highest first.
    powers: [Power; POWERS],
    round_keys: [u128; KEYS],
}

/// Whether the processor has what the kernel is compiled for.
fn available() -> bool {
    is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq") && is_x86_feature_detected!("avx")
}

impl<const KEYS: usize> Kernel for Narrow<KEYS> {
    fn new(key: &[u8]) -> Option<Self> {
        // SAFETY: the features for which it is compiled were found.
        (available() && is_key_of(key, KEYS)).then(|| unsafe { Self::schedule(key) })
    }

    fn crypt<const SEAL: bool>(&self, counter: [u8; BLOCK], associated: &[u8], body: &mut [u8]) -> [u8; BLOCK] {
        // SAFETY: there is a key, so the features were found.
        unsafe { self.pass::<SEAL>(counter, associated, body) }
    }
}

impl<const KEYS: usize> Drop for Narrow<KEYS> {
    fn drop(&mut self) {
        self.powers.zeroize();
        self.round_keys.zeroize();
    }
}

impl<const KEYS: usize> Narrow<KEYS> {
    #[target_feature(enable = "aes,pclmulqdq,avx")]
    fn schedule(key: &[u8]) -> Self {
        let mut made = Self { powers: Default::default(), round_keys: round_keys(key) };
        let mut zeros = [_mm_setzero_si128()];
        made.begin(&mut zeros);
        for round in 1..KEYS - 1 {
            made.round(round, &mut zeros);
        }
        made.end(&mut zeros);
        let hash_key = Power::new(hash_key(octets(zeros[0])));
        let mut power = hash_key;
        for place in made.powers.iter_mut().rev() {
            *place = power;
            let mut product = Sum::zero();
            product.add(block(&power.whole), &hash_key);
            power = Power::new(u128::from_le_bytes(octets(product.reduce())));
        }
        made
    }

    /// Encryption and hash in one pass: a group is hashed while the next one is encrypted.
    #[target_feature(enable = "aes,pclmulqdq,avx")]
    fn pass<const SEAL: bool>(&self, counter: [u8; BLOCK], associated: &[u8], body: &mut [u8]) -> [u8; BLOCK] {
        let bits = |octets: &[u8]| (8 * octets.len() as u64).cast_signed();
        let lengths = _mm_set_epi64x(bits(associated), bits(body));
        let mut counters = _mm_shuffle_epi8(load(&counter), reverse());
        let mut hashed = [_mm_setzero_si128(); GROUP];
        let mut before = _mm_setzero_si128();

        // The counter of the tag comes before those of the packet, and the associated data is hashed before it.
        let mut masks = self.masks(&mut counters);
        let tag_mask = masks[0];
        let mut last = [_mm_setzero_si128(); POWERS];
        let mut count = 0;
        let rest = if let Some((first, rest)) = body.split_first_chunk_mut::<FIRST>() {
            hashed[0] = load_short(associated);
            apply::<SEAL>(&masks[1..], first, &mut hashed[1..]);
            let (chunks, rest) = rest.as_chunks_mut::<CHUNK>();
            let mut chunks = chunks.iter_mut();
            loop {
                (masks, before) = self.masks_and_hash(&mut counters, &hashed, before);
                let Some(chunk) = chunks.next() else { break };
                apply::<SEAL>(&masks, chunk, &mut hashed);
            }
            rest
        } else {
            last[0] = load_short(associated);
            count = 1;
            body
        };
        let masks = &masks[count..];
        let (blocks, short) = rest.as_chunks_mut::<BLOCK>();
        apply::<SEAL>(masks, blocks.as_flattened_mut(), &mut last[count..]);
        count += blocks.len();
        if !short.is_empty() {
            last[count] = apply_short::<SEAL>(masks[blocks.len()], short);
            count += 1;
        }
        last[count] = lengths;
        last[0] = _mm_xor_si128(last[0], before);
        let mut sum = Sum::zero();
        for (block, power) in last[..=count].iter().zip(&self.powers[POWERS - 1 - count..]) {
            sum.add(*block, power);
        }
        octets(_mm_xor_si128(_mm_shuffle_epi8(sum.reduce(), reverse()), tag_mask))
    }

    /// The next group of what is added to the packet.
    #[inline]
    #[target_feature(enable = "aes,avx")]
    fn masks(&self, counters: &mut __m128i) -> [__m128i; GROUP] {
        let mut blocks = next(counters);
        self.begin(&mut blocks);
        for round in 1..KEYS - 1 {
            self.round(round, &mut blocks);
        }
        self.end(&mut blocks);
        blocks
    }

    /// As `masks`; and with a block in each round, the hash of a group, to whose first block the hash `before` is added.
    #[inline]
    #[target_feature(enable = "aes,pclmulqdq,avx")]
    fn masks_and_hash(
        &self,
        counters: &mut __m128i,
        hashed: &[__m128i; GROUP],
        before: __m128i,
    ) -> ([__m128i; GROUP], __m128i) {
        let mut blocks = next(counters);
        self.begin(&mut blocks);
        let mut sum = Sum::zero();
        for round in 1..KEYS - 1 {
            self.round(round, &mut blocks);
            if round <= GROUP {
                let mut block = hashed[round - 1];
                if round == 1 {
                    block = _mm_xor_si128(block, before);
                }
                sum.add(block, &self.powers[round]);
            }
            in_step(&mut blocks, &mut sum);
        }
        self.end(&mut blocks);
        (blocks, sum.reduce())
    }

    // The parts of AES (FIPS 197 5.1), with many blocks side by side.

    #[inline]
    #[target_feature(enable = "sse2")]
    fn begin(&self, blocks: &mut [__m128i]) {
        let key = block(&self.round_keys[0]);
        for block in blocks {
            *block = _mm_xor_si128(*block, key);
        }
    }

    #[inline]
    #[target_feature(enable = "aes")]
    fn round(&self, number: usize, blocks: &mut [__m128i]) {
        let key = block(&self.round_keys[number]);
        for block in blocks {
            *block = _mm_aesenc_si128(*block, key);
        }
    }

    #[inline]
    #[target_feature(enable = "aes")]
    fn end(&self, blocks: &mut [__m128i]) {
        let key = block(&self.round_keys[KEYS - 1]);
        for block in blocks {
            *block = _mm_aesenclast_si128(*block, key);
        }
    }
}

/// Keeps the compiler from putting all of the hash behind all of the rounds. It would, and two units of the processor would wait
/// for each other: its window of instructions is shorter than that.
#[inline]
#[target_feature(enable = "sse2")]
fn in_step(blocks: &mut [__m128i; GROUP], sum: &mut Sum) {
    // SAFETY: this is no instruction. It only is said to change all that is given to it.
    unsafe {
        asm!(
            "/* {} {} {} {} {} {} {} {} {} {} {} */",
            inout(xmm_reg) blocks[0], inout(xmm_reg) blocks[1], inout(xmm_reg) blocks[2], inout(xmm_reg) blocks[3],
            inout(xmm_reg) blocks[4], inout(xmm_reg) blocks[5], inout(xmm_reg) blocks[6], inout(xmm_reg) blocks[7],
            inout(xmm_reg) sum.low, inout(xmm_reg) sum.middle, inout(xmm_reg) sum.high,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
}

/// The next group of counter blocks.
#[inline]
#[target_feature(enable = "avx")]
fn next(counters: &mut __m128i) -> [__m128i; GROUP] {
    let mut blocks = [_mm_setzero_si128(); GROUP];
    for block in &mut blocks {
        *block = _mm_shuffle_epi8(*counters, reverse());
        *counters = _mm_add_epi32(*counters, _mm_set_epi32(0, 0, 0, 1));
    }
    blocks
}

/// Adds the masks to whole blocks, and gives the ciphertext as it is hashed.
#[inline]
#[target_feature(enable = "avx")]
fn apply<const SEAL: bool>(masks: &[__m128i], octets: &mut [u8], hashed: &mut [__m128i]) {
    for ((octets, mask), hashed) in octets.as_chunks_mut::<BLOCK>().0.iter_mut().zip(masks).zip(hashed) {
        let before = load(octets);
        let after = _mm_xor_si128(before, *mask);
        *octets = self::octets(after);
        *hashed = _mm_shuffle_epi8(if SEAL { after } else { before }, reverse());
    }
}

/// As [`apply`] for less than a block; zeros are hashed behind it.
#[inline(never)]
#[target_feature(enable = "avx")]
fn apply_short<const SEAL: bool>(mask: __m128i, octets: &mut [u8]) -> __m128i {
    let mut before = [0; BLOCK];
    before[..octets.len()].copy_from_slice(octets);
    let mut after = self::octets(_mm_xor_si128(load(&before), mask));
    octets.copy_from_slice(&after[..octets.len()]);
    after[octets.len()..].fill(0);
    _mm_shuffle_epi8(load(if SEAL { &after } else { &before }), reverse())
}

/// At most a block of octets as it is hashed, zeros behind it.
#[inline]
#[target_feature(enable = "avx")]
fn load_short(octets: &[u8]) -> __m128i {
    let mut block = [0; BLOCK];
    block[..octets.len()].copy_from_slice(octets);
    _mm_shuffle_epi8(load(&block), reverse())
}

/// What reverses the octets of a block.
#[inline]
#[target_feature(enable = "sse2")]
fn reverse() -> __m128i {
    _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
}

#[inline]
#[target_feature(enable = "sse2")]
fn load(octets: &[u8; BLOCK]) -> __m128i {
    // SAFETY: the array is as long as a block.
    unsafe { _mm_loadu_si128(octets.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn block(number: &u128) -> __m128i {
    // SAFETY: the number is as long as a block.
    unsafe { _mm_loadu_si128(std::ptr::from_ref(number).cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn octets(block: __m128i) -> [u8; BLOCK] {
    let mut octets = [0; BLOCK];
    // SAFETY: the array is as long as a block.
    unsafe { _mm_storeu_si128(octets.as_mut_ptr().cast(), block) };
    octets
}

//! The hash functions below HMAC, by their compression functions: one message, or several side by side.

use crate::lanes;

/// A hash function of Merkle and Damgård's construction.
pub(crate) trait Hash: Send + Sync + 'static {
    /// The chaining value.
    type State: Copy + Send + Sync + zeroize::Zeroize;
    /// What chaining starts with.
    const INITIAL: Self::State;
    /// Octets of a block.
    const BLOCK: usize;
    /// Octets of the length at the end of the padding.
    const LENGTH: usize;
    /// Octets of the digest.
    const DIGEST: usize;
    /// Fewer messages than this are faster one after the other.
    const WORTH_LANES: usize;

    /// Chains `blocks`, a multiple of a block long.
    fn compress(state: &mut Self::State, blocks: &[u8]);

    /// Chains several messages at once: as many blocks of each of `data`, all of the same length. `states` and `data` are
    /// `lanes` long.
    fn compress_lanes(states: &mut [Self::State], data: &[&[u8]]);

    /// Messages that [`compress_lanes`](Self::compress_lanes) takes; 0 where this processor is no faster that way.
    fn lanes() -> usize;

    /// The digest's first octets, as many as `out` has room for.
    fn write(state: &Self::State, out: &mut [u8]);
}

/// Writes words most significant octet first.
macro_rules! write_words {
    ($state:expr, $out:expr) => {{
        let mut octets = $state.iter().flat_map(|word| word.to_be_bytes());
        $out.iter_mut().zip(&mut octets).for_each(|(to, octet)| *to = octet);
    }};
}

/// SHA-1 (FIPS 180-4).
pub(crate) struct Sha1;

impl Hash for Sha1 {
    type State = [u32; 5];
    const INITIAL: Self::State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    const BLOCK: usize = 64;
    const LENGTH: usize = 8;
    const DIGEST: usize = 20;
    const WORTH_LANES: usize = 6;

    fn compress(state: &mut Self::State, blocks: &[u8]) {
        sha1::block_api::compress(state, blocks.as_chunks().0);
    }

    fn compress_lanes(states: &mut [Self::State], data: &[&[u8]]) {
        lanes::sha1(states, data);
    }

    fn lanes() -> usize {
        lanes::of_32_bits()
    }

    fn write(state: &Self::State, out: &mut [u8]) {
        write_words!(state, out);
    }
}

/// SHA-256 (FIPS 180-4).
pub(crate) struct Sha256;

impl Hash for Sha256 {
    type State = [u32; 8];
    const INITIAL: Self::State =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
    const BLOCK: usize = 64;
    const LENGTH: usize = 8;
    const DIGEST: usize = 32;
    const WORTH_LANES: usize = 7;

    fn compress(state: &mut Self::State, blocks: &[u8]) {
        sha2::block_api::compress256(state, blocks.as_chunks().0);
    }

    fn compress_lanes(states: &mut [Self::State], data: &[&[u8]]) {
        lanes::sha256(states, data);
    }

    fn lanes() -> usize {
        lanes::of_32_bits()
    }

    fn write(state: &Self::State, out: &mut [u8]) {
        write_words!(state, out);
    }
}

/// SHA-384 and SHA-512 (FIPS 180-4), which differ in what they start with and how much they give.
macro_rules! sha2_of_64_bits {
    ($name:ident, $digest:literal, $initial:expr) => {
        pub(crate) struct $name;

        impl Hash for $name {
            type State = [u64; 8];
            const INITIAL: Self::State = $initial;
            const BLOCK: usize = 128;
            const LENGTH: usize = 16;
            const DIGEST: usize = $digest;
            const WORTH_LANES: usize = 3;

            fn compress(state: &mut Self::State, blocks: &[u8]) {
                sha2::block_api::compress512(state, blocks.as_chunks().0);
            }

            fn compress_lanes(states: &mut [Self::State], data: &[&[u8]]) {
                lanes::sha512(states, data);
            }

            fn lanes() -> usize {
                lanes::of_64_bits()
            }

            fn write(state: &Self::State, out: &mut [u8]) {
                write_words!(state, out);
            }
        }
    };
}

sha2_of_64_bits!(
    Sha384,
    48,
    [
        0xcbbb_9d5d_c105_9ed8,
        0x629a_292a_367c_d507,
        0x9159_015a_3070_dd17,
        0x152f_ecd8_f70e_5939,
        0x6733_2667_ffc0_0b31,
        0x8eb4_4a87_6858_1511,
        0xdb0c_2e0d_64f9_8fa7,
        0x47b5_481d_befa_4fa4,
    ]
);
sha2_of_64_bits!(
    Sha512,
    64,
    [
        0x6a09_e667_f3bc_c908,
        0xbb67_ae85_84ca_a73b,
        0x3c6e_f372_fe94_f82b,
        0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1,
        0x9b05_688c_2b3e_6c1f,
        0x1f83_d9ab_fb41_bd6b,
        0x5be0_cd19_137e_2179,
    ]
);

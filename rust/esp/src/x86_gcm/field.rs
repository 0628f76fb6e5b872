//! GHASH's field.
//!
//! The standard numbers the bits of a block from the left; here a block's octets are reversed, so that a product of two blocks
//! is one bit too far right. The hash key is shifted once instead ([`hash_key`]), and every product with it is in place.

/// The upper half of the field's polynomial with its bits reversed, without x^128: x^127 + x^126 + x^121. The lower half is 1,
/// so 64 bits fold at a time with one product each: that with 1 is an exchange of halves.
pub(super) const POLYNOMIAL: u64 = 0xc200_0000_0000_0000;
/// The halves of every block, exchanged, as a shuffle of its words.
pub(super) const SWAP_HALVES: i32 = 0x4e;

/// The hash key as multiplier, of the block that encrypts to it: shifted by a bit, reduced.
pub(super) fn hash_key(block: [u8; 16]) -> u128 {
    let key = u128::from_be_bytes(block);
    let carry = 0_u128.wrapping_sub(key >> 127);
    (key << 1) ^ (carry & ((u128::from(POLYNOMIAL) << 64) | 1))
}

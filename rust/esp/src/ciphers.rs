//! Ciphers for composed suites: CBC (RFC 3602, RFC 2451), AES-CTR (RFC 3686), NULL (RFC 2410).

use aes::Aes128;
use cipher::{
    Array, Block, BlockCipherDecrypt, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt,
    BlockModeDecrypt, BlockSizeUser, InnerIvInit, KeyInit, ParBlocks, StreamCipher, array::ArraySize,
    array::typenum::Unsigned, consts::U16,
};
use ctr::{Ctr32BE, CtrCore};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroize;

use crate::composed::Cipher;

/// Packets whose chains are computed side by side.
const MOST_CHAINS: usize = 64;

/// A block cipher in CBC mode.
///
/// The IVs must not be foreseen (RFC 3602 3, RFC 2451 3): they are the sequence numbers encrypted with AES under a random key of
/// their own. Those of AES do not repeat; 3DES has the first 64 bits of such a block, which may repeat as random ones would.
pub(crate) struct Cbc<C> {
    cipher: C,
    ivs: Aes128,
}

impl<C: KeyInit> Cbc<C> {
    /// None when the key is not as long as the cipher's, or there is no randomness.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        let mut random = [0; 16];
        SystemRandom::new().fill(&mut random).ok()?;
        let ivs = Aes128::new(&random.into());
        random.zeroize();
        Some(Self { cipher: C::new_from_slice(key).ok()?, ivs })
    }
}

impl<C> Cipher for Cbc<C>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser + Send + Sync,
    for<'a> cbc::Decryptor<&'a C>:
        BlockModeDecrypt<BlockSize = C::BlockSize> + InnerIvInit<Inner = &'a C, IvSize = C::BlockSize>,
{
    const IV: usize = C::BlockSize::USIZE;
    const ALIGNMENT: usize = C::BlockSize::USIZE;

    fn write_iv(&self, sequence_number: u64, iv: &mut [u8]) {
        let mut block = u128::from(sequence_number).to_be_bytes().into();
        self.ivs.encrypt_block(&mut block);
        iv.copy_from_slice(&block[..Self::IV]);
    }

    fn encrypt(&self, bodies: &mut [&mut [u8]]) {
        self.cipher.encrypt_with_backend(Chains { bodies, size: std::marker::PhantomData });
    }

    fn decrypt(&self, body: &mut [u8]) {
        let (iv, blocks) = Array::slice_as_chunks_mut(body).0.split_at_mut(1);
        cbc::Decryptor::inner_iv_init(&self.cipher, &iv[0]).decrypt_blocks(blocks);
    }
}

/// Encrypts several packets at once. Within a packet each block waits for the one before it; other packets' blocks fill the
/// time.
struct Chains<'a, 'b, N> {
    bodies: &'a mut [&'b mut [u8]],
    size: std::marker::PhantomData<N>,
}

impl<N: ArraySize> BlockSizeUser for Chains<'_, '_, N> {
    type BlockSize = N;
}

impl<N: ArraySize> BlockCipherEncClosure for Chains<'_, '_, N> {
    // Must become part of the back end's function, which is compiled for the processor's instructions.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = N>>(self, backend: &B) {
        if let [body] = self.bodies {
            let (iv, blocks) = Array::slice_as_chunks_mut(body).0.split_at_mut(1);
            return chain(backend, iv[0].clone(), blocks);
        }
        let mut waiting = self.bodies.iter_mut();
        let mut chains: [Block<B>; MOST_CHAINS] = std::array::from_fn(|_| Array::default());
        let mut rests: [&mut [Block<B>]; MOST_CHAINS] = std::array::from_fn(|_| &mut [][..]);
        let mut count = 0;
        loop {
            // What still has blocks stands in front; what ended makes room for the last.
            for lane in (0..count).rev() {
                if rests[lane].is_empty() {
                    count -= 1;
                    rests.swap(lane, count);
                    chains.swap(lane, count);
                }
            }
            for body in waiting.by_ref().take(MOST_CHAINS - count) {
                let (iv, blocks) = Array::slice_as_chunks_mut(body).0.split_at_mut(1);
                if !blocks.is_empty() {
                    chains[count].clone_from(&iv[0]);
                    rests[count] = blocks;
                    count += 1;
                }
            }
            let Some(steps) = rests[..count].iter().map(|rest| rest.len()).min() else { return };
            for step in 0..steps {
                for (chain, rest) in chains.iter_mut().zip(&rests[..count]) {
                    add(chain, &rest[step]);
                }
                encrypt_some(backend, &mut chains, count);
                for (chain, rest) in chains.iter().zip(&mut rests[..count]) {
                    rest[step].clone_from(chain);
                }
            }
            for rest in &mut rests[..count] {
                *rest = std::mem::take(rest).split_at_mut(steps).1;
            }
        }
    }
}

/// Encrypts the first `count` blocks. A back end that takes many at once is as slow with few, so few go one by one.
#[allow(clippy::inline_always)]
#[inline(always)]
fn encrypt_some<B: BlockCipherEncBackend>(backend: &B, chains: &mut [Block<B>], count: usize) {
    let mut left = count;
    let (runs, rest) = ParBlocks::<B>::slice_as_chunks_mut(chains);
    for run in runs {
        let used = left.min(run.len());
        if 2 * used >= run.len() {
            backend.encrypt_par_blocks_inplace(run);
        } else {
            for block in &mut run[..used] {
                backend.encrypt_block_inplace(block);
            }
        }
        left -= used;
    }
    for block in &mut rest[..left] {
        backend.encrypt_block_inplace(block);
    }
}

#[allow(clippy::inline_always)]
#[inline(always)]
fn chain<B: BlockCipherEncBackend>(backend: &B, mut chain: Block<B>, blocks: &mut [Block<B>]) {
    for block in blocks {
        add(block, &chain);
        backend.encrypt_block_inplace(block);
        chain.clone_from(block);
    }
}

/// Adds without carry.
#[allow(clippy::inline_always)]
#[inline(always)]
fn add<N: ArraySize>(to: &mut Array<u8, N>, block: &Array<u8, N>) {
    for i in 0..N::USIZE {
        to[i] ^= block[i];
    }
}

/// A block cipher as key stream. The counter block is nonce, IV, and a counter from 1.
pub(crate) struct Ctr<C> {
    cipher: C,
    nonce: [u8; 4],
}

impl<C: KeyInit> Ctr<C> {
    /// None when the key is not as long as the cipher's, or the nonce not 4 octets.
    pub(crate) fn new(key: &[u8], nonce: &[u8]) -> Option<Self> {
        Some(Self { cipher: C::new_from_slice(key).ok()?, nonce: nonce.try_into().ok()? })
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync> Cipher for Ctr<C> {
    const IV: usize = 8;
    const ALIGNMENT: usize = 4;

    fn write_iv(&self, sequence_number: u64, iv: &mut [u8]) {
        iv.copy_from_slice(&sequence_number.to_be_bytes());
    }

    fn encrypt(&self, bodies: &mut [&mut [u8]]) {
        for body in bodies {
            self.decrypt(body);
        }
    }

    fn decrypt(&self, body: &mut [u8]) {
        let (iv, body) = body.split_at_mut(Self::IV);
        let mut counter = [0; 16];
        counter[..4].copy_from_slice(&self.nonce);
        counter[4..12].copy_from_slice(iv);
        counter[15] = 1;
        Ctr32BE::from_core(CtrCore::inner_iv_init(&self.cipher, &counter.into())).apply_keystream(body);
    }
}

impl<C> Drop for Ctr<C> {
    fn drop(&mut self) {
        self.nonce.zeroize();
    }
}

/// No encryption.
pub(crate) struct Null;

impl Cipher for Null {
    const IV: usize = 0;
    const ALIGNMENT: usize = 4;

    fn write_iv(&self, _: u64, _: &mut [u8]) {}

    fn encrypt(&self, _: &mut [&mut [u8]]) {}

    fn decrypt(&self, _: &mut [u8]) {}
}

#[cfg(test)]
#[path = "ciphers_tests.rs"]
mod tests;

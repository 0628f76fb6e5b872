//! ESP packets (RFC 4303) over buffers: sequence numbers, padding, ICV, replay window. No I/O, no threads, no clock.
//!
//! An [`OutboundSa`] seals a packet where it lies, an [`InboundSa`] opens one where it lies; nothing is allocated per packet.
//! What differs between suites stands behind one trait, `Transform`. Either way a packet goes through three steps, each of
//! which can be called alone: plan (every bounds check), crypt (in place), finish (trailer, and the replay window).

mod aead;
mod ah;
mod block_mac;
mod ccm;
mod ciphers;
mod composed;
mod drop;
pub mod encapsulation;
mod encr;
mod erased;
mod gcm;
mod gmac;
mod hash;
mod hmac;
mod inbound;
mod inner;
mod integ;
mod lanes;
mod mac;
mod outbound;
mod prefetch;
mod resync;
mod ring_key;
mod sequence;
mod shared_window;
mod suite;
mod sync;
mod transform;
mod window;
#[cfg(target_arch = "x86_64")]
mod x86_gcm;

#[cfg(test)]
mod drop_in_tests;
#[cfg(test)]
mod vectors;

pub use ah::{AhDecapsulator, AhDecapsulatorOptions, AhEncapsulator, AhEncapsulatorOptions, AhKey, AhKeyError};
pub use drop::Drop;
pub use encr::{ENCR, Encr, Standing};
pub use inbound::{InboundSa, Opened};
pub use inner::inner_len;
pub use integ::{INTEG, Integ};
pub use outbound::OutboundSa;
pub use prefetch::prefetch;
pub use sequence::SequenceExhausted;
pub use suite::{KeyError, Suite};
pub use transform::Job;
pub use window::ReplayWindow;

/// SPI and sequence number (RFC 4303 2).
pub(crate) const SPI_AND_SEQUENCE: usize = 8;
/// Pad Length and Next Header.
pub(crate) const TRAILER: usize = 2;
/// Next header of a dummy packet (RFC 4303 2.6).
pub(crate) const NO_NEXT_HEADER: u8 = 59;
/// Padding 1, 2, 3, … (RFC 4303 2.4).
pub(crate) const PADDING: [u8; 255] = {
    let mut octets = [0; 255];
    let mut i = 0;
    while i < 255 {
        octets[i] = i as u8 + 1;
        i += 1;
    }
    octets
};

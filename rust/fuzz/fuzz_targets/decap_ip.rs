//! Decapsulation of packets that begin with IP headers: any octets, and sealed packets with a changed octet.
#![no_main]

use ironswan_esp::encapsulation::Framing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ironswan_fuzz::decap(input, Framing::Ip));

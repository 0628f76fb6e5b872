//! SHA-1 and SHA-2 compression of several messages at once, one in each lane of a vector register.
//!
//! This needs AVX-512, which rotates and computes any function of three bits in one instruction; without it one message at a
//! time is as fast.

#[cfg(target_arch = "x86_64")]
mod kernels;
#[cfg(target_arch = "x86_64")]
mod transpose;

/// Messages side by side for SHA-1 and SHA-256, 0: none.
pub(crate) fn of_32_bits() -> usize {
    if available() { 16 } else { 0 }
}

/// Messages side by side for SHA-384 and SHA-512, 0: none.
pub(crate) fn of_64_bits() -> usize {
    if available() { 8 } else { 0 }
}

#[cfg(target_arch = "x86_64")]
fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

#[cfg(not(target_arch = "x86_64"))]
fn available() -> bool {
    false
}

macro_rules! dispatch {
    ($name:ident, $state:ty) => {
        /// Chains as many blocks of each of `data` into the state beside it. Of both there are as many as lanes; what is beyond
        /// is ignored.
        ///
        /// # Panics
        ///
        /// Where there are no lanes, without data, and when the slices are not equally long or not whole blocks.
        pub(crate) fn $name(states: &mut [$state], data: &[&[u8]]) {
            assert!(available() && data.iter().all(|lane| lane.len() == data[0].len()));
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the features for which the kernel is compiled were just found.
            unsafe {
                kernels::$name(states, data);
            }
            #[cfg(not(target_arch = "x86_64"))]
            unreachable!("lanes are not available");
        }
    };
}

dispatch!(sha1, [u32; 5]);
dispatch!(sha256, [u32; 8]);
dispatch!(sha512, [u64; 8]);

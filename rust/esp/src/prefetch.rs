//! A word to the processor about memory that will be read soon: with very many SAs none of them is in a cache when its packet comes.

/// Octets of a cache line.
const LINE: usize = 64;
/// Lines asked for at most: the processor has few of them under way at a time.
const LINES: usize = 16;

/// Asks for the memory of `value` itself, not for what it points to. It changes nothing but time.
#[inline]
pub fn prefetch<T: ?Sized>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of_val(value)).step_by(LINE).take(LINES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the address lies within the value; a prefetch reads nothing that the program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast::<i8>().add(offset)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, LINE, LINES);
}

//! A box whose memory is overwritten before it is given back.
//!
//! Some ciphers leave their key schedule behind, and any may leave copies of it in the padding of what was moved here. What was
//! left on the stack while a key was made cannot be reached.

use std::alloc::{Layout, dealloc};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::{Deref, Drop};

use zeroize::Zeroize;

pub(crate) struct Erased<T: ?Sized>(ManuallyDrop<Box<T>>);

impl<T: ?Sized> Erased<T> {
    pub(crate) fn new(value: Box<T>) -> Self {
        Self(ManuallyDrop::new(value))
    }
}

impl<T: ?Sized> Deref for Erased<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> Drop for Erased<T> {
    fn drop(&mut self) {
        let layout = Layout::for_value::<T>(&self.0);
        // SAFETY: the box is taken once, here, where nothing else refers to it.
        let pointer = Box::into_raw(unsafe { ManuallyDrop::take(&mut self.0) });
        // SAFETY: the pointer is a box's, so it is valid for a drop, then, with nothing alive in it, for writes of its layout's
        // size, and is given back as it was allocated; a box of no size was not allocated.
        unsafe {
            pointer.drop_in_place();
            if layout.size() > 0 {
                std::slice::from_raw_parts_mut(pointer.cast::<MaybeUninit<u8>>(), layout.size()).zeroize();
                dealloc(pointer.cast(), layout);
            }
        }
    }
}

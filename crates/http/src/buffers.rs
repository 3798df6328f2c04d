//! Buffers for what clients send: those that nobody uses wait in their thread, so that a connection takes one only while
//! it has something to keep.

use std::cell::RefCell;

/// Enough for most requests. Larger buffers are not kept.
pub(crate) const SIZE: usize = 4 * 1024;

/// More than are in use at a time while nobody is slow.
const MOST: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with room.
pub(crate) fn take() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(SIZE))
}

/// Gives a buffer back.
pub(crate) fn give(mut buffer: Vec<u8>) {
    if buffer.capacity() == SIZE {
        buffer.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MOST {
                spare.push(buffer);
            }
        });
    }
}

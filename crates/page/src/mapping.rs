//! The mapping of a page: the one room of this crate that says what memory is.
//!
//! Refuses to know what the words mean. The laws: a mapping is at least [`BYTES`] long, whole, aligned to a memory page, and
//! lives as long as its owner; its memory is only ever looked at through atomics, as another process may write to it.
//!
//! # A file that is cut off
//!
//! If a file that is mapped is truncated to nothing, whoever looks gets SIGBUS and dies. Nobody can do that to a page but the
//! user who may write to it, its agent's, and root; the writer has no call that shortens a file. A file that is cut off in
//! the middle reads as zeros, which say "not primary".
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::words::{BYTES, Words};

/// A page in memory. It is never unmapped while somebody has a reference to its words.
#[derive(Debug)]
pub(crate) struct Mapping {
    words: NonNull<Words>,
}

// SAFETY: the words are atomics in memory that no thread owns; the mapping is taken away only by `drop`, which has it alone.
unsafe impl Send for Mapping {}
// SAFETY: as above: shared use is use of atomics.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first [`BYTES`] of a file, which must be as long: the caller has looked.
    pub(crate) fn of(file: &File, writable: bool) -> io::Result<Self> {
        let protection = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping at a place of the kernel's choice; nothing that exists is touched.
        let mapped = unsafe { mmap(std::ptr::null_mut(), BYTES, protection, MapFlags::SHARED, file, 0) }?;
        let words = NonNull::new(mapped.cast::<Words>())
            .ok_or_else(|| io::Error::other("the system mapped the page at address zero"))?;
        Ok(Self { words })
    }

    /// The words. Through a mapping that is not writable they must only be read: `Page` does.
    pub(crate) fn words(&self) -> &Words {
        // SAFETY: mapped in `of` with this length, aligned to a memory page, not unmapped before `drop`, and every field is an
        // atomic, so that writes of other processes are no data race. Any bytes are valid words.
        unsafe { self.words.as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `of` with this length; no reference to the words outlives this value.
        let unmapped = unsafe { munmap(self.words.as_ptr().cast(), BYTES) };
        debug_assert!(unmapped.is_ok(), "what was mapped can be unmapped");
    }
}

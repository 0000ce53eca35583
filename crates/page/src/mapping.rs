//! Memory that other processes see too, a page's or none's: the one room of this crate that says what memory is.
//!
//! Refuses to know what the words mean. The laws: a mapping is as long as what it is taken for, aligned to a memory page, and
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
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use crate::words::{BYTES, Words};

/// Something in memory: [`Words`] or atomics, for which any bytes are valid. It is never unmapped while somebody has a
/// reference to it.
#[derive(Debug)]
pub(crate) struct Mapping<T> {
    memory: NonNull<T>,
}

// SAFETY: atomics in memory that no thread owns; the mapping is taken away only by `drop`, which has it alone.
unsafe impl<T: Sync> Send for Mapping<T> {}
// SAFETY: as above: shared use is use of atomics.
unsafe impl<T: Sync> Sync for Mapping<T> {}

impl Mapping<Words> {
    /// Maps the first [`BYTES`] of a file, which must be as long: the caller has looked.
    pub(crate) fn of(file: &File, writable: bool) -> io::Result<Self> {
        let protection = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping at a place of the kernel's choice; nothing that exists is touched.
        let mapped = unsafe { mmap(std::ptr::null_mut(), BYTES, protection, MapFlags::SHARED, file, 0) }?;
        Self::at(mapped)
    }

    /// The words. Through a mapping that is not writable they must only be read: `Page` does.
    pub(crate) fn words(&self) -> &Words {
        // SAFETY: mapped in `of` with this length, aligned to a memory page, not unmapped before `drop`, and every field is an
        // atomic, so that writes of other processes are no data race. Any bytes are valid words.
        unsafe { self.memory.as_ref() }
    }
}

impl<const N: usize> Mapping<[AtomicU64; N]> {
    /// New memory, all zeros, of no file: this process and those that are forked from it see the same.
    pub(crate) fn anonymous() -> io::Result<Self> {
        let (length, protection) = (size_of::<[AtomicU64; N]>(), ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: a new mapping at a place of the kernel's choice; nothing that exists is touched.
        let mapped = unsafe { mmap_anonymous(std::ptr::null_mut(), length, protection, MapFlags::SHARED) }?;
        Self::at(mapped)
    }

    /// The atomics.
    pub(crate) fn atomics(&self) -> &[AtomicU64; N] {
        // SAFETY: mapped in `anonymous` with this length, aligned to a memory page, not unmapped before `drop`; atomics, so that
        // writes of other processes are no data race.
        unsafe { self.memory.as_ref() }
    }
}

impl<T> Mapping<T> {
    fn at(mapped: *mut std::ffi::c_void) -> io::Result<Self> {
        let memory = NonNull::new(mapped.cast::<T>())
            .ok_or_else(|| io::Error::other("the system mapped the page at address zero"))?;
        Ok(Self { memory })
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: mapped with this length; no reference to the memory outlives this value.
        let unmapped = unsafe { munmap(self.memory.as_ptr().cast(), size_of::<T>()) };
        debug_assert!(unmapped.is_ok(), "what was mapped can be unmapped");
    }
}

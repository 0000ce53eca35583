//! Numbers that a process and everybody who is forked from it see alike.
//!
//! Refuses to know what they mean. The law: what the parent says after a fork, its children read; ordinary memory would be
//! copied at the fork, and say for ever what was so then.

use std::io;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;

use crate::mapping::Mapping;

/// `N` atomic numbers, zero at first, in memory that is not copied by `fork()`. A program that is run by `exec()` has them no more.
#[derive(Debug)]
pub struct ForkShared<const N: usize> {
    mapping: Mapping<[AtomicU64; N]>,
}

impl<const N: usize> ForkShared<N> {
    /// Takes the memory: a page of it. `N` is at least one. On an error nothing was taken.
    pub fn new() -> io::Result<Self> {
        Mapping::anonymous().map(|mapping| Self { mapping })
    }
}

impl<const N: usize> Deref for ForkShared<N> {
    type Target = [AtomicU64; N];

    fn deref(&self) -> &Self::Target {
        self.mapping.atomics()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn they_begin_at_zero_and_keep_what_is_stored() {
        let numbers = ForkShared::<2>::new().unwrap();
        let seen = || [0, 1].map(|at: usize| numbers[at].load(Ordering::SeqCst));
        assert_eq!(seen(), [0, 0]);
        numbers[1].store(7, Ordering::SeqCst);
        assert_eq!(seen(), [0, 7]);
        assert!(ForkShared::<0>::new().is_err(), "there is no memory of no length");
    }
}

//! What the application acts as right now, readable from any thread at the cost of one atomic load.
//!
//! Knows nothing of sockets or of who gives roles. The law: run mode and epoch are read together or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use understudy_model::{Epoch, RunMode};

/// The highest epoch that fits beside a run mode in one atomic word: 2^62 - 1. Orders above it are refused.
pub const HIGHEST_EPOCH: Epoch = Epoch((1 << 62) - 1);

/// What an application acts as, and in which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Role {
    /// `Primary` or `Backup`.
    pub run_mode: RunMode,
    /// The fencing token of that role, at most [`HIGHEST_EPOCH`].
    pub epoch: Epoch,
}

impl Role {
    /// Whether this is the role of a member that serves.
    pub fn is_primary(self) -> bool {
        self.run_mode == RunMode::Primary
    }

    fn pack(self) -> u64 {
        let mode = match self.run_mode {
            RunMode::Unknown => 0,
            RunMode::Primary => 1,
            RunMode::Backup => 2,
            RunMode::Exiting => 3,
        };
        (self.epoch.0.min(HIGHEST_EPOCH.0) << 2) | mode
    }

    fn unpack(word: u64) -> Self {
        let run_mode = match word & 3 {
            1 => RunMode::Primary,
            2 => RunMode::Backup,
            3 => RunMode::Exiting,
            _ => RunMode::Unknown,
        };
        Self { run_mode, epoch: Epoch(word >> 2) }
    }
}

/// A view of the present [`Role`] that any thread may keep. Clones are cheap and see the same role.
///
/// It says `Primary` only after `Conduct::promote` returned, and says so no more before `Conduct::demote` is called.
/// A program that must never acknowledge after a demotion still needs its own barrier in `demote`: reading the role
/// and then answering are two acts.
#[derive(Debug, Clone)]
pub struct RoleWatch {
    word: Arc<AtomicU64>,
}

impl RoleWatch {
    pub(crate) fn new(role: Role) -> Self {
        Self { word: Arc::new(AtomicU64::new(role.pack())) }
    }

    pub(crate) fn set(&self, role: Role) {
        self.word.store(role.pack(), Ordering::SeqCst);
    }

    /// The role at this instant; never half of one and half of another.
    pub fn role(&self) -> Role {
        Role::unpack(self.word.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_set_is_read(mode in 0usize..4, epoch in 0..=HIGHEST_EPOCH.0) {
            let role = Role { run_mode: RunMode::ALL[mode], epoch: Epoch(epoch) };
            let watch = RoleWatch::new(Role { run_mode: RunMode::Unknown, epoch: Epoch::NONE });
            watch.set(role);
            prop_assert_eq!(watch.clone().role(), role);
        }
    }

    #[test]
    fn a_role_is_never_torn() {
        let even = Role { run_mode: RunMode::Backup, epoch: Epoch(2) };
        let odd = Role { run_mode: RunMode::Primary, epoch: Epoch(HIGHEST_EPOCH.0) };
        let watch = RoleWatch::new(even);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..50_000 {
                    watch.set(odd);
                    watch.set(even);
                }
            });
            for _ in 0..50_000 {
                let seen = watch.role();
                assert!(seen == even || seen == odd, "{seen:?}");
            }
        });
    }
}

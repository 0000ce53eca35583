//! What the application acts as right now, readable from any thread at the cost of one atomic load, and whether it may act
//! at this instant, at the cost of some more and of a look at the clock.
//!
//! Knows nothing of sockets or of who gives roles. The laws: run mode and epoch are read together or not at all; whatever
//! contradicts "it may act" makes that a no.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use understudy_model::{Epoch, RunMode};
use understudy_page::{ForkShared, Page};

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
    /// Role and epoch in one word, and the epoch in which the other member is recorded to be out (0: none). A process that is
    /// forked from this one looks at the same two: its own copy would say for ever what was so at the fork.
    words: Arc<ForkShared<2>>,
    page: Option<Arc<Page>>,
}

const ROLE: usize = 0;
const ALONE_IN: usize = 1;

impl RoleWatch {
    pub(crate) fn new(role: Role, page: Option<Page>) -> io::Result<Self> {
        let watch = Self { words: Arc::new(ForkShared::new()?), page: page.map(Arc::new) };
        watch.set(role);
        Ok(watch)
    }

    pub(crate) fn set(&self, role: Role) {
        self.words[ROLE].store(role.pack(), Ordering::SeqCst);
    }

    /// The epoch in which the other member is recorded to be out, as the last word on it says; 0: none.
    pub(crate) fn alone_in(&self) -> Epoch {
        Epoch(self.words[ALONE_IN].load(Ordering::SeqCst))
    }

    pub(crate) fn set_alone_in(&self, epoch: Epoch) {
        self.words[ALONE_IN].store(epoch.0, Ordering::SeqCst);
    }

    /// The role at this instant; never half of one and half of another.
    pub fn role(&self) -> Role {
        Role::unpack(self.words[ROLE].load(Ordering::SeqCst))
    }

    /// Whether this application may act as primary: asked immediately before each answer that only a primary may give.
    ///
    /// True if the role above says primary and the role page says primary in the same epoch and has not expired. An application
    /// without a page (a single one, or under an agent that has none) has its role alone. False is also the answer while the
    /// page is being written for longer than a microsecond or so, and from a change of epoch until `promote` has returned.
    ///
    /// What may be concluded from "true": at one instant between call and return, nobody else was allowed to act as primary
    /// of this pair. That holds even if this process slept for hours before the call. It does not hold for any later instant:
    /// a process can be stopped between this call and the answer it gives. So do the work first, ask then, and answer at
    /// once after that; and let whatever outlives the answer (storage, other systems) check the epoch as a fencing token.
    ///
    /// It does not say in which epoch. Work that was begun before the call may be of a former one, after which somebody else
    /// acted: for it, and for tokens, [`Self::acts_in`] is asked before the work and again before the answer.
    ///
    /// It takes no lock, allocates nothing, and makes no system call where the kernel lets programs read the boot clock.
    pub fn may_act(&self) -> bool {
        self.acts_in().is_some()
    }

    /// The same, with the epoch (the fencing token) in which it may act. Asked before the work, which is tagged with that epoch,
    /// and again before its answer, which is given only if it is the same one.
    pub fn acts_in(&self) -> Option<Epoch> {
        let role = self.role();
        if !role.is_primary() {
            return None;
        }
        match &self.page {
            None => Some(role.epoch),
            // A higher epoch on the page may be this member's own of which it is being told, or one that it was given after
            // somebody else acted while this thread slept: what was begun in the former one is not answered in either.
            Some(page) => page.acts_in().filter(|epoch| *epoch == role.epoch),
        }
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
            let watch = RoleWatch::new(Role { run_mode: RunMode::Unknown, epoch: Epoch::NONE }, None).unwrap();
            watch.set(role);
            prop_assert_eq!(watch.clone().role(), role);
        }
    }

    #[test]
    fn a_role_is_never_torn() {
        let even = Role { run_mode: RunMode::Backup, epoch: Epoch(2) };
        let odd = Role { run_mode: RunMode::Primary, epoch: Epoch(HIGHEST_EPOCH.0) };
        let watch = RoleWatch::new(even, None).unwrap();
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

//! How an order to be primary or backup is answered: a pure table over the present role.
//!
//! Knows no sockets and does not call the application. The law: no epoch is entered that is lower than the present
//! one, or that this process has left or refused before (`docs/safety.md`: a closed epoch is never entered again).

use understudy_model::{Epoch, RunMode};

use crate::{HIGHEST_EPOCH, Role};

/// Everything the answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What the application acts as.
    pub(crate) role: Role,
    /// The highest epoch in which it stopped serving, or refused to serve.
    pub(crate) left: Epoch,
    /// It was asked to suspend.
    pub(crate) suspending: bool,
}

/// What to do about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is that already: say done, call nobody.
    AlreadySo,
    /// Call `promote`. Also for a primary that gets a new fencing token.
    Promote,
    /// Call `demote`.
    Demote,
    /// A backup stays backup and learns a higher epoch: say done, call nobody.
    LearnEpoch,
    /// Say no, for this reason.
    Refuse(String),
}

/// What to do when told to be `run_mode` in `epoch`. Total.
pub(crate) fn answer(standing: &Standing, run_mode: RunMode, epoch: Epoch) -> Step {
    let Standing { role, left, suspending } = *standing;
    let already = role.run_mode == run_mode && role.epoch == epoch;
    let beyond = epoch > HIGHEST_EPOCH;
    let overtaken = epoch < role.epoch;
    let entered_before = epoch <= left;
    match run_mode {
        RunMode::Primary | RunMode::Backup if beyond => {
            Step::Refuse(format!("epoch {epoch} is above {HIGHEST_EPOCH}, the highest that exists"))
        }
        RunMode::Primary | RunMode::Backup if overtaken => {
            Step::Refuse(format!("epoch {epoch} is lower than the present epoch {}", role.epoch))
        }
        RunMode::Primary if already => Step::AlreadySo,
        RunMode::Primary if entered_before => {
            Step::Refuse(format!("epoch {epoch} was left or refused before and is not entered again"))
        }
        RunMode::Primary if suspending => {
            Step::Refuse("it was asked to suspend and takes no new work".to_owned())
        }
        RunMode::Primary => Step::Promote,
        RunMode::Backup if already => Step::AlreadySo,
        RunMode::Backup if role.is_primary() => Step::Demote,
        RunMode::Backup => Step::LearnEpoch,
        RunMode::Unknown | RunMode::Exiting => {
            Step::Refuse(format!("nobody can be told to be {run_mode}; primary and backup exist"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standing(run_mode: RunMode, epoch: u64, left: u64) -> Standing {
        Standing { role: Role { run_mode, epoch: Epoch(epoch) }, left: Epoch(left), suspending: false }
    }

    #[test]
    fn the_table() {
        use RunMode::{Backup, Exiting, Primary, Unknown};
        let refused = Step::Refuse(String::new());
        let table = [
            // present mode, epoch, left; told mode, epoch; step
            (Backup, 5, 0, Primary, 6, Step::Promote),
            (Backup, 5, 0, Primary, 5, Step::Promote),
            (Backup, 5, 5, Primary, 5, refused.clone()),
            (Backup, 5, 7, Primary, 6, refused.clone()),
            (Backup, 5, 0, Primary, 4, refused.clone()),
            (Backup, 5, 0, Backup, 5, Step::AlreadySo),
            (Backup, 5, 0, Backup, 6, Step::LearnEpoch),
            (Backup, 5, 0, Backup, 4, refused.clone()),
            (Primary, 6, 5, Primary, 6, Step::AlreadySo),
            (Primary, 6, 5, Primary, 7, Step::Promote),
            (Primary, 6, 5, Primary, 5, refused.clone()),
            (Primary, 6, 5, Backup, 6, Step::Demote),
            (Primary, 6, 5, Backup, 9, Step::Demote),
            (Primary, 6, 5, Backup, 5, refused.clone()),
            (Primary, 6, 5, Exiting, 6, refused.clone()),
            (Backup, 6, 5, Unknown, 6, refused.clone()),
            (Backup, 6, 5, Primary, HIGHEST_EPOCH.0, Step::Promote),
            (Backup, 6, 5, Primary, HIGHEST_EPOCH.0 + 1, refused.clone()),
            (Primary, 6, 5, Backup, u64::MAX, refused),
        ];
        for (mode, epoch, left, told, told_epoch, expected) in table {
            let got = answer(&standing(mode, epoch, left), told, Epoch(told_epoch));
            let same = match (&got, &expected) {
                (Step::Refuse(reason), Step::Refuse(_)) => !reason.is_empty(),
                (got, expected) => got == expected,
            };
            assert!(same, "{mode}@{epoch} left {left}, told {told}@{told_epoch}: {got:?}, not {expected:?}");
        }
    }

    #[test]
    fn a_suspending_application_is_not_promoted_but_demoted() {
        let mut suspending = standing(RunMode::Backup, 3, 0);
        suspending.suspending = true;
        assert!(matches!(answer(&suspending, RunMode::Primary, Epoch(4)), Step::Refuse(_)));
        suspending.role.run_mode = RunMode::Primary;
        assert_eq!(answer(&suspending, RunMode::Backup, Epoch(3)), Step::Demote);
    }

    proptest! {
        #[test]
        fn no_order_lowers_the_epoch_or_enters_one_again(
            primary: bool, epoch in 0u64..8, left in 0u64..8, suspending: bool, mode in 0usize..4, told in 0u64..8,
        ) {
            let run_mode = if primary { RunMode::Primary } else { RunMode::Backup };
            let standing = Standing { suspending, ..standing(run_mode, epoch, left) };
            match answer(&standing, RunMode::ALL[mode], Epoch(told)) {
                Step::Promote => prop_assert!(told >= epoch && told > left && !suspending),
                Step::Demote => prop_assert!(told >= epoch && primary),
                Step::LearnEpoch => prop_assert!(told > epoch && !primary),
                Step::AlreadySo => prop_assert!(told == epoch && RunMode::ALL[mode] == run_mode),
                Step::Refuse(reason) => prop_assert!(!reason.is_empty()),
            }
        }
    }
}

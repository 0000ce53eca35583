//! What a member does when it is told to be something: as the library's own table has it.
//!
//! Refuses to know leases: whether it may act is on its page. The law: no epoch is entered that is lower than the present one,
//! or that this process has left or refused before.

use understudy_model::*;

use super::World;
use super::members::Member;

impl World {
    /// It does it, and says so.
    pub(super) fn do_as_told(&mut self, number: usize, message: ToApplication) -> Option<FromApplication> {
        let part = self.members[number].part;
        let refuses = self.laws.strain.refuses[part] > 0;
        let member = &mut self.members[number];
        let before = member.mode;
        let said = match message {
            ToApplication::SetRunMode { run_mode, epoch } => obey(member, run_mode, epoch, refuses),
            ToApplication::Suspend => {
                member.suspended = true;
                FromApplication::Suspended
            }
            ToApplication::Ping(number) => FromApplication::Pong(number),
            ToApplication::InSyncDone { number: said, refused } => {
                self.word_came_back(number, said, refused.is_some());
                return None;
            }
            // It asks for no confirmation.
            ToApplication::Attached | ToApplication::AttachRefused(_) | ToApplication::Confirmed { .. } => {
                return None;
            }
        };
        let (mode, epoch, host) = (member.mode, member.epoch, member.host);
        if mode != before {
            self.role_changed(part, mode);
            self.tell_at(host, |world| format!("{} is {mode} in epoch {epoch}", world.cast.parts[part].name));
        }
        Some(said)
    }

    /// A member has become something else, whoever told it.
    pub(super) fn role_changed(&mut self, part: usize, mode: RunMode) {
        if mode == RunMode::Primary {
            let pair = self.cast.parts[part].pair;
            self.sometimes.followed_clinging += u64::from(self.follows_one_that_clings(part));
            self.laws.became_primary(pair, part, &mut self.sometimes);
        }
    }
}

fn obey(member: &mut Member, run_mode: RunMode, epoch: Epoch, refuses: bool) -> FromApplication {
    let no = |reason: &str| FromApplication::RunModeRefused { run_mode, epoch, reason: reason.to_owned() };
    let already = member.mode == run_mode && member.epoch == epoch;
    if epoch < member.epoch {
        return no("older epoch");
    }
    if run_mode == RunMode::Primary && !already {
        if epoch <= member.left || member.suspended {
            return no("left before, or suspended");
        }
        if refuses {
            if member.mode == RunMode::Primary {
                member.left = member.left.max(member.epoch);
                member.mode = RunMode::Backup;
            }
            member.left = member.left.max(epoch);
            return no("not today");
        }
    }
    if member.mode == RunMode::Primary && run_mode == RunMode::Backup {
        member.left = member.left.max(member.epoch);
    }
    member.mode = run_mode;
    member.epoch = epoch;
    FromApplication::RunModeDone { run_mode, epoch }
}

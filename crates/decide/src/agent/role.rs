//! A member's side of its role, as a table: what an agent does when it is ordered to promote or demote, and when the
//! application answers, ends or is too slow.
//!
//! The law (`docs/safety.md`, G5 and G9): an epoch that was ordered ends in exactly one of two ways, "acts in it" or "closed,
//! durable"; and a refusal is said only after it is closed.

use serde::{Deserialize, Serialize};
use understudy_model::{Epoch, Moment, OrderId, Outcome, PairPlace, Refusal, RoleEpoch};

use super::LinkId;
use crate::table::axis;

axis! {
    /// What a member does in its role.
    pub enum Part {
        Idle => "it does not act",
        Promoting => "it was told to be primary and has not answered",
        Acting => "it is primary, or was when its agent restarted and has not said otherwise",
        Demoting => "it was told to be a backup and has not answered",
    }
}

axis! {
    /// What happens to a member's role.
    pub enum RoleTrigger {
        PromoteAllowed => "ordered to be primary, and every check holds",
        DemoteNamed => "ordered to be a backup, naming the role in which it acts",
        GiveUp => "its agent wants it to stop, or found that it should not act",
        SaidPrimary => "it said that it is primary in this epoch",
        SaidBackup => "it said that it is a backup",
        SaidNo => "it said that it will not be what it was told",
        ProcessGone => "no process of it is left",
        Overdue => "it did not answer in time",
        HookFailed => "the hook that should have told it failed or was late: what it is now is not known",
    }
}

/// What is done about a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleMove {
    /// Nothing changes.
    Stay,
    /// Cannot be.
    Ignore,
    /// Make the promise durable, then tell it to be primary.
    Promise,
    /// It acts; answer the order, if there is one.
    Confirm,
    /// Tell it to be a backup.
    Demote,
    /// It acts no more: close the epoch, and only then answer.
    Close,
    /// Kill it; the epoch is closed when it is gone.
    Kill,
}

/// The table.
pub fn next(part: Part, trigger: RoleTrigger) -> RoleMove {
    use {Part as P, RoleMove as M, RoleTrigger as T};
    match (part, trigger) {
        (P::Idle, T::PromoteAllowed) => M::Promise,
        // A reaffirmation: the same member, a higher epoch (G8).
        (P::Acting, T::PromoteAllowed) => M::Promise,
        (P::Promoting | P::Demoting, T::PromoteAllowed) => M::Ignore,

        (P::Acting | P::Promoting, T::DemoteNamed | T::GiveUp) => M::Demote,
        (P::Demoting, T::DemoteNamed | T::GiveUp) => M::Stay,
        (P::Idle, T::DemoteNamed) => M::Close,
        (P::Idle, T::GiveUp) => M::Stay,

        (P::Promoting | P::Acting, T::SaidPrimary) => M::Confirm,
        // Late: it was told to be a backup meanwhile and will say so, or is killed.
        (P::Demoting, T::SaidPrimary) => M::Stay,
        // It acts without a role: it must not.
        (P::Idle, T::SaidPrimary) => M::Demote,

        // It was never told, or lost its role without being asked: the epoch is given up.
        (P::Acting | P::Demoting, T::SaidBackup) => M::Close,
        // Not an answer to this promotion: only a refusal is.
        (P::Promoting, T::SaidBackup) => M::Stay,
        (P::Idle, T::SaidBackup) => M::Stay,

        (P::Promoting, T::SaidNo) => M::Close,
        // It refuses to be demoted: it is not asked twice.
        (P::Demoting, T::SaidNo) => M::Kill,
        // It refuses a reaffirmation that was answered meanwhile.
        (P::Acting | P::Idle, T::SaidNo) => M::Ignore,

        (P::Promoting | P::Acting | P::Demoting, T::ProcessGone) => M::Close,
        (P::Idle, T::ProcessGone) => M::Stay,

        (P::Promoting, T::Overdue) => M::Demote,
        (P::Demoting, T::Overdue) => M::Kill,
        (P::Idle | P::Acting, T::Overdue) => M::Stay,

        // A promotion that may have happened by half is undone before it is refused.
        (P::Promoting, T::HookFailed) => M::Demote,
        (P::Demoting, T::HookFailed) => M::Kill,
        (P::Idle | P::Acting, T::HookFailed) => M::Ignore,
    }
}

/// How many answers wait for one epoch to be closed.
const MOST_ANSWERS: usize = 16;

/// An order that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Waiting {
    /// Where it came from.
    pub link: LinkId,
    /// Which.
    pub order: OrderId,
}

/// An epoch that has to be closed, and what is answered once it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Closing {
    /// The epoch.
    pub epoch: Epoch,
    /// The orders that wait for it, each with its outcome; at most [`MOST_ANSWERS`].
    pub answers: Vec<(Waiting, Outcome)>,
    /// Not before this moment.
    pub due: Moment,
}

/// A member's role on its host. What is durable of it stands in [`super::DurableRole`], one for each pair.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Role {
    /// The pair, and the other member.
    pub place: PairPlace,
    /// What it does.
    pub part: Part,
    /// In which role, unless idle.
    pub role: Option<RoleEpoch>,
    /// It said so itself.
    pub confirmed: bool,
    /// The promotion that waits for an answer.
    pub promotion: Option<Waiting>,
    /// The demotion that waits for an answer.
    pub demotion: Option<Waiting>,
    /// Why the promotion failed, once that is known and it is being demoted for it.
    pub failed: Option<Refusal>,
    /// When it must have answered.
    pub deadline: Option<Moment>,
    /// An epoch to be closed.
    pub closing: Option<Closing>,
    /// A member without the library is to be told that it is primary, once the promise is durable.
    pub untold: bool,
}

impl Role {
    /// A role before anything is known of a process.
    pub fn new(place: PairPlace) -> Self {
        Self {
            place,
            part: Part::Idle,
            role: None,
            confirmed: false,
            promotion: None,
            demotion: None,
            failed: None,
            deadline: None,
            closing: None,
            untold: false,
        }
    }

    /// It acts no more: remembers to close the epoch, with the answers that wait for it.
    pub fn end(&mut self, epoch: Epoch, now: Moment, of_promotion: Refusal) {
        let refusal = self.failed.take().unwrap_or(of_promotion);
        let promotion = self.promotion.take().map(|waiting| (waiting, Outcome::Refused(refusal)));
        let demotion = self.demotion.take().map(|waiting| (waiting, Outcome::Done));
        self.part = Part::Idle;
        self.role = None;
        self.confirmed = false;
        self.untold = false;
        self.deadline = None;
        self.close(epoch, now, promotion.into_iter().chain(demotion));
    }

    /// What has to be closed before anything else is done. Nothing has, while a higher role is held: that one goes on, and
    /// whatever is below it is closed when it ends.
    pub fn to_close(&self) -> Option<&Closing> {
        let held = self.role.as_ref();
        self.closing.as_ref().filter(|closing| held.is_none_or(|held| held.epoch <= closing.epoch))
    }

    /// Remembers to close an epoch.
    pub fn close(
        &mut self,
        epoch: Epoch,
        now: Moment,
        answers: impl IntoIterator<Item = (Waiting, Outcome)>,
    ) {
        let closing = self.closing.get_or_insert(Closing { epoch, answers: Vec::new(), due: now });
        closing.epoch = closing.epoch.max(epoch);
        closing.due = closing.due.min(now);
        closing.answers.extend(answers);
        // A link that comes and goes while the disk is full: what waits longest waits on a link that is gone.
        let excess = closing.answers.len().saturating_sub(MOST_ANSWERS);
        closing.answers.drain(..excess);
    }
}

//! Who is primary of one pair, as a table: what a control server does in each state on each trigger.
//!
//! Most triggers are *situations*, worked out anew from everything that is known after each observation, so that a
//! message that was lost or came twice changes nothing. The law (`docs/safety.md`, G6): nobody is ordered to be primary while
//! another member acts or may act, and no order goes out before its epoch is durable.

use crate::table::axis;

axis! {
    /// What a control server knows of a pair's role.
    pub enum PairState {
        Learning => "it is not known whether a member acts",
        Vacant => "nobody acts, and nobody may be promoted yet",
        Promoting => "a new epoch is durable and its holder was ordered to be primary",
        Held => "the holder of the stored role acts, or is coming back in it",
        Demoting => "the primary was ordered to be a backup, so that the other can be primary",
        Withheld => "a new epoch could not be made durable, or a refusal was met; waiting to try again",
    }
}

axis! {
    /// What happens to a pair.
    pub enum PairTrigger {
        Unheard => "a member that may act cannot be heard",
        HolderActs => "the holder of the stored role acts and has said so",
        HolderComing => "the holder of the stored role may act and has not said so",
        HolderUnavailable => "the holder acts and says that it cannot serve, and the other one can",
        OtherRoleActs => "one member acts, in another role than the stored one",
        OutsiderActs => "one member acts in another role than the stored one, and lacks what was acknowledged",
        TwoAct => "both members act or may act",
        NoneActsChosenReady => "nobody acts, the preferred member is ready",
        NoneActsChosenComing => "nobody acts, the preferred member is coming and has time left",
        NoneActsOtherReady => "nobody acts, the preferred member does not come, the other one is ready",
        NoneActsNoneReady => "nobody acts and nobody is ready",
        AwaitsRelease => "nobody acts, and the promise to the last holder is not over",
        HolderUntold => "the promised holder is heard, does not act, and has not got its order",
        NoneActsHandsOff => "nobody acts and maintenance is on",
        SwitchoverAsked => "an operator asked for a change of roles, and every check holds",
        PromotionRefused => "the ordered member refused, and its epoch is given up",
        DemotionRefused => "the ordered member refused to be demoted",
        StoreFailed => "the new epoch could not be made durable",
        Deadline => "the waiting time is over",
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairMove {
    /// Nothing: it is as it should be, or an answer is awaited.
    Stay,
    /// Cannot be in this state.
    Ignore,
    /// Wait until it is known.
    Learn,
    /// Wait until somebody is ready.
    Vacate,
    /// The role is held.
    Hold,
    /// Raise the epoch durably, then order the chosen member to be primary.
    Promote,
    /// Raise the epoch durably for the member that acts already.
    Reaffirm,
    /// Order the promised holder to be primary once more, in the epoch that it was promised.
    OrderAgain,
    /// Order the holder to be a backup, to promote the other.
    Change,
    /// Order the member whose role is not stored to be a backup.
    DemoteIntruder,
    /// The promotion failed: prefer the former primary, and look again.
    Retreat,
    /// The change of roles failed before anything changed.
    Abandon,
    /// Wait before the next try.
    Withhold,
    /// Look at everything anew.
    LookAgain,
}

/// The table.
pub fn next(state: PairState, trigger: PairTrigger) -> PairMove {
    use {PairMove as M, PairState as S, PairTrigger as T};
    match (state, trigger) {
        // Nobody is promoted before it is known that nobody acts.
        (S::Learning, T::Unheard) => M::Stay,
        (S::Vacant | S::Promoting | S::Demoting | S::Withheld, T::Unheard) => M::Learn,
        // The holder is silent, its host is not known to be dead: it keeps its role.
        (S::Held, T::Unheard) => M::Stay,

        (S::Held, T::HolderActs | T::HolderComing) => M::Stay,
        (S::Learning | S::Vacant | S::Withheld, T::HolderActs | T::HolderComing | T::HolderUnavailable) => {
            M::Hold
        }
        (S::Promoting, T::HolderActs | T::HolderUnavailable) => M::Hold,
        // It was told and has not answered.
        (S::Promoting, T::HolderComing) => M::Stay,
        (S::Demoting, T::HolderActs | T::HolderComing | T::HolderUnavailable) => M::Stay,
        (S::Held, T::HolderUnavailable) => M::Change,

        (S::Learning | S::Vacant | S::Held, T::OtherRoleActs) => M::Reaffirm,
        // It acts in its former epoch until it has confirmed the new one.
        (S::Promoting, T::OtherRoleActs) => M::Stay,
        (S::Demoting, T::OtherRoleActs) => M::Learn,
        (S::Withheld, T::OtherRoleActs) => M::Stay,

        (
            S::Learning | S::Vacant | S::Promoting | S::Held | S::Demoting | S::Withheld,
            T::TwoAct | T::OutsiderActs,
        ) => M::DemoteIntruder,

        (S::Learning | S::Vacant | S::Held | S::Demoting, T::NoneActsChosenReady | T::NoneActsOtherReady) => {
            M::Promote
        }
        (S::Learning | S::Held | S::Demoting, T::NoneActsChosenComing | T::NoneActsNoneReady) => M::Vacate,
        (S::Learning | S::Held | S::Demoting, T::NoneActsHandsOff) => M::Vacate,
        (S::Vacant, T::NoneActsChosenComing | T::NoneActsNoneReady | T::NoneActsHandsOff) => M::Stay,
        // The order is under way: its answer comes, or its link is lost.
        (
            S::Promoting,
            T::NoneActsChosenReady
            | T::NoneActsChosenComing
            | T::NoneActsOtherReady
            | T::NoneActsNoneReady
            | T::NoneActsHandsOff,
        ) => M::Stay,
        (
            S::Withheld,
            T::NoneActsChosenReady
            | T::NoneActsChosenComing
            | T::NoneActsOtherReady
            | T::NoneActsNoneReady
            | T::NoneActsHandsOff,
        ) => M::Stay,

        // What was promised ends by a release or by time, whatever else is so.
        (S::Learning | S::Vacant | S::Promoting | S::Held | S::Demoting | S::Withheld, T::AwaitsRelease) => {
            M::Stay
        }
        (S::Learning | S::Vacant | S::Promoting | S::Held | S::Withheld, T::HolderUntold) => M::OrderAgain,
        // It is being demoted: its answer comes, or its link is lost.
        (S::Demoting, T::HolderUntold) => M::Stay,

        (S::Held, T::SwitchoverAsked) => M::Change,
        (S::Learning | S::Vacant | S::Promoting | S::Demoting | S::Withheld, T::SwitchoverAsked) => M::Ignore,

        (S::Promoting, T::PromotionRefused) => M::Retreat,
        (S::Learning | S::Vacant | S::Held | S::Demoting | S::Withheld, T::PromotionRefused) => M::Ignore,
        (S::Demoting, T::DemotionRefused) => M::Abandon,
        (S::Learning | S::Vacant | S::Promoting | S::Held | S::Withheld, T::DemotionRefused) => M::Ignore,

        (S::Promoting, T::StoreFailed) => M::Withhold,
        // The number of an operation could not be made durable: nothing was ordered.
        (S::Demoting, T::StoreFailed) => M::Abandon,
        (S::Learning | S::Vacant | S::Held | S::Withheld, T::StoreFailed) => M::Ignore,

        (S::Withheld, T::Deadline) => M::LookAgain,
        // Its agent keeps the time of an order, and answers.
        (S::Learning | S::Vacant | S::Promoting | S::Held | S::Demoting, T::Deadline) => M::Stay,
    }
}

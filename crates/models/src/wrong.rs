//! Rules broken on purpose, one at a time: what the exploration must object to.
//!
//! Nothing is broken inside the machines: what surrounds them lies to them, forgets for them, or passes over what they said, so
//! that the outcome is that of a machine without the rule. Product code has no switch for any of it.

/// A broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each has its sentence below
pub enum Wrong {
    NotDurable,
    NotDurableUnseen,
    StoreLate,
    Forgets,
    CountsFromAnswer,
    NoWaitAfterRead,
    DeposedVotes,
    NoCompareAndSet,
    OldView,
    RenewsWhileWriting,
    WritesEarly,
    ReaffirmsAnybody,
    TooSlowIsOver,
    ReleaseNotDurable,
    ReleaseWithoutEpoch,
    ClosedAnswersCount,
    AdoptsAsNew,
    PageNotRetired,
    ClockStops,
    DeviceIsRelease,
    OrdersOfAnyLife,
    DeviceForAnyLeader,
    StoreRolledBack,
    MemoryLost,
    MemoryLostWaits,
    AnswersOfFormerBoot,
    NoDrift,
    LeaderTooLong,
    OrderIsVote,
    RestoredAsRead,
    EntersClosed,
    ReleasesBelow,
    ActsBeforeDurable,
    PageGoesOn,
    NumbersReused,
    ShrinksAtOrder,
    AsksBeforeCut,
    StoresNewLease,
    SilentForUsualLease,
}

impl Wrong {
    /// Every one. Two rules of the design are broken in two ways each; the last eleven are not in its list.
    pub const ALL: &'static [Wrong] = &[
        Wrong::NotDurable,
        Wrong::NotDurableUnseen,
        Wrong::StoreLate,
        Wrong::Forgets,
        Wrong::CountsFromAnswer,
        Wrong::NoWaitAfterRead,
        Wrong::DeposedVotes,
        Wrong::NoCompareAndSet,
        Wrong::OldView,
        Wrong::RenewsWhileWriting,
        Wrong::WritesEarly,
        Wrong::ReaffirmsAnybody,
        Wrong::TooSlowIsOver,
        Wrong::ReleaseNotDurable,
        Wrong::ReleaseWithoutEpoch,
        Wrong::ClosedAnswersCount,
        Wrong::AdoptsAsNew,
        Wrong::PageNotRetired,
        Wrong::ClockStops,
        Wrong::DeviceIsRelease,
        Wrong::OrdersOfAnyLife,
        Wrong::DeviceForAnyLeader,
        Wrong::StoreRolledBack,
        Wrong::MemoryLost,
        Wrong::MemoryLostWaits,
        Wrong::AnswersOfFormerBoot,
        Wrong::NoDrift,
        Wrong::LeaderTooLong,
        Wrong::OrderIsVote,
        Wrong::RestoredAsRead,
        Wrong::EntersClosed,
        Wrong::ReleasesBelow,
        Wrong::ActsBeforeDurable,
        Wrong::PageGoesOn,
        Wrong::NumbersReused,
        Wrong::ShrinksAtOrder,
        Wrong::AsksBeforeCut,
        Wrong::StoresNewLease,
        Wrong::SilentForUsualLease,
    ];

    /// The rule and what is done instead.
    pub fn says(self) -> (&'static str, &'static str) {
        match self {
            Wrong::NotDurable => ("S3", "an agent answers before its promise is durable"),
            Wrong::NotDurableUnseen => ("S3", "the same, with the check of S3 taken out"),
            Wrong::StoreLate => ("G6", "a leader promises and orders before the store acknowledged"),
            Wrong::Forgets => ("G7", "a restarted agent takes its promise for over"),
            Wrong::CountsFromAnswer => ("G3", "a vote counts from its arrival, not from the asking"),
            Wrong::NoWaitAfterRead => ("G7", "a new leader takes the promise it read for over"),
            Wrong::DeposedVotes => ("G7", "a leader votes on after its lease"),
            Wrong::NoCompareAndSet => ("G6", "the store takes writes of any leadership, over anything"),
            Wrong::OldView => ("G7", "a new leadership of the same process goes on with what it read before"),
            Wrong::RenewsWhileWriting => ("G2", "a leader renews the former holder while it stores another"),
            Wrong::WritesEarly => ("G6", "a leader stores at once, and orders when its promise is over"),
            Wrong::ReaffirmsAnybody => ("G8", "an agent takes any higher epoch at once, whoever it promised"),
            Wrong::TooSlowIsOver => ("G9", "a leader promotes another because the holder takes too long"),
            Wrong::ReleaseNotDurable => ("G5", "a release is said before the epoch is closed durably"),
            Wrong::ReleaseWithoutEpoch => ("G5", "a release ends any promise to its holder"),
            Wrong::ClosedAnswersCount => ("G3", "an answer for a closed epoch counts for the next one"),
            Wrong::AdoptsAsNew => ("G7", "an adopted page gets a whole new expiry"),
            Wrong::PageNotRetired => ("G5", "an epoch is released while a page still says primary"),
            Wrong::ClockStops => ("A1", "the clock of a paused machine stands still"),
            Wrong::DeviceIsRelease => {
                ("G10", "a device's confirmation is told as a release, the vote goes on")
            }
            Wrong::OrdersOfAnyLife => ("G10", "an order made before a reboot is obeyed after it"),
            Wrong::DeviceForAnyLeader => ("G10", "a confirmation counts for the next leader"),
            Wrong::StoreRolledBack => ("G11", "an older store is restored without its marker"),
            Wrong::MemoryLost => ("G11", "an agent without memory votes at once"),
            Wrong::MemoryLostWaits => ("G11", "an agent without memory waits, and closes nothing"),
            Wrong::AnswersOfFormerBoot => ("G7", "requests of the former boot count on the new clock"),
            Wrong::NoDrift => ("G3", "a holder counts on the whole lease, clocks being 2:3"),
            Wrong::LeaderTooLong => {
                ("G7", "a leader counts on more than the store's lease, clocks being 2:3")
            }
            Wrong::OrderIsVote => ("G3", "the order counts as the leader's vote, from its receipt"),
            Wrong::RestoredAsRead => {
                ("G11", "the marker of a restored store ends leaderships, but nothing is waited for")
            }
            Wrong::ReleasesBelow => ("G5", "a late order below the held epoch is refused, and released"),
            Wrong::ActsBeforeDurable => {
                ("S3", "a page says primary before its own agent's promise is durable")
            }
            Wrong::PageGoesOn => ("G7", "a page that is not adopted goes on saying primary"),
            Wrong::NumbersReused => {
                ("G3", "a life numbers its requests as the one before, and the answers fit")
            }
            Wrong::ShrinksAtOrder => {
                ("G13", "a leader's promise gets shorter at the order, not at the asking")
            }
            Wrong::AsksBeforeCut => ("G13", "a holder asks in the shorter epoch before its page is cut"),
            Wrong::StoresNewLease => {
                ("G13", "the store holds the new epoch's lease alone from its beginning")
            }
            Wrong::SilentForUsualLease => {
                ("G13", "an agent without memory is silent for the usual lease, whatever was given")
            }
            Wrong::EntersClosed => ("G5", "an agent takes an order for an epoch that it closed"),
        }
    }
}

//! What a control server asks of an agent, and what the agent answers.
//!
//! Goals are levels (an [`Assignment`] can be repeated without harm); roles are edges and name the exact
//! (epoch, holder) they are about (`docs/safety.md`, G9). Every order is bound to the agent's incarnation and carries the
//! controller epoch of whoever gave it (G10, S2).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ApplicationName, ApplicationSpec, ControllerEpoch, Epoch, Goal, GrantTold, Incarnation, OrderId,
    PairName, RoleEpoch, StrictPlace,
};

/// One order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Order {
    /// For the answer.
    pub id: OrderId,
    /// The agent life it was made for; the next one refuses it.
    pub incarnation: Incarnation,
    /// Under which leadership it was given.
    pub controller_epoch: ControllerEpoch,
    /// What to do.
    pub work: Work,
}

/// What an order is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// All applications of this host, with their goals. Whatever is not named is stopped and forgotten.
    Assign(Vec<Assignment>),
    /// A new goal for one assigned application. Also clears a restart limit that was reached.
    SetGoal {
        /// Which.
        application: ApplicationName,
        /// To run or not.
        goal: Goal,
        /// Let it finish what it has before it is stopped.
        graceful: bool,
    },
    /// Maintenance on or off: the agent restarts nothing that ends while it is on.
    SetHandsOff {
        /// Which.
        application: ApplicationName,
        /// On or off.
        hands_off: bool,
    },
    /// Stop it and start it again; the goal stays.
    Restart {
        /// Which.
        application: ApplicationName,
    },
    /// The holder may act as primary in this epoch.
    Promote {
        /// Of which pair.
        pair: PairName,
        /// Exactly this role.
        role: RoleEpoch,
        /// How long the application may take to confirm; then it is demoted or killed and the order refused.
        time_limit: Duration,
        /// Under `strict`: permission to ask for votes, and to act when one is given. Absent: act at once.
        #[serde(default)]
        grant: Option<GrantTold>,
    },
    /// Whether the agent would promise this role now. Binds nobody (G6).
    WouldPromise {
        /// Of which pair.
        pair: PairName,
        /// A role that is not stored yet.
        role: RoleEpoch,
    },
    /// What the store holds, for an agent whose memory was empty: it gives up everything up to that (G11).
    Learn {
        /// Of which pair.
        pair: PairName,
        /// The highest epoch that was ever stored.
        stored: Epoch,
        /// The longest that a promise may have been for which it forgot (G13): its silence lasts as long. Zero: the usual lease.
        #[serde(default)]
        lease: Duration,
    },
    /// The holder shall act as primary in this epoch no more.
    Demote {
        /// Of which pair.
        pair: PairName,
        /// Exactly this role.
        role: RoleEpoch,
        /// How long the application may take to confirm; then it is killed.
        time_limit: Duration,
    },
    /// The answer to an agent that said that its host leaves: nothing more can be handed over, it may stop what runs.
    LetGo,
}

/// One application of a host, as its agent needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Assignment {
    /// Its name.
    pub application: ApplicationName,
    /// How to run it.
    pub spec: ApplicationSpec,
    /// Whether to run it.
    pub goal: Goal,
    /// Maintenance.
    pub hands_off: bool,
    /// Its pair, if any.
    pub pair: Option<PairPlace>,
}

/// What a member needs to know of its pair.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PairPlace {
    /// The pair.
    pub pair: PairName,
    /// The other member.
    pub peer: ApplicationName,
    /// An address of the other member's host, without port.
    pub peer_address: String,
    /// The other member's ports: id and number.
    pub peer_ports: Vec<(String, u16)>,
    /// From demotion asked to kill.
    pub fence_budget: Duration,
    /// How long the application's link may be gone while the process lives.
    pub link_grace: Duration,
    /// Under `strict`: who else votes, and for how long a vote lasts. Absent under `available`.
    #[serde(default)]
    pub strict: Option<StrictPlace>,
}

/// The answer to one order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// Which order.
    pub order: OrderId,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an order. Unknown is not an answer of an agent: it is what a control server calls an order whose
/// link was lost, and it is never read as success or failure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Carried out, or already so.
    Done,
    /// Not carried out, and will not be: for a Promote this is also the durable release of its epoch.
    Refused(Refusal),
}

/// Why an agent did not carry out an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// A higher controller epoch was seen.
    StaleController(ControllerEpoch),
    /// Made for another life of this agent.
    OtherIncarnation,
    /// A role at or above the ordered one is promised.
    StaleEpoch(RoleEpoch),
    /// The ordered epoch, or a higher one, was given up for good.
    ClosedEpoch(Epoch),
    /// Not assigned to this host.
    UnknownApplication,
    /// Its process does not run.
    NotRunning,
    /// It runs and is not ready.
    NotReady(String),
    /// It said no.
    ApplicationRefused(String),
    /// It did not confirm in time; it was demoted or killed.
    TooSlow,
    /// It ended while the order was carried out.
    Died(String),
    /// The promise could not be made durable; nothing was told to the application.
    NotDurable(String),
    /// It does not act in the named role.
    NotActing(Option<RoleEpoch>),
    /// Another order for it is being carried out.
    Busy,
    /// Another role is promised for at least so long, by the agent's clock.
    Promised(RoleEpoch, Duration),
    /// The agent does not vote yet, as its memory was empty (G7, G11); for people.
    NotVoting(String),
    /// No other voter said yes in time.
    NoVotes,
    /// There is no guard, which would end the member in time, so no vote was asked for.
    NoGuard,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::StaleController(known) => write!(f, "a control server with epoch {known} was heard"),
            Refusal::OtherIncarnation => write!(f, "the order was made for an earlier life of the agent"),
            Refusal::StaleEpoch(role) => write!(f, "{role} is already promised"),
            Refusal::ClosedEpoch(epoch) => write!(f, "epoch {epoch} was given up for good"),
            Refusal::UnknownApplication => write!(f, "the application is not assigned to this host"),
            Refusal::NotRunning => write!(f, "its process does not run"),
            Refusal::NotReady(why) => write!(f, "it is not ready: {why}"),
            Refusal::ApplicationRefused(why) => write!(f, "the application refused: {why}"),
            Refusal::TooSlow => write!(f, "the application did not confirm in time"),
            Refusal::Died(how) => write!(f, "the application ended meanwhile: {how}"),
            Refusal::NotDurable(why) => write!(f, "the promise could not be made durable: {why}"),
            Refusal::NotActing(Some(role)) => write!(f, "it does not act in the named role but in {role}"),
            Refusal::NotActing(None) => write!(f, "it does not act as primary"),
            Refusal::Busy => write!(f, "another order for it is being carried out"),
            Refusal::Promised(role, left) => {
                write!(f, "{role} is promised for {:.3} s more", left.as_secs_f64())
            }
            Refusal::NotVoting(why) => write!(f, "its agent does not vote: {why}"),
            Refusal::NoVotes => write!(f, "no other voter said yes in time"),
            Refusal::NoGuard => {
                write!(
                    f,
                    "its host has no guard that would end it in time, so no vote was asked for; see the agent's log"
                )
            }
        }
    }
}

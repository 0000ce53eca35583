//! What a control server can observe, what it wants remembered, and what it can have done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{
    Answer, ApplicationName, ApplicationReport, Cluster, ControllerEpoch, ControllerName, Epoch, Goal,
    HostName, InSync, InSyncAnswer, InSyncAsk, Inventory, OperationId, Order, PairName, RoleEpoch,
    VoteAnswer, VoteAsk,
};

use super::{Flap, Hold};

/// What the coordination store held when leadership was taken (rule G7: read first, after acquiring).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ControlMemory {
    /// Who leads.
    pub controller: ControllerName,
    /// Under which leadership.
    pub controller_epoch: ControllerEpoch,
    /// The role of every pair.
    pub roles: BTreeMap<PairName, RoleEpoch>,
    /// The goals that operators set; the others come from the configuration.
    pub goals: BTreeMap<ApplicationName, Goal>,
    /// What is under maintenance.
    pub maintenance: Vec<MaintenanceOf>,
    /// The highest operation number ever used.
    pub last_operation: OperationId,
    /// What flap damping remembers of each pair, on this clock.
    #[serde(default)]
    pub flaps: BTreeMap<PairName, Flap>,
    /// The hosts on which nothing is promoted.
    #[serde(default)]
    pub drained: BTreeSet<HostName>,
    /// Who has everything that was acknowledged, of the pairs that keep their data, as far as it was recorded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub in_sync: BTreeMap<PairName, InSync>,
    /// The hosts that are held for planned work, on this clock.
    #[serde(default)]
    pub holds: BTreeMap<HostName, Hold>,
    /// What promises of `strict` pairs rest on.
    #[serde(default)]
    pub grants: GrantMemory,
    /// Who asked for what is stored above, as far as it is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asked: super::AllAsked,
}

/// What is remembered of promises, beside the roles themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GrantMemory {
    /// The longest that a holder of a pair may count on, where a role was given with a lease: that of the stored epoch, or of
    /// an earlier one until the stored holder asked in its new epoch (G13).
    pub leases: BTreeMap<PairName, Duration>,
    /// The store was restored from a backup: what it holds of a pair may be older than what was promised (G11).
    pub restored: bool,
    /// The pairs whose role was stored since.
    pub trusted: BTreeSet<PairName>,
}

impl GrantMemory {
    /// What the store holds of this pair may be older than what was promised.
    pub fn distrusts(&self, pair: &PairName) -> bool {
        self.restored && !self.trusted.contains(pair)
    }
}

/// What maintenance can be set on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaintenanceOf {
    /// Everything on a host.
    Host(HostName),
    /// One application.
    Application(ApplicationName),
    /// Both members of a pair, and its role.
    Pair(PairName),
}

impl MaintenanceOf {
    /// The name of what it is set on.
    pub fn name(&self) -> &str {
        match self {
            MaintenanceOf::Host(name) => name.as_str(),
            MaintenanceOf::Application(name) => name.as_str(),
            MaintenanceOf::Pair(name) => name.as_str(),
        }
    }
}

impl std::fmt::Display for MaintenanceOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MaintenanceOf::Host(name) => write!(f, "host {name}"),
            MaintenanceOf::Application(name) => write!(f, "application {name}"),
            MaintenanceOf::Pair(name) => write!(f, "pair {name}"),
        }
    }
}

/// The number of an operator's question, given by the program to find whom to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// How a link to an agent ended, or why there is none. Silence, refusal and loss of a link are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkEnd {
    /// Nothing was heard for the link's timeouts, or the network gives no answer to a new connection.
    Silent,
    /// The other end closed it. What that means is known after the next try.
    Closed,
    /// The machine answered that nobody listens: it lives, its agent does not.
    Refused,
    /// The agent answers, and one of both does not want the other: certificate, identity, cluster, version. Never a
    /// reason to promote anybody.
    Unwelcome,
    /// None of its names gave an address: nothing was asked of the host, and nothing is learned of it.
    Unresolved,
}

impl LinkEnd {
    /// What it says of the machine at the other end.
    pub fn says(self) -> &'static str {
        match self {
            LinkEnd::Silent => "it is silent",
            LinkEnd::Closed => "it closed the link",
            LinkEnd::Refused => "the machine answers, its agent does not",
            LinkEnd::Unwelcome => "its agent answers, and there is no agreement",
            LinkEnd::Unresolved => "its name is not resolved, which says nothing of it",
        }
    }
}

/// What a control server observes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlSaw {
    /// First observation of a leadership, and again whenever the configuration is read anew and accepted.
    Configured {
        /// The whole of it.
        cluster: Cluster,
        /// The hosts that this control server itself runs on, as far as it knows.
        #[serde(default)]
        own_hosts: BTreeSet<HostName>,
    },
    /// A configuration is about to be judged by what runs, and to be stored: nobody is promoted in these pairs until
    /// [`ControlSaw::Configured`] or [`ControlSaw::ConfigurationStays`] (G13).
    ConfigurationComes {
        /// The pairs that change by it.
        pairs: BTreeSet<PairName>,
        /// Counts the reloads of this leadership.
        reload: u64,
    },
    /// It did not take effect.
    ConfigurationStays,
    /// An agent was connected to and said everything. Replaces what was known of that host.
    LinkUp {
        /// Which host.
        host: HostName,
        /// Everything.
        inventory: Inventory,
    },
    /// An agent is not connected (any more).
    LinkDown {
        /// Which host.
        host: HostName,
        /// How it ended, or why there is none.
        end: LinkEnd,
        /// What the system said.
        why: String,
    },
    /// An agent reported one application.
    Reported {
        /// Which host.
        host: HostName,
        /// The whole truth of that application.
        report: ApplicationReport,
    },
    /// An agent answered an order.
    Answered {
        /// Which host.
        host: HostName,
        /// The answer.
        answer: Answer,
    },
    /// An agent said that its host leaves, or stays after all.
    Leaving {
        /// Which host.
        host: HostName,
        /// It leaves.
        leaving: bool,
    },
    /// An operator asked for something.
    Asked {
        /// To find whom to answer.
        request: RequestId,
        /// Who.
        actor: String,
        /// What.
        ask: Ask,
    },
    /// Something could not be made durable; no action of that decision was done.
    StoreFailed {
        /// What.
        records: Vec<ControlRecord>,
        /// What the store said.
        why: String,
        /// It is certain that nothing was stored.
        definite: bool,
    },
    /// An agent asks for this control server's vote.
    VoteAsked {
        /// Of which host.
        host: HostName,
        /// What.
        ask: VoteAsk,
    },
    /// A primary says who has everything that was acknowledged, through its agent.
    InSyncAsked {
        /// Of which host.
        host: HostName,
        /// What it says.
        ask: InSyncAsk,
    },
    /// A fencing command has ended.
    FenceEnded {
        /// For which host.
        host: HostName,
        /// It says that the machine is off.
        confirmed: bool,
        /// What it printed, or why it could not be run; bounded.
        said: String,
    },
    /// An agent turned this control server away, as it has obeyed a higher controller epoch.
    Outranked {
        /// Of which host.
        host: HostName,
        /// What it obeyed.
        highest: ControllerEpoch,
    },
    /// A deadline may have passed.
    DeadlinePassed,
    /// An agent that is connected has said nothing for its link's timeout and is being asked whether it lives. Said right
    /// before another agent is given up: it may be this control server that nobody reaches.
    LinkPolled {
        /// Which host.
        host: HostName,
    },
    /// An agent that was being asked has answered.
    LinkAnswered {
        /// Which host.
        host: HostName,
    },
}

/// What an operator can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// A planned change of roles.
    Switchover {
        /// Of this pair, or of the pair of this member.
        name: String,
        /// To this member; then it is idempotent.
        to: Option<String>,
        /// Only check, and say what would be done.
        dry_run: bool,
        /// For the record.
        reason: Option<String>,
    },
    /// Start an application, or both members of a pair.
    Start {
        /// Application or pair.
        name: String,
    },
    /// Stop an application, or both members of a pair (the backup first).
    Stop {
        /// Application or pair.
        name: String,
        /// Let it finish what it has.
        graceful: bool,
    },
    /// Stop and start one application.
    Restart {
        /// Application.
        name: String,
    },
    /// Take a host, an application or a pair out of automatic care, or back.
    Maintenance {
        /// Host, application or pair.
        name: String,
        /// Out or back.
        on: bool,
    },
    /// Switch everything primary away from a host, and promote nothing there any more; or allow it again.
    Drain {
        /// Host.
        name: String,
        /// Allow it again.
        back: bool,
        /// Only check, and say what would be done.
        dry_run: bool,
    },
    /// Give what acts on a host a long lease for planned work there, or its usual one again.
    Hold {
        /// Host.
        name: String,
        /// For how long, at most [`super::holds::LONGEST_HOLD`]; absent: no longer.
        span: Option<Duration>,
        /// Only check, and say what would be done.
        dry_run: bool,
        /// For the record.
        reason: Option<String>,
    },
    /// Restart both members of a pair: the backup, then a change of roles, then the other.
    RestartRolling {
        /// Pair, or one of its members.
        name: String,
        /// Only check, and say what would be done.
        dry_run: bool,
    },
    /// Promote the backup although the silent primary may still act.
    Failover {
        /// Pair, or one of its members.
        name: String,
        /// Only check, and say what would be given up.
        dry_run: bool,
        /// What was shown to be given up: refused if it would be something else now. Absent: whatever it is, as versions asked
        /// that showed nothing.
        #[serde(default)]
        given_up: Option<GivenUp>,
        /// For the record.
        reason: Option<String>,
    },
    /// Somebody has looked at a pair that changed roles too often.
    AcknowledgeFlapping {
        /// Pair, or one of its members.
        name: String,
    },
    /// The same, and why, for the record: of what has no reason of its own.
    WithReason {
        /// What is asked for; not again with a reason.
        ask: Box<Ask>,
        /// Why.
        reason: String,
    },
}

impl Ask {
    /// The same with a reason, if there is one.
    #[must_use]
    pub fn because(self, reason: Option<String>) -> Self {
        match reason {
            Some(reason) => Ask::WithReason { ask: Box::new(self), reason },
            None => self,
        }
    }

    /// What is asked for, and why if that was said.
    pub(super) fn with_reason(self) -> (Self, Option<String>) {
        match self {
            Ask::WithReason { ask, reason } => (*ask, Some(reason)),
            Ask::Switchover { ref reason, .. }
            | Ask::Hold { ref reason, .. }
            | Ask::Failover { ref reason, .. } => {
                let reason = reason.clone();
                (self, reason)
            }
            ask => (ask, None),
        }
    }

    /// The name of what it is about, as it was written.
    pub(super) fn name(&self) -> &str {
        match self {
            Ask::Switchover { name, .. }
            | Ask::Start { name }
            | Ask::Stop { name, .. }
            | Ask::Restart { name }
            | Ask::Maintenance { name, .. }
            | Ask::Drain { name, .. }
            | Ask::Hold { name, .. }
            | Ask::RestartRolling { name, .. }
            | Ask::Failover { name, .. }
            | Ask::AcknowledgeFlapping { name } => name,
            Ask::WithReason { ask, .. } => ask.name(),
        }
    }
}

/// What a control server wants remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlRecord {
    /// Compare-and-set: controller epoch still mine, and the stored role is `expected`.
    RaiseEpoch {
        /// Of which pair.
        pair: PairName,
        /// What is stored now.
        expected: Option<RoleEpoch>,
        /// What shall be.
        next: RoleEpoch,
    },
    /// An operator's goal.
    SetGoal {
        /// Of which application.
        application: ApplicationName,
        /// Which.
        goal: Goal,
    },
    /// Maintenance on or off.
    SetMaintenance {
        /// Of what.
        of: MaintenanceOf,
        /// On or off.
        on: bool,
    },
    /// This operation number is used.
    UseOperation(OperationId),
    /// What flap damping remembers of a pair.
    SetFlap {
        /// Which.
        pair: PairName,
        /// All of it.
        flap: Flap,
    },
    /// Who has everything that was acknowledged: compare-and-set on the controller epoch, the stored role and the record before.
    SetInSync {
        /// Of which pair.
        pair: PairName,
        /// The role that is stored.
        role: Option<RoleEpoch>,
        /// The record before; none if there was none.
        expected: Option<InSync>,
        /// What shall be recorded.
        next: InSync,
    },
    /// The longest that a holder may count on: stored with a new epoch, and alone when its holder's request made it shorter
    /// (G13).
    SetLease {
        /// Of which pair.
        pair: PairName,
        /// What the next leader waits for.
        lease: Duration,
    },
    /// Leaderships are counted on from here: the store was restored, and an agent obeyed this one. The next leadership is above
    /// it, and the present one ends.
    RaiseLeadership {
        /// What the agent obeyed.
        highest: ControllerEpoch,
    },
    /// What acts on a host gets a long lease, or its usual one again.
    SetHold {
        /// Which.
        host: HostName,
        /// For how long and for whom; nothing: no longer.
        hold: Option<Hold>,
    },
    /// A host is used for primaries no more, or again.
    SetDrained {
        /// Which.
        host: HostName,
        /// No more, or again.
        on: bool,
    },
}

/// What a control server has done for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlDo {
    /// Send an order. If the link is gone it is lost, and the loss of the link is observed.
    Send {
        /// To the agent of this host.
        host: HostName,
        /// What.
        order: Order,
    },
    /// Answer an agent that asked for a vote.
    Vote {
        /// To the agent of this host.
        host: HostName,
        /// What.
        answer: VoteAnswer,
    },
    /// Answer a primary that said who has everything.
    AnswerInSync {
        /// To the agent of this host.
        host: HostName,
        /// What.
        answer: InSyncAnswer,
    },
    /// Run the fencing command of a host; observe `FenceEnded`.
    Fence {
        /// Which host.
        host: HostName,
    },
    /// Answer an operator's question; exactly one for each.
    Reply {
        /// Which question.
        request: RequestId,
        /// What.
        reply: Reply,
    },
}

/// The first answer to an operator's question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It began; follow this operation.
    Begun(OperationId),
    /// It is so already, or was done at once.
    Done {
        /// For people.
        text: String,
    },
    /// A dry run: it would be done, like this.
    Plan {
        /// Each check with its result.
        checks: Vec<Check>,
        /// Each step.
        steps: Vec<String>,
        /// What would be given up, by a failover by force.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        given_up: Option<GivenUp>,
    },
    /// Nothing was done, for these reasons.
    Refused {
        /// `not-found`, `not-ready`, `busy`, `maintenance`, `unreachable`, `not-durable`, `not-possible`.
        code: String,
        /// One sentence.
        message: String,
        /// Each reason.
        because: Vec<String>,
        /// The command to run next, if there is one.
        try_next: Option<String>,
    },
}

/// What a failover by force gives up: whoever forces it says that this was shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenUp {
    /// The epoch that is stored; 0 if none is.
    pub epoch: Epoch,
    /// The member that is not promoted: the silent one that may act, or the one that the data is with.
    pub member: ApplicationName,
    /// What it acknowledged, and the promoted one lacks, may be lost.
    #[serde(default)]
    pub loses_data: bool,
}

impl std::fmt::Display for GivenUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let data = if self.loses_data { ", and what only it has" } else { "" };
        write!(f, "({}, {}){data}", self.epoch, self.member)
    }
}

/// One check before an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Check {
    /// What must hold.
    pub what: String,
    /// Whether it does.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

impl Check {
    /// What is not as it must be, in words; empty if all is.
    pub(super) fn failed(checks: &[Self]) -> Vec<String> {
        let failed = checks.iter().filter(|check| !check.ok);
        failed.map(|check| format!("{}: no, {}", check.what, check.found)).collect()
    }
}

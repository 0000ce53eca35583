//! What a control server remembers while it leads: hosts, applications, pairs, operations.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::Discriminant;

use understudy_model::{
    ApplicationName, ApplicationReport, ApplicationSpec, ApplicationStatus, Because, Goal, HostName,
    HostStatus, Incarnation, LastExit, Member, Moment, OperationId, OrderId, PairName, PairSpec, Refusal,
    RoleEpoch, RoleReport, RunMode,
};

use super::in_sync::Kept;
use super::pair::PairState;
use crate::grants::leader::Leader;

use super::{Flap, LinkEnd, OperationState, RequestId};

/// What is known of one host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Host {
    /// The agent life on the other end, while connected.
    pub incarnation: Option<Incarnation>,
    pub status: HostStatus,
    pub since: Moment,
    pub heard: Option<Moment>,
    pub problem: String,
    /// Why the agent did not take its assignments, and when it is told them again.
    pub refused: Option<(String, Moment)>,
    /// How its link ended; absent while it is connected, and before anything is known.
    pub gone: Option<Gone>,
    /// It is being asked whether it lives: until then its silence may prove to be this control server's own.
    pub polled_until: Option<Moment>,
    /// Its agent said that it leaves.
    pub leaving: Option<Departure>,
    /// Why votes were refused to its agent, as far as that was told; bounded.
    pub votes_refused: BTreeSet<String>,
}

/// A host that leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Departure {
    /// The pairs whose change of roles was begun for it; each is tried once.
    pub tried: BTreeSet<PairName>,
    /// Its agent was told that nothing more can be handed over.
    pub let_go: bool,
}

/// A host without a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Gone {
    pub end: LinkEnd,
    /// Its patience is counted from here.
    pub since: Moment,
    /// It has not had its chance to speak yet: never heard in this leadership, or cut off together with one that is back.
    pub fresh: bool,
}

/// A member that was left behind: its host counted as lost, and the other one was promoted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LeftBehind {
    pub member: Member,
    /// The role in which it may still act.
    pub role: Option<RoleEpoch>,
    /// From when two may have acted.
    pub since: Moment,
    /// It was heard to act since.
    pub seen: bool,
}

/// What is known of one application.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct App {
    pub host: HostName,
    pub pair: Option<PairName>,
    /// Its last report of this leadership; kept when its agent is lost.
    pub report: Option<ApplicationReport>,
    /// Its agent is connected, and has reported it since.
    pub heard: bool,
    /// The status that people were last told; a lost and regained agent alone is no news of its applications.
    pub told: Option<ApplicationStatus>,
    /// The end of a process that people were last told of; absent before its first report of this leadership.
    pub told_exit: Option<Option<LastExit>>,
    /// A promotion is ordered and neither its answer nor a newer inventory was seen.
    pub ordered: Option<RoleEpoch>,
    /// It refused a promotion: not before this moment again.
    pub refused_until: Option<Moment>,
    /// It refused to be demoted: not ordered before this moment again.
    pub demoted_again: Option<Moment>,
    /// Why it refused, and how often in a row for a reason of that kind.
    pub refusal: String,
    pub refusals: u32,
    pub refused_for: Option<RefusedFor>,
    pub since: Moment,
    /// The process that runs, and what it was started with, if something else was accepted since.
    pub started_with: Option<(u32, Box<ApplicationSpec>)>,
    /// It is as this leadership found it: `since` is when that was, not when it became so.
    pub as_found: bool,
}

/// Refusals in a row are counted by kind: what an application refused says nothing of its agent's disk, or of the process that
/// comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedFor {
    /// Its agent's reasons, which may be over in a moment.
    AgentsOwn,
    /// Any other reason is a kind of its own.
    Reason(Discriminant<Refusal>),
}

impl App {
    pub fn new(host: HostName, pair: Option<PairName>, now: Moment) -> Self {
        Self {
            host,
            pair,
            report: None,
            heard: false,
            told: None,
            told_exit: None,
            ordered: None,
            refused_until: None,
            demoted_again: None,
            refusal: String::new(),
            refusals: 0,
            refused_for: None,
            since: now,
            started_with: None,
            as_found: false,
        }
    }

    /// Another specification is accepted: what its process was started with is remembered.
    pub fn accept(&mut self, former: &ApplicationSpec) {
        let pid = self.report.as_ref().and_then(|report| report.pid);
        let known = self.started_with.take().filter(|(of, _)| Some(*of) == pid);
        self.started_with = known.or(pid.map(|pid| (pid, Box::new(former.clone()))));
    }

    /// The settings that wait for its next start.
    pub fn waits_for_restart(&self, accepted: &ApplicationSpec) -> Vec<&'static str> {
        let pid = self.report.as_ref().and_then(|report| report.pid);
        let started = self.started_with.as_ref().filter(|(of, _)| Some(*of) == pid);
        started.map(|(_, started)| started.waits_for_restart(accepted)).unwrap_or_default()
    }

    /// Its status as far as is known.
    pub fn status(&self) -> ApplicationStatus {
        match &self.report {
            Some(report) if self.heard => report.status,
            _ => ApplicationStatus::Unknown,
        }
    }

    /// Its run mode as far as is known.
    pub fn run_mode(&self) -> RunMode {
        match &self.report {
            Some(report) if self.heard => report.run_mode,
            _ => RunMode::Unknown,
        }
    }

    /// What its last report says of its role in its pair; of another pair nothing counts.
    pub fn role(&self) -> Option<&RoleReport> {
        let role = self.report.as_ref()?.role.as_ref()?;
        (Some(&role.pair) == self.pair.as_ref()).then_some(role)
    }

    /// Its agent reports roles and knows no leases: a primary there does not stop when one runs out.
    pub fn knows_no_leases(&self) -> bool {
        self.role().is_some_and(|role| role.strict.is_none())
    }

    /// The role in which its last report says that it acts or may act: told and not given up, in a living process.
    pub fn acting(&self) -> Option<&RoleEpoch> {
        let report = self.report.as_ref()?;
        let role = self.role()?;
        let promised = role.promised.as_ref().filter(|promised| {
            promised.holder == report.application && promised.epoch > role.closed && report.pid.is_some()
        });
        role.acting.as_ref().or(promised)
    }

    /// It has said itself that it acts in this role.
    pub fn confirmed(&self, role: &RoleEpoch) -> bool {
        self.report.as_ref().is_some_and(|report| {
            report.run_mode == RunMode::Primary
                && self.role().and_then(|own| own.acting.as_ref()) == Some(role)
        })
    }
}

/// The control server's side of a `strict` pair's grants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Granting {
    /// What was promised, stored, ordered.
    pub leader: Leader,
    /// Whether the agent of the member that would come next is bound to a silent one.
    pub pre_vote: PreVote,
    /// The role for which the device was called in this silence.
    pub device_tried: Option<RoleEpoch>,
    /// An operator's word that the host of this role's holder is off; it is durable.
    pub word_given: Option<RoleEpoch>,
    /// The members whose hosts are off, as operators said of a restored store; durable.
    pub words: BTreeSet<ApplicationName>,
    /// The role that was renewed here last.
    pub renewed: Option<RoleEpoch>,
    pub votes_given: u64,
    pub votes_refused: u64,
    /// Why the last vote was refused, if none was given since.
    pub refused_because: Option<String>,
    /// That its longest lease got shorter is stored no sooner than this: it could not be stored a moment ago.
    pub shorten_from: Moment,
}

impl Granting {
    pub fn new(leader: Leader) -> Self {
        Self {
            leader,
            pre_vote: PreVote::NotAsked,
            device_tried: None,
            word_given: None,
            words: BTreeSet::new(),
            renewed: None,
            votes_given: 0,
            votes_refused: 0,
            refused_because: None,
            shorten_from: Moment(0),
        }
    }
}

/// Whether an agent would promise a role; binds nobody (G6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum PreVote {
    NotAsked,
    /// The agent of this member.
    Asked(OrderId, Member),
    /// It would.
    Yes(Member),
    /// It would not; asked again from then on.
    No {
        member: Member,
        why: Refusal,
        again: Moment,
    },
}

/// One pair.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub spec: PairSpec,
    /// What the store holds.
    pub stored: Option<RoleEpoch>,
    pub state: PairState,
    pub since: Moment,
    /// Who is promoted first if nobody acts, and until when the other one waits for it.
    pub prefer: Option<Member>,
    pub prefer_until: Moment,
    /// Who was primary before a promotion or change that is under way.
    pub former: Option<Member>,
    /// Who shall be primary after a change that is under way.
    pub to: Option<Member>,
    /// The promotion under way is the way back from a failed one.
    pub rolling_back: bool,
    /// The operation under way.
    pub operation: Option<OperationId>,
    /// When a waiting is over; taken as soon as it is, so that nobody is woken twice for it.
    pub deadline: Option<Moment>,
    /// Why the last decision was made.
    pub because: Option<Because>,
    /// The member last seen to be primary, for the story.
    pub shown_primary: Option<Member>,
    /// Another member became primary in this leadership, or none was any more.
    pub changed: bool,
    /// The store was last found unwritable.
    pub unwritable: Option<String>,
    /// Who was left behind on a host that counted as lost.
    pub left_behind: Option<LeftBehind>,
    /// People were told that its primary's host is held, as most hosts were lost with it.
    pub held_with_most: bool,
    /// How often, in this leadership, a member that was left behind was found acting.
    pub two_acted: u32,
    /// An operator gave up the proof that this role's holder has ended.
    pub forced: Option<RoleEpoch>,
    /// Where it stands in the index of what is due.
    pub due: Option<Moment>,
    /// The last member that was confirmed to be primary, or held the role when this leadership began.
    pub last_primary: Option<Member>,
    /// The primary that an operator's stop or restart ends, and that operation: the change of roles that follows is no automatic
    /// one, and is told as its step.
    pub ended_by: Option<(Member, OperationId)>,
    /// Its automatic changes of roles.
    pub flap: Flap,
    /// Its grants; only under `strict`.
    pub granting: Option<Granting>,
    /// Who has everything that was acknowledged; only with `keep-data`.
    pub kept: Option<Kept>,
    /// Its last epoch could not be stored: the next one is stored by itself, so that it keeps no other pair from its own.
    pub alone: bool,
}

impl Pair {
    pub fn new(spec: PairSpec, stored: Option<RoleEpoch>, now: Moment) -> Self {
        Self {
            spec,
            stored,
            state: PairState::Learning,
            since: now,
            prefer: None,
            prefer_until: now,
            former: None,
            to: None,
            rolling_back: false,
            operation: None,
            deadline: None,
            because: None,
            shown_primary: None,
            changed: false,
            unwritable: None,
            left_behind: None,
            held_with_most: false,
            two_acted: 0,
            forced: None,
            due: None,
            last_primary: None,
            ended_by: None,
            flap: Flap::default(),
            granting: None,
            kept: None,
            alone: false,
        }
    }

    /// Nothing of its data is given up any more.
    pub fn take_back_given_up(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.given_up = None;
        }
    }

    /// The operation that hears of a change of roles: the one under way, else the one that ended the primary.
    pub fn told_of_change(&self) -> Option<OperationId> {
        self.operation.or(self.ended_by.map(|(_, operation)| operation))
    }

    /// The member that holds the stored role.
    pub fn holder(&self) -> Option<Member> {
        self.stored.as_ref().and_then(|stored| self.spec.member_of(&stored.holder))
    }
}

/// An order that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Outstanding {
    pub host: HostName,
    pub work: OrderedWork,
}

/// What an outstanding order is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum OrderedWork {
    /// Goals, maintenance: repeated with the next connection if the answer never comes.
    Level {
        application: Option<ApplicationName>,
        operation: Option<OperationId>,
    },
    Promote {
        pair: PairName,
        role: RoleEpoch,
    },
    Demote {
        pair: PairName,
        role: RoleEpoch,
    },
    /// A host that leaves may go.
    LetGo,
    /// The agent of the next holder is asked whether it is bound.
    PreVote {
        pair: PairName,
    },
    /// The agent of this member is asked for its word, for a restored store.
    Word {
        pair: PairName,
        member: ApplicationName,
    },
    /// The agent of this member is told what the store holds.
    Learn {
        pair: PairName,
        member: ApplicationName,
    },
}

impl OrderedWork {
    /// The pair whose role it is about.
    pub fn pair(&self) -> Option<&PairName> {
        match self {
            OrderedWork::Level { .. } | OrderedWork::LetGo => None,
            OrderedWork::Promote { pair, .. }
            | OrderedWork::Demote { pair, .. }
            | OrderedWork::PreVote { pair }
            | OrderedWork::Word { pair, .. }
            | OrderedWork::Learn { pair, .. } => Some(pair),
        }
    }
}

/// What an operation waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Awaits {
    /// This pair's role to be held by this member.
    Holder { pair: PairName, member: Member },
    /// These applications to be so; of those that were not heard when it was asked nobody can say when.
    Goal { applications: Vec<ApplicationName>, goal: Goal, away: BTreeSet<ApplicationName> },
    /// This application to be started, with another process than this; and the end of a process that was known before.
    OtherProcess { application: ApplicationName, pid: Option<u32>, exit: Option<LastExit> },
    /// Nothing on this host to be primary; the pair that is being switched, and how many were.
    Drained { host: HostName, moving: Option<PairName>, moved: usize },
    /// What acts in these pairs on this host to have its long lease.
    Held { host: HostName, pairs: Vec<PairName> },
    /// Both members of this pair to be restarted, this one first.
    Rolling { pair: PairName, first: Member, phase: RollingPhase },
}

/// How far a rolling restart is; with the process that a member had before its restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RollingPhase {
    Begin,
    First(Option<u32>),
    Switch,
    Second(Option<u32>),
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Operation {
    pub kind: &'static str,
    pub subject: String,
    pub actor: String,
    /// Why it was asked for, if they said.
    pub reason: Option<String>,
    pub awaits: Awaits,
    pub state: OperationState,
    pub steps: Vec<(Moment, String)>,
    pub began: Moment,
    pub ended: Option<Moment>,
    /// When it was last looked at.
    pub looked: Moment,
    /// When it counts as failed.
    pub deadline: Moment,
    /// What went wrong on the way, if something did.
    pub trouble: Option<String>,
    /// Who is to be told, until the number is durable.
    pub request: RequestId,
}

/// Operations of one leadership, oldest first; the oldest ended ones are forgotten.
pub(super) type Operations = BTreeMap<OperationId, Operation>;

/// How many operations are remembered.
pub(super) const MOST_OPERATIONS: usize = 256;

/// How many steps an operation tells.
pub(super) const MOST_STEPS: usize = 64;

/// Goals and maintenance as they were before a decision that is not durable yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Undo {
    pub goals: BTreeMap<ApplicationName, Goal>,
    pub maintenance: Vec<super::MaintenanceOf>,
    /// What flap damping remembered of a pair.
    pub flap: Option<(PairName, Flap)>,
    pub drained: BTreeSet<HostName>,
    pub holds: BTreeMap<HostName, super::Hold>,
    pub asked: super::asked::AllAsked,
    /// Whom to tell, unless an operation tells already.
    pub request: Option<RequestId>,
}

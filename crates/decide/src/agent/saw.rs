//! What an agent can observe, and what it wants remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::notice::Notice;
use understudy_model::{
    AgentId, ApplicationName, ApplicationSpec, Assignment, ControllerEpoch, ControllerName, Epoch, ExitCause,
    FromApplication, HostName, InSyncAnswer, Incarnation, LeadershipId, Moment, Order, PairName, PairPlace,
    Release, Remembered, RoleEpoch, RunMode, Signal, VoteAnswer, VoteAsk,
};

use crate::grants::holder::Page;

/// One connection of a control server, numbered by the program; never used twice in one life of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkId(pub u64);

/// One start of one application. Observations about another start of it are stale and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StartId {
    /// The agent life that started it.
    pub incarnation: Incarnation,
    /// Counts up within that life.
    pub number: u64,
}

/// Runs of hooks are numbered from here, so that what one leaves behind is never taken for an application.
const FIRST_HOOK: u64 = 1 << 63;

impl StartId {
    /// One run of a hook.
    pub fn of_hook(incarnation: Incarnation, number: u64) -> Self {
        Self { incarnation, number: FIRST_HOOK | number }
    }

    /// It is a run of a hook and not a start of an application.
    pub fn is_hook(self) -> bool {
        self.number >= FIRST_HOOK
    }
}

/// What a hook is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// `start-before`.
    Before,
    /// `on-start`.
    Start,
    /// `on-promote`, or the signal in its place.
    Promote,
    /// `on-demote`, or the signal in its place.
    Demote,
    /// `stop-command`.
    Stop,
    /// `probe.exec`; not one of the ordered ones.
    Probe,
}

impl HookKind {
    /// The key in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            HookKind::Before => "start-before",
            HookKind::Start => "on-start",
            HookKind::Promote => "on-promote",
            HookKind::Demote => "on-demote",
            HookKind::Stop => "stop-command",
            HookKind::Probe => "probe",
        }
    }
}

/// What is done for a hook.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookAct {
    /// Run this to its end.
    Command(Vec<String>),
    /// Send this to the main process.
    Signal(Signal),
    /// Only note what the application is.
    Note,
}

/// One run of a hook; observe `HookEnded`, when nothing of it lives any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HookRun {
    /// For which application.
    pub application: ApplicationName,
    /// For which start of it.
    pub start: StartId,
    /// This run.
    pub hook: StartId,
    /// What it is for.
    pub kind: HookKind,
    /// What is done.
    pub act: HookAct,
    /// Whom it runs as; absent: the application's user.
    pub user: Option<String>,
    /// How the application is run.
    pub spec: ApplicationSpec,
    /// Its pair, if any.
    pub pair: Option<PairPlace>,
    /// The run mode asked for.
    pub run_mode: RunMode,
    /// The epoch asked for.
    pub epoch: Epoch,
    /// It may make something act: it does not begin before the guard has confirmed that it guards it, and the start.
    #[serde(default)]
    pub held: bool,
}

/// The durable side of one pair on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DurableRole {
    /// The last role promised.
    pub promised: Option<RoleEpoch>,
    /// How long one renewal of it lasts; zero under `available`, and before anything was promised.
    #[serde(default)]
    pub lease: Duration,
    /// The highest epoch given up for the own member.
    pub closed: Epoch,
}

/// What the agent's files held when it began.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AgentMemory {
    /// Its identity.
    pub agent: AgentId,
    /// The highest controller epoch obeyed.
    pub controller_epoch: ControllerEpoch,
    /// Which leadership had that number; none if its control server did not say.
    pub obeyed: Option<Incarnation>,
    /// The applications of this host, as last assigned.
    pub assignments: Vec<Assignment>,
    /// The promises.
    pub roles: BTreeMap<PairName, DurableRole>,
}

/// A process that an earlier life of the agent started, and that is proven to be the same one (pid, start time, boot).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Found {
    /// Of which application.
    pub application: ApplicationName,
    /// Which start.
    pub start: StartId,
    /// Its main process. `None`: the main process is gone but others of its tree live on, and must be killed.
    pub pid: Option<u32>,
    /// How long it has run.
    pub running_for: Duration,
    /// How often it had been restarted in a row.
    pub restarts: u32,
    /// The epoch in which it was last known to be primary, if it is one without the library.
    pub acts: Option<Epoch>,
    /// The epoch for which it was last being told something whose end is not known: it may act in it.
    #[serde(default)]
    pub half: Option<Epoch>,
    /// It had said that it is ready.
    pub ready: bool,
}

/// What an agent observes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentSaw {
    /// First observation of a life: the processes that were found running. Nothing is accepted before it was decided on.
    Awake {
        /// The processes.
        found: Vec<Found>,
        /// The role pages that an earlier life left (G7).
        #[serde(default)]
        pages: BTreeMap<ApplicationName, Page>,
    },
    /// The link to another host's agent is open, and both know whom they talk to.
    PeerJoined {
        /// Which host.
        host: HostName,
    },
    /// The link to another host's agent ended.
    PeerLeft {
        /// Which host.
        host: HostName,
    },
    /// Another host's agent asks for a vote.
    PeerAsked {
        /// Which host.
        host: HostName,
        /// What.
        ask: VoteAsk,
    },
    /// Another host's agent answered.
    PeerVoted {
        /// Which host.
        host: HostName,
        /// What.
        answer: VoteAnswer,
    },
    /// Another host's agent gave a role up for its member.
    PeerReleased {
        /// Which host.
        host: HostName,
        /// What.
        release: Release,
    },
    /// Another host's agent says what it remembers of this one.
    PeerRemembers {
        /// Which host.
        host: HostName,
        /// What.
        remembered: Remembered,
    },
    /// A control server answered a request for its vote.
    ControllerVoted {
        /// On which connection.
        link: LinkId,
        /// What.
        answer: VoteAnswer,
    },
    /// A control server answered what a member said of who has everything.
    InSyncAnswered {
        /// On which connection.
        link: LinkId,
        /// What.
        answer: InSyncAnswer,
    },
    /// The guard is there and knows everything that it was told, or it is not.
    GuardChanged {
        /// It is there.
        up: bool,
    },
    /// The guard does not take a start that runs.
    GuardRefused {
        /// Of which application.
        application: ApplicationName,
        /// Which start of it.
        start: StartId,
        /// For people.
        why: String,
    },
    /// The guard killed a member, as its time was over.
    GuardFired {
        /// Which.
        application: ApplicationName,
        /// Which start of it.
        start: StartId,
    },
    /// A control server connected and introduced itself.
    ControllerJoined {
        /// Its connection.
        link: LinkId,
        /// Its name.
        controller: ControllerName,
        /// Its leadership.
        controller_epoch: ControllerEpoch,
        /// The newest leaderships of its store, its own among them; none from earlier versions.
        lineage: Vec<LeadershipId>,
    },
    /// A connection of a control server ended.
    ControllerLeft {
        /// Which.
        link: LinkId,
    },
    /// An order came in.
    Ordered {
        /// On which connection.
        link: LinkId,
        /// What.
        order: Order,
    },
    /// A process runs.
    Spawned {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// Its process.
        pid: u32,
    },
    /// A process could not be made to run.
    SpawnFailed {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// What the system said.
        why: String,
    },
    /// A main process ended.
    Ended {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// How.
        cause: ExitCause,
        /// Whether other processes of its tree still live.
        others_live: bool,
        /// The last line that it printed, if it ended with a code that is not zero; empty if there is none.
        last_words: String,
    },
    /// The last process of a tree is gone, after `Ended` had said that others live.
    TreeGone {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
    },
    /// An application said something over its link; `Attach` is the first thing it says.
    Said {
        /// Which.
        application: ApplicationName,
        /// The start that the speaking process belongs to.
        start: StartId,
        /// What.
        said: FromApplication,
    },
    /// The application's link was closed.
    ApplicationLeft {
        /// Which.
        application: ApplicationName,
        /// The start it belonged to.
        start: StartId,
    },
    /// A run of a hook ended, and nothing of it lives.
    HookEnded {
        /// For which application.
        application: ApplicationName,
        /// Which run.
        hook: StartId,
        /// Why it did not do what it should; absent: it did.
        failed: Option<String>,
        /// The end of what it printed, without secrets; bounded.
        said: String,
    },
    /// It said something through the notify interface.
    Noticed {
        /// Which.
        application: ApplicationName,
        /// The start that the speaking process belongs to.
        start: StartId,
        /// What.
        notice: Notice,
    },
    /// Its main process is another one of its own from now on.
    MainChanged {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// The new one.
        pid: u32,
    },
    /// Its main process was seen to be stopped by a signal, or to run again.
    Looked {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// It is stopped.
        stopped: bool,
        /// When it was last seen to run.
        running: Moment,
    },
    /// What could be seen of a hung process.
    Evidence {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// For people; bounded.
        text: String,
        /// A thread of it could have run for as long as it was looked at, and got no processor.
        waits_for_core: bool,
    },
    /// Something could not be made durable; no action of that decision was done.
    StoreFailed {
        /// What.
        records: Vec<AgentRecord>,
        /// What the system said.
        why: String,
    },
    /// The host is to leave: hand over, then stop everything.
    LeaveAsked {
        /// How long each half may take.
        limit: Duration,
    },
    /// The host stays after all.
    LeaveTakenBack,
    /// A deadline may have passed.
    DeadlinePassed,
}

/// What an agent wants remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentRecord {
    /// Promise this role, to the own member or to the other one.
    Promise {
        /// Of which pair.
        pair: PairName,
        /// Which role.
        role: RoleEpoch,
        /// How long one renewal lasts; zero under `available`.
        lease: Duration,
    },
    /// The own member will never act in this epoch or a lower one again.
    Close {
        /// Of which pair.
        pair: PairName,
        /// Which epoch.
        epoch: Epoch,
    },
    /// Obey no lower controller epoch, and no other leadership of the same one.
    ControllerEpoch {
        /// The number.
        epoch: ControllerEpoch,
        /// Which leadership has it, if its control server said so.
        incarnation: Option<Incarnation>,
    },
    /// The applications of this host with their goals; replaces what was there.
    Assignments(Vec<Assignment>),
}

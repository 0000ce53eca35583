//! What an agent has done for it.
//!
//! Refuses to know how it is done. The law: what does not happen at once is begun, and its outcome observed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{
    AddpSettings, Answer, ApplicationName, ApplicationReport, ApplicationSpec, Ask, ControllerEpoch, Epoch,
    HostName, InSyncAsk, Inventory, Moment, PairPlace, Release, Remembered, RunMode, Signal, ToApplication,
    VoteAnswer, VoteAsk,
};

use super::saw::{HookRun, LinkId, StartId};
use crate::grants::holder::Page;

/// What an agent has done for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentDo {
    /// Accept a control server, and tell it everything.
    Welcome {
        /// Its connection.
        link: LinkId,
        /// Everything.
        inventory: Inventory,
    },
    /// Refuse a control server and close its connection.
    TurnAway {
        /// Its connection.
        link: LinkId,
        /// For people.
        reason: String,
        /// The highest controller epoch obeyed.
        controller_epoch: ControllerEpoch,
    },
    /// Tell every welcomed control server about one application.
    Report(ApplicationReport),
    /// Answer an order.
    Answer {
        /// On the connection that it came from.
        link: LinkId,
        /// The answer.
        answer: Answer,
    },
    /// Start a process; observe `Spawned` or `SpawnFailed`.
    Spawn(Spawn),
    /// Send a signal to the main process.
    Signal {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// Which signal.
        signal: Signal,
    },
    /// Kill every process of the tree, until none is left; observe `Ended` and `TreeGone`.
    KillTree {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
    },
    /// Run a hook; observe `HookEnded`.
    RunHook(HookRun),
    /// Hand out new options and tell the main process by this signal.
    Reload {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// Section by section.
        options: BTreeMap<String, BTreeMap<String, String>>,
        /// Which signal.
        signal: Signal,
    },
    /// Ask whether a place answers; observe `HookEnded` with the number of the probe.
    Probe {
        /// Of which application.
        application: ApplicationName,
        /// Which question.
        probe: StartId,
        /// What.
        ask: Ask,
        /// How long the answer may take.
        timeout: Duration,
    },
    /// Look from now on whether the main process is stopped; observe `Looked` at each change.
    Look {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// Within which time it must be seen; a look is due several times in it.
        limit: Duration,
    },
    /// Keep what can be seen of a hung process; observe `Evidence`.
    KeepEvidence {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
    },
    /// Say something over the application's link, if it is open.
    Say {
        /// To which application.
        application: ApplicationName,
        /// To which start of it.
        start: StartId,
        /// What.
        message: ToApplication,
    },
    /// Tell every welcomed control server that the host leaves, or that it stays after all.
    TellLeaving {
        /// It leaves.
        leaving: bool,
    },
    /// Keep a link to each of these hosts' agents, and to no other; observe `PeerJoined` and `PeerLeft`.
    KeepPeers(Vec<Peer>),
    /// Ask another host's agent for its vote; lost if the link is not open.
    AskPeer {
        /// Which host.
        host: HostName,
        /// What.
        ask: VoteAsk,
    },
    /// Ask a control server for its vote; lost if it does not speak of votes.
    AskController {
        /// Its connection.
        link: LinkId,
        /// What.
        ask: VoteAsk,
    },
    /// Tell a control server what a member says of who has everything that it acknowledged; refused by observation if that one
    /// has no words for it.
    SayInSync {
        /// Its connection.
        link: LinkId,
        /// What.
        ask: InSyncAsk,
    },
    /// Answer another host's agent.
    AnswerPeer {
        /// Which host.
        host: HostName,
        /// What.
        answer: VoteAnswer,
    },
    /// Tell another host's agent what is remembered of it.
    RemindPeer {
        /// Which host.
        host: HostName,
        /// What.
        remembered: Remembered,
    },
    /// Tell another host's agent that a role was given up.
    TellPeer {
        /// Which host.
        host: HostName,
        /// What.
        release: Release,
    },
    /// Write the role page of a member. A moment at the end of all time means that it does not run out.
    ShowPage {
        /// Which member.
        application: ApplicationName,
        /// What it says.
        page: Page,
    },
    /// The application is gone: its page says "not primary" for the last time.
    ForgetPage {
        /// Which.
        application: ApplicationName,
    },
    /// Have a guard from now on; observe `GuardChanged`.
    NeedGuard,
    /// Have the guard kill this start or hook at that moment; or at another one than it was told before. One that is not made
    /// yet is told to the guard as soon as it is.
    Guard {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
        /// When.
        kill_at: Moment,
    },
    /// The guard need not kill this start any more.
    Unguard {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: StartId,
    },
}

/// An agent that another one keeps a link to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Its host.
    pub host: HostName,
    /// Where it listens, tried in turn.
    pub addresses: Vec<String>,
    /// How the link is watched.
    pub addp: AddpSettings,
    /// How long one address may take to answer.
    pub patience: Duration,
}

/// Everything that is needed to start a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spawn {
    /// Of which application.
    pub application: ApplicationName,
    /// Which start.
    pub start: StartId,
    /// How.
    pub spec: ApplicationSpec,
    /// Its pair, if any.
    pub pair: Option<PairPlace>,
    /// What it starts as.
    pub run_mode: RunMode,
    /// In which epoch.
    pub epoch: Epoch,
    /// How often it had been restarted in a row, kept with the process for the next life of the agent.
    pub restarts: u32,
    /// It may act as soon as it runs: nothing of it runs before the guard has confirmed that it guards it.
    #[serde(default)]
    pub held: bool,
}

//! What an agent says of its host: always the whole truth of one application, never a difference, so that a report
//! can be lost, doubled or read late without harm.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, ApplicationName, ApplicationStatus, ControllerEpoch, Epoch, Goal, GrantReport, HostName,
    Incarnation, PairName, RoleEpoch, RunMode,
};

/// Everything, said once when a control server connects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Inventory {
    /// Which host this is.
    pub host: HostName,
    /// Which agent.
    pub agent: AgentId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The highest controller epoch it ever obeyed.
    pub controller_epoch: ControllerEpoch,
    /// One report for each assigned application.
    pub applications: Vec<ApplicationReport>,
}

/// One application, as its agent sees it now.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ApplicationReport {
    /// Which.
    pub application: ApplicationName,
    /// Its main process, if one runs.
    pub pid: Option<u32>,
    /// What it is.
    pub status: ApplicationStatus,
    /// What its agent was told that it should be.
    pub goal: Goal,
    /// What it last confirmed to be.
    pub run_mode: RunMode,
    /// Why it is not ready, or what is wrong; empty if nothing is.
    pub problem: String,
    /// Starts after the first one that the agent made by itself since it was last asked to start it.
    pub restarts: u32,
    /// The restart limit was reached; only an operator's start helps.
    pub gave_up: bool,
    /// How it last ended.
    pub last_exit: Option<LastExit>,
    /// Its part in its pair; absent for a single application.
    pub role: Option<RoleReport>,
}

/// The durable side of a member's role, and what it acts as.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoleReport {
    /// Of which pair.
    pub pair: PairName,
    /// What this agent promised, durable.
    pub promised: Option<RoleEpoch>,
    /// The highest epoch that this agent gave up for its own member, durable. A release of every epoch at or below it.
    pub closed: Epoch,
    /// The role in which the member acts, or may act because it was told to and has not answered.
    pub acting: Option<RoleEpoch>,
    /// Under `strict`: how the agent's vote stands.
    #[serde(default)]
    pub strict: Option<GrantReport>,
}

/// How and when a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LastExit {
    /// How.
    pub cause: ExitCause,
    /// Whether its agent wanted it to end.
    pub wanted: bool,
    /// How long it had run, in milliseconds.
    pub ran_ms: u64,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitCause {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It never ran: what the system said.
    NotStarted(String),
    /// It ended while its agent was not its parent, and the system does not tell.
    Unknown,
}

impl fmt::Display for ExitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitCause::Code(code) => write!(f, "exit code {code}"),
            ExitCause::Signal(9) => write!(f, "signal 9 (KILL)"),
            ExitCause::Signal(11) => write!(f, "signal 11 (SEGV)"),
            ExitCause::Signal(15) => write!(f, "signal 15 (TERM)"),
            ExitCause::Signal(number) => write!(f, "signal {number}"),
            ExitCause::NotStarted(why) => write!(f, "not started: {why}"),
            ExitCause::Unknown => write!(f, "ended, how is not known"),
        }
    }
}

//! What operators see of the machine: plain values, made anew for each question, that know nothing of JSON layouts.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{
    ApplicationName, ApplicationStatus, Because, ControllerEpoch, ControllerName, Epoch, Goal, HostName,
    HostStatus, InSync, LastExit, Moment, Nearly, OperationId, PairName, Policy, Redundancy, RoleEpoch,
    RunMode,
};

use super::MaintenanceOf;

/// Everything at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterView {
    /// For people.
    pub cluster: String,
    /// Counts accepted configurations of this leadership, from 1.
    pub revision: u64,
    /// Who leads, and under which leadership.
    pub controller: Option<(ControllerName, ControllerEpoch)>,
    /// In the order of their names.
    pub hosts: Vec<HostState>,
    /// In the order of their names.
    pub applications: Vec<ApplicationState>,
    /// In the order of their names.
    pub pairs: Vec<PairView>,
    /// Operations of this leadership, oldest first, a bounded number.
    pub operations: Vec<OperationView>,
    /// What is under maintenance.
    pub maintenance: Vec<MaintenanceOf>,
    /// What is wrong or at risk, and what to do, most urgent first.
    pub warnings: Vec<String>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostState {
    /// Its name.
    pub name: HostName,
    /// The first configured address.
    pub address: String,
    /// What it is.
    pub status: HostStatus,
    /// Since when.
    pub since: Moment,
    /// When its agent last said anything.
    pub heard: Option<Moment>,
    /// Why it is not running; empty if it is.
    pub problem: String,
    /// Whether everything primary on it could be taken over now if it were lost.
    pub loss_survivable: bool,
    /// Nothing on it is promoted, as an operator asked.
    pub drained: bool,
    /// What acts there has a long lease, as an operator asked: for how long, and what a loss of it costs meanwhile.
    #[serde(default)]
    pub held: Option<String>,
    /// Why not, one reason each; empty if it could.
    pub loss_risks: Vec<String>,
    /// Applications without a pair that should run there: nobody takes them over.
    #[serde(default)]
    pub only_here: Vec<ApplicationName>,
    /// What agents found of its clock and others that ran apart; empty if nothing is doubted.
    #[serde(default)]
    pub clock_doubts: Vec<String>,
}

/// One application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationState {
    /// Its name.
    pub name: ApplicationName,
    /// Where it runs.
    pub host: HostName,
    /// Its pair.
    pub pair: Option<PairName>,
    /// Its main process.
    pub pid: Option<u32>,
    /// What it is.
    pub status: ApplicationStatus,
    /// What it should be.
    pub goal: Goal,
    /// What it confirmed to be.
    pub run_mode: RunMode,
    /// Its role epoch, if it is a member and acts.
    pub epoch: Option<Epoch>,
    /// Restarts in a row.
    pub restarts: u32,
    /// The agent gave up.
    pub gave_up: bool,
    /// Under maintenance, itself or by its host or pair.
    pub hands_off: bool,
    /// The accepted settings that wait for its next start, as its process was started with others; as far as this leadership
    /// knows.
    #[serde(default)]
    pub restart_pending: Vec<String>,
    /// What is wrong; empty if nothing is.
    pub problem: String,
    /// How it last ended.
    pub last_exit: Option<LastExit>,
    /// When its status or run mode last changed.
    pub since: Moment,
    /// It is as this leadership found it: `since` is when that was, not when it became so.
    #[serde(default)]
    pub as_found: bool,
}

/// One pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairView {
    /// Its name.
    pub name: PairName,
    /// Warm or hot.
    pub redundancy: Redundancy,
    /// What is promised about two primaries.
    pub policy: Policy,
    /// Who is primary; nobody is known to be if absent.
    pub primary: Option<ApplicationName>,
    /// It said so, and its agent is heard. If not, it holds the role, may act, and is assumed to.
    pub primary_heard: bool,
    /// The other member; the configured backup if nobody is primary.
    pub backup: ApplicationName,
    /// The role that the store holds.
    pub stored: Option<RoleEpoch>,
    /// The state of the pair's machine, in a word.
    pub state: String,
    /// Since when.
    pub since: Moment,
    /// Its primary is the one that this leadership found: `since` is when that was, not when it became primary.
    #[serde(default)]
    pub as_found: bool,
    /// The backup could take over now.
    pub ready: bool,
    /// Why it could not.
    pub not_ready_because: Vec<String>,
    /// Both members are known to act.
    pub two_act: bool,
    /// A member that cannot be heard may act beside the primary: the other was promoted while that was not excluded.
    pub second_may_act: bool,
    /// How often in this leadership two members were found acting after the loss of a host.
    pub two_acted: u32,
    /// Why automatic changes of roles are held; absent if they are not.
    pub held_because: Option<String>,
    /// Under `strict`: what this control server has promised; absent under `available`, and if nothing was ever promised.
    #[serde(default)]
    pub promise: Option<PromiseView>,
    /// The primary cannot be heard here, and this member's agent renews it.
    #[serde(default)]
    pub alive_through: Option<ApplicationName>,
    /// With `keep-data`: who has everything that was acknowledged.
    #[serde(default)]
    pub in_sync: Option<InSync>,
    /// Nobody is primary, and this is why the member that could be otherwise is not promoted: it lacks what was acknowledged.
    #[serde(default)]
    pub waits_for_data: Option<String>,
    /// Votes that were given in this leadership.
    #[serde(default)]
    pub votes_given: u64,
    /// Votes that were refused in this leadership.
    #[serde(default)]
    pub votes_refused: u64,
    /// Why the pair is as it is: the last decision.
    pub because: Option<Because>,
    /// What the rules would say now: the one that holds, and by how much the others miss.
    pub considered: Because,
    /// Why nobody takes over at this moment although the roles are not at rest: the rule that holds it back, and what it
    /// waits for. Absent if nothing is waited for.
    #[serde(default)]
    pub held_back: Option<Nearly>,
}

/// A control server's promise of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromiseView {
    /// To whom, in which epoch.
    pub role: RoleEpoch,
    /// For how long it binds, if the holder is not renewed; nothing if it is over.
    pub left: Option<Duration>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationView {
    /// Its number.
    pub id: OperationId,
    /// `switchover`, `start`, `stop`, `restart`, `drain`, `rolling restart`, `failover`.
    pub kind: String,
    /// Pair or application.
    pub subject: String,
    /// Who asked.
    pub actor: String,
    /// Why, if they said.
    #[serde(default)]
    pub reason: Option<String>,
    /// Where it is.
    pub state: OperationState,
    /// The steps so far, in order: when, after the beginning, and what.
    pub steps: Vec<(Duration, String)>,
    /// When it began.
    pub began: Moment,
    /// When it ended.
    pub ended: Option<Moment>,
}

/// Where an operation is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Not ended.
    Running,
    /// As asked.
    Done,
    /// Not as asked: which step failed and why, and what is so instead.
    Failed(String),
    /// It cannot be known yet what became of it.
    Unknown(String),
    /// It is taken down and not done yet: whose agent is waited for, and how it is taken back. Nothing more is told of it.
    Pending(String),
}

//! The parts of the server's answers that people are shown. Fields that a server does not send are empty, and
//! fields that this version does not know are left out here; `-o json` prints the answer untouched.
//!
//! It knows no wording and no layout. The law: an older or newer server never makes this program fail for one field.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// Reads the part of an answer that is shown.
pub fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(|error| {
        Failure::new(Exit::Failed, format!("the server's answer has another form than expected: {error}"))
            .try_next("the same command with -o json; scsctl version")
    })
}

/// The whole cluster.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    pub cluster: ClusterName,
    pub revision: u64,
    pub controllers: Vec<Controller>,
    pub hosts: Vec<Host>,
    pub applications: Vec<Application>,
    pub pairs: Vec<Pair>,
    pub operations: Vec<Operation>,
    pub maintenance: Vec<String>,
    pub warnings: Vec<String>,
    /// What is not as it should be now; a warning may also be about a risk.
    pub wrong: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ClusterName {
    pub name: String,
    pub id: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Controller {
    pub name: String,
    pub leading: bool,
    pub epoch: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Host {
    pub name: String,
    pub address: String,
    pub status: String,
    pub heard_ms_ago: Option<u64>,
    pub loss_survivable: bool,
    pub loss_risks: Vec<String>,
    /// Applications that would be gone with it, as they are in no pair.
    pub only_here: Vec<String>,
    pub clock_doubts: Vec<String>,
    pub drained: bool,
    pub held: Option<String>,
    pub since: Option<String>,
    pub problem: String,
    pub applications: Vec<Application>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Application {
    pub name: String,
    pub host: String,
    pub pair: Option<String>,
    pub pid: Option<u32>,
    pub status: String,
    pub goal: String,
    pub run_mode: String,
    pub epoch: Option<u64>,
    pub restarts: u32,
    pub gave_up: bool,
    pub hands_off: bool,
    /// Accepted settings that wait for its next start.
    pub restart_pending: Vec<String>,
    pub since: Option<String>,
    pub problem: String,
    pub last_exit: Option<LastExit>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LastExit {
    pub text: String,
    pub wanted: bool,
    pub ran_ms: u64,
    /// When; absent: not known, or not asked for.
    pub at: Option<String>,
    /// What it was killed for, if it was.
    pub killed_because: Option<Killed>,
}

/// What a process was killed for by its agent or its guard.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Killed {
    pub rule: String,
    pub reason: String,
    pub event: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pair {
    pub name: String,
    pub redundancy: String,
    pub policy: String,
    /// What the policy promises and gives up; empty: the server does not say.
    pub policy_means: String,
    pub primary: Option<String>,
    /// Absent: the server does not say.
    pub primary_heard: Option<bool>,
    pub backup: String,
    pub epoch: u64,
    pub state: String,
    pub since: Option<String>,
    pub ready: bool,
    pub not_ready_because: Vec<String>,
    pub held_because: Option<String>,
    /// The primary cannot be heard by the control server; this member's agent renews it.
    pub alive_through: Option<String>,
    /// Who has everything that was acknowledged; absent: the pair does not keep its data, or the server does not say.
    pub in_sync: Option<Vec<String>>,
    /// Whoever is not named there is out since this epoch.
    pub in_sync_since: Option<u64>,
    /// Why nobody is primary, if that is for want of data.
    pub waits_for_data: Option<String>,
    pub because: Option<Reason>,
    pub considered: Option<Reason>,
    pub members: Vec<Application>,
}

/// A rule that fired, or would.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reason {
    pub rule: String,
    pub says: String,
    pub reason: String,
    pub because: Vec<Fact>,
    pub nearly: Vec<Nearly>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Fact {
    pub what: String,
    pub is: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Nearly {
    pub rule: String,
    pub missed: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    pub id: u64,
    pub at: String,
    pub kind: String,
    pub severity: String,
    pub host: Option<String>,
    pub application: Option<String>,
    pub pair: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub epoch: Option<u64>,
    pub actor: Option<String>,
    #[serde(flatten)]
    pub reason: Reason,
}

/// What a replay found.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Replayed {
    pub same: bool,
    pub leaderships: Vec<ReplayedLeadership>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ReplayedLeadership {
    pub controller: String,
    pub epoch: u64,
    pub version: String,
    pub began: String,
    pub steps: u64,
    pub decisions: u64,
    pub difference: Option<Difference>,
    pub stopped: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Difference {
    pub step: u64,
    pub at: String,
    pub saw: String,
    pub recorded: Option<String>,
    pub replayed: Option<String>,
}

/// What would happen.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Foreseen {
    pub supposed: String,
    pub assumed: Vec<String>,
    pub steps: Vec<Foresight>,
    pub pairs: Vec<ForeseenPair>,
    pub warnings: Vec<String>,
    pub looked_ahead_ms: f64,
    pub cut_short: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Foresight {
    pub after_ms: f64,
    pub who: String,
    pub host: Option<String>,
    pub application: Option<String>,
    pub pair: Option<String>,
    pub severity: String,
    pub what: String,
    pub because: Option<Reason>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ForeseenPair {
    pub name: String,
    pub policy: String,
    pub primary_now: Option<String>,
    pub primary_then: Option<String>,
    pub changed_after_ms: Option<f64>,
    pub two_may_act: bool,
    pub holds: Vec<String>,
    pub because: Reason,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Operation {
    pub id: u64,
    pub kind: String,
    pub subject: String,
    pub actor: String,
    /// Why it was asked for, if that was said.
    pub reason: Option<String>,
    pub state: String,
    pub why: Option<String>,
    pub steps: Vec<Step>,
    pub began: Option<String>,
    pub took_ms: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    pub after_ms: f64,
    pub what: String,
}

/// What a request for something to be done is answered with: exactly one of the three is there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Begun {
    pub operation: Option<Operation>,
    pub done: Option<String>,
    pub plan: Option<Plan>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Plan {
    pub checks: Vec<Check>,
    pub steps: Vec<String>,
    /// What a failover by force would give up; sent with the order as it came.
    pub given_up: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Check {
    pub what: String,
    pub ok: bool,
    pub found: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Why {
    pub name: String,
    pub kind: String,
    pub now: String,
    pub considered: Option<Reason>,
    pub because: Option<Reason>,
    /// The event that told of the last decision, and when it was.
    pub decided_event: Option<i64>,
    pub decided_at: Option<String>,
    /// Why nobody takes over now although the roles are not at rest.
    pub held_back: Option<Nearly>,
    pub events: Vec<Event>,
    pub event: Option<Event>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Hosts {
    pub hosts: Vec<Host>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Applications {
    pub applications: Vec<Application>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pairs {
    pub pairs: Vec<Pair>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Operations {
    pub operations: Vec<Operation>,
}

/// All tokens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Tokens {
    pub tokens: Vec<Token>,
}

/// One token, without what opens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Token {
    pub name: String,
    pub role: String,
    pub made_by: String,
    pub made: String,
    pub expires: Option<String>,
    pub expired: bool,
    pub last_used: Option<String>,
}

/// A piece of an application's output.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LogPiece {
    pub text: String,
    pub missing: bool,
    pub problem: Option<String>,
}

//! What an operator configured, checked: hosts, applications, pairs. Raw settings become these values in `settings`;
//! nothing here can hold a name that does not exist, except by being built by hand in a test.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    AddpSettings, ApplicationName, ClusterId, ConductSpec, HostName, Interface, ListeningMode, OnCrash,
    PairName, Policy, ProcessSpec, Redundancy, RestartPolicy, Signal, Terms, Timers,
};

/// A whole cluster, as one checked value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cluster {
    /// For people.
    pub name: String,
    /// For machines; absent until `pki init` exists for this cluster.
    pub id: Option<ClusterId>,
    /// The machines with agents.
    pub hosts: BTreeMap<HostName, HostSpec>,
    /// The supervised programs.
    pub applications: BTreeMap<ApplicationName, ApplicationSpec>,
    /// The redundant pairs.
    pub pairs: BTreeMap<PairName, PairSpec>,
}

impl Cluster {
    /// The pair that `application` is a member of, if any.
    pub fn pair_of(&self, application: &ApplicationName) -> Option<(&PairName, &PairSpec)> {
        self.pairs.iter().find(|(_, pair)| pair.member_of(application).is_some())
    }
}

/// One machine with an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostSpec {
    /// Where its agent listens, tried in turn: `ADDRESS:PORT`, or `unix:/PATH`.
    pub addresses: Vec<String>,
    /// How the control server and the agent watch their link.
    pub addp: AddpSettings,
    /// What switches it off, if anything can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<FenceSpec>,
}

/// A command that switches a machine off, run where the control server runs. Exit code 0 means: the machine is off.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FenceSpec {
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// The longest that it may take; above zero. A command that takes longer has failed: the machine may be on.
    pub timeout: Duration,
}

impl FenceSpec {
    /// How long it may take if the settings do not say.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
}

/// One supervised program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ApplicationSpec {
    /// Where it runs.
    pub host: HostName,
    /// A free word for people (`t-server`).
    pub kind: String,
    /// How it talks to its agent.
    pub interface: Interface,
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Where it starts; made if missing. Absent: the agent's own state directory for it.
    pub working_directory: Option<String>,
    /// Variables beyond the ones that the agent sets.
    pub environment: BTreeMap<String, String>,
    /// First signal of a stop. Absent: TERM.
    pub stop_signal: Signal,
    /// When to start it again after it ended by itself.
    pub restart: RestartPolicy,
    /// Exit codes that count as success.
    pub success_codes: Vec<i32>,
    /// Wait before the second and later restarts in a row; doubled each time up to [`LONGEST_RESTART_DELAY`].
    pub restart_delay: Duration,
    /// Restarts that are tried in a row after a start that failed, before the agent gives up and says so.
    pub restart_limit: u32,
    /// From start to ready.
    pub startup_timeout: Duration,
    /// From the first signal to KILL.
    pub shutdown_timeout: Duration,
    /// Started as soon as its agent is known to the control server.
    pub autostart: bool,
    /// Where it listens.
    pub ports: Vec<PortSpec>,
    /// Handed to the application as JSON, section by section, as configured.
    pub options: BTreeMap<String, BTreeMap<String, String>>,
    /// How its process is made, bounded and heard.
    #[serde(default, skip_serializing_if = "ProcessSpec::is_default")]
    pub process: ProcessSpec,
    /// What it is told by commands and signals, and what its silence means.
    #[serde(default)]
    pub conduct: ConductSpec,
}

/// A restart never waits longer than this, whatever the settings say.
pub const LONGEST_RESTART_DELAY: Duration = Duration::from_secs(60);

/// One listening port of an application.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortSpec {
    /// `default`, `ha`, ...; unique within the application.
    pub id: String,
    /// TCP port, 1 to 65535.
    pub port: u16,
    /// TLS or not.
    pub listening_mode: ListeningMode,
    /// The backup connects here for state copying.
    pub ha_sync: bool,
}

/// A redundant pair.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PairSpec {
    /// Primary at the very first start.
    pub primary: ApplicationName,
    /// The other member.
    pub backup: ApplicationName,
    /// Warm or hot.
    pub redundancy: Redundancy,
    /// What is preferred when it cannot be known whether the primary still acts.
    pub policy: Policy,
    /// What follows a crash of the primary.
    pub on_crash: OnCrash,
    /// Nobody is promoted who lacks what was acknowledged (G14).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_data: bool,
    /// The timers of this pair.
    pub timers: Timers,
}

/// Which of the two configured places a member has. Says nothing of who is primary now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Member {
    /// The configured primary.
    First,
    /// The configured backup.
    Second,
}

impl Member {
    /// Both, in order.
    pub const BOTH: [Member; 2] = [Member::First, Member::Second];

    /// The other one.
    pub fn other(self) -> Member {
        match self {
            Member::First => Member::Second,
            Member::Second => Member::First,
        }
    }
}

impl PairSpec {
    /// The application in that place.
    pub fn application(&self, member: Member) -> &ApplicationName {
        match member {
            Member::First => &self.primary,
            Member::Second => &self.backup,
        }
    }

    /// The spans of this pair's grants.
    pub fn terms(&self) -> Terms {
        self.timers.terms()
    }

    /// The place of that application, if it is a member.
    pub fn member_of(&self, application: &ApplicationName) -> Option<Member> {
        Member::BOTH.into_iter().find(|member| self.application(*member) == application)
    }
}

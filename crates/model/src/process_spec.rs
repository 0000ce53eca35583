//! How a supervised process is made, bounded and heard: its user, its limits, its surroundings, its output.
//!
//! Knows no system calls and no accounts. The law: every field has a default that an older peer, which does not send
//! it, means as well.

use serde::{Deserialize, Serialize};

use crate::{ApplicationName, OutputKind};

/// Everything about the making of a process beyond its command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessSpec {
    /// Name or number of its user. Absent: the agent's own.
    pub user: Option<String>,
    /// Name or number of its group. Absent: the user's own.
    pub group: Option<String>,
    /// Further groups, in place of those that the system's lists give the user. Empty: those of the lists.
    pub groups: Vec<String>,
    /// Mode bits that new files lack, at most `0o777`. Absent: `0o022`.
    pub umask: Option<u32>,
    /// What it may use; absent limits have the defaults that the settings reference lists.
    pub limits: ProcessLimits,
    /// Priority, -20 (first) to 19 (last). Absent: 0.
    pub nice: Option<i32>,
    /// How readily it is killed when memory runs out, -1000 (never) to 1000. Absent: 0.
    pub oom_score_adjust: Option<i32>,
    /// A file with further variables, read at each start.
    pub environment_file: Option<EnvironmentFile>,
    /// Most memory, in bytes. Needs control groups of the second version.
    pub memory_max_bytes: Option<u64>,
    /// Most processor time, in percent of one processor. Needs control groups of the second version.
    pub cpu_max_percent: Option<u32>,
    /// Most processes and threads. Needs control groups of the second version.
    pub pids_max: Option<u64>,
    /// Where its output goes. Absent: the journal where there is one, else a file.
    pub output: Option<OutputKind>,
    /// A log file is rotated when it is longer, in bytes.
    pub output_limit_bytes: Option<u64>,
    /// How many old log files are kept.
    pub output_keep: Option<u32>,
    /// Applications of the same host that start first.
    pub after: Vec<ApplicationName>,
}

/// Limits of a process. Each is both the soft and the hard one; [`u64::MAX`] is "no limit".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessLimits {
    /// Open files.
    pub nofile: Option<u64>,
    /// Size of a core file, in bytes.
    pub core_bytes: Option<u64>,
    /// Locked memory, in bytes.
    pub memlock_bytes: Option<u64>,
    /// Processes and threads of its user.
    pub nproc: Option<u64>,
}

/// A file with variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnvironmentFile {
    /// Where it is; absolute.
    pub path: String,
    /// It need not be there.
    pub optional: bool,
}

impl ProcessSpec {
    /// A log file is rotated when it is longer, unless settings say otherwise, in bytes.
    pub const OUTPUT_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
    /// Old log files that are kept, unless settings say otherwise.
    pub const OUTPUT_KEEP: u32 = 4;

    /// True if nothing was configured.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

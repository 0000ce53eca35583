//! What a managed application and its agent say to one another over the application link.

use serde::{Deserialize, Serialize};

use crate::{ApplicationName, Epoch, InSyncWish, Readiness, RunMode};

/// Said by the application (through the library).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromApplication {
    /// First message of every connection, also after the agent was restarted: who it is and what it is right now.
    Attach {
        /// Its name, from the environment.
        application: ApplicationName,
        /// Its process; the agent believes the socket's credentials, not this.
        pid: u32,
        /// What it acts as.
        run_mode: RunMode,
        /// In which epoch.
        epoch: Epoch,
        /// Whether it can serve.
        readiness: Readiness,
        /// It was asked to suspend and has finished what it had.
        suspended: bool,
        /// It answers [`ToApplication::Ping`]; a library that does not is not judged by its silence.
        heartbeat: bool,
    },
    /// It can serve, or not.
    Readiness(Readiness),
    /// It now is what it was told to be. For `Primary`: it may serve from now; for `Backup`: it serves no more.
    RunModeDone {
        /// What.
        run_mode: RunMode,
        /// In which epoch.
        epoch: Epoch,
    },
    /// It will not be what it was told to be, and stays a backup.
    RunModeRefused {
        /// What was asked.
        run_mode: RunMode,
        /// In which epoch.
        epoch: Epoch,
        /// For people.
        reason: String,
    },
    /// It has finished what it had, after `Suspend`.
    Suspended,
    /// It lives: the answer to `Ping`, with its number.
    Pong(u64),
    /// Asks whether another voter stands behind its role now; `Confirmed` repeats the number.
    Confirm(u64),
    /// Says who has everything that was acknowledged; `InSyncDone` repeats the number.
    InSync {
        /// Rises with every such word of this process.
        number: u64,
        /// In which epoch it acts.
        epoch: Epoch,
        /// What is to be recorded.
        wish: InSyncWish,
    },
}

/// Said by the agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToApplication {
    /// First answer: this connection is the application's link from now on.
    Attached,
    /// Not accepted; the agent closes the connection.
    AttachRefused(String),
    /// Be this from now on, and say so.
    SetRunMode {
        /// What.
        run_mode: RunMode,
        /// In which epoch: the fencing token.
        epoch: Epoch,
    },
    /// Refuse new work, finish what you have, say `Suspended`.
    Suspend,
    /// Say `Pong` with this number; only said to those that announced it.
    Ping(u64),
    /// The answer to `Confirm`.
    Confirmed {
        /// Of the question.
        number: u64,
        /// In which epoch another voter has just renewed its role; none if nobody did.
        epoch: Option<Epoch>,
    },
    /// The answer to `InSync`.
    InSyncDone {
        /// Of the word.
        number: u64,
        /// Why it is not so, or why nobody can know, for people. Absent: it is durable.
        refused: Option<String>,
    },
}

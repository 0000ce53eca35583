//! How a program that does not use the library takes part: what it is told by commands and signals, and what its silence
//! means.
//!
//! Knows no processes. The law: everything has a default that means "not used", so that an old peer that does not send
//! it changes nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Signal;

/// How long a hook may take if its settings do not say.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// The whole conduct of one application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ConductSpec {
    /// Commands at a start and at a change of role.
    pub hooks: HooksSpec,
    /// Tells it to be primary; believed as soon as it is delivered.
    pub promote_signal: Option<Signal>,
    /// Tells it to be a backup; believed as soon as it is delivered.
    pub demote_signal: Option<Signal>,
    /// Tells it to read its options again.
    pub reload_signal: Option<Signal>,
    /// Run in place of the stop signal; empty: the signal.
    pub stop_command: Vec<String>,
    /// Run to its end before each start; empty: nothing.
    pub start_before: Vec<String>,
    /// It says at least this often that it is alive (`notify`). Absent: it need not.
    pub watchdog: Option<Duration>,
    /// How long it may show no life before it is killed. Absent: nothing is judged.
    pub hang_limit: Option<Duration>,
    /// A question that it must answer.
    pub probe: Option<ProbeSpec>,
}

/// Commands at a start and at a change of role; an empty list is no hook.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HooksSpec {
    /// Before each start, after `start-before`.
    pub on_start: Vec<String>,
    /// It shall be primary.
    pub on_promote: Vec<String>,
    /// It shall be primary no more.
    pub on_demote: Vec<String>,
    /// Whom hooks run as. Absent: the application's user.
    pub user: Option<String>,
    /// The longest that one may take; above zero.
    pub timeout: Duration,
}

impl Default for HooksSpec {
    fn default() -> Self {
        let none = Vec::new;
        Self { on_start: none(), on_promote: none(), on_demote: none(), user: None, timeout: HOOK_TIMEOUT }
    }
}

/// A question that is asked again and again while the application runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProbeSpec {
    /// What is asked.
    pub ask: Ask,
    /// From one question to the next.
    pub interval: Duration,
    /// The longest that an answer may take.
    pub timeout: Duration,
    /// So many failures in a row count as a hang; at least 1.
    pub failures: u32,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// A command that must end with code 0.
    Exec(Vec<String>),
    /// `ADDRESS:PORT` that must accept a connection.
    Tcp(String),
    /// `http://ADDRESS:PORT/PATH` that must answer with a status from 200 to 399.
    Http(String),
}

/// How a program without the library is told what it shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling<'a> {
    /// By this command, which says by its exit code whether it is so.
    Command(&'a [String]),
    /// By this signal.
    Signal(Signal),
    /// Not at all: it is stopped and started anew.
    Restart,
}

impl ConductSpec {
    /// How it is told to be primary.
    pub fn promotes(&self) -> Telling<'_> {
        telling(&self.hooks.on_promote, self.promote_signal)
    }

    /// How it is told to be a backup.
    pub fn demotes(&self) -> Telling<'_> {
        telling(&self.hooks.on_demote, self.demote_signal)
    }
}

fn telling(command: &[String], signal: Option<Signal>) -> Telling<'_> {
    match signal {
        _ if !command.is_empty() => Telling::Command(command),
        Some(signal) => Telling::Signal(signal),
        None => Telling::Restart,
    }
}

//! What a program says in one datagram of the notify interface.
//!
//! Knows no bytes. The law: a word that is not known, or whose value makes no sense, is not there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One datagram; everything in it is said at the same moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Notice {
    /// `READY=1`: it can serve, or has read its settings again.
    pub ready: bool,
    /// `RELOADING=1`: it reads its settings again and says `READY=1` when it has.
    pub reloading: bool,
    /// `STOPPING=1`: it ends by itself.
    pub stopping: bool,
    /// `STATUS=`: for people; one clean line, bounded.
    pub status: Option<String>,
    /// `WATCHDOG=1` or `WATCHDOG=trigger`.
    pub watchdog: Option<Watchdog>,
    /// `WATCHDOG_USEC=`: from now on it says so at least this often; above zero.
    pub watchdog_every: Option<Duration>,
    /// `MAINPID=`: this is its main process.
    pub main_pid: Option<u32>,
    /// `EXTEND_TIMEOUT_USEC=`: what it does now may take this much longer.
    pub extend_by: Option<Duration>,
    /// `ERRNO=` or `EXIT_STATUS=`: how its work went, as it wrote it; bounded.
    pub result: Option<String>,
}

/// What is said to a watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watchdog {
    /// It lives.
    Alive,
    /// It found itself broken, and wants to be dealt with as hung.
    Broken,
}

impl Notice {
    /// It says nothing but that it lives.
    pub fn is_heartbeat(&self) -> bool {
        *self == Notice { watchdog: Some(Watchdog::Alive), ..Notice::default() }
    }

    /// It says nothing that is known.
    pub fn is_empty(&self) -> bool {
        *self == Notice::default()
    }
}

//! What is said about clocks: a reading that travels with an answer, and what a comparison of two clocks has proven.
//!
//! Refuses to know how clocks are compared. The law: a reading is never part of a lease; it is only held against other
//! readings of the same clock (assumption A1 of `docs/safety.md`).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ControllerName, HostName, Moment};

/// What a clock showed, said by its machine between hearing a question and answering it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClockReading {
    /// Which clock.
    pub clock: crate::ClockId,
    /// What it showed.
    pub at: Moment,
}

/// A clock that an agent compares its own with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherClock {
    /// That of the other host of a pair.
    Host(HostName),
    /// That of a control server's machine.
    Controller(ControllerName),
}

impl fmt::Display for OtherClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OtherClock::Host(host) => write!(f, "host {host}"),
            OtherClock::Controller(name) => write!(f, "control server {name}"),
        }
    }
}

/// One of two clocks, as seen by the agent that compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhichClock {
    /// The agent's own.
    Own,
    /// The one that it is compared with.
    Other,
}

/// How one clock fell behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lapse {
    /// Between two answers, when it had kept up before: it stood still, was set back, or the other one leapt ahead.
    AtOnce,
    /// Over several answers: it runs slower than the other by more than is allowed.
    BitByBit,
}

/// A proof that two clocks did not run within the allowed drift of one another. Every bound is certain, whatever was late.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClockDoubt {
    /// What the agent's own clock was compared with.
    pub other: OtherClock,
    /// Which of both fell behind.
    pub behind: WhichClock,
    /// How.
    pub lapse: Lapse,
    /// What the own clock advanced at least, meanwhile.
    pub own_least: Duration,
    /// What the own clock advanced at most, meanwhile.
    pub own_most: Duration,
    /// What the other clock advanced, in nanoseconds; negative if it went back.
    pub other_ns: i64,
    /// What was allowed, in parts per million.
    pub drift_ppm: u32,
    /// Which of both is the wrong one, if a third clock says so: two clocks cannot tell.
    pub wrong: Option<WhichClock>,
}

impl ClockDoubt {
    /// For people, as told of the agent of `host`.
    pub fn text(&self, host: &HostName) -> String {
        let Self { other, own_least, own_most, other_ns, drift_ppm, .. } = self;
        let how = match self.lapse {
            Lapse::AtOnce => "at once",
            Lapse::BitByBit => "bit by bit",
        };
        let fell = match self.behind {
            WhichClock::Own => format!("that of host {host} fell behind that of {other}"),
            WhichClock::Other => format!("that of {other} fell behind that of host {host}"),
        };
        let wrong = match self.wrong {
            None => "two clocks cannot tell which of them is wrong".to_owned(),
            Some(WhichClock::Own) => format!("a third clock says that it is host {host}'s that is wrong"),
            Some(WhichClock::Other) => format!("a third clock says that it is that of {other} that is wrong"),
        };
        format!(
            "two clocks run apart by more than {drift_ppm} ppm: {fell} {how}; while that of {other} advanced {:.3} s, that \
             of host {host} advanced {:.3} to {:.3} s; {wrong}",
            *other_ns as f64 / 1e9,
            own_least.as_secs_f64(),
            own_most.as_secs_f64(),
        )
    }
}

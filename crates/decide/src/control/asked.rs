//! Who asked for what lasts, since when and why: goals, drained hosts, maintenance; and who asked for what is under way.
//!
//! Nothing is decided by it, and it is stored nowhere but in the journal, from which the next leadership reads it. The law: where it is not
//! known who asked, nobody is named.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{ApplicationName, Because, HostName, Moment, OperationId};

use super::operations::Asker;
use super::state::Pair;
use super::{Control, MaintenanceOf};

/// What an operator asked for that lasts until somebody asks for the opposite.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AskedOf {
    /// What an application should be.
    Goal(ApplicationName),
    /// That a host is drained.
    Drain(HostName),
    /// That maintenance is on.
    Maintenance(MaintenanceOf),
}

impl fmt::Display for AskedOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskedOf::Goal(name) => write!(f, "goal of {name}"),
            AskedOf::Drain(host) => write!(f, "drain of {host}"),
            AskedOf::Maintenance(of) => write!(f, "maintenance of {of}"),
        }
    }
}

/// Who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AskedBy {
    /// Who.
    pub actor: String,
    /// When; absent: before this boot.
    pub at: Option<Moment>,
    /// Why, if they said.
    pub reason: Option<String>,
}

impl AskedBy {
    /// `5 min ago (a new disk)`, with a space before each part that is known.
    fn when_and_why(&self, now: Moment) -> String {
        let ago = self.at.map(|at| format!(" {} ago", words(now.since(at)))).unwrap_or_default();
        format!("{ago}{}", in_brackets(self.reason.as_ref()))
    }
}

/// Of everything that lasts, who asked for it, by what [`AskedOf`] shows as.
pub type AllAsked = BTreeMap<String, AskedBy>;

impl Control {
    /// Keeps in mind who asked.
    pub(super) fn note_asked(&mut self, of: AskedOf, asker: &Asker) {
        let by = AskedBy { actor: asker.actor.clone(), at: Some(asker.now), reason: asker.reason.clone() };
        self.memory.asked.insert(of.to_string(), by);
    }

    /// `root stopped it 5 min ago (a new disk)`, or the same without a name where none is known.
    pub(super) fn who_asked(&self, now: Moment, of: &AskedOf, verb: &str, unknown: &str) -> String {
        match self.memory.asked.get(&of.to_string()) {
            Some(by) => format!("{} {verb}{}", by.actor, by.when_and_why(now)),
            None => unknown.to_owned(),
        }
    }

    /// Who said what an application should be, and why.
    pub(super) fn goal_asked_by(&self, name: &ApplicationName) -> Option<String> {
        let by = self.memory.asked.get(&AskedOf::Goal(name.clone()).to_string())?;
        Some(format!("{}{}", by.actor, in_brackets(by.reason.as_ref())))
    }

    /// That maintenance is on, who switched it on, what that means, and how it is switched off.
    pub(super) fn maintained(&self, now: Moment, of: &MaintenanceOf, means: &str) -> String {
        let by = self.by(now, &AskedOf::Maintenance(of.clone()));
        format!("maintenance of {of} is on{by}{means}; run: scsctl maintenance off {}", of.name())
    }

    /// That a host is drained, by whom, what that means, and how it is given back.
    pub(super) fn drained_told(&self, now: Moment, host: &HostName, means: &str) -> String {
        if !self.memory.drained.contains(host) {
            return format!("host {host} is being drained{means}");
        }
        let by = self.by(now, &AskedOf::Drain(host.clone()));
        format!("host {host} is drained{by}{means}; run: scsctl drain {host} --return")
    }

    /// `, asked by root 5 min ago (a new disk)`; empty where it is not known.
    fn by(&self, now: Moment, of: &AskedOf) -> String {
        let by = self.memory.asked.get(&of.to_string());
        by.map(|by| format!(", asked by {}{}", by.actor, by.when_and_why(now))).unwrap_or_default()
    }

    /// Adds who asked for the operation that a pair is under, if it is under one.
    pub(super) fn with_asker(&self, because: Because, pair: &Pair) -> Because {
        match pair.operation.and_then(|id| self.operation_told(id)) {
            Some(told) => because.fact("asked by", told),
            None => because,
        }
    }

    /// `root (drain of alpha, operation 5): a new disk`.
    pub(super) fn operation_told(&self, id: OperationId) -> Option<String> {
        let known = self.operations.get(&id)?;
        let reason = known.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("{} ({} of {}, operation {id}){reason}", known.actor, known.kind, known.subject))
    }
}

/// Adds the reason that was given, as a fact.
pub(super) fn with_reason_given(because: Because, reason: Option<&String>) -> Because {
    match reason {
        Some(reason) => because.fact("reason given", reason),
        None => because,
    }
}

/// A reason behind a sentence.
pub(super) fn in_brackets(reason: Option<&String>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

/// A span as people say it, in its two largest units.
pub(super) fn words(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{:.1} s", span.as_secs_f64()),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

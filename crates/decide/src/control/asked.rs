//! Who asked for what lasts, since when and why: goals, drained hosts, maintenance; and who asked for what is under way.
//!
//! Nothing is decided by it, and nothing of it outlives a leadership: the journal does. The law: where it is not known who asked,
//! nobody is named.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model::{ApplicationName, Because, HostName, Moment, OperationId};

use super::operations::Asker;
use super::state::Pair;
use super::{Control, MaintenanceOf};

/// What an operator asked for that lasts until somebody asks for the opposite.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AskedOf {
    Goal(ApplicationName),
    Drain(HostName),
    Maintenance(MaintenanceOf),
}

/// Who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AskedBy {
    pub actor: String,
    pub at: Moment,
    pub reason: Option<String>,
}

/// Of everything that lasts, who asked for it in this leadership.
pub(super) type AllAsked = BTreeMap<AskedOf, AskedBy>;

impl Control {
    /// Keeps in mind who asked.
    pub(super) fn note_asked(&mut self, of: AskedOf, asker: &Asker) {
        let by = AskedBy { actor: asker.actor.clone(), at: asker.now, reason: asker.reason.clone() };
        self.asked.insert(of, by);
    }

    /// `root stopped it 5 min ago (a new disk)`, or the same without a name where none is known.
    pub(super) fn who_asked(&self, now: Moment, of: &AskedOf, verb: &str, unknown: &str) -> String {
        match self.asked.get(of) {
            Some(by) => format!(
                "{} {verb} {} ago{}",
                by.actor,
                words(now.since(by.at)),
                in_brackets(by.reason.as_ref())
            ),
            None => unknown.to_owned(),
        }
    }

    /// Who said what an application should be, and why.
    pub(super) fn goal_asked_by(&self, name: &ApplicationName) -> Option<String> {
        let by = self.asked.get(&AskedOf::Goal(name.clone()))?;
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
        let told = |by: &AskedBy| {
            format!(
                ", asked by {} {} ago{}",
                by.actor,
                words(now.since(by.at)),
                in_brackets(by.reason.as_ref())
            )
        };
        self.asked.get(of).map(told).unwrap_or_default()
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

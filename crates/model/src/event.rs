//! What is told to people: events with the rule that fired, the facts it saw, and what nearly happened instead.

use serde::{Deserialize, Serialize};

use crate::{ApplicationName, Epoch, HostName, PairName, Rule};

/// What an event or a decision is about. Every part may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// The pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PairName>,
}

/// One thing that happened, for `events`, `why` and the journal. The journal adds number and wall time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Event {
    /// Of which kind.
    pub kind: EventKind,
    /// How much a person should care.
    pub severity: Severity,
    /// About what.
    #[serde(flatten)]
    pub about: Subject,
    /// The state or holder before, if the event is a change.
    pub from: Option<String>,
    /// The state or holder after.
    pub to: Option<String>,
    /// The role epoch it is about.
    pub epoch: Option<Epoch>,
    /// Why.
    #[serde(flatten)]
    pub because: Because,
    /// Who asked, if a person did.
    pub actor: Option<String>,
}

impl Event {
    /// One that is no change, of no epoch, and that nobody asked for.
    pub fn new(kind: EventKind, severity: Severity, about: Subject, because: Because) -> Self {
        Self { kind, severity, about, from: None, to: None, epoch: None, because, actor: None }
    }
}

/// The reason of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Because {
    /// The rule that fired.
    pub rule: Rule,
    /// One sentence for people.
    pub reason: String,
    /// What the rule saw.
    #[serde(rename = "because")]
    pub facts: Vec<Fact>,
    /// The rules that did not fire, and by how much they missed.
    pub nearly: Vec<Nearly>,
}

impl Because {
    /// A reason without facts.
    pub fn new(rule: Rule, reason: impl Into<String>) -> Self {
        Self { rule, reason: reason.into(), facts: Vec::new(), nearly: Vec::new() }
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, what: impl Into<String>, is: impl ToString) -> Self {
        self.facts.push(Fact { what: what.into(), is: is.to_string() });
        self
    }

    /// Adds a rule that did not fire.
    #[must_use]
    pub fn nearly(mut self, rule: Rule, missed: impl Into<String>) -> Self {
        self.nearly.push(Nearly { rule, missed: missed.into() });
        self
    }
}

/// One thing that a rule saw.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fact {
    /// The noun.
    pub what: String,
    /// Its value when the rule looked.
    pub is: String,
}

/// A rule that did not fire.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Nearly {
    /// Which.
    pub rule: Rule,
    /// What was missing.
    pub missed: String,
}

/// How much a person should care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The story.
    Info,
    /// Something is not as wished.
    Warning,
    /// Somebody should look now.
    Critical,
}

/// What happened. The words are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A control server began to lead.
    ControllerStarted,
    /// An agent was heard, or heard again.
    HostRunning,
    /// An agent is heard no more.
    HostLost,
    /// An application's status changed.
    StatusChanged,
    /// An application's process ended.
    ApplicationExited,
    /// An agent gave up restarting.
    GaveUp,
    /// An epoch was made durable and a member ordered to be primary in it.
    PromotionOrdered,
    /// A member was ordered to be primary no more.
    DemotionOrdered,
    /// A member confirmed to be primary or backup.
    RoleChanged,
    /// A new leadership found the primary as it was.
    RoleKept,
    /// A member did not become primary.
    PromotionFailed,
    /// A member did not confirm its demotion.
    DemotionFailed,
    /// A member was killed because its time as primary was over.
    Fenced,
    /// A pair has no primary and nobody who may become one.
    NoPrimary,
    /// An operator asked for something, and it began.
    OperationStarted,
    /// It was done.
    OperationDone,
    /// It failed.
    OperationFailed,
    /// It was refused before anything was done.
    OperationRefused,
    /// A goal changed.
    GoalChanged,
    /// Maintenance on or off.
    MaintenanceChanged,
    /// The configuration changed.
    ConfigurationChanged,
    /// Something could not be made durable.
    StoreFailed,
    /// Something that should not have happened was seen and dealt with.
    Anomaly,
    /// Automatic changes of a pair's roles are held, or go on.
    FlapHold,
    /// A planned change of roles was refused before anything was done.
    SwitchoverRefused,
    /// A host is used for primaries no more, or is again.
    DrainChanged,
    /// What acts on a host got a long lease for planned work, or has its usual one again.
    HoldChanged,
    /// A command that is told of events could not be run, or failed.
    NotifyFailed,
    /// A certificate runs out.
    CertificateExpiring,
    /// Somebody asked the operators' API for what they may not have.
    AccessRefused,
    /// A token of the operators' API was made or taken back.
    TokenChanged,
    /// A host hands over what is primary there and stops what runs, or stays after all.
    HostLeaving,
    /// Two clocks were found to run apart, or are not doubted any more.
    ClockDoubted,
    /// Other members of a pair than before have everything that was acknowledged.
    InSyncChanged,
}

impl EventKind {
    /// Every kind, in the order of their definition.
    pub const ALL: &'static [EventKind] = &[
        EventKind::ControllerStarted,
        EventKind::HostRunning,
        EventKind::HostLost,
        EventKind::StatusChanged,
        EventKind::ApplicationExited,
        EventKind::GaveUp,
        EventKind::PromotionOrdered,
        EventKind::DemotionOrdered,
        EventKind::RoleChanged,
        EventKind::RoleKept,
        EventKind::PromotionFailed,
        EventKind::DemotionFailed,
        EventKind::Fenced,
        EventKind::NoPrimary,
        EventKind::OperationStarted,
        EventKind::OperationDone,
        EventKind::OperationFailed,
        EventKind::OperationRefused,
        EventKind::GoalChanged,
        EventKind::MaintenanceChanged,
        EventKind::ConfigurationChanged,
        EventKind::StoreFailed,
        EventKind::Anomaly,
        EventKind::FlapHold,
        EventKind::SwitchoverRefused,
        EventKind::DrainChanged,
        EventKind::HoldChanged,
        EventKind::NotifyFailed,
        EventKind::CertificateExpiring,
        EventKind::AccessRefused,
        EventKind::TokenChanged,
        EventKind::HostLeaving,
        EventKind::ClockDoubted,
        EventKind::InSyncChanged,
    ];

    /// The word in `-o json`.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::ControllerStarted => "controller-started",
            EventKind::HostRunning => "host-running",
            EventKind::HostLost => "host-lost",
            EventKind::StatusChanged => "status-changed",
            EventKind::ApplicationExited => "application-exited",
            EventKind::GaveUp => "gave-up",
            EventKind::PromotionOrdered => "promotion-ordered",
            EventKind::DemotionOrdered => "demotion-ordered",
            EventKind::RoleChanged => "role-changed",
            EventKind::RoleKept => "role-kept",
            EventKind::PromotionFailed => "promotion-failed",
            EventKind::DemotionFailed => "demotion-failed",
            EventKind::Fenced => "fenced",
            EventKind::NoPrimary => "no-primary",
            EventKind::OperationStarted => "operation-started",
            EventKind::OperationDone => "operation-done",
            EventKind::OperationFailed => "operation-failed",
            EventKind::OperationRefused => "operation-refused",
            EventKind::GoalChanged => "goal-changed",
            EventKind::MaintenanceChanged => "maintenance-changed",
            EventKind::ConfigurationChanged => "configuration-changed",
            EventKind::StoreFailed => "store-failed",
            EventKind::Anomaly => "anomaly",
            EventKind::FlapHold => "flap-hold",
            EventKind::SwitchoverRefused => "switchover-refused",
            EventKind::DrainChanged => "drain-changed",
            EventKind::HoldChanged => "hold-changed",
            EventKind::NotifyFailed => "notify-failed",
            EventKind::CertificateExpiring => "certificate-expiring",
            EventKind::AccessRefused => "access-refused",
            EventKind::TokenChanged => "token-changed",
            EventKind::HostLeaving => "host-leaving",
            EventKind::ClockDoubted => "clock-doubted",
            EventKind::InSyncChanged => "in-sync-changed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_in_its_place_and_has_a_word_of_its_own() {
        for (place, kind) in EventKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place, "{kind:?}");
            let same = EventKind::ALL.iter().filter(|other| other.as_str() == kind.as_str()).count();
            assert_eq!(same, 1, "{kind:?}");
        }
        // The last one of the definition.
        assert_eq!(EventKind::ALL.last(), Some(&EventKind::InSyncChanged));
    }
}

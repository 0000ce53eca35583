//! What the control server counts, and its text for Prometheus.
//!
//! It decides nothing and keeps no names that a stranger chose. The law: counting never waits for anybody who reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use understudy_decide::control::{ClusterView, OperationState, OperationView};
use understudy_drive::exposition::{Exposition, Histogram};
use understudy_model::{ApplicationStatus, Event, EventKind, HostStatus, OperationId, RunMode};

/// Bounds of what should take milliseconds, in seconds.
const SHORT: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// Bounds of what may take a while, in seconds.
const LONG: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The counts. Clones share them.
#[derive(Debug, Clone)]
pub struct Figures {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    switchovers: Histogram,
    store_writes: Histogram,
    waits: Histogram,
    requests: Histogram,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    events: BTreeMap<&'static str, u64>,
    became_primary: u64,
    /// Method, route and status.
    answers: BTreeMap<(String, String, u16), u64>,
    /// Switchovers that were counted and are still shown.
    counted: BTreeSet<OperationId>,
}

impl Default for Figures {
    fn default() -> Self {
        let inner = Inner {
            switchovers: Histogram::new(LONG),
            store_writes: Histogram::new(SHORT),
            waits: Histogram::new(SHORT),
            requests: Histogram::new(LONG),
            counts: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Figures {
    /// Counts what was told. True if an operation has ended, so that [`Figures::ended`] should look.
    pub fn told(&self, events: &[Event]) -> bool {
        if events.is_empty() {
            return false;
        }
        let mut counts = self.lock();
        for event in events {
            *counts.events.entry(event.kind.as_str()).or_default() += 1;
            let to_primary = event.to.as_deref() == Some(RunMode::Primary.as_str());
            counts.became_primary += u64::from(event.kind == EventKind::RoleChanged && to_primary);
        }
        events.iter().any(|event| event.kind == EventKind::OperationDone)
    }

    /// Counts the switchovers among these that are done and were not counted yet.
    pub fn ended(&self, operations: &[OperationView]) {
        let mut counts = self.lock();
        counts.counted.retain(|id| operations.iter().any(|operation| operation.id == *id));
        for operation in operations {
            let done = operation.kind == "switchover" && operation.state == OperationState::Done;
            if let Some(ended) = operation.ended.filter(|_| done)
                && counts.counted.insert(operation.id)
            {
                self.inner.switchovers.observe(ended.since(operation.began));
            }
        }
    }

    /// A durable write took that long, from the wish to the disk.
    pub fn wrote(&self, took: Duration) {
        self.inner.store_writes.observe(took);
    }

    /// An observation waited that long for the machine.
    pub fn waited(&self, span: Duration) {
        self.inner.waits.observe(span);
    }

    /// A request was answered. `route` is a path of the table, never one that somebody sent.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.inner.requests.observe(took);
        let key = (method.to_owned(), route.to_owned(), status);
        *self.lock().answers.entry(key).or_default() += 1;
    }

    /// Everything as text.
    pub fn text(&self, view: &ClusterView, wrong: usize) -> String {
        let mut all = Exposition::new();
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        all.gauge("understudy_scs_build_info", "Version of this control server; always 1.").sample(&build, 1);
        show_cluster(&mut all, view, wrong);
        let counts = self.lock();
        let help = "Members that confirmed to have become primary.";
        all.counter("understudy_scs_role_changes_total", help).sample(&[], counts.became_primary);
        let mut family = all.counter("understudy_scs_events_total", "Events told, by kind.");
        for (kind, count) in &counts.events {
            family.sample(&[("kind", kind)], *count);
        }
        let help = "Answers of the operators' API.";
        let mut family = all.counter("understudy_scs_api_requests_total", help);
        for ((method, route, status), count) in &counts.answers {
            let labels = [("method", method.as_str()), ("route", route), ("code", &status.to_string())];
            family.sample(&labels, *count);
        }
        drop(counts);
        let help = "From the request to the beginning of its answer.";
        all.histogram("understudy_scs_api_request_duration_seconds", help, &self.inner.requests);
        let help = "Planned switchovers that were done, from the order to the confirmation.";
        all.histogram("understudy_scs_switchover_duration_seconds", help, &self.inner.switchovers);
        let help = "Durable writes of the store, from the wish to the disk.";
        all.histogram("understudy_scs_store_write_duration_seconds", help, &self.inner.store_writes);
        let help = "How long observations waited for the deciding machine: the lag of its loop.";
        all.histogram("understudy_scs_observation_wait_seconds", help, &self.inner.waits);
        // Figures of links belong here.
        all.text()
    }

    /// Every change is one addition, so a poisoned lock still guards whole counts.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.inner.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn show_cluster(all: &mut Exposition, view: &ClusterView, wrong: usize) {
    let leading = view.controller.as_ref().map_or(0, |(_, epoch)| epoch.0);
    all.gauge("understudy_scs_controller_epoch", "The epoch of its leadership; 0 without one.")
        .sample(&[], leading);
    all.gauge("understudy_scs_configuration_revision", "How often a configuration took effect in this life.")
        .sample(&[], view.revision);
    all.gauge("understudy_scs_wrong", "How many things are not as they should be, as status counts them.")
        .sample(&[], wrong as u64);
    let mut family = all.gauge("understudy_scs_hosts", "Hosts by status.");
    for status in HostStatus::ALL {
        let count = view.hosts.iter().filter(|host| host.status == *status).count();
        family.sample(&[("status", status.as_str())], count as u64);
    }
    let mut family = all.gauge("understudy_scs_applications", "Applications by status.");
    for status in ApplicationStatus::ALL {
        let count = view.applications.iter().filter(|one| one.status == *status).count();
        family.sample(&[("status", status.as_str())], count as u64);
    }
    let mut family = all.gauge("understudy_scs_pair_primary", "1 if somebody acts as primary and is heard.");
    for pair in &view.pairs {
        let acts = pair.primary.is_some() && pair.primary_heard;
        family.sample(&[("pair", pair.name.as_str())], u64::from(acts));
    }
    let mut family = all.gauge("understudy_scs_pair_ready", "1 if the backup could take over now.");
    for pair in &view.pairs {
        family.sample(&[("pair", pair.name.as_str())], u64::from(pair.ready));
    }
    let mut family =
        all.gauge("understudy_scs_pair_epoch", "The stored role epoch; 0 if nobody was ever primary.");
    for pair in &view.pairs {
        let epoch = pair.stored.as_ref().map_or(0, |role| role.epoch.0);
        family.sample(&[("pair", pair.name.as_str())], epoch);
    }
}

//! What the control server counts, and its text for Prometheus.
//!
//! It decides nothing and keeps no names that a stranger chose. The law: counting never waits for anybody who reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use understudy_decide::control::{ClusterView, OperationState, OperationView};
use understudy_drive::exposition::{Exposition, Histogram};
use understudy_model::{
    ApplicationStatus, Event, EventKind, HostName, HostStatus, OperationId, Policy, RunMode,
};
use understudy_transport::LinkTally;

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
    /// Handshakes of TLS that came to nothing, by the word of their reason.
    handshakes: BTreeMap<&'static str, u64>,
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

    /// A caller over the network did not get through the handshake of TLS.
    pub fn no_handshake(&self, reason: &'static str) {
        *self.lock().handshakes.entry(reason).or_default() += 1;
    }

    /// Everything as text.
    pub fn text(&self, view: &ClusterView, wrong: usize, links: &BTreeMap<HostName, LinkTally>) -> String {
        let mut all = Exposition::new();
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        all.gauge("understudy_scs_build_info", "Version of this control server; always 1.").sample(&build, 1);
        show_cluster(&mut all, view, wrong);
        show_in_sync(&mut all, view);
        show_grants(&mut all, view);
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
        let help = "Callers of the operators' API over the network that did not get through the handshake of TLS, by reason.";
        let mut family = all.counter("understudy_scs_api_handshakes_failed_total", help);
        for (reason, count) in &counts.handshakes {
            family.sample(&[("reason", reason)], *count);
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
        show_links(&mut all, links);
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
    let help =
        "Clocks that its agent, or another one, found to run apart from that of the host, and still doubts.";
    let mut family = all.gauge("understudy_scs_host_clock_doubts", help);
    for host in &view.hosts {
        family.sample(&[("host", host.name.as_str())], host.clock_doubts.len() as u64);
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
    let help = "1 if both members act as primary, as far as is known.";
    let mut family = all.gauge("understudy_scs_pair_two_primaries", help);
    for pair in &view.pairs {
        family.sample(&[("pair", pair.name.as_str())], u64::from(pair.two_act));
    }
    let help = "1 if a member that cannot be heard may act beside the one that was promoted in its place.";
    let mut family = all.gauge("understudy_scs_pair_second_primary_possible", help);
    for pair in &view.pairs {
        family.sample(&[("pair", pair.name.as_str())], u64::from(pair.second_may_act));
    }
    let help =
        "How often a member of a lost host was found acting when it was heard again, in this leadership.";
    let mut family = all.counter("understudy_scs_pair_two_primaries_found_total", help);
    for pair in &view.pairs {
        family.sample(&[("pair", pair.name.as_str())], u64::from(pair.two_acted));
    }
    let mut family =
        all.gauge("understudy_scs_pair_epoch", "The stored role epoch; 0 if nobody was ever primary.");
    for pair in &view.pairs {
        let epoch = pair.stored.as_ref().map_or(0, |role| role.epoch.0);
        family.sample(&[("pair", pair.name.as_str())], epoch);
    }
}

/// Who has what was acknowledged, in pairs with `keep-data`.
fn show_in_sync(all: &mut Exposition, view: &ClusterView) {
    let help = "With keep-data: how many members have everything that was acknowledged; with 1, the loss of that one stops the pair.";
    let mut family = all.gauge("understudy_scs_pair_in_sync_members", help);
    for pair in &view.pairs {
        if let Some(record) = &pair.in_sync {
            family.sample(&[("pair", pair.name.as_str())], record.members.len() as u64);
        }
    }
}

/// What is promised in pairs with policy `strict`.
fn show_grants(all: &mut Exposition, view: &ClusterView) {
    let strict = || view.pairs.iter().filter(|pair| pair.policy == Policy::Strict);
    let help = "Votes of this control server in this leadership, by what was said.";
    let mut family = all.counter("understudy_scs_votes_total", help);
    for pair in strict() {
        let name = pair.name.as_str();
        family.sample(&[("pair", name), ("said", "given")], pair.votes_given);
        family.sample(&[("pair", name), ("said", "refused")], pair.votes_refused);
    }
    let help = "For how long the present promise binds if it is not renewed; 0 if none does.";
    let mut family = all.gauge("understudy_scs_promise_left_seconds", help);
    for pair in strict() {
        let left = pair.promise.as_ref().and_then(|promise| promise.left).unwrap_or_default();
        family.seconds(&[("pair", pair.name.as_str())], left);
    }
    let help = "1 if the primary cannot be heard here and is renewed by the other member's agent.";
    let mut family = all.gauge("understudy_scs_pair_alive_through_peer", help);
    for pair in strict() {
        family.sample(&[("pair", pair.name.as_str())], u64::from(pair.alive_through.is_some()));
    }
}

/// The links to the agents of configured hosts.
fn show_links(all: &mut Exposition, links: &BTreeMap<HostName, LinkTally>) {
    let mut family = all.gauge("understudy_scs_link_up", "1 if the host's agent is connected and welcome.");
    for (host, tally) in links {
        family.sample(&[("host", host.as_str())], tally.live());
    }
    let help = "Links to the host's agent that came up; each after the first is a reconnect.";
    let mut family = all.counter("understudy_scs_link_connects_total", help);
    for (host, tally) in links {
        family.sample(&[("host", host.as_str())], tally.begun());
    }
    let help = "Links to the host's agent that were up and ended, by reason.";
    let mut family = all.counter("understudy_scs_link_losses_total", help);
    for (host, tally) in links {
        for (reason, count) in tally.ended() {
            family.sample(&[("host", host.as_str()), ("reason", reason)], count);
        }
    }
    let help = "Links to the host that one of both ends refused, by reason.";
    let mut family = all.counter("understudy_scs_link_refusals_total", help);
    for (host, tally) in links {
        for (reason, count) in tally.refused() {
            family.sample(&[("host", host.as_str()), ("reason", reason)], count);
        }
    }
    let help =
        "Events of the host's agent that were not kept: too many in a minute, or not an agent's to tell.";
    let mut family = all.counter("understudy_scs_link_events_left_out_total", help);
    for (host, tally) in links {
        family.sample(&[("host", host.as_str())], tally.left_out());
    }
    let addp: Vec<_> = links.iter().map(|(host, tally)| (host.as_str(), tally.addp())).collect();
    let help = "Polls of ADDP sent to the host: each after a timeout of silence.";
    let mut family = all.counter("understudy_scs_link_polls_sent_total", help);
    for (host, counts) in &addp {
        family.sample(&[("host", host)], counts.polls_sent);
    }
    let help = "Polls of ADDP from the host that were answered.";
    let mut family = all.counter("understudy_scs_link_polls_answered_total", help);
    for (host, counts) in &addp {
        family.sample(&[("host", host)], counts.polls_answered);
    }
    let help = "Looks at the link to the host that came too late: this program or its machine was too busy.";
    let mut family = all.counter("understudy_scs_link_late_looks_total", help);
    for (host, counts) in &addp {
        family.sample(&[("host", host)], counts.late_looks);
    }
    let help = "By how much the latest of these looks came too late.";
    let mut family = all.gauge("understudy_scs_link_lateness_max_seconds", help);
    for (host, counts) in &addp {
        family.seconds(&[("host", host)], counts.latest);
    }
    let help = "From the last poll of ADDP that was answered to its reply.";
    let mut family = all.gauge("understudy_scs_link_round_trip_seconds", help);
    for (host, counts) in &addp {
        if let Some(round_trip) = counts.round_trip {
            family.seconds(&[("host", host)], round_trip);
        }
    }
}

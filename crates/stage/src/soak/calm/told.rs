//! What a calm run counts, and what of it must never be.
//!
//! It knows stretches, losses and their figures. The law: the judgement is made from what was seen, and each violation is a
//! sentence with its place.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::losses::{Bound, Loss};
use super::{Arguments, LOSS_PERMILLE};
use crate::Status;
use crate::figures::Figures;
use crate::load::LoadSummary;
use crate::soak::Told as Event;
use crate::soak::watch::Seen;

/// Kinds of events that tell of a role that moved, or of somebody who was ended for it.
const NEVER_KINDS: [&str; 6] =
    ["promotion-ordered", "demotion-ordered", "role-changed", "fenced", "application-exited", "no-primary"];
/// Rules that tell of it in an event of another kind.
const NEVER_RULES: [&str; 3] = ["grant-runs-out", "grant-expired", "guard-fired"];

/// A stretch in which nothing was lost.
#[derive(Debug)]
pub(super) struct Calm {
    pub span: Duration,
    pub before: Status,
    pub now: Status,
    /// By pair.
    pub seen: BTreeMap<&'static str, Seen>,
    pub client: LoadSummary,
    /// What the programs counted.
    pub counts: Value,
    pub events: Vec<Event>,
}

/// The whole run.
#[derive(Debug)]
pub(super) struct Told {
    preset: &'static str,
    jitter_ms: f64,
    minutes_asked: u64,
    seed: u64,
    urgent: bool,
    bound: Bound,
    fence_budget_ms: f64,
    pub busy_processes: usize,
    calm: Duration,
    stretches: Vec<Value>,
    events: BTreeMap<String, u64>,
    renewals: u64,
    changes: u64,
    left_ms: Vec<f64>,
    most_left_ms: Vec<f64>,
    longest_between_looks: Duration,
    outages_ms: Vec<f64>,
    writes: u64,
    losses: Vec<Value>,
    found_ms: Vec<f64>,
    loads: Vec<String>,
    violations: Vec<String>,
}

impl Told {
    pub fn new(asked: &Arguments, minutes: u64) -> Self {
        let preset = asked.preset.preset();
        Self {
            preset: preset.as_str(),
            jitter_ms: asked.preset.jitter().as_secs_f64() * 1_000.0,
            minutes_asked: minutes,
            seed: asked.seed,
            urgent: !asked.not_urgent,
            bound: Bound::of(asked.preset),
            fence_budget_ms: preset.timers().fence_budget.as_secs_f64() * 1_000.0,
            busy_processes: 0,
            calm: Duration::ZERO,
            stretches: Vec::new(),
            events: BTreeMap::new(),
            renewals: 0,
            changes: 0,
            left_ms: Vec::new(),
            most_left_ms: Vec::new(),
            longest_between_looks: Duration::ZERO,
            outages_ms: Vec::new(),
            writes: 0,
            losses: Vec::new(),
            found_ms: Vec::new(),
            loads: Vec::new(),
            violations: Vec::new(),
        }
    }

    pub fn violation(&mut self, what: String) {
        eprintln!("VIOLATION: {what}");
        self.violations.push(what);
    }

    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// A stretch is over.
    pub fn calm(&mut self, calm: Calm) {
        let number = self.stretches.len() + 1;
        let found = wrong_in(&calm);
        self.changes += moves(&calm);
        for (pair, seen) in &calm.seen {
            self.renewals += seen.renewals;
            self.left_ms.extend(&seen.left_ms);
            self.most_left_ms.extend(&seen.most_left_ms);
            self.longest_between_looks = self.longest_between_looks.max(seen.longest_between);
            eprintln!(
                "stretch {number}, {pair}: {} renewals, {:.0} ms left at least",
                seen.renewals,
                least(&seen.left_ms).unwrap_or(f64::NAN)
            );
        }
        for event in &calm.events {
            *self.events.entry(format!("{}: {}", event.kind, event.rule)).or_default() += 1;
        }
        self.calm += calm.span;
        self.writes += calm.client.writes_acknowledged;
        self.outages_ms.extend(calm.client.outages.iter().map(|outage| outage.ms));
        self.note_load();
        let by_pair: BTreeMap<&str, Value> = calm
            .seen
            .iter()
            .map(|(pair, seen)| {
                (*pair, json!({ "renewals": seen.renewals, "least_left_ms": least(&seen.left_ms) }))
            })
            .collect();
        self.stretches.push(json!({
            "s": calm.span.as_secs(), "pairs": by_pair, "counted": calm.counts,
        }));
        for what in found {
            self.violation(format!("stretch {number}: {what}"));
        }
    }

    /// A host was lost and is back.
    pub fn loss(&mut self, loss: Loss) {
        let number = self.losses.len() + 1;
        let client_ms = loss.client.longest_outage_ms;
        let line =
            json!({ "host": loss.host.name(), "found_ms": loss.found_ms, "client_outage_ms": client_ms });
        eprintln!("loss {number}: {line}");
        self.losses.push(line);
        self.note_load();
        match loss.found_ms {
            Some(ms) => {
                self.found_ms.push(ms);
                if ms > loss.bound_ms {
                    self.violation(format!(
                        "loss {number}: found after {ms:.0} ms, bound {:.0}",
                        loss.bound_ms
                    ));
                }
            }
            None => self.violation(format!("loss {number}: the other member did not act")),
        }
        if loss.both > 0 || loss.client.dual_primary_observations + loss.client.lower_epoch_answers > 0 {
            self.violation(format!("loss {number}: both members might act"));
        }
    }

    /// How busy the machine is, with whatever else runs on it.
    fn note_load(&mut self) {
        self.loads.extend(crate::soak::load_average());
    }

    pub fn to_json(&self) -> Value {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        json!({
            "soak": "calm",
            "preset": self.preset,
            "seed": self.seed,
            "minutes_asked": self.minutes_asked,
            "calm_s": self.calm.as_secs(),
            "network": { "jitter_ms": self.jitter_ms, "way_ms": [0.0, self.jitter_ms * 2.0],
                "loss_percent": f64::from(LOSS_PERMILLE) / 10.0, "by": "a switch in user space; frames keep their order" },
            "agents_and_server": if self.urgent { "real-time (SCHED_RR)" } else { "as they make themselves" },
            "cores": cores,
            "busy_processes": self.busy_processes,
            "load_averages": self.loads,
            "renewals": self.renewals,
            "false_failovers": self.changes,
            "left_at_renewal_ms": Figures::of_ms(&self.left_ms).summed(),
            "least_left_ms": { "at_least": least(&self.left_ms), "at_most": least(&self.most_left_ms),
                "steps_down_at": self.fence_budget_ms },
            "longest_between_looks_ms": self.longest_between_looks.as_secs_f64() * 1_000.0,
            "client_outages_ms": Figures::of_ms(&self.outages_ms).summed(),
            "writes_acknowledged": self.writes,
            "events_while_calm": self.events,
            "stretches": self.stretches,
            "bound_ms": self.bound,
            "losses": self.losses,
            "found_ms": Figures::of_ms(&self.found_ms).summed(),
            "violations": self.violations,
            "ok": self.is_clean(),
        })
    }
}

fn least(times_ms: &[f64]) -> Option<f64> {
    times_ms.iter().copied().reduce(f64::min)
}

/// Roles that are not where they were, by epoch.
fn moves(calm: &Calm) -> u64 {
    let raised = |pair: &crate::status::PairLine| {
        let before = calm.before.pair(&pair.name).map_or(0, |before| before.epoch);
        pair.epoch.saturating_sub(before)
    };
    calm.now.pairs.iter().map(raised).sum()
}

/// What must not be while nothing is lost.
fn wrong_in(calm: &Calm) -> Vec<String> {
    let mut found = Vec::new();
    for pair in &calm.now.pairs {
        let before = calm.before.pair(&pair.name).map(|pair| (pair.primary.clone(), pair.epoch));
        let now = Some((pair.primary.clone(), pair.epoch));
        if before != now {
            found.push(format!("{}: {before:?} became {now:?}", pair.name));
        }
    }
    if calm.before.pids() != calm.now.pids() {
        found.push(format!("{:?} became {:?}", calm.before.pids(), calm.now.pids()));
    }
    for (pair, seen) in &calm.seen {
        for (times, what) in [(seen.nobody, "nobody"), (seen.both, "both")] {
            if times > 0 {
                found.push(format!("{pair}: {what} might act, at {times} of {} looks", seen.looks));
            }
        }
        if seen.renewals == 0 {
            found.push(format!("{pair}: no renewal was seen"));
        }
    }
    let mut told = BTreeMap::new();
    for event in &calm.events {
        if NEVER_KINDS.contains(&event.kind.as_str()) || NEVER_RULES.contains(&event.rule.as_str()) {
            *told.entry((&event.kind, &event.rule)).or_insert(0) += 1;
        }
    }
    found.extend(told.into_iter().map(|((kind, rule), times)| format!("{kind} ({rule}), {times} times")));
    let client = &calm.client;
    if client.dual_primary_observations + client.lower_epoch_answers > 0 {
        found.push("a client heard two primaries".to_owned());
    }
    if client.lost_of_all() != Some(0) || client.writes_acknowledged == 0 {
        let (written, lost) = (client.writes_acknowledged, client.lost_of_all());
        found.push(format!("of {written} acknowledged writes {lost:?} are gone"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(primary: &str, epoch: u64) -> Status {
        let member = |name: &str| {
            json!({ "name": name, "host": "alpha", "pair": "tserver", "pid": 7, "status": "started",
                "goal": "started", "run_mode": "backup", "restarts": 0 })
        };
        let pair =
            json!({ "name": "tserver", "primary": primary, "backup": "t-9", "epoch": epoch, "ready": true });
        let all = json!({ "hosts": [], "applications": [member("t-1"), member("t-2")], "pairs": [pair] });
        serde_json::from_value(all).unwrap()
    }

    fn calm() -> Calm {
        let client = json!({ "writes_acknowledged": 10, "acknowledged_checked": 10, "acknowledged_lost": 0,
            "outages": [], "longest_outage_ms": 0.0, "dual_primary_observations": 0, "lower_epoch_answers": 0,
            "stale_rejected": 0, "stale_accepted": 0 });
        let mut seen = Seen::default();
        (seen.renewals, seen.looks) = (3, 9);
        Calm {
            span: Duration::from_secs(1),
            before: status("t-1", 3),
            now: status("t-1", 3),
            seen: [("tserver", seen)].into(),
            client: serde_json::from_value(client).unwrap(),
            counts: Value::Null,
            events: Vec::new(),
        }
    }

    fn event(kind: &str, rule: &str) -> Event {
        Event { kind: kind.to_owned(), rule: rule.to_owned(), reason: String::new() }
    }

    #[test]
    fn a_calm_stretch_is_one_in_which_nothing_moved_and_somebody_always_acted() {
        assert_eq!(wrong_in(&calm()), Vec::<String>::new());
        let with = |change: &dyn Fn(&mut Calm)| {
            let mut calm = calm();
            change(&mut calm);
            wrong_in(&calm).len()
        };
        assert_eq!(with(&|calm| calm.now = status("t-2", 4)), 1);
        assert_eq!(with(&|calm| calm.seen.values_mut().for_each(|seen| seen.nobody = 1)), 1);
        assert_eq!(with(&|calm| calm.seen.values_mut().for_each(|seen| seen.both = 1)), 1);
        assert_eq!(with(&|calm| calm.seen.values_mut().for_each(|seen| seen.renewals = 0)), 1);
        assert_eq!(with(&|calm| calm.client.acknowledged_lost = Some(1)), 1);
        assert_eq!(with(&|calm| calm.client.lower_epoch_answers = 1), 1);
        assert_eq!(with(&|calm| calm.events = vec![event("host-lost", "agent-silent")]), 0);
        assert_eq!(with(&|calm| calm.events = vec![event("anomaly", "grant-runs-out")]), 1);
        assert_eq!(
            with(&|calm| calm.events = vec![event("fenced", "guard-fired"), event("fenced", "guard-fired")]),
            1
        );
    }
}

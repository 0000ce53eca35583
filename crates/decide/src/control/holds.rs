//! Long grants: for planned work an operator holds a host, and what acts there gets an epoch of a long lease.
//!
//! Refuses to know what a promise is, and what the work is. The law (G13): a hold is durable before it changes a lease; it ends
//! by itself; and what a loss of the host costs meanwhile is said wherever people look.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{
    Because, Event, EventKind, HostName, Member, Moment, PairName, Policy, Rule, Severity,
};

use super::operations::Asker;
use super::refuse::{not_found, refused};
use super::state::{Awaits, Pair};
use super::{Check, Control, ControlRecord, OperationState, Out, Reply, about_host, event};

/// No hold is longer: its host may be lost, and for as long nobody follows.
pub const LONGEST_HOLD: Duration = Duration::from_secs(3_600);

/// How long the agents may take to have the long lease.
const LIMIT: Duration = Duration::from_secs(15);

/// A host that is held, on this boot's clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// The lease of what acts there; also how long it was asked for.
    pub lease: Duration,
    /// When it ends by itself.
    pub until: Moment,
    /// Who asked.
    pub actor: String,
    /// Why, if they said.
    pub reason: Option<String>,
}

impl Hold {
    /// As of another boot of the control server's machine: how much was left is not known, so it begins anew.
    pub fn moved_to(self, now: Moment) -> Self {
        Self { until: now + self.lease, ..self }
    }
}

impl Control {
    /// The lease that the next epoch of this member is to have.
    pub(super) fn wanted_lease(&self, pair: &Pair, member: Member) -> Duration {
        let usual = pair.spec.terms().lease;
        let held = self.hold_of(pair, member).map_or(Duration::ZERO, |(_, hold)| hold.lease);
        usual.max(held)
    }

    /// The hold of a member's host.
    pub(super) fn hold_of(&self, pair: &Pair, member: Member) -> Option<(&HostName, &Hold)> {
        let host = &self.app(pair, member)?.host;
        self.memory.holds.get_key_value(host)
    }

    /// Tells a pair's vote which lease the next epoch of its holder is to have.
    pub(super) fn want_lease(&mut self, name: &PairName, member: Option<Member>) {
        let Some(pair) = self.pairs.get(name) else { return };
        let Some(member) = member.or_else(|| pair.holder()) else { return };
        let lease = self.wanted_lease(pair, member);
        if let Some(granting) = self.pairs.get_mut(name).and_then(|pair| pair.granting.as_mut()) {
            granting.leader.set_lease(lease);
        }
    }

    /// An operator asks for a hold, or for the end of one.
    pub(super) fn hold_host(
        &mut self,
        asker: &Asker,
        name: &str,
        span: Option<Duration>,
        dry_run: bool,
        out: &mut Out,
    ) -> Reply {
        let wanted = name.to_ascii_lowercase();
        let Some(host) = self.hosts.keys().find(|host| host.as_str() == wanted).cloned() else {
            return not_found(&format!("there is no host called {name:?}"), "scsctl hosts");
        };
        let Some(lease) = span else { return self.end_hold(asker, &host, dry_run, out) };
        if lease > LONGEST_HOLD || lease.is_zero() {
            let message = format!(
                "a host is held for up to {}: as long as that nobody would follow if it were lost",
                words(LONGEST_HOLD)
            );
            let next = Some(format!("scsctl host hold {host} --for 1h, or scsctl drain {host}"));
            return refused("not-possible", &message, Vec::new(), next);
        }
        let (pairs, beside) = self.held_pairs(&host, lease);
        if pairs.is_empty() {
            let message = format!("nothing on {host} needs a hold: nothing was done");
            return refused("not-possible", &message, beside, Some(format!("scsctl host {host}")));
        }
        let checks = self.hold_checks(&host);
        if dry_run {
            return Reply::Plan {
                checks,
                steps: self.hold_steps(&host, lease, &pairs, beside),
                given_up: None,
            };
        }
        let failed = Check::failed(&checks);
        if !failed.is_empty() {
            let message = format!("host {host} is not held: nothing was done");
            return refused("unreachable", &message, failed, Some(format!("scsctl host {host}")));
        }
        self.remember_undo(None);
        let hold = Hold {
            lease,
            until: asker.now + lease,
            actor: asker.actor.clone(),
            reason: asker.reason.clone(),
        };
        out.persist.push(ControlRecord::SetHold { host: host.clone(), hold: Some(hold.clone()) });
        let awaits = Awaits::Held { host: host.clone(), pairs: pairs.clone() };
        let id = self.begin(asker, "hold", host.to_string(), awaits, LIMIT, out);
        let mut because = Because::new(
            Rule::HoldSet,
            format!("host {host} is held for {}: its loss is followed that late", words(lease)),
        );
        for name in &pairs {
            because = because.fact("pair", name);
        }
        if let Some(reason) = &hold.reason {
            because = because.fact("reason", reason);
        }
        let told = event(EventKind::HoldChanged, Severity::Info, about_host(&host), because);
        out.events.push(Event { actor: Some(asker.actor.clone()), ..told });
        self.memory.holds.insert(host, hold);
        Reply::Begun(id)
    }

    fn end_hold(&mut self, asker: &Asker, host: &HostName, dry_run: bool, out: &mut Out) -> Reply {
        if !self.memory.holds.contains_key(host) {
            return Reply::Done { text: format!("host {host} is not held") };
        }
        let text = format!("host {host} is held no more: what acts there gets its usual lease");
        if dry_run {
            return Reply::Plan { checks: Vec::new(), steps: vec![text], given_up: None };
        }
        self.remember_undo(Some(asker.request));
        self.memory.holds.remove(host);
        out.persist.push(ControlRecord::SetHold { host: host.clone(), hold: None });
        let told = event(
            EventKind::HoldChanged,
            Severity::Info,
            about_host(host),
            Because::new(Rule::HoldSet, text.clone()),
        );
        out.events.push(Event { actor: Some(asker.actor.clone()), ..told });
        Reply::Done { text }
    }

    /// Ends the holds whose time is over. One whose end cannot be stored ends all the same, and again after a restart.
    pub(super) fn end_holds(&mut self, now: Moment, out: &mut Out) {
        let over = |(host, hold): (&HostName, &Hold)| (hold.until <= now).then(|| host.clone());
        let over: Vec<HostName> = self.memory.holds.iter().filter_map(over).collect();
        for host in over {
            self.touch_host(&host);
            self.memory.holds.remove(&host);
            out.persist.push(ControlRecord::SetHold { host: host.clone(), hold: None });
            let text = format!(
                "the time for which host {host} was held is over: what acts there gets its usual lease"
            );
            let because = Because::new(Rule::HoldSet, text);
            out.events.push(event(EventKind::HoldChanged, Severity::Info, about_host(&host), because));
        }
    }

    /// When the next hold ends.
    pub(super) fn holds_end(&self) -> Option<Moment> {
        self.memory.holds.values().map(|hold| hold.until).min()
    }

    /// The strict pairs that act on a host and would get the longer lease; and why others would not.
    fn held_pairs(&self, host: &HostName, lease: Duration) -> (Vec<PairName>, Vec<String>) {
        let (mut held, mut beside) = (Vec::new(), Vec::new());
        for name in self.primaries_on(host) {
            let Some(pair) = self.pairs.get(&name) else { continue };
            let usual = pair.spec.terms().lease;
            if pair.spec.policy == Policy::Available {
                beside.push(format!(
                    "pair {name}: its policy is available: its primary goes on without its agent, and there is no lease to \
                     make longer"
                ));
            } else if lease <= usual {
                beside.push(format!("pair {name}: its usual lease is {} already", words(usual)));
            } else {
                held.push(name);
            }
        }
        if held.is_empty() && beside.is_empty() {
            beside.push(format!("nothing of a pair is primary on {host}"));
        }
        (held, beside)
    }

    fn hold_checks(&self, host: &HostName) -> Vec<Check> {
        let problem = self.hosts.get(host).filter(|known| known.incarnation.is_none());
        vec![Check {
            what: format!("the agent of host {host} is heard"),
            ok: problem.is_none(),
            found: problem.map_or_else(|| "it is".to_owned(), |known| known.problem.clone()),
        }]
    }

    fn hold_steps(
        &self,
        host: &HostName,
        lease: Duration,
        pairs: &[PairName],
        beside: Vec<String>,
    ) -> Vec<String> {
        let mut steps: Vec<String> = pairs
            .iter()
            .filter_map(|name| {
                let pair = self.pairs.get(name)?;
                let primary = pair.spec.application(pair.holder()?);
                let usual = words(pair.spec.terms().lease);
                Some(format!(
                    "pair {name}: {primary} gets a new epoch with a lease of {} instead of {usual}",
                    words(lease)
                ))
            })
            .collect();
        steps.push(format!(
            "for {} a loss of {host} is followed only after up to {}; then, or with scsctl host hold {host} --end, the usual \
             lease is given again",
            words(lease),
            words(lease)
        ));
        steps.extend(beside);
        steps
    }

    /// How far the agents are that were given the long lease.
    pub(super) fn held_state(&self, host: &HostName, pairs: &[PairName]) -> OperationState {
        let Some(hold) = self.memory.holds.get(host) else {
            return OperationState::Failed(format!("the hold of {host} was ended meanwhile"));
        };
        let has = |name: &PairName| {
            let Some(pair) = self.pairs.get(name) else { return true };
            let Some(member) = self.primary_of(pair) else { return false };
            // One that moved away meanwhile needs no hold.
            let elsewhere = self.app(pair, member).is_some_and(|app| app.host != *host);
            elsewhere
                || pair.granting.as_ref().is_some_and(|granting| {
                    let renewed = granting.renewed.is_some() && granting.renewed == pair.stored;
                    renewed && granting.leader.promised_lease() == Some(hold.lease)
                })
        };
        if pairs.iter().all(has) { OperationState::Done } else { OperationState::Running }
    }

    /// What people are told of holds wherever they look.
    pub(super) fn warn_of_holds(&self, now: Moment, warnings: &mut Vec<String>) {
        for (host, hold) in &self.memory.holds {
            warnings.push(format!(
                "host {host} is {}; run: scsctl host hold {host} --end",
                self.hold_told(now, host, hold)
            ));
        }
    }

    /// A hold in words, with what a loss of the host costs meanwhile.
    pub(super) fn hold_told(&self, now: Moment, host: &HostName, hold: &Hold) -> String {
        let costs = self.pairs.iter().filter_map(|(name, pair)| {
            let holder = pair
                .holder()
                .filter(|holder| self.hold_of(pair, *holder).is_some_and(|(of, _)| of == host))?;
            let strict = pair.spec.policy == Policy::Strict;
            let usual = pair.spec.terms().lease;
            strict.then(|| {
                format!(
                    "its loss is followed after up to {} instead of {} for pair {name} ({})",
                    words(usual.max(hold.lease)),
                    words(usual),
                    pair.spec.application(holder)
                )
            })
        });
        let costs: Vec<String> = costs.collect();
        let costs = if costs.is_empty() {
            "nothing of a strict pair acts there".to_owned()
        } else {
            costs.join("; ")
        };
        let reason = hold.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let left = Duration::from_secs(hold.until.since(now).as_secs().max(1));
        format!("held for {} more, asked by {}{reason}: {costs}", words(left), hold.actor)
    }

    /// The lease of a pair's promise, where it is another than usual.
    pub(super) fn lease_told(&self, now: Moment, pair: &Pair) -> Option<String> {
        let member = pair.holder()?;
        let (host, hold) = self.hold_of(pair, member)?;
        (pair.spec.policy == Policy::Strict)
            .then(|| format!("host {host} is {}", self.hold_told(now, host, hold)))
    }
}

/// A span as people say it.
fn words(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) if span.subsec_millis() > 0 => format!("{:.1} s", span.as_secs_f64()),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

//! The relations between the spans of a pair with policy `strict`, and what its policy makes of its hosts and timers.
//!
//! Knows no clocks and no voters: the model judges the spans. The law: every relation that does not hold is told at once,
//! by its name, with its figures, what it would cost and what to change; what costs nothing until something fails warns.

use std::time::Duration;

use understudy_model::{Policy, Surroundings, Terms, Timers, Unsound};

use super::Drafts;
use super::application::ApplicationDraft;
use super::host::HostDraft;
use super::pair::PairDraft;
use super::timers::{self, Place, SetAt};
use crate::problem::{Problem, ProblemKind};
use crate::raw::{Found, Report};
use crate::span::to_text;

/// Pairs that one warning names.
const MOST_NAMED: usize = 5;

/// Reports every relation and every setting that does not fit the pair's policy.
pub(super) fn check(report: &mut Report, drafts: &Drafts, pair: &PairDraft) {
    let Some(policy) = pair.policy else { return };
    check_unused_timers(report, pair, policy);
    if policy == Policy::Strict {
        check_spans(report, drafts, pair);
        check_reach(report, drafts, pair);
    }
}

fn check_spans(report: &mut Report, drafts: &Drafts, pair: &PairDraft) {
    let timers = timers::of_pair(drafts, pair);
    let terms = timers.values.terms();
    for unsound in terms.check(&Surroundings::ASSUMED) {
        let place = place_of(&unsound, &timers.set).clone();
        let (at, key) = place.unwrap_or_else(|| (pair.name.at, pair.name.key.clone()));
        let why = format!(
            "relation {} of pair \"{}\": {}",
            unsound.relation(),
            pair.name.value,
            explain(&unsound, &timers.values)
        );
        report.broken(at, &key, why, advise(&unsound, &terms));
    }
}

/// The setting that a message points to: of those that the relation compares, the first that was set by hand.
fn place_of<'s>(unsound: &Unsound, set: &'s SetAt) -> &'s Place {
    let (first, others): (&Place, &[&Place]) = match unsound {
        Unsound::Drift { .. } => (&set.clock_drift, &[]),
        Unsound::Kill { .. } => (&set.kill_budget, &[&set.fence_budget]),
        Unsound::Nothing(_) | Unsound::Renewals { .. } | Unsound::Restart { .. } | Unsound::Leader { .. } => {
            (&set.lease, &[&set.renew, &set.fence_budget, &set.clock_drift])
        }
    };
    others.iter().fold(first, |found, other| if found.is_some() { found } else { other })
}

/// The figures, and what the broken relation would cost.
fn explain(unsound: &Unsound, timers: &Timers) -> String {
    let (lease, renew, fence) = (to_text(timers.lease), to_text(timers.renew), to_text(timers.fence_budget));
    match unsound {
        Unsound::Drift { drift_ppm, clocks_ppm } => format!(
            "clock-drift is {drift_ppm} ppm, and time services may make two clocks differ by {clocks_ppm} ppm: a lease \
             that has run out on one machine could still count on the other, and two would act"
        ),
        Unsound::Renewals { needed, share } => format!(
            "3 x renew {renew} + fence-budget {fence} is {}, and a primary may count on {} of its lease {lease}: two \
             lost answers in a row would make a healthy primary step down",
            to_text(*needed),
            to_text(*share)
        ),
        Unsound::Kill { kill_budget, .. } => format!(
            "the guard kills {} before the lease runs out, and a member is asked to step down only {fence} before: it \
             would be killed before it was asked",
            to_text(*kill_budget)
        ),
        Unsound::Restart { agent_restart, room } => format!(
            "an agent that ended needs up to {} to come back, and has less than {} of the lease {lease} after renew \
             {renew} and fence-budget {fence}: its restart would get a healthy primary killed",
            to_text(*agent_restart),
            to_text(*room)
        ),
        Unsound::Leader { needed, share } => format!(
            "until a second control server leads it takes {}, and a primary may count on {} of its lease {lease}: \
             losing a backup's host together with the leading control server would stop a healthy primary",
            to_text(*needed),
            to_text(*share)
        ),
        Unsound::Nothing(what) => format!("the {what} is zero, and nobody could ever act"),
    }
}

/// What to change, with the figure that is enough.
fn advise(unsound: &Unsound, terms: &Terms) -> String {
    match unsound {
        Unsound::Drift { clocks_ppm, .. } => format!("set clock-drift to {clocks_ppm} or more"),
        Unsound::Renewals { needed, .. } => {
            let lease = to_text(lease_for(*needed, terms));
            format!("raise lease to {lease} or more, or lower renew or fence-budget")
        }
        Unsound::Restart { agent_restart, .. } => {
            let needed = *agent_restart + terms.renew_every + terms.fence_budget + Duration::from_nanos(1);
            let lease = to_text(lease_for(needed, terms));
            format!("raise lease to {lease} or more, or lower renew or fence-budget")
        }
        Unsound::Kill { fence_budget, .. } => {
            format!("lower kill-budget to {} or less, or raise fence-budget", to_text(*fence_budget))
        }
        Unsound::Leader { .. } => "raise lease, or move the control server off the members' hosts".to_owned(),
        Unsound::Nothing(what) => format!("give the {what} a span"),
    }
}

/// The shortest lease of whole milliseconds of which a holder may count on that much.
fn lease_for(needed: Duration, terms: &Terms) -> Duration {
    let whole: u128 = 1_000_000;
    let keep = whole - u128::from(terms.drift_ppm).min(whole - 1);
    let nanos = (whole * needed.as_nanos()).div_ceil(keep);
    Duration::from_millis(u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// A timer that is set on a pair and that its policy never looks at was meant for something.
fn check_unused_timers(report: &mut Report, pair: &PairDraft, policy: Policy) {
    let unused = match policy {
        Policy::Strict => pair.timers.waits_for_silence(),
        Policy::Available => pair.timers.spans_of_grants(),
    };
    let (why, advice) = match policy {
        Policy::Strict => (
            "with policy \"strict\" silence proves nothing: the lease alone says how long a lost host is waited for",
            "remove it, and set lease instead",
        ),
        Policy::Available => (
            "with policy \"available\" there is no lease: nobody is kept from acting by time",
            "remove it, or set policy = \"strict\"",
        ),
    };
    for (at, key) in unused {
        let problem = Problem::new(ProblemKind::BrokenRule, key, why);
        report.warning(at, problem.advise(advice));
    }
}

/// The agents of a pair vote for each other, so each must be reachable from the other's machine.
fn check_reach(report: &mut Report, drafts: &Drafts, pair: &PairDraft) {
    let (Some(first), Some(second)) = (host_of(drafts, &pair.primary), host_of(drafts, &pair.backup)) else {
        return;
    };
    let (local, other) = match (first.is_local(), second.is_local()) {
        (true, false) => (first, second),
        (false, true) => (second, first),
        (true, true) | (false, false) => return,
    };
    let why = format!(
        "pair \"{}\" has a member on host \"{}\" and one on host \"{}\", which cannot reach an address that only its \
         own machine has: their agents cannot vote for each other, and losing the control server would stop the primary",
        pair.name.value, local.name.value, other.name.value
    );
    let problem = Problem::new(ProblemKind::BrokenRule, local.name.key.as_str(), why);
    report.warning(
        local.name.at,
        problem.advise(format!("give host \"{}\" an address that the other reaches", local.name.value)),
    );
}

/// Hosts that are this machine, where a control server may run: its loss would take two voters of some pairs.
pub(super) fn check_shared_machine(report: &mut Report, drafts: &Drafts, is_here: &dyn Fn(&str) -> bool) {
    for host in drafts.hosts.values() {
        if !host.addresses.iter().any(|address| is_here(&address.value)) {
            continue;
        }
        for policy in Policy::ALL {
            let pairs: Vec<&str> = drafts
                .pairs
                .values()
                .filter(|pair| pair.policy == Some(*policy) && has_one_member_on(drafts, pair, host))
                .map(|pair| pair.name.value.as_str())
                .collect();
            if pairs.is_empty() {
                continue;
            }
            let cost = match policy {
                Policy::Strict => {
                    "a primary on the other host has its own vote alone then, and steps down within its lease; one here \
                     is failed over by nobody"
                }
                Policy::Available => "a primary on the other host goes on; one here is failed over by nobody",
            };
            let why = format!(
                "host \"{}\" is this machine; if the control server runs here too, both are lost together. With policy \
                 \"{policy}\" ({}): {cost}",
                host.name.value,
                named(&pairs)
            );
            let problem = Problem::new(ProblemKind::BrokenRule, host.name.key.as_str(), why);
            report.warning(host.name.at, problem.advise("run the control server on a third machine"));
        }
    }
}

/// The first names of a list, and how many there are besides.
fn named(pairs: &[&str]) -> String {
    let shown = &pairs[..pairs.len().min(MOST_NAMED)];
    let more = match pairs.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("pair{} {}{more}", if pairs.len() == 1 { "" } else { "s" }, shown.join(", "))
}

fn has_one_member_on(drafts: &Drafts, pair: &PairDraft, host: &HostDraft) -> bool {
    let is_there = |member| host_of(drafts, member).is_some_and(|own| own.name.value == host.name.value);
    is_there(&pair.primary) != is_there(&pair.backup)
}

/// The host of a member, if both are known.
fn host_of<'d>(
    drafts: &'d Drafts,
    member: &Option<Found<understudy_model::ApplicationName>>,
) -> Option<&'d HostDraft> {
    let application: &ApplicationDraft = drafts.applications.get(&member.as_ref()?.value)?;
    drafts.hosts.get(&application.host.as_ref()?.value)
}

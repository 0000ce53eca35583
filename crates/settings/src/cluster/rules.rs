//! Rules across several values of `cluster.toml`.
//!
//! Knows no text. The law: each rule says why it exists, and a rule that cannot be judged because a value is missing
//! stays silent, as the missing value was reported.

use std::collections::BTreeMap;

use understudy_model::{ApplicationName, HostName, Interface, PairName, Policy, PortSpec, RestartPolicy};

use super::application::ApplicationDraft;
use super::pair::PairDraft;
use super::{Drafts, timers, unknown_name};
use crate::problem::{Problem, ProblemKind};
use crate::raw::{Found, Report};

/// Reports every rule that the drafts break.
pub(super) fn check(report: &mut Report, drafts: &Drafts) {
    check_hosts(report, drafts);
    check_hosts_of_applications(report, drafts);
    check_ports_of_hosts(report, drafts);
    check_memberships(report, drafts);
    super::after::check(report, &drafts.applications);
    for pair in drafts.pairs.values() {
        check_pair_name(report, drafts, pair);
        check_members(report, drafts, pair);
        check_timers(report, drafts, pair);
        super::relations::check(report, drafts, pair);
    }
}

fn check_hosts(report: &mut Report, drafts: &Drafts) {
    let mut taken: BTreeMap<&str, &HostName> = BTreeMap::new();
    for (host, draft) in &drafts.hosts {
        for address in &draft.addresses {
            if let Some(first) = taken.insert(&address.value, host) {
                let why = format!(
                    "{} is already the agent of host \"{first}\"; one agent serves one host",
                    address.value
                );
                report.broken(address.at, &address.key, why, "give each host its own address or lca-port");
            }
        }
    }
}

fn check_hosts_of_applications(report: &mut Report, drafts: &Drafts) {
    for application in drafts.applications.values() {
        if let Some(host) = &application.host
            && !drafts.hosts.contains_key(&host.value)
        {
            report.problem(host.at, unknown_name("host", host, drafts.hosts.keys().map(HostName::as_str)));
        }
    }
}

fn check_ports_of_hosts(report: &mut Report, drafts: &Drafts) {
    let mut taken: BTreeMap<(&HostName, u16), &Found<PortSpec>> = BTreeMap::new();
    let mut all: Vec<_> = drafts
        .applications
        .values()
        .filter_map(|application| application.host.as_ref().map(|host| (&host.value, application)))
        .flat_map(|(host, application)| {
            application.ports.ports.iter().map(move |port| (host, &application.name.value, port))
        })
        .collect();
    all.sort_by_key(|(_, _, port)| port.at);
    for (host, application, port) in all {
        let number = port.value.port;
        if let Some(first) = taken.get(&(host, number)) {
            let line = report.line(first.at);
            let why = format!(
                "\"{application}\" on host \"{host}\" cannot listen on port {number}, which is already taken there on line {line}: the later one would not start"
            );
            report.broken(port.at, &port.key, why, "give one of them another port");
        } else {
            taken.insert((host, number), port);
        }
    }
}

/// An application is a member of one pair at most.
fn check_memberships(report: &mut Report, drafts: &Drafts) {
    let mut pairs: Vec<&PairDraft> = drafts.pairs.values().collect();
    pairs.sort_by_key(|pair| pair.name.at);
    let mut taken: BTreeMap<&ApplicationName, (&PairName, &'static str)> = BTreeMap::new();
    for pair in pairs {
        for (place, member) in [("primary", &pair.primary), ("backup", &pair.backup)] {
            let Some(member) = member else { continue };
            let same_pair = [&pair.primary, &pair.backup]
                .into_iter()
                .all(|other| other.as_ref().is_some_and(|other| other.value == member.value));
            if same_pair {
                if place == "backup" {
                    let why = format!("\"{}\" cannot stand by for itself", member.value);
                    report.broken(member.at, &member.key, why, "name another application as backup");
                }
                continue;
            }
            let Some((other, its_place)) = taken.insert(&member.value, (&pair.name.value, place)) else {
                continue;
            };
            let why = if (its_place, place) == ("backup", "backup") {
                format!(
                    "\"{}\" is already the backup in pair \"{other}\"; a backup that serves two primaries could take over from one only",
                    member.value
                )
            } else {
                format!(
                    "\"{}\" is already the {its_place} in pair \"{other}\"; an application has one role at a time",
                    member.value
                )
            };
            report.broken(member.at, &member.key, why, "give each pair two applications of its own");
        }
    }
}

/// Commands take the name of a pair or of a member where a pair is meant, so a name must lead to one pair.
fn check_pair_name(report: &mut Report, drafts: &Drafts, pair: &PairDraft) {
    let name = pair.name.value.as_str();
    let own = [&pair.primary, &pair.backup].into_iter().flatten().any(|member| member.value.as_str() == name);
    let stranger = drafts.applications.keys().any(|application| application.as_str() == name);
    if stranger && !own {
        let why = format!(
            "pair \"{name}\" has the name of an application that is not its member; a command with that name would be ambiguous"
        );
        report.broken(pair.name.at, &pair.name.key, why, "give the pair another name");
    }
}

fn check_members(report: &mut Report, drafts: &Drafts, pair: &PairDraft) {
    for member in [&pair.primary, &pair.backup].into_iter().flatten() {
        match drafts.applications.get(&member.value) {
            None => {
                let known = drafts.applications.keys().map(ApplicationName::as_str);
                report.problem(member.at, unknown_name("application", member, known));
            }
            Some(application) => {
                check_restart(report, pair, application);
                check_hook_time(report, drafts, pair, application);
                check_keeps_data(report, pair, application);
            }
        }
    }
    let (Some(primary), Some(backup)) = (&pair.primary, &pair.backup) else { return };
    if primary.value == backup.value {
        return;
    }
    let find = |member: &Found<ApplicationName>| drafts.applications.get(&member.value);
    let (Some(first), Some(second)) = (find(primary), find(backup)) else { return };
    check_same_host(report, backup, first, second);
    if first.ports.whole && second.ports.whole {
        check_same_ports(report, backup, first, second);
    }
}

fn check_restart(report: &mut Report, pair: &PairDraft, application: &ApplicationDraft) {
    let restart = &application.restart;
    if restart.value != RestartPolicy::Never {
        return;
    }
    let why = format!(
        "\"{}\" is a member of pair \"{}\" and is not started again after it ends: the pair then has no backup until somebody starts it",
        application.name.value, pair.name.value
    );
    let problem = Problem::new(ProblemKind::BrokenRule, restart.key.as_str(), why);
    report.warning(restart.at, problem.advise("set auto-restart = true"));
}

/// The demotion as a whole has the fence budget, whatever its hook may take.
fn check_hook_time(report: &mut Report, drafts: &Drafts, pair: &PairDraft, application: &ApplicationDraft) {
    let conduct = application.conduct();
    let fence = timers::of_pair(drafts, pair).values.fence_budget;
    let limit = conduct.spec.hooks.timeout;
    if conduct.spec.hooks.on_demote.is_empty() || limit <= fence {
        return;
    }
    // A limit that nobody set says little; with leases it would still end in a kill that nobody thought of.
    let place = match &conduct.hook_timeout {
        Some(timeout) => timeout.with(()),
        None if pair.policy == Some(Policy::Strict) => pair.name.with(()),
        None => return,
    };
    let why = format!(
        "hooks of \"{}\" may take {}, and a demotion in pair \"{}\" must be confirmed within its fence-budget {}: a slower on-demote ends in a kill",
        application.name.value,
        crate::span::to_text(limit),
        pair.name.value,
        crate::span::to_text(fence)
    );
    let problem = Problem::new(ProblemKind::BrokenRule, place.key.as_str(), why);
    report.warning(place.at, problem.advise("raise fence-budget of the pair, or lower hooks.timeout"));
}

/// Only an application that speaks with its agent can say who has what it acknowledged.
fn check_keeps_data(report: &mut Report, pair: &PairDraft, application: &ApplicationDraft) {
    let Some(key) = pair.keep_data.as_ref().filter(|key| key.value) else { return };
    if application.interface() == Interface::Library {
        return;
    }
    let why = format!(
        "\"{}\" is a member of pair \"{}\" and does not use the library: it cannot say who has what it acknowledged, and both would count as having it",
        application.name.value, pair.name.value
    );
    report.broken(key.at, &key.key, why, "set interface = \"library\" on both members, or remove keep-data");
}

fn check_same_host(
    report: &mut Report,
    backup: &Found<ApplicationName>,
    first: &ApplicationDraft,
    second: &ApplicationDraft,
) {
    let (Some(one), Some(other)) = (&first.host, &second.host) else { return };
    if one.value == other.value {
        let why = format!("both members run on host \"{}\": its loss takes both", one.value);
        let problem = Problem::new(ProblemKind::BrokenRule, backup.key.as_str(), why);
        report.warning(backup.at, problem.advise("run the backup on another host"));
    }
}

/// The field's rule: number of ports, their ids and listening modes match.
fn check_same_ports(
    report: &mut Report,
    backup: &Found<ApplicationName>,
    first: &ApplicationDraft,
    second: &ApplicationDraft,
) {
    let (one, other) = (&first.ports.ports, &second.ports.ports);
    let names = (&first.name.value, &second.name.value);
    if one.len() != other.len() {
        let why = format!(
            "\"{}\" has {}, \"{}\" has {}; clients find each port of a member on the other after a change of roles",
            names.0,
            counted(one.len()),
            names.1,
            counted(other.len())
        );
        report.broken(backup.at, &backup.key, why, "give both members the same ports");
    }
    let mode_of = |ports: &[Found<PortSpec>], id: &str| {
        ports.iter().find(|port| port.value.id == id).map(|port| port.value.listening_mode)
    };
    for port in one {
        let PortSpec { id, listening_mode, .. } = &port.value;
        match mode_of(other, id) {
            None => {
                let why = format!(
                    "\"{}\" has no port with id \"{id}\", and \"{}\" has one; ids must match",
                    names.1, names.0
                );
                report.broken(backup.at, &backup.key, why, "give both members the same port ids");
            }
            Some(mode) if mode != *listening_mode => {
                let why = format!(
                    "port \"{id}\" is {listening_mode} on \"{}\" and {mode} on \"{}\"; a client speaks to both in the same way",
                    names.0, names.1
                );
                report.broken(backup.at, &backup.key, why, "give both ports the same listening-mode");
            }
            Some(_) => {}
        }
    }
    for port in other.iter().filter(|port| mode_of(one, &port.value.id).is_none()) {
        let id = &port.value.id;
        let why = format!(
            "\"{}\" has no port with id \"{id}\", and \"{}\" has one; ids must match",
            names.0, names.1
        );
        report.broken(backup.at, &backup.key, why, "give both members the same port ids");
    }
}

fn counted(ports: usize) -> String {
    if ports == 1 { "1 port".to_owned() } else { format!("{ports} ports") }
}

/// A demotion may take its whole budget, and the promotion after it needs as much again.
fn check_timers(report: &mut Report, drafts: &Drafts, pair: &PairDraft) {
    let timers = timers::of_pair(drafts, pair);
    let (switchover, fence) = (timers.values.switchover_timeout, timers.values.fence_budget);
    if switchover > fence * 2 {
        return;
    }
    let set = timers.set.switchover_timeout.or(timers.set.fence_budget);
    let (at, key) = set.unwrap_or_else(|| (pair.name.at, pair.name.key.clone()));
    let why = format!(
        "switchover-timeout {} of pair \"{}\" is not above twice its fence-budget {}: a demotion that takes its whole budget would leave no time for the promotion",
        crate::span::to_text(switchover),
        pair.name.value,
        crate::span::to_text(fence)
    );
    report.broken(at, &key, why, "raise switchover-timeout, or lower fence-budget");
}

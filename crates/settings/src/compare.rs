//! What changes between two checked clusters, and what may not change while it runs.
//!
//! Knows no files and no processes but the names of those that run. The law: all or nothing; a reload that breaks one
//! rule changes nothing. The rules on pairs are the field's own: no change of redundancy, host or port of a member
//! while a member runs, and no removal of a backup while both run; and at no time another name for a pair whose data must not be
//! lost, as who has it is known by that name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use understudy_model::{ApplicationName, ApplicationSpec, Cluster, HostName, Member, PairName, PairSpec};

/// One difference that may take effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The cluster has another name, or got its identity.
    ClusterChanged,
    /// A host is new.
    HostAdded(HostName),
    /// A host is gone.
    HostRemoved(HostName),
    /// A host has other addresses: its agent is connected to anew.
    HostChanged(HostName),
    /// An application is new.
    ApplicationAdded(ApplicationName),
    /// An application is gone.
    ApplicationRemoved(ApplicationName),
    /// An application has other settings; they hold from its next start.
    ApplicationChanged(ApplicationName),
    /// A pair is new.
    PairAdded(PairName),
    /// A pair is gone; its members are single applications, or gone as well.
    PairRemoved(PairName),
    /// A pair has other settings; they hold at once.
    PairChanged(PairName),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::ClusterChanged => write!(f, "the cluster's name or identity changed"),
            Change::HostAdded(name) => write!(f, "host {name} added"),
            Change::HostRemoved(name) => write!(f, "host {name} removed"),
            Change::HostChanged(name) => write!(f, "host {name} changed"),
            Change::ApplicationAdded(name) => write!(f, "application {name} added"),
            Change::ApplicationRemoved(name) => write!(f, "application {name} removed"),
            Change::ApplicationChanged(name) => write!(f, "application {name} changed, from its next start"),
            Change::PairAdded(name) => write!(f, "pair {name} added"),
            Change::PairRemoved(name) => write!(f, "pair {name} removed"),
            Change::PairChanged(name) => write!(f, "pair {name} changed"),
        }
    }
}

impl Change {
    /// The same with the settings that differ, in the words of the file.
    pub fn between(&self, old: &Cluster, new: &Cluster) -> String {
        let (subject, words, from) = match self {
            Change::HostChanged(name) => {
                let both = old.hosts.get(name).zip(new.hosts.get(name));
                (format!("host {name}"), both.map(|(old, new)| old.differs_in(new)), "")
            }
            Change::ApplicationChanged(name) => {
                let both = old.applications.get(name).zip(new.applications.get(name));
                let words = both.map(|(old, new)| old.differs_in(new));
                (format!("application {name}"), words, ", from its next start")
            }
            Change::PairChanged(name) => {
                let both = old.pairs.get(name).zip(new.pairs.get(name));
                (format!("pair {name}"), both.map(|(old, new)| old.differs_in(new)), "")
            }
            _ => return self.to_string(),
        };
        format!("{subject}: {} changed{from}", words.unwrap_or_default().join(", "))
    }
}

/// One difference that may not take effect now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Forbidden {
    /// What it is about: `pair tserver`, `application tserver-1`.
    pub subject: String,
    /// Which rule is broken, and why it exists.
    pub why: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.subject, self.why, self.advice)
    }
}

/// The differences from `old` to `new`, while the applications in `running` have a process or may have one.
///
/// Errors: every difference that must wait; then nothing may be applied.
pub fn compare(
    old: &Cluster,
    new: &Cluster,
    running: &BTreeSet<ApplicationName>,
) -> Result<Vec<Change>, Vec<Forbidden>> {
    let mut forbidden = Vec::new();
    if let (Some(before), after) = (old.id, new.id)
        && after != Some(before)
    {
        let why = format!(
            "its identity {before} cannot change: it tells this cluster's agents and records from others"
        );
        forbid(&mut forbidden, "cluster", why, "put the id back");
    }
    for (name, pair) in &old.pairs {
        forbid_in_pair(&mut forbidden, old, new, name, pair, running);
    }
    for (name, pair) in &new.pairs {
        forbid_new_members(&mut forbidden, old, name, pair, running);
        forbid_new_name(&mut forbidden, old, name, pair);
    }
    for (name, application) in &old.applications {
        if running.contains(name) {
            forbid_in_application(&mut forbidden, name, application, new.applications.get(name));
        }
    }
    if forbidden.is_empty() { Ok(changes(old, new)) } else { Err(forbidden) }
}

/// What becomes of the knowledge of who has everything that was acknowledged, where pairs with `keep-data` come and go: a
/// sentence for each. To be said when the differences take effect; none of them is wrong.
pub fn data_at_stake(old: &Cluster, new: &Cluster) -> Vec<String> {
    let keeps =
        |cluster: &Cluster, name: &PairName| cluster.pairs.get(name).is_some_and(|pair| pair.keep_data);
    let gone = old.pairs.keys().filter(|name| keeps(old, name) && !keeps(new, name)).map(|name| {
        format!(
            "pair {name} keeps its data no more: the record of who has everything that was acknowledged is forgotten; if it is to \
             keep it again, its last primary alone counts as having it, and under another name both members would"
        )
    });
    let come = new.pairs.iter().filter(|(name, pair)| pair.keep_data && !old.pairs.contains_key(*name));
    let come = come.map(|(name, pair)| {
        format!(
            "pair {name} is new and keeps its data: unless there was a primary of a pair of this name, {} and {} both count as \
             having everything, whatever they did before; see that they have the same data before they are started",
            pair.primary, pair.backup
        )
    });
    gone.chain(come).collect()
}

fn forbid(
    forbidden: &mut Vec<Forbidden>,
    subject: impl Into<String>,
    why: impl Into<String>,
    advice: impl Into<String>,
) {
    forbidden.push(Forbidden { subject: subject.into(), why: why.into(), advice: advice.into() });
}

fn forbid_in_pair(
    forbidden: &mut Vec<Forbidden>,
    old: &Cluster,
    new: &Cluster,
    name: &PairName,
    pair: &PairSpec,
    running: &BTreeSet<ApplicationName>,
) {
    let alive: Vec<&ApplicationName> = Member::BOTH
        .iter()
        .map(|member| pair.application(*member))
        .filter(|member| running.contains(*member))
        .collect();
    let Some(first_alive) = alive.first() else { return };
    let subject = format!("pair {name}");
    let stop_all = format!("stop {} and {} first", pair.primary, pair.backup);
    let after = new.pairs.get(name);
    let removed = after.is_none() || !new.applications.contains_key(&pair.backup);
    if removed && alive.len() == 2 {
        let why =
            "its backup cannot be removed while both members run: they would be two primaries without a pair";
        forbid(forbidden, &subject, why, format!("stop {} or {} first", pair.primary, pair.backup));
    }
    let Some(after) = after else { return };
    if (&after.primary, &after.backup) != (&pair.primary, &pair.backup) {
        let why = format!(
            "its members cannot change while {first_alive} runs: the other one would not know the role that was given"
        );
        forbid(forbidden, &subject, why, &stop_all);
    }
    if after.redundancy != pair.redundancy {
        let why = format!(
            "its redundancy cannot change while {first_alive} runs: both members were started for {}",
            pair.redundancy
        );
        forbid(forbidden, &subject, why, &stop_all);
    }
    if after.policy != pair.policy {
        let why = format!(
            "its policy cannot change from {} to {} while {first_alive} runs: who acts now acts by the rules of the \
             former one, and nobody could vouch for the other's",
            pair.policy, after.policy
        );
        let advice = format!("write policy = \"{}\" to keep it, or {stop_all}", pair.policy);
        forbid(forbidden, &subject, why, advice);
    }
    if after.keep_data != pair.keep_data {
        let why = format!(
            "keep-data cannot change while {first_alive} runs: what it has acknowledged so far went by the former rule, and \
             nobody could say who has it"
        );
        forbid(forbidden, &subject, why, &stop_all);
    }
    for member in Member::BOTH.map(|member| pair.application(member)) {
        let (Some(before), Some(after)) = (old.applications.get(member), new.applications.get(member)) else {
            continue;
        };
        // A running application's own host is judged with the application.
        if before.host != after.host && !running.contains(member) {
            let why = format!(
                "the host of {member} cannot change while {first_alive} runs: its peer was told where it is"
            );
            forbid(forbidden, &subject, why, &stop_all);
        }
        if before.ports != after.ports {
            let why = format!(
                "the ports of {member} cannot change while {first_alive} runs: its peer and clients were told of them"
            );
            forbid(forbidden, &subject, why, &stop_all);
        }
    }
}

/// A running application does not become a member of a new pair: it was started without a role in it.
fn forbid_new_members(
    forbidden: &mut Vec<Forbidden>,
    old: &Cluster,
    name: &PairName,
    pair: &PairSpec,
    running: &BTreeSet<ApplicationName>,
) {
    if old.pairs.contains_key(name) {
        return;
    }
    for member in Member::BOTH.map(|member| pair.application(member)) {
        if running.contains(member) && old.applications.contains_key(member) {
            let why = format!("{member} cannot become a member while it runs: it was not started as one");
            forbid(forbidden, format!("pair {name}"), why, format!("stop {member} first"));
        }
    }
}

/// Who has everything that was acknowledged, and the highest epoch, are known of a pair by its name. Under another name both
/// members would count as having it, and the epochs would begin again below tokens that were used.
fn forbid_new_name(forbidden: &mut Vec<Forbidden>, old: &Cluster, name: &PairName, pair: &PairSpec) {
    if old.pairs.contains_key(name) {
        return;
    }
    let former = Member::BOTH.iter().find_map(|member| {
        let member = pair.application(*member);
        let (former, spec) = old.pair_of(member)?;
        (spec.keep_data || pair.keep_data).then_some((member, former))
    });
    if let Some((member, former)) = former {
        let why = format!(
            "{member} is a member of pair {former}, and data is kept: who has everything that was acknowledged is known of {former} \
             alone, and in a pair of another name both members would count as having it"
        );
        let advice = format!(
            "keep the name {former}; or give both members the same data, have {former} removed by one reload, and {name} \
             added by the next"
        );
        forbid(forbidden, format!("pair {name}"), why, advice);
    }
}

fn forbid_in_application(
    forbidden: &mut Vec<Forbidden>,
    name: &ApplicationName,
    before: &ApplicationSpec,
    after: Option<&ApplicationSpec>,
) {
    let subject = format!("application {name}");
    let advice = format!("stop {name} first");
    match after {
        None => {
            let why = "it cannot be removed while it runs or may be started: nobody would watch it";
            forbid(forbidden, subject, why, advice);
        }
        Some(after) if after.host != before.host => {
            let why = format!(
                "it cannot move from host {} to {} while it runs: it would run on both",
                before.host, after.host
            );
            forbid(forbidden, subject, why, advice);
        }
        Some(after) if after.interface != before.interface => {
            let why = "its interface cannot change while it runs: its process speaks the one that it was started with";
            forbid(forbidden, subject, why, advice);
        }
        Some(_) => {}
    }
}

fn changes(old: &Cluster, new: &Cluster) -> Vec<Change> {
    let mut changes = Vec::new();
    if (&old.name, old.id) != (&new.name, new.id) {
        changes.push(Change::ClusterChanged);
    }
    let hosts = [Change::HostRemoved, Change::HostAdded, Change::HostChanged];
    let applications = [Change::ApplicationRemoved, Change::ApplicationAdded, Change::ApplicationChanged];
    let pairs = [Change::PairRemoved, Change::PairAdded, Change::PairChanged];
    differences(&mut changes, &old.hosts, &new.hosts, hosts);
    differences(&mut changes, &old.applications, &new.applications, applications);
    differences(&mut changes, &old.pairs, &new.pairs, pairs);
    changes
}

fn differences<N: Ord + Clone, S: PartialEq>(
    changes: &mut Vec<Change>,
    old: &BTreeMap<N, S>,
    new: &BTreeMap<N, S>,
    [removed, added, changed]: [fn(N) -> Change; 3],
) {
    let names: BTreeSet<&N> = old.keys().chain(new.keys()).collect();
    for name in names {
        match (old.get(name), new.get(name)) {
            (Some(_), None) => changes.push(removed(name.clone())),
            (None, Some(_)) => changes.push(added(name.clone())),
            (Some(before), Some(after)) if before != after => changes.push(changed(name.clone())),
            _ => {}
        }
    }
}

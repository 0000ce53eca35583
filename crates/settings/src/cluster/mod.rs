//! `cluster.toml` to a checked cluster.
//!
//! Knows no files. The law: first keys, then single values, then rules across them; a cluster comes out only if all
//! three found nothing to mend.

mod addp;
mod after;
mod application;
mod conduct;
mod host;
mod pair;
mod port;
mod process;
mod relations;
mod rules;
mod timers;

use std::collections::BTreeMap;

use understudy_model::{
    AddpSettings, ApplicationName, ApplicationSpec, Cluster, ClusterId, HostName, PairName, PairSpec,
};

use application::ApplicationDraft;
use host::HostDraft;
use pair::PairDraft;
use timers::TimerDrafts;

use crate::problem::{Problem, ProblemKind, Problems};
use crate::raw::{Found, Report, Table, View, check_keys, parse};
use crate::schema::cluster::CLUSTER_FILE;
use crate::{Checked, nearest, values};

/// Longest name of a cluster, in characters.
const LONGEST_CLUSTER_NAME: usize = 63;

/// Everything read from the file, before the rules across values.
struct Drafts {
    hosts: BTreeMap<HostName, HostDraft>,
    applications: BTreeMap<ApplicationName, ApplicationDraft>,
    pairs: BTreeMap<PairName, PairDraft>,
    timers: TimerDrafts,
    /// How the link of a host that says nothing is watched.
    addp: AddpSettings,
}

/// Checks the text of `cluster.toml`; `file` is what messages call it.
///
/// Errors: everything that must be mended. Warnings: everything that is allowed and worth a look.
pub fn parse_cluster(file: &str, text: &str) -> Result<Checked<Cluster>, Problems> {
    parse_cluster_on(file, text, &|_| false)
}

/// The same on a machine that has the addresses of which `is_here` is true: a control server there would be lost together
/// with such a host, which is a warning.
pub fn parse_cluster_on(
    file: &str,
    text: &str,
    is_here: &dyn Fn(&str) -> bool,
) -> Result<Checked<Cluster>, Problems> {
    let mut report = Report::new(file, text);
    let cluster = parse(&mut report, text).and_then(|tree| read(&mut report, &tree, is_here));
    report.finish(cluster)
}

fn read(report: &mut Report, tree: &Table, is_here: &dyn Fn(&str) -> bool) -> Option<Cluster> {
    check_keys(report, "", tree, CLUSTER_FILE);
    let file = View::new("", tree);
    let (name, id) = read_cluster(report, file);
    let applications = application::read_all(report, file);
    let timers = timers::read_base(report, file);
    let drafts = Drafts {
        hosts: host::read_all(report, file),
        pairs: pair::read_all(report, file, &applications),
        applications,
        addp: addp::base(report, file, timers.preset()),
        timers,
    };
    rules::check(report, &drafts);
    relations::check_shared_machine(report, &drafts, is_here);
    if !report.is_clean() {
        return None;
    }
    build(name?, id, drafts)
}

fn read_cluster(report: &mut Report, file: View<'_>) -> (Option<String>, Option<ClusterId>) {
    let Some(table) = file.table("cluster") else {
        if file.raw("cluster").is_none() {
            report.missing(0, "cluster".to_owned(), "write [cluster] with name = \"...\"");
        }
        return (None, None);
    };
    let view = View::new("cluster", table.value);
    if view.raw("name").is_none() {
        report.missing(table.at, view.key("name"), "it is what people call the cluster");
    }
    let name = view.text(report, "name").filter(|name| {
        let short = name.value.chars().count() <= LONGEST_CLUSTER_NAME;
        if !short {
            let problem =
                Problem::new(ProblemKind::BadValue, name.key.as_str(), "too long").found(name.value);
            report.problem(name.at, problem.allowed(format!("at most {LONGEST_CLUSTER_NAME} characters")));
        }
        short
    });
    (name.map(|name| name.value.to_owned()), read_id(report, view))
}

fn read_id(report: &mut Report, view: View<'_>) -> Option<ClusterId> {
    let text = view.text(report, "id")?;
    let digits: String = text.value.chars().filter(|c| *c != '-').collect();
    let plain = digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
    let id = if plain { ClusterId::try_from(digits).ok() } else { None };
    if id.is_none() {
        let problem = Problem::new(ProblemKind::BadValue, text.key.as_str(), "not an allowed value");
        let allowed = "32 hexadecimal digits, with or without hyphens";
        report.problem(text.at, problem.found(format!("{:?}", text.value)).allowed(allowed));
    }
    id
}

/// Keeps an object under its name; a name used twice is a problem at the second use.
fn keep<N: Ord + Clone + std::fmt::Display, D>(
    report: &mut Report,
    kept: &mut BTreeMap<N, D>,
    noun: &str,
    name: &Found<N>,
    first_at: impl Fn(&D) -> usize,
    draft: D,
) {
    if let Some(first) = kept.get(&name.value) {
        let line = report.line(first_at(first));
        let why = format!(
            "{noun} \"{}\" is already on line {line}; names are compared without case, and a command must reach one thing",
            name.value
        );
        report.broken(name.at, &name.key, why, "give one of them another name");
    } else {
        kept.insert(name.value.clone(), draft);
    }
}

/// The problem that a name is not known.
fn unknown_name<'n>(
    noun: &str,
    name: &Found<impl std::fmt::Display>,
    known: impl Iterator<Item = &'n str>,
) -> Problem {
    let text = name.value.to_string();
    let why = format!("there is no {noun} \"{text}\" in this file");
    let guess = nearest(&text, known);
    Problem::new(ProblemKind::UnknownName, name.key.as_str(), why).nearest(guess)
}

/// The checked cluster. None only if a draft is incomplete, which was reported then.
fn build(name: String, id: Option<ClusterId>, drafts: Drafts) -> Option<Cluster> {
    let mut pairs = BTreeMap::new();
    for (pair, draft) in &drafts.pairs {
        let spec = PairSpec {
            primary: draft.primary.as_ref()?.value.clone(),
            backup: draft.backup.as_ref()?.value.clone(),
            redundancy: draft.redundancy,
            policy: draft.policy?,
            on_crash: draft.on_crash,
            keep_data: draft.keep_data.as_ref().is_some_and(|found| found.value),
            timers: timers::of_pair(&drafts, draft).values,
        };
        pairs.insert(pair.clone(), spec);
    }
    let mut applications: BTreeMap<ApplicationName, ApplicationSpec> = BTreeMap::new();
    let limits: Vec<_> =
        drafts.applications.values().map(|draft| timers::hang_limit_of(&drafts, draft)).collect();
    for ((application, draft), hang_limit) in drafts.applications.into_iter().zip(limits) {
        applications.insert(application, draft.into_spec(hang_limit)?);
    }
    let hosts = drafts.hosts.into_iter().map(|(host, draft)| (host, draft.into_spec(drafts.addp))).collect();
    Some(Cluster { name, id, hosts, applications, pairs })
}

/// The absolute path of a value, shared with the application's keys.
fn optional_path(report: &mut Report, view: View<'_>, key: &str) -> Option<String> {
    let text = view.text(report, key)?;
    values::check_path(report, &text, text.value).then(|| text.value.to_owned())
}

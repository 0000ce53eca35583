//! The rules of `after`: what starts first is there, on the same host, and nobody waits for himself.
//!
//! Knows no time. The law: a circle is named with its whole path, once.

use std::collections::{BTreeMap, BTreeSet};

use understudy_model::ApplicationName;

use super::application::ApplicationDraft;
use super::unknown_name;
use crate::raw::{Found, Report};

type Drafts = BTreeMap<ApplicationName, ApplicationDraft>;

/// Reports every rule that is broken.
pub(super) fn check(report: &mut Report, applications: &Drafts) {
    for application in applications.values() {
        for first in application.after() {
            check_one(report, applications, application, first);
        }
    }
    check_circles(report, applications);
}

fn check_one(
    report: &mut Report,
    applications: &Drafts,
    application: &ApplicationDraft,
    first: &Found<ApplicationName>,
) {
    let Some(other) = applications.get(&first.value) else {
        let known = applications.keys().map(ApplicationName::as_str);
        return report.problem(first.at, unknown_name("application", first, known));
    };
    if let (Some(own), Some(its)) = (&application.host, &other.host)
        && own.value != its.value
    {
        let why = format!(
            "\"{}\" runs on host \"{}\", \"{}\" on host \"{}\"; an agent knows the order of its own host only",
            application.name.value, own.value, first.value, its.value
        );
        report.broken(first.at, &first.key, why, "name applications of the same host");
    }
}

/// Walks from each application along `after`; each circle is reported at the first of its members by name.
fn check_circles(report: &mut Report, applications: &Drafts) {
    let mut done: BTreeSet<&ApplicationName> = BTreeSet::new();
    for name in applications.keys() {
        // The path walked so far, each with the next of its names to look at.
        let mut path: Vec<(&ApplicationName, usize)> = vec![(name, 0)];
        while let Some((at, next)) = path.last_mut() {
            let (at, index) = (*at, *next);
            *next += 1;
            let Some(draft) = applications.get(at).filter(|_| !done.contains(at)) else {
                path.pop();
                continue;
            };
            let Some(first) = draft.after().get(index) else {
                done.insert(at);
                path.pop();
                continue;
            };
            match path.iter().position(|(seen, _)| **seen == first.value) {
                Some(start) => tell_circle(report, first, path[start..].iter().map(|(name, _)| *name)),
                None => path.push((&first.value, 0)),
            }
        }
    }
}

fn tell_circle<'n>(
    report: &mut Report,
    at: &Found<ApplicationName>,
    circle: impl Iterator<Item = &'n ApplicationName>,
) {
    let mut names: Vec<String> = circle.map(|name| format!("\"{name}\"")).collect();
    names.extend(names.first().cloned());
    let why = format!("{}: each waits for the next, so none of them would ever start", names.join(" after "));
    report.broken(at.at, &at.key, why, "take one of them out of `after`");
}

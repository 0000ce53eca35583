//! `[[pair]]`, and the seeds' form on the primary application: who stands by for whom.
//!
//! Knows no ports and hosts. The law: both forms give the same pair.

use std::collections::BTreeMap;

use understudy_model::{ApplicationName, OnCrash, PairName, Policy, Redundancy};

use super::application::ApplicationDraft;
use super::keep;
use super::timers::{TimerDrafts, read_changes};
use crate::raw::{Found, Report, View};
use crate::values;

/// A pair as read.
pub(super) struct PairDraft {
    /// Its name.
    pub(super) name: Found<PairName>,
    /// Primary the very first time.
    pub(super) primary: Option<Found<ApplicationName>>,
    /// The other member.
    pub(super) backup: Option<Found<ApplicationName>>,
    /// How much the backup knows.
    pub(super) redundancy: Redundancy,
    /// What is preferred in doubt; none if it could not be read, which was reported.
    pub(super) policy: Option<Policy>,
    /// What follows a crash.
    pub(super) on_crash: OnCrash,
    /// Nobody is promoted who lacks what was acknowledged.
    pub(super) keep_data: Option<Found<bool>>,
    /// Timers set on it.
    pub(super) timers: TimerDrafts,
}

/// Every pair of the file, in either form.
pub(super) fn read_all(
    report: &mut Report,
    file: View<'_>,
    applications: &BTreeMap<ApplicationName, ApplicationDraft>,
) -> BTreeMap<PairName, PairDraft> {
    let mut pairs = BTreeMap::new();
    for table in file.tables("pair") {
        let view = View::new("pair", table);
        let advice = "commands name it";
        let Some(named) = values::name_or_stand_in(view, report, advice, &pairs) else { continue };
        let draft = read(report, view, named.clone());
        keep(report, &mut pairs, "pair", &named, |first: &PairDraft| first.name.at, draft);
    }
    for application in applications.values() {
        let Some(draft) = read_seed_form(report, application) else { continue };
        let named = draft.name.clone();
        keep(report, &mut pairs, "pair", &named, |first: &PairDraft| first.name.at, draft);
    }
    pairs
}

fn read(report: &mut Report, view: View<'_>, name: Found<PairName>) -> PairDraft {
    let redundancies: Vec<_> = Redundancy::ALL.iter().map(|word| word.as_str()).collect();
    let crashes: Vec<_> = OnCrash::ALL.iter().map(|word| word.as_str()).collect();
    let redundancy = view.word(report, "redundancy", &redundancies, Redundancy::from_word);
    let on_crash = view.word(report, "on-crash", &crashes, OnCrash::from_word);
    let policies: Vec<_> = Policy::ALL.iter().map(|word| word.as_str()).collect();
    let policy = view.word(report, "policy", &policies, Policy::from_word);
    let keep_data = view.boolean(report, "keep-data");
    let timers = read_changes(report, view);
    let primary = values::needed_name(view, report, "primary", "it is primary the very first time");
    let backup = values::needed_name(view, report, "backup", "it stands by for the primary");
    PairDraft {
        name,
        primary,
        backup,
        redundancy: redundancy.map_or(Redundancy::WarmStandby, |found| found.value),
        policy: if view.raw("policy").is_some() {
            policy.map(|found| found.value)
        } else {
            Some(Policy::DEFAULT)
        },
        on_crash: on_crash.map_or(OnCrash::Failover, |found| found.value),
        keep_data,
        timers,
    }
}

fn read_seed_form(report: &mut Report, application: &ApplicationDraft) -> Option<PairDraft> {
    let Some(backup) = &application.backup else {
        if let Some(redundancy) = &application.redundancy {
            let why = "redundancy without a backup says nothing";
            let advice = "name the backup on the same application, or write the pair as [[pair]]";
            report.broken(redundancy.at, &redundancy.key, why, advice);
        }
        return None;
    };
    // Names of pairs and of applications follow one rule, so this cannot fail.
    let name = PairName::new(application.name.value.as_str()).ok()?;
    Some(PairDraft {
        name: backup.with(name),
        primary: Some(backup.with(application.name.value.clone())),
        backup: Some(backup.clone()),
        redundancy: application.redundancy.as_ref().map_or(Redundancy::WarmStandby, |found| found.value),
        policy: Some(Policy::DEFAULT),
        on_crash: OnCrash::Failover,
        keep_data: None,
        timers: TimerDrafts::default(),
    })
}

//! What a chaos run counts.
//!
//! It knows names and numbers. The law: everything that was done is counted, and every violation has its phase.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::faults::ROLES;
use crate::figures::Figures;
use crate::load::LoadSummary;

/// Violations that are listed; all are counted.
const MOST_LISTED: usize = 100;

/// The counts of one run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    seed: u64,
    minutes: u64,
    pairs: u8,
    phases: u64,
    kills: BTreeMap<String, u64>,
    combinations: BTreeMap<String, u64>,
    switchovers: BTreeMap<&'static str, u64>,
    events: BTreeMap<String, u64>,
    promotions: BTreeMap<String, u64>,
    outages_ms: Vec<f64>,
    writes_acknowledged: u64,
    /// Writes that a member had only in its memory when it was killed, where that is all that can have happened.
    lost_in_place: u64,
    dual_primary_observations: u64,
    lower_epoch_answers: u64,
    well_again_ms: Vec<f64>,
    violations: u64,
    listed: Vec<Value>,
}

impl Summary {
    pub fn new(seed: u64, minutes: u64, pairs: u8) -> Self {
        Self { seed, minutes, pairs, ..Self::default() }
    }

    /// Several things were killed together.
    pub fn killed(&mut self, names: &[String]) {
        let mut sorted = names.to_vec();
        sorted.sort();
        for name in &sorted {
            *self.kills.entry(name.clone()).or_default() += 1;
        }
        if !sorted.is_empty() {
            *self.combinations.entry(sorted.join(" + ")).or_default() += 1;
        }
    }

    /// The combinations of roles that were not killed together yet.
    fn never_killed(&self) -> Vec<String> {
        let every = (1..1_u32 << ROLES.len()).map(|combination| {
            let chosen = ROLES.iter().enumerate().filter(|(bit, _)| combination & (1 << bit) != 0);
            let mut names: Vec<&str> = chosen.map(|(_, name)| *name).collect();
            names.sort_unstable();
            names.join(" + ")
        });
        every.filter(|name| !self.combinations.contains_key(name)).collect()
    }

    /// A switchover was asked for, and this was the first answer.
    pub fn switchover(&mut self, answer: &'static str) {
        *self.switchovers.entry(answer).or_default() += 1;
    }

    /// An event of the journal.
    pub fn event(&mut self, kind: &str, rule: &str) {
        *self.events.entry(kind.to_owned()).or_default() += 1;
        if kind == "promotion-ordered" {
            *self.promotions.entry(rule.to_owned()).or_default() += 1;
        }
    }

    /// What one client measured in a phase. A call server keeps writes in its memory, and one that is killed while no
    /// control server leads is started again in place, in the same epoch: with a killed member, writes may be gone.
    pub fn client(&mut self, pair: &str, client: &LoadSummary, any_killed: bool) {
        self.outages_ms.extend(client.outages.iter().map(|outage| outage.ms));
        self.writes_acknowledged += client.writes_acknowledged;
        self.dual_primary_observations += client.dual_primary_observations;
        self.lower_epoch_answers += client.lower_epoch_answers;
        if client.dual_primary_observations > 0 {
            self.violation(format!("{pair}: two primaries, {} times", client.dual_primary_observations));
        }
        if client.lower_epoch_answers > 0 {
            self.violation(format!(
                "{pair}: {} answers of an epoch that was over",
                client.lower_epoch_answers
            ));
        }
        match client.lost_of_all() {
            Some(lost) if lost > 0 && any_killed => self.lost_in_place += lost,
            Some(lost) if lost > 0 => {
                self.violation(format!(
                    "{pair}: {lost} acknowledged writes are gone though no member was killed"
                ));
            }
            _ => {}
        }
        if client.writes_acknowledged == 0 {
            self.violation(format!("{pair}: no write was acknowledged in a whole phase"));
        }
    }

    /// A phase is over; after its faults the cluster was well again after so long.
    pub fn phase_done(&mut self, well_again_ms: f64) {
        self.phases += 1;
        self.well_again_ms.push(well_again_ms);
    }

    /// Something that must never be.
    pub fn violation(&mut self, what: String) {
        self.violations += 1;
        eprintln!("VIOLATION in phase {}: {what}", self.phases + 1);
        if self.listed.len() < MOST_LISTED {
            self.listed.push(json!({ "phase": self.phases + 1, "what": what }));
        }
    }

    pub fn is_clean(&self) -> bool {
        self.violations == 0
    }

    /// For whoever watches.
    pub fn one_line(&self) -> String {
        let kills: u64 = self.kills.values().sum();
        format!(
            "phase {}: {kills} kills in {} combinations, {} outages, {} violations so far",
            self.phases,
            self.combinations.len(),
            self.outages_ms.len(),
            self.violations
        )
    }

    pub fn to_json(&self) -> Value {
        json!({
            "soak": "chaos",
            "seed": self.seed,
            "minutes": self.minutes,
            "pairs": self.pairs,
            "phases": self.phases,
            "kills": self.kills,
            "combinations": self.combinations,
            "combinations_never_killed": self.never_killed(),
            "switchovers": self.switchovers,
            "promotions_by_rule": self.promotions,
            "events_by_kind": self.events,
            "outages_ms": Figures::of_ms(&self.outages_ms).summed(),
            "well_again_ms": Figures::of_ms(&self.well_again_ms).summed(),
            "writes_acknowledged": self.writes_acknowledged,
            "acknowledged_lost_in_place": self.lost_in_place,
            "dual_primary_observations": self.dual_primary_observations,
            "lower_epoch_answers": self.lower_epoch_answers,
            "violations": self.violations,
            "violations_listed": self.listed,
            "ok": self.is_clean(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combination_has_one_name_whatever_the_order() {
        let mut summary = Summary::new(1, 1, 1);
        summary.killed(&["primary".to_owned(), "backup".to_owned()]);
        summary.killed(&["backup".to_owned(), "primary".to_owned()]);
        summary.killed(&[]);
        let json = summary.to_json();
        assert_eq!(json["combinations"], json!({ "backup + primary": 2 }));
        assert_eq!(json["kills"], json!({ "backup": 2, "primary": 2 }));
        assert_eq!(json["ok"], true);
        let never = json["combinations_never_killed"].as_array().unwrap();
        assert!(never.len() == 30 && !never.contains(&json!("backup + primary")), "{never:?}");
    }

    #[test]
    fn what_a_client_proves_is_a_violation() {
        let mut summary = Summary::new(1, 1, 1);
        let mut client = LoadSummary {
            writes_acknowledged: 10,
            acknowledged_checked: Some(10),
            acknowledged_lost: Some(0),
            outages: Vec::new(),
            longest_outage_ms: 0.0,
            dual_primary_observations: 0,
            lower_epoch_answers: 0,
        };
        summary.client("p", &client, false);
        assert!(summary.is_clean());
        client.dual_primary_observations = 2;
        summary.client("p", &client, false);
        assert_eq!(summary.to_json()["violations"], 1);
        client.acknowledged_lost = Some(1);
        summary.client("p", &client, false);
        assert_eq!(summary.to_json()["violations"], 3);
        client.dual_primary_observations = 0;
        summary.client("p", &client, true);
        let json = summary.to_json();
        assert_eq!((&json["violations"], &json["acknowledged_lost_in_place"]), (&json!(3), &json!(1)));
    }
}

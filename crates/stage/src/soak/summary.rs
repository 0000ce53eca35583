//! What a chaos run counts.
//!
//! It knows names and numbers. The law: everything that was done is counted, and every violation has its phase.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use understudy_model::Policy;

use super::faults::ROLES;
use super::watch::Seen;
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
    policy: &'static str,
    guards_killed: u64,
    /// Members that nobody killed and that have another process: their votes had run out.
    ended_by_leases: u64,
    page_looks: u64,
    load_averages: Vec<String>,
    phases: u64,
    kills: BTreeMap<String, u64>,
    combinations: BTreeMap<String, u64>,
    /// Cuts, bad networks and stops, by their names.
    strains: BTreeMap<&'static str, u64>,
    /// Why there are none.
    without_strains: Option<String>,
    /// Questions to members that had no answer in time and were asked again.
    asked_again: u64,
    /// How long two may have acted each time, in seconds, as the control server said when a lost host was heard again.
    two_acted_s: Vec<f64>,
    /// Phases in which a client saw two primaries because of a cut or a stop.
    phases_with_two: u64,
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
    pub fn new(seed: u64, minutes: u64, pairs: u8, policy: Policy) -> Self {
        Self { seed, minutes, pairs, policy: policy.as_str(), ..Self::default() }
    }

    /// There will be no cuts and stops.
    pub fn without_strains(&mut self, why: String) {
        self.without_strains = Some(why);
    }

    /// Members were asked so often again who serves, as one had not answered in time.
    pub fn asked_again(&mut self, times: u64) {
        self.asked_again += times;
    }

    /// A lasting fault has begun.
    pub fn strained(&mut self, name: &'static str) {
        *self.strains.entry(name).or_default() += 1;
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

    /// So many guards were killed in one stroke.
    pub fn guards_killed(&mut self, guards: u64) {
        self.guards_killed += guards;
    }

    /// Members were ended in a phase because their votes had run out.
    pub fn ended_by_leases(&mut self, members: usize) {
        self.ended_by_leases += members as u64;
    }

    /// What the role pages of a pair said in a phase.
    pub fn pages(&mut self, pair: &str, seen: &Seen) {
        self.page_looks += seen.looks;
        if seen.both > 0 {
            self.violation(format!("{pair}: both pages let their members act, at {} looks", seen.both));
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
    pub fn event(&mut self, kind: &str, rule: &str, reason: &str) {
        let acted = reason.split_once("two may have acted for ").and_then(|(_, span)| span.split_once(" s"));
        self.two_acted_s.extend(acted.and_then(|(seconds, _)| seconds.parse::<f64>().ok()));
        *self.events.entry(kind.to_owned()).or_default() += 1;
        if kind == "promotion-ordered" {
            *self.promotions.entry(rule.to_owned()).or_default() += 1;
        }
    }

    /// What one client measured in a phase. A call server keeps writes in its memory, and one that is killed while no
    /// control server leads is started again in place, in the same epoch: with a killed member, writes may be gone.
    ///
    /// `unexplained`: two may have acted in this phase because of a cut or a stop, and so many of the moments that the client
    /// listed lie outside of those.
    pub fn client(&mut self, pair: &str, client: &LoadSummary, any_killed: bool, unexplained: Option<usize>) {
        self.outages_ms.extend(client.outages.iter().map(|outage| outage.ms));
        self.writes_acknowledged += client.writes_acknowledged;
        self.dual_primary_observations += client.dual_primary_observations;
        self.lower_epoch_answers += client.lower_epoch_answers;
        match unexplained {
            None | Some(0) => {}
            Some(times) => {
                self.violation(format!("{pair}: two primaries long after any cut or stop, {times} times"));
            }
        }
        let explained = unexplained.is_some();
        if client.dual_primary_observations > 0 && explained {
            self.phases_with_two += 1;
        } else if client.dual_primary_observations > 0 {
            self.violation(format!("{pair}: two primaries, {} times", client.dual_primary_observations));
        }
        if client.lower_epoch_answers > 0 && !explained {
            self.violation(format!(
                "{pair}: {} answers of an epoch that was over",
                client.lower_epoch_answers
            ));
        }
        match client.lost_of_all() {
            Some(lost) if lost > 0 && (any_killed || explained) => self.lost_in_place += lost,
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
        self.load_averages.extend(super::load_average());
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
            "phase {}: {kills} kills in {} combinations, {} cuts and stops, {} outages, {} violations so far",
            self.phases,
            self.combinations.len(),
            self.strains.values().sum::<u64>(),
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
            "policy": self.policy,
            "guards_killed": self.guards_killed,
            "ended_by_leases": self.ended_by_leases,
            "page_looks": self.page_looks,
            "load_averages": self.load_averages,
            "phases": self.phases,
            "kills": self.kills,
            "combinations": self.combinations,
            "combinations_never_killed": self.never_killed(),
            "strains": self.strains,
            "no_strains_because": self.without_strains,
            "two_acted": {
                "times": self.two_acted_s.len(),
                "longest_s": self.two_acted_s.iter().copied().fold(0.0, f64::max),
                "total_s": self.two_acted_s.iter().sum::<f64>(),
                "client_phases": self.phases_with_two,
            },
            "asked_again": self.asked_again,
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
        let mut summary = Summary::new(1, 1, 1, Policy::Available);
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
        let mut summary = Summary::new(1, 1, 1, Policy::Available);
        let mut client = LoadSummary {
            writes_acknowledged: 10,
            acknowledged_checked: Some(10),
            acknowledged_lost: Some(0),
            outages: Vec::new(),
            longest_outage_ms: 0.0,
            dual_primary_observations: 0,
            lower_epoch_answers: 0,
            stale_rejected: 0,
            stale_accepted: 0,
        };
        summary.client("p", &client, false, None);
        assert!(summary.is_clean());
        client.dual_primary_observations = 2;
        summary.client("p", &client, false, None);
        assert_eq!(summary.to_json()["violations"], 1);
        client.acknowledged_lost = Some(1);
        summary.client("p", &client, false, None);
        assert_eq!(summary.to_json()["violations"], 3);
        client.dual_primary_observations = 0;
        summary.client("p", &client, true, None);
        let json = summary.to_json();
        assert_eq!((&json["violations"], &json["acknowledged_lost_in_place"]), (&json!(3), &json!(1)));
        // During a cut it is counted, and long after it is a violation all the same.
        client.dual_primary_observations = 5;
        summary.client("p", &client, false, Some(0));
        assert_eq!(summary.to_json()["two_acted"]["client_phases"], 1);
        assert_eq!(summary.to_json()["violations"], 3);
        summary.client("p", &client, false, Some(1));
        assert_eq!(summary.to_json()["violations"], 4);
    }

    #[test]
    fn how_long_two_acted_is_read_from_what_the_control_server_says() {
        let mut summary = Summary::new(1, 1, 1, Policy::Available);
        summary.event("anomaly", "host-returned", "t-1 serves no more; two may have acted for 6.1 s");
        summary.event("anomaly", "host-returned", "t-1 is heard again after 6.1 s and does not act");
        summary.event("anomaly", "host-returned", "t-2 serves no more; two may have acted for 0.4 s");
        let acted = summary.to_json()["two_acted"].clone();
        assert_eq!((&acted["times"], &acted["longest_s"]), (&json!(2), &json!(6.1)));
    }
}

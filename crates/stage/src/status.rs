//! What `GET /v1/status` says, as far as the stage looks at it.
//!
//! It knows the promised fields and passes over all others. The law: nothing here is worked out, only read.

use serde::Deserialize;

/// The cluster at a glance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Status {
    /// Control servers that are known; one that leads says so.
    #[serde(default)]
    pub controllers: Vec<Controller>,
    /// Hosts.
    pub hosts: Vec<HostLine>,
    /// Applications.
    pub applications: Vec<ApplicationLine>,
    /// Pairs.
    pub pairs: Vec<PairLine>,
    /// What people should look at.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A control server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Controller {
    /// Its name.
    pub name: String,
    /// It leads.
    pub leading: bool,
    /// The epoch of its leadership.
    pub epoch: u64,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HostLine {
    /// Its name.
    pub name: String,
    /// The field's word.
    pub status: String,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ApplicationLine {
    /// Its name.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its pair, if it has one.
    pub pair: Option<String>,
    /// Its main process.
    pub pid: Option<u32>,
    /// The field's word.
    pub status: String,
    /// What it should be.
    pub goal: String,
    /// What it last confirmed to be.
    pub run_mode: String,
    /// Of its role.
    #[serde(default)]
    pub epoch: Option<u64>,
    /// How often its agent started it again.
    pub restarts: u32,
    /// What is wrong.
    #[serde(default)]
    pub problem: String,
}

/// A pair.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PairLine {
    /// Its name.
    pub name: String,
    /// Who serves, if somebody does.
    pub primary: Option<String>,
    /// The other one.
    pub backup: Option<String>,
    /// The stored epoch.
    pub epoch: u64,
    /// The backup could take over now.
    pub ready: bool,
    /// Why it could not.
    #[serde(default)]
    pub not_ready_because: Vec<String>,
}

impl Status {
    /// The application with that name.
    pub fn application(&self, name: &str) -> Option<&ApplicationLine> {
        self.applications.iter().find(|one| one.name == name)
    }

    /// The pair with that name.
    pub fn pair(&self, name: &str) -> Option<&PairLine> {
        self.pairs.iter().find(|one| one.name == name)
    }

    /// What keeps this cluster from being well: every agent heard, every application as it should be, every pair with
    /// a primary and a backup that could take over. Empty if nothing does.
    pub fn unwell(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.controllers.iter().any(|one| one.leading) {
            found.push("no control server leads".to_owned());
        }
        for host in self.hosts.iter().filter(|host| host.status != "running") {
            found.push(format!("host {} is {}", host.name, host.status));
        }
        for one in self.applications.iter().filter(|one| one.status != one.goal) {
            found.push(format!("{} is {} and should be {} {}", one.name, one.status, one.goal, one.problem));
        }
        for pair in &self.pairs {
            if pair.primary.is_none() {
                found.push(format!("pair {} has no primary", pair.name));
            } else if !pair.ready {
                found.push(format!("pair {}: {}", pair.name, pair.not_ready_because.join("; ")));
            }
        }
        found
    }

    /// Every application with its process, in the order of the settings.
    pub fn pids(&self) -> Vec<(String, Option<u32>)> {
        self.applications.iter().map(|one| (one.name.clone(), one.pid)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn well() -> Value {
        json!({
            "controllers": [{ "name": "scs-1", "leading": true, "epoch": 1 }],
            "hosts": [{ "name": "alpha", "status": "running", "more": 1 }],
            "applications": [{ "name": "t-1", "host": "alpha", "pair": "t", "pid": 7, "status": "started",
                "goal": "started", "run_mode": "primary", "epoch": 3, "restarts": 0 }],
            "pairs": [{ "name": "t", "primary": "t-1", "backup": "t-2", "epoch": 3, "ready": true,
                "not_ready_because": [] }],
        })
    }

    fn unwell(value: Value) -> Vec<String> {
        serde_json::from_value::<Status>(value).unwrap().unwell()
    }

    #[test]
    fn a_cluster_that_is_well_has_no_complaints() {
        assert_eq!(unwell(well()), Vec::<String>::new());
    }

    #[test]
    fn every_part_that_is_not_well_is_named() {
        for (place, bad, named) in [
            ("/controllers/0/leading", json!(false), "control server"),
            ("/hosts/0/status", json!("inaccessible"), "alpha"),
            ("/applications/0/status", json!("start-pending"), "t-1"),
            ("/pairs/0/primary", json!(null), "no primary"),
            ("/pairs/0/ready", json!(false), "pair t"),
        ] {
            let mut status = well();
            *status.pointer_mut(place).unwrap() = bad;
            let found = unwell(status);
            assert!(found.len() == 1 && found[0].contains(named), "{place}: {found:?}");
        }
    }
}

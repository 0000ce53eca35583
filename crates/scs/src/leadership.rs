//! Takes leadership: counts the controller epoch up durably, then reads everything that must be remembered.
//!
//! It knows no agents. The law: read after taking, never before (`docs/safety.md`, rule G7).

use std::collections::BTreeMap;

use understudy_decide::control::{ControlMemory, Flap, GrantMemory, Hold, MaintenanceOf};
use understudy_model::{ApplicationName, Cluster, ControllerName, HostName, Moment, PairName};
use understudy_store::{Batch, Change, CommitError, QueryError, Store};

/// Why leadership was not taken, or what is remembered cannot be read. No order was given.
#[derive(Debug, thiserror::Error)]
pub enum LeadershipError {
    /// The controller epoch could not be raised.
    #[error("leadership cannot be taken: {0}")]
    NotTaken(#[source] CommitError),
    /// Something remembered cannot be read.
    #[error("what is remembered cannot be read: {0}")]
    Unreadable(#[from] QueryError),
    /// Something remembered makes no sense.
    #[error("the store remembers maintenance of {0:?}, which names nothing")]
    Nonsense(String),
    /// The store belongs to another cluster.
    #[error(
        "the store belongs to the cluster with id {stored}, and the cluster file has {configured}: set another \
         state-directory, or put the id back"
    )]
    OtherCluster {
        /// In the store.
        stored: String,
        /// In the cluster file.
        configured: String,
    },
    /// The cluster's identity could not be noted.
    #[error("the cluster's id cannot be stored: {0}")]
    IdNotStored(#[source] CommitError),
}

/// Takes leadership and reads what is remembered.
pub fn take(
    store: &mut Store,
    controller: &ControllerName,
    cluster: &Cluster,
    now: Moment,
) -> Result<ControlMemory, LeadershipError> {
    check_cluster(store, cluster)?;
    let controller_epoch = store.take_leadership(controller).map_err(LeadershipError::NotTaken)?;
    let (drained, maintenance): (Vec<String>, Vec<String>) =
        store.maintenance()?.into_keys().partition(|subject| subject.starts_with(DRAINED));
    let drained = drained.iter().map(|subject| parse_drained(subject)).collect::<Result<_, _>>()?;
    let maintenance = maintenance.iter().map(|subject| parse(subject)).collect::<Result<_, _>>()?;
    let since_restore = store.stored_since_restore()?;
    let grants = GrantMemory {
        leases: store.leases()?,
        restored: since_restore.is_some(),
        trusted: since_restore.unwrap_or_default(),
    };
    Ok(ControlMemory {
        controller: controller.clone(),
        controller_epoch,
        roles: store.roles()?,
        goals: store.goals()?,
        maintenance,
        last_operation: store.last_operation()?,
        flaps: flaps(store, now)?,
        drained,
        in_sync: store.in_sync()?,
        holds: holds(store, now)?,
        grants,
        asked: BTreeMap::new(),
    })
}

fn check_cluster(store: &mut Store, cluster: &Cluster) -> Result<(), LeadershipError> {
    let Some(configured) = cluster.id.map(|id| id.to_string()) else { return Ok(()) };
    match store.cluster_id()? {
        Some(stored) if stored == configured => Ok(()),
        Some(stored) => Err(LeadershipError::OtherCluster { stored, configured }),
        None => {
            let batch =
                Batch { changes: vec![Change::SetClusterId(configured)], durable: true, ..Batch::default() };
            store.commit(batch).map(drop).map_err(LeadershipError::IdNotStored)
        }
    }
}

/// How a drained host stands among what is under maintenance.
const DRAINED: &str = "drained ";

/// The name under which it is stored that a host is drained.
pub fn drained_subject(host: &HostName) -> String {
    format!("{DRAINED}{host}")
}

fn parse_drained(subject: &str) -> Result<HostName, LeadershipError> {
    let host = subject.strip_prefix(DRAINED).and_then(|host| HostName::new(host).ok());
    host.ok_or_else(|| LeadershipError::Nonsense(subject.to_owned()))
}

/// What flap damping remembers, on this boot's clock. Moments of another boot are moved; text that cannot be read is
/// left out and said: damping may then come late once, and nothing is blocked by what nobody can read.
fn flaps(store: &Store, now: Moment) -> Result<BTreeMap<PairName, Flap>, LeadershipError> {
    let here = boot();
    let mut flaps = BTreeMap::new();
    for (pair, (boot, text)) in store.flaps()? {
        match serde_json::from_str::<Flap>(&text) {
            Ok(flap) if !boot.is_empty() && boot == here => drop(flaps.insert(pair, flap)),
            Ok(flap) => drop(flaps.insert(pair, flap.moved_to(now))),
            Err(error) => {
                tracing::warn!(%pair, %error, "what is remembered of its changes of roles is left out")
            }
        }
    }
    Ok(flaps)
}

/// The hosts that are held, on this boot's clock. One of another boot begins anew, as what was left of it is not known; text
/// that cannot be read is left out and said: the usual lease is given then.
fn holds(store: &Store, now: Moment) -> Result<BTreeMap<HostName, Hold>, LeadershipError> {
    let here = boot();
    let mut holds = BTreeMap::new();
    for (host, (boot, text)) in store.holds()? {
        match serde_json::from_str::<Hold>(&text) {
            Ok(hold) if !boot.is_empty() && boot == here => drop(holds.insert(host, hold)),
            Ok(hold) => drop(holds.insert(host, hold.moved_to(now))),
            Err(error) => tracing::warn!(%host, %error, "that it is held cannot be read, and is left out"),
        }
    }
    Ok(holds)
}

/// Which boot of this machine this is; empty if the system does not say.
pub fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// Reads back what [`MaintenanceOf`] shows as.
fn parse(subject: &str) -> Result<MaintenanceOf, LeadershipError> {
    let nonsense = || LeadershipError::Nonsense(subject.to_owned());
    let (kind, name) = subject.split_once(' ').ok_or_else(nonsense)?;
    match kind {
        "host" => HostName::new(name).map(MaintenanceOf::Host).map_err(|_| nonsense()),
        "application" => ApplicationName::new(name).map(MaintenanceOf::Application).map_err(|_| nonsense()),
        "pair" => PairName::new(name).map(MaintenanceOf::Pair).map_err(|_| nonsense()),
        _ => Err(nonsense()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_is_read_back_as_it_is_shown() {
        let all = [
            MaintenanceOf::Host(HostName::new("alpha").unwrap()),
            MaintenanceOf::Application(ApplicationName::new("tserver-1").unwrap()),
            MaintenanceOf::Pair(PairName::new("tserver").unwrap()),
        ];
        for of in all {
            assert_eq!(parse(&of.to_string()).unwrap(), of);
        }
        assert!(parse("pair").is_err() && parse("moon x").is_err() && parse("host /").is_err());
    }

    #[test]
    fn every_leadership_is_above_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let cluster = understudy_settings::parse_cluster("c", "[cluster]\nname = \"demo\"\n").unwrap().value;
        let name = ControllerName::new("scs-1").unwrap();
        let first = take(&mut store, &name, &cluster, Moment(1)).unwrap().controller_epoch;
        assert!(take(&mut store, &name, &cluster, Moment(2)).unwrap().controller_epoch > first);
    }

    #[test]
    fn drained_hosts_and_changes_of_roles_are_read_back_on_this_clock() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let (host, pair) = (HostName::new("alpha").unwrap(), PairName::new("tserver").unwrap());
        let flap = Flap { changes: vec![Moment(10), Moment(30)], held: None };
        let set = |boot: String, text: String| Change::SetFlap { pair: pair.clone(), boot, text };
        let text = serde_json::to_string(&flap).unwrap();
        let drain = Change::SetMaintenance { subject: drained_subject(&host), on: true, until_wall_ms: None };
        let mut take_with = |changes| {
            store.commit(Batch { changes, durable: true, ..Batch::default() }).unwrap();
            let cluster =
                understudy_settings::parse_cluster("c", "[cluster]\nname = \"demo\"\n").unwrap().value;
            take(&mut store, &ControllerName::new("scs-1").unwrap(), &cluster, Moment(1_000)).unwrap()
        };
        let same = take_with(vec![drain, set(boot(), text.clone())]);
        assert!(same.drained.contains(&host) && same.maintenance.is_empty());
        assert_eq!(same.flaps[&pair], flap);
        let other = take_with(vec![set("another boot".to_owned(), text)]);
        assert_eq!(other.flaps[&pair].changes, [Moment(980), Moment(1_000)]);
        assert!(take_with(vec![set(boot(), "{".to_owned())]).flaps.is_empty());
    }
}

//! Takes leadership: counts the controller epoch up durably, then reads everything that must be remembered.
//!
//! It knows no agents. The law: read after taking, never before (`docs/safety.md`, rule G7).

use understudy_decide::control::{ControlMemory, MaintenanceOf};
use understudy_model::{ApplicationName, Cluster, ControllerName, HostName, PairName};
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
) -> Result<ControlMemory, LeadershipError> {
    check_cluster(store, cluster)?;
    let controller_epoch = store.take_leadership(controller).map_err(LeadershipError::NotTaken)?;
    let maintenance =
        store.maintenance()?.into_keys().map(|subject| parse(&subject)).collect::<Result<_, _>>()?;
    Ok(ControlMemory {
        controller: controller.clone(),
        controller_epoch,
        roles: store.roles()?,
        goals: store.goals()?,
        maintenance,
        last_operation: store.last_operation()?,
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
        let first = take(&mut store, &name, &cluster).unwrap().controller_epoch;
        assert!(take(&mut store, &name, &cluster).unwrap().controller_epoch > first);
    }
}

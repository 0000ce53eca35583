//! How the program itself stands: the configuration in use, and what is wrong with journal or configuration.
//!
//! It knows nothing of hosts and roles. The law: whatever is wrong here is shown in status until it is right again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use understudy_model::Cluster;

use crate::api::shapes::Beside;

/// What a warning is about; at most one warning of each stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// The store refuses what must be durable.
    Store,
    /// The journal loses entries.
    Journal,
    /// Old entries of the journal are not removed.
    Retention,
    /// The cluster file is wrong, and an older one is in use.
    Reload,
    /// The cluster file has warnings.
    Configuration,
    /// Certificates run out.
    Certificates,
    /// The files of TLS are wrong, and older ones are in use.
    TlsFiles,
}

/// Shared by all who notice something.
#[derive(Debug, Clone)]
pub struct Standing {
    cluster_file: Arc<PathBuf>,
    now: Arc<Mutex<Now>>,
}

#[derive(Debug)]
struct Now {
    cluster: Arc<Cluster>,
    concerns: BTreeMap<Concern, Vec<String>>,
}

impl Standing {
    /// With this configuration and nothing wrong.
    pub fn new(cluster_file: &Path, cluster: Arc<Cluster>) -> Self {
        let now = Now { cluster, concerns: BTreeMap::new() };
        Self { cluster_file: Arc::new(cluster_file.to_owned()), now: Arc::new(Mutex::new(now)) }
    }

    /// The configuration in use.
    pub fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.lock().cluster)
    }

    /// Another configuration is in use.
    pub fn configured(&self, cluster: Arc<Cluster>) {
        self.lock().cluster = cluster;
    }

    /// Where the configuration is read from.
    pub fn cluster_file(&self) -> std::path::Display<'_> {
        self.cluster_file.display()
    }

    /// Sets what is wrong about a concern; an empty list is nothing.
    pub fn set(&self, concern: Concern, warnings: Vec<String>) {
        let concerns = &mut self.lock().concerns;
        if warnings.is_empty() {
            concerns.remove(&concern);
        } else {
            concerns.insert(concern, warnings);
        }
    }

    /// What status shows of it.
    pub fn beside(&self) -> Beside {
        let now = self.lock();
        Beside {
            cluster_id: now.cluster.id.map(|id| id.to_string()),
            warnings: now.concerns.values().flatten().cloned().collect(),
            // A warning about the configuration is about a risk; the others are about what fails now.
            wrong: now
                .concerns
                .iter()
                .filter(|(concern, _)| **concern != Concern::Configuration)
                .flat_map(|(_, warnings)| warnings.iter().cloned())
                .collect(),
        }
    }

    /// Every change here is one assignment, so a poisoned lock still guards a whole value.
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

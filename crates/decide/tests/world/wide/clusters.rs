//! The clusters of the wide world.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model::*;

use super::{app, host, pair_name};

/// `one@alpha` and `two@beta` are pair `p`.
pub fn small_cluster() -> Cluster {
    let mut cluster = Cluster {
        name: "wide".into(),
        id: None,
        hosts: (0..2)
            .map(|site| {
                (host(site), HostSpec { addresses: vec!["127.0.0.1:4999".into()], addp: AddpSettings::OFF })
            })
            .collect(),
        applications: BTreeMap::new(),
        pairs: BTreeMap::new(),
    };
    add(&mut cluster, "one", 0, Interface::Library);
    add(&mut cluster, "two", 1, Interface::Library);
    add_pair(&mut cluster, "p", "one", "two");
    cluster
}

/// As above, and `three`, `four`, both on alpha, are pair `q`; `five` and `six` (a plain program) are single.
pub fn wide_cluster() -> Cluster {
    let mut cluster = small_cluster();
    add(&mut cluster, "three", 0, Interface::Library);
    add(&mut cluster, "four", 0, Interface::Library);
    add_pair(&mut cluster, "q", "three", "four");
    add(&mut cluster, "five", 0, Interface::Library);
    add(&mut cluster, "six", 1, Interface::Plain);
    cluster
}

pub fn add(cluster: &mut Cluster, name: &str, site: usize, interface: Interface) {
    let spec = ApplicationSpec {
        host: host(site),
        kind: String::new(),
        interface,
        command: vec!["/bin/true".into()],
        working_directory: None,
        environment: BTreeMap::new(),
        stop_signal: Signal::Term,
        restart: RestartPolicy::Always,
        success_codes: vec![0],
        restart_delay: Duration::from_millis(100),
        restart_limit: 5,
        startup_timeout: Duration::from_secs(5),
        shutdown_timeout: Duration::from_secs(1),
        autostart: true,
        ports: Vec::new(),
        options: BTreeMap::new(),
    };
    cluster.applications.insert(app(name), spec);
}

pub fn add_pair(cluster: &mut Cluster, name: &str, primary: &str, backup: &str) {
    let spec = PairSpec {
        primary: app(primary),
        backup: app(backup),
        redundancy: Redundancy::WarmStandby,
        policy: Policy::Available,
        on_crash: OnCrash::Failover,
        timers: Preset::Fast.timers(),
    };
    cluster.pairs.insert(pair_name(name), spec);
}

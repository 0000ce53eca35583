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
                (
                    host(site),
                    HostSpec {
                        addresses: vec!["127.0.0.1:4999".into()],
                        addp: AddpSettings::OFF,
                        fence: None,
                    },
                )
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
        process: Default::default(),
        conduct: Default::default(),
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
        keep_data: false,
        timers: Preset::Fast.timers(),
    };
    cluster.pairs.insert(pair_name(name), spec);
}

/// The same cluster, where each of the first four is told of its role in another way: 0 by the library, 1 by hooks, 2 by
/// signals, 3 by a new start, 4 by a hook one way and a new start the other, 5 by hooks before its start as well.
pub fn told_in_ways(mut cluster: Cluster, ways: [u8; 4]) -> Cluster {
    for (name, way) in ["one", "two", "three", "four"].into_iter().zip(ways) {
        let Some(spec) = cluster.applications.get_mut(&app(name)) else { continue };
        let command = || vec!["/bin/true".to_owned()];
        if way > 0 {
            spec.interface = Interface::Plain;
        }
        let conduct = &mut spec.conduct;
        if matches!(way, 1 | 4 | 5) {
            conduct.hooks.on_promote = command();
        }
        if matches!(way, 1 | 5) {
            conduct.hooks.on_demote = command();
        }
        if way == 2 {
            conduct.promote_signal = Some(Signal::Usr1);
            conduct.demote_signal = Some(Signal::Usr2);
        }
        if way == 5 {
            conduct.start_before = command();
            conduct.hooks.on_start = command();
            conduct.stop_command = command();
        }
    }
    cluster
}

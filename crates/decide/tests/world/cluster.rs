//! What the small world is configured as: two hosts, a member of one pair on each.
//!
//! Knows no machines. The law: names are the same in every story.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model::*;

pub const HOSTS: [&str; 2] = ["alpha", "beta"];
pub const APPLICATIONS: [&str; 2] = ["one", "two"];

pub fn application(index: usize) -> ApplicationName {
    ApplicationName::new(APPLICATIONS[index]).unwrap()
}

pub fn host(index: usize) -> HostName {
    HostName::new(HOSTS[index]).unwrap()
}

pub fn pair() -> PairName {
    PairName::new("pair").unwrap()
}

pub fn cluster() -> Cluster {
    let spec = |index: usize| ApplicationSpec {
        host: host(index),
        kind: String::new(),
        interface: Interface::Library,
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
    let hosts = (0..2)
        .map(|index| {
            (
                host(index),
                HostSpec { addresses: vec!["127.0.0.1:4999".into()], addp: AddpSettings::OFF, fence: None },
            )
        })
        .collect();
    let pair_spec = PairSpec {
        primary: application(0),
        backup: application(1),
        redundancy: Redundancy::WarmStandby,
        policy: Policy::Available,
        on_crash: OnCrash::Failover,
        keep_data: false,
        timers: Preset::Fast.timers(),
    };
    Cluster {
        name: "world".into(),
        id: None,
        hosts,
        applications: (0..2).map(|index| (application(index), spec(index))).collect(),
        pairs: [(pair(), pair_spec)].into(),
    }
}

//! What a host has to be told so that it has one member of a strict pair, or both.
//!
//! Knows no rule.

use std::time::Duration;

use understudy_model::terms::Terms;
use understudy_model::{
    ApplicationName, ApplicationSpec, Assignment, ConductSpec, Goal, HostName, Interface, PairName,
    PairPlace, Preset, RestartPolicy, Signal, StrictPlace,
};

/// The lease of the pair; clocks do not drift here, so a holder counts on all of it.
pub const LEASE: Duration = Duration::from_millis(3_000);

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn pair() -> PairName {
    PairName::new("pair").expect("a good name")
}

pub(crate) fn host(name: &str) -> HostName {
    HostName::new(name).expect("a good name")
}

fn app(name: &str) -> ApplicationName {
    ApplicationName::new(name).expect("a good name")
}

/// The members on this host.
pub(crate) fn members(both_here: bool) -> Vec<ApplicationName> {
    let all = [app("one"), app("two")];
    all.into_iter().take(if both_here { 2 } else { 1 }).collect()
}

/// Their assignments. A member is not started again within any history that is looked at.
pub(crate) fn assignments(both_here: bool) -> Vec<Assignment> {
    let peer_host = if both_here { "alpha" } else { "beta" };
    let all = [("one", "two"), ("two", "one")].into_iter().take(if both_here { 2 } else { 1 });
    all.map(|(name, peer)| assignment(name, peer, peer_host)).collect()
}

fn assignment(name: &str, peer: &str, peer_host: &str) -> Assignment {
    let spec = ApplicationSpec {
        host: host("alpha"),
        kind: String::new(),
        interface: Interface::Library,
        command: vec!["/bin/true".into()],
        working_directory: None,
        environment: Default::default(),
        stop_signal: Signal::Term,
        restart: RestartPolicy::Always,
        success_codes: vec![0],
        restart_delay: ms(100),
        restart_limit: 50,
        startup_timeout: ms(60_000),
        shutdown_timeout: ms(1_000),
        autostart: true,
        ports: Vec::new(),
        options: Default::default(),
        process: Default::default(),
        conduct: ConductSpec::default(),
    };
    let terms = Terms {
        lease: LEASE,
        drift_ppm: 0,
        leader_lease: LEASE,
        renew_every: ms(600),
        fence_budget: ms(500),
        kill_budget: ms(50),
    };
    let strict = StrictPlace {
        terms,
        peer_host: host(peer_host),
        peer_addresses: vec!["127.0.0.12:4999".into()],
        peer_addp: Preset::Normal.addp(),
    };
    let place = PairPlace {
        pair: pair(),
        peer: app(peer),
        peer_address: "127.0.0.12".into(),
        peer_ports: Vec::new(),
        fence_budget: ms(500),
        link_grace: ms(2_000),
        strict: Some(strict),
    };
    Assignment { application: app(name), spec, goal: Goal::Started, hands_off: false, pair: Some(place) }
}

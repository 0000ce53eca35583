//! Values that several tests begin with.
//!
//! Knows no test. The law: nothing here is part of the program.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_decide::agent::{Spawn, StartId};
use understudy_model::{
    ApplicationName, ApplicationSpec, Assignment, Epoch, Goal, HostName, Incarnation, Interface,
    RestartPolicy, RunMode, Signal,
};

/// A plain application that nobody restarts.
pub fn spec(command: &[&str]) -> ApplicationSpec {
    ApplicationSpec {
        host: HostName::new("alpha").unwrap(),
        kind: "test".to_owned(),
        interface: Interface::Plain,
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        working_directory: None,
        environment: BTreeMap::new(),
        stop_signal: Signal::Term,
        restart: RestartPolicy::Never,
        success_codes: vec![0],
        restart_delay: Duration::ZERO,
        restart_limit: 1,
        startup_timeout: Duration::from_secs(5),
        shutdown_timeout: Duration::from_secs(5),
        autostart: false,
        ports: Vec::new(),
        options: BTreeMap::new(),
        process: Default::default(),
        conduct: Default::default(),
    }
}

/// It, assigned.
pub fn assignment(name: &str, command: &[&str]) -> Assignment {
    Assignment {
        application: ApplicationName::new(name).unwrap(),
        spec: spec(command),
        goal: Goal::Stopped,
        hands_off: false,
        pair: None,
    }
}

/// It, about to be started.
pub fn spawn(name: &str, command: &[&str], number: u64) -> Spawn {
    Spawn {
        application: ApplicationName::new(name).unwrap(),
        start: StartId { incarnation: Incarnation(7), number },
        spec: spec(command),
        pair: None,
        run_mode: RunMode::Primary,
        epoch: Epoch::NONE,
        restarts: 0,
        held: false,
    }
}

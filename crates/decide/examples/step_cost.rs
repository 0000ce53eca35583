//! What one step of the control server's mind costs in a large cluster: 200 hosts, 1,000 pairs, 2,000 applications.
//!
//! It measures the deciding machine alone, without links, store and log. Run it with
//! `cargo run --release -p understudy-decide --example step_cost`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use understudy_decide::control::{Control, ControlMemory, ControlSaw};
use understudy_model::*;

const HOSTS: usize = 200;
const PAIRS: usize = 1_000;
const STEPS: usize = 20_000;

fn host(index: usize) -> HostName {
    HostName::new(&format!("h{}", index % HOSTS)).expect("a name")
}

fn member(pair: usize, place: usize) -> ApplicationName {
    ApplicationName::new(&format!("a{pair}-{place}")).expect("a name")
}

fn pair_name(pair: usize) -> PairName {
    PairName::new(&format!("p{pair}")).expect("a name")
}

fn application(host: HostName) -> ApplicationSpec {
    ApplicationSpec {
        host,
        kind: String::new(),
        interface: Interface::Library,
        command: vec!["/bin/true".into()],
        working_directory: None,
        environment: BTreeMap::new(),
        stop_signal: Signal::Term,
        restart: RestartPolicy::Always,
        success_codes: vec![0],
        restart_delay: Duration::from_secs(1),
        restart_limit: 5,
        startup_timeout: Duration::from_secs(5),
        shutdown_timeout: Duration::from_secs(1),
        autostart: true,
        ports: Vec::new(),
        options: BTreeMap::new(),
        process: Default::default(),
        conduct: Default::default(),
    }
}

fn report(pair: usize, place: usize, pid: u32) -> ApplicationReport {
    let acting = (place == 0).then(|| RoleEpoch::new(Epoch(1), member(pair, 0)));
    ApplicationReport {
        application: member(pair, place),
        pid: Some(pid),
        status: ApplicationStatus::Started,
        goal: Goal::Started,
        run_mode: if place == 0 { RunMode::Primary } else { RunMode::Backup },
        problem: String::new(),
        restarts: 0,
        gave_up: false,
        last_exit: None,
        role: Some(RoleReport {
            pair: pair_name(pair),
            promised: acting.clone(),
            closed: Epoch::NONE,
            acting,
            strict: None,
        }),
    }
}

fn cluster() -> Cluster {
    let members = (0..PAIRS).flat_map(|pair| [(pair, 0), (pair, 1)]);
    Cluster {
        name: "large".into(),
        id: None,
        hosts: (0..HOSTS)
            .map(|index| {
                (
                    host(index),
                    HostSpec {
                        addresses: vec![format!("h{index}:4999")],
                        addp: AddpSettings::OFF,
                        fence: None,
                    },
                )
            })
            .collect(),
        applications: members
            .map(|(pair, place)| (member(pair, place), application(host(pair + place))))
            .collect(),
        pairs: (0..PAIRS)
            .map(|pair| {
                let spec = PairSpec {
                    primary: member(pair, 0),
                    backup: member(pair, 1),
                    redundancy: Redundancy::WarmStandby,
                    policy: Policy::Available,
                    on_crash: OnCrash::Failover,
                    keep_data: false,
                    timers: Preset::Normal.timers(),
                };
                (pair_name(pair), spec)
            })
            .collect(),
    }
}

fn measure(name: &str, new: fn(ControlMemory) -> Control) {
    let memory = ControlMemory {
        controller: ControllerName::new("scs-1").expect("a name"),
        controller_epoch: ControllerEpoch(1),
        roles: (0..PAIRS).map(|pair| (pair_name(pair), RoleEpoch::new(Epoch(1), member(pair, 0)))).collect(),
        goals: BTreeMap::new(),
        maintenance: Vec::new(),
        last_operation: OperationId(0),
        flaps: BTreeMap::new(),
        drained: Default::default(),
        in_sync: Default::default(),
        holds: Default::default(),
        grants: Default::default(),
        asked: Default::default(),
    };
    let mut control = new(memory);
    let mut now = Moment(1);
    control.step(now, ControlSaw::Configured { cluster: cluster(), own_hosts: Default::default() });
    let began = Instant::now();
    for index in 0..HOSTS {
        let applications = (0..PAIRS)
            .flat_map(|pair| [(pair, 0), (pair, 1)])
            .filter(|(pair, place)| host(pair + place) == host(index))
            .map(|(pair, place)| report(pair, place, 1))
            .collect();
        let inventory = Inventory {
            host: host(index),
            agent: AgentId(index as u128),
            incarnation: Incarnation(1),
            controller_epoch: ControllerEpoch(1),
            applications,
        };
        control.step(now, ControlSaw::LinkUp { host: host(index), inventory });
    }
    let links = began.elapsed();
    let steps = if name == "every pair" { STEPS / 20 } else { STEPS };
    let began = Instant::now();
    for step in 0..steps {
        now = now + Duration::from_micros(50);
        let (pair, place) = (step % PAIRS, step / PAIRS % 2);
        let report = report(pair, place, 2 + u32::try_from(step).unwrap_or(0));
        control.step(now, ControlSaw::Reported { host: host(pair + place), report });
        std::hint::black_box(control.next_deadline());
    }
    let each = began.elapsed() / u32::try_from(steps).unwrap_or(1);
    println!("{name}: {HOSTS} links in {links:?}, one report {each:?}");
}

fn main() {
    measure("touched pairs", Control::new);
    measure("every pair", Control::new_exhaustive);
}

//! Who plays: names, hosts, applications and pairs of one world, and numbers for them.
//!
//! Refuses to know what anybody does. The law: a number means the same in the whole run, and every name has one.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model::*;

use crate::climate::{Climate, Way};

/// Names of hosts, in the order of their numbers; the last place is the control server's own machine.
const HOSTS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// One application.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name.
    pub name: ApplicationName,
    /// Its host.
    pub host: usize,
    /// Its pair.
    pub pair: usize,
    /// How it is told.
    pub way: Way,
}

/// One pair.
#[derive(Debug, Clone)]
pub struct Couple {
    /// Its name.
    pub name: PairName,
    /// Its members.
    pub members: [usize; 2],
}

/// All of them.
#[derive(Debug, Clone)]
pub struct Cast {
    /// As the control server reads it.
    pub cluster: Cluster,
    /// By number.
    pub hosts: Vec<HostName>,
    /// By number.
    pub parts: Vec<Part>,
    /// By number.
    pub pairs: Vec<Couple>,
}

/// A name that is one.
fn name<T: std::str::FromStr<Err = NameError>>(text: &str) -> T {
    match text.parse() {
        Ok(name) => name,
        Err(error) => unreachable!("{text}: {error}"),
    }
}

impl Cast {
    /// The cast of a climate.
    pub fn of(climate: &Climate) -> Self {
        let preset = climate.options.preset;
        let hosts: Vec<HostName> = HOSTS.iter().take(climate.hosts).map(|text| name(text)).collect();
        let mut cast = Self {
            cluster: Cluster {
                name: "sim".to_owned(),
                id: None,
                hosts: hosts
                    .iter()
                    .map(|host| {
                        let addresses = vec![format!("{host}:4999")];
                        let fence = climate.options.power.then(fence);
                        (host.clone(), HostSpec { addresses, addp: preset.addp(), fence })
                    })
                    .collect(),
                applications: BTreeMap::new(),
                pairs: BTreeMap::new(),
            },
            hosts,
            parts: Vec::new(),
            pairs: Vec::new(),
        };
        for (number, (places, way)) in climate.pairs.iter().enumerate() {
            cast.add_pair(climate, number, *places, *way);
        }
        cast
    }

    fn add_pair(&mut self, climate: &Climate, number: usize, places: [usize; 2], way: Way) {
        let preset = climate.options.preset;
        let members = [0, 1].map(|place| {
            let member = Part {
                name: name(&format!("{}{}", ["ada", "bob", "cyd"][number], place + 1)),
                host: places[place],
                pair: number,
                way,
            };
            let spec = application(preset, self.hosts[member.host].clone(), way);
            self.cluster.applications.insert(member.name.clone(), spec);
            self.parts.push(member);
            self.parts.len() - 1
        });
        let couple = Couple { name: name(["ada", "bob", "cyd"][number]), members };
        let spec = PairSpec {
            primary: self.parts[members[0]].name.clone(),
            backup: self.parts[members[1]].name.clone(),
            redundancy: Redundancy::WarmStandby,
            policy: climate.options.policy,
            on_crash: OnCrash::Failover,
            // Only an application with the library can say who has its data.
            keep_data: climate.options.keep_data && way == Way::Library,
            timers: timers(preset),
        };
        self.cluster.pairs.insert(couple.name.clone(), spec);
        self.pairs.push(couple);
    }

    /// The number of an application.
    pub fn part(&self, name: &ApplicationName) -> Option<usize> {
        self.parts.iter().position(|part| part.name == *name)
    }

    /// The number of a host.
    pub fn host(&self, name: &HostName) -> Option<usize> {
        self.hosts.iter().position(|host| host == name)
    }

    /// The number of a pair.
    pub fn pair(&self, name: &PairName) -> Option<usize> {
        self.pairs.iter().position(|pair| pair.name == *name)
    }

    /// The name of a machine, also of one without an agent.
    pub fn machine(&self, number: usize) -> &'static str {
        HOSTS.get(number).copied().unwrap_or("?")
    }

    /// The other member of its pair.
    pub fn other(&self, part: usize) -> usize {
        let members = self.pairs[self.parts[part].pair].members;
        if members[0] == part { members[1] } else { members[0] }
    }
}

/// Those of the preset. Flapping is not held: a run of a minute has more changes than a year.
fn timers(preset: Preset) -> Timers {
    let timers = preset.timers();
    Timers { flap_damping: FlapDamping { changes: 0, ..timers.flap_damping }, ..timers }
}

/// A command that takes the power of a host; what becomes of it is the world's business.
fn fence() -> FenceSpec {
    FenceSpec { command: vec!["/bin/true".to_owned()], timeout: FenceSpec::TIMEOUT }
}

fn application(preset: Preset, host: HostName, way: Way) -> ApplicationSpec {
    let command = || vec!["/bin/true".to_owned()];
    let mut conduct = ConductSpec { hang_limit: preset.hang_limit(), ..ConductSpec::default() };
    if way == Way::Hooks {
        conduct.hooks = HooksSpec {
            on_promote: command(),
            on_demote: command(),
            timeout: preset.timers().switchover_timeout / 5,
            ..HooksSpec::default()
        };
    }
    let quick = preset.timers().switchover_timeout / 100;
    ApplicationSpec {
        host,
        kind: String::new(),
        interface: if way == Way::Library { Interface::Library } else { Interface::Plain },
        command: command(),
        working_directory: None,
        environment: BTreeMap::new(),
        stop_signal: Signal::Term,
        restart: RestartPolicy::Always,
        success_codes: vec![0],
        restart_delay: quick,
        restart_limit: 1_000_000,
        startup_timeout: Duration::from_secs(5),
        shutdown_timeout: Duration::from_secs(1),
        autostart: true,
        ports: Vec::new(),
        options: BTreeMap::new(),
        process: ProcessSpec::default(),
        conduct,
    }
}

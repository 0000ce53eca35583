//! One cluster with the pair of a recipe, and whether this machine has the program that it is about.
//!
//! It knows the stage and no story. The law: every wait has a deadline, and whatever failed shows the events.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use understudy_stage::ports::Ports;
use understudy_stage::redis::RedisClient;
use understudy_stage::{Daemon, Ground, Host, Interrupt, Plan, Programs, Stage, Status, recipe};

/// How long any condition may take to come true.
pub const LIMIT: Duration = Duration::from_secs(30);
/// How long a server that runs may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the program is installed; says what to do if not. CI must have it.
pub fn has(program: &str, package: &str) -> bool {
    let missing = recipe::missing(program, package);
    assert!(missing.is_none() || std::env::var_os("CI").is_none(), "{missing:?}");
    if let Some(why) = &missing {
        eprintln!("skipped: {why}");
    }
    missing.is_none()
}

/// A cluster with the pair of the Redis recipe.
pub struct RedisGround {
    pub stage: Stage,
    ports: [u16; 2],
    free: Ports,
}

impl Drop for RedisGround {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}", self.stage.api().get("/v1/events?limit=60"));
            eprintln!("the files of this story are kept in {}", self.stage.keep_files().display());
        }
    }
}

impl RedisGround {
    /// Running and well, the backup in step; `fill` changes what is played.
    pub fn well(fill: impl FnOnce(&mut Plan)) -> Self {
        let beside = Path::new(env!("CARGO_BIN_EXE_understudy-demo")).parent().unwrap();
        let programs = Programs::find(Some(beside), &["lca", "scs"]).unwrap();
        let mut ports = Ports::default();
        let mut plan = Plan::new("recipes", 100);
        let given = Host::ALL.map(|host| ports.free_on(host.address()).unwrap());
        recipe::add_redis(&mut plan, given).unwrap();
        plan.status_ports = Some(Host::ALL.map(|host| ports.free_on(host.address()).unwrap()));
        fill(&mut plan);
        let ground = Ground::temporary().unwrap();
        let stage = Stage::set_up(&programs, ground, plan, &mut ports, Interrupt::default()).unwrap();
        let mut this = Self { stage, ports: given, free: ports };
        this.stage.start_all().unwrap();
        this.until_primary("redis-1");
        this.until_in_step("redis-2");
        this
    }

    /// A port that is free on the address of alpha.
    pub fn free_port(&mut self) -> u16 {
        self.free.free_on(Host::Alpha.address()).unwrap()
    }

    /// Where a member listens.
    pub fn address(&self, name: &str) -> SocketAddr {
        let index = usize::from(name == "redis-2");
        SocketAddr::from((Host::ALL[index].address(), self.ports[index]))
    }

    /// Both, in their order.
    pub fn addresses(&self) -> [SocketAddr; 2] {
        [self.address("redis-1"), self.address("redis-2")]
    }

    /// A client of one member.
    pub fn client(&self, name: &str) -> RedisClient {
        RedisClient::connect(self.address(name), recipe::REDIS_PASSWORD, PATIENCE).unwrap()
    }

    /// Waits until this member is primary and the other could take over.
    #[track_caller]
    pub fn until_primary(&mut self, name: &str) -> Status {
        let found = self.stage.until(&format!("{name} is primary and its pair well"), LIMIT, |status| {
            match status.pairs.iter().find(|pair| pair.primary.as_deref() == Some(name)) {
                Some(pair) if pair.ready && status.unwell().is_empty() => Ok(status.clone()),
                _ => Err(format!("{:?} {:?}", status.pairs, status.unwell())),
            }
        });
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until this member is primary, whatever the other is.
    #[track_caller]
    pub fn until_acting(&mut self, name: &str) {
        let found = self.stage.until(&format!("{name} is primary"), LIMIT, |status| {
            match status.pairs.iter().find(|pair| pair.primary.as_deref() == Some(name)) {
                Some(_) => Ok(()),
                None => Err(format!("{:?}", status.pairs)),
            }
        });
        found.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until this member is a replica that has everything that its primary had a moment before. Clients may be writing.
    #[track_caller]
    pub fn until_in_step(&self, name: &str) {
        let other = if name == "redis-1" { "redis-2" } else { "redis-1" };
        let looked = Interrupt::default().until(&format!("{name} is in step"), LIMIT, || {
            let ask = |name: &str, what: &str, offset: &str| -> std::io::Result<_> {
                let mut client = RedisClient::connect(self.address(name), recipe::REDIS_PASSWORD, PATIENCE)?;
                let offset = client.replication(offset)?.and_then(|offset| offset.parse::<u64>().ok());
                Ok((client.replication(what)?, offset))
            };
            let primary = ask(other, "role", "master_repl_offset");
            let replica = ask(name, "master_link_status", "slave_repl_offset");
            let in_step = matches!((&primary, &replica), (Ok((Some(role), there)), Ok((Some(link), here)))
                if role == "master" && link == "up" && there.is_some() && here >= there);
            Ok(if in_step { Ok(()) } else { Err(format!("{replica:?} {primary:?}")) })
        });
        looked.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends a daemon without a word, and waits for its end.
    pub fn kill(&mut self, daemon: Daemon) {
        assert!(self.stage.kill(daemon).unwrap());
    }

    /// What the control server answers to `why`.
    pub fn why(&self, name: &str) -> Value {
        self.stage.api().get(&format!("/v1/why/{name}")).unwrap()
    }
}

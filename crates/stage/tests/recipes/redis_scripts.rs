//! The scripts of the Redis recipe by themselves: what may be promoted and what may not, with two servers and no cluster.
//!
//! It knows the environment that an agent gives to hooks. The law: data that is known to be old, or not known to be new, is
//! not served as if it were the newest.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use understudy_stage::ports::Ports;
use understudy_stage::redis::{RedisClient, Reply};
use understudy_stage::{Host, Interrupt, recipe};

use crate::ground::{LIMIT, has};

/// Two members, started and stopped by hand.
struct Two {
    directory: TempDir,
    ports: [u16; 2],
    running: [Option<Child>; 2],
}

impl Drop for Two {
    fn drop(&mut self) {
        for member in 0..2 {
            self.kill(member);
        }
    }
}

impl Two {
    fn new() -> Self {
        let mut ports = Ports::default();
        let given = Host::ALL.map(|host| ports.free_on(host.address()).unwrap());
        Self { directory: tempfile::tempdir().unwrap(), ports: given, running: [None, None] }
    }

    fn place(&self, member: usize) -> PathBuf {
        self.directory.path().join(member.to_string())
    }

    fn address(&self, member: usize) -> SocketAddr {
        SocketAddr::from((Host::ALL[member].address(), self.ports[member]))
    }

    fn script(&self, member: usize, script: &str, epoch: u64) -> Command {
        let (own, other) = (self.address(member), self.address(1 - member));
        fs::create_dir_all(self.place(member)).unwrap();
        let mut command = Command::new(recipe::directory(recipe::REDIS).join(script));
        command
            .current_dir(self.place(member))
            .env("REDIS_ADDRESS", own.ip().to_string())
            .env("REDIS_PASSWORD", recipe::REDIS_PASSWORD)
            .env("UNDERSTUDY_PORT_DEFAULT", own.port().to_string())
            .env("UNDERSTUDY_PEER_ADDRESS", other.ip().to_string())
            .env("UNDERSTUDY_PEER_PORT_DEFAULT", other.port().to_string())
            .env("UNDERSTUDY_EPOCH", epoch.to_string());
        command
    }

    fn run(&self, member: usize, script: &str, epoch: u64) -> Output {
        self.script(member, script, epoch).output().unwrap()
    }

    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let looked =
            Interrupt::default().until(what, LIMIT, || Ok(if is_so() { Ok(()) } else { Err(String::new()) }));
        looked.unwrap_or_else(|error| panic!("{error}"));
    }

    fn start(&mut self, member: usize) {
        let mut command = self.script(member, "start", 0);
        let log = File::create(self.place(member).join("log")).unwrap();
        self.running[member] = Some(command.stdin(Stdio::null()).stdout(log).spawn().unwrap());
        self.until("it answers", || self.run(member, "probe", 0).status.success());
    }

    fn kill(&mut self, member: usize) {
        if let Some(mut child) = self.running[member].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn client(&self, member: usize) -> RedisClient {
        RedisClient::connect(self.address(member), recipe::REDIS_PASSWORD, Duration::from_secs(5)).unwrap()
    }

    fn until_linked(&self, member: usize) {
        // After a whole copy its file is made anew: until that is done, a kill takes it back to the old one.
        self.until("it follows, and its file is whole", || {
            let linked = self.client(member).replication("master_link_status").unwrap();
            let Reply::Text(file) = self.client(member).ask(&["INFO", "persistence"]).unwrap() else {
                return false;
            };
            let whole = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"];
            linked.as_deref() == Some("up") && whole.iter().all(|line| file.contains(line))
        });
    }

    #[track_caller]
    fn promotes(&self, member: usize, epoch: u64) {
        let output = self.run(member, "promote", epoch);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(self.client(member).set("written", &epoch.to_string()).unwrap());
    }

    #[track_caller]
    fn refuses(&self, member: usize, epoch: u64, because: &str) {
        let output = self.run(member, "promote", epoch);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(because), "{output:?}");
        assert!(!self.client(member).set("written", "0").unwrap(), "it takes no writes");
    }
}

#[test]
fn only_data_that_may_be_the_newest_is_promoted() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    assert!(!two.client(0).set("early", "1").unwrap(), "nobody takes writes before a promotion");
    two.refuses(0, 1, "the other member does not say");
    two.start(1);
    // The very first start: both are empty.
    two.promotes(0, 2);
    // Flushed at once for the promotion, and then as before.
    let flush = two.client(0).ask(&["CONFIG", "GET", "appendfsync"]).unwrap();
    assert_eq!(flush, Reply::List(["appendfsync", "everysec"].map(str::to_owned).to_vec()));
    two.until_linked(1);
    // In step until the other died.
    two.kill(0);
    two.promotes(1, 3);
    // The former primary never followed the new one, which is gone as well: its data is old.
    two.kill(1);
    two.start(0);
    two.refuses(0, 4, "promote-anyway");
    // The one that served last may go on, also after refusals.
    two.start(1);
    two.refuses(0, 5, "the other member has newer data (epoch 3; here 2)");
    two.promotes(1, 6);
    two.until_linked(0);
    assert_eq!(two.client(0).ask(&["GET", "written"]).unwrap(), Reply::Text("6".to_owned()));
    // It is started again where it was, and nobody served since.
    two.kill(0);
    two.kill(1);
    two.start(1);
    two.promotes(1, 7);
    // An operator can overrule it, once.
    two.kill(1);
    two.start(0);
    fs::write(two.place(0).join("promote-anyway"), "").unwrap();
    two.promotes(0, 9);
    assert!(!two.place(0).join("promote-anyway").exists());
}

#[test]
fn a_primary_whose_other_member_is_gone_is_demoted_all_the_same() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    two.start(1);
    two.promotes(0, 1);
    two.until_linked(1);
    two.kill(1);
    let demoted = two.run(0, "demote", 2);
    assert!(demoted.status.success(), "{demoted:?}");
    let said = String::from_utf8_lossy(&demoted.stderr).into_owned();
    assert!(said.contains("may be lost: the other member does not answer"), "{said}");
    assert!(!two.client(0).set("late", "1").unwrap());
    assert!(!two.place(0).join("served").exists());
}

#[test]
fn a_switchover_to_a_member_that_lags_is_refused_and_not_paid_with_writes() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    two.start(1);
    two.promotes(0, 1);
    two.until_linked(1);
    // Its link breaks, and it cannot come back.
    two.client(1).ask(&["CONFIG", "SET", "masterauth", "wrong"]).unwrap();
    two.client(0).ask(&["CLIENT", "KILL", "TYPE", "replica"]).unwrap();
    two.until("the link is down", || {
        two.client(1).replication("master_link_status").unwrap().as_deref() == Some("down")
    });
    assert!(two.client(0).set("late", "1").unwrap());
    // Down for longer than an operator allows: then the other one is asked before anything else.
    two.until("a second has passed", || {
        two.client(1).replication("master_link_down_since_seconds").unwrap().as_deref() > Some("0")
    });
    let stale = two.script(1, "promote", 2).env("REDIS_STALE_S", "0").output().unwrap();
    let said = String::from_utf8_lossy(&stale.stderr).into_owned();
    assert!(!stale.status.success() && said.contains("the other member is a primary"), "{stale:?}");
    let demoted = two.run(0, "demote", 1);
    assert!(demoted.status.success(), "{demoted:?}");
    let said = String::from_utf8_lossy(&demoted.stderr).into_owned();
    assert!(said.contains("may be lost: the other member lacks"), "{said}");
    two.refuses(1, 2, "bytes that the other member has");
    // The way back: nobody served since.
    two.promotes(0, 3);
    assert_eq!(two.client(0).ask(&["GET", "late"]).unwrap(), Reply::Text("1".to_owned()));
}

#[test]
fn a_copy_that_is_half_done_is_not_promoted() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    fs::write(two.place(0).join("promote-anyway"), "").unwrap();
    two.promotes(0, 1);
    for key in 0..20 {
        assert!(two.client(0).set(&key.to_string(), "1").unwrap());
    }
    // A copy that takes ten seconds.
    two.client(0).ask(&["CONFIG", "SET", "rdb-key-save-delay", "500000"]).unwrap();
    two.start(1);
    two.until("it copies", || {
        two.client(1).replication("master_sync_in_progress").unwrap().as_deref() == Some("1")
    });
    two.refuses(1, 2, "in the middle of a copy");
}

#[test]
fn a_password_is_in_no_command_line() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut two = Two::new();
    two.start(0);
    let pid = two.running[0].as_ref().unwrap().id();
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(line.contains("redis-server") && !line.contains(recipe::REDIS_PASSWORD), "{line}");
    let wrong = RedisClient::connect(two.address(0), "guessed", Duration::from_secs(5));
    assert_eq!(wrong.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    let mut probe = two.script(0, "probe", 0);
    let probe = probe.env("REDIS_PASSWORD", "guessed").output().unwrap();
    assert!(!probe.status.success(), "{probe:?}");
}

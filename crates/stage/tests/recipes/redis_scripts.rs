//! The scripts of the Redis recipe by themselves: what may be promoted and what may not, with two servers and no cluster.
//!
//! It knows the environment that an agent gives to hooks. The law: data that is known to be old, or not known to be new, is
//! not served as if it were the newest.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use understudy_stage::ports::Ports;
use understudy_stage::redis::{RedisClient, Reply};
use understudy_stage::{Host, Interrupt, recipe};

use crate::ground::{LIMIT, has};

const NAMES: [&str; 2] = ["redis-1", "redis-2"];

/// Two members, started and stopped by hand.
pub struct Two {
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
    pub fn new() -> Self {
        let mut ports = Ports::default();
        let given = Host::ALL.map(|host| ports.free_on(host.address()).unwrap());
        Self { directory: tempfile::tempdir().unwrap(), ports: given, running: [None, None] }
    }

    pub fn place(&self, member: usize) -> PathBuf {
        self.directory.path().join(member.to_string())
    }

    pub fn address(&self, member: usize) -> SocketAddr {
        SocketAddr::from((Host::ALL[member].address(), self.ports[member]))
    }

    pub fn script(&self, member: usize, script: &str, epoch: u64) -> Command {
        let (own, other) = (self.address(member), self.address(1 - member));
        fs::create_dir_all(self.place(member)).unwrap();
        let mut command = Command::new(recipe::directory(recipe::REDIS).join(script));
        command
            .current_dir(self.place(member))
            .env("REDIS_ADDRESS", own.ip().to_string())
            .env("REDIS_PASSWORD", recipe::REDIS_PASSWORD)
            // A wait that is too short for a busy machine would show in the next start.
            .env("REDIS_WHOLE_MS", "20000")
            .env("UNDERSTUDY_APPLICATION", NAMES[member])
            .env("UNDERSTUDY_PEER", NAMES[1 - member])
            .env("UNDERSTUDY_PORT_DEFAULT", own.port().to_string())
            .env("UNDERSTUDY_PEER_ADDRESS", other.ip().to_string())
            .env("UNDERSTUDY_PEER_PORT_DEFAULT", other.port().to_string())
            .env("UNDERSTUDY_EPOCH", epoch.to_string());
        command
    }

    pub fn run(&self, member: usize, script: &str, epoch: u64) -> Output {
        self.script(member, script, epoch).output().unwrap()
    }

    pub fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let looked =
            Interrupt::default().until(what, LIMIT, || Ok(if is_so() { Ok(()) } else { Err(String::new()) }));
        looked.unwrap_or_else(|error| panic!("{error}"));
    }

    pub fn start(&mut self, member: usize) {
        self.start_with(member, &[]);
    }

    /// With more in its environment.
    pub fn start_with(&mut self, member: usize, more: &[(&str, &str)]) {
        let mut command = self.script(member, "start", 0);
        command.envs(more.iter().copied());
        let log = File::create(self.place(member).join("log")).unwrap();
        // A group of its own, for the children with which it writes its files.
        let child = command.process_group(0).stdin(Stdio::null()).stdout(log).spawn().unwrap();
        self.running[member] = Some(child);
        self.until("it answers", || self.run(member, "probe", 0).status.success());
    }

    pub fn kill(&mut self, member: usize) {
        if let Some(mut child) = self.running[member].take() {
            // It has not been waited for, so the number is still its own.
            let group = Pid::from_child(&child);
            kill_process_group(group, Signal::KILL).unwrap();
            child.wait().unwrap();
        }
    }

    pub fn client(&self, member: usize) -> RedisClient {
        Self::client_at(self.address(member))
    }

    pub fn client_at(address: SocketAddr) -> RedisClient {
        RedisClient::connect(address, recipe::REDIS_PASSWORD, Duration::from_secs(5)).unwrap()
    }

    /// Whether the file of this member has all of its data.
    pub fn is_file_whole(&self, member: usize) -> bool {
        let Reply::Text(told) = self.asks(member, &["INFO", "persistence"]) else { return false };
        ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"].iter().all(|line| told.contains(line))
    }

    pub fn until_linked(&self, member: usize) {
        self.until("it follows", || {
            self.client(member).replication("master_link_status").unwrap().as_deref() == Some("up")
        });
    }

    #[track_caller]
    pub fn promotes(&self, member: usize, epoch: u64) {
        let output = self.run(member, "promote", epoch);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(self.client(member).set("written", &epoch.to_string()).unwrap());
    }

    #[track_caller]
    pub fn refuses(&self, member: usize, epoch: u64, because: &str) -> String {
        let output = self.run(member, "promote", epoch);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(because), "{output:?}");
        assert!(!self.client(member).set("written", "0").unwrap(), "it takes no writes");
        said
    }

    /// Does what a refusal says: `echo 'MARK' >FILE`.
    pub fn permits(&self, member: usize, refusal: &str) {
        let (_, told) = refusal.split_once("permit it with: echo '").unwrap();
        let (mark, path) = told.trim_end().split_once("' >").unwrap();
        let file = self.place(member).join("promote-anyway");
        assert_eq!(fs::canonicalize(self.place(member)).unwrap().join("promote-anyway"), Path::new(path));
        fs::write(file, format!("{mark}\n")).unwrap();
    }

    pub fn asks(&self, member: usize, words: &[&str]) -> Reply {
        self.client(member).ask(words).unwrap()
    }

    /// In which epoch the data of this member was served last, and by whom.
    pub fn mark(&self, member: usize) -> Reply {
        self.asks(member, &["FCALL_RO", "understudy_served", "0"])
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
    two.refuses(0, 1, "redis-2 does not say");
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
    two.refuses(0, 5, "redis-2 has newer data (epoch 3 of redis-2; here 2 of redis-1)");
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
    let refusal = two.refuses(0, 8, "redis-2 does not say");
    two.permits(0, &refusal);
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
    assert!(!stale.status.success() && said.contains("redis-1 is a primary"), "{stale:?}");
    let demoted = two.run(0, "demote", 1);
    assert!(demoted.status.success(), "{demoted:?}");
    let said = String::from_utf8_lossy(&demoted.stderr).into_owned();
    assert!(said.contains("may be lost: the other member lacks"), "{said}");
    two.refuses(1, 2, "bytes that redis-1 has");
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
    let refusal = two.refuses(0, 1, "redis-2 does not say");
    two.permits(0, &refusal);
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

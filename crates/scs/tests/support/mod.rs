//! A control server as its own process, agents that obey inside the test, and a small client of the API.

#![allow(dead_code, reason = "each test program uses its own part of this")]

pub mod agent;
pub mod http;
pub mod net;
pub mod tls;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take here.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Waits until it is so.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A directory with both files, and the server that runs on them.
pub struct Bench {
    pub directory: tempfile::TempDir,
    pub child: Option<Child>,
}

impl Bench {
    /// A pair on two hosts whose agents listen on Unix sockets in the directory.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bench = Self { directory, child: None };
        let path = |name: &str| bench.path(name).display().to_string();
        bench.write(
            "scs.toml",
            &format!(
                "[server]\nname = \"scs-1\"\ncluster-file = \"{}\"\napi-socket = \"{}\"\nstate-directory = \"{}\"\n",
                path("cluster.toml"),
                path("scs.sock"),
                path("state")
            ),
        );
        bench.write("cluster.toml", &bench.cluster());
        bench
    }

    pub fn cluster(&self) -> String {
        let mut text = "[cluster]\nname = \"demo\"\n".to_owned();
        for (host, application) in [("alpha", "tserver-1"), ("beta", "tserver-2")] {
            let socket = self.path(&format!("{host}.sock"));
            text.push_str(&format!(
                "[[host]]\nname = \"{host}\"\naddresses = [\"unix:{}\"]\n[[application]]\nname = \"{application}\"\n\
                 host = \"{host}\"\ninterface = \"library\"\ncommand = [\"/bin/true\"]\nrestart = \"always\"\n",
                socket.display()
            ));
        }
        text.push_str(
            "[[pair]]\nname = \"tserver\"\nprimary = \"tserver-1\"\nbackup = \"tserver-2\"\n\
             redundancy = \"hot-standby\"\npolicy = \"available\"\n",
        );
        text
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn agent(&self, host: &str) -> agent::FakeAgent {
        agent::FakeAgent::start(host, &self.path(&format!("{host}.sock")), &self.path("state"))
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scs"));
        command.arg("--config").arg(self.path("scs.toml")).env("SCS_LOG", "debug");
        command
    }

    /// Starts both agents and the server. The second agent comes when the first member runs, so that the configured
    /// primary is the first one, whoever is faster.
    pub fn start_with_agents(&mut self) -> (agent::FakeAgent, agent::FakeAgent) {
        let alpha = self.agent("alpha");
        self.start();
        until("tserver-1 runs", || {
            (self.get("/v1/applications/tserver-1")["status"] == "started").then_some(())
        });
        let beta = self.agent("beta");
        self.until_primary("tserver-1");
        (alpha, beta)
    }

    /// Starts the server and waits until it is ready.
    pub fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.path("scs.log")).unwrap();
        self.child = Some(self.command().stderr(log).stdout(Stdio::null()).spawn().unwrap());
        until("the server is ready", || (self.ask("GET", "/readyz", "").0 == 200).then_some(()));
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        until("the server has ended", || child.try_wait().unwrap())
    }

    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        http::ask(&self.path("scs.sock"), method, path, body)
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// The value of a figure, with its labels as they are written; `None` if it is not there.
    pub fn figure(&self, name: &str) -> Option<f64> {
        let text = http::figures(&self.path("scs.sock"));
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    pub fn pair(&self) -> Value {
        self.get("/v1/pairs/tserver")
    }

    /// Waits for this primary with a ready backup.
    pub fn until_primary(&self, name: &str) -> Value {
        until(&format!("{name} is primary and the other is ready"), || {
            let pair = self.pair();
            (pair["primary"] == name && pair["ready"] == true).then_some(pair)
        })
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("scs.log")).unwrap_or_default()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The test is over, however it ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

/// The store's role of the pair, read as any other program could.
pub fn stored_role(state: &Path) -> Option<understudy_model::RoleEpoch> {
    let reader = understudy_store::Reader::open(state).ok()?;
    reader.roles().ok()?.into_values().next()
}

//! Real programs for tests: started with pipes, talked to over their lines, killed when the test ends.

#![allow(dead_code, reason = "not every test needs every word of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use understudy_refapps::load::member::Conversation;

/// Longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running call server.
pub struct Tserver {
    pub child: Child,
    pub address: SocketAddr,
}

impl Tserver {
    /// Starts it on a port that the system chooses and waits until it listens.
    pub fn start(variables: &BTreeMap<String, String>, arguments: &[&str]) -> Self {
        Self::start_at(variables, "0", arguments)
    }

    /// The same, on that port.
    pub fn start_at(variables: &BTreeMap<String, String>, port: &str, arguments: &[&str]) -> Self {
        let mut child = command(variables, port, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("it does not listen").parse().unwrap();
        Self { child, address }
    }

    /// A new connection.
    pub fn connect(&self) -> Conversation {
        Conversation::open(self.address).unwrap()
    }

    /// One question on a connection of its own.
    pub fn ask(&self, line: &str) -> String {
        self.connect().ask(&format!("{line}\n")).unwrap()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Tserver {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A call server that is not started yet; no variable of this process reaches it.
pub fn command(variables: &BTreeMap<String, String>, port: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tserver"));
    command.env_clear().envs(variables).args(["--port", port]).args(arguments);
    command
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Looks again and again until it is so.
pub fn until(mut it_is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !it_is_so() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

//! What the call server does when the agent changes its role.
//!
//! Knows the gate and the calls, no sockets. The law: a demotion returns when the last acknowledgement is out, and a
//! promotion in a new role begins with empty calls, since somebody else served meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use understudy::{Conduct, Epoch, LinkChange, SuspendDone};

use super::calls::Calls;
use super::faults::Faults;
use super::gate::{Gate, Serving};

/// What all threads of the server share.
#[derive(Debug)]
pub struct Server {
    /// Its name, in answers and logs.
    pub name: String,
    /// Who may be answered.
    pub gate: Gate,
    /// What is wrong on purpose.
    pub faults: Faults,
    /// Whether clients may ask for faults.
    pub faults_allowed: bool,
    calls: Mutex<Calls>,
    suspending: AtomicBool,
    suspend_done: Mutex<Option<SuspendDone>>,
}

impl Server {
    /// A server that begins as said, with nothing in it.
    pub fn new(name: String, serving: Serving, faults_allowed: bool) -> Self {
        let mut calls = Calls::default();
        calls.begin_epoch(serving.epoch);
        Self {
            name,
            gate: Gate::new(serving),
            faults: Faults::default(),
            faults_allowed,
            calls: Mutex::new(calls),
            suspending: AtomicBool::new(false),
            suspend_done: Mutex::default(),
        }
    }

    /// The calls, for one command.
    pub fn calls(&self) -> MutexGuard<'_, Calls> {
        // Every command is applied whole or not at all, so a panicked thread leaves no half.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether new work is refused. Looked at under the lock of the calls, so that no call slips in after a suspension
    /// was found to be finished.
    pub fn is_suspending(&self) -> bool {
        self.suspending.load(Ordering::SeqCst)
    }

    /// Says that the suspension is finished if it was asked for and no call is left.
    pub fn finish_suspension_if_idle(&self) {
        if !self.is_suspending() || self.calls().sizes().0 > 0 {
            return;
        }
        let done = self.suspend_done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            log(&self.name, "suspended: no call is left");
            done.finished();
        }
    }
}

/// The call server as the agent's library sees it.
#[derive(Debug)]
pub struct TserverConduct(pub Arc<Server>);

impl Conduct for TserverConduct {
    fn promote(&mut self, epoch: Epoch) -> Result<(), String> {
        let server = &self.0;
        server.faults.hang_if_asked();
        std::thread::sleep(server.faults.slow_promotion());
        if server.faults.is_refusing() {
            return Err("told by a client to refuse promotions".to_owned());
        }
        server.gate.open(epoch.0, |before| {
            if !before.is_primary {
                server.calls().begin_epoch(epoch.0);
            }
        });
        log(&server.name, &format!("primary in epoch {epoch}"));
        Ok(())
    }

    fn demote(&mut self, epoch: Epoch) {
        let server = &self.0;
        server.faults.hang_if_asked();
        // The gate is still open, which is the hard case for whoever waits for this; the library says already that it
        // may not act, so nothing is acknowledged any more.
        std::thread::sleep(server.faults.slow_demotion());
        server.gate.close(epoch.0);
        log(&server.name, &format!("backup, epoch {epoch}"));
    }

    fn suspend(&mut self, done: SuspendDone) {
        self.0.faults.hang_if_asked();
        log(&self.0.name, "suspending: no new calls");
        *self.0.suspend_done.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        self.0.suspending.store(true, Ordering::SeqCst);
        self.0.finish_suspension_if_idle();
    }

    fn hear_link(&mut self, change: LinkChange) {
        log(&self.0.name, &change.to_string());
    }
}

/// One line for people, on standard error.
pub fn log(name: &str, text: &str) {
    eprintln!("{name}: {text}");
}

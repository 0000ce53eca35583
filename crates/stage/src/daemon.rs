//! One program of ours as a process of its own: started, killed, started again.
//!
//! It knows no settings. The law: a process that was started is waited for, and its log is one file through all its
//! lives.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::StageError;
use crate::net::Place;
use crate::plan::STAGE_MARK;

/// How long a program may take to end when it is asked to.
const FINISH_LIMIT: Duration = Duration::from_secs(3);

/// A program with its arguments, and the process if it runs.
#[derive(Debug)]
pub struct DaemonProcess {
    what: String,
    program: PathBuf,
    arguments: Vec<String>,
    mark: PathBuf,
    log: PathBuf,
    /// Whose network it lives in; none: the machine's.
    place: Option<Arc<Place>>,
    child: Option<Child>,
    /// As a real-time process, which no busy one keeps from its core.
    urgent: bool,
}

/// What makes a program a real-time one, and nothing that it starts.
const URGENT: [&str; 4] = ["chrt", "--rr", "--reset-on-fork", "10"];

impl DaemonProcess {
    /// Nothing is started yet. `mark` is the stage's directory, `log` is appended to.
    pub fn new(what: &str, program: PathBuf, arguments: Vec<String>, mark: &Path, log: PathBuf) -> Self {
        Self {
            what: what.to_owned(),
            program,
            arguments,
            mark: mark.to_owned(),
            log,
            place: None,
            child: None,
            urgent: false,
        }
    }

    /// It is a real-time process from its next start on.
    pub fn urgent(mut self, urgent: bool) -> Self {
        self.urgent = urgent;
        self
    }

    /// It lives in that network from its next start on.
    pub fn in_place(mut self, place: Option<Arc<Place>>) -> Self {
        self.place = place;
        self
    }

    /// Starts it, if it does not run.
    pub fn start(&mut self) -> Result<u32, StageError> {
        if let Some(child) = &self.child {
            return Ok(child.id());
        }
        let open = || OpenOptions::new().create(true).append(true).open(&self.log);
        let log = open().map_err(StageError::file("open", &self.log))?;
        let errors = log.try_clone().map_err(StageError::file("open", &self.log))?;
        let mut command = match (self.urgent, URGENT) {
            (true, [chrt, arguments @ ..]) => {
                let mut command = Command::new(chrt);
                command.args(arguments).arg(&self.program);
                command
            }
            (false, _) => Command::new(&self.program),
        };
        command
            .args(&self.arguments)
            .env(STAGE_MARK, &self.mark)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // A Ctrl-C is for the play, which then ends its daemons itself.
            .process_group(0);
        let spawned = match &self.place {
            Some(place) => place.run(move || command.spawn())?,
            None => command.spawn(),
        };
        let child = spawned.map_err(|source| StageError::Start { program: self.program.clone(), source })?;
        let pid = child.id();
        self.child = Some(child);
        Ok(pid)
    }

    /// Another program the next time that it is started.
    pub fn set_program(&mut self, program: PathBuf) {
        self.program = program;
    }

    /// Kill -9. False if it did not run.
    pub fn kill(&mut self) -> Result<bool, StageError> {
        let Some(mut child) = self.child.take() else { return Ok(false) };
        let failed = |act, source| StageError::Process { act, what: self.what.clone(), source };
        child.kill().map_err(|source| failed("kill", source))?;
        child.wait().map_err(|source| failed("wait for", source))?;
        Ok(true)
    }

    /// Asks it to end, and kills it if it does not: an agent gives back what it made on this machine. False if it did
    /// not run.
    pub fn finish(&mut self) -> Result<bool, StageError> {
        let Some(child) = &mut self.child else { return Ok(false) };
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        // Not waited for yet, so the number is still its own.
        if let Some(pid) = pid
            && rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok()
        {
            let deadline = Instant::now() + FINISH_LIMIT;
            while Instant::now() < deadline {
                if matches!(child.try_wait(), Ok(Some(_))) {
                    self.child = None;
                    return Ok(true);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        self.kill()
    }

    /// An error if it ended by itself.
    pub fn check(&mut self) -> Result<(), StageError> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let failed = |source| StageError::Process { act: "look at", what: self.what.clone(), source };
        match child.try_wait().map_err(failed)? {
            None => Ok(()),
            Some(status) => {
                self.child = None;
                let (what, how, log) = (self.what.clone(), status.to_string(), self.log.clone());
                Err(StageError::Ended { what, how, log })
            }
        }
    }

    /// Its process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Lets it run on after this program has ended.
    pub fn leave(&mut self) {
        self.child = None;
    }
}

//! What is told while the demonstration runs: one short line a moment, with its time.
//!
//! It knows how lines look. The law: standard output belongs to the table or the JSON object; with JSON the story goes
//! to standard error.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Ending, Output, Scenario};
use crate::load::Moment;
use crate::{Plan, Programs, StageError};

/// In the directory of a cluster that was left up: where its sockets lie.
pub(super) const SOCKETS_FILE: &str = "sockets";

/// The teller.
#[derive(Debug)]
pub(super) struct Voice {
    output: Output,
    zero: Instant,
    /// Moments of the client that were told already.
    told: usize,
}

impl Voice {
    pub fn new(output: Output) -> Self {
        Self { output, zero: Instant::now(), told: 0 }
    }

    pub fn line(&self, text: &str) {
        // A listener who has gone away is no reason to stop: the exit code still tells.
        let _ = match self.output {
            Output::Table => writeln!(std::io::stdout(), "{text}"),
            Output::Json => writeln!(std::io::stderr(), "{text}"),
        };
    }

    /// What belongs on standard output, whatever it is.
    pub fn result(&self, text: &str) -> Result<(), StageError> {
        let mut output = std::io::stdout();
        writeln!(output, "{text}")
            .and_then(|()| output.flush())
            .map_err(StageError::system("print the result"))
    }

    pub fn title(&self, scenario: Scenario) {
        let limit = match scenario.limit_ms() {
            0.0 => "the client must notice nothing".to_owned(),
            limit => format!("nobody may serve for at most {limit} ms"),
        };
        self.line(&format!("\n== {}: {}; {limit}", scenario.name(), scenario.deed()));
    }

    /// A new client was started at `zero`; times are told from there on.
    pub fn begin_client(&mut self, zero: Instant) {
        self.zero = zero;
        self.told = 0;
    }

    /// The time that goes with a line.
    pub fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    /// Something is seen now.
    pub fn act(&self, text: &str) {
        self.act_at(self.now(), text);
    }

    /// Something was done then.
    pub fn act_at(&self, at: Duration, text: &str) {
        self.line(&format!("  +{:.3} s  {text}", at.as_secs_f64()));
    }

    /// What the client noticed since this was last told, without what members say of themselves. `moments` are all.
    pub fn client(&mut self, moments: &[Moment], plan: &Plan) {
        let news = moments.get(self.told..).unwrap_or_default();
        self.told = moments.len();
        for moment in news {
            let name = plan.applications.get(moment.member).map_or("?", |one| one.name.as_str());
            let epoch = moment.epoch.map_or_else(String::new, |epoch| format!(" in epoch {epoch}"));
            let text = match (moment.event.as_str(), moment.outage_ms) {
                ("outage-began", _) => format!("{name} serves no more"),
                ("served-again", Some(ms)) => format!("{name} serves{epoch}; nobody did for {ms:.1} ms"),
                ("epoch-changed", _) => format!("first answer{epoch}, from {name}"),
                ("dual", _) => format!("TWO PRIMARIES: {name} answered{epoch}"),
                _ => continue,
            };
            // Without a time: the client's own clock began a few milliseconds later than this one.
            self.line(&format!("            client: {text}"));
        }
    }

    pub fn ending(&self, ending: &Ending) {
        if ending.ok {
            self.line("  ok");
        }
        for problem in &ending.problems {
            self.line(&format!("  NOT OK: {problem}"));
        }
    }

    /// Lines of another program.
    pub fn quote(&self, lines: &[String]) {
        for line in lines {
            self.line(&format!("  | {line}"));
        }
    }

    /// How to talk to a cluster that was left up.
    pub fn left_up(&self, programs: &Programs, socket: &Path, directory: &Path) {
        let sockets = socket.parent().unwrap_or(socket);
        // Without this file the cluster can still be ended by hand; the line below would then say so.
        let noted = std::fs::write(directory.join(SOCKETS_FILE), sockets.to_string_lossy().as_bytes());
        let scsctl = programs.text("scsctl");
        self.line("\nThe cluster is left up. Talk to it:\n");
        self.line(&format!("  export SCSCTL_SERVER=unix:{}", socket.display()));
        for command in ["status", "why tserver", "switchover tserver", "events --follow"] {
            self.line(&format!("  {scsctl} {command}"));
        }
        self.line(&format!("\nLogs and settings: {}", directory.display()));
        self.line("End it:\n");
        match noted {
            Ok(()) => {
                self.line(&format!("  {} --end {}", programs.text("understudy-demo"), directory.display()))
            }
            Err(error) => {
                self.line(&format!("  by hand: {} cannot be written: {error}", directory.display()))
            }
        }
    }
}

//! What is told while the demonstration runs: one short line a moment, with its time.
//!
//! It knows how lines look. The law: standard output belongs to the table or the JSON object; with JSON the story goes
//! to standard error.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use super::{Ending, Output, Scenario};
use crate::load::Moment;
use crate::{Plan, Programs};

/// In the directory of a cluster that was left up: where its sockets lie.
pub(super) const SOCKETS_FILE: &str = "sockets";

/// The teller.
#[derive(Debug)]
pub(super) struct Voice {
    output: Output,
    zero: Instant,
}

impl Voice {
    pub fn new(output: Output) -> Self {
        Self { output, zero: Instant::now() }
    }

    pub fn line(&self, text: &str) {
        match self.output {
            Output::Table => println!("{text}"),
            Output::Json => eprintln!("{text}"),
        }
    }

    pub fn title(&self, scenario: Scenario) {
        let limit = match scenario.limit_ms() {
            0.0 => "the client must notice nothing".to_owned(),
            limit => format!("nobody may serve for at most {limit} ms"),
        };
        self.line(&format!("\n== {}: {}; {limit}", scenario.name(), scenario.deed()));
    }

    /// Times are told from here on.
    pub fn set_zero(&mut self, zero: Instant) {
        self.zero = zero;
    }

    /// Something was done, or seen, now.
    pub fn act(&self, text: &str) {
        self.line(&format!("  +{:.3} s  {text}", self.zero.elapsed().as_secs_f64()));
    }

    /// What the client noticed, without what members say of themselves.
    pub fn client(&self, moments: &[Moment], plan: &Plan) {
        for moment in moments {
            let name = plan.applications.get(moment.member).map_or("?", |one| one.name.as_str());
            let epoch = moment.epoch.map_or_else(String::new, |epoch| format!(" in epoch {epoch}"));
            let text = match (moment.event.as_str(), moment.outage_ms) {
                ("outage-began", _) => format!("{name} serves no more"),
                ("served-again", Some(ms)) => format!("{name} serves{epoch}; nobody did for {ms:.1} ms"),
                ("epoch-changed", _) => format!("first answer{epoch}, from {name}"),
                ("dual", _) => format!("TWO PRIMARIES: {name} answered{epoch}"),
                _ => continue,
            };
            self.line(&format!("  +{:.3} s  client: {text}", moment.at_ms / 1000.0));
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
        let mut text = String::new();
        for line in lines {
            // Writing to a text cannot fail.
            let _ = write!(text, "\n  | {line}");
        }
        self.line(text.trim_start_matches('\n'));
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
            Ok(()) => self.line(&format!("  {} --end {}", programs.text("understudy-demo"), directory.display())),
            Err(error) => self.line(&format!("  by hand: {} cannot be written: {error}", directory.display())),
        }
    }
}

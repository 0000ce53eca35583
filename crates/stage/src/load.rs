//! The load client `tserver-load` as a process: what it tells while it runs, and its summary.
//!
//! It knows the client's output and nothing of how it measures. The law: figures are passed on as they were printed.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::net::Place;
use crate::{Interrupt, Programs, StageError};

/// How long the client may take to look up its writes and end.
const END_LIMIT: Duration = Duration::from_secs(30);

/// Something that the client noticed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Moment {
    /// Since the client's start, in milliseconds.
    pub at_ms: f64,
    /// `outage-began`, `served-again`, `epoch-changed`, `member-says` or `dual`.
    pub event: String,
    /// Which member, 0 or 1.
    pub member: usize,
    /// In which epoch.
    pub epoch: Option<u64>,
    /// With `served-again`.
    pub outage_ms: Option<f64>,
}

/// A span in which no write was acknowledged.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Outage {
    /// Since the client's start, in milliseconds.
    pub from_ms: f64,
    /// How long, in milliseconds.
    pub ms: f64,
    /// The epoch before.
    pub epoch_before: u64,
    /// The epoch after; absent if nobody served again.
    pub epoch_after: Option<u64>,
}

/// What the client measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LoadSummary {
    /// Writes that a member acknowledged.
    pub writes_acknowledged: u64,
    /// How many of them could be looked up at the end.
    pub acknowledged_checked: Option<u64>,
    /// How many of those are gone.
    pub acknowledged_lost: Option<u64>,
    /// In the order in which they began.
    pub outages: Vec<Outage>,
    /// Of all outages.
    pub longest_outage_ms: f64,
    /// Answers that prove two primaries.
    pub dual_primary_observations: u64,
    /// Acts in an epoch that was over.
    pub lower_epoch_answers: u64,
    /// Acts that the client rejected, as it had seen a higher epoch.
    pub stale_rejected: u64,
    /// Such acts that the client accepted all the same.
    pub stale_accepted: u64,
}

impl LoadSummary {
    /// How many acknowledged writes are gone, if every one of them could be looked up.
    pub fn lost_of_all(&self) -> Option<u64> {
        self.acknowledged_lost.filter(|_| self.acknowledged_checked == Some(self.writes_acknowledged))
    }
}

/// The running client. Dropping it kills it.
#[derive(Debug)]
pub struct Load {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    moments: Vec<Moment>,
    summary: Option<LoadSummary>,
    began: Instant,
}

impl Load {
    /// Starts it against these members (`ADDRESS:PORT`), in that network or the machine's. `more` are further arguments.
    pub fn start(
        programs: &Programs,
        members: &[String],
        more: &[&str],
        place: Option<&Place>,
    ) -> Result<Self, StageError> {
        let program = programs.path("tserver-load");
        let failed = |source| StageError::Start { program: program.clone(), source };
        let began = Instant::now();
        let mut command = Command::new(&program);
        command
            .args(["--until-stdin-closes", "--verify"])
            .args(more)
            .args(members)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let spawned = match place {
            Some(place) => place.run(move || command.spawn())?,
            None => command.spawn(),
        };
        let mut child = spawned.map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (said, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
                // A line that cannot be read is the end of them, and the missing summary tells.
                let Ok(line) = line else { return };
                if said.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, stdin, lines, moments: Vec::new(), summary: None, began })
    }

    /// Right before it was started.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Everything it has told until now.
    pub fn moments(&mut self) -> Result<&[Moment], StageError> {
        while let Ok(line) = self.lines.try_recv() {
            let wrong =
                |why: serde_json::Error| StageError::Load { line: line.clone(), why: why.to_string() };
            let value: serde_json::Value = serde_json::from_str(&line).map_err(wrong)?;
            if value.get("event").is_some() {
                self.moments.push(serde_json::from_value(value).map_err(wrong)?);
            } else {
                self.summary = Some(serde_json::from_value(value).map_err(wrong)?);
            }
        }
        Ok(&self.moments)
    }

    /// Waits until it has told something that `wanted` is content with.
    pub fn until(
        &mut self,
        interrupt: &Interrupt,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Moment) -> bool,
    ) -> Result<Moment, StageError> {
        interrupt.until(what, limit, || {
            let moments = self.moments()?;
            Ok(moments.iter().find(|moment| wanted(moment)).cloned().ok_or_else(|| {
                moments
                    .last()
                    .map_or_else(|| "the client has told nothing".to_owned(), |last| format!("{last:?}"))
            }))
        })
    }

    /// Ends it and waits for its summary; answers that and all moments.
    pub fn end(mut self, interrupt: &Interrupt) -> Result<(LoadSummary, Vec<Moment>), StageError> {
        self.stdin = None;
        let summary = interrupt.until("the load client has summed up", END_LIMIT, || {
            self.moments()?;
            Ok(self.summary.take().ok_or_else(|| "no summary yet".to_owned()))
        })?;
        Ok((summary, std::mem::take(&mut self.moments)))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already; then both only say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_known_only_if_everything_was_looked_up() {
        let mut summary = LoadSummary {
            writes_acknowledged: 10,
            acknowledged_checked: Some(10),
            acknowledged_lost: Some(0),
            outages: Vec::new(),
            longest_outage_ms: 0.0,
            dual_primary_observations: 0,
            lower_epoch_answers: 0,
            stale_rejected: 0,
            stale_accepted: 0,
        };
        assert_eq!(summary.lost_of_all(), Some(0));
        summary.acknowledged_checked = Some(4);
        assert_eq!(summary.lost_of_all(), None);
        summary.acknowledged_checked = None;
        assert_eq!(summary.lost_of_all(), None);
    }
}

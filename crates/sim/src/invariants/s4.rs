//! S4: an operator's stop, or maintenance, is never undone by a restart rule.
//!
//! A stop counts from when it is on the agent's disk. What ended under maintenance stays down until it is asked for, or
//! maintenance is over. A start that was decided before a stop was on the disk, and waited for the same disk, may come a
//! moment later; it is ended at once. After a table that may or may not be on the disk nothing is judged until one is.

use understudy_decide::agent::{AgentDo, AgentMemory, AgentRecord, Spawn};
use understudy_model::{ApplicationStatus, Assignment, Goal, Order, RunMode, Work};

use super::Objection;
use crate::cast::Cast;
use crate::climate::{Climate, MS};

/// For so long a start that was decided before a stop may still come.
const UNDER_WAY: u64 = 50 * MS;

/// S4.
#[derive(Debug)]
pub struct S4 {
    pub(super) objection: Objection,
    /// By host: the table on the disk is not known to be the one that the agent goes by.
    unknown: Vec<bool>,
    /// By part: it ended by itself under maintenance, and nobody asked for it since.
    left: Vec<bool>,
    /// By part: it is to end, by its agent's doing or by a person's, and what follows is theirs.
    to_end: Vec<bool>,
    /// By part: since when its stop has been on the disk.
    stopped: Vec<Option<u64>>,
    names: Vec<understudy_model::ApplicationName>,
}

impl S4 {
    pub(super) fn new(climate: &Climate, cast: &Cast) -> Self {
        Self {
            objection: Objection::default(),
            unknown: vec![false; climate.hosts],
            left: vec![false; cast.parts.len()],
            to_end: vec![false; cast.parts.len()],
            stopped: vec![None; cast.parts.len()],
            names: cast.parts.iter().map(|part| part.name.clone()).collect(),
        }
    }

    fn has_table(records: &[AgentRecord]) -> bool {
        records.iter().any(|record| matches!(record, AgentRecord::Assignments(_)))
    }

    /// A table could not be stored, or nobody knows.
    pub fn table_unknown(&mut self, host: usize, records: &[AgentRecord]) {
        if Self::has_table(records) {
            self.unknown[host] = true;
        }
    }

    /// The files of an agent are others than it wrote last: it may not know what was left alone on its host.
    pub fn files_changed(&mut self, host: usize, cast: &Cast) {
        self.unknown[host] = true;
        for (part, _) in cast.parts.iter().enumerate().filter(|(_, part)| part.host == host) {
            self.left[part] = false;
        }
    }

    /// The agent was told that its records are stored.
    pub fn table_known(&mut self, host: usize, records: &[AgentRecord]) {
        if Self::has_table(records) {
            self.unknown[host] = false;
        }
    }

    /// A table is on the disk, whether its agent knows or not. What it does not put under maintenance, or puts to rest, is not
    /// left alone any more: only an operator starts it again.
    pub fn table_stored(&mut self, now: u64, table: &[Assignment]) {
        for assigned in table {
            let Some(part) = self.names.iter().position(|name| *name == assigned.application) else {
                continue;
            };
            if assigned.goal == Goal::Stopped {
                self.stopped[part].get_or_insert(now);
            } else {
                self.stopped[part] = None;
            }
            if !assigned.hands_off || assigned.goal == Goal::Stopped {
                self.left[part] = false;
            }
        }
    }

    /// An order about an application.
    pub fn ordered(&mut self, cast: &Cast, order: &Order) {
        let (asked, ends) = match &order.work {
            Work::SetGoal { application, goal, .. } => (application, *goal == Goal::Stopped),
            Work::Restart { application } => (application, true),
            _ => return,
        };
        if let Some(part) = cast.part(asked) {
            self.left[part] = false;
            self.to_end[part] |= ends;
        }
    }

    /// An agent says that it ends something: it may have decided that a while ago, and waits for its disk.
    pub fn agent_acts(&mut self, action: &AgentDo) {
        if let AgentDo::Report(report) = action
            && report.status == ApplicationStatus::StopPending
            && report.run_mode == RunMode::Exiting
            && let Some(part) = self.names.iter().position(|name| *name == report.application)
        {
            self.to_end[part] = true;
        }
    }

    /// Somebody ends it, or asked for that.
    pub fn to_end(&mut self, part: usize) {
        self.to_end[part] = true;
    }

    /// An agent sees that a main process ended.
    pub fn ended(&mut self, host: usize, part: usize, memory: &AgentMemory) {
        let asked = self.to_end[part];
        let name = &self.names[part];
        let assigned = memory.assignments.iter().find(|assigned| assigned.application == *name);
        let under = assigned.is_some_and(|assigned| assigned.hands_off && assigned.goal == Goal::Started);
        if under && !asked && !self.unknown[host] {
            self.left[part] = true;
        }
    }

    /// An agent starts an application.
    pub fn spawned(&mut self, now: u64, host: usize, part: usize, spawn: &Spawn, memory: &AgentMemory) {
        self.to_end[part] = false;
        if self.unknown[host] {
            return;
        }
        let name = &spawn.application;
        let decided_before = self.stopped[part].is_some_and(|since| now - since <= UNDER_WAY);
        let goal = memory.assignments.iter().find(|assigned| assigned.application == *name);
        if goal.map(|assigned| assigned.goal) != Some(Goal::Started) && !decided_before {
            self.objection.raise("S4", now, || format!("{name} is started, and its goal is {goal:?}"));
        }
        if std::mem::take(&mut self.left[part]) {
            let what = || format!("{name} is started again, though maintenance is on");
            self.objection.raise("S4", now, what);
        }
    }
}

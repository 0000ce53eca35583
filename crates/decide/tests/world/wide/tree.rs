//! One process tree of the wide world, which obeys as the application library would.

use std::collections::VecDeque;

use understudy_decide::agent::StartId;
use understudy_model::*;

/// One start of one application: a main process, and perhaps others that outlive it.
#[derive(Debug, Clone)]
pub struct Tree {
    pub app: ApplicationName,
    pub start: StartId,
    pub pid: u32,
    pub main: bool,
    pub others: bool,
    pub killing: bool,
    pub plain: bool,
    pub mode: RunMode,
    pub epoch: Epoch,
    pub left: Epoch,
    pub ready: Readiness,
    pub attached: bool,
    pub heard: VecDeque<ToApplication>,
    pub says: VecDeque<FromApplication>,
    pub hung: bool,
    pub refuses: bool,
    pub suspended: bool,
    /// Ends by itself slowly: a signal is only noted.
    pub slow_end: bool,
    pub signalled: bool,
    /// What its agent noted: the epoch in which it is primary.
    pub noted: Option<Epoch>,
}

impl Tree {
    /// One thing that the application does by itself or was told, as the application library would.
    pub fn live(&mut self) -> bool {
        if self.ready == Readiness::NotYet {
            self.ready = Readiness::Ready;
            if self.attached {
                self.says.push_back(FromApplication::Readiness(Readiness::Ready));
            }
            return true;
        }
        let Some(message) = self.heard.pop_front() else { return false };
        let said = match message {
            ToApplication::SetRunMode { run_mode, epoch } => self.obey(run_mode, epoch),
            ToApplication::Suspend => {
                self.suspended = true;
                FromApplication::Suspended
            }
            ToApplication::Ping(number) => FromApplication::Pong(number),
            ToApplication::Attached
            | ToApplication::AttachRefused(_)
            | ToApplication::InSyncDone { .. }
            | ToApplication::Confirmed { .. } => return true,
        };
        if self.attached {
            self.says.push_back(said);
        }
        true
    }

    pub fn obey(&mut self, run_mode: RunMode, epoch: Epoch) -> FromApplication {
        let no = |reason: &str| FromApplication::RunModeRefused { run_mode, epoch, reason: reason.into() };
        let already = self.mode == run_mode && self.epoch == epoch;
        if epoch < self.epoch {
            return no("older epoch");
        }
        if run_mode == RunMode::Primary && !already {
            if epoch <= self.left || self.suspended {
                return no("left before, or suspended");
            }
            if std::mem::take(&mut self.refuses) {
                self.mode = RunMode::Backup;
                self.left = self.left.max(epoch);
                return no("not today");
            }
        }
        if self.mode == RunMode::Primary && run_mode == RunMode::Backup {
            self.left = self.left.max(self.epoch);
        }
        self.mode = run_mode;
        self.epoch = epoch;
        FromApplication::RunModeDone { run_mode, epoch }
    }
}

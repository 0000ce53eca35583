//! What an agent knows of one application: the process, the link, the readiness, and what it last reported.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{
    ApplicationName, ApplicationReport, ApplicationSpec, ApplicationStatus, Assignment, Epoch, ExitCause,
    Goal, GrantReport, Interface, LastExit, Moment, Readiness, RestartPolicy, RoleReport, RunMode,
};

use super::hang::Life;
use super::hooks::RunningHook;
use super::lifecycle::Phase;
use super::role::{Part, Role};
use super::{DurableRole, HookKind, StartId};

/// Why a process is being ended by its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StopReason {
    /// Its goal is "stopped".
    Goal,
    /// An operator asked for a restart.
    Restart,
    /// It was not ready in time.
    TooLateReady,
    /// It did not confirm a demotion in time.
    Fence,
    /// It hears of a new run mode only by being started with it.
    NewMode,
    /// It showed no life.
    Hung,
}

/// What follows when no process is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterEnd {
    /// Start it at once.
    Now,
    /// Start it after this.
    Later(Duration),
    /// Leave it.
    Leave,
    /// Leave it, because it failed too often.
    GiveUp,
}

/// Why an ended process is left alone although its goal is "started".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LeftAlone {
    /// Its restart policy says so.
    Policy,
    /// Maintenance is on.
    Maintenance,
    /// It failed too often.
    Limit,
}

/// One application on its host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Application {
    /// As assigned; the goal and maintenance in it are the current ones.
    pub assigned: Assignment,
    /// No longer assigned: forgotten when its process is gone.
    pub dropped: bool,
    /// Where its process is.
    pub phase: Phase,
    /// When the time of this phase is over.
    pub phase_deadline: Option<Moment>,
    /// The present or last start.
    pub start: Option<StartId>,
    /// The main process.
    pub pid: Option<u32>,
    /// When the present start began.
    pub began: Moment,
    /// Since when it has been ready, in this start.
    pub ready_since: Option<Moment>,
    /// Its link is open.
    pub attached: bool,
    /// When a lost link counts as "cannot serve".
    pub link_deadline: Option<Moment>,
    /// What it said of itself.
    pub readiness: Readiness,
    /// What it confirmed to be.
    pub run_mode: RunMode,
    /// The stop under way is to be graceful.
    pub graceful: bool,
    /// Why it is being ended, if it is.
    pub stopping: Option<StopReason>,
    /// Starts by the agent itself since it was last asked to start it.
    pub restarts: u32,
    /// Ends in a row after less than a good run.
    pub bad_ends: u32,
    /// Ends in a row before it was ready.
    pub failed_starts: u32,
    /// It is not started again before somebody asks.
    pub left: Option<LeftAlone>,
    /// How it last ended.
    pub last_exit: Option<LastExit>,
    /// The start of an earlier life of this agent that its guard was last heard to have killed.
    pub fenced: Option<StartId>,
    /// What is wrong; empty if nothing is.
    pub problem: String,
    /// Its part in its pair.
    pub role: Option<Role>,
    /// What was last reported.
    pub reported: Option<ApplicationReport>,
    /// It is not started before this one is ready.
    pub waits_for: Option<ApplicationName>,
    /// The hook that runs.
    pub hook: Option<RunningHook>,
    /// What hooks of an earlier life of the agent left; being killed.
    pub hooks_left: BTreeSet<StartId>,
    /// Signs of life.
    pub life: Life,
    /// The hook that waits for it to be gone.
    pub hook_next: Option<HookKind>,
    /// Nothing of the tree lives; only a hook does.
    pub tree_gone: bool,
    /// What the present process was started as.
    pub started_as: RunMode,
    /// The epoch it was started in.
    pub started_in: Epoch,
    /// The epoch in which an earlier life of the agent knew it to be primary.
    pub noted: Option<Epoch>,
    /// The same for what was begun and may be half done.
    pub half: Option<Epoch>,
    /// Its host leaves, and it is its turn to be stopped.
    #[serde(default)]
    pub leaving: bool,
}

impl Application {
    /// An application without a process.
    pub fn new(assigned: Assignment, now: Moment) -> Self {
        let role = assigned.pair.clone().map(Role::new);
        Self {
            assigned,
            dropped: false,
            phase: Phase::Stopped,
            phase_deadline: None,
            start: None,
            pid: None,
            began: now,
            ready_since: None,
            attached: false,
            link_deadline: None,
            readiness: Readiness::NotYet,
            run_mode: RunMode::Unknown,
            graceful: false,
            stopping: None,
            restarts: 0,
            bad_ends: 0,
            failed_starts: 0,
            left: None,
            last_exit: None,
            fenced: None,
            problem: String::new(),
            role,
            reported: None,
            waits_for: None,
            hook: None,
            hooks_left: BTreeSet::new(),
            life: Life::default(),
            hook_next: None,
            tree_gone: false,
            started_as: RunMode::Unknown,
            started_in: Epoch::NONE,
            noted: None,
            half: None,
            leaving: false,
        }
    }

    /// Its name.
    pub fn name(&self) -> &ApplicationName {
        &self.assigned.application
    }

    /// How it is run.
    pub fn spec(&self) -> &ApplicationSpec {
        &self.assigned.spec
    }

    /// It should run, as far as its agent knows.
    pub fn wanted(&self) -> bool {
        self.assigned.goal == Goal::Started && !self.dropped && self.left.is_none() && !self.leaving
    }

    /// Something that was run for it lives.
    pub fn hooked(&self) -> bool {
        self.hook.is_some() || !self.hooks_left.is_empty()
    }

    /// It talks to its agent.
    pub fn speaks(&self) -> bool {
        self.spec().interface == Interface::Library
    }

    /// Something of its start lives that a guard can kill, or a process is being made that waits until one can. A program that
    /// reads its page need not wait for that.
    pub fn may_be_killed(&self) -> bool {
        let being_made = self.phase == Phase::Spawning && !self.speaks();
        self.pid.is_some() || self.phase == Phase::Lingering || being_made
    }

    /// It acts as primary, or may, or is being told to.
    pub fn may_act(&self) -> bool {
        self.role.as_ref().is_some_and(|role| role.part != Part::Idle)
    }

    /// It is a member of a strict pair that acts as primary, or may, or is being told to.
    pub fn acts_on_grants(&self) -> bool {
        self.role.as_ref().is_some_and(|role| role.part != Part::Idle && role.place.strict.is_some())
    }

    /// Its epoch may be closed: it does not act, and under `strict` nothing that was run for it lives (G5).
    pub fn may_close(&self) -> bool {
        let Some(role) = &self.role else { return true };
        role.part == Part::Idle && !(role.place.strict.is_some() && self.hooked())
    }

    /// An epoch has to be closed before anything is started again.
    pub fn closing(&self) -> bool {
        self.role.as_ref().is_some_and(|role| role.to_close().is_some())
    }

    /// The status that this phase is reported as.
    pub fn status(&self) -> ApplicationStatus {
        match self.phase {
            Phase::Stopped => ApplicationStatus::Stopped,
            Phase::Waiting | Phase::Spawning => ApplicationStatus::StartPending,
            Phase::Initializing => ApplicationStatus::Initializing,
            Phase::Started => ApplicationStatus::Started,
            Phase::Unavailable => ApplicationStatus::ServiceUnavailable,
            Phase::Suspending => ApplicationStatus::Suspending,
            Phase::Yielding | Phase::Stopping | Phase::Lingering => ApplicationStatus::StopPending,
        }
    }

    /// What would be reported now.
    pub fn report(&self, durable: Option<&DurableRole>, strict: Option<GrantReport>) -> ApplicationReport {
        let role = self.role.as_ref().map(|role| RoleReport {
            pair: role.place.pair.clone(),
            promised: durable.and_then(|durable| durable.promised.clone()),
            closed: durable.map(|durable| durable.closed).unwrap_or_default(),
            acting: role.role.clone(),
            strict,
        });
        ApplicationReport {
            application: self.name().clone(),
            pid: self.pid,
            status: self.status(),
            goal: self.assigned.goal,
            run_mode: self.run_mode,
            problem: self.problem.clone(),
            restarts: self.restarts,
            gave_up: self.left == Some(LeftAlone::Limit),
            last_exit: self.last_exit.clone(),
            role,
        }
    }

    /// Somebody asked for it: what went wrong before does not count any more.
    pub fn forgive(&mut self) {
        self.left = None;
        self.bad_ends = 0;
        self.failed_starts = 0;
        self.restarts = 0;
        self.problem.clear();
        if self.phase == Phase::Waiting {
            self.phase_deadline = Some(Moment::default());
        }
    }

    /// Maintenance on or off. What ended meanwhile, or waits to be restarted, is started again when it goes off.
    pub fn set_hands_off(&mut self, hands_off: bool) {
        let begins = hands_off && !self.assigned.hands_off;
        self.assigned.hands_off = hands_off;
        if !hands_off && self.left == Some(LeftAlone::Maintenance) {
            self.left = None;
        }
        if begins && self.phase == Phase::Waiting {
            self.left.get_or_insert(LeftAlone::Maintenance);
        }
    }

    /// Counts an end and decides what follows it.
    pub fn after_end(&mut self, now: Moment, cause: &ExitCause) -> AfterEnd {
        let reason = self.stopping.take();
        // A restart was asked for, a start while it was being stopped, or its agent stops all as its host leaves.
        let asked = matches!(reason, Some(StopReason::Restart | StopReason::Goal | StopReason::NewMode));
        // What ends by itself under maintenance is left alone also where its host leaves: the host may stay after all.
        // A start that was not made did not end by itself.
        let made = !matches!(cause, ExitCause::NotStarted(_));
        let leaves = self.leaving && (asked || !made || !self.assigned.hands_off);
        if self.assigned.goal == Goal::Stopped || self.dropped || leaves {
            return AfterEnd::Leave;
        }
        if asked {
            return AfterEnd::Now;
        }
        // What is said already says more than the cause alone.
        let why = if self.problem.is_empty() { cause.to_string() } else { self.problem.clone() };
        if self.assigned.hands_off {
            self.problem = format!("{why}; not started again: maintenance is on");
            self.left = Some(LeftAlone::Maintenance);
            return AfterEnd::Leave;
        }
        let success = matches!(cause, ExitCause::Code(code) if self.spec().success_codes.contains(code));
        let again = match self.spec().restart {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => !success,
            RestartPolicy::Never => false,
        };
        if !again {
            self.problem = format!("{why}; not started again: restart = \"{}\"", self.spec().restart);
            self.left = Some(LeftAlone::Policy);
            return AfterEnd::Leave;
        }
        let delay = self.spec().restart_delay;
        let good = self.ready_since.is_some_and(|since| now.since(since) >= delay);
        self.bad_ends = if good { 0 } else { self.bad_ends.saturating_add(1) };
        // A program that says nothing counts as ready when it runs; what ends at once has failed all the same.
        let came_up = if self.speaks() { self.ready_since.is_some() } else { good };
        self.failed_starts = if came_up { 0 } else { self.failed_starts.saturating_add(1) };
        if self.failed_starts > self.spec().restart_limit {
            self.left = Some(LeftAlone::Limit);
            self.problem = format!("{why}; gave up after {} starts that failed in a row", self.failed_starts);
            return AfterEnd::GiveUp;
        }
        self.restarts = self.restarts.saturating_add(1);
        match self.bad_ends {
            0 | 1 => AfterEnd::Now,
            n => AfterEnd::Later(backoff(delay, n - 2)),
        }
    }
}

/// `delay` doubled `times` times, at most [`understudy_model::topology::LONGEST_RESTART_DELAY`].
fn backoff(delay: Duration, times: u32) -> Duration {
    let longest = understudy_model::topology::LONGEST_RESTART_DELAY;
    delay.checked_mul(1 << times.min(20)).map_or(longest, |doubled| doubled.min(longest))
}

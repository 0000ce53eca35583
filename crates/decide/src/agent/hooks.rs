//! The commands and signals that are run for an application: one at a time, in order, each within its time.
//!
//! Refuses to know how a command is run. The law: the next one begins only when nothing of the one before it lives, and
//! one that is late, or overtaken by what it should have prevented, is killed and never believed.

use serde::{Deserialize, Serialize};
use understudy_model::{
    ApplicationName, Because, Epoch, EventKind, ExitCause, LastExit, Moment, Refusal, Rule, RunMode,
    Severity, Signal, Telling,
};

use super::application::StopReason;
use super::lifecycle::Phase;
use super::out::Out;
use super::role::{Part, RoleTrigger};
use super::{Agent, AgentDo, HookAct, HookKind, HookRun, StartId};

/// A hook that was begun and has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunningHook {
    /// Which run of a hook.
    pub id: StartId,
    /// What it is for.
    pub kind: HookKind,
    /// The epoch it was told.
    pub epoch: Epoch,
    /// When it is late.
    pub deadline: Option<Moment>,
    /// It is being killed: whatever it says is not believed.
    pub killed: bool,
    /// It is a process.
    #[serde(default)]
    pub command: bool,
}

impl Agent {
    /// Runs a hook now, or as soon as the one before it is gone.
    pub(super) fn run_hook(&mut self, now: Moment, name: &ApplicationName, kind: HookKind, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if !known.hooked() {
            return self.begin_hook(now, name, kind, out);
        }
        known.hook_next = Some(kind);
        if kind == HookKind::Demote {
            // A promotion that is not wanted any more.
            self.kill_hook(name, out);
        }
    }

    /// Kills the hook that runs, if any. It stays "the one before" until it is gone.
    pub(super) fn kill_hook(&mut self, name: &ApplicationName, out: &mut Out) {
        let Some(hook) = self.applications.get_mut(name).and_then(|known| known.hook.as_mut()) else {
            return;
        };
        hook.deadline = None;
        if !std::mem::replace(&mut hook.killed, true) {
            out.process.push(AgentDo::KillTree { application: name.clone(), start: hook.id });
        }
    }

    fn begin_hook(&mut self, now: Moment, name: &ApplicationName, kind: HookKind, out: &mut Out) {
        let incarnation = self.incarnation;
        let Some(known) = self.applications.get_mut(name) else { return };
        let Some(start) = known.start else { return };
        let conduct = &known.assigned.spec.conduct;
        let act = match kind {
            HookKind::Before => HookAct::Command(conduct.start_before.clone()),
            HookKind::Start => HookAct::Command(conduct.hooks.on_start.clone()),
            HookKind::Promote => act_of(conduct.promotes()),
            HookKind::Demote => act_of(conduct.demotes()),
            HookKind::Stop => HookAct::Command(conduct.stop_command.clone()),
            HookKind::Probe => return,
        };
        let time_limit = match kind {
            HookKind::Before => known.assigned.spec.startup_timeout,
            HookKind::Stop => known.assigned.spec.shutdown_timeout,
            HookKind::Start | HookKind::Promote | HookKind::Demote | HookKind::Probe => conduct.hooks.timeout,
        };
        let user = conduct.hooks.user.clone();
        let role = known.role.as_ref().and_then(|role| role.role.as_ref());
        let epoch = role.map_or(known.started_in, |role| role.epoch);
        let run_mode = match kind {
            HookKind::Promote => RunMode::Primary,
            HookKind::Demote => RunMode::Backup,
            HookKind::Before | HookKind::Start if role.is_some() || known.role.is_none() => RunMode::Primary,
            HookKind::Before | HookKind::Start => RunMode::Backup,
            HookKind::Stop | HookKind::Probe => known.run_mode,
        };
        self.hooks += 1;
        let id = StartId::of_hook(incarnation, self.hooks);
        let command = matches!(act, HookAct::Command(_));
        let deadline = Some(now + time_limit);
        known.hook = Some(RunningHook { id, kind, epoch, deadline, killed: false, command });
        // What makes it a backup, or ends it, is not kept waiting.
        let makes_primary = matches!(kind, HookKind::Before | HookKind::Start | HookKind::Promote);
        let held = makes_primary && known.acts_on_grants();
        let (spec, pair) = (known.assigned.spec.clone(), known.assigned.pair.clone());
        let application = name.clone();
        let run =
            HookRun { application, start, hook: id, kind, act, user, spec, pair, run_mode, epoch, held };
        out.process.push(AgentDo::RunHook(run));
    }

    /// A hook ended, or was killed with everything that it left behind.
    pub(super) fn hook_ended(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        id: StartId,
        failed: Option<String>,
        said: &str,
        out: &mut Out,
    ) {
        if self.probed(now, name, id, failed.as_deref(), out) {
            return;
        }
        let Some(known) = self.applications.get_mut(name) else { return };
        let hook = known.hook.take_if(|hook| hook.id == id);
        if hook.is_none() && !known.hooks_left.remove(&id) {
            return;
        }
        let free = !known.hooked();
        let next = known.hook_next.take_if(|_| free);
        let over = free && known.phase == Phase::Lingering && known.tree_gone;
        if let Some(hook) = &hook {
            self.tell_of_hook(name, hook, failed.as_deref(), said, out);
        }
        if over {
            return self.gone(now, name, out);
        }
        if let Some(next) = next {
            return self.begin_hook(now, name, next, out);
        }
        let Some(hook) = hook else { return };
        match hook.kind {
            HookKind::Before | HookKind::Start if hook.killed || failed.is_some() => {
                let why = failed.unwrap_or_else(|| "killed".to_owned());
                self.start_failed(now, name, format!("{}: {why}", hook.kind.as_str()), out);
            }
            HookKind::Before => self.start_next(now, name, Some(HookKind::Before), out),
            HookKind::Start => self.start_next(now, name, Some(HookKind::Start), out),
            HookKind::Promote | HookKind::Demote if hook.killed => {}
            HookKind::Promote => match failed {
                None if self.is_about(name, hook.epoch) => {
                    self.part(now, name, RoleTrigger::SaidPrimary, out)
                }
                None => {}
                Some(why) => self.promotion_failed(now, name, &why, out),
            },
            HookKind::Demote => {
                let trigger =
                    if failed.is_none() { RoleTrigger::SaidBackup } else { RoleTrigger::HookFailed };
                self.part(now, name, trigger, out);
            }
            HookKind::Stop if failed.is_some() => self.signal_stop(name, out),
            HookKind::Stop | HookKind::Probe => {}
        }
    }

    /// Its hook failed: whether it became primary is not known, so it is demoted before the order is refused.
    fn promotion_failed(&mut self, now: Moment, name: &ApplicationName, why: &str, out: &mut Out) {
        let role = self.applications.get_mut(name).and_then(|known| known.role.as_mut());
        if let Some(role) = role.filter(|role| role.part == Part::Promoting) {
            role.failed = Some(Refusal::ApplicationRefused(format!("on-promote: {why}")));
        }
        self.part(now, name, RoleTrigger::HookFailed, out);
    }

    /// A hook's time is over.
    pub(super) fn hook_late(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let Some(hook) = known.hook.as_ref().filter(|hook| !hook.killed) else { return };
        let kind = hook.kind;
        self.kill_hook(name, out);
        match kind {
            HookKind::Promote => self.promotion_failed(now, name, "took longer than it may: killed", out),
            HookKind::Demote => self.part(now, name, RoleTrigger::HookFailed, out),
            HookKind::Stop => self.signal_stop(name, out),
            // Said when it is gone.
            HookKind::Before | HookKind::Start | HookKind::Probe => {}
        }
    }

    fn tell_of_hook(
        &self,
        name: &ApplicationName,
        hook: &RunningHook,
        failed: Option<&str>,
        said: &str,
        out: &mut Out,
    ) {
        let what = hook.kind.as_str();
        let reason = match failed {
            None => format!("{what} ended well"),
            Some(why) => format!("{what} failed: {why}"),
        };
        let mut because = Because::new(Rule::HookEnded, reason);
        if !said.is_empty() {
            because = because.fact("its last output", said);
        }
        if failed.is_none() {
            out.quiet.push(because);
            return;
        }
        let kind = match hook.kind {
            HookKind::Promote => EventKind::PromotionFailed,
            HookKind::Demote => EventKind::DemotionFailed,
            HookKind::Before | HookKind::Start | HookKind::Stop | HookKind::Probe => EventKind::StatusChanged,
        };
        out.events.push(self.event(kind, Severity::Warning, name, because));
    }

    /// What comes before a process is made: `start-before`, then `on-start`, then the process.
    pub(super) fn start_next(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        done: Option<HookKind>,
        out: &mut Out,
    ) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.phase != Phase::Spawning {
            return;
        }
        let conduct = &known.assigned.spec.conduct;
        let before = done.is_none() && !conduct.start_before.is_empty();
        let start = done != Some(HookKind::Start) && !conduct.hooks.on_start.is_empty();
        if !known.wanted() {
            self.start_failed(now, name, "not wanted any more".to_owned(), out);
        } else if known.stopping == Some(StopReason::Restart) {
            self.start_failed(now, name, "it is begun anew".to_owned(), out);
        } else if before {
            self.run_hook(now, name, HookKind::Before, out);
        } else if start {
            self.run_hook(now, name, HookKind::Start, out);
        } else {
            self.launch(now, name, out);
        }
    }

    /// No process was made.
    pub(super) fn start_failed(&mut self, now: Moment, name: &ApplicationName, why: String, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let cause = ExitCause::NotStarted(why);
        let wanted = known.stopping == Some(StopReason::Restart);
        known.problem = if wanted { String::new() } else { cause.to_string() };
        known.last_exit = Some(LastExit { cause, wanted, ran_ms: 0 });
        self.gone(now, name, out);
    }

    /// Sends the stop signal.
    pub(super) fn signal_stop(&mut self, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get(name) else { return };
        let signal = known.spec().stop_signal;
        self.signal(name, signal, out);
    }

    fn signal(&self, name: &ApplicationName, signal: Signal, out: &mut Out) {
        let Some(known) = self.applications.get(name).filter(|known| known.pid.is_some()) else { return };
        if let Some(start) = known.start {
            out.process.push(AgentDo::Signal { application: name.clone(), start, signal });
        }
    }
}

fn act_of(telling: Telling<'_>) -> HookAct {
    match telling {
        Telling::Command(command) => HookAct::Command(command.to_vec()),
        Telling::Signal(signal) => HookAct::Signal(signal),
        Telling::Restart => HookAct::Note,
    }
}

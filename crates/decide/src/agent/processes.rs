//! Processes: found, started, ended; and the moves of the lifecycle table.

use std::time::Duration;

use understudy_model::{
    ApplicationName, Because, EventKind, ExitCause, Incarnation, Interface, LastExit, Moment, Outcome,
    Readiness, Refusal, Rule, RunMode, Severity, ToApplication,
};

use super::application::{AfterEnd, StopReason};
use super::hang::Life;
use super::lifecycle::{self, Move, Phase, Trigger};
use super::out::{Out, Unstored};
use super::role::{self, Part, RoleMove, RoleTrigger};
use super::{Agent, AgentDo, HookKind, Spawn, StartId};

/// After the exit of an acting member it is started again this much later: the other member is being promoted meanwhile, and
/// where disks or processors are shared that goes first. Under `available` its epoch is closed as late; under `strict` at once, as
/// nobody is promoted before.
pub const FAILOVER_FIRST: Duration = Duration::from_millis(20);

/// How a main process ended.
pub(super) struct End {
    pub cause: ExitCause,
    pub others_live: bool,
    pub last_words: String,
}

impl Agent {
    pub(super) fn spawned(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        start: StartId,
        pid: u32,
        out: &mut Out,
    ) {
        let Some(known) = self.applications.get_mut(name).filter(|known| known.start == Some(start)) else {
            return;
        };
        known.pid = Some(pid);
        known.began = now;
        self.trigger(now, name, Trigger::Spawned, out);
        let Some(known) = self.applications.get(name) else { return };
        if known.stopping == Some(StopReason::Fence) {
            // Its time was over before it was there.
            self.kill(name, out);
        } else if known.stopping == Some(StopReason::NewMode) {
            // Its mode changed while it was being made.
            self.trigger(now, name, Trigger::StopFirmly, out);
        } else if known.stopping == Some(StopReason::Restart) {
            // So may have its settings.
            let trigger = stop_trigger(known);
            self.trigger(now, name, trigger, out);
        } else if known.spec().interface == Interface::Plain && known.spec().conduct.probe.is_none() {
            self.trigger(now, name, Trigger::Ready, out);
        }
        self.begin_life(now, name, out);
        self.settle_goal(now, name, out);
    }

    pub(super) fn spawn_failed(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        start: StartId,
        why: String,
        out: &mut Out,
    ) {
        if self.applications.get(name).is_some_and(|known| known.start == Some(start)) {
            self.start_failed(now, name, why, out);
        }
    }

    pub(super) fn ended(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        start: StartId,
        end: End,
        out: &mut Out,
    ) {
        let End { cause, others_live, last_words } = end;
        let alone = self.controllers.is_empty();
        if self.applications.get(name).is_some_and(|known| known.start == Some(start)) {
            self.drop_probe(name, out);
        }
        let Some(known) = self.applications.get_mut(name).filter(|known| known.start == Some(start)) else {
            return;
        };
        let wanted =
            matches!(known.stopping, Some(StopReason::Goal | StopReason::Restart | StopReason::NewMode));
        let ran = now.since(known.began);
        known.pid = None;
        known.life = Life::default();
        known.attached = false;
        known.link_deadline = None;
        known.run_mode = RunMode::Unknown;
        known.readiness = Readiness::NotYet;
        known.problem = match known.stopping {
            Some(StopReason::Goal | StopReason::Restart | StopReason::NewMode) => String::new(),
            // Why it was killed is said already, and says more than the signal.
            Some(StopReason::TooLateReady | StopReason::Fence | StopReason::Hung) => {
                std::mem::take(&mut known.problem)
            }
            None if last_words.is_empty() => cause.to_string(),
            None => format!("{cause}: {last_words}"),
        };
        let ran_ms = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX);
        known.last_exit = Some(LastExit { cause: cause.clone(), wanted, ran_ms });
        known.tree_gone = !others_live;
        known.hook_next = None;
        // What a hook does for it may go on: it has not ended before that has.
        let hook_lives = known.hooked();
        self.kill_hook(name, out);
        if others_live || hook_lives {
            self.trigger(now, name, Trigger::OthersLive, out);
        } else {
            self.gone(now, name, out);
        }
        if !alone {
            // Told by the control server, which reads it in the report.
            return;
        }
        let text = format!("its process ended after {:.1} s: {cause}", ran.as_secs_f64());
        let because = Because::new(Rule::ProcessExited, text)
            .fact("wanted", if wanted { "yes" } else { "no" })
            .fact("others of its tree", if others_live { "live, and are killed" } else { "none" });
        let severity = if wanted { Severity::Info } else { Severity::Warning };
        out.events.push(self.event(EventKind::ApplicationExited, severity, name, because));
    }

    pub(super) fn tree_gone(&mut self, now: Moment, name: &ApplicationName, start: StartId, out: &mut Out) {
        let lingers =
            |known: &&mut super::Application| known.start == Some(start) && known.phase == Phase::Lingering;
        let Some(known) = self.applications.get_mut(name).filter(lingers) else { return };
        known.tree_gone = true;
        if !known.hooked() {
            self.gone(now, name, out);
        }
    }

    /// No process of the application is left: its role ends, and what follows is decided.
    pub(super) fn gone(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let alone = self.controllers.is_empty();
        let lasts = self.role_lasts(now, name);
        let Some(known) = self.applications.get_mut(name) else { return };
        let cause = known.last_exit.as_ref().map_or(ExitCause::Unknown, |last| last.cause.clone());
        let acting = known.role.as_ref().is_some_and(|role| role.part == Part::Acting);
        let unwanted_end = matches!(known.stopping, None | Some(StopReason::Hung));
        let turns = known.stopping == Some(StopReason::NewMode)
            && known.role.as_ref().is_some_and(|role| role.part == Part::Promoting);
        let after = known.after_end(now, &cause);
        known.ready_since = None;
        // G5, last sentence but one: with no control server to promote the other, the role is kept while its grants last.
        let in_place =
            acting && alone && lasts && unwanted_end && matches!(after, AfterEnd::Now | AfterEnd::Later(_));
        if in_place && let Some(role) = &mut known.role {
            role.confirmed = false;
            let because = Because::new(Rule::RestartInPlace, "started again as primary in the same epoch")
                .fact("control servers heard", 0)
                .fact("epoch", role.role.as_ref().map_or_else(String::new, ToString::to_string));
            out.events.push(self.event(EventKind::StatusChanged, Severity::Warning, name, because));
        } else if !(turns && after == AfterEnd::Now) {
            self.part(now, name, RoleTrigger::ProcessGone, out);
        }
        let gives_way = acting && !in_place && !alone;
        let trigger = match after {
            AfterEnd::Now => Trigger::GoneStartNow,
            AfterEnd::Later(_) => Trigger::GoneStartLater,
            AfterEnd::Leave | AfterEnd::GiveUp => Trigger::GoneForGood,
        };
        if after == AfterEnd::GiveUp {
            let problem = self.applications.get(name).map(|known| known.problem.clone()).unwrap_or_default();
            let because = Because::new(Rule::RestartLimit, problem);
            out.events.push(self.event(EventKind::GaveUp, Severity::Critical, name, because));
        }
        self.trigger(now, name, trigger, out);
        if let (AfterEnd::Later(delay), Some(known)) = (after, self.applications.get_mut(name)) {
            known.phase_deadline = Some(now + delay + jitter(delay, self.incarnation, self.starts));
        }
        let waits = self.applications.get_mut(name).filter(|known| known.phase == Phase::Waiting);
        if let Some(known) = waits.filter(|_| gives_way) {
            known.phase_deadline = known.phase_deadline.max(Some(now + FAILOVER_FIRST));
        }
    }

    /// Begins to end an application: its role first, then what it has, then the process.
    pub(super) fn stop(&mut self, now: Moment, name: &ApplicationName, reason: StopReason, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        // A start that has begun and is to be begun anew is over as any other that is: none that failed.
        let begun_anew = known.phase == Phase::Spawning && reason == StopReason::Restart;
        if begun_anew || !matches!(known.phase, Phase::Stopped | Phase::Waiting | Phase::Spawning) {
            known.stopping = Some(reason);
        }
        let trigger = stop_trigger(known);
        if known.phase == Phase::Spawning {
            // What runs before its process need not be waited for.
            self.kill_hook(name, out);
        }
        self.trigger(now, name, trigger, out);
    }

    /// One trigger of the lifecycle table, and the move that it makes.
    pub(super) fn trigger(&mut self, now: Moment, name: &ApplicationName, trigger: Trigger, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let step = lifecycle::next(known.phase, trigger);
        let start = known.start;
        match step {
            Move::Stay | Move::Ignore => {}
            Move::Start => self.spawn(now, name, out),
            Move::Delay => {
                known.phase = Phase::Waiting;
                known.phase_deadline = Some(now);
            }
            Move::Rest => {
                known.phase = Phase::Stopped;
                known.phase_deadline = None;
                known.stopping = None;
                // It may have waited to be restarted in its role.
                self.part(now, name, RoleTrigger::ProcessGone, out);
            }
            Move::Initialize => {
                known.phase = Phase::Initializing;
                known.phase_deadline = Some(now + known.spec().startup_timeout);
            }
            Move::BecomeStarted => {
                known.phase = Phase::Started;
                known.phase_deadline = None;
                known.problem.clear();
                known.ready_since.get_or_insert(now);
                if known.role.is_none() {
                    known.run_mode = RunMode::Primary;
                } else if known.run_mode == RunMode::Unknown {
                    known.run_mode = RunMode::Backup;
                }
                self.ready_in_role(now, name, out);
            }
            Move::BecomeUnavailable => {
                known.phase = Phase::Unavailable;
                known.phase_deadline = None;
            }
            Move::Yield => {
                known.phase = Phase::Yielding;
                known.phase_deadline = None;
                self.part(now, name, RoleTrigger::GiveUp, out);
            }
            Move::Suspend => {
                known.phase = Phase::Suspending;
                known.phase_deadline = Some(now + known.spec().shutdown_timeout);
                if let Some(start) = start {
                    let message = ToApplication::Suspend;
                    out.says.push(AgentDo::Say { application: name.clone(), start, message });
                }
            }
            Move::Terminate => {
                known.phase = Phase::Stopping;
                known.phase_deadline = Some(now + known.spec().shutdown_timeout);
                known.run_mode = RunMode::Exiting;
                if known.spec().conduct.stop_command.is_empty() {
                    self.signal_stop(name, out);
                } else {
                    self.run_hook(now, name, HookKind::Stop, out);
                }
            }
            Move::Kill => {
                let because = if known.phase == Phase::Initializing {
                    known.stopping = Some(StopReason::TooLateReady);
                    known.problem = "not ready within its startup timeout".to_owned();
                    Because::new(Rule::StartupTimeout, "not ready in time: killed")
                } else {
                    Because::new(
                        Rule::ShutdownTimeout,
                        "it did not end in time after its stop signal: killed",
                    )
                };
                out.events.push(self.event(EventKind::StatusChanged, Severity::Warning, name, because));
                self.kill(name, out);
            }
            Move::Linger => {
                known.phase = Phase::Lingering;
                known.phase_deadline = None;
                if let Some(start) = start {
                    out.process.push(AgentDo::KillTree { application: name.clone(), start });
                }
            }
        }
    }

    pub(super) fn kill(&mut self, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if matches!(known.phase, Phase::Stopped | Phase::Waiting) {
            return;
        }
        // What lingers has no main process any more: only the end of its tree is awaited.
        if known.phase != Phase::Lingering {
            known.phase = Phase::Stopping;
        }
        known.phase_deadline = None;
        known.hook_next = None;
        if let Some(start) = known.start {
            out.process.push(AgentDo::KillTree { application: name.clone(), start });
        }
        self.kill_hook(name, out);
    }

    /// Begins a start: what runs before the process, then the process.
    fn spawn(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let moved =
            self.applications.get(name).is_some_and(|known| match (&known.role, &known.assigned.pair) {
                (Some(role), Some(place)) => role.place.pair != place.pair,
                (role, place) => role.is_some() != place.is_some(),
            });
        if moved {
            // Its pair was changed while it acted: that role ends with the process that had it.
            self.part(now, name, RoleTrigger::ProcessGone, out);
        }
        let Some(known) = self.applications.get_mut(name) else { return };
        if let Some(due) = known.role.as_ref().and_then(|role| role.to_close()).map(|closing| closing.due) {
            // Nothing is started under an epoch that is still to be closed.
            known.phase = Phase::Waiting;
            known.phase_deadline = Some(due.max(now));
            return;
        }
        if let Some(first) = self.awaited(name) {
            return self.wait_for(name, first);
        }
        let Some(known) = self.applications.get_mut(name) else { return };
        if moved {
            known.role = known.assigned.pair.clone().map(role::Role::new);
        }
        self.starts += 1;
        let start = StartId { incarnation: self.incarnation, number: self.starts };
        known.phase = Phase::Spawning;
        known.phase_deadline = None;
        known.start = Some(start);
        known.pid = None;
        known.began = now;
        known.ready_since = None;
        known.attached = false;
        known.readiness = Readiness::NotYet;
        known.run_mode = RunMode::Unknown;
        known.stopping = None;
        known.tree_gone = false;
        self.start_next(now, name, None, out);
    }

    /// Makes the process of a start that has begun.
    pub(super) fn launch(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let pair_epoch = {
            let Some(known) = self.applications.get(name) else { return };
            let durable = self.durable_of(known);
            durable.map_or_else(Default::default, |durable| {
                durable
                    .promised
                    .as_ref()
                    .map_or(durable.closed, |promised| promised.epoch.max(durable.closed))
            })
        };
        let Some(known) = self.applications.get_mut(name) else { return };
        let Some(start) = known.start else { return };
        let closing = known.role.as_ref().and_then(|role| role.to_close());
        if let Some(due) = closing.map(|closing| closing.due) {
            // Its role ended while its hooks ran; nothing is started under an epoch that is still to be closed.
            known.phase = Phase::Waiting;
            known.phase_deadline = Some(due.max(now));
            return;
        }
        let role = known.role.as_ref().and_then(|role| role.role.clone());
        let (run_mode, epoch) = match (&known.assigned.pair, role) {
            (None, _) => (RunMode::Primary, Default::default()),
            (Some(_), Some(role)) => (RunMode::Primary, role.epoch),
            (Some(_), None) => (RunMode::Backup, pair_epoch),
        };
        known.started_as = run_mode;
        known.started_in = epoch;
        let pair = known.assigned.pair.clone();
        // A program that reads its page may not act before that says so; any other one acts as soon as it runs.
        let held = run_mode == RunMode::Primary && known.acts_on_grants() && !known.speaks();
        let spawn = Spawn {
            application: name.clone(),
            start,
            spec: known.spec().clone(),
            pair,
            run_mode,
            epoch,
            restarts: known.restarts,
            held,
        };
        out.process.push(AgentDo::Spawn(spawn));
    }

    /// One trigger of the role table, and the move that it makes.
    pub(super) fn part(&mut self, now: Moment, name: &ApplicationName, trigger: RoleTrigger, out: &mut Out) {
        let heard = !self.controllers.is_empty();
        let Some(known) = self.applications.get_mut(name) else { return };
        let gone = known.last_exit.as_ref().map_or_else(String::new, |last| last.cause.to_string());
        let Some(part) = known.role.as_mut() else { return };
        let durable = self.durable.get(&part.place.pair);
        let given = durable.and_then(|durable| durable.promised.as_ref()).map(|promised| promised.epoch);
        // Without a process nobody would confirm a demotion, and nobody would ever hear of the end of what is killed.
        let none = known.pid.is_none() && matches!(known.phase, Phase::Stopped | Phase::Waiting);
        let step = match role::next(part.part, trigger) {
            RoleMove::Demote | RoleMove::Kill if none && known.hook.is_none() => {
                if trigger == RoleTrigger::Overdue && part.promotion.is_some() {
                    part.failed.get_or_insert(Refusal::TooSlow);
                }
                known.stopping = None;
                RoleMove::Close
            }
            step => step,
        };
        match step {
            RoleMove::Stay | RoleMove::Ignore | RoleMove::Promise => {}
            RoleMove::Confirm => {
                part.part = Part::Acting;
                part.confirmed = true;
                part.deadline = None;
                known.run_mode = RunMode::Primary;
                let promotion = part.promotion.take();
                if let Some(waiting) = promotion {
                    out.answer(waiting, Outcome::Done);
                }
            }
            RoleMove::Demote => {
                if part.promotion.is_some() && part.failed.is_none() {
                    part.failed = Some(match trigger {
                        RoleTrigger::GiveUp => Refusal::NotReady("it is being stopped".to_owned()),
                        _ => Refusal::TooSlow,
                    });
                }
                part.part = Part::Demoting;
                part.confirmed = false;
                part.deadline = Some(now + part.place.fence_budget);
                self.tell_backup(now, name, out);
            }
            RoleMove::Close => {
                // Never above what was given to it: an application may name any number.
                let named = part.role.as_ref().map(|role| role.epoch).unwrap_or_default();
                let epoch = named.min(given.unwrap_or_default());
                // A proven exit is reported by itself; nobody waits for the rest.
                let exit_told = trigger == RoleTrigger::ProcessGone && part.part == Part::Acting && heard;
                // Under `strict` nobody is promoted before this is closed.
                let later = exit_told && part.place.strict.is_none();
                part.end(epoch, if later { now + FAILOVER_FIRST } else { now }, Refusal::Died(gone));
                if matches!(trigger, RoleTrigger::SaidBackup | RoleTrigger::SaidNo) {
                    known.run_mode = RunMode::Backup;
                }
                if known.phase == Phase::Yielding && known.pid.is_some() {
                    let trigger = stop_trigger(known);
                    self.trigger(now, name, trigger, out);
                }
            }
            RoleMove::Kill => {
                part.deadline = None;
                known.stopping.get_or_insert(StopReason::Fence);
                known.problem = "did not confirm its demotion: killed".to_owned();
                let why = match trigger {
                    RoleTrigger::HookFailed => "what should have demoted it failed: killed",
                    _ => "it did not confirm its demotion in time: killed",
                };
                let because = Because::new(Rule::FenceOverdue, why);
                out.events.push(self.event(EventKind::DemotionFailed, Severity::Warning, name, because));
                self.kill(name, out);
            }
        }
    }

    /// Looks at every deadline that has passed, and at every goal.
    pub(super) fn deadlines(&mut self, now: Moment, out: &mut Out) {
        // Goals that are not durable yet may be taken back: they are looked at in the next step.
        self.release_waiting();
        let goals_hold = !self.unstored.iter().any(|item| matches!(item, Unstored::Assignments { .. }));
        let names: Vec<ApplicationName> = self.applications.keys().cloned().collect();
        for name in &names {
            let Some(known) = self.applications.get_mut(name) else { continue };
            // Nothing is started on a goal that may be taken back or has changed: the goal is looked at first.
            let waits = known.phase == Phase::Waiting && !(goals_hold && known.wanted());
            let phase_over = !waits && known.phase_deadline.take_if(|deadline| *deadline <= now).is_some();
            let link_over = known.link_deadline.take_if(|deadline| *deadline <= now).is_some();
            let hook_over = known
                .hook
                .as_mut()
                .is_some_and(|hook| hook.deadline.take_if(|deadline| *deadline <= now).is_some());
            let role_over = known
                .role
                .as_mut()
                .is_some_and(|role| role.deadline.take_if(|deadline| *deadline <= now).is_some());
            if hook_over {
                self.hook_late(now, name, out);
            }
            self.tell_primary(now, name, out);
            self.live(now, name, out);
            if link_over {
                self.link_lost(now, name, out);
            }
            if role_over {
                let trigger =
                    if self.give_up_untold(name) { RoleTrigger::SaidNo } else { RoleTrigger::Overdue };
                self.part(now, name, trigger, out);
            }
            if phase_over {
                self.trigger(now, name, Trigger::Deadline, out);
            }
            if goals_hold {
                self.settle_goal(now, name, out);
            }
        }
    }
}

/// Up to a tenth of a restart delay, so that what failed together does not start together again and again. The number of
/// a life is drawn by whoever began it; within it the number of the start tells applications apart.
fn jitter(delay: Duration, life: Incarnation, starts: u64) -> Duration {
    let mixed = (life.0 as u64 ^ starts).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let thousandths = u32::try_from((mixed >> 33) % 1_000).unwrap_or_default();
    delay / 10 * thousandths / 1_000
}

fn stop_trigger(known: &super::Application) -> Trigger {
    if known.may_act() {
        Trigger::StopActing
    } else if known.graceful && known.speaks() && known.attached {
        Trigger::StopGracefully
    } else {
        Trigger::StopFirmly
    }
}

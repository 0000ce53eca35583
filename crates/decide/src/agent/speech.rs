//! What applications say over their links.

use std::time::Duration;

use understudy_model::{
    ApplicationName, Because, Epoch, EventKind, FromApplication, Moment, Readiness, Refusal, RoleEpoch, Rule,
    RunMode, Severity, ToApplication,
};

use super::application::StopReason;
use super::in_sync::Said;
use super::lifecycle::{Phase, Trigger};
use super::out::Out;
use super::role::{Part, RoleTrigger};
use super::{Agent, AgentDo, StartId};

/// How long the link of a single application may be gone; members have the grace of their pair.
pub(super) const LINK_GRACE: Duration = Duration::from_secs(2);

impl Agent {
    pub(super) fn said(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        start: StartId,
        said: FromApplication,
        out: &mut Out,
    ) {
        let Some(known) = self.applications.get_mut(name).filter(|known| known.start == Some(start)) else {
            return;
        };
        if known.pid.is_none() {
            return;
        }
        if let FromApplication::Attach { heartbeat, .. } = &said {
            let first = !std::mem::replace(&mut known.life.attached_once, true);
            known.life.heartbeat = *heartbeat;
            if first && !heartbeat {
                self.look(name, out);
            }
        }
        let pong = if let FromApplication::Pong(number) = &said { Some(*number) } else { None };
        self.heard(now, name, pong);
        let Some(known) = self.applications.get_mut(name) else { return };
        match said {
            FromApplication::Attach { run_mode, epoch, readiness, suspended, .. } => {
                known.attached = true;
                known.link_deadline = None;
                self.attached(now, name, run_mode, epoch, out);
                self.readiness(now, name, readiness, out);
                self.resume_stop(name, out);
                if suspended {
                    self.suspended(now, name, out);
                }
            }
            FromApplication::Readiness(readiness) => self.readiness(now, name, readiness, out),
            FromApplication::RunModeDone { run_mode, epoch } => {
                if self.is_about(name, epoch) {
                    self.part(now, name, said_trigger(run_mode), out);
                }
            }
            FromApplication::RunModeRefused { epoch, reason, .. } => {
                if self.is_about(name, epoch) {
                    if let Some(role) = self.applications.get_mut(name).and_then(|known| known.role.as_mut())
                        && role.part == Part::Promoting
                    {
                        role.failed = Some(Refusal::ApplicationRefused(reason));
                    }
                    self.part(now, name, RoleTrigger::SaidNo, out);
                }
            }
            FromApplication::Suspended => self.suspended(now, name, out),
            FromApplication::Pong(_) => {}
            FromApplication::Confirm(number) => self.confirm(now, name, start, number, out),
            FromApplication::InSync { number, epoch, wish } => {
                self.say_in_sync(now, name, start, Said { number, epoch, wish });
            }
        }
    }

    /// It has finished what it had. One that should run, and is not being stopped, was told so by an earlier life of this agent,
    /// which had a reason that ended with it (its host was leaving): it takes nothing more, so it is started again.
    fn suspended(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let runs = matches!(known.phase, Phase::Initializing | Phase::Started | Phase::Unavailable);
        if !runs || known.stopping.is_some() || !known.wanted() {
            return self.trigger(now, name, Trigger::SuspendedSaid, out);
        }
        known.graceful = false;
        let because = Because::new(
            Rule::Adopted,
            "an earlier life of this agent told it to finish, and it should run: it is started again",
        );
        out.events.push(self.event(EventKind::StatusChanged, Severity::Warning, name, because));
        self.stop(now, name, StopReason::Restart, out);
    }

    pub(super) fn is_about(&self, name: &ApplicationName, epoch: Epoch) -> bool {
        let role = self.applications.get(name).and_then(|known| known.role.as_ref());
        role.and_then(|role| role.role.as_ref()).is_some_and(|role| role.epoch == epoch)
    }

    /// A link is open (again): what it says that it is, is held against what it may be.
    fn attached(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        run_mode: RunMode,
        epoch: Epoch,
        out: &mut Out,
    ) {
        let Some(known) = self.applications.get_mut(name) else { return };
        known.run_mode = run_mode;
        let (start, agent_mode) = (known.start, run_mode);
        let Some(role) = known.role.as_mut() else { return };
        let closed = self.durable.get(&role.place.pair).map(|durable| durable.closed).unwrap_or_default();
        let about = role.role.as_ref().is_some_and(|role| role.epoch == epoch);
        match (role.part, agent_mode) {
            // Acts outside of every role that it was given: it must not, in whatever epoch.
            (Part::Idle, RunMode::Primary) => {
                role.role = Some(RoleEpoch::new(epoch, name.clone()));
                let because =
                    Because::new(Rule::LinkLost, "it says that it is primary, and nobody gave it that role")
                        .fact("epoch it names", epoch);
                out.events.push(self.event(EventKind::Anomaly, Severity::Critical, name, because));
                self.part(now, name, RoleTrigger::SaidPrimary, out);
            }
            // Told to go on in a higher epoch by an earlier life of this agent, and has not heard it (G8).
            (Part::Acting, RunMode::Primary)
                if !role.confirmed
                    && epoch > closed
                    && role.role.as_ref().is_some_and(|role| role.epoch > epoch) =>
            {
                role.part = Part::Promoting;
                role.deadline = Some(now + role.place.link_grace);
                say_again(name, start, RunMode::Primary, role.role.as_ref(), out);
            }
            (Part::Acting, RunMode::Primary) if !about => {
                let because = Because::new(
                    Rule::LinkLost,
                    "it says that it is primary in another epoch than it was given",
                )
                .fact("epoch it names", epoch);
                out.events.push(self.event(EventKind::Anomaly, Severity::Critical, name, because));
                self.part(now, name, RoleTrigger::GiveUp, out);
            }
            (Part::Acting, RunMode::Primary) => self.part(now, name, RoleTrigger::SaidPrimary, out),
            (Part::Promoting, RunMode::Primary) if about => {
                self.part(now, name, RoleTrigger::SaidPrimary, out)
            }
            (Part::Acting, RunMode::Backup | RunMode::Unknown | RunMode::Exiting) => {
                self.part(now, name, RoleTrigger::SaidBackup, out);
            }
            // What it was told while the link was gone it was not told: say it again.
            (Part::Promoting, _) => say_again(name, start, RunMode::Primary, role.role.as_ref(), out),
            (Part::Demoting, RunMode::Primary) => {
                say_again(name, start, RunMode::Backup, role.role.as_ref(), out)
            }
            (Part::Demoting, RunMode::Backup | RunMode::Unknown | RunMode::Exiting) => {
                self.part(now, name, RoleTrigger::SaidBackup, out);
            }
            (Part::Idle, RunMode::Backup | RunMode::Unknown | RunMode::Exiting) => {}
        }
    }

    /// A stop that was under way when the link was lost goes on.
    fn resume_stop(&self, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get(name) else { return };
        if let (Phase::Suspending, Some(start)) = (known.phase, known.start) {
            out.says.push(AgentDo::Say { application: name.clone(), start, message: ToApplication::Suspend });
        }
    }

    fn readiness(&mut self, now: Moment, name: &ApplicationName, readiness: Readiness, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.readiness == readiness
            && known.phase != Phase::Initializing
            && known.phase != Phase::Unavailable
        {
            return;
        }
        known.readiness = readiness.clone();
        match readiness {
            Readiness::Ready => self.trigger(now, name, Trigger::Ready, out),
            Readiness::Unavailable(why) => {
                known.problem = why;
                self.trigger(now, name, Trigger::NotReady, out);
            }
            Readiness::NotYet => {}
        }
    }

    /// The application's link was closed; while its process lives it has a grace to come back.
    pub(super) fn left(&mut self, now: Moment, name: &ApplicationName, start: StartId) {
        let Some(known) = self.applications.get_mut(name).filter(|known| known.start == Some(start)) else {
            return;
        };
        if !std::mem::take(&mut known.attached) || known.pid.is_none() {
            return;
        }
        let grace = known.role.as_ref().map_or(LINK_GRACE, |role| role.place.link_grace);
        known.link_deadline = Some(now + grace);
    }

    pub(super) fn link_lost(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.attached || known.pid.is_none() {
            return;
        }
        known.problem = "its link to the agent is closed while its process lives".to_owned();
        known.readiness = Readiness::NotYet;
        self.trigger(now, name, Trigger::NotReady, out);
        let because = Because::new(Rule::LinkLost, "its link has been closed for longer than its grace");
        out.events.push(self.event(EventKind::StatusChanged, Severity::Warning, name, because));
    }
}

fn said_trigger(run_mode: RunMode) -> RoleTrigger {
    match run_mode {
        RunMode::Primary => RoleTrigger::SaidPrimary,
        RunMode::Backup | RunMode::Exiting | RunMode::Unknown => RoleTrigger::SaidBackup,
    }
}

fn say_again(
    name: &ApplicationName,
    start: Option<StartId>,
    run_mode: RunMode,
    role: Option<&RoleEpoch>,
    out: &mut Out,
) {
    if let (Some(start), Some(role)) = (start, role) {
        let message = ToApplication::SetRunMode { run_mode, epoch: role.epoch };
        out.says.push(AgentDo::Say { application: name.clone(), start, message });
    }
}

//! How a member is told what it shall be: over its link, by hook or signal, or by being stopped and started anew.
//!
//! Refuses to know why. The law: a member without the library counts as primary only when it was told so, ready, and its
//! hook said yes; nothing is told before the promise is durable.

use understudy_model::{ApplicationName, Moment, RunMode, Telling, ToApplication};

use super::application::StopReason;
use super::lifecycle::{Phase, Trigger};
use super::out::{Out, Unstored};
use super::role::{Part, RoleTrigger};
use super::{Agent, AgentDo, HookKind};

impl Agent {
    /// Tells a member to be a backup.
    pub(super) fn tell_backup(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let Some(role) = &mut known.role else { return };
        role.untold = false;
        if known.assigned.spec.interface == understudy_model::Interface::Library {
            let epoch = role.role.as_ref().map(|role| role.epoch).unwrap_or_default();
            if let Some(start) = known.start {
                let message = ToApplication::SetRunMode { run_mode: RunMode::Backup, epoch };
                out.says.push(AgentDo::Say { application: name.clone(), start, message });
            }
            return;
        }
        // One that is coming up as primary cannot be told anything yet.
        let comes_up = matches!(known.phase, Phase::Spawning | Phase::Initializing);
        match known.assigned.spec.conduct.demotes() {
            Telling::Command(_) | Telling::Signal(_) if !comes_up => {
                self.run_hook(now, name, HookKind::Demote, out);
            }
            Telling::Command(_) | Telling::Signal(_) | Telling::Restart => {
                self.kill_hook(name, out);
                self.start_anew(now, name, out);
            }
        }
    }

    /// Tells members to be primary whose promise has become durable.
    pub(super) fn tell_primary(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let durable = !self
            .unstored
            .iter()
            .any(|item| matches!(item, Unstored::Promise { application, .. } if application == name));
        let Some(known) = self.applications.get_mut(name).filter(|_| durable) else { return };
        let Some(role) = known.role.as_ref().filter(|role| role.untold) else { return };
        let (wanted, part) = (role.role.clone(), role.part);
        let strict = role.place.strict.is_some();
        let former_runs = !known.hooks_left.is_empty();
        if part == Part::Promoting && !self.granted(now, name, wanted.as_ref()) {
            return;
        }
        if strict && (!self.guard_up || former_runs) {
            // Looked at again when the guard is there, and when nothing that an earlier life ran for it lives.
            return;
        }
        if strict && !self.fresh {
            // The vote may have come long ago, if this program slept: looked at once more, at this moment.
            self.settle = true;
            return;
        }
        let Some(known) = self.applications.get_mut(name) else { return };
        let phase = known.phase;
        let Some(role) = known.role.as_mut() else { return };
        role.untold = false;
        if role.part != Part::Promoting || phase != Phase::Started {
            return;
        }
        if known.speaks() {
            return self.say_primary(name, out);
        }
        match known.assigned.spec.conduct.promotes() {
            Telling::Command(_) | Telling::Signal(_) => self.run_hook(now, name, HookKind::Promote, out),
            // It is primary already and cannot be told of a new epoch: it is noted, and nothing is interrupted.
            Telling::Restart if known.run_mode == RunMode::Primary => {
                self.run_hook(now, name, HookKind::Promote, out);
            }
            Telling::Restart => self.start_anew(now, name, out),
        }
    }

    /// Stops a process that runs, or that is being made, to start it with its new mode.
    fn start_anew(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.phase == Phase::Lingering {
            // Its process ended before it could be told: what follows is decided by that end.
            return;
        }
        known.stopping.get_or_insert(StopReason::NewMode);
        if known.pid.is_some() {
            self.trigger(now, name, Trigger::StopFirmly, out);
        }
    }

    /// It is ready: one that was started in a role takes it up.
    pub(super) fn ready_in_role(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.speaks() {
            return;
        }
        let started_as_primary = known.started_as == RunMode::Primary;
        let Some(role) = known.role.as_mut() else { return };
        let waits = role.part == Part::Promoting || (role.part == Part::Acting && !role.confirmed);
        if !waits || !started_as_primary {
            return;
        }
        if matches!(known.assigned.spec.conduct.promotes(), Telling::Restart) {
            return self.part(now, name, RoleTrigger::SaidPrimary, out);
        }
        // Started again in the role that it had: what makes it primary is run once more.
        role.part = Part::Promoting;
        role.untold = true;
        let timeout = known.assigned.spec.conduct.hooks.timeout;
        role.deadline.get_or_insert(now + timeout);
        self.settle = true;
    }
}

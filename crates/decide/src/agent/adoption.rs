//! What an earlier life of this agent left running: taken over as it is, or undone where it was half done.
//!
//! Refuses to know how a process is proven to be the same. The law (`docs/safety.md`, G7): a member is believed to be primary
//! only if it runs, its promise is open, and it was known to be; every other own epoch is closed before anything is said.

use std::collections::BTreeMap;

use understudy_model::{
    ApplicationName, Because, EventKind, ExitCause, Interface, LastExit, Moment, RoleEpoch, Rule, RunMode,
    Severity,
};

use super::application::LeftAlone;
use super::lifecycle::Phase;
use super::out::Out;
use super::role::{Part, RoleTrigger};
use super::{Agent, AgentDo, Found};
use crate::grants::holder::Page;

impl Agent {
    /// First observation of a life: what runs is adopted as it is, every other own epoch is closed (G7).
    pub(super) fn awake(
        &mut self,
        now: Moment,
        found: Vec<Found>,
        pages: BTreeMap<ApplicationName, Page>,
        out: &mut Out,
    ) {
        for found in found {
            if found.start.is_hook() {
                self.adopt_hook(found, out);
            } else {
                self.adopt(now, found, out);
            }
        }
        let durable = &self.durable;
        for (name, known) in &mut self.applications {
            if known.assigned.hands_off && known.start.is_none() {
                known.left = Some(LeftAlone::Maintenance);
            }
            // What is left of a primary's tree may act until it is gone (G5).
            let speaks = known.speaks();
            let adopted = known.pid.is_some() || known.phase == Phase::Lingering;
            let Some(role) = known.role.as_mut().filter(|_| adopted) else { continue };
            let durable = durable.get(&role.place.pair).cloned().unwrap_or_default();
            // It may act: it says so itself when its link is back.
            let open = |promised: &RoleEpoch| promised.holder == *name && promised.epoch > durable.closed;
            // One that cannot say so was known to act, or was being told, in an epoch that these files do not know: they were set
            // back (A3). It has no grant, and is demoted with everything that has none.
            let noted = known.noted.or(known.half).filter(|_| role.place.strict.is_some() && !speaks);
            let unknown = noted.map(|epoch| RoleEpoch::new(epoch, name.clone()));
            if let Some(may_act) = durable.promised.filter(open).or(unknown) {
                role.part = Part::Acting;
                role.role = Some(may_act);
            }
        }
        let names: Vec<ApplicationName> = self.applications.keys().cloned().collect();
        for name in &names {
            self.adopt_role(now, name, out);
        }
        self.awake_grants(now, pages, out);
        self.settle = true;
    }

    /// What a hook of an earlier life left is killed, and nothing else is run for its application before it is gone.
    fn adopt_hook(&mut self, found: Found, out: &mut Out) {
        let Found { application, start, .. } = found;
        if let Some(known) = self.applications.get_mut(&application) {
            known.hooks_left.insert(start);
        }
        out.process.push(AgentDo::KillTree { application, start });
    }

    fn adopt(&mut self, now: Moment, found: Found, out: &mut Out) {
        let name = found.application;
        let start = found.start;
        let Some(known) = self.applications.get_mut(&name) else {
            out.process.push(AgentDo::KillTree { application: name, start });
            return;
        };
        known.start = Some(start);
        known.began = now - found.running_for;
        known.restarts = found.restarts;
        known.noted = found.acts;
        known.half = found.half;
        let Some(pid) = found.pid else {
            known.phase = Phase::Lingering;
            known.last_exit = Some(LastExit { cause: ExitCause::Unknown, wanted: false, ran_ms: 0 });
            out.process.push(AgentDo::KillTree { application: name, start });
            return;
        };
        known.pid = Some(pid);
        self.begin_life(now, &name, out);
        let Some(known) = self.applications.get_mut(&name) else { return };
        if known.speaks() {
            // Its readiness and run mode are known again when its link is back, which has a grace.
            let grace = known.role.as_ref().map_or(super::speech::LINK_GRACE, |role| role.place.link_grace);
            let startup = known.spec().startup_timeout;
            if found.running_for < startup {
                known.phase = Phase::Initializing;
                known.phase_deadline = Some((known.began + startup).max(now + grace));
            } else {
                known.phase = Phase::Started;
                known.link_deadline = Some(now + grace);
                known.ready_since = Some(known.began);
            }
        } else {
            let silent = known.spec().interface == Interface::Notify && !found.ready;
            known.phase = if silent { Phase::Initializing } else { Phase::Started };
            known.phase_deadline = silent.then(|| now + known.spec().startup_timeout);
            known.run_mode = if known.role.is_none() { RunMode::Primary } else { RunMode::Backup };
            known.ready_since = Some(now);
            self.ready_to_be_watched(now, &name);
        }
        let because = Because::new(
            Rule::Adopted,
            format!("process {pid} runs since before this agent: taken over as it is"),
        );
        out.events.push(self.event(EventKind::StatusChanged, Severity::Info, &name, because));
    }

    /// A process without the library that an earlier life of this agent promoted, or was promoting.
    fn adopt_role(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.speaks() || known.pid.is_none() {
            return;
        }
        let acts = known.noted;
        let Some(role) = known.role.as_mut().filter(|role| role.part == Part::Acting) else { return };
        let epoch = role.role.as_ref().map(|role| role.epoch);
        if epoch.is_some() && acts == epoch {
            role.confirmed = true;
            known.run_mode = RunMode::Primary;
            known.started_as = RunMode::Primary;
            return;
        }
        // Half done: neither is believed, so it is demoted (G5), and whoever ordered it asks again.
        let because = Because::new(
            Rule::HalfPromoted,
            "its promotion was not finished when the agent ended: it is demoted first",
        )
        .fact("epoch", epoch.unwrap_or_default());
        out.events.push(self.event(EventKind::Anomaly, Severity::Warning, name, because));
        self.part(now, name, RoleTrigger::GiveUp, out);
    }
}

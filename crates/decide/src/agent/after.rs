//! The order of starts on one host: what comes first is ready, or is not coming.
//!
//! Refuses to know why an application is started. The law: nobody waits for what nobody wants to run, and nobody for
//! ever: a circle, which settings refuse, is not waited in.

use std::collections::BTreeSet;

use understudy_model::ApplicationName;

use super::Agent;
use super::lifecycle::Phase;

impl Agent {
    /// The first of those that `name` starts after that is on its way up and not ready yet.
    pub(super) fn awaited(&self, name: &ApplicationName) -> Option<ApplicationName> {
        let known = self.applications.get(name)?;
        let after = &known.spec().process.after;
        after.iter().find(|first| self.comes_up(first) && !self.starts_after(first, name)).cloned()
    }

    fn comes_up(&self, name: &ApplicationName) -> bool {
        self.applications.get(name).is_some_and(|known| {
            let up = match known.phase {
                // It has come up; whether it can serve now is another matter.
                Phase::Started | Phase::Unavailable => true,
                Phase::Stopped
                | Phase::Waiting
                | Phase::Spawning
                | Phase::Initializing
                | Phase::Yielding
                | Phase::Suspending
                | Phase::Stopping
                | Phase::Lingering => false,
            };
            known.wanted() && !up
        })
    }

    /// Whether `name` starts after `other`, directly or by others.
    fn starts_after(&self, name: &ApplicationName, other: &ApplicationName) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![name];
        while let Some(one) = next.pop() {
            if one == other {
                return true;
            }
            if seen.insert(one)
                && let Some(known) = self.applications.get(one)
            {
                next.extend(&known.spec().process.after);
            }
        }
        false
    }

    /// It is started as soon as that one is ready.
    pub(super) fn wait_for(&mut self, name: &ApplicationName, first: ApplicationName) {
        let Some(known) = self.applications.get_mut(name) else { return };
        known.phase = Phase::Waiting;
        // Every change of the other one is a step of this machine, and is looked at in that step.
        known.phase_deadline = None;
        known.problem = format!("waits for {first}, which starts first and is not ready yet");
        known.waits_for = Some(first);
    }

    /// Those that waited and need not any more are due now.
    pub(super) fn release_waiting(&mut self) {
        let waiting = self.applications.iter().filter(|(_, known)| known.waits_for.is_some());
        let names: Vec<ApplicationName> = waiting.map(|(name, _)| name.clone()).collect();
        for name in names {
            let free = self.awaited(&name).is_none();
            let Some(known) = self.applications.get_mut(&name) else { continue };
            if free || known.phase != Phase::Waiting || !known.wanted() {
                known.waits_for = None;
                known.problem.clear();
                if known.phase == Phase::Waiting {
                    known.phase_deadline = Some(understudy_model::Moment::default());
                }
            }
        }
    }
}

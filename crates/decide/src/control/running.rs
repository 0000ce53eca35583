//! Which applications count as running for a new configuration: they have a process, or may have one.
//!
//! It knows no configuration that is to come. The law (G13): a member of a `strict` pair that nobody hears may be primary
//! through the other one's agent, whatever an operator wants of it; only what ended its promises says that it is not.

use std::collections::BTreeSet;

use understudy_model::{ApplicationName, ApplicationStatus, Goal, HostStatus, Member};

use super::Control;
use super::state::{App, Granting, Pair};

impl Control {
    /// What has a process or may have one. What an operator stopped on a host that is silent does not, outside of `strict`
    /// pairs: else a host that is gone for good could never be taken out.
    pub fn running(&self) -> BTreeSet<ApplicationName> {
        let runs = |(name, app): (&ApplicationName, &App)| {
            let process = app.report.as_ref().is_some_and(|report| report.pid.is_some());
            let may_run = (process || app.status() != ApplicationStatus::Stopped)
                && (self.may_act_unseen(name) || !self.stopped_on_silent_host(name, app));
            may_run.then(|| name.clone())
        };
        self.applications.iter().filter_map(runs).collect()
    }

    /// Those of them that have no process now, as their agents said: they are about to be started, or to be tried again.
    pub fn about_to_start(&self) -> BTreeSet<ApplicationName> {
        let mut running = self.running();
        running.retain(|name| {
            let known = self.applications.get(name).filter(|known| known.heard);
            known.and_then(|known| known.report.as_ref()).is_some_and(|report| report.pid.is_none())
        });
        running
    }

    /// The members of `strict` pairs that an operator stopped, and that count as running all the same.
    pub fn not_given_up(&self) -> BTreeSet<ApplicationName> {
        let kept = |(name, app): (&ApplicationName, &App)| {
            (self.stopped_on_silent_host(name, app) && self.may_act_unseen(name)).then(|| name.clone())
        };
        self.applications.iter().filter_map(kept).collect()
    }

    fn stopped_on_silent_host(&self, name: &ApplicationName, app: &App) -> bool {
        let silent = self.hosts.get(&app.host).is_some_and(|host| host.status == HostStatus::Unreachable);
        silent && self.goal(name) == Goal::Stopped
    }

    /// Nothing that was said in this leadership ended the promises to this member of a `strict` pair.
    fn may_act_unseen(&self, name: &ApplicationName) -> bool {
        let pair = self.applications.get(name).and_then(|app| self.pairs.get(app.pair.as_ref()?));
        let Some((pair, granting)) = pair.and_then(|pair| Some((pair, pair.granting.as_ref()?))) else {
            return false;
        };
        pair.spec.member_of(name).is_none_or(|member| !self.has_let_go(pair, granting, member))
    }

    fn has_let_go(&self, pair: &Pair, granting: &Granting, member: Member) -> bool {
        let Some(stored) = &pair.stored else { return !granting.leader.is_restored() };
        if granting.leader.is_restored() || granting.leader.writing().is_some() {
            return false;
        }
        let released = self.released_by(pair, member).is_some_and(|ended| ended.epoch >= stored.epoch);
        if pair.holder() == Some(member) {
            return released || granting.leader.has_ended(&stored.holder);
        }
        // The other one's agent is bound to the stored role: it was free of this member before, and so was this voter.
        let other = self.app(pair, member.other()).and_then(|app| app.role());
        let followed = other.is_some_and(|role| role.promised.as_ref() == Some(stored));
        released || followed
    }
}

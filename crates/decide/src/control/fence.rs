//! What ends a silent holder's promise before its time: a command that switches its host off, or an operator's word.
//!
//! It knows no commands. The law (G10): this control server stops voting for a role before its host's command is called, the
//! confirmation counts for exactly the roles that were stopped before, and only within this leadership; the other agent is
//! told inside the order of the next epoch.

use std::collections::BTreeSet;

use understudy_model::{
    Because, ControllerEpoch, Epoch, EventKind, HostName, HostSpec, Member, Moment, PairName, RoleEpoch,
    Rule, Severity, Subject,
};

use super::state::{Granting, Pair, PreVote};
use super::{Control, ControlDo, ControlRecord, LinkEnd, Out, about_host, event};

/// How far above this leadership an agent's may be to be counted on from: more is no count of leaderships.
const MOST_AHEAD: u64 = 1 << 32;

/// A fencing command that runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Call {
    /// The roles that were stopped before it was called.
    roles: Vec<(PairName, RoleEpoch)>,
}

impl Control {
    /// Has the host of a silent holder switched off, if it has a command for that and the other member could take over.
    pub(super) fn call_device(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(host) = self.pairs.get(name).and_then(|pair| self.host_to_fence(now, pair)) else { return };
        let there = |(name, pair): (&PairName, &Pair)| {
            (self.host_to_fence(now, pair).as_ref() == Some(&host)).then(|| name.clone())
        };
        let pairs: Vec<PairName> = self.pairs.iter().filter_map(there).collect();
        let mut roles = Vec::new();
        for name in pairs {
            let Some(granting) = self.pairs.get_mut(&name).and_then(|pair| pair.granting.as_mut()) else {
                continue;
            };
            if let Ok(role) = granting.leader.fence(&self.leadership, now) {
                granting.device_tried = Some(role.clone());
                roles.push((name, role));
            }
        }
        if roles.is_empty() {
            return;
        }
        let mut because =
            Because::new(Rule::FenceCalled, format!("{host} is silent: its fencing command is run"));
        for (name, role) in &roles {
            because = because.fact(format!("pair {name}"), format!("{role} is voted for no more"));
        }
        out.events.push(event(EventKind::Anomaly, Severity::Warning, about_host(&host), because));
        out.actions.push(ControlDo::Fence { host: host.clone() });
        self.just_called.insert(host.clone());
        self.calls.insert(host, Call { roles });
    }

    /// The host of a pair's silent holder, if it is to be switched off now.
    fn host_to_fence(&self, now: Moment, pair: &Pair) -> Option<HostName> {
        let granting = pair.granting.as_ref()?;
        let role = granting.leader.bound(now).filter(|role| granting.device_tried.as_ref() != Some(*role))?;
        let holder = pair.spec.member_of(&role.holder)?;
        let app = self.app(pair, holder).filter(|app| !app.heard)?;
        let silent = self.hosts.get(&app.host)?.gone.is_some_and(|gone| gone.end == LinkEnd::Silent);
        let long_enough = self.lost_from(pair, holder).is_some_and(|from| from <= now);
        let has_device = self.fence_of(&app.host).is_some() && !self.calls.contains_key(&app.host);
        let useful = self.not_ready_because(now, pair, holder.other()).is_empty();
        // A primary that the other member's agent hears is alive: it is this control server that does not hear it.
        let other = self.app(pair, holder.other()).and_then(|app| app.role()?.strict.as_ref());
        let cut_off = other.is_some_and(|strict| !strict.peer_heard)
            || granting.pre_vote == PreVote::Yes(holder.other());
        let may = silent && long_enough && has_device && useful && cut_off && !self.hands_off(&role.holder);
        may.then(|| app.host.clone())
    }

    fn fence_of(&self, host: &HostName) -> Option<&HostSpec> {
        let spec = self.cluster.as_ref()?.hosts.get(host)?;
        spec.fence.is_some().then_some(spec)
    }

    /// A fencing command has ended.
    pub(super) fn fence_ended(
        &mut self,
        now: Moment,
        host: &HostName,
        confirmed: bool,
        said: &str,
        out: &mut Out,
    ) {
        let Some(call) = self.calls.remove(host) else { return };
        let (rule, severity) = if confirmed {
            (Rule::FencedByDevice, Severity::Warning)
        } else {
            (Rule::FenceFailed, Severity::Critical)
        };
        let mut because = Because::new(rule, rule.says()).fact("it said", said);
        let asked_in = self.leadership.controller_epoch;
        for (name, role) in call.roles {
            self.touched.insert(name.clone());
            let Some(granting) = self.pairs.get_mut(&name).and_then(|pair| pair.granting.as_mut()) else {
                continue;
            };
            let left = granting.leader.promise_until().since(now).as_secs_f64();
            let ended = granting.leader.fenced(asked_in, &role, confirmed);
            let text = match (confirmed, ended) {
                (true, true) => format!("the promise of {role} is over, {left:.3} s before its time"),
                (true, false) => format!("{role} is not promised any more"),
                (false, _) => format!("{role}: its promise has to run out, in {left:.3} s"),
            };
            because = because.fact(format!("pair {name}"), text);
        }
        out.events.push(event(EventKind::Anomaly, severity, about_host(host), because));
    }

    /// Commands that shared a decision with something that was not stored were not run.
    pub(super) fn not_called(&mut self, now: Moment, hosts: BTreeSet<HostName>, out: &mut Out) {
        for host in hosts {
            self.fence_ended(now, &host, false, "it was not run: its decision could not be stored", out);
        }
    }

    // ---- an operator's word ---------------------------------------------------------------------------------------

    /// What an operator's word gives up, and what would be so without it.
    pub(super) fn promise_given_up(
        &self,
        now: Moment,
        pair: &Pair,
        granting: &Granting,
        host: &str,
    ) -> String {
        let promise = self.promise_told(now, granting);
        let other = match self.alive_through(pair) {
            Some((_, through)) => {
                format!(
                    "; the agent of {} is bound to it too, so it may well be alive",
                    pair.spec.application(through)
                )
            }
            None => String::new(),
        };
        format!(
            "the proof that nobody acts on host {host}: you say that this machine is off, and the other agent is told so. \
             Without that: {promise}{other}. If {host} is on, two may act until its own votes run out"
        )
    }

    /// An operator said that the host of a silent holder is off; it counts when that is durable.
    pub(super) fn give_word(&mut self, name: &PairName) {
        self.words_given.insert(name.clone());
    }

    /// What operators said is durable now: it ends the promises, as a device's confirmation does.
    pub(super) fn acknowledge_words(&mut self, now: Moment) {
        for name in std::mem::take(&mut self.words_given) {
            let Some(pair) = self.pairs.get_mut(&name) else { continue };
            let forced = pair.forced.clone();
            let Some(granting) = &mut pair.granting else { continue };
            let asked_in = self.leadership.controller_epoch;
            granting.word_given = forced.clone();
            // Another role may have been promised since: nothing was said of that.
            if forced.is_some()
                && forced.as_ref() == granting.leader.promised()
                && let Ok(role) = granting.leader.fence(&self.leadership, now)
            {
                granting.leader.fenced(asked_in, &role, true);
            }
            if granting.leader.is_restored() {
                let silent = Member::BOTH
                    .into_iter()
                    .map(|member| pair.spec.application(member).clone())
                    .filter(|member| self.applications.get(member).is_some_and(|app| !app.heard));
                granting.words.extend(silent);
            }
            self.touched.insert(name);
        }
    }

    /// An operator's word stands for what the agent of a switched off host would say of its promises to a restored store, as
    /// soon as it may be asked. Who is heard speaks for itself.
    pub(super) fn take_words(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let granting = self.pairs.get_mut(name).and_then(|pair| pair.granting.as_mut());
        let Some(granting) = granting.filter(|granting| !granting.words.is_empty()) else { return };
        granting.words.retain(|member| self.applications.get(member).is_some_and(|app| !app.heard));
        let due = granting.words.iter().filter(|member| granting.leader.wants_word(now, member));
        for member in due.cloned().collect::<Vec<_>>() {
            granting.leader.agent_said(now, &member, Epoch::NONE, std::time::Duration::ZERO);
            let text =
                format!("{member} is not asked what it promised: an operator said that its host is off");
            out.quiet.push(Because::new(Rule::RestoredStore, text));
        }
    }

    // ---- a restored store -----------------------------------------------------------------------------------------

    /// An agent obeyed a higher leadership than this one. A restored store counts on from there; any other one is older than it
    /// should be, or somebody else leads: both are for people to look into.
    pub(super) fn outranked(&mut self, host: &HostName, highest: ControllerEpoch, out: &mut Out) {
        let own = self.leadership.controller_epoch;
        let ahead = highest.0.saturating_sub(own.0);
        if !self.memory.grants.restored || ahead == 0 || ahead > MOST_AHEAD {
            return;
        }
        let text = format!(
            "the agent of {host} has obeyed controller epoch {highest}, and this restored store counts {own}: it counts on \
             from there, and this control server starts anew"
        );
        let because = Because::new(Rule::Outranked, text);
        let about = Subject { host: Some(host.clone()), ..Subject::default() };
        out.events.push(event(EventKind::Anomaly, Severity::Warning, about, because));
        out.persist.push(ControlRecord::RaiseLeadership { highest });
    }
}

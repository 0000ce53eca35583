//! Agents: connected, lost, and what they report.

use std::mem::discriminant;

use understudy_model::{
    AddpSettings, Answer, ApplicationName, ApplicationReport, ApplicationStatus, Assignment, Because, Event,
    EventKind, Goal, HostName, HostStatus, Inventory, Member, Moment, Outcome, PairName, PairPlace, Policy,
    Refusal, Rule, Severity, StrictPlace, Subject, Work,
};

use super::loss::gone;
use super::pair::{PairState, PairTrigger};
use super::state::{Gone, Granting, OrderedWork, Outstanding, Pair, RefusedFor};
use super::{Control, LONGEST_REFUSAL_WAIT, LinkEnd, Out, RETRY, about_host, event};

impl Control {
    /// An agent said everything. Whatever was outstanding there is settled: an order that it had received is in what it
    /// says, and one that it had not is refused, as it came on a connection that this one supersedes.
    pub(super) fn link_up(&mut self, now: Moment, host: &HostName, inventory: Inventory, out: &mut Out) {
        let Some(known) = self.hosts.get_mut(host) else { return };
        known.incarnation = Some(inventory.incarnation);
        let back = known.gone.take();
        known.polled_until = None;
        known.status = HostStatus::Running;
        known.since = now;
        known.heard = Some(now);
        known.problem.clear();
        known.refused = None;
        // It says so again if it still does.
        known.leaving = None;
        self.outstanding.retain(|_, outstanding| outstanding.host != *host);
        let because = Because::new(Rule::AgentHeard, "its agent is connected and said what it has")
            .fact("agent", inventory.agent)
            .fact("incarnation", inventory.incarnation)
            .fact("applications", inventory.applications.len());
        out.events.push(event(EventKind::HostRunning, Severity::Info, about_host(host), because));
        for known in self.applications.values_mut().filter(|known| known.host == *host) {
            known.heard = true;
            known.ordered = None;
            known.refused_until = None;
            known.demoted_again = None;
            // An application that the agent does not name has no process there.
            known.report = None;
        }
        for report in inventory.applications {
            self.reported(now, host, report, out);
        }
        if let Some(back) = back {
            self.give_fresh_chance(now, back);
        }
        self.forget_pre_votes(host);
        self.touch_host(host);
        self.touch_gone_hosts();
        self.send_assignments(host, out);
    }

    /// An agent is connected no more. What it had is kept in mind as it was: it may go on.
    pub(super) fn link_down(
        &mut self,
        now: Moment,
        host: &HostName,
        end: LinkEnd,
        why: String,
        out: &mut Out,
    ) {
        let Some(known) = self.hosts.get_mut(host) else { return };
        let was = known.incarnation.take();
        let before = known.gone.filter(|_| was.is_none());
        let gone = gone(before, known.heard.is_some(), end, now);
        known.gone = Some(gone);
        known.polled_until = None;
        let status = match gone.end {
            LinkEnd::Silent => HostStatus::Unreachable,
            LinkEnd::Closed | LinkEnd::Unresolved => HostStatus::Unknown,
            LinkEnd::Refused | LinkEnd::Unwelcome => HostStatus::Inaccessible,
        };
        if known.status != status {
            known.status = status;
            known.since = now;
        }
        known.problem = why.clone();
        self.outstanding.retain(|_, outstanding| outstanding.host != *host);
        for known in self.applications.values_mut().filter(|known| known.host == *host && known.heard) {
            known.heard = false;
            known.since = now;
            known.as_found = false;
        }
        if was.is_some() {
            self.forget_pre_votes(host);
        }
        self.touch_host(host);
        self.touch_gone_hosts();
        if was.is_some() || before.is_none_or(|before| before.end != gone.end) {
            self.tell_link_end(now, host, gone, was.is_some(), &why, out);
        }
    }

    /// Tells how a link ended, and what that means for the pairs of the host.
    fn tell_link_end(
        &self,
        now: Moment,
        host: &HostName,
        gone: Gone,
        was_connected: bool,
        why: &str,
        out: &mut Out,
    ) {
        let rule = if gone.end == LinkEnd::Unwelcome { Rule::AgentUnwelcome } else { Rule::AgentSilent };
        let text = if was_connected {
            format!("its agent is connected no more: {why}")
        } else {
            format!("its agent is not connected: {why}")
        };
        let mut because = Because::new(rule, text).fact("what that says", gone.end.says());
        for (name, pair) in &self.pairs {
            let Some(holder) = pair.holder().filter(|holder| self.may_act_unheard(pair, *holder)) else {
                continue;
            };
            if self.app(pair, holder).is_none_or(|app| app.host != *host) {
                continue;
            }
            if let Some((rule, missed)) = self.not_lost_because(now, pair, holder) {
                because = because.nearly(rule, format!("pair {name}: {missed}"));
            }
        }
        out.events.push(event(EventKind::HostLost, Severity::Warning, about_host(host), because));
    }

    /// One application's whole truth.
    pub(super) fn reported(
        &mut self,
        now: Moment,
        host: &HostName,
        report: ApplicationReport,
        out: &mut Out,
    ) {
        let Some(from) = self.hosts.get_mut(host) else { return };
        from.heard = Some(now);
        from.polled_until = None;
        let connected = from.incarnation.is_some();
        let name = report.application.clone();
        let Some(known) = self.applications.get_mut(&name).filter(|known| known.host == *host) else {
            return;
        };
        // One that a new configuration brought is heard with its first report.
        known.heard |= connected;
        let (status, mode) = (known.told.unwrap_or(ApplicationStatus::Unknown), known.run_mode());
        let mut because = Because::new(Rule::AgentReported, describe(&report)).fact("goal", report.goal);
        if let Some(pid) = report.pid {
            because = because.fact("pid", pid);
        }
        let changed = status != report.status || mode != report.run_mode;
        let about =
            Subject { host: Some(host.clone()), application: Some(name.clone()), pair: known.pair.clone() };
        self.touched.extend(known.pair.clone());
        let first = known.told.replace(report.status).is_none();
        if changed {
            known.since = now;
            known.as_found = first;
        }
        // The first report of a leadership tells of ends that somebody else was told of.
        let news =
            known.told_exit.replace(report.last_exit.clone()).is_some_and(|told| told != report.last_exit);
        if let Some(exit) = report.last_exit.as_ref().filter(|_| news) {
            let ran = std::time::Duration::from_millis(exit.ran_ms);
            // Of what an agent did not see end, it does not know how long it ran.
            let after =
                if ran.is_zero() { String::new() } else { format!(" after {:.1} s", ran.as_secs_f64()) };
            let text = format!("its process ended{after}: {}", exit.cause);
            let because = Because::new(Rule::ProcessExited, text)
                .fact("wanted", if exit.wanted { "yes" } else { "no" });
            let severity = if exit.wanted { Severity::Info } else { Severity::Warning };
            out.events.push(event(EventKind::ApplicationExited, severity, about.clone(), because));
        }
        if status != report.status {
            let severity = if report.problem.is_empty() { Severity::Info } else { Severity::Warning };
            out.events.push(Event {
                from: Some(status.to_string()),
                to: Some(report.status.to_string()),
                ..event(EventKind::StatusChanged, severity, about, because)
            });
        }
        known.report = Some(report);
        self.hear_release(&name);
    }

    /// What became of an order.
    pub(super) fn answered(&mut self, now: Moment, host: &HostName, answer: Answer, out: &mut Out) {
        if let Some(known) = self.hosts.get_mut(host) {
            known.heard = Some(now);
        }
        // Numbers are easy to guess: only the host that was ordered can say what became of it.
        let ordered = |entry: &Outstanding| entry.host == *host;
        if !self.outstanding.get(&answer.order).is_some_and(ordered) {
            return;
        }
        let Some(Outstanding { work, .. }) = self.outstanding.remove(&answer.order) else { return };
        self.touched.extend(work.pair().cloned());
        match (work, answer.outcome) {
            // Only an answer to everything says that everything is known there.
            (OrderedWork::Level { application: None, .. }, Outcome::Done) => {
                if let Some(known) = self.hosts.get_mut(host) {
                    known.refused = None;
                }
            }
            (OrderedWork::Level { application: Some(_), .. }, Outcome::Done) => {}
            (OrderedWork::Level { application, operation }, Outcome::Refused(refusal)) => {
                let text = format!("the agent of {host} refused: {refusal}");
                if let Some(known) = operation.and_then(|id| self.operations.get_mut(&id)) {
                    known.trouble = Some(text.clone());
                    known.deadline = now;
                }
                let Some(known) = self.hosts.get_mut(host) else { return };
                let said = known.refused.replace((text.clone(), now + RETRY));
                if said.is_none_or(|(said, _)| said != text) {
                    let because = Because::new(Rule::OrderRefused, text);
                    let about = Subject { host: Some(host.clone()), application, pair: None };
                    out.events.push(event(EventKind::Anomaly, Severity::Warning, about, because));
                }
            }
            (OrderedWork::Promote { role, .. }, Outcome::Done) => {
                if let Some(known) = self.applications.get_mut(&role.holder) {
                    known.ordered = None;
                    known.refusals = 0;
                    known.refused_until = None;
                }
            }
            (OrderedWork::Promote { pair, role }, Outcome::Refused(refusal)) => {
                self.note_refusal(now, &role.holder, &refusal);
                self.promotion_refused(now, &pair, &role, &refusal, out);
            }
            (OrderedWork::PreVote { pair }, outcome) => {
                self.pre_vote_answered(now, answer.order, &pair, outcome);
            }
            // An agent that cannot be asked was not: its link refused in its place.
            (OrderedWork::Word { member, .. }, Outcome::Refused(_)) if self.cannot_be_asked(&member) => {
                self.note_refusal(now, &member, &Refusal::NotVoting("update its agent".to_owned()));
            }
            (OrderedWork::Word { pair, member }, Outcome::Done | Outcome::Refused(_)) => {
                self.hear_word(now, &pair, &member);
            }
            // That it knows is in its next report.
            (OrderedWork::Learn { .. }, Outcome::Done) => {}
            (OrderedWork::Learn { member, .. }, Outcome::Refused(_)) => self.not_learned(now, &member),
            (OrderedWork::LetGo, Outcome::Done | Outcome::Refused(_)) => {}
            // That it serves no more is in the report that came with this.
            (OrderedWork::Demote { .. }, Outcome::Done) => {}
            (OrderedWork::Demote { pair, role }, Outcome::Refused(refusal)) => {
                let text = format!("{} refused to be demoted from {role}: {refusal}", role.holder);
                let because = Because::new(Rule::DemotionRefused, text.clone());
                let holder = role.holder;
                let about = Subject { application: Some(holder.clone()), ..super::about_pair(&pair) };
                out.events.push(event(EventKind::DemotionFailed, Severity::Warning, about, because));
                self.trouble(&pair, text);
                if let Some(app) = self.applications.get_mut(&holder) {
                    app.demoted_again = Some(now + RETRY);
                }
                self.fire(now, &pair, PairTrigger::DemotionRefused, out);
            }
        }
    }

    /// An agent is heard, and has neither answered its order to promote nor promised anything for so long that nobody is bound to
    /// it any more, as its disk hangs: the other member is not kept waiting if it is ready (G9). Whatever it does with the order later, nobody
    /// votes for that epoch.
    pub(super) fn give_up_unanswered(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let late = |pair: &&Pair| {
            // One that was released is answered next.
            let over = |granting: &Granting| {
                let leader = &granting.leader;
                let released = pair.stored.as_ref().is_some_and(|role| leader.has_ended(&role.holder));
                leader.writing().is_none() && leader.bound(now).is_none() && !released
            };
            let waits = |member: Member| {
                self.app(pair, member).is_some_and(|app| app.heard && app.ordered.is_some())
                    && Member::BOTH.iter().all(|member| self.acts(pair, *member).is_none())
                    && self.not_ready_because(now, pair, member.other()).is_empty()
            };
            pair.state == PairState::Promoting
                && pair.granting.as_ref().is_some_and(over)
                && pair.holder().is_some_and(waits)
        };
        let Some(role) = self.pairs.get(name).filter(late).and_then(|pair| pair.stored.clone()) else {
            return;
        };
        let about = OrderedWork::Promote { pair: name.clone(), role: role.clone() };
        self.outstanding.retain(|_, entry| entry.work != about);
        let refusal = Refusal::NotDurable("no answer came while the promise lasted".to_owned());
        self.note_refusal(now, &role.holder, &refusal);
        self.promotion_refused(now, name, &role, &refusal, out);
    }

    fn note_refusal(&mut self, now: Moment, application: &ApplicationName, refusal: &Refusal) {
        let Some(known) = self.applications.get_mut(application) else { return };
        known.ordered = None;
        let pair = known.pair.as_ref().and_then(|pair| self.pairs.get(pair));
        let lease = pair.filter(|pair| pair.granting.is_some()).map(|pair| pair.spec.terms().lease);
        let first = lease.map_or(RETRY, |lease| lease / 8);
        let passes = match refusal {
            Refusal::NotDurable(_) => lease.is_some(),
            Refusal::Promised(..) | Refusal::ClosedEpoch(_) => true,
            _ => false,
        };
        // What an application refused before is no reason to wait for its agent's disk, nor for its next process.
        let kind = if passes { RefusedFor::AgentsOwn } else { RefusedFor::Reason(discriminant(refusal)) };
        if known.refused_for.replace(kind) != Some(kind) {
            known.refusals = 0;
        }
        let wait = match refusal {
            Refusal::Promised(_, left) => (*left).min(LONGEST_REFUSAL_WAIT),
            // A primary that was to act in a new epoch, and could not write that, asks for nothing until it can: its lease
            // runs. And a disk that is well again is not made to wait, nor an agent that only needs another epoch.
            _ if passes => first.saturating_mul(1 << known.refusals.min(10)).min(RETRY),
            _ => RETRY.saturating_mul(1 << known.refusals.min(5)).min(LONGEST_REFUSAL_WAIT),
        };
        known.refusals = known.refusals.saturating_add(1);
        known.refused_until = Some(now + wait);
        known.refusal = refusal.to_string();
    }

    /// Tells every agent that refused what it should know, when it is time to.
    pub(super) fn assign_again(&mut self, now: Moment, out: &mut Out) {
        let due = |known: &super::Host| {
            known.incarnation.is_some() && known.refused.as_ref().is_some_and(|(_, again)| *again <= now)
        };
        let hosts: Vec<HostName> =
            self.hosts.iter().filter(|(_, known)| due(known)).map(|(name, _)| name.clone()).collect();
        for host in hosts {
            if let Some((_, again)) = self.hosts.get_mut(&host).and_then(|known| known.refused.as_mut()) {
                *again = now + RETRY;
            }
            self.send_assignments(&host, out);
        }
    }

    /// Everything that an agent should know, as levels.
    pub(super) fn send_assignments(&mut self, host: &HostName, out: &mut Out) {
        let Some(cluster) = &self.cluster else { return };
        let assignments = cluster
            .applications
            .iter()
            .filter(|(_, spec)| spec.host == *host)
            .map(|(name, spec)| Assignment {
                application: name.clone(),
                spec: spec.clone(),
                goal: self.goal(name),
                hands_off: self.hands_off(name),
                pair: place(cluster, name),
            })
            .collect();
        let about = OrderedWork::Level { application: None, operation: None };
        self.send(host, Work::Assign(assignments), about, out);
    }

    /// The goal of one application, to its agent. False if the agent is not connected: it hears of it when it is.
    pub(super) fn send_goal(
        &mut self,
        application: &ApplicationName,
        goal: Goal,
        graceful: bool,
        operation: understudy_model::OperationId,
        out: &mut Out,
    ) -> bool {
        let Some(host) = self.applications.get(application).map(|known| known.host.clone()) else {
            return false;
        };
        let about = OrderedWork::Level { application: Some(application.clone()), operation: Some(operation) };
        let work = Work::SetGoal { application: application.clone(), goal, graceful };
        self.send(&host, work, about, out)
    }
}

fn place(cluster: &understudy_model::Cluster, application: &ApplicationName) -> Option<PairPlace> {
    let (name, pair) = cluster.pair_of(application)?;
    let peer = pair.application(pair.member_of(application)?.other());
    let spec = cluster.applications.get(peer)?;
    let host = cluster.hosts.get(&spec.host);
    let address = host.and_then(|host| host.addresses.first());
    let strict = (pair.policy == Policy::Strict).then(|| StrictPlace {
        terms: pair.terms(),
        peer_host: spec.host.clone(),
        peer_addresses: host.map(|host| host.addresses.clone()).unwrap_or_default(),
        peer_addp: host.map_or(AddpSettings::OFF, |host| host.addp),
    });
    Some(PairPlace {
        pair: name.clone(),
        peer: peer.clone(),
        peer_address: address.map(|address| without_port(address)).unwrap_or_default(),
        peer_ports: spec.ports.iter().map(|port| (port.id.clone(), port.port)).collect(),
        fence_budget: pair.timers.fence_budget,
        link_grace: pair.timers.link_grace,
        strict,
    })
}

fn without_port(address: &str) -> String {
    if address.starts_with("unix:") {
        // Both agents are on this machine.
        return "127.0.0.1".to_owned();
    }
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']).to_owned()
}

fn describe(report: &ApplicationReport) -> String {
    let mut text = format!("{}, run mode {}", report.status, report.run_mode);
    if !report.problem.is_empty() {
        text.push_str(": ");
        text.push_str(&report.problem);
    }
    text
}

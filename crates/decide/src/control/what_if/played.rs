//! What a decision would bring about: orders go to agents that obey as their last report suggests, records are stored at
//! once, fencing commands fail.
//!
//! It refuses to know why anything is decided. The law: whatever is not known is played in the way that costs the most time
//! and gives nobody a role, and is said.

use std::time::Duration;

use understudy_model::{
    Answer, ApplicationReport, ApplicationStatus, Decision, HostName, Incarnation, Member, Order, Outcome,
    PairName, Refusal, RoleEpoch, RunMode, Severity, Subject, Verdict, VoteAsk, Work,
};

use super::super::state::Pair;
use super::super::{ControlDo, ControlRecord, ControlSaw, about_host, about_pair};
use super::{Foresight, Night};

/// A promotion whose agent asks for a vote.
pub(super) struct Awaited {
    host: HostName,
    order: Order,
    pair: PairName,
    role: RoleEpoch,
}

impl Night {
    /// Everything that a decision has done.
    pub(super) fn carry_out(&mut self, decision: Decision<ControlRecord, ControlDo>) {
        for record in decision.persist {
            if let ControlRecord::RaiseEpoch { pair, next, .. } = record {
                let because = self.control.pairs.get(&pair).and_then(|known| known.because.clone());
                let what = format!("epoch {} is stored for {}", next.epoch, next.holder);
                let step = self.step("control server", about_pair(&pair), what);
                self.tell(Foresight { because, ..step });
            }
        }
        for event in decision.events {
            let step = self.step("control server", event.about, event.because.reason.clone());
            self.tell(Foresight { severity: event.severity, because: Some(event.because), ..step });
        }
        for action in decision.actions {
            match action {
                ControlDo::Send { host, order } => self.obey(host, order),
                ControlDo::Vote { answer, .. } => {
                    if let Some(awaited) = self.asking.remove(&answer.number) {
                        self.vote_answered(awaited, &answer.verdict);
                    }
                }
                ControlDo::Fence { host } => self.fail_to_fence(host),
                // Whoever asked before is answered by the machine itself.
                ControlDo::Reply { .. } | ControlDo::AnswerInSync { .. } => {}
            }
        }
    }

    fn step(&self, who: &str, about: Subject, what: String) -> Foresight {
        let (who, severity) = (who.to_owned(), Severity::Info);
        Foresight { after: self.now.since(self.began), who, about, severity, what, because: None }
    }

    fn fail_to_fence(&mut self, host: HostName) {
        self.assume(format!(
            "the fencing command of host {host} fails; if it says that the machine is off, nobody waits for a promise to end"
        ));
        let step =
            self.step("control server", about_host(&host), format!("the fencing command of {host} is run"));
        self.tell(step);
        let said = "supposed: it fails".to_owned();
        self.observe(self.now.since(self.began), ControlSaw::FenceEnded { host, confirmed: false, said });
    }

    /// An agent that is connected gets an order.
    fn obey(&mut self, host: HostName, order: Order) {
        let outcome = match &order.work {
            Work::Assign(_)
            | Work::SetGoal { .. }
            | Work::SetHandsOff { .. }
            | Work::Restart { .. }
            | Work::Learn { .. }
            | Work::LetGo => Outcome::Done,
            Work::WouldPromise { pair, role } => self.would_promise(&host, pair, role),
            Work::Promote { pair, role, grant, .. } => {
                let (pair, role) = (pair.clone(), role.clone());
                match self.cannot_promote(&pair, &role, grant.is_some()) {
                    Some(refusal) => {
                        self.refuse_promotion(&host, &pair, &role, &refusal);
                        Outcome::Refused(refusal)
                    }
                    None if grant.is_some() => return self.ask_vote(Awaited { host, order, pair, role }),
                    None => {
                        self.promoted(&host, &pair, &role);
                        Outcome::Done
                    }
                }
            }
            Work::Demote { pair, role, .. } => self.demoted(&host, &pair.clone(), &role.clone()),
        };
        self.answer(host, &order, outcome);
    }

    fn answer(&mut self, host: HostName, order: &Order, outcome: Outcome) {
        let answer = Answer { order: order.id, outcome };
        self.observe(self.now.since(self.began), ControlSaw::Answered { host, answer });
    }

    /// Whether an agent is bound to the other member of its pair, as far as can be known here.
    fn bound(&self, pair: &Pair, member: Member) -> Option<Refusal> {
        let other = self.control.app(pair, member.other())?;
        let name = pair.spec.application(member.other());
        let told = other.report.as_ref().and_then(|report| report.role.as_ref());
        let role = other.acting().cloned().or(pair.stored.clone().filter(|role| role.holder == *name))?;
        // Its end was told by its agent, or the order tells of it.
        let over = told.is_some_and(|told| told.closed >= role.epoch);
        if over || pair.granting.as_ref().is_some_and(|granting| granting.leader.has_ended(name)) {
            return None;
        }
        let lease = pair.spec.terms().lease;
        let renewed = self.renewed_by_peer(pair, member.other());
        let left = if renewed { lease } else { (self.began + lease).since(self.now) };
        (!left.is_zero()).then_some(Refusal::Promised(role, left))
    }

    /// Whether the agent of the other member's host renews this one, which acts.
    pub(super) fn renewed_by_peer(&self, pair: &Pair, acting: Member) -> bool {
        let (Some(own), Some(peer)) =
            (self.control.app(pair, acting), self.control.app(pair, acting.other()))
        else {
            return false;
        };
        let there = |host: &HostName| !self.dead.contains(host) && !self.without_agent.contains(host);
        let linked = !self.are_parted(&own.host, &peer.host)
            && own.pair.as_ref().is_some_and(|pair| self.hearing.contains(pair));
        there(&own.host) && there(&peer.host) && linked
    }

    fn would_promise(&mut self, host: &HostName, name: &PairName, role: &RoleEpoch) -> Outcome {
        let Some(pair) = self.control.pairs.get(name) else {
            return Outcome::Refused(Refusal::UnknownApplication);
        };
        let Some(member) = pair.spec.member_of(&role.holder) else {
            return Outcome::Refused(Refusal::UnknownApplication);
        };
        let refusal = self.bound(pair, member);
        if refusal.as_ref().is_some_and(|_| !self.renewed_by_peer(pair, member.other())) {
            self.assume(format!(
                "the agent of host {host} voted for the other member of {name} right before"
            ));
        }
        let what = match &refusal {
            None => format!("it would promise {role}"),
            Some(refusal) => format!("it would not promise {role}: {refusal}"),
        };
        let step = self.step(&format!("agent of {host}"), about_pair(name), what);
        self.tell(step);
        refusal.map_or(Outcome::Done, Outcome::Refused)
    }

    /// Why an agent would not carry out a promotion.
    fn cannot_promote(&self, name: &PairName, role: &RoleEpoch, strict: bool) -> Option<Refusal> {
        let pair = self.control.pairs.get(name)?;
        let member = pair.spec.member_of(&role.holder)?;
        let report = self.control.app(pair, member).and_then(|app| app.report.as_ref());
        match report {
            None => Some(Refusal::NotRunning),
            Some(report) if report.pid.is_none() => Some(Refusal::NotRunning),
            Some(report) if report.status != ApplicationStatus::Started => {
                Some(Refusal::NotReady(report.status.to_string()))
            }
            Some(_) if strict => self.bound(pair, member),
            Some(_) => None,
        }
    }

    fn refuse_promotion(&mut self, host: &HostName, name: &PairName, role: &RoleEpoch, refusal: &Refusal) {
        let what = format!("it refuses to make {role} primary: {refusal}");
        let step = self.step(&format!("agent of {host}"), about_pair(name), what);
        self.tell(step);
        self.change_report(host, role, |report| {
            if let Some(told) = &mut report.role {
                told.closed = told.closed.max(role.epoch);
            }
        });
    }

    fn ask_vote(&mut self, awaited: Awaited) {
        let number = awaited.order.id.0;
        let lease =
            self.control.pairs.get(&awaited.pair).map_or(Duration::ZERO, |pair| pair.spec.terms().lease);
        let (pair, role) = (awaited.pair.clone(), awaited.role.clone());
        let ask = VoteAsk { pair, incarnation: Incarnation(0), number, role, lease };
        let host = awaited.host.clone();
        self.asking.insert(number, awaited);
        self.observe(self.now.since(self.began), ControlSaw::VoteAsked { host, ask });
    }

    fn vote_answered(&mut self, awaited: Awaited, verdict: &Verdict) {
        let Awaited { host, order, pair, role } = awaited;
        let outcome = match verdict {
            Verdict::Given => {
                self.promoted(&host, &pair, &role);
                Outcome::Done
            }
            Verdict::Refused { .. } => {
                self.refuse_promotion(&host, &pair, &role, &Refusal::NoVotes);
                Outcome::Refused(Refusal::NoVotes)
            }
        };
        self.answer(host, &order, outcome);
    }

    fn promoted(&mut self, host: &HostName, name: &PairName, role: &RoleEpoch) {
        self.assume(format!(
            "{} becomes primary as soon as it is told; its own time for that is not shown",
            role.holder
        ));
        let step =
            self.step(&format!("agent of {host}"), about_pair(name), format!("{} is primary", role.holder));
        self.tell(step);
        self.changed.entry(name.clone()).or_insert(self.now);
        self.change_report(host, role, |report| {
            report.run_mode = RunMode::Primary;
            if let Some(told) = &mut report.role {
                told.promised = Some(role.clone());
                told.acting = Some(role.clone());
            }
        });
    }

    fn demoted(&mut self, host: &HostName, name: &PairName, role: &RoleEpoch) -> Outcome {
        let acting = self.control.applications.get(&role.holder).and_then(|app| app.acting().cloned());
        if acting.as_ref() != Some(role) {
            return Outcome::Refused(Refusal::NotActing(acting));
        }
        let what = format!("{} is primary no more", role.holder);
        let step = self.step(&format!("agent of {host}"), about_pair(name), what);
        self.tell(step);
        self.change_report(host, role, |report| {
            report.run_mode = RunMode::Backup;
            if let Some(told) = &mut report.role {
                told.acting = None;
                told.closed = told.closed.max(role.epoch);
            }
        });
        Outcome::Done
    }

    fn change_report(
        &mut self,
        host: &HostName,
        role: &RoleEpoch,
        change: impl FnOnce(&mut ApplicationReport),
    ) {
        let report = self.control.applications.get(&role.holder).and_then(|app| app.report.clone());
        if let Some(mut report) = report {
            change(&mut report);
            self.observe(self.now.since(self.began), ControlSaw::Reported { host: host.clone(), report });
        }
    }
}

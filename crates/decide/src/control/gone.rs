//! When a member of a `strict` pair is gone that is silent, or that was killed and cannot end: when the promises to it are over,
//! and nothing else says so.
//!
//! It knows no timeouts of links: silence is no proof, an expired promise is. Nor does it wait for the end of a process. The
//! law (G6): nobody is promoted in the place of a member that this control server or the other member's agent may still be bound
//! to. Where the second of these is not known, that agent is asked first, so that a primary which only this control server
//! cannot hear costs no epoch.

use std::time::Duration;

use understudy_model::{
    ApplicationStatus, Member, Moment, OrderId, Outcome, PairName, Refusal, RoleEpoch, Rule, Work,
};

use super::pair::PairTrigger;
use super::state::{Granting, OrderedWork, Pair, PreVote};
use super::{Control, MaintenanceOf, Out, RETRY};

/// The least time between two questions to the same agent.
const LEAST_WAIT: Duration = Duration::from_millis(10);

impl PreVote {
    /// An agent would not promise the role now.
    pub(super) fn refused(now: Moment, member: Member, why: Refusal, lease: Duration) -> Self {
        let wait = match &why {
            Refusal::Promised(_, left) => (*left).max(LEAST_WAIT),
            _ => lease.min(RETRY),
        };
        PreVote::No { member, why, again: now + wait }
    }

    /// The role of another that binds the agent.
    fn bound_to(&self) -> Option<&RoleEpoch> {
        match self {
            PreVote::No { why: Refusal::Promised(role, _), .. } => Some(role),
            PreVote::No { .. } | PreVote::NotAsked | PreVote::Asked(..) | PreVote::Yes(_) => None,
        }
    }
}

impl Control {
    /// Whether a silent member of a `strict` pair may act as far as is known: it holds the stored role and has not given it
    /// up, or the other member's agent said that it renews it.
    pub(super) fn silent_may_act(&self, pair: &Pair, granting: &Granting, member: Member) -> bool {
        let name = pair.spec.application(member);
        if let Some(role) = granting.pre_vote.bound_to() {
            return role.holder == *name;
        }
        let forced = granting.word_given.is_some() && granting.word_given == pair.stored;
        let leaseless = self.app(pair, member).is_some_and(|app| app.knows_no_leases());
        let free = granting.pre_vote == PreVote::Yes(member.other());
        // A promise that ran out says nothing of a primary that knows no lease, and not who is under maintenance is to act.
        let ran_out = free && !leaseless && !self.hands_off(name);
        let over = forced || ran_out || granting.leader.has_ended(name);
        let acts = leaseless && self.app(pair, member).is_some_and(|app| app.acting().is_some());
        (pair.holder() == Some(member) || acts) && !over
    }

    /// Why a silent member of a `strict` pair does not count as gone; none if it does.
    pub(super) fn not_gone_because(
        &self,
        now: Moment,
        pair: &Pair,
        granting: &Granting,
        member: Member,
    ) -> Option<(Rule, String)> {
        let name = pair.spec.application(member);
        let host = self.app(pair, member).map_or_else(String::new, |app| app.host.to_string());
        if !granting.leader.is_writable(now) {
            let text = "the store was restored: both agents have to be heard, and a lease has to pass, before anybody is promoted";
            return Some((Rule::RestoredStore, text.to_owned()));
        }
        if let Some(role) = granting.leader.bound(now).filter(|role| role.holder == *name) {
            let left = granting.leader.promise_until().since(now).as_secs_f64();
            let device =
                if granting.leader.fencing() == Some(role) { "; its fencing command runs" } else { "" };
            let text = format!(
                "{host} is silent, and the promise of {role} that was made here runs for {left:.3} s more{device}"
            );
            return Some((Rule::PromiseRuns, text));
        }
        if !self.silent_may_act(pair, granting, member) {
            return None;
        }
        if self.hands_off(name) {
            return Some((Rule::HandsOff, format!("maintenance is on for {name} or its host {host}")));
        }
        if self.app(pair, member).is_some_and(|app| app.knows_no_leases()) {
            let text = format!(
                "the agent of {name} is of a version that knows no leases: it may act until {host} is heard; if {host} is \
                 off, run: scsctl failover {name} --force"
            );
            return Some((Rule::HostSilent, text));
        }
        let other = pair.spec.application(member.other());
        if self.app(pair, member.other()).is_none_or(|app| !app.heard) {
            let text = format!("the agent of {other} is not heard either, and may renew {name}");
            return Some((Rule::WaitForAgents, text));
        }
        Some(match &granting.pre_vote {
            PreVote::No { why: Refusal::Promised(role, _), again, .. } => {
                let left = again.since(now).as_secs_f64();
                let text = format!(
                    "{host} is unreachable from here and alive through {other}, whose agent is bound to {role} and is asked \
                     again in {left:.3} s"
                );
                (Rule::HeldByPeer, text)
            }
            PreVote::No { why, .. } => {
                (Rule::PreVoteRefused, format!("the agent of {other} would not promise a new role: {why}"))
            }
            PreVote::NotAsked | PreVote::Asked(..) | PreVote::Yes(_) => {
                (Rule::PreVoteAsked, format!("the agent of {other} is being asked whether it renews {name}"))
            }
        })
    }

    /// The member that cannot be heard here and is renewed by the other one's agent, with that one.
    pub(super) fn alive_through(&self, pair: &Pair) -> Option<(Member, Member)> {
        let role = pair.granting.as_ref()?.pre_vote.bound_to()?;
        let member = pair.spec.member_of(&role.holder)?;
        let silent = self.app(pair, member).is_some_and(|app| !app.heard);
        silent.then_some((member, member.other()))
    }

    /// A heard member whose agent is ending it, for as long as that takes: what cannot be killed, as it waits for a disk that hangs,
    /// may never be gone. Its page says no, its end was sent, and nobody asks for it.
    pub(super) fn is_being_ended(&self, pair: &Pair, member: Member) -> bool {
        let app = self.app(pair, member).filter(|app| app.heard && !app.knows_no_leases());
        let ends = |app: &super::state::App| {
            app.status() == ApplicationStatus::StopPending && app.acting().is_some()
        };
        pair.granting.is_some() && app.is_some_and(ends)
    }

    /// Such a member counts as one that does not act once nobody is bound to it any more, as a silent one does, or its agent gave
    /// up the role for good, or once the other one holds a higher role.
    pub(super) fn is_past(&self, now: Moment, pair: &Pair, member: Member) -> bool {
        let Some(granting) = pair.granting.as_ref().filter(|_| self.is_being_ended(pair, member)) else {
            return false;
        };
        let Some(role) = self.acts(pair, member) else { return false };
        let outdone = |stored: &RoleEpoch| stored.holder != role.holder && stored.epoch > role.epoch;
        let bound = granting.leader.bound(now).is_some_and(|bound| bound.holder == role.holder);
        let released = self.released_by(pair, member).is_some_and(|ended| ended.epoch >= role.epoch);
        let over = (granting.pre_vote == PreVote::Yes(member.other()) || released) && !bound;
        over || pair.stored.as_ref().is_some_and(outdone)
    }

    /// The promoted member's agent has answered, and gave the epoch up before it was seen to act in it: nobody is on the way.
    pub(super) fn promotion_is_given_up(&self, name: &PairName) -> bool {
        let Some(pair) = self.pairs.get(name).filter(|pair| pair.state == super::pair::PairState::Promoting)
        else {
            return false;
        };
        let Some((stored, member)) = pair.stored.as_ref().zip(pair.holder()) else { return false };
        let answered = |app: &&super::state::App| app.heard && app.ordered.is_none();
        let report = self.app(pair, member).filter(answered).and_then(|app| app.role());
        report.is_some_and(|role| role.closed >= stored.epoch && role.acting.is_none())
    }

    /// The promoted member cannot be ended, and nobody is bound to it: no answer to its order is worth waiting for.
    pub(super) fn promoted_is_past(&self, now: Moment, name: &PairName) -> bool {
        let promoting = |pair: &&Pair| pair.state == super::pair::PairState::Promoting;
        let pair = self.pairs.get(name).filter(promoting);
        pair.is_some_and(|pair| pair.holder().is_some_and(|member| self.is_past(now, pair, member)))
    }

    /// What a heard member that does not act has to do with the promise that binds: its release is on the way, or it has not
    /// got its order.
    pub(super) fn promise_stands(&self, now: Moment, name: &PairName, pair: &Pair) -> Option<PairTrigger> {
        let granting = pair.granting.as_ref()?;
        if granting.leader.is_restored() {
            return self.restored_stands(now, pair, granting);
        }
        let role = granting.leader.bound(now)?;
        let member = pair.spec.member_of(&role.holder)?;
        let app = self.app(pair, member).filter(|app| app.heard)?;
        if self.acts(pair, member).is_some() {
            return None;
        }
        let report = app.role();
        let untold = report.is_some_and(|report| {
            let unread = report.strict.as_ref().is_some_and(|strict| strict.unread);
            report.promised.as_ref() != Some(role) && !unread
        });
        let may_be_told = untold
            && app.ordered.is_none()
            && granting.leader.writing().is_none()
            && !self.memory.maintenance.contains(&MaintenanceOf::Pair(name.clone()))
            && self.not_ready_because(now, pair, member).is_empty();
        Some(if may_be_told { PairTrigger::HolderUntold } else { PairTrigger::AwaitsRelease })
    }

    /// A restored store: nothing is written before the waiting is over, and then something is, whoever acts (G11).
    fn restored_stands(&self, now: Moment, pair: &Pair, granting: &Granting) -> Option<PairTrigger> {
        let acts = |member: &Member| self.acts_now(now, pair, *member).is_some();
        match Member::BOTH.iter().filter(|member| acts(member)).count() {
            0 if !granting.leader.is_writable(now) => Some(PairTrigger::AwaitsRelease),
            1 => Some(PairTrigger::OtherRoleActs),
            _ => None,
        }
    }

    /// Why a member's agent is not ordered yet: it does not vote (G7, G11), and its refusal would cost an epoch.
    pub(super) fn not_voting_because(&self, pair: &Pair, member: Member) -> Option<String> {
        pair.granting.as_ref()?;
        let Some(strict) = self.app(pair, member)?.role()?.strict.as_ref() else {
            return Some("its agent does not vote: update its agent".to_owned());
        };
        let text = if strict.unread {
            "its agent has no memory of promises, and is being told what the store holds"
        } else if strict.silent {
            "its agent had no memory of promises when it started, and votes for nobody for a lease"
        } else {
            return None;
        };
        Some(text.to_owned())
    }

    /// Asks the other member's agent whether it would promise a role, where a silent member may be renewed by it.
    pub(super) fn ask_pre_vote(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(pair) = self.pairs.get(name) else { return };
        let Some(granting) = &pair.granting else { return };
        let asked = match &granting.pre_vote {
            PreVote::NotAsked => false,
            PreVote::Asked(order, _) => self.outstanding.contains_key(order),
            PreVote::No { again, .. } => now < *again,
            PreVote::Yes(_) => true,
        };
        let busy = granting.leader.is_restored() || granting.leader.writing().is_some();
        if asked || busy {
            return;
        }
        let silent = |member: &Member| {
            let heard = |member: Member| self.app(pair, member).is_some_and(|app| app.heard);
            let bound =
                granting.leader.bound(now).is_some_and(|role| role.holder == *pair.spec.application(*member));
            let name = pair.spec.application(*member);
            let leaseless = self.app(pair, *member).is_some_and(|app| app.knows_no_leases());
            let helps = !leaseless && !self.hands_off(name) && self.silent_may_act(pair, granting, *member);
            let gone = !heard(*member) || self.is_being_ended(pair, *member);
            gone && heard(member.other()) && !bound && helps
        };
        let Some(member) = Member::BOTH.into_iter().find(silent).map(Member::other) else { return };
        let candidate = pair.spec.application(member).clone();
        let role = RoleEpoch::new(self.highest_heard(pair).next(), candidate.clone());
        let Some(host) = self.applications.get(&candidate).map(|app| app.host.clone()) else { return };
        let about = OrderedWork::PreVote { pair: name.clone() };
        let sent = self.send(&host, Work::WouldPromise { pair: name.clone(), role }, about, out);
        let order = self.last_order;
        if let Some(granting) =
            self.pairs.get_mut(name).and_then(|pair| pair.granting.as_mut()).filter(|_| sent)
        {
            granting.pre_vote = PreVote::Asked(order, member);
        }
    }

    /// What the agent said to that.
    pub(super) fn pre_vote_answered(
        &mut self,
        now: Moment,
        order: OrderId,
        name: &PairName,
        outcome: Outcome,
    ) {
        let Some(pair) = self.pairs.get_mut(name) else { return };
        let lease = pair.spec.terms().lease;
        let Some(granting) = &mut pair.granting else { return };
        let PreVote::Asked(asked, member) = granting.pre_vote else { return };
        if asked != order {
            return;
        }
        granting.pre_vote = match outcome {
            Outcome::Done => PreVote::Yes(member),
            Outcome::Refused(why) => PreVote::refused(now, member, why, lease),
        };
    }

    /// When time alone changes something about the promises of a pair.
    pub(super) fn grants_due(&self, pair: &Pair) -> impl Iterator<Item = Moment> {
        let granting = pair.granting.as_ref();
        // A holder that is heard to act is renewed again and again; nothing is due before it is silent.
        let idle = |granting: &Granting| {
            let holder = granting.leader.promised().and_then(|role| pair.spec.member_of(&role.holder));
            holder
                .is_some_and(|holder| self.acts(pair, holder).is_none() || self.is_being_ended(pair, holder))
        };
        let until =
            granting.filter(|granting| idle(granting)).map(|granting| granting.leader.promise_until());
        let again = granting.and_then(|granting| match &granting.pre_vote {
            PreVote::No { again, .. } => Some(*again),
            PreVote::NotAsked | PreVote::Asked(..) | PreVote::Yes(_) => None,
        });
        let restored = granting.and_then(|granting| granting.leader.restored_until());
        [until, again, restored].into_iter().flatten()
    }

    /// Why the other member is promoted in the place of a silent one.
    pub(super) fn gone_rule(&self, pair: &Pair, granting: &Granting, member: Member) -> Rule {
        let name = pair.spec.application(member);
        if granting.word_given.is_some() && granting.word_given == pair.stored {
            Rule::OperatorForced
        } else if granting.leader.has_fenced(name) {
            Rule::FencedByDevice
        } else if granting.leader.has_ended(name) {
            Rule::PromiseReleased
        } else {
            Rule::PromiseExpired
        }
    }

    /// How the promise of a `strict` pair stands, for people.
    pub(super) fn promise_told(&self, now: Moment, granting: &Granting) -> String {
        let leader = &granting.leader;
        let Some(role) = leader.promised() else { return "nobody is promised anything here".to_owned() };
        let left = leader.promise_until().since(now).as_secs_f64();
        match leader.bound(now) {
            Some(_) => format!("{role} is promised here for {left:.3} s more"),
            None if granting.word_given.as_ref() == Some(role) => {
                format!("{role}: over, an operator said that its host is off")
            }
            None if leader.has_fenced(&role.holder) => format!("{role}: over, its host was switched off"),
            None if leader.has_ended(&role.holder) => format!("{role}: over, its agent gave it up"),
            None => format!(
                "{role}: over, it ran out {:.3} s ago",
                now.since(leader.promise_until()).as_secs_f64()
            ),
        }
    }
}

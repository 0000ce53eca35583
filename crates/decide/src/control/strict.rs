//! Pairs with `policy = "strict"`: votes, releases, new epochs in two steps, and orders that are repeated.
//!
//! Everything about promises is decided by the explored machine of `grants::leader`; this file brings it what was seen and
//! carries out what it says. It refuses to know who should be primary. The law (G2, G6): nothing is promised or ordered
//! before the observation after the record came and was not that of its failure.

use std::time::Duration;

use understudy_model::{
    ApplicationName, Because, Epoch, Event, EventKind, HostName, Member, Moment, PairName, Policy, Refusal,
    RoleEpoch, Rule, Severity, Verdict, VoteAnswer, VoteAsk, Work,
};

use super::pair::PairState;
use super::state::{Granting, OrderedWork, Pair, PreVote};
use super::{Control, ControlDo, ControlRecord, Out, RETRY, about_pair, event};
use crate::grants::leader::{GrantOrder, Leader, WriteOutcome, Written};
use crate::grants::{LONGEST_LEASE, Refused, Vote};

/// How many kinds of refused votes are told of one host in a leadership.
const MOST_KINDS: usize = 32;

impl Control {
    /// Reads the grants of every pair that is, or became, `strict`: what the store holds counts as promised now (G7).
    pub(super) fn read_grants(&mut self, now: Moment) {
        for (name, pair) in &mut self.pairs {
            if pair.spec.policy != Policy::Strict {
                pair.granting = None;
                continue;
            }
            let terms = pair.spec.terms();
            if pair.granting.is_none() {
                // The stored epoch keeps the lease that it was given (G13); a shorter setting holds from the next one on.
                let given = self.memory.grants.leases.get(name).copied().unwrap_or(terms.lease);
                let read = understudy_model::Terms { lease: given.max(terms.lease), ..terms };
                let stored = pair.stored.clone();
                let members = Member::BOTH.map(|member| pair.spec.application(member).clone());
                let leader = if self.memory.grants.distrusts(name) {
                    Leader::read_restored(&self.leadership, now, stored, &read, members)
                } else {
                    Leader::read(&self.leadership, now, stored, read.lease)
                };
                pair.granting = Some(Granting::new(leader));
            }
            if let Some(granting) = &mut pair.granting {
                granting.leader.set_lease(terms.lease);
            }
        }
    }

    /// An agent asks for this control server's vote. No pair is looked at for it, and nothing is told but the first refusal
    /// of a kind, to those who look closely.
    pub(super) fn vote_asked(&mut self, now: Moment, host: HostName, ask: VoteAsk, out: &mut Out) {
        let verdict = match self.vote(now, &host, &ask) {
            Ok(()) => Verdict::Given,
            Err((promised, why)) => {
                if let Some(granting) = self.pairs.get_mut(&ask.pair).and_then(|pair| pair.granting.as_mut())
                {
                    granting.refused_because = Some(why.clone());
                }
                if self.first_of_kind(&host, &why) {
                    let text =
                        format!("no vote for {} of pair {}, asked by {host}: {why}", ask.role, ask.pair);
                    out.quiet.push(Because::new(Rule::VoteRefused, text));
                }
                Verdict::Refused { promised, why }
            }
        };
        let VoteAsk { pair, incarnation, number, role, lease: _ } = ask;
        // What the clock shows is filled in when it is sent.
        let answer = VoteAnswer { pair, incarnation, number, role, verdict, clock: None };
        out.actions.push(ControlDo::Vote { host, answer });
    }

    /// Whether a refusal is told: the first of its kind to an agent, and no more kinds than a few.
    fn first_of_kind(&mut self, host: &HostName, why: &str) -> bool {
        let Some(host) = self.hosts.get_mut(host) else { return false };
        host.votes_refused.len() < MOST_KINDS && host.votes_refused.insert(why.to_owned())
    }

    fn vote(
        &mut self,
        now: Moment,
        host: &HostName,
        ask: &VoteAsk,
    ) -> Result<(), (Option<RoleEpoch>, String)> {
        let of_holder = self.applications.get(&ask.role.holder).is_some_and(|app| app.host == *host);
        let Some(pair) = self.pairs.get_mut(&ask.pair) else {
            return Err((None, "there is no such pair".to_owned()));
        };
        if !of_holder || pair.spec.member_of(&ask.role.holder).is_none() {
            return Err((None, format!("{} is no member of it on host {host}", ask.role.holder)));
        }
        let Some(granting) = &mut pair.granting else {
            return Err((None, format!("its policy is {}", pair.spec.policy)));
        };
        match granting.leader.asked(&self.leadership, now, &ask.role, ask.lease) {
            Vote::Given(_) => {
                let stored = self.memory.grants.leases.get(&ask.pair);
                let shorter = stored.is_some_and(|stored| *stored > granting.leader.covers());
                let first = granting.renewed.as_ref() != Some(&ask.role);
                if shorter || first {
                    // Looked at next: nobody's vote waits for it.
                    self.touched.insert(ask.pair.clone());
                    self.handed_over = Some(now);
                }
                granting.votes_given = granting.votes_given.saturating_add(1);
                granting.refused_because = None;
                granting.renewed = Some(ask.role.clone());
                Ok(())
            }
            Vote::Refused(Refused { promised, because, .. }) => {
                granting.votes_refused = granting.votes_refused.saturating_add(1);
                Err((promised, because.to_string()))
            }
        }
    }

    /// What a report says of an agent's own promises: everything up to the closed epoch is released (G5).
    pub(super) fn hear_release(&mut self, application: &ApplicationName) {
        let Some(app) = self.applications.get(application) else { return };
        let closed = app.role().map(|role| role.closed);
        let pair = app.pair.as_ref().and_then(|name| self.pairs.get_mut(name));
        if let (Some(closed), Some(granting)) = (closed, pair.and_then(|pair| pair.granting.as_mut())) {
            granting.leader.released(application, closed);
        }
    }

    /// The link of a member's agent came or went: what the other one was asked because of it is asked anew.
    pub(super) fn forget_pre_votes(&mut self, host: &HostName) {
        let pairs =
            self.applications.values().filter(|app| app.host == *host).filter_map(|app| app.pair.clone());
        for name in pairs.collect::<Vec<_>>() {
            if let Some(granting) = self.pairs.get_mut(&name).and_then(|pair| pair.granting.as_mut()) {
                granting.pre_vote = PreVote::NotAsked;
                granting.device_tried.take_if(|_| granting.leader.fencing().is_none());
            }
        }
    }

    /// The first step of a new epoch under `strict`: the record. Nothing is ordered in the same decision.
    pub(super) fn store_granted(
        &mut self,
        now: Moment,
        name: &PairName,
        member: Member,
        acting: Option<&RoleEpoch>,
        because: Because,
        out: &mut Out,
    ) {
        let Some(known) = self.pairs.get(name) else { return };
        let (holder, heard) = (known.spec.application(member).clone(), self.highest_heard(known));
        let former = known.holder().filter(|former| *former != member);
        let host = self.applications.get(&holder).map(|app| &app.host);
        let connected =
            host.and_then(|host| self.hosts.get(host)).is_some_and(|host| host.incarnation.is_some());
        self.want_lease(name, Some(member));
        let Some(known) = self.pairs.get_mut(name).filter(|_| connected) else { return };
        let Some(granting) = &mut known.granting else { return };
        let write = match acting {
            Some(acting) => granting.leader.reaffirm(&self.leadership, now, acting, heard),
            None => granting.leader.promote(&self.leadership, now, &holder, heard),
        };
        let write = match write {
            Ok(write) => write,
            Err(blocked) => {
                known.because = Some(because.nearly(blocked.rule(), blocked.to_string()));
                return;
            }
        };
        granting.pre_vote = PreVote::NotAsked;
        known.stored = Some(write.role.clone());
        known.former = known.former.or(former);
        known.prefer = Some(member);
        known.because = Some(because);
        known.unwritable = None;
        let (operation, lease) = (known.told_of_change(), write.covers);
        self.memory.roles.insert(name.clone(), write.role.clone());
        // A shorter one of this very decision is not what the store is to hold.
        let shortened = self.shortened.remove(name).is_some();
        if shortened || self.memory.grants.leases.get(name) != Some(&lease) {
            out.persist.push(ControlRecord::SetLease { pair: name.clone(), lease });
        }
        self.step_of(now, operation, format!("epoch {} is being stored for {holder}", write.role.epoch));
        let (expected, next) = (write.expected, write.role);
        self.keep_record(name, member, expected.as_ref(), &next, out);
        out.persist.push(ControlRecord::RaiseEpoch { pair: name.clone(), expected, next });
        self.unacknowledged.insert(name.clone());
        self.enter(now, name, PairState::Promoting);
    }

    /// The second step: this observation is not that the records of the decision before could not be stored, so they were.
    pub(super) fn acknowledge_epochs(&mut self, now: Moment, out: &mut Out) {
        for name in std::mem::take(&mut self.unacknowledged) {
            let Some(known) = self.pairs.get_mut(&name) else { continue };
            let Some(granting) = &mut known.granting else { continue };
            let written = granting.leader.written(&self.leadership, now, WriteOutcome::Done);
            self.memory.grants.leases.insert(name.clone(), granting.leader.covers());
            self.memory.grants.trusted.insert(name.clone());
            self.touched.insert(name.clone());
            match written {
                Written::Order(order) => self.order_granted(now, &name, order, out),
                Written::GiveUpLeadership => self.leadership.give_up(),
                Written::AsBefore | Written::NotMine => {}
            }
        }
    }

    /// The order of a promised role, also again. It tells the agent what the other member gave up: word of that may come
    /// to it later by itself.
    pub(super) fn order_granted(&mut self, now: Moment, name: &PairName, order: GrantOrder, out: &mut Out) {
        let Some(known) = self.pairs.get(name) else { return };
        let role = order.role.clone();
        let Some(member) = known.spec.member_of(&role.holder) else { return };
        let released = self.released_by(known, member.other()).filter(|ended| ended.epoch < role.epoch);
        let ended = [order.fenced, released].into_iter().flatten().max();
        let time_limit = known.spec.timers.switchover_timeout / 2;
        let (operation, because) = (known.told_of_change(), known.because.clone());
        let former = known.former.map(|former| known.spec.application(former).to_string());
        let Some(host) = self.applications.get(&role.holder).map(|app| app.host.clone()) else { return };
        let grant = Some(understudy_model::GrantTold { lease: order.lease, fenced: ended });
        let work = Work::Promote { pair: name.clone(), role: role.clone(), time_limit, grant };
        let about = OrderedWork::Promote { pair: name.clone(), role: role.clone() };
        if !self.send(&host, work, about, out) {
            return;
        }
        let because =
            because.unwrap_or_else(|| Because::new(Rule::OrderRepeated, Rule::OrderRepeated.says()));
        out.events.push(Event {
            from: former,
            to: Some(role.holder.to_string()),
            epoch: Some(role.epoch),
            ..event(EventKind::PromotionOrdered, Severity::Info, about_pair(name), because)
        });
        let text = format!("epoch {} is durable; {} is ordered to be primary", role.epoch, role.holder);
        self.step_of(now, operation, text);
        if let Some(app) = self.applications.get_mut(&role.holder) {
            app.ordered = Some(role);
        }
        self.enter(now, name, PairState::Promoting);
    }

    /// The promised holder's agent came back without the order: it gets it again, as long as the promise binds.
    pub(super) fn order_again(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(known) = self.pairs.get_mut(name) else { return };
        let Some(granting) = &known.granting else { return };
        let Ok(order) = granting.leader.order(&self.leadership, now) else { return };
        let said = Because::new(Rule::OrderRepeated, Rule::OrderRepeated.says()).fact("role", &order.role);
        known.because = Some(said);
        self.order_granted(now, name, order, out);
    }

    /// The record of an epoch failed, for certain or not.
    pub(super) fn epoch_not_stored(&mut self, now: Moment, name: &PairName, definite: bool) {
        self.unacknowledged.remove(name);
        let outcome = if definite { WriteOutcome::Failed } else { WriteOutcome::Unknown };
        let granting = self.pairs.get_mut(name).and_then(|pair| pair.granting.as_mut());
        let written = granting.map(|granting| granting.leader.written(&self.leadership, now, outcome));
        if written == Some(Written::GiveUpLeadership) {
            self.leadership.give_up();
        }
    }

    /// What a member's agent has given up for good, as far as it ever said in this leadership.
    pub(super) fn released_by(&self, pair: &Pair, member: Member) -> Option<RoleEpoch> {
        let role = self.app(pair, member)?.role()?;
        let closed = Some(role.closed).filter(|closed| *closed > Epoch::NONE)?;
        Some(RoleEpoch::new(closed, pair.spec.application(member).clone()))
    }

    /// A promotion was refused because the agent is bound to another: when that ends is when it is asked again.
    pub(super) fn note_bound_agent(&mut self, now: Moment, name: &PairName, refusal: &Refusal) {
        let Some(pair) = self.pairs.get_mut(name) else { return };
        let (lease, member) = (pair.spec.terms().lease, pair.holder());
        if let Some((granting, member)) = pair.granting.as_mut().zip(member) {
            granting.pre_vote = PreVote::refused(now, member, refusal.clone(), lease);
        }
    }

    /// Tells agents without memory what the store holds (G11), and asks what the first leader of a restored store must know.
    pub(super) fn inform_agents(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(pair) = self.pairs.get(name) else { return };
        let Some(granting) = &pair.granting else { return };
        let mut sent = Vec::new();
        for member in Member::BOTH {
            let Some(app) = self.app(pair, member).filter(|app| app.heard) else { continue };
            let Some(role) = app.role() else { continue };
            let application = pair.spec.application(member);
            // While it is silent it would not take it.
            let unread = role.strict.as_ref().is_some_and(|strict| strict.unread && !strict.silent);
            let waits = |about: &OrderedWork| self.outstanding.values().any(|known| known.work == *about);
            let waits_long = app.refused_until.is_some_and(|until| until > now);
            if granting.leader.wants_word(now, application) {
                let role = RoleEpoch::new(self.highest_heard(pair).next(), application.clone());
                let about = OrderedWork::Word { pair: name.clone(), member: application.clone() };
                if !waits(&about) && !waits_long {
                    sent.push((app.host.clone(), Work::WouldPromise { pair: name.clone(), role }, about));
                }
            } else if unread && !granting.leader.is_restored() && !waits_long {
                let stored = granting.leader.stored().map_or(Epoch::NONE, |role| role.epoch);
                let lease = granting.leader.covers();
                let about = OrderedWork::Learn { pair: name.clone(), member: application.clone() };
                if !waits(&about) {
                    sent.push((app.host.clone(), Work::Learn { pair: name.clone(), stored, lease }, about));
                }
            }
        }
        for (host, work, about) in sent {
            self.send(&host, work, about, out);
        }
    }

    /// An agent answered the question of the first leader of a restored store: its last report is of that moment or later.
    pub(super) fn hear_word(&mut self, now: Moment, name: &PairName, application: &ApplicationName) {
        let role = self.applications.get(application).and_then(|app| app.role());
        let promised = role.and_then(|role| role.promised.as_ref()).map_or(Epoch::NONE, |role| role.epoch);
        let highest = role.map_or(Epoch::NONE, |role| role.closed).max(promised);
        let lease = role.and_then(|role| role.strict.as_ref()).map_or(Duration::ZERO, |vote| vote.lease);
        let lease = lease.min(LONGEST_LEASE);
        if let Some(granting) = self.pairs.get_mut(name).and_then(|pair| pair.granting.as_mut()) {
            granting.leader.agent_said(now, application, highest, lease);
        }
    }

    /// Its agent's version knows no promises: whatever refuses the question is its link.
    pub(super) fn cannot_be_asked(&self, application: &ApplicationName) -> bool {
        self.applications.get(application).is_none_or(|app| app.role().is_none() || app.knows_no_leases())
    }

    /// It did not want to know what the store holds: told again a little later.
    pub(super) fn not_learned(&mut self, now: Moment, application: &ApplicationName) {
        if let Some(app) = self.applications.get_mut(application) {
            app.refused_until = Some(now + RETRY);
            app.refusal = "its agent does not take what the store holds".to_owned();
        }
    }
}

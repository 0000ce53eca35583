//! Pairs: the moves of their table.
//!
//! The law: an order that promotes is in the same decision as the record of its epoch, and so goes out only after it.

use understudy_model::{
    Because, Epoch, Event, EventKind, Goal, Member, Moment, PairName, Refusal, RoleEpoch, Rule, Severity,
    Subject, Work,
};

use super::pair::{self, PairMove, PairState, PairTrigger};
use super::state::{LeftBehind, OrderedWork, Pair};
use super::{Control, ControlRecord, Out, RETRY, about_pair, event};

/// How many moves one look at a pair may make; more would be a loop in the table.
const MOST_MOVES: usize = 8;

/// What waits for another decision waits so long: it is the next one.
const NEXT_DECISION: std::time::Duration = std::time::Duration::from_millis(1);

impl Control {
    /// Looks at every touched pair until its situation asks for nothing more.
    pub(super) fn look_at_pairs(&mut self, now: Moment, out: &mut Out) {
        for name in self.take_touched(now) {
            if self.left_alone.contains(&name) {
                // But an answer that was lost with its link is waited for no more: that is seen only until the link is back.
                if self.answer_is_lost(&name) || self.situation(now, &name) == Some(PairTrigger::Unheard) {
                    self.fire(now, &name, PairTrigger::Unheard, out);
                }
                // All are looked at when that is over; until then nothing of them is due.
                if let Some(due) = self.pairs.get_mut(&name).and_then(|pair| pair.due.take()) {
                    self.due.remove(&(due, name.clone()));
                }
                self.touched.remove(&name);
                continue;
            }
            self.look_at_pair(now, &name, out);
            self.touched.remove(&name);
            self.note_due(now, &name);
        }
    }

    /// An order was given, and the agent that has it is not heard.
    fn answer_is_lost(&self, name: &PairName) -> bool {
        let ordered = |pair: &&Pair| matches!(pair.state, PairState::Promoting | PairState::Demoting);
        self.pairs.get(name).filter(ordered).is_some_and(|pair| {
            pair.holder().is_some_and(|holder| self.app(pair, holder).is_none_or(|app| !app.heard))
        })
    }

    fn look_at_pair(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(pair) = self.pairs.get_mut(name) else { return };
        let over = pair.deadline.take_if(|deadline| *deadline <= now).is_some();
        for member in Member::BOTH.map(|member| pair.spec.application(member).clone()) {
            if let Some(known) = self.applications.get_mut(&member) {
                known.refused_until.take_if(|until| *until <= now);
                known.demoted_again.take_if(|again| *again <= now);
            }
        }
        if over {
            self.fire(now, name, PairTrigger::Deadline, out);
        }
        self.want_lease(name, None);
        self.lift_hold(now, name, out);
        self.show_primary(now, name, out);
        self.take_words(now, name, out);
        self.inform_agents(now, name, out);
        self.call_device(now, name, out);
        self.ask_pre_vote(now, name, out);
        self.store_shorter_lease(now, name, out);
        self.give_up_unanswered(now, name, out);
        if self.promotion_is_given_up(name) || self.promoted_is_past(now, name) {
            self.fire(now, name, PairTrigger::PromotionRefused, out);
        }
        for _ in 0..MOST_MOVES {
            let Some(situation) = self.situation(now, name) else { break };
            let before = self.pairs.get(name).map(|pair| (pair.state, pair.stored.clone()));
            self.fire(now, name, situation, out);
            if self.pairs.get(name).map(|pair| (pair.state, pair.stored.clone())) == before {
                break;
            }
        }
        self.show_primary(now, name, out);
        self.look_at_left_behind(now, name, out);
        self.tell_held_with_most(now, name, out);
    }

    /// A member should run again: if nobody acts, the last holder comes first once more, and has its time.
    pub(super) fn renew_preference(&mut self, now: Moment, application: &understudy_model::ApplicationName) {
        let pair = self.applications.get(application).and_then(|known| known.pair.clone());
        let Some(name) = pair else { return };
        let Some(known) = self.pairs.get(&name).filter(|pair| pair.state == PairState::Vacant) else {
            return;
        };
        let member = known.holder().unwrap_or(Member::First);
        let until = now + self.patience(known, member);
        if let Some(known) = self.pairs.get_mut(&name) {
            known.prefer = Some(member);
            known.prefer_until = until;
            known.deadline = Some(until);
        }
    }

    /// One trigger of the pair table, and the move that it makes.
    pub(super) fn fire(&mut self, now: Moment, name: &PairName, trigger: PairTrigger, out: &mut Out) {
        let Some(known) = self.pairs.get(name) else { return };
        self.touched.insert(name.clone());
        match pair::next(known.state, trigger) {
            PairMove::Stay | PairMove::Ignore => {}
            PairMove::Learn => self.learn(now, name, out),
            PairMove::Vacate => self.vacate(now, name, trigger, out),
            PairMove::Hold => self.hold(now, name),
            PairMove::Promote => self.promote(now, name, trigger, out),
            PairMove::Reaffirm => self.reaffirm(now, name, out),
            PairMove::OrderAgain => self.order_again(now, name, out),
            PairMove::Change => self.change(now, name, trigger, out),
            PairMove::DemoteIntruder => self.demote_intruder(now, name, out),
            PairMove::Retreat => self.retreat(now, name),
            PairMove::Abandon => self.abandon(now, name),
            PairMove::Withhold => {
                self.enter(now, name, PairState::Withheld);
                if let Some(known) = self.pairs.get_mut(name) {
                    known.deadline = Some(now + RETRY);
                }
            }
            PairMove::LookAgain => self.enter(now, name, PairState::Learning),
        }
    }

    pub(super) fn enter(&mut self, now: Moment, name: &PairName, state: PairState) {
        if let Some(known) = self.pairs.get_mut(name)
            && known.state != state
        {
            if known.state == PairState::Withheld {
                // Said again if it fails again.
                known.unwritable = None;
            }
            known.state = state;
            known.since = now;
            known.deadline = None;
        }
    }

    fn learn(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(known) = self.pairs.get_mut(name) else { return };
        known.prefer = known.holder().or(known.prefer);
        let because = if known.state == PairState::Promoting || known.state == PairState::Demoting {
            Because::new(Rule::AnswerOutstanding, "an order was given and the agent that has it is silent")
        } else {
            Because::new(
                Rule::WaitForAgents,
                "a member that may act cannot be heard: nobody is promoted before it is",
            )
        };
        known.because = Some(because.clone());
        out.events.push(event(EventKind::NoPrimary, Severity::Critical, about_pair(name), because.clone()));
        let operation = known.operation;
        self.step_of(now, operation, because.reason);
        self.enter(now, name, PairState::Learning);
    }

    fn vacate(&mut self, now: Moment, name: &PairName, trigger: PairTrigger, out: &mut Out) {
        let Some(known) = self.pairs.get(name) else { return };
        let (prefer, until) = self.preference(known, now);
        let (rule, severity) = match trigger {
            _ if self.stopped_on_request(known) => (Rule::PairStopped, Severity::Info),
            PairTrigger::NoneActsChosenComing => (Rule::WaitForPreferred, Severity::Info),
            PairTrigger::NoneActsHandsOff => (Rule::HandsOff, Severity::Critical),
            _ => (Rule::NobodyReady, Severity::Critical),
        };
        let waits = self.waits_for_data(now, known).filter(|_| rule == Rule::NobodyReady);
        let (rule, reason) = match waits {
            Some((_, why)) => (Rule::LacksData, why),
            None => (rule, rule.says().to_owned()),
        };
        let mut because = self.considered(now, known, rule, &reason);
        if let Some(by) = self.goal_asked_by(&known.spec.primary).filter(|_| rule == Rule::PairStopped) {
            because = because.fact("asked by", by);
        }
        out.events.push(event(EventKind::NoPrimary, severity, about_pair(name), because.clone()));
        let Some(known) = self.pairs.get_mut(name) else { return };
        known.prefer = prefer;
        known.prefer_until = until;
        known.because = Some(because);
        self.enter(now, name, PairState::Vacant);
        // Looked at once more when the preferred member's time is over; never again for a time that has passed.
        if let Some(known) = self.pairs.get_mut(name) {
            known.deadline = Some(until).filter(|until| *until > now);
        }
    }

    fn hold(&mut self, now: Moment, name: &PairName) {
        let Some(known) = self.pairs.get_mut(name) else { return };
        known.alone = false;
        if matches!(known.state, PairState::Learning | PairState::Vacant | PairState::Withheld) {
            let because = Because::new(Rule::ActingHolderKept, Rule::ActingHolderKept.says());
            known.because =
                Some(because.fact("role", known.stored.as_ref().map_or(String::new(), ToString::to_string)));
        }
        known.former = None;
        known.to = None;
        known.rolling_back = false;
        known.prefer = None;
        if let Some(holder) = known.holder() {
            let holder = known.spec.application(holder).clone();
            if let Some(app) = self.applications.get_mut(&holder) {
                app.refusals = 0;
            }
        }
        self.enter(now, name, PairState::Held);
    }

    /// The highest epoch of everything stored, promised or given up that was ever heard of.
    pub(super) fn highest_heard(&self, pair: &Pair) -> Epoch {
        let stored = pair.stored.as_ref().map(|stored| stored.epoch).unwrap_or_default();
        let heard = Member::BOTH.iter().filter_map(|member| self.app(pair, *member)?.role());
        heard
            .flat_map(|role| {
                let promised = role.promised.as_ref().map(|promised| promised.epoch).unwrap_or_default();
                let acting = role.acting.as_ref().map(|acting| acting.epoch).unwrap_or_default();
                [promised, role.closed, acting]
            })
            .fold(stored, Epoch::max)
    }

    fn promote(&mut self, now: Moment, name: &PairName, trigger: PairTrigger, out: &mut Out) {
        let Some(known) = self.pairs.get(name) else { return };
        let ready = |member| self.not_ready_because(now, known, member).is_empty();
        let (preferred, _) = self.preference(known, now);
        let other = || Member::BOTH.into_iter().find(|member| Some(*member) != preferred && ready(*member));
        let chosen = match trigger {
            PairTrigger::NoneActsChosenReady => preferred,
            _ => other(),
        };
        let Some(member) = chosen else { return };
        let given_up = known.kept.as_ref().is_some_and(|kept| kept.given_up == Some(member));
        let rule = match self.promotion_rule(now, known, member) {
            Rule::OperatorForced => Rule::OperatorForced,
            _ if given_up => Rule::DataGivenUp,
            rule => rule,
        };
        let mut because = self.considered(now, known, rule, rule.says());
        if given_up {
            because = because.fact("may be lost", self.lost_with(known, member).unwrap_or_default());
        }
        let available = known.granting.is_none();
        let is_left = rule == Rule::OperatorForced || (available && rule == Rule::HostLost);
        let left = known.holder().filter(|_| is_left);
        if let Some(left) = left {
            let silence = self.silence_of(now, known, left).unwrap_or_default();
            because = because.fact("the host that counts as lost", silence);
            let until =
                if available { "that host is heard again" } else { "its votes run out, if its host is on" };
            because = because.fact("two may act", format!("yes, until {until}"));
        }
        let role = known.stored.clone();
        self.raise(now, name, member, None, because, out);
        if let Some(known) = self.pairs.get_mut(name).filter(|known| known.stored != role)
            && let Some(member) = left
        {
            known.left_behind = Some(LeftBehind { member, role: role.clone(), since: now, seen: false });
        }
        if self.pairs.get(name).is_some_and(|known| known.stored != role) {
            self.spend_failover(name, rule);
        }
    }

    fn promotion_rule(&self, now: Moment, pair: &Pair, member: Member) -> Rule {
        if pair.stored.is_none() {
            return if member == Member::First { Rule::FirstStart } else { Rule::OtherMemberInstead };
        }
        let holder = pair.holder();
        if let Some((granting, holder)) = pair.granting.as_ref().zip(holder)
            && holder != member
            && (self.app(pair, holder).is_some_and(|app| !app.heard) || self.is_past(now, pair, holder))
        {
            return self.gone_rule(pair, granting, holder);
        }
        let lost = |holder: Member| {
            holder != member && self.may_act_unheard(pair, holder) && self.lost(now, pair, holder)
        };
        if holder.is_some_and(lost) {
            let forced = pair.forced.is_some() && pair.forced == pair.stored;
            return if forced { Rule::OperatorForced } else { Rule::HostLost };
        }
        if pair.rolling_back || (pair.state == PairState::Demoting && pair.to != Some(member)) {
            return Rule::RollBack;
        }
        if pair.state == PairState::Demoting {
            // Why it was begun; a host that leaves may have changed its mind since.
            let leaves = pair.because.as_ref().is_some_and(|because| because.rule == Rule::HostLeaves);
            return match pair.operation {
                Some(_) => Rule::SwitchoverStep,
                None if leaves => Rule::HostLeaves,
                None => Rule::PrimaryUnavailable,
            };
        }
        let fallen = pair.state == PairState::Held && holder == Some(member.other());
        if let Some(former) = holder.filter(|_| fallen) {
            let goal = self.goal(pair.spec.application(former));
            let alive =
                self.app(pair, former).and_then(|known| known.report.as_ref()).and_then(|report| report.pid);
            return match (goal, alive) {
                (Goal::Stopped, _) => Rule::PrimaryStopped,
                (Goal::Started, None) => Rule::PrimaryExited,
                (Goal::Started, Some(_)) => Rule::MemberDemoted,
            };
        }
        if holder == Some(member) { Rule::FormerHolderFirst } else { Rule::OtherMemberInstead }
    }

    /// Raises the epoch for a member, and orders it to be primary once that is durable.
    ///
    /// Under `strict` that are two decisions; `acting` is the role in which the member acts already.
    fn raise(
        &mut self,
        now: Moment,
        name: &PairName,
        member: Member,
        acting: Option<&RoleEpoch>,
        because: Because,
        out: &mut Out,
    ) {
        let Some(known) = self.pairs.get(name) else { return };
        if self.another_is_stored(name, known, out) {
            self.enter(now, name, PairState::Withheld);
            if let Some(known) = self.pairs.get_mut(name) {
                known.deadline = Some(now + NEXT_DECISION);
            }
            return;
        }
        if known.granting.is_some() {
            return self.store_granted(now, name, member, acting, because, out);
        }
        let holder = known.spec.application(member).clone();
        let next = RoleEpoch::new(self.highest_heard(known).next(), holder.clone());
        let expected = known.stored.clone();
        let time_limit = known.spec.timers.switchover_timeout / 2;
        let operation = known.told_of_change();
        let former = known.holder().filter(|former| *former != member);
        let Some(host) = self.applications.get(&holder).map(|known| known.host.clone()) else { return };

        let about = OrderedWork::Promote { pair: name.clone(), role: next.clone() };
        let work = Work::Promote { pair: name.clone(), role: next.clone(), time_limit, grant: None };
        if !self.send(&host, work, about, out) {
            return;
        }
        self.keep_record(name, member, expected.as_ref(), &next, out);
        out.persist.push(ControlRecord::RaiseEpoch {
            pair: name.clone(),
            expected: expected.clone(),
            next: next.clone(),
        });
        out.events.push(Event {
            from: expected.as_ref().map(|role| role.holder.to_string()),
            to: Some(holder.to_string()),
            epoch: Some(next.epoch),
            ..event(EventKind::PromotionOrdered, Severity::Info, about_pair(name), because.clone())
        });
        self.step_of(
            now,
            operation,
            format!("epoch {} is durable; {holder} is ordered to be primary", next.epoch),
        );
        if let Some(app) = self.applications.get_mut(&holder) {
            app.ordered = Some(next.clone());
        }
        let Some(known) = self.pairs.get_mut(name) else { return };
        known.stored = Some(next.clone());
        known.former = known.former.or(former);
        known.prefer = Some(member);
        known.because = Some(because);
        known.unwritable = None;
        self.memory.roles.insert(name.clone(), next);
        self.enter(now, name, PairState::Promoting);
    }

    /// An epoch is in this decision, and that one's or this one's could not be stored before: what is stored together fails
    /// together.
    fn another_is_stored(&self, name: &PairName, pair: &Pair, out: &Out) -> bool {
        out.persist.iter().any(|record| match record {
            ControlRecord::RaiseEpoch { pair: other, .. } => {
                other != name && (pair.alone || self.pairs.get(other).is_some_and(|other| other.alone))
            }
            ControlRecord::SetGoal { .. }
            | ControlRecord::SetMaintenance { .. }
            | ControlRecord::UseOperation(_)
            | ControlRecord::SetFlap { .. }
            | ControlRecord::SetLease { .. }
            | ControlRecord::SetInSync { .. }
            | ControlRecord::SetHold { .. }
            | ControlRecord::RaiseLeadership { .. }
            | ControlRecord::SetDrained { .. } => false,
        })
    }

    fn reaffirm(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(known) = self.pairs.get(name) else { return };
        let acts = |member| self.acts_now(now, known, member).map(|role| (member, role));
        let Some((member, role)) = Member::BOTH.into_iter().find_map(acts) else { return };
        let refused =
            self.app(known, member).is_some_and(|app| app.refused_until.is_some_and(|until| now < until));
        // Another epoch would only bind this server to it for longer.
        if refused || self.is_being_ended(known, member) {
            return;
        }
        let rule = if known.stored.as_ref() == Some(&role) && self.lease_is_another(known) {
            Rule::LeaseChanges
        } else {
            Rule::Reaffirm
        };
        let because = self.considered(now, known, rule, rule.says()).fact("acts in", &role);
        self.raise(now, name, member, Some(&role), because, out);
    }

    /// The first half of a change of roles: the holder is ordered to be a backup.
    fn change(&mut self, now: Moment, name: &PairName, trigger: PairTrigger, out: &mut Out) {
        let Some(known) = self.pairs.get(name) else { return };
        let (Some(role), Some(holder)) = (known.stored.clone(), known.holder()) else { return };
        let leaves = self.app(known, holder).is_some_and(|app| self.is_leaving(&app.host));
        let rule = if trigger == PairTrigger::SwitchoverAsked && leaves && known.operation.is_none() {
            Rule::HostLeaves
        } else if trigger == PairTrigger::SwitchoverAsked {
            Rule::OperatorAsked
        } else {
            Rule::PrimaryUnavailable
        };
        let asked = known.operation.filter(|_| rule == Rule::OperatorAsked);
        let reason = match asked.and_then(|id| self.operation_told(id)) {
            Some(told) => format!("asked for by {told}"),
            None => rule.says().to_owned(),
        };
        let because = self.considered(now, known, rule, &reason);
        let time_limit = known.spec.timers.switchover_timeout / 2;
        let to = known.spec.application(holder.other()).clone();
        if self.order_demotion(name, &role, time_limit, out) {
            out.events.push(Event {
                from: Some(role.holder.to_string()),
                to: Some(to.to_string()),
                epoch: Some(role.epoch),
                ..event(EventKind::DemotionOrdered, Severity::Info, about_pair(name), because.clone())
            });
            let Some(known) = self.pairs.get_mut(name) else { return };
            known.to = Some(holder.other());
            known.former = Some(holder);
            known.because = Some(because);
            let operation = known.operation;
            self.step_of(
                now,
                operation,
                format!("{} is ordered to be primary no more (epoch {})", role.holder, role.epoch),
            );
            self.enter(now, name, PairState::Demoting);
        }
    }

    fn order_demotion(
        &mut self,
        name: &PairName,
        role: &RoleEpoch,
        limit: std::time::Duration,
        out: &mut Out,
    ) -> bool {
        let Some(host) = self.applications.get(&role.holder).map(|known| known.host.clone()) else {
            return false;
        };
        let about = OrderedWork::Demote { pair: name.clone(), role: role.clone() };
        let work = Work::Demote { pair: name.clone(), role: role.clone(), time_limit: limit };
        self.send(&host, work, about, out)
    }

    fn demote_intruder(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(known) = self.pairs.get(name) else { return };
        let acting: Vec<RoleEpoch> =
            Member::BOTH.into_iter().filter_map(|member| self.acts_now(now, known, member)).collect();
        let lowest = acting.iter().filter(|role| known.stored.as_ref() != Some(*role)).min().cloned();
        let Some(role) = lowest else { return };
        if self
            .applications
            .get(&role.holder)
            .is_some_and(|app| app.demoted_again.is_some_and(|again| now < again))
        {
            return;
        }
        let asked = |outstanding: &super::Outstanding| matches!(&outstanding.work, OrderedWork::Demote { role: asked, .. } if *asked == role);
        if self.outstanding.values().any(asked) {
            return;
        }
        let limit = known.spec.timers.fence_budget;
        let outsider =
            known.spec.member_of(&role.holder).is_some_and(|member| self.is_outsider(known, member));
        let rule = if outsider { Rule::OutsiderActs } else { Rule::TwoActing };
        let mut because = self.considered(now, known, rule, rule.says());
        because = because.fact("demoted from", &role);
        if let Some(left) = known.left_behind.as_ref().filter(|left| left.role.as_ref() == Some(&role)) {
            because = because.fact("two may have acted for", span(now.since(left.since)));
        }
        if self.order_demotion(name, &role, limit, out) {
            let about = Subject { application: Some(role.holder.clone()), ..about_pair(name) };
            out.events.push(Event {
                epoch: Some(role.epoch),
                ..event(EventKind::Anomaly, Severity::Critical, about, because)
            });
        }
    }

    /// The new primary did not come: the former one is preferred, and everything looked at anew.
    fn retreat(&mut self, now: Moment, name: &PairName) {
        let Some(known) = self.pairs.get_mut(name) else { return };
        known.prefer = known.former.or(known.holder().map(Member::other));
        known.prefer_until = now;
        known.rolling_back = known.former.is_some();
        self.enter(now, name, PairState::Vacant);
    }

    fn abandon(&mut self, now: Moment, name: &PairName) {
        if let Some(known) = self.pairs.get_mut(name) {
            known.former = None;
            known.to = None;
        }
        self.enter(now, name, PairState::Learning);
    }

    pub(super) fn promotion_refused(
        &mut self,
        now: Moment,
        name: &PairName,
        role: &RoleEpoch,
        refusal: &Refusal,
        out: &mut Out,
    ) {
        let Some(known) = self.pairs.get(name) else { return };
        if known.stored.as_ref() != Some(role) {
            return;
        }
        let text = format!("{} did not become primary in epoch {}: {refusal}", role.holder, role.epoch);
        let because = Because::new(Rule::PromotionRefused, text.clone()).fact("answer", refusal);
        let about = Subject { application: Some(role.holder.clone()), ..about_pair(name) };
        out.events.push(Event {
            epoch: Some(role.epoch),
            ..event(EventKind::PromotionFailed, Severity::Warning, about, because)
        });
        self.trouble(name, text);
        if matches!(refusal, Refusal::Promised(..) | Refusal::NotVoting(_)) {
            self.note_bound_agent(now, name, refusal);
        }
        self.fire(now, name, PairTrigger::PromotionRefused, out);
    }

    /// The raise of an epoch was not stored, or may not have been. Its order was not sent.
    pub(super) fn raise_failed(
        &mut self,
        now: Moment,
        name: &PairName,
        expected: Option<RoleEpoch>,
        next: &RoleEpoch,
        why: &str,
        out: &mut Out,
    ) {
        if let Some(app) = self.applications.get_mut(&next.holder) {
            app.ordered = None;
        }
        self.outstanding.retain(
            |_, outstanding| !matches!(&outstanding.work, OrderedWork::Promote { role, .. } if role == next),
        );
        match &expected {
            Some(role) => self.memory.roles.insert(name.clone(), role.clone()),
            None => self.memory.roles.remove(name),
        };
        if let Some(known) = self.pairs.get_mut(name) {
            // Nobody was promoted, so nobody was left behind: whoever may act blocks as before.
            known.left_behind.take_if(|left| left.role == expected);
            known.stored = expected;
            known.alone = true;
            known.unwritable = Some(why.to_owned());
            known.because =
                Some(Because::new(Rule::StoreUnwritable, format!("{}: {why}", Rule::StoreUnwritable.says())));
        }
        self.trouble(name, format!("epoch {} could not be made durable: {why}", next.epoch));
        self.fire(now, name, PairTrigger::StoreFailed, out);
    }

    /// Notes what went wrong for the operation under way, if there is one; the first trouble counts.
    pub(super) fn trouble(&mut self, pair: &PairName, text: String) {
        let operation = self.pairs.get(pair).and_then(|pair| pair.operation);
        if let Some(known) = operation.and_then(|id| self.operations.get_mut(&id)) {
            known.trouble.get_or_insert(text);
        }
    }
}

pub(super) fn span(span: std::time::Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

//! What situation a pair is in: everything that is known of its members, held against its rules.
//!
//! Nothing here changes anything. The law: what cannot be heard and may act counts as acting.

use understudy_model::{ApplicationStatus, Goal, Member, Moment, OnCrash, PairName, RoleEpoch};

use super::asked::AskedOf;
use super::pair::{PairState, PairTrigger};
use super::state::{App, Pair};
use super::{Control, RETRY};

impl Control {
    pub(super) fn app(&self, pair: &Pair, member: Member) -> Option<&App> {
        self.applications.get(pair.spec.application(member))
    }

    /// As [`Control::may_act_unheard`], but for a member whose host counts as lost, or counted as lost when the other
    /// was promoted: that it may act was accepted then, until it is heard again.
    pub(super) fn unheard_may_act(&self, now: Moment, pair: &Pair, member: Member) -> bool {
        let left_behind = pair.left_behind.as_ref().is_some_and(|left| left.member == member);
        self.may_act_unheard(pair, member) && !left_behind && !self.lost(now, pair, member)
    }

    /// Whether a member that cannot be heard may act. Only a control server starts a promotion, and the store names
    /// whoever was promoted last: nobody else may act without having been seen to.
    pub(super) fn may_act_unheard(&self, pair: &Pair, member: Member) -> bool {
        let Some(known) = self.app(pair, member) else { return false };
        if known.heard {
            return false;
        }
        if let Some(granting) = &pair.granting {
            return self.silent_may_act(pair, granting, member);
        }
        let held = pair.holder() == Some(member);
        known.ordered.is_some() || known.report.as_ref().map_or(held, |_| known.acting().is_some())
    }

    /// Nobody should be primary: an operator stopped both members.
    pub(super) fn stopped_on_request(&self, pair: &Pair) -> bool {
        Member::BOTH.iter().all(|member| self.goal(pair.spec.application(*member)) == Goal::Stopped)
    }

    /// Why a member could not be primary right now; empty if it could.
    pub(super) fn not_ready_because(&self, now: Moment, pair: &Pair, member: Member) -> Vec<String> {
        let mut reasons = self.not_ready_but_for_data(now, pair, member);
        reasons.extend(self.lacks(pair, member));
        reasons
    }

    /// The same, whatever it lacks of what was acknowledged.
    pub(super) fn not_ready_but_for_data(&self, now: Moment, pair: &Pair, member: Member) -> Vec<String> {
        let name = pair.spec.application(member);
        let Some(known) = self.app(pair, member) else { return vec![format!("{name} is not configured")] };
        let mut reasons = Vec::new();
        if !known.heard {
            let problem = self.hosts.get(&known.host).map(|host| host.problem.as_str()).unwrap_or_default();
            reasons.push(format!("the agent of host {} is not heard: {problem}", known.host));
            return reasons;
        }
        if self.goal(name) == Goal::Stopped {
            let stopped = AskedOf::Goal(name.clone());
            let who = self.who_asked(now, &stopped, "stopped it", "it was stopped on request");
            reasons.push(format!("{who}; run: scsctl start {name}"));
        }
        if let Some(of) = self.maintenance_of(name) {
            reasons.push(self.maintained(now, of, ""));
        }
        // The way back from a failed change of roles is open on a host that is being drained.
        let way_back = pair.rolling_back && pair.former.or(pair.prefer) == Some(member);
        if self.is_drained(&known.host) && !way_back {
            reasons.push(if self.is_leaving(&known.host) {
                format!(
                    "host {} is leaving: it is being shut down, or lca handover was run there",
                    known.host
                )
            } else {
                self.drained_told(now, &known.host, "")
            });
        }
        match &known.report {
            None => reasons.push("its agent has not reported it yet".to_owned()),
            // What is stopped as it should be was said above.
            Some(report)
                if report.status == ApplicationStatus::Stopped && self.goal(name) == Goal::Stopped => {}
            Some(report) if report.status != ApplicationStatus::Started => {
                let problem =
                    if report.problem.is_empty() { String::new() } else { format!(": {}", report.problem) };
                reasons.push(format!("it is {}{problem}", report.status));
            }
            Some(_) => {}
        }
        reasons.extend(self.not_voting_because(pair, member));
        if let Some(until) = known.refused_until {
            let wait = until.since(now).as_secs_f64();
            reasons.push(format!("it refused a promotion ({}); tried again in {wait:.1} s", known.refusal));
        }
        reasons
    }

    pub(super) fn coming(&self, now: Moment, pair: &Pair, member: Member) -> bool {
        let name = pair.spec.application(member);
        let Some(known) = self.app(pair, member) else { return false };
        if self.goal(name) == Goal::Stopped || self.hands_off(name) || self.is_drained(&known.host) {
            return false;
        }
        if !known.heard {
            // Not heard yet: it has its time, as everyone at the very first start.
            return known.report.is_none() && !self.lost(now, pair, member);
        }
        // An agent that was only just connected has not had the time to start anything.
        known.report.as_ref().is_none_or(|report| {
            // What ended by itself and is not being started again was left so by its agent.
            let left = report.gave_up
                || (report.status == ApplicationStatus::Stopped
                    && report.last_exit.as_ref().is_some_and(|last| !last.wanted));
            !left
                && match report.status {
                    ApplicationStatus::Stopped
                    | ApplicationStatus::StartPending
                    | ApplicationStatus::Initializing
                    | ApplicationStatus::Started => true,
                    ApplicationStatus::Unknown
                    | ApplicationStatus::ServiceUnavailable
                    | ApplicationStatus::Suspending
                    | ApplicationStatus::Suspended
                    | ApplicationStatus::StopPending => false,
                }
        })
    }

    pub(super) fn acts(&self, pair: &Pair, member: Member) -> Option<RoleEpoch> {
        let known = self.app(pair, member).filter(|known| known.heard)?;
        known.acting().cloned()
    }

    /// The role in which a heard member acts, but for one that is [past](Control::is_past).
    pub(super) fn acts_now(&self, now: Moment, pair: &Pair, member: Member) -> Option<RoleEpoch> {
        self.acts(pair, member).filter(|_| !self.is_past(now, pair, member))
    }

    /// The situation that a pair is in.
    pub(super) fn situation(&self, now: Moment, name: &PairName) -> Option<PairTrigger> {
        let pair = self.pairs.get(name)?;
        if self.left_behind_acts(now, pair) {
            return Some(PairTrigger::TwoAct);
        }
        if Member::BOTH.iter().any(|member| self.unheard_may_act(now, pair, *member)) {
            return Some(PairTrigger::Unheard);
        }
        // The answer to an order does not come from a lost host: that is learned first.
        let lost_holder = pair.holder().is_some_and(|holder| self.may_act_unheard(pair, holder));
        if lost_holder && pair.state == PairState::Promoting {
            return Some(PairTrigger::Unheard);
        }
        if let Some(trigger) = self.promise_stands(now, name, pair) {
            return Some(trigger);
        }
        let acts = |member: Member| self.acts_now(now, pair, member).map(|role| (member, role));
        let (first, second) = (acts(Member::First), acts(Member::Second));
        let situation = match (first, second) {
            (Some(_), Some(_)) => PairTrigger::TwoAct,
            (Some((member, role)), None) | (None, Some((member, role))) => {
                self.one_acts(now, pair, member, &role)
            }
            (None, None) => self.none_acts(now, name, pair),
        };
        Some(situation)
    }

    /// The holder of the stored role was seen to act in it and is not heard, and the other one acts in an older role.
    fn left_behind_acts(&self, now: Moment, pair: &Pair) -> bool {
        let (Some(stored), Some(holder)) = (&pair.stored, pair.holder()) else { return false };
        let holds = self.app(pair, holder).is_some_and(|app| !app.heard && app.acting() == Some(stored));
        let other = self.acts_now(now, pair, holder.other());
        holds && other.is_some_and(|role| role.epoch < stored.epoch)
    }

    fn one_acts(&self, now: Moment, pair: &Pair, member: Member, role: &RoleEpoch) -> PairTrigger {
        let withdrawn = |granting: &super::state::Granting| granting.leader.is_withdrawn(role);
        if pair.stored.as_ref() != Some(role) || pair.granting.as_ref().is_some_and(withdrawn) {
            let outsider = self.is_outsider(pair, member);
            return if outsider { PairTrigger::OutsiderActs } else { PairTrigger::OtherRoleActs };
        }
        let Some(known) = self.app(pair, member) else { return PairTrigger::HolderComing };
        // One that held its role, and has not come back to the next life of its agent in its grace, comes no more by itself.
        let comes = !known.confirmed(role) && pair.state != PairState::Held;
        if comes {
            return PairTrigger::HolderComing;
        }
        let cannot = known.status() == ApplicationStatus::ServiceUnavailable
            && self.goal(&role.holder) == Goal::Started;
        if cannot
            && pair.flap.held.is_none()
            && !self.hands_off(&role.holder)
            && self.not_ready_because(now, pair, member.other()).is_empty()
        {
            return PairTrigger::HolderUnavailable;
        }
        if !known.confirmed(role) {
            return PairTrigger::HolderComing;
        }
        // Nothing is wrong with it; it waits for everything else (G13).
        if pair.state == PairState::Held && pair.operation.is_none() && self.lease_is_another(pair) {
            return PairTrigger::OtherRoleActs;
        }
        PairTrigger::HolderActs
    }

    fn none_acts(&self, now: Moment, name: &PairName, pair: &Pair) -> PairTrigger {
        if self.memory.maintenance.contains(&super::MaintenanceOf::Pair(name.clone())) {
            return PairTrigger::NoneActsHandsOff;
        }
        let ready = |member| self.not_ready_because(now, pair, member).is_empty();
        let (preferred, until) = self.preference(pair, now);
        match preferred {
            Some(member) if ready(member) => PairTrigger::NoneActsChosenReady,
            Some(member) if self.coming(now, pair, member) && now < until => {
                PairTrigger::NoneActsChosenComing
            }
            Some(member) if ready(member.other()) => PairTrigger::NoneActsOtherReady,
            None if ready(Member::First) || ready(Member::Second) => PairTrigger::NoneActsOtherReady,
            Some(_) | None => PairTrigger::NoneActsNoneReady,
        }
    }

    /// Who comes first if nobody acts, and until when the other one waits for it.
    pub(super) fn preference(&self, pair: &Pair, now: Moment) -> (Option<Member>, Moment) {
        match pair.state {
            PairState::Held => match (pair.holder(), pair.spec.on_crash) {
                (Some(holder), OnCrash::Failover) if !self.flaps_on(pair, holder) => {
                    (Some(holder.other()), now)
                }
                (Some(holder), OnCrash::Failover) => (Some(holder), now + self.patience(pair, holder)),
                (Some(holder), OnCrash::RestartFirst) => (Some(holder), now + self.patience(pair, holder)),
                (None, _) => (None, now),
            },
            PairState::Demoting => (pair.to, now),
            PairState::Learning => {
                let member = pair.prefer.or(pair.holder());
                (member, member.map_or(now, |member| now + self.patience(pair, member)))
            }
            PairState::Vacant | PairState::Promoting | PairState::Withheld => {
                (pair.prefer, pair.prefer_until)
            }
        }
    }

    /// How long the other member waits for this one to come up.
    pub(super) fn patience(&self, pair: &Pair, member: Member) -> std::time::Duration {
        let cluster = self.cluster.as_ref();
        let spec = cluster.and_then(|cluster| cluster.applications.get(pair.spec.application(member)));
        spec.map_or(RETRY, |spec| spec.startup_timeout)
    }

    /// As [`Control::primary_of`], but for one that is [past](Control::is_past).
    pub(super) fn serving(&self, now: Moment, pair: &Pair) -> Option<Member> {
        self.primary_of(pair).filter(|member| !self.is_past(now, pair, *member))
    }

    /// The member that holds the stored role and has said that it is primary.
    pub(super) fn primary_of(&self, pair: &Pair) -> Option<Member> {
        let stored = pair.stored.as_ref()?;
        let holder = pair.holder()?;
        let app = self.app(pair, holder)?;
        (app.heard && app.confirmed(stored)).then_some(holder)
    }
}

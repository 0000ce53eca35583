//! Control servers: who is obeyed, and what is done with each order.

use std::collections::BTreeSet;
use std::time::Duration;

use understudy_model::{
    ApplicationName, ApplicationSpec, Assignment, Because, ControllerEpoch, ControllerName, EventKind, Goal,
    GrantTold, Interface, LeadershipId, Moment, Order, Outcome, PairName, Refusal, RoleEpoch, Rule, RunMode,
    Severity, ToApplication, Work,
};

use super::application::{Application, StopReason};
use super::lifecycle::{Phase, Trigger};
use super::out::{Before, Out, Unstored};
use super::role::{Part, RoleMove, RoleTrigger, Waiting};
use super::{Agent, AgentDo, AgentRecord, Controller, DurableRole, LinkId, STORE_RETRY};
use crate::grants::{Kept, Promise};

/// An order to be primary.
struct Ordered {
    pair: PairName,
    role: RoleEpoch,
    time_limit: Duration,
    grant: Option<GrantTold>,
    waiting: Waiting,
}

impl Agent {
    /// A control server introduced itself. A lower leadership than was ever obeyed is turned away (S2); a new
    /// connection takes the place of every other of the same or a lower leadership, so that what may still arrive on
    /// those is refused.
    pub(super) fn join(
        &mut self,
        now: Moment,
        link: LinkId,
        controller: ControllerName,
        epoch: ControllerEpoch,
        lineage: &[LeadershipId],
        out: &mut Out,
    ) {
        if let Some(reason) = self.does_not_follow(epoch, lineage) {
            out.turned_away.push(AgentDo::TurnAway { link, reason, controller_epoch: self.controller_epoch });
            return;
        }
        let superseded: Vec<LinkId> = self
            .controllers
            .iter()
            .filter(|(_, known)| known.epoch <= epoch)
            .map(|(link, _)| *link)
            .collect();
        for old in superseded.iter().copied() {
            self.controllers.remove(&old);
            let reason = format!("control server {controller} connected with epoch {epoch}");
            out.turned_away.push(AgentDo::TurnAway { link: old, reason, controller_epoch: epoch });
        }
        let said = lineage.iter().find(|one| one.epoch == epoch).map(|one| one.incarnation);
        if epoch > self.controller_epoch || said.is_some() && self.obeyed.is_none() {
            let former = std::mem::replace(&mut self.controller_epoch, epoch);
            let obeyed = std::mem::replace(&mut self.obeyed, said);
            out.persist.push(AgentRecord::ControllerEpoch { epoch, incarnation: said });
            self.unstored.push(Unstored::ControllerEpoch { former, obeyed, link, superseded });
        }
        self.controllers.insert(link, Controller { name: controller, epoch });
        self.hasten(None);
        // Who waits to be started again in its role waited because nobody could promote the other one (G5).
        let waits = |known: &Application| {
            known.phase == Phase::Waiting && known.role.as_ref().is_some_and(|role| role.part == Part::Acting)
        };
        let waiting =
            self.applications.iter().filter(|(_, known)| waits(known)).map(|(name, _)| name.clone());
        for name in waiting.collect::<Vec<ApplicationName>>() {
            self.part(now, &name, RoleTrigger::ProcessGone, out);
        }
        out.welcomes.push(link);
        self.tell_leave(out);
    }

    /// Why a control server is not obeyed; none if it may be. Its number must not be lower than one that was obeyed (S2). And its
    /// store must not have given the obeyed number to another leadership: then it is older than what was in use, and only counted
    /// to that number again, however often it was started since.
    fn does_not_follow(&self, epoch: ControllerEpoch, lineage: &[LeadershipId]) -> Option<String> {
        let known = self.controller_epoch;
        if epoch < known {
            return Some(format!("a control server with epoch {known} was obeyed, this one has {epoch}"));
        }
        let obeyed = self.obeyed?;
        let other = lineage.iter().any(|one| one.epoch == known && one.incarnation != obeyed);
        other.then(|| {
            format!(
                "the control server with epoch {known} that was obeyed here had another store: this one is older than what was \
                 in use, or a new one; use scsctl restore, which marks a copy as older"
            )
        })
    }

    /// One order: the checks that every order passes, then its work.
    pub(super) fn order(&mut self, now: Moment, link: LinkId, order: Order, out: &mut Out) {
        let waiting = Waiting { link, order: order.id };
        if !self.controllers.contains_key(&link) {
            out.quiet.push(Because::new(
                Rule::OrderRefused,
                "an order on a connection that was not welcomed or was superseded",
            ));
            return;
        }
        if order.controller_epoch < self.controller_epoch {
            out.answer(waiting, Outcome::Refused(Refusal::StaleController(self.controller_epoch)));
            return;
        }
        if order.incarnation != self.incarnation {
            out.answer(waiting, Outcome::Refused(Refusal::OtherIncarnation));
            return;
        }
        match order.work {
            Work::Assign(assignments) => self.assign(now, assignments, waiting, out),
            Work::SetGoal { application, goal, graceful } => {
                self.change(&application, waiting, out, |known| {
                    known.assigned.goal = goal;
                    known.graceful = graceful;
                    if goal == Goal::Started {
                        known.forgive();
                    }
                });
            }
            Work::SetHandsOff { application, hands_off } => {
                self.change(&application, waiting, out, |known| known.set_hands_off(hands_off));
            }
            Work::Restart { application } => self.restart(now, &application, waiting, out),
            Work::Promote { pair, role, time_limit, grant } => {
                let ordered = Ordered { pair, role, time_limit, grant, waiting };
                self.promote(now, ordered, out)
            }
            Work::Demote { pair, role, time_limit } => {
                self.demote(now, &pair, &role, time_limit, waiting, out)
            }
            Work::LetGo => self.let_go(now, waiting, out),
            Work::WouldPromise { pair, role } => {
                let outcome =
                    self.would_promise(now, &pair, &role).map_or_else(Outcome::Refused, |()| Outcome::Done);
                out.answer(waiting, outcome);
            }
            Work::Learn { pair, stored, lease } => self.learn(now, pair, (stored, lease), waiting, out),
        }
    }

    fn table(&self) -> Vec<Assignment> {
        self.applications
            .values()
            .filter(|known| !known.dropped)
            .map(|known| known.assigned.clone())
            .collect()
    }

    /// What is taken back if a change of the table cannot be stored.
    fn before(&self) -> Before {
        let left = self.applications.iter().filter_map(|(name, known)| Some((name.clone(), known.left?)));
        Before { table: self.table(), left: left.collect() }
    }

    /// Stores the table if it changed, answers, and lets the goals be looked at once that is done.
    fn store_table(&mut self, before: Before, waiting: Waiting, out: &mut Out) {
        let table = self.table();
        if table != before.table || std::mem::take(&mut self.table_unknown) {
            out.persist.push(AgentRecord::Assignments(table));
            self.unstored.push(Unstored::Assignments { before, waiting });
        }
        out.answer(waiting, Outcome::Done);
        self.settle = true;
    }

    fn assign(&mut self, now: Moment, assignments: Vec<Assignment>, waiting: Waiting, out: &mut Out) {
        let before = self.before();
        let named: BTreeSet<ApplicationName> =
            assignments.iter().map(|assigned| assigned.application.clone()).collect();
        for (name, known) in &mut self.applications {
            known.dropped = !named.contains(name);
        }
        for known in self.applications.values_mut() {
            // Whoever assigns may have been told of it before it knew its name.
            known.reported = None;
        }
        for assigned in assignments {
            match self.applications.get_mut(&assigned.application) {
                None => {
                    self.applications.insert(assigned.application.clone(), Application::new(assigned, now));
                }
                Some(known) => out.process.extend(reassign(known, assigned)),
            }
        }
        self.store_table(before, waiting, out);
    }

    fn change(
        &mut self,
        application: &ApplicationName,
        waiting: Waiting,
        out: &mut Out,
        change: impl FnOnce(&mut Application),
    ) {
        let before = self.before();
        let Some(known) = self.applications.get_mut(application) else {
            out.answer(waiting, Outcome::Refused(Refusal::UnknownApplication));
            return;
        };
        change(known);
        self.store_table(before, waiting, out);
    }

    fn restart(&mut self, now: Moment, application: &ApplicationName, waiting: Waiting, out: &mut Out) {
        let Some(known) = self.applications.get_mut(application) else {
            out.answer(waiting, Outcome::Refused(Refusal::UnknownApplication));
            return;
        };
        if known.assigned.goal == Goal::Stopped {
            out.answer(waiting, Outcome::Refused(Refusal::NotRunning));
            return;
        }
        known.forgive();
        known.graceful = false;
        out.answer(waiting, Outcome::Done);
        let runs = !matches!(known.phase, Phase::Stopped | Phase::Waiting);
        if runs {
            self.stop(now, application, StopReason::Restart, out);
        } else {
            self.settle = true;
        }
    }

    /// An order to be primary: every check of G1 and G9, and then the promise.
    fn promote(&mut self, now: Moment, ordered: Ordered, out: &mut Out) {
        let Ordered { pair, role, time_limit, grant, waiting } = ordered;
        let strict = self.grants.contains_key(&pair);
        let durable = self.durable.get(&pair).cloned().unwrap_or_default();
        let stops_all = self.stops_all();
        let peer_acts = self.applications.iter().any(|(name, other)| {
            *name != role.holder
                && other
                    .role
                    .as_ref()
                    .is_some_and(|other| other.place.pair == pair && other.part != Part::Idle)
        });
        let Some(known) = self.applications.get_mut(&role.holder) else {
            out.answer(waiting, Outcome::Refused(Refusal::UnknownApplication));
            return;
        };
        let Some(part) = known.role.as_mut().filter(|part| part.place.pair == pair) else {
            out.answer(waiting, Outcome::Refused(Refusal::UnknownApplication));
            return;
        };
        if part.part == Part::Acting && part.confirmed && part.role.as_ref() == Some(&role) {
            out.answer(waiting, Outcome::Done);
            return;
        }
        let given_up = part.closing.as_ref().map(|closing| closing.epoch);
        if let Some(epoch) = given_up.filter(|epoch| *epoch >= role.epoch) {
            // It is about to be closed, and that comes before the refusal is said (G5).
            return part.close(role.epoch, now, [(waiting, Outcome::Refused(Refusal::ClosedEpoch(epoch)))]);
        }
        if let Some(refusal) = refuse_promotion(&durable, &role).filter(|_| !strict) {
            out.answer(waiting, Outcome::Refused(refusal));
            return;
        }
        let refusal = if peer_acts || matches!(part.part, Part::Promoting | Part::Demoting) {
            Some(Refusal::Busy)
        } else if stops_all {
            Some(Refusal::NotReady("its host is leaving".to_owned()))
        } else if grant.is_some() && !strict {
            Some(Refusal::NotVoting("the order is for another policy than this pair has here".to_owned()))
        } else {
            not_ready(known)
        };
        let granted = match &refusal {
            None => self.grant(now, &pair, &role, grant.as_ref()),
            Some(_) => None,
        };
        let (given, refusal) = match granted {
            Some(Ok(given)) => (Some(given), None),
            Some(Err(refusal)) => (None, Some(refusal)),
            None => (None, refusal),
        };
        let Some(known) = self.applications.get_mut(&role.holder) else { return };
        let Some(part) = known.role.as_mut() else { return };
        if let Some(refusal) = refusal {
            out.quiet.push(Because::new(Rule::OrderRefused, format!("promotion to {role}: {refusal}")));
            if part.part == Part::Idle {
                // The ordered epoch is given up for good before that is said (G5).
                part.close(role.epoch, now, [(waiting, Outcome::Refused(refusal))]);
            } else {
                out.answer(waiting, Outcome::Refused(refusal));
            }
            return;
        }
        match super::role::next(part.part, RoleTrigger::PromoteAllowed) {
            RoleMove::Promise => {
                let Some(start) = known.start else { return };
                part.part = Part::Promoting;
                let former = part.role.replace(role.clone());
                part.confirmed = false;
                part.promotion = Some(waiting);
                part.failed = None;
                part.deadline = Some(now + time_limit);
                let application = role.holder.clone();
                let begins = former.is_none();
                self.unstored.push(Unstored::Promise { application, epoch: role.epoch, former });
                if known.assigned.spec.interface == Interface::Library && given.is_none() {
                    let message = ToApplication::SetRunMode { run_mode: RunMode::Primary, epoch: role.epoch };
                    out.says.push(AgentDo::Say { application: role.holder.clone(), start, message });
                } else {
                    part.untold = true;
                    self.settle = true;
                }
                let promise = Promise { role: role.clone(), lease: Duration::ZERO };
                // A role that is ordered again keeps the lease that it was first ordered with.
                let held = || self.grants.get(&pair).map(|grants| grants.voter.kept().clone());
                let kept = given.and_then(|given| given.keep.or_else(held));
                let kept = kept.unwrap_or(Kept { promised: Some(promise), closed: durable.closed });
                self.keep_promise(&pair, &kept, out);
                if strict && begins {
                    self.take(now, &role.holder.clone(), role);
                }
            }
            RoleMove::Stay
            | RoleMove::Ignore
            | RoleMove::Confirm
            | RoleMove::Demote
            | RoleMove::Close
            | RoleMove::Kill => out.answer(waiting, Outcome::Refused(Refusal::Busy)),
        }
    }

    /// Whether an own member would be promised a role now (G6); binds nobody.
    fn would_promise(&self, now: Moment, pair: &PairName, role: &RoleEpoch) -> Result<(), Refusal> {
        let known = self.applications.get(&role.holder).ok_or(Refusal::UnknownApplication)?;
        if self.stops_all() {
            return Err(Refusal::NotReady("its host is leaving".to_owned()));
        }
        not_ready(known).map_or(Ok(()), Err)?;
        self.would_grant(now, pair, role)
    }

    /// An order to be a backup, about exactly one role.
    fn demote(
        &mut self,
        now: Moment,
        pair: &PairName,
        role: &RoleEpoch,
        time_limit: Duration,
        waiting: Waiting,
        out: &mut Out,
    ) {
        let closed = self.durable.get(pair).map(|durable| durable.closed).unwrap_or_default();
        let held = self.grants.get(pair).and_then(|grants| grants.voter.own_role().cloned());
        let Some(known) = self.applications.get_mut(&role.holder) else {
            out.answer(waiting, Outcome::Refused(Refusal::UnknownApplication));
            return;
        };
        let Some(part) = known.role.as_mut().filter(|part| part.place.pair == *pair) else {
            out.answer(waiting, Outcome::Refused(Refusal::UnknownApplication));
            return;
        };
        match &part.role {
            Some(acting) if acting == role => {
                part.demotion = Some(waiting);
                // Waiting to be restarted in its role, it has no process that could confirm anything.
                let runs = !matches!(known.phase, Phase::Stopped | Phase::Waiting);
                let trigger = if runs { RoleTrigger::DemoteNamed } else { RoleTrigger::ProcessGone };
                self.part(now, &role.holder, trigger, out);
                if let Some(part) =
                    self.applications.get_mut(&role.holder).and_then(|known| known.role.as_mut())
                    && part.part == Part::Demoting
                {
                    part.deadline = Some(now + time_limit);
                }
            }
            Some(acting) => {
                out.answer(waiting, Outcome::Refused(Refusal::NotActing(Some(acting.clone()))));
            }
            None if closed >= role.epoch => out.answer(waiting, Outcome::Done),
            None if held.as_ref().is_some_and(|held| held.epoch > role.epoch) => {
                out.answer(waiting, Outcome::Refused(Refusal::NotActing(held)));
            }
            None => part.close(role.epoch, now, [(waiting, Outcome::Done)]),
        }
    }

    /// Takes back what could not be stored, and says so.
    pub(super) fn store_failed(
        &mut self,
        now: Moment,
        unstored: Vec<Unstored>,
        records: &[AgentRecord],
        why: &str,
        out: &mut Out,
    ) {
        for known in self.applications.values_mut() {
            // Reports of that decision were not sent.
            known.reported = None;
        }
        self.tell_leave(out);
        self.show_again();
        let host = understudy_model::Subject { host: Some(self.host.clone()), ..Default::default() };
        let reason = format!("{} of this agent could not be made durable: {why}", name_records(records));
        out.events.push(understudy_model::Event {
            kind: EventKind::StoreFailed,
            severity: Severity::Critical,
            about: host,
            from: None,
            to: None,
            epoch: None,
            because: Because::new(Rule::StoreUnwritable, reason),
            actor: None,
        });
        // The last change first: two members of one pair may have closed epochs in one decision.
        for item in unstored.into_iter().rev() {
            match item {
                Unstored::Assignments { before, waiting } => {
                    self.take_back_assignments(before, out);
                    self.table_unknown = true;
                    out.answer(waiting, Outcome::Refused(Refusal::NotDurable(why.to_owned())));
                }
                Unstored::Promise { application, epoch, former } => {
                    // It may or may not be on the disk, so it counts as given. The application was not told.
                    self.not_kept(&application);
                    self.take_back(&application, epoch);
                    let Some(role) =
                        self.applications.get_mut(&application).and_then(|known| known.role.as_mut())
                    else {
                        continue;
                    };
                    let promotion = role.promotion.take();
                    let demotes = role.demotion.take();
                    role.deadline = None;
                    if former.is_some() {
                        // A reaffirmation: it acts on in the role it had.
                        role.part = Part::Acting;
                        role.role = former;
                        role.confirmed = true;
                    } else {
                        role.part = Part::Idle;
                        role.role = None;
                        role.close(epoch, now + STORE_RETRY, demotes.map(|waiting| (waiting, Outcome::Done)));
                    }
                    if let Some(waiting) = promotion {
                        out.answer(waiting, Outcome::Refused(Refusal::NotDurable(why.to_owned())));
                    }
                }
                Unstored::Close { application, pair, former, closing } => {
                    self.durable.entry(pair).or_default().closed = former;
                    if let Some(role) =
                        self.applications.get_mut(&application).and_then(|known| known.role.as_mut())
                    {
                        role.close(closing.epoch, now + STORE_RETRY, closing.answers);
                        if let Some(again) = &mut role.closing {
                            again.due = now + STORE_RETRY;
                        }
                    }
                }
                Unstored::Vote { pair } => {
                    if let Some(grants) = self.grants.get_mut(&pair) {
                        grants.unkept = true;
                    }
                }
                Unstored::Learned { pair, former, waiting } => {
                    self.unlearn(&pair, former);
                    out.answer(waiting, Outcome::Refused(Refusal::NotDurable(why.to_owned())));
                }
                Unstored::ControllerEpoch { former, obeyed, link, superseded } => {
                    // They are obeyed no more, and were not told.
                    for link in superseded {
                        let reason = format!("another control server came, and could not be obeyed: {why}");
                        out.turned_away.push(AgentDo::TurnAway { link, reason, controller_epoch: former });
                    }
                    (self.controller_epoch, self.obeyed) = (former, obeyed);
                    self.controllers.remove(&link);
                    let reason = format!("its controller epoch could not be made durable: {why}");
                    out.turned_away.push(AgentDo::TurnAway { link, reason, controller_epoch: former });
                }
            }
        }
    }

    fn take_back_assignments(&mut self, before: Before, out: &mut Out) {
        let Before { table, mut left } = before;
        let former: BTreeSet<ApplicationName> =
            table.iter().map(|assigned| assigned.application.clone()).collect();
        self.applications.retain(|name, known| former.contains(name) || known.phase != Phase::Stopped);
        for (name, known) in &mut self.applications {
            // It was being stopped and forgotten, and is again.
            known.dropped = !former.contains(name);
        }
        for assigned in table {
            if let Some(known) = self.applications.get_mut(&assigned.application) {
                let left = left.remove(&assigned.application);
                out.process.extend(reassign(known, assigned));
                // What was left alone still is, as if nobody had asked for it.
                known.left = known.left.or(left);
            }
        }
    }

    /// Fires the trigger that starts or stops an application if its goal is not what it is.
    pub(super) fn settle_goal(&mut self, now: Moment, application: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get(application) else { return };
        if known.wanted() {
            // What hooks of an earlier life would do to it, they must have done before.
            if known.phase == Phase::Stopped && known.hooks_left.is_empty() {
                self.trigger(now, application, Trigger::Wanted, out);
            }
        } else if known.phase != Phase::Stopped
            // A firm stop also ends a graceful one that is under way.
            && (known.stopping.is_none() || (known.phase == Phase::Suspending && !known.graceful))
            // What has ended by itself is not ended by that its host leaves.
            && !(known.leaving && known.phase == Phase::Lingering)
        {
            self.stop(now, application, StopReason::Goal, out);
        }
    }
}

/// Takes over a new assignment; what a running process was started with stays with it until its next start, but for
/// options, of which it can be told.
fn reassign(known: &mut Application, assigned: Assignment) -> Option<AgentDo> {
    let reload = reload(known, &assigned);
    if known.assigned.pair.as_ref().map(|place| &place.pair)
        == assigned.pair.as_ref().map(|place| &place.pair)
    {
        if let (Some(role), Some(place)) = (&mut known.role, &assigned.pair) {
            role.place = place.clone();
        }
    } else if !known.may_act() && !known.closing() {
        known.role = assigned.pair.clone().map(super::role::Role::new);
    }
    if assigned.goal == Goal::Started && known.assigned.goal == Goal::Stopped {
        known.forgive();
    }
    known.set_hands_off(assigned.hands_off);
    known.assigned = assigned;
    reload
}

/// Tells a process of new options, if it can be told and nothing else of how it is run changed.
fn reload(known: &Application, assigned: &Assignment) -> Option<AgentDo> {
    let start = known.start.filter(|_| known.pid.is_some())?;
    let signal = assigned.spec.conduct.reload_signal?;
    let options = assigned.spec.options.clone();
    let same = ApplicationSpec { options: options.clone(), ..known.spec().clone() } == assigned.spec;
    let news = same && known.spec().options != options;
    news.then(|| AgentDo::Reload { application: assigned.application.clone(), start, options, signal })
}

/// What the durable state says against a promotion.
fn refuse_promotion(durable: &DurableRole, role: &RoleEpoch) -> Option<Refusal> {
    if durable.closed >= role.epoch {
        return Some(Refusal::ClosedEpoch(durable.closed));
    }
    let promised = durable.promised.as_ref()?;
    let higher =
        promised.epoch > role.epoch || (promised.epoch == role.epoch && promised.holder != role.holder);
    higher.then(|| Refusal::StaleEpoch(promised.clone()))
}

/// What the process says against a promotion.
fn not_ready(known: &Application) -> Option<Refusal> {
    let not_ready = |why: &str| Some(Refusal::NotReady(why.to_owned()));
    match known.phase {
        Phase::Stopped | Phase::Waiting | Phase::Spawning | Phase::Lingering => Some(Refusal::NotRunning),
        Phase::Initializing => not_ready("it is still initializing"),
        Phase::Unavailable => Some(Refusal::NotReady(known.problem.clone())),
        Phase::Yielding | Phase::Suspending | Phase::Stopping => not_ready("it is being stopped"),
        Phase::Started if known.speaks() && !known.attached => not_ready("its link to the agent is not open"),
        Phase::Started => None,
    }
}

fn name_records(records: &[AgentRecord]) -> String {
    let name = |record: &AgentRecord| match record {
        AgentRecord::Promise { pair, role, .. } => format!("the promise {role} of pair {pair}"),
        AgentRecord::Close { pair, epoch } => format!("the end of epoch {epoch} of pair {pair}"),
        AgentRecord::ControllerEpoch { epoch, .. } => format!("controller epoch {epoch}"),
        AgentRecord::Assignments(_) => "the table of applications".to_owned(),
    };
    records.iter().map(name).collect::<Vec<_>>().join(", ")
}

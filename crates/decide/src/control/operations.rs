//! Operations: begun with a durable number, told step by step, ended with a reason.

use std::collections::BTreeSet;
use std::time::Duration;

use understudy_model::{
    ApplicationName, ApplicationStatus, Because, Event, EventKind, Goal, Interface, LastExit, Member, Moment,
    OperationId, PairName, Rule, Severity, Subject,
};

use super::asked::in_brackets;
use super::pair::{PairState, PairTrigger};
use super::refuse::refused;
use super::state::{Awaits, MOST_OPERATIONS, Operation, OrderedWork, RollingPhase, Undo};
use super::{Control, ControlDo, ControlRecord, LinkEnd, OperationState, Out, RequestId, event};

/// What is added to an application's own timeouts before an operation counts as failed.
const MARGIN: Duration = Duration::from_secs(5);

/// An agent whose link ended, or that was not reached, since less than this may be there again in a moment.
const COMES_BACK: Duration = Duration::from_secs(2);

/// A program that says nothing of itself has been started when it lived for so long.
const SETTLES: Duration = Duration::from_millis(100);

/// Who asks, and when.
pub(super) struct Asker {
    pub now: Moment,
    pub request: RequestId,
    pub actor: String,
    /// Why, if they said.
    pub reason: Option<String>,
}

impl Control {
    /// Begins an operation: its number is durable before anything of it is done.
    pub(super) fn begin(
        &mut self,
        asker: &Asker,
        kind: &'static str,
        subject: String,
        awaits: Awaits,
        limit: Duration,
        out: &mut Out,
    ) -> OperationId {
        let id = OperationId(self.memory.last_operation.0 + 1);
        self.memory.last_operation = id;
        out.persist.push(ControlRecord::UseOperation(id));
        let operation = Operation {
            kind,
            subject,
            actor: asker.actor.clone(),
            reason: asker.reason.clone(),
            awaits,
            state: OperationState::Running,
            steps: Vec::new(),
            began: asker.now,
            ended: None,
            looked: asker.now,
            deadline: asker.now + limit,
            trouble: None,
            request: asker.request,
        };
        self.operations.insert(id, operation);
        while self.operations.len() > MOST_OPERATIONS {
            let oldest = self.operations.iter().find(|(_, known)| known.ended.is_some()).map(|(id, _)| *id);
            match oldest {
                Some(oldest) => self.operations.remove(&oldest),
                None => break,
            };
        }
        id
    }

    /// Nothing more is begun before something has ended.
    pub(super) fn too_many_operations(&self) -> bool {
        self.operations.len() >= MOST_OPERATIONS
            && self.operations.values().all(|known| known.ended.is_none())
    }

    pub(super) fn limit(&self, application: &ApplicationName, goal: Goal) -> Duration {
        let spec = self.cluster.as_ref().and_then(|cluster| cluster.applications.get(application));
        let own = spec.map(|spec| match goal {
            Goal::Started => spec.startup_timeout,
            // Asked to finish, then to end.
            Goal::Stopped => spec.shutdown_timeout * 2,
        });
        own.unwrap_or_default() + MARGIN
    }

    pub(super) fn is(&self, application: &ApplicationName, goal: Goal) -> bool {
        let status = self.applications.get(application).map(super::state::App::status);
        match goal {
            Goal::Started => status == Some(ApplicationStatus::Started),
            Goal::Stopped => status == Some(ApplicationStatus::Stopped),
        }
    }

    /// Ends every operation that is done, has failed, or has taken too long.
    pub(super) fn look_at_operations(&mut self, now: Moment, out: &mut Out) {
        let open: Vec<OperationId> =
            self.operations.iter().filter(|(_, known)| known.ended.is_none()).map(|(id, _)| *id).collect();
        for id in open {
            let Some(known) = self.operations.get_mut(&id) else { continue };
            known.looked = now;
            let Some(known) = self.operations.get(&id) else { continue };
            let state = match &known.awaits {
                Awaits::Drained { host, moving, moved } => {
                    let (host, moving, moved) = (host.clone(), moving.clone(), *moved);
                    self.go_on_draining(now, id, &host, moving, moved, out)
                }
                Awaits::Held { host, pairs } => self.held_state(host, pairs),
                Awaits::Rolling { pair, first, phase } => {
                    let (pair, first, phase) = (pair.clone(), *first, *phase);
                    self.go_on_rolling(now, id, &pair, first, phase, out)
                }
                Awaits::Holder { pair, member } => self.holder_state(pair, *member, known.trouble.as_deref()),
                Awaits::Goal { applications, goal, away } => {
                    self.goal_state(now, id, applications, *goal, away)
                }
                Awaits::OtherProcess { application, pid, exit } => {
                    self.restarted_state(now, known.began, application, *pid, exit.as_ref())
                }
            };
            match state {
                OperationState::Running if self.operations.get(&id).is_some_and(|it| it.deadline <= now) => {
                    let state = self.late_state(id);
                    self.end(now, id, state, out);
                }
                OperationState::Running => {}
                state => self.end(now, id, state, out),
            }
        }
    }

    fn holder_state(&self, name: &PairName, wanted: Member, trouble: Option<&str>) -> OperationState {
        let Some(pair) = self.pairs.get(name) else {
            return OperationState::Failed("the pair was removed".to_owned());
        };
        if pair.state != PairState::Held {
            return OperationState::Running;
        }
        match self.primary_of(pair) {
            Some(member) if member == wanted => OperationState::Done,
            Some(member) => {
                let epoch = pair.stored.as_ref().map(|stored| stored.epoch).unwrap_or_default();
                let why = trouble.unwrap_or("the roles did not change");
                let primary = pair.spec.application(member);
                OperationState::Failed(format!("{why}; {primary} is primary again, in epoch {epoch}"))
            }
            None => OperationState::Running,
        }
    }

    fn goal_state(
        &self,
        now: Moment,
        id: OperationId,
        applications: &[ApplicationName],
        goal: Goal,
        away: &BTreeSet<ApplicationName>,
    ) -> OperationState {
        // What was reported before an agent has heard of it says nothing about what was asked.
        let unanswered = |outstanding: &super::Outstanding| matches!(&outstanding.work, OrderedWork::Level { operation, .. } if *operation == Some(id));
        if self.outstanding.values().any(unanswered) {
            return OperationState::Running;
        }
        let open: Vec<&ApplicationName> =
            applications.iter().filter(|application| !self.has_come(now, application, goal)).collect();
        if open.iter().all(|application| away.contains(*application) && self.is_away(now, application)) {
            if applications.iter().any(|application| self.changes_roles(application)) {
                return OperationState::Running;
            }
            return if open.is_empty() { OperationState::Done } else { self.pending(id, &open, goal) };
        }
        let gave_up = applications.iter().find_map(|application| {
            let report = self.applications.get(application)?.report.as_ref()?;
            (goal == Goal::Started && report.goal == goal && report.gave_up)
                .then(|| format!("{application}: {}", report.problem))
        });
        gave_up.map_or(OperationState::Running, OperationState::Failed)
    }

    fn restarted_state(
        &self,
        now: Moment,
        began: Moment,
        application: &ApplicationName,
        pid: Option<u32>,
        exit: Option<&LastExit>,
    ) -> OperationState {
        let report = self.applications.get(application).and_then(|known| known.report.as_ref());
        let other = report.is_some_and(|report| report.pid.is_some() && report.pid != pid);
        let ended = report.filter(|report| report.pid.is_none() || report.pid != pid);
        let ended = ended.and_then(|report| report.last_exit.as_ref());
        // The former process ran before this began, however it ended.
        let of_this = |ended: &&LastExit| {
            !ended.wanted && Some(*ended) != exit && Duration::from_millis(ended.ran_ms) <= now.since(began)
        };
        if let Some(ended) = ended.filter(of_this) {
            return OperationState::Failed(format!(
                "{application} was started, and ended by itself after {} ms: {}; {}",
                ended.ran_ms,
                ended.cause,
                self.present(std::slice::from_ref(application))
            ));
        }
        let so = other && self.has_come(now, application, Goal::Started);
        if so && !self.changes_roles(application) { OperationState::Done } else { OperationState::Running }
    }

    /// It is so, and was it for long enough to say that.
    fn has_come(&self, now: Moment, application: &ApplicationName, goal: Goal) -> bool {
        let settled = |at: Moment| goal == Goal::Stopped || at <= now;
        self.is(application, goal) && self.settles(application).is_none_or(settled)
    }

    /// Until when a program that says nothing is watched before its start counts as done: that it was made is all that its agent
    /// can report of it.
    fn settles(&self, application: &ApplicationName) -> Option<Moment> {
        let spec = self.cluster.as_ref().and_then(|cluster| cluster.applications.get(application))?;
        let silent = spec.interface == Interface::Plain && spec.conduct.probe.is_none();
        let known =
            self.applications.get(application).filter(|_| silent && self.is(application, Goal::Started))?;
        Some(known.since + SETTLES)
    }

    /// When an operation has to be looked at although nothing is observed.
    pub(super) fn operation_due(&self, known: &Operation) -> Moment {
        let due = |at: &Moment| *at > known.looked;
        let sooner = match &known.awaits {
            Awaits::OtherProcess { application, .. } => self.settles(application).filter(due),
            Awaits::Goal { applications, away, .. } => {
                let settles = applications.iter().filter_map(|it| self.settles(it));
                settles.chain(away.iter().filter_map(|it| self.away_from(it))).filter(due).min()
            }
            _ => None,
        };
        // What is over waits for something that will be observed.
        sooner.map_or(known.deadline, |at| at.min(known.deadline))
    }

    pub(super) fn unheard(&self, application: &ApplicationName) -> bool {
        self.applications.get(application).is_some_and(|known| !known.heard)
    }

    /// From when on its agent is not waited for: it is not heard, and nothing says that it will be in a moment.
    fn away_from(&self, application: &ApplicationName) -> Option<Moment> {
        let known = self.applications.get(application).filter(|known| !known.heard)?;
        let gone = self.hosts.get(&known.host)?.gone?;
        let silent = gone.end == LinkEnd::Silent && !gone.fresh;
        Some(if silent { gone.since } else { gone.since + COMES_BACK })
    }

    fn is_away(&self, now: Moment, application: &ApplicationName) -> bool {
        self.away_from(application).is_some_and(|from| from <= now)
    }

    /// What was asked is durable, and done as soon as the agents of these are heard.
    fn pending(&self, id: OperationId, open: &[&ApplicationName], goal: Goal) -> OperationState {
        let host =
            |application: &&ApplicationName| self.applications.get(*application).map(|it| it.host.as_str());
        let hosts: BTreeSet<&str> = open.iter().filter_map(host).collect();
        let hosts: Vec<&str> = hosts.into_iter().collect();
        let names: Vec<&str> = open.iter().map(|application| application.as_str()).collect();
        let (is, back) = if let [_] = hosts[..] { ("is", "it is") } else { ("are", "they are") };
        let (done, undo) = match goal {
            Goal::Started => ("started", "stop"),
            Goal::Stopped => ("stopped", "start"),
        };
        let subject = self.operations.get(&id).map_or("", |known| known.subject.as_str());
        OperationState::Pending(format!(
            "not done yet: {} {is} not heard; {} will be {done} as soon as {back}; take it back: scsctl {undo} {subject}",
            hosts.join(" and "),
            names.join(" and ")
        ))
    }

    /// The roles of its pair are being changed, which takes a moment and belongs to what was asked.
    fn changes_roles(&self, application: &ApplicationName) -> bool {
        let pair = self.applications.get(application).and_then(|known| self.pairs.get(known.pair.as_ref()?));
        pair.is_some_and(|pair| matches!(pair.state, PairState::Promoting | PairState::Demoting))
    }

    /// The primary of its pair is about to be ended by this operation: what follows is told as its step.
    pub(super) fn ends_primary(&mut self, now: Moment, application: &ApplicationName, id: OperationId) {
        let Some(name) = self.applications.get(application).and_then(|known| known.pair.clone()) else {
            return;
        };
        let Some(pair) = self.pairs.get(&name) else { return };
        let Some(member) = pair.spec.member_of(application) else { return };
        if self.serving(now, pair) != Some(member) {
            return;
        }
        let other = pair.spec.application(member.other()).clone();
        let next = if self.goal(&other) == Goal::Stopped {
            format!("{other} should be stopped too, so nobody serves then")
        } else {
            let reasons = self.not_ready_because(now, pair, member.other());
            if reasons.is_empty() {
                format!("its role goes to {other}")
            } else {
                format!("{other} could not take over: {}", reasons.join("; "))
            }
        };
        if let Some(pair) = self.pairs.get_mut(&name) {
            pair.ended_by = Some((member, id));
        }
        self.step_of(now, Some(id), format!("{application} is the primary of pair {name}: {next}"));
    }

    fn late_state(&self, id: OperationId) -> OperationState {
        let Some(known) = self.operations.get(&id) else { return OperationState::Unknown(String::new()) };
        let why = known.trouble.clone().unwrap_or_else(|| "not done in time".to_owned());
        match &known.awaits {
            Awaits::Drained { host, moving, moved } => {
                let at = moving
                    .as_ref()
                    .map(|pair| format!("; pair {pair} was being switched"))
                    .unwrap_or_default();
                OperationState::Failed(format!(
                    "{why}{at}; {moved} pair(s) were switched and stay so; host {host} is not drained"
                ))
            }
            Awaits::Held { host, pairs } => OperationState::Failed(format!(
                "{why}; not every agent on {host} has the long lease of {}: leave them running, and look at scsctl why; \
                 the hold lasts: scsctl host hold {host} --end",
                pairs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            )),
            Awaits::Rolling { pair, phase, .. } => {
                let (at, members) = (
                    rolling_at(*phase),
                    self.pairs
                        .get(pair)
                        .map(|pair| Member::BOTH.map(|member| pair.spec.application(member).clone())),
                );
                let present = members.map(|members| self.present(&members)).unwrap_or_default();
                OperationState::Failed(format!("{why}; it was {at}; {present}"))
            }
            Awaits::Holder { pair, .. } => {
                let state = self.pairs.get(pair).map(|pair| (pair.state, pair.because.clone()));
                match state {
                    Some((PairState::Learning, because)) => {
                        let because = because.map(|because| because.reason).unwrap_or_default();
                        OperationState::Unknown(format!("{why}; {because}"))
                    }
                    Some((_, because)) => {
                        let because = because.map(|because| because.reason).unwrap_or_default();
                        OperationState::Failed(format!("{why}; {because}"))
                    }
                    None => OperationState::Failed(why),
                }
            }
            Awaits::Goal { applications, goal, .. } => {
                let open: Vec<&ApplicationName> =
                    applications.iter().filter(|application| !self.is(application, *goal)).collect();
                if known.trouble.is_none() && open.iter().all(|application| self.unheard(application)) {
                    return self.pending(id, &open, *goal);
                }
                OperationState::Failed(format!("{why}; {}", self.present(applications)))
            }
            Awaits::OtherProcess { application, .. } => {
                OperationState::Failed(format!("{why}; {}", self.present(std::slice::from_ref(application))))
            }
        }
    }

    fn present(&self, applications: &[ApplicationName]) -> String {
        let text = |application: &ApplicationName| {
            let known = self.applications.get(application);
            let status = known.map_or(ApplicationStatus::Unknown, super::state::App::status);
            let problem = known.and_then(|known| known.report.as_ref()).map(|report| report.problem.as_str());
            match problem.filter(|problem| !problem.is_empty()) {
                Some(problem) => format!("{application} is {status}: {problem}"),
                None => format!("{application} is {status}"),
            }
        };
        applications.iter().map(text).collect::<Vec<_>>().join("; ")
    }

    fn end(&mut self, now: Moment, id: OperationId, state: OperationState, out: &mut Out) {
        let Some(known) = self.operations.get_mut(&id) else { return };
        known.ended = Some(now);
        known.state = state.clone();
        let took = now.since(known.began);
        let what = format!("{} of {}", known.kind, known.subject);
        let drained = match &known.awaits {
            Awaits::Drained { host, .. } => Some(host.clone()),
            _ => None,
        };
        self.leave_pairs(id);
        self.leave_ended(id, state == OperationState::Done);
        if let Some(host) = drained {
            // Members there may be promoted again, if it failed: a pair may have waited for nothing else.
            self.touch_host(&host);
        }
        let Some(known) = self.operations.get(&id) else { return };
        let took = format!("{:.1} ms", took.as_secs_f64() * 1e3);
        let (kind, severity, because) = match &state {
            OperationState::Done => (
                EventKind::OperationDone,
                Severity::Info,
                Because::new(Rule::OperatorAsked, format!("{what} is done")),
            ),
            OperationState::Pending(why) => (
                EventKind::OperationFailed,
                Severity::Warning,
                Because::new(Rule::OperatorAsked, format!("{what}: {why}")),
            ),
            OperationState::Failed(why) | OperationState::Unknown(why) => {
                let rule = if known.deadline <= now { Rule::TooSlow } else { Rule::OperatorAsked };
                (
                    EventKind::OperationFailed,
                    Severity::Warning,
                    Because::new(rule, format!("{what} failed: {why}")),
                )
            }
            OperationState::Running => return,
        };
        self.tell_operation(kind, severity, id, because.fact("took", took), out);
    }

    /// No pair is under this operation any more.
    fn leave_pairs(&mut self, id: OperationId) {
        for pair in self.pairs.values_mut().filter(|pair| pair.operation == Some(id)) {
            pair.operation = None;
            pair.take_back_given_up();
        }
    }

    /// An operation that ended a primary has ended itself: it still answers for the change of roles only if that is to come.
    fn leave_ended(&mut self, id: OperationId, done: bool) {
        let ended = |pair: &&mut super::Pair| pair.ended_by.is_some_and(|(_, by)| by == id);
        for pair in self.pairs.values_mut().filter(ended) {
            pair.ended_by.take_if(|_| !done || pair.shown_primary.is_some());
        }
    }

    /// Goals and maintenance that could not be stored are as they were, and whoever asked is told.
    pub(super) fn take_back(&mut self, undo: Undo, why: &str, out: &mut Out) {
        self.memory.goals = undo.goals;
        self.memory.maintenance = undo.maintenance;
        self.memory.drained = undo.drained;
        self.memory.holds = undo.holds;
        self.memory.asked = undo.asked;
        if let Some((pair, flap)) = undo.flap
            && let Some(known) = self.pairs.get_mut(&pair)
        {
            known.flap = flap;
        }
        if let Some(request) = undo.request {
            let message = "nothing was changed: it could not be made durable";
            let reply =
                refused("not-durable", message, vec![why.to_owned()], Some("scsctl status".to_owned()));
            out.actions.push(ControlDo::Reply { request, reply });
        }
    }

    /// Its number could not be made durable: nothing of it was done, and it is forgotten.
    pub(super) fn operation_failed_to_begin(
        &mut self,
        now: Moment,
        id: OperationId,
        why: &str,
        out: &mut Out,
    ) {
        let Some(known) = self.operations.remove(&id) else { return };
        match &known.awaits {
            Awaits::Holder { pair, .. } => {
                let pair = pair.clone();
                self.outstanding.retain(|_, outstanding| {
                    !matches!(&outstanding.work, OrderedWork::Demote { pair: asked, .. } if *asked == pair)
                });
                if let Some(known) = self.pairs.get_mut(&pair) {
                    known.operation = None;
                    known.forced = None;
                    known.take_back_given_up();
                }
                self.fire(now, &pair, PairTrigger::StoreFailed, out);
            }
            // Its first order is taken back as that of any decision that was not stored.
            Awaits::Drained { .. } | Awaits::Rolling { .. } => self.leave_pairs(id),
            // The hold itself is taken back with the rest of that decision.
            Awaits::Held { .. } => {}
            // Goals that were not stored are taken back with the rest of that decision.
            Awaits::Goal { .. } | Awaits::OtherProcess { .. } => self.leave_ended(id, false),
        }
        let message =
            format!("{} of {} was not begun: it could not be made durable", known.kind, known.subject);
        let reply = refused("not-durable", &message, vec![why.to_owned()], Some("scsctl status".to_owned()));
        out.actions.push(ControlDo::Reply { request: known.request, reply });
    }

    pub(super) fn tell_operation(
        &self,
        kind: EventKind,
        severity: Severity,
        id: OperationId,
        because: Because,
        out: &mut Out,
    ) {
        let Some(known) = self.operations.get(&id) else { return };
        let mut about = Subject::default();
        match &known.awaits {
            Awaits::Holder { pair, .. } => about.pair = Some(pair.clone()),
            Awaits::Goal { applications, .. } if applications.len() == 1 => {
                about.application = applications.first().cloned();
            }
            Awaits::Goal { applications, .. } => {
                about.pair = applications.first().and_then(|name| self.applications.get(name)?.pair.clone());
            }
            Awaits::OtherProcess { application, .. } => about.application = Some(application.clone()),
            Awaits::Drained { host, .. } | Awaits::Held { host, .. } => about.host = Some(host.clone()),
            Awaits::Rolling { pair, .. } => about.pair = Some(pair.clone()),
        }
        let mut because = because;
        if let Some(reason) = &known.reason {
            // What began is told with its reason in the sentence; what ended repeats it as a fact.
            if known.ended.is_none() {
                because.reason.push_str(&in_brackets(Some(reason)));
            }
            because = because.fact("reason given", reason);
        }
        let told = event(kind, severity, about, because.fact("operation", id));
        out.events.push(Event { actor: Some(known.actor.clone()), ..told });
    }
}

fn rolling_at(phase: RollingPhase) -> &'static str {
    match phase {
        RollingPhase::Begin | RollingPhase::First(_) => "restarting the first member",
        RollingPhase::Switch => "changing the roles",
        RollingPhase::Second(_) => "restarting the second member",
    }
}

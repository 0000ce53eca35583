//! What operators ask for: checks first, then an operation with steps, then an end that is said.

use std::time::Duration;

use understudy_model::{
    ApplicationName, ApplicationStatus, Because, Event, EventKind, Goal, Member, Moment, OperationId,
    PairName, Rule, Severity, Subject, Work,
};

use super::pair::{PairState, PairTrigger};
use super::state::{Awaits, MOST_OPERATIONS, Operation, OrderedWork, Undo};
use super::{
    Ask, Check, Control, ControlDo, ControlRecord, MaintenanceOf, OperationState, Out, Reply, RequestId,
    event,
};

/// What is added to an application's own timeouts before an operation counts as failed.
const MARGIN: Duration = Duration::from_secs(5);

/// What a name of an operator means.
enum Named {
    Application(ApplicationName),
    Pair(PairName),
}

impl Control {
    pub(super) fn asked(&mut self, now: Moment, request: RequestId, actor: String, ask: Ask, out: &mut Out) {
        let text = describe(&ask);
        let reply = match ask {
            Ask::Switchover { name, to, dry_run, reason } => {
                self.switchover(now, request, &actor, &name, to.as_deref(), dry_run, reason, out)
            }
            Ask::Start { name } => self.set_goal(now, request, &actor, &name, Goal::Started, false, out),
            Ask::Stop { name, graceful } => {
                self.set_goal(now, request, &actor, &name, Goal::Stopped, graceful, out)
            }
            Ask::Restart { name } => self.restart(now, request, &actor, &name, out),
            Ask::Maintenance { name, on } => self.maintain(request, &actor, &name, on, out),
        };
        if let Reply::Refused { message, because, .. } = &reply {
            let mut why = Because::new(Rule::PrecheckFailed, format!("{text}: {message}"));
            for reason in because {
                why = why.fact("because", reason);
            }
            let told = event(EventKind::OperationRefused, Severity::Warning, Subject::default(), why);
            out.events.push(Event { actor: Some(actor), ..told });
        }
        out.actions.push(ControlDo::Reply { request, reply });
    }

    fn named(&self, name: &str) -> Option<Named> {
        let wanted = name.to_ascii_lowercase();
        let application = self.applications.keys().find(|known| known.as_str() == wanted);
        let pair = self.pairs.keys().find(|known| known.as_str() == wanted);
        match (application, pair) {
            (Some(application), _) => Some(Named::Application(application.clone())),
            (None, Some(pair)) => Some(Named::Pair(pair.clone())),
            (None, None) => None,
        }
    }

    /// The pair of that name, or of the member of that name.
    fn pair_named(&self, name: &str) -> Option<PairName> {
        let wanted = name.to_ascii_lowercase();
        if let Some(pair) = self.pairs.keys().find(|known| known.as_str() == wanted) {
            return Some(pair.clone());
        }
        let member = self.applications.iter().find(|(known, _)| known.as_str() == wanted);
        member.and_then(|(_, app)| app.pair.clone())
    }

    #[allow(clippy::too_many_arguments)]
    fn switchover(
        &mut self,
        now: Moment,
        request: RequestId,
        actor: &str,
        name: &str,
        to: Option<&str>,
        dry_run: bool,
        reason: Option<String>,
        out: &mut Out,
    ) -> Reply {
        let Some(pair) = self.pair_named(name) else {
            return not_found(&format!("there is no pair or member called {name:?}"), "scsctl pairs");
        };
        let Some(known) = self.pairs.get(&pair) else { return not_found("no such pair", "scsctl pairs") };
        let holder = self.primary_of(known);
        let target = match to {
            None => holder.map(Member::other),
            Some(to) => {
                let wanted = to.to_ascii_lowercase();
                let member = Member::BOTH
                    .into_iter()
                    .find(|member| known.spec.application(*member).as_str() == wanted);
                if member.is_none() {
                    let (a, b) = (&known.spec.primary, &known.spec.backup);
                    return not_found(
                        &format!("{to:?} is not a member of pair {pair}; its members are {a} and {b}"),
                        &format!("scsctl pair {pair}"),
                    );
                }
                member
            }
        };
        if let (Some(target), Some(holder)) = (target, holder)
            && target == holder
            && known.state == PairState::Held
        {
            return Reply::Done { text: format!("{} is primary already", known.spec.application(target)) };
        }
        let checks = self.switchover_checks(now, &pair, target);
        let failed: Vec<String> = checks
            .iter()
            .filter(|check| !check.ok)
            .map(|check| format!("{}: {}", check.what, check.found))
            .collect();
        let (Some(target), Some(holder)) = (target, holder) else {
            return refused_switchover(&pair, known.state, failed);
        };
        let (from, to) = (known.spec.application(holder).clone(), known.spec.application(target).clone());
        if dry_run {
            let epoch = known.stored.as_ref().map(|stored| stored.epoch).unwrap_or_default();
            let steps = vec![
                format!(
                    "order {from} to be primary no more (epoch {epoch}); it is killed if it does not confirm in time"
                ),
                format!("make epoch {} durable for {to}", epoch.next()),
                format!("order {to} to be primary"),
                format!(
                    "if {to} refuses or is too slow: order {from} to be primary again, in a further epoch"
                ),
            ];
            return Reply::Plan { checks, steps };
        }
        if !failed.is_empty() {
            return refused_switchover(&pair, known.state, failed);
        }
        let limit = known.spec.timers.switchover_timeout;
        let awaits = Awaits::Holder { pair: pair.clone(), member: target };
        let id = self.begin(now, request, "switchover", pair.to_string(), actor, awaits, limit, out);
        let mut because =
            Because::new(Rule::OperatorAsked, format!("switchover of pair {pair} from {from} to {to}"));
        if let Some(reason) = reason {
            because = because.fact("reason given", reason);
        }
        self.tell_operation(EventKind::OperationStarted, Severity::Info, id, because, out);
        if let Some(known) = self.pairs.get_mut(&pair) {
            known.operation = Some(id);
        }
        self.fire(now, &pair, PairTrigger::SwitchoverAsked, out);
        Reply::Begun(id)
    }

    /// Every check before a switchover, whether it holds or not.
    fn switchover_checks(&self, now: Moment, name: &PairName, target: Option<Member>) -> Vec<Check> {
        let Some(pair) = self.pairs.get(name) else { return Vec::new() };
        let check = |what: &str, ok: bool, found: String| Check { what: what.to_owned(), ok, found };
        let primary = self.primary_of(pair);
        let mut checks = vec![check(
            "a member is primary",
            primary.is_some(),
            primary.map_or_else(
                || pair.because.as_ref().map_or("nobody is".to_owned(), |because| because.reason.clone()),
                |member| pair.spec.application(member).to_string(),
            ),
        )];
        let busy = pair.operation.map(|id| format!("operation {id} is under way"));
        checks.push(check(
            "no other change is under way",
            busy.is_none() && pair.state == PairState::Held,
            busy.unwrap_or_else(|| format!("the pair is {:?}", pair.state).to_lowercase()),
        ));
        let maintenance = self.memory.maintenance.contains(&MaintenanceOf::Pair(name.clone()));
        let found =
            if maintenance { format!("on; run: scsctl maintenance off {name}") } else { "off".to_owned() };
        checks.push(check("maintenance of the pair is off", !maintenance, found));
        if let Some(target) = target {
            let reasons = self.not_ready_because(now, pair, target);
            let found = if reasons.is_empty() { "yes".to_owned() } else { reasons.join("; ") };
            checks.push(check(
                &format!("{} is ready", pair.spec.application(target)),
                reasons.is_empty(),
                found,
            ));
        }
        if let Some(why) = &pair.unwritable {
            checks.push(check("epochs can be made durable", false, why.clone()));
        }
        checks
    }

    #[allow(clippy::too_many_arguments)]
    fn begin(
        &mut self,
        now: Moment,
        request: RequestId,
        kind: &'static str,
        subject: String,
        actor: &str,
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
            actor: actor.to_owned(),
            awaits,
            state: OperationState::Running,
            steps: Vec::new(),
            began: now,
            ended: None,
            deadline: now + limit,
            trouble: None,
            request,
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

    #[allow(clippy::too_many_arguments)]
    fn set_goal(
        &mut self,
        now: Moment,
        request: RequestId,
        actor: &str,
        name: &str,
        goal: Goal,
        graceful: bool,
        out: &mut Out,
    ) -> Reply {
        let applications = match self.named(name) {
            None => {
                return not_found(&format!("there is no application or pair called {name:?}"), "scsctl apps");
            }
            Some(Named::Application(application)) => vec![application],
            Some(Named::Pair(pair)) => match self.pairs.get(&pair) {
                // The backup's goal first: nobody is promoted while the pair is being stopped.
                Some(pair) => vec![pair.spec.backup.clone(), pair.spec.primary.clone()],
                None => Vec::new(),
            },
        };
        let so = applications
            .iter()
            .all(|application| self.goal(application) == goal && self.is(application, goal));
        if so {
            return Reply::Done { text: format!("{name} is {goal} already") };
        }
        let limit =
            applications.iter().map(|application| self.limit(application, goal)).max().unwrap_or(MARGIN);
        self.remember_undo(None);
        let awaits = Awaits::Goal { applications: applications.clone(), goal };
        let kind = if goal == Goal::Started { "start" } else { "stop" };
        let id = self.begin(now, request, kind, name.to_owned(), actor, awaits, limit, out);
        let because = Because::new(Rule::GoalSet, format!("{name} should be {goal}"));
        self.tell_operation(EventKind::GoalChanged, Severity::Info, id, because, out);
        for application in applications {
            self.memory.goals.insert(application.clone(), goal);
            self.renew_preference(now, &application);
            out.persist.push(ControlRecord::SetGoal { application: application.clone(), goal });
            let text = if self.send_goal(&application, goal, graceful, id, out) {
                format!("{application}: its agent is told that it should be {goal}")
            } else {
                format!("{application}: its agent is not heard, and is told as soon as it is")
            };
            self.step_of(now, Some(id), text);
        }
        Reply::Begun(id)
    }

    fn restart(&mut self, now: Moment, request: RequestId, actor: &str, name: &str, out: &mut Out) -> Reply {
        let application = match self.named(name) {
            Some(Named::Application(application)) => application,
            Some(Named::Pair(pair)) => {
                return refused(
                    "not-possible",
                    &format!("{pair} is a pair; its members are restarted one by one"),
                    Vec::new(),
                    Some(format!("scsctl pair {pair}")),
                );
            }
            None => return not_found(&format!("there is no application called {name:?}"), "scsctl apps"),
        };
        if self.goal(&application) == Goal::Stopped {
            let message = format!("{application} should be stopped, so it is not restarted");
            return refused(
                "not-possible",
                &message,
                Vec::new(),
                Some(format!("scsctl start {application}")),
            );
        }
        let Some(known) = self.applications.get(&application) else {
            return not_found("no such application", "scsctl apps");
        };
        let host = known.host.clone();
        let pid = known.report.as_ref().and_then(|report| report.pid);
        if !known.heard {
            let message = format!("the agent of host {host} is not heard");
            return refused("unreachable", &message, Vec::new(), Some(format!("scsctl host {host}")));
        }
        let limit = self.limit(&application, Goal::Stopped) + self.limit(&application, Goal::Started);
        let awaits = Awaits::OtherProcess { application: application.clone(), pid };
        let id = self.begin(now, request, "restart", name.to_owned(), actor, awaits, limit, out);
        let because = Because::new(Rule::OperatorAsked, format!("restart of {application}"));
        self.tell_operation(EventKind::OperationStarted, Severity::Info, id, because, out);
        let about = OrderedWork::Level { application: Some(application.clone()), operation: Some(id) };
        self.send(&host, Work::Restart { application: application.clone() }, about, out);
        self.step_of(now, Some(id), format!("the agent of {host} is told to restart it"));
        Reply::Begun(id)
    }

    fn maintain(&mut self, request: RequestId, actor: &str, name: &str, on: bool, out: &mut Out) -> Reply {
        let wanted = name.to_ascii_lowercase();
        let of = match (self.named(name), self.hosts.keys().find(|host| host.as_str() == wanted)) {
            (Some(Named::Application(application)), _) => MaintenanceOf::Application(application),
            (Some(Named::Pair(pair)), _) => MaintenanceOf::Pair(pair),
            (None, Some(host)) => MaintenanceOf::Host(host.clone()),
            (None, None) => {
                return not_found(
                    &format!("there is no host, application or pair called {name:?}"),
                    "scsctl status",
                );
            }
        };
        let word = if on { "on" } else { "off" };
        let known = self.memory.maintenance.contains(&of);
        if known == on {
            return Reply::Done { text: format!("maintenance of {of} is {word} already") };
        }
        let before: Vec<(ApplicationName, bool)> =
            self.applications.keys().map(|name| (name.clone(), self.hands_off(name))).collect();
        self.remember_undo(Some(request));
        if on {
            self.memory.maintenance.push(of.clone());
            self.memory.maintenance.sort();
        } else {
            self.memory.maintenance.retain(|known| *known != of);
        }
        out.persist.push(ControlRecord::SetMaintenance { of: of.clone(), on });
        let text = format!("maintenance of {of} is {word}");
        let told = event(
            EventKind::MaintenanceChanged,
            Severity::Info,
            subject_of(&of),
            Because::new(Rule::MaintenanceSet, text.clone()),
        );
        out.events.push(Event { actor: Some(actor.to_owned()), ..told });
        for (application, was) in before {
            let is = self.hands_off(&application);
            let host = self.applications.get(&application).map(|known| known.host.clone());
            if let Some(host) = host.filter(|_| is != was) {
                let about = OrderedWork::Level { application: Some(application.clone()), operation: None };
                self.send(&host, Work::SetHandsOff { application, hands_off: is }, about, out);
            }
        }
        Reply::Done { text }
    }

    fn limit(&self, application: &ApplicationName, goal: Goal) -> Duration {
        let spec = self.cluster.as_ref().and_then(|cluster| cluster.applications.get(application));
        let own = spec.map(|spec| match goal {
            Goal::Started => spec.startup_timeout,
            // Asked to finish, then to end.
            Goal::Stopped => spec.shutdown_timeout * 2,
        });
        own.unwrap_or_default() + MARGIN
    }

    fn is(&self, application: &ApplicationName, goal: Goal) -> bool {
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
            let Some(known) = self.operations.get(&id) else { continue };
            let late = known.deadline <= now;
            let state = match &known.awaits {
                Awaits::Holder { pair, member } => self.holder_state(pair, *member, known.trouble.as_deref()),
                Awaits::Goal { applications, goal } => self.goal_state(applications, *goal),
                Awaits::OtherProcess { application, pid } => self.restarted_state(application, *pid),
            };
            match state {
                OperationState::Running if late => {
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

    fn goal_state(&self, applications: &[ApplicationName], goal: Goal) -> OperationState {
        if applications.iter().all(|application| self.is(application, goal)) {
            return OperationState::Done;
        }
        let gave_up = applications.iter().find_map(|application| {
            let report = self.applications.get(application)?.report.as_ref()?;
            (goal == Goal::Started && report.goal == goal && report.gave_up)
                .then(|| format!("{application}: {}", report.problem))
        });
        gave_up.map_or(OperationState::Running, OperationState::Failed)
    }

    fn restarted_state(&self, application: &ApplicationName, pid: Option<u32>) -> OperationState {
        let report = self.applications.get(application).and_then(|known| known.report.as_ref());
        let other = report.is_some_and(|report| report.pid.is_some() && report.pid != pid);
        if other && self.is(application, Goal::Started) {
            OperationState::Done
        } else {
            OperationState::Running
        }
    }

    fn late_state(&self, id: OperationId) -> OperationState {
        let Some(known) = self.operations.get(&id) else { return OperationState::Unknown(String::new()) };
        let why = known.trouble.clone().unwrap_or_else(|| "not done in time".to_owned());
        match &known.awaits {
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
            Awaits::Goal { applications, .. } => {
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
        if let Awaits::Holder { pair, .. } = &known.awaits
            && let Some(pair) = self.pairs.get_mut(pair)
            && pair.operation == Some(id)
        {
            pair.operation = None;
        }
        let took = format!("{:.1} ms", took.as_secs_f64() * 1e3);
        let (kind, severity, because) = match &state {
            OperationState::Done => (
                EventKind::OperationDone,
                Severity::Info,
                Because::new(Rule::OperatorAsked, format!("{what} is done")),
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

    fn remember_undo(&mut self, request: Option<RequestId>) {
        let (goals, maintenance) = (self.memory.goals.clone(), self.memory.maintenance.clone());
        self.undo = Some(Undo { goals, maintenance, request });
    }

    /// Goals and maintenance that could not be stored are as they were, and whoever asked is told.
    pub(super) fn take_back(&mut self, undo: Undo, why: &str, out: &mut Out) {
        self.memory.goals = undo.goals;
        self.memory.maintenance = undo.maintenance;
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
                }
                self.fire(now, &pair, PairTrigger::StoreFailed, out);
            }
            // Goals that were not stored are taken back with the rest of that decision.
            Awaits::Goal { .. } | Awaits::OtherProcess { .. } => {}
        }
        let message =
            format!("{} of {} was not begun: it could not be made durable", known.kind, known.subject);
        let reply = refused("not-durable", &message, vec![why.to_owned()], Some("scsctl status".to_owned()));
        out.actions.push(ControlDo::Reply { request: known.request, reply });
    }

    fn tell_operation(
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
        }
        let told = event(kind, severity, about, because.fact("operation", id));
        out.events.push(Event { actor: Some(known.actor.clone()), ..told });
    }
}

fn describe(ask: &Ask) -> String {
    match ask {
        Ask::Switchover { name, .. } => format!("switchover of {name}"),
        Ask::Start { name } => format!("start of {name}"),
        Ask::Stop { name, .. } => format!("stop of {name}"),
        Ask::Restart { name } => format!("restart of {name}"),
        Ask::Maintenance { name, .. } => format!("maintenance of {name}"),
    }
}

fn subject_of(of: &MaintenanceOf) -> Subject {
    let mut about = Subject::default();
    match of {
        MaintenanceOf::Host(host) => about.host = Some(host.clone()),
        MaintenanceOf::Application(application) => about.application = Some(application.clone()),
        MaintenanceOf::Pair(pair) => about.pair = Some(pair.clone()),
    }
    about
}

fn refused(code: &str, message: &str, because: Vec<String>, try_next: Option<String>) -> Reply {
    Reply::Refused { code: code.to_owned(), message: message.to_owned(), because, try_next }
}

fn not_found(message: &str, try_next: &str) -> Reply {
    refused("not-found", message, Vec::new(), Some(try_next.to_owned()))
}

fn refused_switchover(pair: &PairName, state: PairState, failed: Vec<String>) -> Reply {
    let busy = matches!(state, PairState::Demoting | PairState::Promoting);
    let code = if busy { "busy" } else { "not-ready" };
    let message = format!("switchover of pair {pair} refused: nothing was done");
    refused(code, &message, failed, Some(format!("scsctl why {pair}")))
}

//! What operators ask for: names and checks first; nothing is begun that is known to fail.

use understudy_model::{
    ApplicationName, Because, Event, EventKind, Goal, Member, Moment, PairName, Rule, Severity, Subject, Work,
};

use super::asked::{AskedOf, in_brackets, with_reason_given};
use super::operations::Asker;
use super::pair::{PairState, PairTrigger};
use super::refuse::{not_found, refused};
use super::state::{Awaits, OrderedWork, Undo};
use super::{Ask, Check, Control, ControlDo, ControlRecord, MaintenanceOf, Out, Reply, RequestId, event};

/// What a name of an operator means.
enum Named {
    Application(ApplicationName),
    Pair(PairName),
}

impl Control {
    pub(super) fn asked(&mut self, now: Moment, request: RequestId, actor: String, ask: Ask, out: &mut Out) {
        let (ask, reason) = ask.with_reason();
        let text = describe(&ask);
        let name = ask.name().to_owned();
        let switchover = matches!(ask, Ask::Switchover { .. });
        let asker = Asker { now, request, actor, reason };
        let reply = match ask {
            _ if self.too_many_operations() => refused(
                "busy",
                "too many operations are under way",
                Vec::new(),
                Some("scsctl operations".to_owned()),
            ),
            Ask::Switchover { name, to, dry_run, .. } => {
                self.switchover(&asker, &name, to.as_deref(), dry_run, out)
            }
            Ask::Start { name } => self.set_goal(&asker, &name, Goal::Started, false, out),
            Ask::Stop { name, graceful } => self.set_goal(&asker, &name, Goal::Stopped, graceful, out),
            Ask::Restart { name } => self.restart(&asker, &name, out),
            Ask::Maintenance { name, on } => self.maintain(&asker, &name, on, out),
            Ask::Drain { name, back, dry_run } => self.drain(&asker, &name, back, dry_run, out),
            Ask::Hold { name, span, dry_run, .. } => self.hold_host(&asker, &name, span, dry_run, out),
            Ask::RestartRolling { name, dry_run } => self.restart_rolling(&asker, &name, dry_run, out),
            Ask::Failover { name, dry_run, given_up, .. } => {
                self.failover(&asker, &name, dry_run, given_up, out)
            }
            Ask::AcknowledgeFlapping { name } => self.acknowledge_flapping(&asker, &name, out),
            // Its reason was taken from it above; one in another is no question that anybody asks.
            Ask::WithReason { .. } => {
                refused("not-possible", "a reason was given for a reason", Vec::new(), None)
            }
        };
        if let Reply::Refused { message, because, .. } = &reply {
            let mut why = Because::new(Rule::PrecheckFailed, format!("{text}: {message}"));
            for reason in because {
                why = why.fact("because", reason);
            }
            let kind = if switchover { EventKind::SwitchoverRefused } else { EventKind::OperationRefused };
            let told = event(kind, Severity::Warning, self.subject_named(&name), why);
            out.events.push(Event { actor: Some(asker.actor), ..told });
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

    /// What a name of an operator is about: nothing that is known, if nothing has it.
    fn subject_named(&self, name: &str) -> Subject {
        let wanted = name.to_ascii_lowercase();
        let host = || self.hosts.keys().find(|host| host.as_str() == wanted).cloned();
        match self.named(name) {
            Some(Named::Application(application)) => {
                let pair = self.applications.get(&application).and_then(|known| known.pair.clone());
                Subject { application: Some(application), pair, host: None }
            }
            Some(Named::Pair(pair)) => Subject { pair: Some(pair), ..Subject::default() },
            None => Subject { host: host(), ..Subject::default() },
        }
    }

    /// The pair of that name, or of the member of that name.
    pub(super) fn pair_named(&self, name: &str) -> Option<PairName> {
        let wanted = name.to_ascii_lowercase();
        if let Some(pair) = self.pairs.keys().find(|known| known.as_str() == wanted) {
            return Some(pair.clone());
        }
        let member = self.applications.iter().find(|(known, _)| known.as_str() == wanted);
        member.and_then(|(_, app)| app.pair.clone())
    }

    /// Why a name leads to no pair.
    pub(super) fn no_pair(&self, name: &str) -> Reply {
        let message = match self.named(name) {
            Some(Named::Application(single)) => format!("{single} is in no pair"),
            Some(Named::Pair(_)) | None => format!("there is no pair or member called {name:?}"),
        };
        not_found(&message, "scsctl pairs")
    }

    fn switchover(
        &mut self,
        asker: &Asker,
        name: &str,
        to: Option<&str>,
        dry_run: bool,
        out: &mut Out,
    ) -> Reply {
        let Some(pair) = self.pair_named(name) else {
            return self.no_pair(name);
        };
        let Some(known) = self.pairs.get(&pair) else { return not_found("no such pair", "scsctl pairs") };
        let holder = self.serving(asker.now, known);
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
        let checks = self.switchover_checks(asker.now, &pair, target);
        let failed = Check::failed(&checks);
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
            return Reply::Plan { checks, steps, given_up: None };
        }
        if !failed.is_empty() {
            return refused_switchover(&pair, known.state, failed);
        }
        let limit = known.spec.timers.switchover_timeout;
        let awaits = Awaits::Holder { pair: pair.clone(), member: target };
        let id = self.begin(asker, "switchover", pair.to_string(), awaits, limit, out);
        let because =
            Because::new(Rule::OperatorAsked, format!("switchover of pair {pair} from {from} to {to}"));
        self.tell_operation(EventKind::OperationStarted, Severity::Info, id, because, out);
        if let Some(known) = self.pairs.get_mut(&pair) {
            known.operation = Some(id);
        }
        self.fire(asker.now, &pair, PairTrigger::SwitchoverAsked, out);
        Reply::Begun(id)
    }

    /// Every check before a switchover, whether it holds or not.
    pub(super) fn switchover_checks(
        &self,
        now: Moment,
        name: &PairName,
        target: Option<Member>,
    ) -> Vec<Check> {
        let Some(pair) = self.pairs.get(name) else { return Vec::new() };
        let check = |what: &str, ok: bool, found: String| Check { what: what.to_owned(), ok, found };
        let primary = self.serving(now, pair);
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
        let found = if maintenance {
            format!("it is on; run: scsctl maintenance off {name}")
        } else {
            "off".to_owned()
        };
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

    fn set_goal(&mut self, asker: &Asker, name: &str, goal: Goal, graceful: bool, out: &mut Out) -> Reply {
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
            applications.iter().map(|application| self.limit(application, goal)).max().unwrap_or_default();
        self.remember_undo(None);
        let away = applications.iter().filter(|it| self.unheard(it)).cloned().collect();
        let awaits = Awaits::Goal { applications: applications.clone(), goal, away };
        let kind = if goal == Goal::Started { "start" } else { "stop" };
        let id = self.begin(asker, kind, name.to_owned(), awaits, limit, out);
        let because = Because::new(Rule::GoalSet, format!("{name} should be {goal}"));
        self.tell_operation(EventKind::GoalChanged, Severity::Info, id, because, out);
        for application in applications {
            self.memory.goals.insert(application.clone(), goal);
            self.note_asked(AskedOf::Goal(application.clone()), asker);
            self.renew_preference(asker.now, &application);
            if goal == Goal::Stopped {
                self.ends_primary(asker.now, &application, id);
            }
            out.persist.push(ControlRecord::SetGoal { application: application.clone(), goal });
            let text = if self.send_goal(&application, goal, graceful, id, out) {
                format!("{application}: its agent is told that it should be {goal}")
            } else {
                format!("{application}: its agent is not heard, and is told as soon as it is")
            };
            self.step_of(asker.now, Some(id), text);
        }
        Reply::Begun(id)
    }

    fn restart(&mut self, asker: &Asker, name: &str, out: &mut Out) -> Reply {
        let application = match self.named(name) {
            Some(Named::Application(application)) => application,
            Some(Named::Pair(pair)) => {
                return refused(
                    "not-possible",
                    &format!("{pair} is a pair; its members are restarted one by one"),
                    Vec::new(),
                    Some(format!("scsctl restart {pair} --rolling")),
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
        let exit = known.report.as_ref().and_then(|report| report.last_exit.clone());
        if !known.heard {
            let message = format!("the agent of host {host} is not heard");
            return refused("unreachable", &message, Vec::new(), Some(format!("scsctl host {host}")));
        }
        let limit = self.limit(&application, Goal::Stopped) + self.limit(&application, Goal::Started);
        let awaits = Awaits::OtherProcess { application: application.clone(), pid, exit };
        let id = self.begin(asker, "restart", name.to_owned(), awaits, limit, out);
        let because = Because::new(Rule::OperatorAsked, format!("restart of {application}"));
        self.tell_operation(EventKind::OperationStarted, Severity::Info, id, because, out);
        self.ends_primary(asker.now, &application, id);
        let about = OrderedWork::Level { application: Some(application.clone()), operation: Some(id) };
        self.send(&host, Work::Restart { application: application.clone() }, about, out);
        self.step_of(asker.now, Some(id), format!("the agent of {host} is told to restart it"));
        Reply::Begun(id)
    }

    fn maintain(&mut self, asker: &Asker, name: &str, on: bool, out: &mut Out) -> Reply {
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
        self.remember_undo(Some(asker.request));
        if on {
            self.memory.maintenance.push(of.clone());
            self.memory.maintenance.sort();
        } else {
            self.memory.maintenance.retain(|known| *known != of);
        }
        self.note_asked(AskedOf::Maintenance(of.clone()), asker);
        out.persist.push(ControlRecord::SetMaintenance { of: of.clone(), on });
        let text = format!("maintenance of {of} is {word}");
        let because =
            Because::new(Rule::MaintenanceSet, format!("{text}{}", in_brackets(asker.reason.as_ref())));
        let because = with_reason_given(because, asker.reason.as_ref());
        let told = event(EventKind::MaintenanceChanged, Severity::Info, subject_of(&of), because);
        out.events.push(Event { actor: Some(asker.actor.clone()), ..told });
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

    fn acknowledge_flapping(&mut self, asker: &Asker, name: &str, out: &mut Out) -> Reply {
        let Some(pair) = self.pair_named(name) else {
            return self.no_pair(name);
        };
        self.remember_undo(Some(asker.request));
        let Some(before) = self.acknowledge(&pair, &asker.actor, out) else {
            self.undo = None;
            return Reply::Done {
                text: format!("pair {pair} has made no automatic change of roles to acknowledge"),
            };
        };
        let held = before.held.is_some();
        if let Some(undo) = &mut self.undo {
            undo.flap = Some((pair.clone(), before));
        }
        let text =
            if held { "automatic changes go on" } else { "nothing was held; its changes are counted anew" };
        Reply::Done { text: format!("pair {pair}: {text}") }
    }

    pub(super) fn remember_undo(&mut self, request: Option<RequestId>) {
        let (goals, maintenance) = (self.memory.goals.clone(), self.memory.maintenance.clone());
        let drained = self.memory.drained.clone();
        let holds = self.memory.holds.clone();
        let asked = self.memory.asked.clone();
        self.undo = Some(Undo { goals, maintenance, flap: None, drained, holds, asked, request });
    }
}

fn describe(ask: &Ask) -> String {
    match ask {
        Ask::Switchover { name, .. } => format!("switchover of {name}"),
        Ask::Start { name } => format!("start of {name}"),
        Ask::Stop { name, .. } => format!("stop of {name}"),
        Ask::Restart { name } => format!("restart of {name}"),
        Ask::Maintenance { name, .. } => format!("maintenance of {name}"),
        Ask::Drain { name, back: false, .. } => format!("drain of {name}"),
        Ask::Drain { name, .. } => format!("return of {name}"),
        Ask::Hold { name, span: Some(_), .. } => format!("hold of {name}"),
        Ask::Hold { name, .. } => format!("end of the hold of {name}"),
        Ask::RestartRolling { name, .. } => format!("rolling restart of {name}"),
        Ask::Failover { name, .. } => format!("failover of {name}"),
        Ask::AcknowledgeFlapping { name } => format!("acknowledgement of {name}"),
        Ask::WithReason { ask, .. } => describe(ask),
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

fn refused_switchover(pair: &PairName, state: PairState, failed: Vec<String>) -> Reply {
    let busy = matches!(state, PairState::Demoting | PairState::Promoting);
    let code = if busy { "busy" } else { "not-ready" };
    let message = format!("switchover of pair {pair} refused: nothing was done");
    refused(code, &message, failed, Some(format!("scsctl why {pair}")))
}

//! The JSON that the API promises, made from what the machine shows.
//!
//! It knows no HTTP. The law: a field once promised stays, with its meaning; absent values are null, never left out; of a
//! long list only one member stands in memory as a tree at a time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use understudy_decide::control::{
    ApplicationState, ClusterView, HostState, OperationState, OperationView, PairView,
};
use understudy_model::{ApplicationStatus, Because, Goal, HostStatus, LastExit, Rule};
use understudy_store::StoredEvent;

use crate::wall::{Wall, show_unix_ms};

/// What status shows beside the machine's own view.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// The cluster's identity, if it has one.
    pub cluster_id: Option<String>,
    /// Warnings of the program itself: the journal, the configuration.
    pub warnings: Vec<String>,
    /// Those of them that are about something that fails now.
    pub wrong: Vec<String>,
}

#[derive(Serialize)]
struct Status<H, A, P, O> {
    cluster: Value,
    revision: u64,
    at: String,
    controllers: Vec<Value>,
    hosts: H,
    applications: A,
    pairs: P,
    operations: O,
    maintenance: Vec<String>,
    warnings: Vec<String>,
    wrong: Vec<String>,
    alarms: [Value; 0],
}

/// The answer to `GET /v1/status`.
pub fn status(view: &ClusterView, wall: Wall, beside: &Beside) -> impl Serialize {
    let controller = view.controller.as_ref();
    let leading = controller.map(|(name, epoch)| json!({ "name": name, "leading": true, "epoch": epoch }));
    Status {
        cluster: json!({ "name": view.cluster, "id": beside.cluster_id }),
        revision: view.revision,
        at: wall.text(wall.moment()),
        controllers: leading.into_iter().collect(),
        hosts: each(&view.hosts, move |one| host(one, wall)),
        applications: each(&view.applications, move |one| application(one, wall)),
        pairs: each(&view.pairs, move |one| pair(one, wall)),
        operations: each(&view.operations, move |one| operation(one, wall)),
        maintenance: view.maintenance.iter().map(ToString::to_string).collect(),
        warnings: view.warnings.iter().chain(&beside.warnings).cloned().collect(),
        wrong: wrong(view, beside),
        alarms: [],
    }
}

/// A list of which each member is made as it is written.
struct Each<'a, T, F>(&'a [T], F);

/// Each of a list, made as it is written.
pub fn each<T>(list: &[T], shape: impl Fn(&T) -> Value) -> impl Serialize {
    Each(list, shape)
}

impl<T, F: Fn(&T) -> Value> Serialize for Each<'_, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// An answer that is one list under its name.
pub fn listed<T>(name: &'static str, list: &[T], shape: impl Fn(&T) -> Value) -> impl Serialize {
    BTreeMap::from([(name, each(list, shape))])
}

/// What is not as it should be now, one line each; empty exactly if `scsctl status --check` may be content.
pub fn wrong(view: &ClusterView, beside: &Beside) -> Vec<String> {
    let hosts = view.hosts.iter().filter(|host| host.status != HostStatus::Running);
    let hosts = hosts.map(|host| format!("host {} is {}", host.name, host.status));
    let clocks = view.hosts.iter().filter(|host| !host.clock_doubts.is_empty());
    let clocks = clocks.map(|host| format!("the clock of host {} and others run apart", host.name));
    // A pair of which nothing should run is as wished.
    let started = view.applications.iter().filter(|one| one.goal == Goal::Started);
    let wanted: BTreeSet<_> = started.filter_map(|one| one.pair.as_ref()).collect();
    let wanted = view.pairs.iter().filter(|pair| wanted.contains(&pair.name));
    let pairs = wanted.filter_map(|pair| match &pair.primary {
        None => Some(format!("pair {} has no primary", pair.name)),
        Some(primary) if !pair.primary_heard => {
            Some(format!("{primary}, the primary of pair {}, is not heard", pair.name))
        }
        Some(_) if !pair.ready => {
            Some(format!("pair {} has no ready backup: {}", pair.name, pair.not_ready_because.join("; ")))
        }
        Some(_) => None,
    });
    let as_wished = |one: &ApplicationState| match one.goal {
        Goal::Started => one.status == ApplicationStatus::Started,
        Goal::Stopped => one.status == ApplicationStatus::Stopped,
    };
    let applications = view.applications.iter().filter(|one| !as_wished(one));
    let applications = applications
        .map(|one| format!("application {} is {}, its goal is {}", one.name, one.status, one.goal));
    let held = view.pairs.iter().filter(|pair| pair.held_because.is_some());
    let held = held.map(|pair| format!("pair {}: automatic changes of roles are held", pair.name));
    let operations = view.operations.iter().filter(|one| matches!(one.state, OperationState::Unknown(_)));
    let operations = operations.map(|one| format!("the outcome of operation {} is not known", one.id));
    let mut wrong: Vec<String> =
        hosts.chain(clocks).chain(pairs).chain(held).chain(applications).chain(operations).collect();
    wrong.extend(beside.wrong.iter().cloned());
    wrong
}

/// Each of a list.
pub fn all<T>(list: &[T], shape: impl Fn(&T) -> Value) -> Vec<Value> {
    list.iter().map(shape).collect()
}

/// One host.
pub fn host(host: &HostState, wall: Wall) -> Value {
    json!({
        "name": host.name,
        "address": host.address,
        "status": host.status,
        "since": wall.text(host.since),
        "heard_ms_ago": host.heard.map(|heard| wall.ms_since(heard)),
        "loss_survivable": host.loss_survivable,
        "loss_risks": host.loss_risks,
        "only_here": host.only_here,
        "clock_doubts": host.clock_doubts,
        "drained": host.drained,
        "held": host.held,
        "problem": host.problem,
    })
}

/// One application.
pub fn application(application: &ApplicationState, wall: Wall) -> Value {
    json!({
        "name": application.name,
        "host": application.host,
        "pair": application.pair,
        "pid": application.pid,
        "status": application.status,
        "goal": application.goal,
        "run_mode": application.run_mode,
        "epoch": application.epoch,
        "restarts": application.restarts,
        "gave_up": application.gave_up,
        "hands_off": application.hands_off,
        "restart_pending": application.restart_pending,
        "problem": application.problem,
        "last_exit": application.last_exit.as_ref().map(last_exit),
        "since": wall.text(application.since),
    })
}

fn last_exit(exit: &LastExit) -> Value {
    json!({ "text": exit.cause.to_string(), "cause": exit.cause, "wanted": exit.wanted, "ran_ms": exit.ran_ms })
}

/// One pair.
pub fn pair(pair: &PairView, wall: Wall) -> Value {
    json!({
        "name": pair.name,
        "redundancy": pair.redundancy,
        "policy": pair.policy,
        "policy_means": pair.policy.means(),
        "primary": pair.primary,
        "primary_heard": pair.primary_heard,
        "backup": pair.backup,
        // Nothing stored is epoch 0: nobody was ever primary.
        "epoch": pair.stored.as_ref().map_or(0, |role| role.epoch.0),
        "holder": pair.stored.as_ref().map(|role| &role.holder),
        "state": pair.state,
        "since": wall.text(pair.since),
        "ready": pair.ready,
        "not_ready_because": pair.not_ready_because,
        "two_acted": pair.two_acted,
        "held_because": pair.held_because,
        // Flat, and null under `available`: what this control server has promised, and for how long.
        "promised_to": pair.promise.as_ref().map(|promise| &promise.role.holder),
        "promised_epoch": pair.promise.as_ref().map(|promise| promise.role.epoch),
        "promise_left_ms": pair.promise.as_ref().and_then(|promise| promise.left).map(ms),
        "alive_through": pair.alive_through,
        // With `keep-data`, else null: who has everything that was acknowledged, and since which epoch the others have not.
        "in_sync": pair.in_sync.as_ref().map(|record| record.members.keys().collect::<Vec<_>>()),
        "in_sync_since": pair.in_sync.as_ref().map(|record| record.since),
        "waits_for_data": pair.waits_for_data,
        "votes_given": pair.votes_given,
        "votes_refused": pair.votes_refused,
        "because": pair.because.as_ref().map(because),
        "considered": because(&pair.considered),
        // Absent as long as nothing is waited for.
        "held_back": pair.held_back,
    })
}

/// A rule that fired or would, with the sentence that explains it.
pub fn because(because: &Because) -> Value {
    json!({
        "rule": because.rule,
        "says": because.rule.says(),
        "reason": because.reason,
        "because": because.facts,
        "nearly": because.nearly,
    })
}

/// One operation.
pub fn operation(operation: &OperationView, wall: Wall) -> Value {
    let (state, why) = match &operation.state {
        OperationState::Running => ("running", None),
        OperationState::Done => ("done", None),
        OperationState::Failed(why) => ("failed", Some(why)),
        OperationState::Unknown(why) => ("unknown", Some(why)),
        OperationState::Pending(why) => ("pending", Some(why)),
    };
    let steps: Vec<Value> =
        operation.steps.iter().map(|(after, what)| json!({ "after_ms": ms(*after), "what": what })).collect();
    json!({
        "id": operation.id,
        "kind": operation.kind,
        "subject": operation.subject,
        "actor": operation.actor,
        "reason": operation.reason,
        "state": state,
        "why": why,
        "steps": steps,
        "began": wall.text(operation.began),
        "ended": operation.ended.map(|ended| wall.text(ended)),
        "took_ms": operation.ended.map(|ended| ms(ended.since(operation.began))),
    })
}

/// Milliseconds with microseconds behind the point.
fn ms(span: std::time::Duration) -> f64 {
    (span.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// One event of the journal.
pub fn event(event: &StoredEvent) -> Value {
    let rule = Rule::ALL.iter().find(|rule| rule.id() == event.rule);
    json!({
        "id": event.id,
        "at": show_unix_ms(event.at_wall_ms),
        "kind": event.kind,
        "severity": event.severity,
        "host": event.host,
        "application": event.application,
        "pair": event.pair,
        "from": event.from,
        "to": event.to,
        "epoch": event.epoch,
        "rule": event.rule,
        // A rule of another version has no sentence here.
        "says": rule.map(|rule| rule.says()),
        "reason": event.reason,
        "because": event.because,
        "nearly": event.nearly,
        "actor": event.actor,
    })
}

/// The reason of an event, in the form of [`because`].
pub fn event_reason(event: &StoredEvent) -> Value {
    let says = Rule::ALL.iter().find(|rule| rule.id() == event.rule).map(|rule| rule.says());
    json!({
        "rule": event.rule,
        "says": says,
        "reason": event.reason,
        "because": event.because,
        "nearly": event.nearly,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_model::{Moment, Policy, Redundancy, RunMode};

    fn application(status: ApplicationStatus, goal: Goal) -> ApplicationState {
        ApplicationState {
            name: "a".parse().unwrap(),
            host: "alpha".parse().unwrap(),
            pair: None,
            pid: None,
            status,
            goal,
            run_mode: RunMode::Unknown,
            epoch: None,
            restarts: 0,
            gave_up: false,
            hands_off: false,
            restart_pending: Vec::new(),
            problem: String::new(),
            last_exit: None,
            since: Moment(0),
            as_found: false,
        }
    }

    fn pair_without_primary() -> PairView {
        PairView {
            name: "p".parse().unwrap(),
            redundancy: Redundancy::HotStandby,
            policy: Policy::Available,
            primary: None,
            primary_heard: false,
            backup: "a".parse().unwrap(),
            stored: None,
            state: "vacant".to_owned(),
            since: Moment(0),
            as_found: false,
            ready: false,
            not_ready_because: Vec::new(),
            two_act: false,
            second_may_act: false,
            two_acted: 0,
            held_because: None,
            promise: None,
            alive_through: None,
            in_sync: None,
            waits_for_data: None,
            votes_given: 0,
            votes_refused: 0,
            because: None,
            considered: Because::new(Rule::NobodyReady, "nobody"),
            held_back: None,
        }
    }

    fn wrongs(change: impl FnOnce(&mut ClusterView, &mut Beside)) -> Vec<String> {
        let host = HostState {
            name: "alpha".parse().unwrap(),
            address: String::new(),
            status: HostStatus::Running,
            since: Moment(0),
            heard: None,
            problem: String::new(),
            loss_survivable: false,
            drained: false,
            held: None,
            loss_risks: Vec::new(),
            only_here: Vec::new(),
            clock_doubts: Vec::new(),
        };
        let applications = vec![
            application(ApplicationStatus::Started, Goal::Started),
            application(ApplicationStatus::Stopped, Goal::Stopped),
        ];
        let mut view = ClusterView { hosts: vec![host], applications, ..ClusterView::default() };
        let mut beside = Beside::default();
        change(&mut view, &mut beside);
        wrong(&view, &beside)
    }

    #[test]
    fn what_is_as_wished_is_not_wrong_and_everything_else_is_named() {
        assert_eq!(wrongs(|_, _| {}), [""; 0]);
        assert_eq!(wrongs(|view, _| view.warnings.push("a risk".to_owned())), [""; 0]);
        assert_eq!(
            wrongs(|view, _| view.hosts[0].status = HostStatus::Inaccessible),
            ["host alpha is inaccessible"]
        );
        let clock = wrongs(|view, _| view.hosts[0].clock_doubts.push("it stood still".to_owned()));
        assert_eq!(clock, ["the clock of host alpha and others run apart"]);
        let stopped = wrongs(|view, _| view.applications[0].status = ApplicationStatus::Stopped);
        assert_eq!(stopped, ["application a is stopped, its goal is started"]);
        let pair = |view: &mut ClusterView, goal| {
            view.pairs.push(pair_without_primary());
            view.applications[1].pair = Some("p".parse().unwrap());
            view.applications[1].goal = goal;
        };
        assert_eq!(wrongs(|view, _| pair(view, Goal::Stopped)), [""; 0], "nothing of it should run");
        assert_eq!(wrongs(|view, _| pair(view, Goal::Started))[0], "pair p has no primary");
        assert_eq!(wrongs(|_, beside| beside.wrong.push("the journal".to_owned())), ["the journal"]);
    }
}

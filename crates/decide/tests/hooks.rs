//! How a member without the library is told of its role, one rule a test.
//!
//! The law: what may have happened by half is undone, and nothing begins before what came before it is gone.

mod one;

use one::{Bench, ms, name};
use understudy_decide::agent::*;
use understudy_model::*;

fn pair() -> PairName {
    PairName::new("pair").unwrap()
}

fn role() -> RoleEpoch {
    RoleEpoch::new(Epoch(5), name())
}

fn hooked(assigned: &mut Assignment) {
    assigned.spec.conduct.hooks.on_promote = vec!["/bin/promote".into()];
    assigned.spec.conduct.hooks.on_demote = vec!["/bin/demote".into()];
    assigned.spec.conduct.hooks.timeout = ms(400);
    assigned.pair = Some(PairPlace {
        pair: pair(),
        peer: ApplicationName::new("other").unwrap(),
        peer_address: "127.0.0.12".into(),
        peer_ports: Vec::new(),
        fence_budget: ms(100),
        link_grace: ms(100),
        strict: None,
    });
}

/// A member that runs as a backup, and a control server.
fn member() -> Bench {
    let mut bench = Bench::new(Interface::Plain, hooked);
    join(&mut bench, 1);
    bench
}

fn join(bench: &mut Bench, link: u64) {
    let controller = ControllerName::new("scs-1").unwrap();
    bench.sees(AgentSaw::ControllerJoined {
        link: LinkId(link),
        controller,
        controller_epoch: ControllerEpoch(1),
        lineage: Vec::new(),
    });
}

fn order(bench: &mut Bench, link: u64, id: u64, work: Work) {
    let order =
        Order { id: OrderId(id), incarnation: Incarnation(7), controller_epoch: ControllerEpoch(1), work };
    bench.sees(AgentSaw::Ordered { link: LinkId(link), order });
}

fn promote(bench: &mut Bench) {
    order(bench, 1, 1, Work::Promote { pair: pair(), role: role(), time_limit: ms(10_000), grant: None });
}

fn demote(bench: &mut Bench, link: u64) {
    order(bench, link, 2, Work::Demote { pair: pair(), role: role(), time_limit: ms(100) });
}

/// Every hook that was begun, and whether it was killed.
fn hooks(bench: &Bench) -> Vec<(HookKind, bool)> {
    let begun = |action: &AgentDo| match action {
        AgentDo::RunHook(run) => Some((run.kind, bench.done.iter().any(|other| kills(other, run.hook)))),
        _ => None,
    };
    bench.done.iter().filter_map(begun).collect()
}

fn kills(action: &AgentDo, hook: StartId) -> bool {
    matches!(action, AgentDo::KillTree { start, .. } if *start == hook)
}

/// The last hook that was begun ends.
fn ends(bench: &mut Bench, failed: bool) {
    let number = |action: &AgentDo| match action {
        AgentDo::RunHook(run) => Some(run.hook),
        _ => None,
    };
    let hook = bench.done.iter().filter_map(number).next_back().unwrap();
    let failed = failed.then(|| "exit code 1".to_owned());
    bench.sees(AgentSaw::HookEnded { application: name(), hook, failed, said: String::new() });
    bench.pass(0);
}

fn answer(bench: &Bench, id: u64) -> Option<Outcome> {
    let given = |action: &AgentDo| match action {
        AgentDo::Answer { answer, .. } if answer.order == OrderId(id) => Some(answer.outcome.clone()),
        _ => None,
    };
    bench.done.iter().find_map(given)
}

fn acting(bench: &Bench) -> Option<RoleEpoch> {
    bench.agent.inventory().applications[0].role.as_ref().unwrap().acting.clone()
}

fn dies(bench: &mut Bench) {
    let (start, others_live, last_words) = (bench.start, false, String::new());
    let cause = ExitCause::Signal(9);
    bench.sees(AgentSaw::Ended { application: name(), start, cause, others_live, last_words });
}

#[test]
fn no_hook_runs_before_the_promise_is_durable() {
    let mut bench = member();
    promote(&mut bench);
    assert_eq!(hooks(&bench), []);
    bench.pass(0);
    assert_eq!(hooks(&bench), [(HookKind::Promote, false)]);
    assert_eq!(answer(&bench, 1), None);
    ends(&mut bench, false);
    assert_eq!((answer(&bench, 1), acting(&bench)), (Some(Outcome::Done), Some(role())));
}

#[test]
fn no_hook_runs_for_a_promise_that_could_not_be_stored() {
    let mut bench = member();
    promote(&mut bench);
    let records = vec![AgentRecord::Promise { pair: pair(), role: role(), lease: std::time::Duration::ZERO }];
    bench.sees(AgentSaw::StoreFailed { records, why: "disk full".into() });
    bench.pass(10_000);
    assert_eq!(hooks(&bench), []);
    assert!(matches!(answer(&bench, 1), Some(Outcome::Refused(Refusal::NotDurable(_)))));
}

#[test]
fn a_promotion_that_failed_is_undone_and_refused_only_then() {
    let mut bench = member();
    promote(&mut bench);
    bench.pass(0);
    ends(&mut bench, true);
    assert_eq!(hooks(&bench), [(HookKind::Promote, false), (HookKind::Demote, false)]);
    assert_eq!((answer(&bench, 1), acting(&bench)), (None, Some(role())));
    ends(&mut bench, false);
    assert!(matches!(answer(&bench, 1), Some(Outcome::Refused(Refusal::ApplicationRefused(_)))));
    assert!(!bench.killed() && acting(&bench).is_none());
}

#[test]
fn a_late_hook_is_killed_and_the_next_one_begins_when_it_is_gone() {
    let mut bench = member();
    promote(&mut bench);
    bench.pass(399);
    assert_eq!(hooks(&bench), [(HookKind::Promote, false)]);
    bench.pass(1);
    assert_eq!(hooks(&bench), [(HookKind::Promote, true)]);
    // What it says now is not believed, and only now is it gone.
    ends(&mut bench, false);
    assert_eq!(hooks(&bench), [(HookKind::Promote, true), (HookKind::Demote, false)]);
    assert_eq!(answer(&bench, 1), None);
}

#[test]
fn a_demotion_has_the_fence_budget_as_a_whole_and_then_it_is_a_kill() {
    let mut bench = member();
    promote(&mut bench);
    bench.pass(0);
    ends(&mut bench, false);
    demote(&mut bench, 1);
    bench.pass(99);
    assert!(!bench.killed());
    bench.pass(1);
    assert!(bench.killed() && hooks(&bench).last() == Some(&(HookKind::Demote, true)));
    assert_eq!(answer(&bench, 2), None);
    dies(&mut bench);
    bench.pass(0);
    assert_eq!(answer(&bench, 2), None, "its hook still lives");
    ends(&mut bench, true);
    bench.pass(0);
    assert_eq!(answer(&bench, 2), Some(Outcome::Done));
}

#[test]
fn a_demotion_that_says_yes_when_it_is_killed_already_is_not_believed() {
    let mut bench = member();
    promote(&mut bench);
    bench.pass(0);
    ends(&mut bench, false);
    demote(&mut bench, 1);
    bench.pass(100);
    ends(&mut bench, false);
    assert_eq!((answer(&bench, 2), acting(&bench)), (None, Some(role())));
    dies(&mut bench);
    bench.pass(0);
    assert_eq!(answer(&bench, 2), Some(Outcome::Done));
}

#[test]
fn a_tree_that_is_gone_before_its_hook_waits_for_it() {
    let mut bench = member();
    promote(&mut bench);
    bench.pass(0);
    let (start, others_live, last_words) = (bench.start, true, String::new());
    let cause = ExitCause::Signal(9);
    bench.sees(AgentSaw::Ended { application: name(), start, cause, others_live, last_words });
    bench.sees(AgentSaw::TreeGone { application: name(), start });
    bench.pass(0);
    assert_eq!((acting(&bench), answer(&bench, 1)), (Some(role()), None));
    ends(&mut bench, true);
    assert!(acting(&bench).is_none());
}

#[test]
fn a_member_that_dies_during_its_promotion_has_not_ended_before_its_hook_has() {
    let mut bench = member();
    promote(&mut bench);
    bench.pass(0);
    dies(&mut bench);
    assert_eq!(hooks(&bench), [(HookKind::Promote, true)]);
    assert_eq!((acting(&bench), answer(&bench, 1)), (Some(role()), None));
    ends(&mut bench, true);
    bench.pass(0);
    assert!(acting(&bench).is_none());
    assert!(matches!(answer(&bench, 1), Some(Outcome::Refused(Refusal::Died(_)))));
}

#[test]
fn one_that_comes_up_as_primary_is_not_told_by_a_hook_to_be_a_backup_but_stopped() {
    let mut bench = member();
    promote(&mut bench);
    bench.pass(0);
    ends(&mut bench, false);
    // Nobody could promote the other one: it is started again in its role.
    bench.sees(AgentSaw::ControllerLeft { link: LinkId(1) });
    dies(&mut bench);
    bench.pass(0);
    join(&mut bench, 2);
    demote(&mut bench, 2);
    assert_eq!(hooks(&bench), [(HookKind::Promote, false)]);
    bench.start.number = 2;
    bench.sees(AgentSaw::Spawned { application: name(), start: bench.start, pid: 101 });
    assert!(
        bench
            .done
            .iter()
            .any(|action| matches!(action, AgentDo::Signal { start, .. } if *start == bench.start))
    );
    assert_eq!(answer(&bench, 2), None);
    dies(&mut bench);
    bench.pass(0);
    assert_eq!(answer(&bench, 2), Some(Outcome::Done));
}

#[test]
fn started_again_in_its_role_it_is_primary_only_when_its_hook_says_so() {
    let mut bench = member();
    promote(&mut bench);
    bench.pass(0);
    ends(&mut bench, false);
    bench.sees(AgentSaw::ControllerLeft { link: LinkId(1) });
    dies(&mut bench);
    bench.pass(0);
    bench.start.number = 2;
    bench.sees(AgentSaw::Spawned { application: name(), start: bench.start, pid: 101 });
    bench.pass(0);
    assert_eq!(hooks(&bench), [(HookKind::Promote, false), (HookKind::Promote, false)]);
    assert_eq!(bench.agent.inventory().applications[0].run_mode, RunMode::Backup);
    ends(&mut bench, false);
    assert_eq!(bench.agent.inventory().applications[0].run_mode, RunMode::Primary);
}

/// An agent that finds this when it begins, with the promise of epoch 5 open.
fn awakes(acts: Option<Epoch>, hook_left: bool) -> Bench {
    let mut assigned = member().agent.applications().next().unwrap().assigned.clone();
    assigned.goal = Goal::Started;
    let durable = DurableRole { promised: Some(role()), closed: Epoch(4), ..DurableRole::default() };
    let memory = AgentMemory {
        agent: AgentId(1),
        controller_epoch: ControllerEpoch(1),
        obeyed: None,
        assignments: vec![assigned],
        roles: [(pair(), durable)].into(),
    };
    let mut bench = member();
    bench.done.clear();
    bench.agent = Agent::new(HostName::new("alpha").unwrap(), Incarnation(7), memory);
    let found = |start, pid| Found {
        application: name(),
        start,
        pid,
        running_for: ms(5_000),
        restarts: 0,
        acts,
        half: None,
        ready: true,
    };
    let hook = StartId::of_hook(Incarnation(6), 1);
    let mut all = vec![found(bench.start, Some(100))];
    all.extend(hook_left.then(|| found(hook, Some(101))));
    bench.sees(AgentSaw::Awake { found: all, pages: Default::default() });
    bench.pass(0);
    bench
}

#[test]
fn a_finished_promotion_is_believed_by_the_next_life() {
    let bench = awakes(Some(Epoch(5)), false);
    assert_eq!((hooks(&bench), acting(&bench)), (vec![], Some(role())));
    assert_eq!(bench.agent.inventory().applications[0].run_mode, RunMode::Primary);
}

#[test]
fn one_of_an_older_epoch_or_of_none_is_undone() {
    for acts in [None, Some(Epoch(4))] {
        let mut bench = awakes(acts, false);
        assert_eq!(hooks(&bench), [(HookKind::Demote, false)], "{acts:?}");
        ends(&mut bench, false);
        assert!(acting(&bench).is_none());
    }
}

#[test]
fn what_a_hook_left_is_gone_before_another_one_begins() {
    let mut bench = awakes(None, true);
    let left = StartId::of_hook(Incarnation(6), 1);
    assert!(bench.done.iter().any(|action| kills(action, left)));
    assert_eq!(hooks(&bench), []);
    let failed = Some("killed".to_owned());
    bench.sees(AgentSaw::HookEnded { application: name(), hook: left, failed, said: String::new() });
    assert_eq!(hooks(&bench), [(HookKind::Demote, false)]);
}

/// One that is never started again by itself, with a hook before its start; told to start.
fn starting() -> Bench {
    let mut bench = Bench::new(Interface::Plain, |assigned| {
        assigned.spec.restart = RestartPolicy::Never;
        assigned.spec.conduct.start_before = vec!["/bin/before".into()];
        assigned.goal = Goal::Stopped;
    });
    join(&mut bench, 1);
    let work = Work::SetGoal { application: name(), goal: Goal::Started, graceful: false };
    order(&mut bench, 1, 1, work);
    bench.pass(0);
    assert_eq!(hooks(&bench), [(HookKind::Before, false)]);
    bench
}

fn spawned(bench: &Bench) -> Vec<StartId> {
    let start = |action: &AgentDo| match action {
        AgentDo::Spawn(spawn) => Some(spawn.start),
        _ => None,
    };
    bench.done.iter().filter_map(start).collect()
}

#[test]
fn a_restart_during_a_start_begins_it_anew_and_loses_nothing() {
    // The hook that it kills may have ended well a moment before.
    for failed in [true, false] {
        let mut bench = starting();
        order(&mut bench, 1, 2, Work::Restart { application: name() });
        assert_eq!(answer(&bench, 2), Some(Outcome::Done));
        assert_eq!(hooks(&bench), [(HookKind::Before, true)]);
        ends(&mut bench, failed);
        bench.pass(0);
        assert_eq!(hooks(&bench), [(HookKind::Before, true), (HookKind::Before, false)]);
        ends(&mut bench, false);
        let [start] = spawned(&bench)[..] else { panic!("{:?}", bench.done) };
        bench.sees(AgentSaw::Spawned { application: name(), start, pid: 101 });
        let report = bench.agent.applications().next().unwrap().report(None, None);
        assert_eq!((report.status, report.problem.as_str()), (ApplicationStatus::Started, ""));
    }
}

#[test]
fn a_restart_while_its_process_is_made_ends_that_and_makes_another() {
    let mut bench = starting();
    ends(&mut bench, false);
    let [first] = spawned(&bench)[..] else { panic!("{:?}", bench.done) };
    order(&mut bench, 1, 2, Work::Restart { application: name() });
    bench.sees(AgentSaw::Spawned { application: name(), start: first, pid: 101 });
    let signalled = |action: &AgentDo| matches!(action, AgentDo::Signal { start, .. } if *start == first);
    assert!(bench.done.iter().any(signalled), "it is stopped: {:?}", bench.done);
    let (cause, others_live, last_words) = (ExitCause::Signal(15), false, String::new());
    bench.sees(AgentSaw::Ended { application: name(), start: first, cause, others_live, last_words });
    bench.pass(0);
    ends(&mut bench, false);
    assert_eq!(spawned(&bench).len(), 2, "and begun again");
}

/// S4: found by the simulator. A member that is told by a new start has no process left that could be told.
#[test]
fn a_demotion_is_no_reason_to_start_again_what_ended_under_maintenance() {
    let mut bench = Bench::new(Interface::Plain, |assigned| {
        hooked(assigned);
        assigned.spec.conduct.hooks = Default::default();
    });
    join(&mut bench, 1);
    promote(&mut bench);
    bench.pass(0);
    dies(&mut bench);
    bench.pass(0);
    bench.start.number = 2;
    let (application, start) = (name(), bench.start);
    bench.sees(AgentSaw::Spawned { application, start, pid: 101 });
    assert_eq!((answer(&bench, 1), acting(&bench)), (Some(Outcome::Done), Some(role())));
    order(&mut bench, 1, 3, Work::SetHandsOff { application: name(), hands_off: true });

    let (cause, last_words) = (ExitCause::Signal(9), String::new());
    bench.sees(AgentSaw::Ended { application: name(), start, cause, others_live: true, last_words });
    demote(&mut bench, 1);
    bench.sees(AgentSaw::TreeGone { application: name(), start });
    bench.pass(60_000);
    assert_eq!((answer(&bench, 2), acting(&bench)), (Some(Outcome::Done), None));
    let spawns = bench.done.iter().filter(|action| matches!(action, AgentDo::Spawn(_))).count();
    assert_eq!(spawns, 2, "as a backup, and as a primary");
}

/// Its host was about to leave, and stays; only what ended by itself is left alone under maintenance.
#[test]
fn a_start_that_a_leave_interrupts_under_maintenance_is_made_when_the_host_stays() {
    let mut bench = starting();
    order(&mut bench, 1, 2, Work::SetHandsOff { application: name(), hands_off: true });
    bench.sees(AgentSaw::LeaveAsked { limit: ms(1_000) });
    bench.pass(0);
    ends(&mut bench, true);
    bench.pass(0);
    bench.sees(AgentSaw::LeaveTakenBack);
    bench.pass(1_000);
    assert_eq!(hooks(&bench).last(), Some(&(HookKind::Before, false)), "{:?}", bench.done);
    assert!(hooks(&bench).len() == 2, "{:?}", hooks(&bench));
}

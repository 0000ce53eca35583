//! What a dead agent began: a member of a strict pair that acts as soon as it runs, and the commands that are run for its role,
//! are known to the guard before they begin, one rule a test.
//!
//! The law: nothing that may act runs before the guard can end it, and nothing of an earlier life acts on a member beside this
//! one.

mod member;

use std::collections::BTreeMap;

use member::*;
use understudy_decide::agent::*;
use understudy_model::*;

/// A member without the library, promoted to epoch 2 as far as its agent can: the first yes has come.
fn promoted(conduct: ConductSpec) -> Bench {
    Bench::voted_for(vec![plain(conduct)])
}

fn plain(conduct: ConductSpec) -> Assignment {
    let mut table = assignment("one", "two", "beta", Interface::Plain);
    table.spec.conduct = conduct;
    table
}

fn hooked() -> ConductSpec {
    let command = || vec!["/bin/true".to_owned()];
    let mut conduct = ConductSpec::default();
    (conduct.hooks.on_promote, conduct.hooks.on_demote) = (command(), command());
    conduct
}

fn spawned(one: &Bench) -> Vec<Spawn> {
    let of = |did: &Did| match did {
        Did::Done(AgentDo::Spawn(spawn)) => Some(spawn.clone()),
        _ => None,
    };
    one.log.iter().filter_map(of).collect()
}

fn hook(one: &Bench, kind: HookKind) -> HookRun {
    let of = |did: &Did| match did {
        Did::Done(AgentDo::RunHook(run)) if run.kind == kind => Some(run.clone()),
        _ => None,
    };
    one.log.iter().rev().find_map(of).unwrap_or_else(|| panic!("no {kind:?} in {:#?}", one.log))
}

fn guards_start(start: StartId) -> impl Fn(&Did) -> bool {
    move |did| matches!(did, Did::Done(AgentDo::Guard { start: told, .. }) if *told == start)
}

fn lets_go_of(start: StartId) -> impl Fn(&Did) -> bool {
    move |did| matches!(did, Did::Done(AgentDo::Unguard { start: told, .. }) if *told == start)
}

fn kills_start(start: StartId) -> impl Fn(&Did) -> bool {
    move |did| matches!(did, Did::Done(AgentDo::KillTree { start: told, .. }) if *told == start)
}

fn is_spawn(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::Spawn(_)))
}

#[test]
fn a_start_that_makes_it_primary_is_held_and_its_guard_is_told_first_and_all_the_while() {
    let mut one = promoted(ConductSpec::default());
    one.log.clear();
    one.exit();
    one.pass(0);
    let spawn = spawned(&one).pop().unwrap();
    assert!(spawn.held && spawn.run_mode == RunMode::Primary);
    assert!(one.at("the guard", guards_start(spawn.start)) < one.at("the start", is_spawn));
    // It takes long to come, and its votes are renewed meanwhile.
    one.log.clear();
    one.pass(700);
    let ask = one.asked().expect("it goes on asking");
    one.peer_says(Bench::yes(&ask));
    one.at("the later moment", guards_start(spawn.start));
}

#[test]
fn a_held_start_whose_role_is_over_is_killed_before_it_was_let_go_on() {
    let mut one = promoted(ConductSpec::default());
    one.exit();
    one.pass(0);
    let start = spawned(&one).pop().unwrap().start;
    one.log.clear();
    one.pass(3_100);
    one.at("the kill", kills_start(start));
    assert!(!one.has(closes), "what became of it is not known");
    one.sees(AgentSaw::SpawnFailed { application: app("one"), start, why: "not let go on".into() });
    one.pass(0);
    assert!(one.has(lets_go_of(start)) && one.has(closes), "{:#?}", one.log);
}

#[test]
fn a_start_in_place_is_held_but_for_a_program_that_reads_its_page_and_a_backup_is_not() {
    for (interface, held) in [(Interface::Plain, true), (Interface::Library, false)] {
        let mut one = Bench::with(kept(1, "two", 0), vec![assignment("one", "two", "beta", interface)]);
        one.pass(3_000);
        one.promote(2, "one");
        one.pass(0);
        let ask = one.asked().expect("it asks");
        one.peer_says(Bench::yes(&ask));
        one.control_says(Bench::yes(&ask));
        one.pass(0);
        if interface == Interface::Plain {
            // It was stopped to be started as primary.
            one.exit();
            one.pass(0);
            let start = one.start_of(&app("one"));
            one.sees(AgentSaw::Spawned { application: app("one"), start, pid: 101 });
        } else {
            one.done(RunMode::Primary, 2);
        }
        one.pass(0);
        one.leave(1);
        one.log.clear();
        one.exit();
        one.pass(50);
        let spawn = spawned(&one).pop().unwrap();
        assert_eq!((spawn.held, spawn.run_mode, spawn.epoch), (held, RunMode::Primary, Epoch(2)));
        let told = one.has(guards_start(spawn.start));
        assert_eq!(told, held, "one that reads its page is guarded when it runs");
    }
    let mut backup = Bench::with(kept(1, "two", 0), vec![plain(ConductSpec::default())]);
    backup.exit();
    backup.pass(200);
    assert!(!spawned(&backup).pop().unwrap().held);
}

#[test]
fn a_command_that_makes_it_primary_is_held_and_guarded_until_it_has_ended() {
    let mut one = promoted(hooked());
    let run = hook(&one, HookKind::Promote);
    assert!(run.held);
    let begins = one.at("the command", |did| matches!(did, Did::Done(AgentDo::RunHook(_))));
    assert!(one.at("its guard", guards_start(run.hook)) < begins);
    assert!(one.at("the guard of its member", guards_start(run.start)) < begins);
    one.log.clear();
    one.pass(700);
    let ask = one.asked().expect("it asks on");
    one.peer_says(Bench::yes(&ask));
    assert!(one.has(guards_start(run.hook)) && one.has(guards_start(run.start)), "{:#?}", one.log);
    assert!(!one.has(lets_go_of(run.hook)));
    let ended = |run: &HookRun| AgentSaw::HookEnded {
        application: app("one"),
        hook: run.hook,
        failed: None,
        said: String::new(),
    };
    one.sees(ended(&run));
    one.at("it is gone", lets_go_of(run.hook));
    // What makes it a backup is guarded, and not kept waiting for that.
    one.log.clear();
    one.order(Work::Demote { pair: pair(), role: role(2, "one"), time_limit: ms(10_000) });
    one.pass(0);
    let run = hook(&one, HookKind::Demote);
    assert!(!run.held);
    one.at("its guard", guards_start(run.hook));
    one.sees(ended(&run));
    one.pass(0);
    assert!(one.has(lets_go_of(run.hook)) && one.has(closes));
}

#[test]
fn nobody_is_told_to_be_primary_while_there_is_no_guard() {
    let mut one = Bench::with(kept(1, "two", 0), vec![plain(hooked())]);
    one.pass(3_000);
    one.promote(2, "one");
    one.pass(0);
    let ask = one.asked().expect("it asks");
    one.sees(AgentSaw::GuardChanged { up: false });
    one.peer_says(Bench::yes(&ask));
    one.pass(100);
    let runs = |did: &Did| matches!(did, Did::Done(AgentDo::RunHook(_)));
    assert!(one.has(page_says_yes) && !one.has(runs), "{:#?}", one.log);
    one.sees(AgentSaw::GuardChanged { up: true });
    one.pass(0);
    one.at("the command", runs);
}

#[test]
fn what_an_earlier_life_ran_for_a_member_is_ended_before_anything_is_begun_for_it() {
    let left = StartId::of_hook(Incarnation(6), 4);
    let found = Found {
        application: app("one"),
        start: left,
        pid: None,
        running_for: ms(10),
        restarts: 0,
        acts: None,
        half: None,
        ready: false,
    };
    let mut one = Bench::begin(kept(2, "one", 0), vec![plain(hooked())], 7, vec![found], BTreeMap::new());
    one.pass(5_000);
    one.at("the kill", kills_start(left));
    assert!(!one.has(is_spawn) && !one.has(closes) && !one.has(lets_go_of(left)), "{:#?}", one.log);
    let failed = Some("its agent ended while it ran".to_owned());
    one.sees(AgentSaw::HookEnded { application: app("one"), hook: left, failed, said: String::new() });
    one.pass(0);
    assert!(one.at("the end of its epoch", closes) < one.at("the start", is_spawn));
    one.at("its guard need not wait for it", lets_go_of(left));
}

/// Started in its role by its agent, and not told of it yet, as there is no guard: it acts all the same, and is not called one
/// that was never told.
#[test]
fn what_was_started_as_primary_is_killed_before_its_epoch_is_given_up() {
    let mut one = promoted(hooked());
    one.sees(AgentSaw::HookEnded {
        application: app("one"),
        hook: hook(&one, HookKind::Promote).hook,
        failed: None,
        said: String::new(),
    });
    one.pass(0);
    one.leave(1);
    one.exit();
    one.pass(50);
    let start = spawned(&one).pop().expect("a start in place").start;
    one.sees(AgentSaw::GuardChanged { up: false });
    one.sees(AgentSaw::Spawned { application: app("one"), start, pid: 101 });
    one.log.clear();
    let remembered = Remembered { pair: pair(), voted: None, released: Epoch(2), lease: ms(3_000) };
    one.sees(AgentSaw::PeerRemembers { host: host("beta"), remembered });
    one.pass(0);
    one.at("the kill", kills_start(start));
    assert!(!one.has(closes), "{:#?}", one.log);
    one.exit();
    one.pass(0);
    one.at("the end", closes);
}

//! Guards that are killed, stopped or there twice.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use understudy_guard::guards::GuardEvent;
use understudy_guard::now;

use crate::bench::{self, AWAY, Bench, PROGRAM, Prey, SOON, start_of, until};

#[test]
fn a_guard_that_is_killed_is_replaced_and_everything_is_armed_again() {
    let bench = Bench::new();
    let (mut prey, mut moved) = (Prey::start(1, "sleep 1000"), Prey::start(2, "sleep 1000"));
    let kill_at = now() + AWAY;
    bench.guard(&prey, kill_at).unwrap();
    bench.guard(&moved, kill_at).unwrap();
    let first = bench.up_pid();
    let handle = bench::handle(first);
    bench::kill(first, Signal::KILL);
    // Said while nobody is there, perhaps.
    bench.guard(&moved, kill_at + Duration::from_secs(3_600)).unwrap();
    assert!(matches!(bench.next(), GuardEvent::Down { .. }));
    assert!(matches!(bench.next(), GuardEvent::Up { .. }));
    bench::ended(&handle);
    assert!(now() < kill_at, "this machine is too busy for this story");
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    assert!(now() >= kill_at);
    prey.was_killed();
    bench.is_quiet(SOON);
    assert!(moved.lives());
}

#[test]
fn again_and_again() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    bench.guard(&prey, now() + Duration::from_secs(3_600)).unwrap();
    let mut before = bench.up_pid();
    for _ in 0..5 {
        let handle = bench::handle(before);
        bench::kill(before, Signal::KILL);
        before = bench.up_pid();
        bench::ended(&handle);
    }
    assert!(prey.lives());
    bench.guard(&prey, now()).unwrap();
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
}

#[test]
fn a_guard_that_slept_kills_late_and_says_so() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    bench.guards.need();
    let guard = bench.up_pid();
    let kill_at = now() + AWAY;
    bench.guard(&prey, kill_at).unwrap();
    until("it is armed", || bench.guards.is_armed(prey.start));
    bench::stop(guard);
    assert!(now() < kill_at, "this machine is too busy for this story");
    let resume_at = kill_at + SOON;
    bench::pass(resume_at);
    assert!(prey.lives());
    bench::kill(guard, Signal::CONT);
    match bench.fired() {
        GuardEvent::Fired { kill_at: asked, at, .. } => {
            assert_eq!(asked, kill_at);
            assert!(at >= resume_at, "it says when it really was");
            println!("stopped over its time, it killed {:?} late", at.since(kill_at));
        }
        other => panic!("{other:?}"),
    }
    prey.was_killed();
}

#[test]
fn a_guard_that_slept_does_not_kill_what_was_moved_meanwhile() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    bench.guards.need();
    let guard = bench.up_pid();
    let kill_at = now() + AWAY;
    bench.guard(&prey, kill_at).unwrap();
    until("it is armed", || bench.guards.is_armed(prey.start));
    bench::stop(guard);
    assert!(now() < kill_at, "this machine is too busy for this story");
    bench.guard(&prey, now() + Duration::from_secs(3_600)).unwrap();
    bench::pass(kill_at);
    bench::kill(guard, Signal::CONT);
    bench.is_quiet(SOON * 2);
    assert!(prey.lives());
}

#[test]
fn a_guard_that_does_not_confirm_in_time_is_replaced() {
    let bench = Bench::new();
    bench.guards.need();
    let first = bench.up_pid();
    let handle = bench::handle(first);
    bench::stop(first);
    let mut prey = Prey::start(1, "sleep 1000");
    bench.guard(&prey, now() + Duration::from_secs(3_600)).unwrap();
    assert!(matches!(bench.next(), GuardEvent::Down { why } if why.contains("not confirmed")));
    bench.up_pid();
    bench::ended(&handle);
    bench.guard(&prey, now()).unwrap();
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    prey.was_killed();
}

/// What it is told has no answer, and its queue takes minutes of that.
#[test]
fn a_guard_that_is_stopped_while_nothing_new_is_to_be_guarded_is_replaced() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    bench.guard(&prey, now() + Duration::from_secs(3_600)).unwrap();
    let first = bench.up_pid();
    let handle = bench::handle(first);
    until("it is armed", || bench.guards.is_armed(prey.start));
    // It is asked now and then, and answers.
    bench.is_quiet(Duration::from_millis(2_500));
    bench::stop(first);
    assert!(matches!(bench.next(), GuardEvent::Down { why } if why.contains("does not answer")));
    bench.up_pid();
    bench::ended(&handle);
    assert!(prey.lives());
}

#[test]
fn a_guard_that_reads_no_more_is_replaced() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    let far = now() + Duration::from_secs(3_600);
    bench.guard(&prey, far).unwrap();
    let first = bench.up_pid();
    let handle = bench::handle(first);
    bench::stop(first);
    // Until its queue is full; each of them costs no more than that.
    let mut moves = 0;
    while bench.guards.is_up() {
        bench.guard(&prey, far + Duration::from_nanos(moves)).unwrap();
        moves += 1;
    }
    println!("{moves} moves were sent to a guard that was stopped");
    assert!(matches!(bench.next(), GuardEvent::Down { why } if why.contains("does not read")));
    bench.up_pid();
    bench::ended(&handle);
    assert!(prey.lives());
}

#[test]
fn a_stopped_guard_of_an_earlier_life_is_replaced() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    let far = now() + Duration::from_secs(3_600);
    bench.guard(&prey, far).unwrap();
    let first = bench.up_pid();
    let handle = bench::handle(first);
    bench::stop(first);
    let bench = bench.next_life();
    bench.guard(&prey, far).unwrap();
    bench.up_pid();
    bench::ended(&handle);
    assert!(prey.lives());
}

#[test]
fn one_guard_for_a_directory() {
    let bench = Bench::new();
    bench.guards.need();
    let first = bench.up_pid();
    let second = Command::new(PROGRAM)
        .arg("--directory")
        .arg(bench.directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(75));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another guard watches over"), "{said}");
    assert!(bench::lives(first));
    let unknown = Command::new(PROGRAM).arg("--nonsense").output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn it_ends_by_itself_when_nobody_needs_it() {
    let bench = Bench::new();
    let prey = Prey::start(1, "sleep 1000");
    bench.guard(&prey, now() + Duration::from_secs(3_600)).unwrap();
    let guard = bench.up_pid();
    let handle = bench::handle(guard);
    // Armed: it stays when its agent leaves.
    let bench = bench.next_life();
    assert!(bench::lives(guard) && bench.guards.left().len() == 1);
    bench.guards.release(prey.start);
    assert_eq!(bench.guards.left(), []);
    let Bench { guards, directory, .. } = bench;
    drop(guards);
    bench::ended(&handle);
    assert!(!directory.path().join(understudy_guard::SOCKET).exists());
}

//! Guards, agents and what they guard as real processes, killed, stopped and resumed at any moment.

mod agent;
mod bench;
mod disturbed;
mod gate;
mod group;
mod guard_lost;
mod strangers;

use std::time::Duration;

use understudy_guard::guards::GuardEvent;
use understudy_guard::now;

use bench::{AWAY, Bench, Prey, SOON, start_of, until};

#[test]
fn it_says_its_version_and_refuses_what_it_does_not_know() {
    let run = |argument: &str| std::process::Command::new(bench::PROGRAM).arg(argument).output().unwrap();
    let version = run("--version");
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        format!("lca-guard {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(run("--help").status.code(), Some(0));
    assert_eq!(run("--dance").status.code(), Some(2));
}

#[test]
fn a_start_is_killed_at_its_time_with_everything_that_bears_its_mark() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000 & setsid sleep 1000 & wait");
    let mut bystander = Prey::start(2, "sleep 1000 & wait");
    until("it has made its children", || prey.marked().len() == 3);
    let kill_at = now() + SOON;
    bench.guard(&prey, kill_at).unwrap();
    let (fired_at, killed_for) = match bench.fired() {
        GuardEvent::Fired { start, kill_at, at, .. } if start == prey.start => (at, kill_at),
        other => panic!("{other:?}"),
    };
    assert_eq!(killed_for, kill_at);
    assert!(fired_at >= kill_at, "never early");
    prey.was_killed();
    until("its children are gone", || prey.marked().is_empty());
    let late = fired_at.since(kill_at);
    println!("the kill was begun {late:?} after its time");
    assert!(bystander.child.try_wait().unwrap().is_none(), "nobody else is touched");
    assert_eq!(bystander.marked().len(), 2);
}

/// The kernel cuts a name at 15 bytes, in the middle of a letter too, and a program may give itself any.
#[test]
fn what_bears_the_mark_of_a_start_is_killed_whatever_its_name_is() {
    let bench = Bench::new();
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("never");
    let odd = format!("printf \"\\303\" > /proc/$$/comm; read line < {}", fifo.display());
    let mut prey = Prey::start(1, &format!("mkfifo {}; setsid sh -c '{odd}' & wait", fifo.display()));
    let is_odd = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| String::from_utf8(name).is_err())
    };
    until("it has a child without a name", || prey.marked().iter().any(is_odd));
    bench.guard(&prey, now() + SOON).unwrap();
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    prey.was_killed();
    until("its child is gone", || prey.marked().is_empty());
}

#[test]
fn what_is_moved_in_time_lives_and_what_is_released_is_forgotten() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    let first = now() + AWAY;
    bench.guard(&prey, first).unwrap();
    let mut kill_at = first;
    for _ in 0..10 {
        kill_at = now() + AWAY * 2;
        bench.guards.guard(&prey.application, prey.start, kill_at, || panic!("it is held already")).unwrap();
    }
    assert!(now() < first, "this machine was too busy to say anything");
    bench::pass(first);
    bench.is_quiet(SOON);
    assert!(prey.lives());
    assert_eq!(bench.guards.kill_at(prey.start), Some(kill_at));
    bench.guards.release(prey.start);
    bench::pass(kill_at);
    bench.is_quiet(SOON);
    assert!(prey.lives());
    assert_eq!(bench.guards.kill_at(prey.start), None);
}

#[test]
fn a_time_that_is_over_kills_at_once() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    let mut other = Prey::start(2, "sleep 1000");
    bench.guard(&prey, now() - Duration::from_secs(1)).unwrap();
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    prey.was_killed();
    bench.guard(&other, now() + SOON * 100).unwrap();
    bench.guard(&other, now() - Duration::from_secs(1)).unwrap();
    assert_eq!(start_of(&bench.fired()), Some(other.start));
    other.was_killed();
}

#[test]
fn a_process_that_is_gone_is_nobody_also_if_its_number_is_anothers() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    let pid = prey.child.id();
    bench.guard(&prey, now() + SOON * 2).unwrap();
    prey.child.kill().unwrap();
    prey.child.wait().unwrap();
    // The kernel gives the number to the next process, if this user may ask it to.
    let mut heir = None;
    for _ in 0..50 {
        if std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
            println!("only that nothing goes wrong is seen: this user cannot have a number given again");
            break;
        }
        let mut next = Prey::start(2, "sleep 1000");
        if next.child.id() == pid {
            heir = Some(next);
            break;
        }
        next.child.kill().unwrap();
        next.child.wait().unwrap();
    }
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    if let Some(mut heir) = heir {
        assert!(heir.child.try_wait().unwrap().is_none(), "another process has that number now");
        println!("number {pid} was given again, and its new owner lives");
    }
}

#[test]
fn an_idle_guard_wakes_never_and_is_small() {
    let bench = Bench::new();
    let prey = Prey::start(1, "sleep 1000");
    bench.guard(&prey, now() + Duration::from_secs(3_600)).unwrap();
    bench.settle();
    let guard = bench.up_pid();
    let wakes = || bench::status(guard, "voluntary_ctxt_switches");
    until("it waits", || {
        let before = wakes();
        bench.is_quiet(Duration::from_millis(20));
        before == wakes()
    });
    let before = wakes();
    bench.is_quiet(Duration::from_secs(1));
    assert_eq!(wakes(), before, "something wakes it");
    let (resident, locked) = (bench::status(guard, "VmRSS"), bench::status(guard, "VmLck"));
    println!("a guard has {resident} kB of memory, {locked} kB of it locked, and wakes 0 times in a second");
    assert!(resident < 8 * 1024, "{resident} kB");
}

#[test]
fn as_many_as_there_are_slots_and_no_more() {
    let bench = Bench::new();
    let prey = Prey::start(1, "sleep 1000");
    let far = now() + Duration::from_secs(3_600);
    for number in 0..understudy_guard::MOST_SLOTS as u64 {
        let start = bench::start(1_000 + number);
        bench.guards.guard(&prey.application, start, far, || Ok(Some(prey.grip()))).unwrap();
    }
    let full = bench.guards.guard(&prey.application, bench::start(1), far, || Ok(Some(prey.grip())));
    assert!(full.unwrap_err().to_string().contains("256"));
    bench.guards.release(bench::start(1_007));
    bench.guards.guard(&prey.application, bench::start(1), far, || Ok(Some(prey.grip()))).unwrap();
    bench.settle();
    bench.is_quiet(SOON);
}

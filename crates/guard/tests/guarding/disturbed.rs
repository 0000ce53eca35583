//! How late a kill is, on a machine with nothing else to do and on one that is short of processors; measured, not judged.

use std::time::Duration;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use understudy_guard::guards::GuardEvent;
use understudy_guard::now;

use crate::bench::{Bench, Prey};

const ROUNDS: u64 = 10;
const AHEAD: Duration = Duration::from_millis(30);

#[test]
fn how_late_a_kill_is_beside_a_bare_timer() {
    let bench = Bench::new();
    bench.guards.need();
    bench.up_pid();
    let (mut begun, mut gone, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        let mut prey = Prey::start(number, "exec sleep 1000");
        let kill_at = now() + AHEAD;
        bench.guard(&prey, kill_at).unwrap();
        prey.was_killed();
        gone.push(now().since(kill_at));
        match bench.fired() {
            GuardEvent::Fired { at, .. } => begun.push(at.since(kill_at)),
            other => panic!("{other:?}"),
        }
        floor.push(bare_timer());
    }
    for times in [&mut begun, &mut gone, &mut floor] {
        times.sort_unstable();
    }
    let [begun, gone, floor] =
        [begun, gone, floor].map(|times| (times[times.len() / 2], times[times.len() - 1]));
    println!(
        "median and longest of {ROUNDS}: bare timer {floor:?}, kill begun {begun:?}, end seen {gone:?} late"
    );
}

fn bare_timer() -> Duration {
    let timer = rustix::time::timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::empty()).unwrap();
    let at = now() + AHEAD;
    let value = Timespec {
        tv_sec: (at.0 / 1_000_000_000).try_into().unwrap(),
        tv_nsec: (at.0 % 1_000_000_000).try_into().unwrap(),
    };
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let setting = Itimerspec { it_interval: zero, it_value: value };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &setting).unwrap();
    rustix::io::read(&timer, &mut [0_u8; 8]).unwrap();
    now().since(at)
}

//! Policy `strict`, and everything of a primary's side stopped and resumed: the member, its agent, its guard, the control
//! server, alone and together, and together with a cut.
//!
//! The law: whoever sleeps, for how long and with whom, a member that wakes in an epoch that is over acknowledges nothing.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use understudy_model::{Policy, Preset};
use understudy_stage::net::{Lane, Station};
use understudy_stage::sweep::{Held, open_marked};
use understudy_stage::{ApplicationPlan, Daemon, Host, Interrupt, Plan};

use crate::play::{Play, app, pair};
use crate::strict::{assert_one, watch};

/// Four leases of the preset `fast`.
const FROZEN: Duration = Duration::from_secs(1);
/// How long a member that wakes runs before agent and guard do.
const ALONE: Duration = Duration::from_millis(50);

/// Who is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Member,
    Agent,
    Guard,
    Server,
}
use Who::{Agent, Guard, Member, Server};

fn fast(plan: &mut Plan) {
    plan.preset = Some(Preset::Fast);
    plan.set_policy(Policy::Strict);
}

fn host_of(member: &str) -> Host {
    if member.ends_with("-1") { Host::Alpha } else { Host::Beta }
}

fn hold(play: &Play, pid: u32) -> Held {
    open_marked(pid, play.stage.directory()).unwrap()
}

/// Takes hold of them all, before anybody is stopped.
fn hold_all(play: &Play, who: &[Who], member: &str) -> Vec<Held> {
    let status = play.status();
    let host = host_of(member);
    let hold_one = |one: &Who| match one {
        Member => hold(play, app(&status, member).pid.unwrap()),
        Agent => hold(play, play.stage.daemon_pid(Daemon::Agent(host)).unwrap()),
        Guard => play.stage.guard(host).unwrap().expect("a guard"),
        Server => hold(play, play.stage.daemon_pid(Daemon::Server).unwrap()),
    };
    who.iter().map(hold_one).collect()
}

#[test]
fn nobody_who_was_stopped_acts_in_an_epoch_that_is_over() {
    let Some(mut play) = Play::networked(fast) else { return };
    play.stage.start_all().unwrap();
    let all: [(&[Who], bool); 11] = [
        (&[Member], false),
        (&[Agent], false),
        (&[Guard], false),
        (&[Server], false),
        (&[Member, Agent], false),
        (&[Agent, Guard], false),
        (&[Agent, Server], false),
        (&[Member, Agent, Guard], false),
        (&[Member, Agent, Guard, Server], false),
        (&[Agent, Guard], true),
        (&[Member, Agent, Guard], true),
    ];
    let (mut replaced, mut woke) = (0, 0);
    for (who, cut) in all {
        let what = format!("{who:?} stopped{}", if cut { ", their host cut off" } else { "" });
        let before = play.until_well();
        let (primary, epoch) = (pair(&before, "t").primary.clone().unwrap(), pair(&before, "t").epoch);
        let witness = watch(&play);
        Interrupt::default().let_pass(Duration::from_millis(200)).unwrap();
        let held = hold_all(&play, who, &primary);
        if cut {
            play.network().set_around(Station::Host(host_of(&primary)), Lane::CUT);
        }
        held.iter().for_each(|one| one.stop().unwrap());
        Interrupt::default().let_pass(FROZEN).unwrap();
        for (one, is) in held.iter().zip(who) {
            one.resume().unwrap();
            if matches!(is, Member) {
                // A moment in which nobody but itself keeps it from acting: who is continued first is chance elsewhere.
                Interrupt::default().let_pass(ALONE).unwrap();
            }
        }
        play.network().heal();
        let after = play.until_well();
        let seen = witness.end().unwrap();
        assert_one(&seen, &what);
        let acted = seen.epochs();
        let moved = pair(&after, "t").epoch > epoch;
        replaced += u32::from(moved);
        woke += u32::from(moved && seen.late_refusals > 0);
        let refused = seen.late_refusals;
        eprintln!("{what}: epochs {acted:?}, {refused} refused by whoever woke, epoch moved: {moved}");
    }
    assert!(replaced >= 4, "only {replaced} were replaced: this shows nothing");
    assert!(woke >= 1, "nobody was asked when it woke: this shows nothing");
}

/// A member that knows nothing of roles: whether it acts is a question of whether it runs.
fn plain(plan: &mut Plan) {
    fast(plan);
    plan.add_pair("plain", |host, name| ApplicationPlan {
        name,
        host,
        command: vec!["/bin/sleep".to_owned(), "100000".to_owned()],
        environment: Vec::new(),
        port: None,
        interface: "plain",
        more: vec!["hooks = { on-promote = [\"/bin/true\"], on-demote = [\"/bin/true\"] }".to_owned()],
    });
    plan.set_policy(Policy::Strict);
}

#[test]
fn a_plain_member_that_wakes_after_its_time_is_killed_at_once() {
    let Some(mut play) = Play::networked(plain) else { return };
    play.stage.start_all().unwrap();
    let status = play.until_well();
    let primary = pair(&status, "plain").primary.clone().unwrap();
    let pid = app(&status, &primary).pid.unwrap();
    let ended = pidfd_open(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), PidfdFlags::empty()).unwrap();
    let (held, _) = play.stage.freeze(host_of(&primary)).unwrap();
    let other = if primary == "plain-1" { "plain-2" } else { "plain-1" };
    play.until_primary_even_alone(other);
    // From the first signal on, as whoever is continued first may act until it is killed.
    let woke = Instant::now();
    play.stage.thaw(&held).unwrap();
    let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
    let count = poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&limit)).unwrap();
    let window = woke.elapsed();
    assert_eq!(count, 1, "it still runs");
    eprintln!(
        "a plain member ran for {window:?} after its time; documented: at most 10 ms on an idle machine"
    );
    assert!(window < Duration::from_secs(2), "{window:?}");
    play.until_well();
}

//! Policy `strict` with real processes: hosts that are cut off, agents that are cut off from one another, and a control server
//! that is gone.
//!
//! Every host has a network of its own. The law: whatever is cut, no two members act; who keeps a majority goes on, and who
//! does not is replaced within a lease.

use std::time::{Duration, Instant};

use understudy_model::Policy;
use understudy_stage::clock::boot_ns;
use understudy_stage::load::Load;
use understudy_stage::net::{Lane, Network, Station};
use understudy_stage::witness::{Seen, Witness};
use understudy_stage::{Daemon, Host, Interrupt, Plan};

use crate::play::{Play, app, assert_nothing_changed, assert_undisturbed, pair, programs, role};

const ALPHA: Station = Station::Host(Host::Alpha);
const BETA: Station = Station::Host(Host::Beta);
/// Long enough that a busy machine renews in time, short enough for a test.
pub const LEASE: Duration = Duration::from_secs(1);
/// What a busy machine may add to a bound.
const BUSY: Duration = Duration::from_secs(4);
/// How long a cut lasts that must change nothing.
const CUT: Duration = Duration::from_millis(2_500);

/// Pairs with a short lease.
pub fn strict(plan: &mut Plan) {
    plan.timers.push("addp-timeout = \"200ms\"\naddp-remote-timeout = \"200ms\"".to_owned());
    let lease = LEASE.as_millis();
    plan.timers.push(format!("lease = \"{lease}ms\"\nrenew = \"150ms\"\nfence-budget = \"200ms\""));
    plan.set_policy(Policy::Strict);
}

/// Watches pair `t`.
pub fn watch(play: &Play) -> Witness {
    Witness::over(&play.stage, "t").unwrap()
}

/// Waits until the agents have their link to one another: after a cut it is called again, which is a fault of its own.
pub fn until_linked(play: &Play) {
    for host in Host::ALL {
        play.until_so("the agents have their link to one another", || {
            let log = play.log(Daemon::Agent(host));
            let (linked, ended) =
                (log.rfind("linked to the agent there"), log.rfind("the link to the agent there ended"));
            if linked > ended { Ok(()) } else { Err(log) }
        });
    }
}

/// No two acted; and what was seen was enough to say so.
#[track_caller]
pub fn assert_one(seen: &Seen, what: &str) {
    let two = seen.two_acted();
    assert!(two.is_empty(), "{what}: {} times, first {:?}", two.len(), &two[..two.len().min(3)]);
    assert!(seen.acts.len() > 100, "{what}: only {} acts were seen", seen.acts.len());
}

#[test]
fn whoever_keeps_a_majority_goes_on() {
    let Some(mut play) = Play::networked(strict) else { return };
    play.stage.start_all().unwrap();
    let before = play.until_well();
    let cuts: [(&str, fn(&Network)); 6] = [
        ("the primary's agent and the control server", |net| {
            net.set_between(ALPHA, Station::Server, Lane::CUT)
        }),
        ("the agents from one another", |net| net.set_between(ALPHA, BETA, Lane::CUT)),
        ("the control server from all", |net| net.set_around(Station::Server, Lane::CUT)),
        ("the primary's words to the other agent", |net| net.set(ALPHA, BETA, Lane::CUT)),
        ("the control server's words to the primary's agent", |net| {
            net.set(Station::Server, ALPHA, Lane::CUT)
        }),
        ("the backup's host from all", |net| net.set_around(BETA, Lane::CUT)),
    ];
    for (what, cut) in cuts {
        until_linked(&play);
        let (witness, from) = (watch(&play), boot_ns());
        cut(play.network());
        Interrupt::default().let_pass(CUT).unwrap();
        let until = boot_ns();
        assert!(play.serves("t-1") && !play.serves("t-2"), "{what}");
        play.network().heal();
        assert_nothing_changed(&before, &play.until_well());
        let seen = witness.end().unwrap();
        assert_one(&seen, what);
        let gap = seen.longest_gap(from, until);
        eprintln!("cut: {what}: nobody answered for {gap:?} at most; bound: none, nothing stops");
        assert!(gap < LEASE, "{what}: {gap:?}");
    }
}

#[test]
fn whoever_has_no_majority_steps_down_before_the_other_acts() {
    let Some(mut play) = Play::networked(strict) else { return };
    play.stage.start_all().unwrap();
    let others = |at: Station| Station::ALL.into_iter().filter(move |other| *other != at);
    let cuts: [(&str, &dyn Fn(&Network, Station)); 4] = [
        ("the primary's host from all", &|net, at| net.set_around(at, Lane::CUT)),
        ("the primary's host hears nothing", &|net, at| {
            others(at).for_each(|other| net.set(other, at, Lane::CUT));
        }),
        ("the primary's host is heard by nobody", &|net, at| {
            others(at).for_each(|other| net.set(at, other, Lane::CUT));
        }),
        ("the primary's agent from both voters, while clients reach it", &|net, at| {
            others(at).filter(|other| *other != Station::Client).for_each(|other| {
                net.set_between(at, other, Lane::CUT);
            });
        }),
    ];
    for (what, cut) in cuts {
        let status = play.until_well();
        until_linked(&play);
        let now = pair(&status, "t");
        let (primary, backup, epoch) = (now.primary.clone().unwrap(), now.backup.clone().unwrap(), now.epoch);
        let witness = watch(&play);
        Interrupt::default().let_pass(Duration::from_millis(300)).unwrap();
        let (from, began) = (boot_ns(), Instant::now());
        cut(play.network(), if primary == "t-1" { ALPHA } else { BETA });
        play.until_primary_even_alone(&backup);
        play.until_so("the new primary answers", || {
            if play.serves(&backup) { Ok(()) } else { Err("not yet".to_owned()) }
        });
        let took = began.elapsed();
        assert!(!play.serves(&primary), "{what}: the former primary still answers as one");
        let until = boot_ns();
        play.network().heal();
        let end = play.until_primary(&backup);
        play.until_well();
        assert!(role(&end, "t").1 > epoch);
        let seen = witness.end().unwrap();
        assert_one(&seen, what);
        assert!(seen.epochs().len() > 1, "{what}: {:?}", seen.epochs());
        let gap = seen.longest_gap(from, until);
        eprintln!(
            "cut: {what}: nobody answered for {gap:?}, replaced after {took:?}; bound: the lease, {LEASE:?}"
        );
        assert!(gap < LEASE + BUSY, "{what}: {gap:?}");
        assert_eq!(play.scsctl_json(&["pair", "t"])["two_acted"], 0, "{what}");
    }
}

#[test]
fn ten_seconds_without_a_control_server_cost_nothing() {
    let mut play = Play::set_up_and(&["p"], strict);
    play.stage.start_all().unwrap();
    let before = play.until_well();
    let members = ["t-1", "t-2"].map(|name| play.address(name).to_string());
    let mut load = Load::start(&programs(), &members, &["--pause-us", "500"], None).unwrap();
    let interrupt = Interrupt::default();
    load.until(&interrupt, "the client is served", BUSY * 4, |one| one.event == "epoch-changed").unwrap();
    play.stage.kill(Daemon::Server).unwrap();
    let away = Instant::now();
    // Another primary dies meanwhile: its agent starts it again in its role, as nobody could promote the other.
    let role_of_p = play.ask("p-1", "HELLO").unwrap();
    let pid = app(&before, "p-1").pid.unwrap();
    understudy_stage::sweep::open_marked(pid, play.stage.directory()).unwrap().kill().unwrap();
    play.until_so("it serves again, in the same epoch", || match play.ask("p-1", "HELLO") {
        Ok(answer) if answer == role_of_p && !understudy_stage::sweep::is_alive(pid) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    interrupt.let_pass(Duration::from_secs(10).saturating_sub(away.elapsed())).unwrap();
    for (primary, backup) in [("t-1", "t-2"), ("calm-1", "calm-2"), ("p-1", "p-2")] {
        assert!(play.serves(primary) && !play.serves(backup), "{primary}");
    }
    play.stage.start(Daemon::Server).unwrap();
    let after = play.until_well();
    assert_undisturbed(&before, &after, &["p-1"]);
    for name in ["t", "p"] {
        assert_eq!(role(&before, name), role(&after, name));
    }
    let (client, moments) = load.end(&interrupt).unwrap();
    eprintln!(
        "10 s without a control server: {} writes acknowledged, {:?} lost, longest silence {} ms",
        client.writes_acknowledged,
        client.lost_of_all(),
        client.longest_outage_ms
    );
    assert_eq!(client.lost_of_all(), Some(0), "{client:?}");
    let doubted = (client.dual_primary_observations, client.stale_rejected, client.stale_accepted);
    assert_eq!(doubted, (0, 0, 0), "{moments:?}");
    assert!(client.longest_outage_ms < 1_000.0, "{client:?}");
}

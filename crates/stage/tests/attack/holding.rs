//! A host that is held for planned work, with real processes: its agent is away for several leases, and what acts there goes
//! on; without the hold its guard ends it.

use understudy_stage::{Daemon, Host, Interrupt};

use crate::play::{Play, app, pair, role};
use crate::strict::{LEASE, strict, watch};

/// For how long this control server is bound, in milliseconds, if the primary falls silent now.
fn bound_ms(play: &Play) -> f64 {
    play.scsctl_json(&["pair", "t"])["promise_left_ms"].as_f64().expect("it is promised")
}

#[test]
fn what_acts_on_a_held_host_outlives_its_agent() {
    let mut play = Play::set_up_and(&[], strict);
    play.stage.start_all().unwrap();
    let before = play.until_well();
    let epoch = role(&before, "t").1;
    let pid = app(&before, "t-1").pid;
    assert!(bound_ms(&play) <= 1_000.0);

    play.scsctl(&["host", "hold", "alpha", "--for", "10m", "--dry-run"])
        .expect(0, &["10 min instead of 1 s", "--end"]);
    play.scsctl(&["host", "hold", "beta", "--for", "10m"])
        .expect(3, &["nothing of a pair is primary on beta"]);
    assert_eq!(role(&play.status(), "t").1, epoch, "nothing was done");

    let witness = watch(&play);
    play.scsctl(&["host", "hold", "alpha", "--for", "10m", "--reason", "new agent"]).expect(0, &[]);
    assert!(bound_ms(&play) > 1_000.0, "the long lease is there when the command ends");
    play.scsctl(&["status"]).expect(0, &["host alpha is held", "up to 10 min instead of 1 s", "new agent"]);
    play.scsctl(&["host", "alpha"]).expect(0, &["held for", "10 min instead of 1 s"]);
    play.scsctl(&["why", "t"]).expect(0, &["10 min instead of 1 s"]);
    let held = play.until_well();
    assert!(role(&held, "t").1 > epoch, "the same member, a new epoch");

    // The control server forgets nothing of it, and the agent is away for several of the usual leases.
    play.stage.kill(Daemon::Server).unwrap();
    play.stage.start(Daemon::Server).unwrap();
    play.until_well();
    play.stage.kill(Daemon::Agent(Host::Alpha)).unwrap();
    Interrupt::default().let_pass(LEASE * 4).unwrap();
    assert!(play.serves("t-1") && !play.serves("t-2"), "nobody followed it");
    play.stage.start(Daemon::Agent(Host::Alpha)).unwrap();
    let after = play.until_well();
    assert_eq!((role(&after, "t"), app(&after, "t-1").pid), (role(&held, "t"), pid), "adopted as it was");

    // The usual lease again: its promise is short only once its agent asked, and so had page and guard cut.
    play.scsctl(&["host", "hold", "alpha", "--end"]).expect(0, &["its usual lease"]);
    play.until_so("the usual lease is there", || match bound_ms(&play) {
        left if left <= 1_000.0 => Ok(()),
        left => Err(format!("bound for {left} ms")),
    });
    play.stage.kill(Daemon::Agent(Host::Alpha)).unwrap();
    play.until_primary_even_alone("t-2");
    play.until_so("the guard ended the former primary", || match play.serves("t-1") {
        false => Ok(()),
        true => Err("it serves".to_owned()),
    });
    play.stage.start(Daemon::Agent(Host::Alpha)).unwrap();
    let end = play.until_well();
    assert_ne!(app(&end, "t-1").pid, pid);
    assert!(pair(&end, "t").epoch > role(&after, "t").1);
    let two = witness.end().unwrap().two_acted();
    assert!(two.is_empty(), "{two:?}");
}

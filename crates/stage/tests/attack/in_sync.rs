//! A pair whose data must not be lost, with real processes: who lacks what was acknowledged is not promoted, whatever is lost.
//!
//! The call servers hold no data of their own; they say, as told by a client, who has everything. The law (G14): nobody outside
//! the record is promoted, but by force.

use understudy_model::Policy;
use understudy_stage::{Daemon, Host};

use crate::play::{Play, app, pair, role};
use crate::strict::strict;

/// Pair `t` keeps its data, and is well.
fn keeping(policy: Policy) -> Play {
    let mut play = Play::set_up_and(&[], |plan| {
        strict(plan);
        plan.set_policy(policy);
    });
    play.set_in_pair("t", "keep-data = true");
    play.stage.start_all().unwrap();
    play.until_primary("t-1");
    play.until_well();
    play
}

fn in_sync(play: &Play) -> Vec<String> {
    let told = play.scsctl_json(&["pair", "t"])["in_sync"].clone();
    let names = told.as_array().unwrap_or_else(|| panic!("{told}"));
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Has it recorded; the epoch for which it is certain.
#[track_caller]
fn says(play: &Play, who: &str, word: &str) -> u64 {
    let said = play.ask(who, word).unwrap();
    let epoch = said.strip_prefix("OK epoch=").and_then(|rest| rest.split(' ').next());
    epoch.and_then(|epoch| epoch.parse().ok()).unwrap_or_else(|| panic!("{word}: {said}"))
}

/// The host of `t-1` falls silent for good, until [`come_back`].
fn lose_alpha(play: &mut Play) {
    play.stage.kill(Daemon::Agent(Host::Alpha)).unwrap();
    for name in ["t-1", "calm-1", "single"] {
        play.stage.kill_application(name).unwrap();
    }
}

#[test]
fn who_was_left_out_waits_for_who_has_the_data() {
    let mut play = keeping(Policy::Strict);
    assert_eq!(in_sync(&play), ["t-1", "t-2"], "nothing was acknowledged yet");
    assert!(
        play.ask("t-2", "LEAVE-OUT-PEER").unwrap().starts_with("ERR not-primary"),
        "a backup says nothing"
    );
    let epoch = says(&play, "t-1", "LEAVE-OUT-PEER");
    assert_eq!(epoch, role(&play.status(), "t").1);
    assert_eq!(in_sync(&play), ["t-1"]);
    let told = &play.events(&["--pair", "t"]);
    assert!(told.iter().any(|event| event["kind"] == "in-sync-changed"), "{told:#?}");

    lose_alpha(&mut play);
    play.until_so("the pair waits for its data", || {
        let waits = play.scsctl_json(&["pair", "t"]);
        if waits["waits_for_data"].is_string() { Ok(()) } else { Err(waits.to_string()) }
    });
    assert!(!play.serves("t-2"));
    let why = "t-2: it lacks what t-1 acknowledged since epoch";
    play.scsctl(&["why", "t"]).expect(0, &["lacks-data", why]);
    play.scsctl(&["status"]).expect(0, &["nobody is primary", why, "scsctl failover t --force"]);
    play.scsctl(&["pair", "t"]).expect(0, &["t-1 alone, since epoch"]);
    play.scsctl(&["failover", "t", "--force", "--dry-run"])
        .expect(0, &["may be lost", "lacks what t-1 acknowledged"]);
    // The other pair keeps no such record, and is followed as ever.
    play.until_so("the other pair went on", || {
        if play.serves("calm-2") { Ok(()) } else { Err("no".to_owned()) }
    });

    play.stage.start(Daemon::Agent(Host::Alpha)).unwrap();
    let back = play.until_primary_even_alone("t-1");
    assert!(role(&back, "t").1 > epoch, "a new epoch");
    assert_eq!(in_sync(&play), ["t-1"], "it is still alone");
    says(&play, "t-1", "PEER-CAUGHT-UP");
    assert_eq!(in_sync(&play), ["t-1", "t-2"]);
    play.until_so("t-2 could take over", || {
        let status = play.status();
        if pair(&status, "t").ready { Ok(()) } else { Err(format!("{:?}", pair(&status, "t"))) }
    });
    lose_alpha(&mut play);
    play.until_primary_even_alone("t-2");
    assert!(play.serves("t-2"));
}

#[test]
fn by_force_who_lacks_data_is_promoted_and_counts_alone_from_then_on() {
    for policy in [Policy::Strict, Policy::Available] {
        let mut play = keeping(policy);
        says(&play, "t-1", "LEAVE-OUT-PEER");
        lose_alpha(&mut play);
        play.until_so("the pair waits", || {
            let waits = play.scsctl(&["failover", "t", "--force", "--dry-run"]);
            if waits.text.contains("may be lost") { Ok(()) } else { Err(waits.text) }
        });
        play.scsctl(&["failover", "t", "--force", "--yes"]).expect(0, &["may be lost"]);
        play.until_primary_even_alone("t-2");
        assert_eq!(in_sync(&play), ["t-2"], "{policy}");
        play.stage.start(Daemon::Agent(Host::Alpha)).unwrap();
        play.until_so("t-1 stands by and is out", || {
            let status = play.status();
            let (member, pair) = (app(&status, "t-1").clone(), pair(&status, "t").clone());
            let out = pair.not_ready_because.iter().any(|why| why.contains("lacks what t-2 acknowledged"));
            if out && member.run_mode == "backup" { Ok(()) } else { Err(format!("{member:?} {pair:?}")) }
        });
        play.scsctl(&["switchover", "t"]).expect(3, &["t-1 is ready: no", "lacks what t-2 acknowledged"]);
    }
}

#[test]
fn nothing_is_recorded_without_a_control_server_and_what_was_is_known_to_the_next_one() {
    let mut play = keeping(Policy::Strict);
    says(&play, "t-1", "LEAVE-OUT-PEER");
    play.stage.kill(Daemon::Server).unwrap();
    play.until_so("nobody records", || {
        let said = play.ask("t-1", "PEER-CAUGHT-UP").unwrap();
        if said.contains("no control server is heard") { Ok(()) } else { Err(said) }
    });
    assert!(play.ask("t-1", "LEAVE-OUT-PEER").unwrap().starts_with("ERR not-recorded"));
    play.stage.start(Daemon::Server).unwrap();
    play.until_primary_even_alone("t-1");
    assert_eq!(in_sync(&play), ["t-1"], "the next leadership knows");
    lose_alpha(&mut play);
    play.until_so("the pair waits", || {
        let waits = play.scsctl_json(&["pair", "t"]);
        if waits["waits_for_data"].is_string() { Ok(()) } else { Err(waits.to_string()) }
    });
    assert!(!play.serves("t-2"));
    // What was said is in the journal, and decided the same again.
    play.scsctl(&["replay"]).expect(0, &[]);
}

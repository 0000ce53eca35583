//! What would happen if ...: the answer is that of the deciding function, held against the function itself where that can be
//! done, and the machine that is asked stays as it is.

#[path = "strict/desk.rs"]
mod desk;

use std::time::Duration;

use desk::*;
use understudy_decide::control::*;
use understudy_model::*;

fn watched(policy: Policy) -> Cluster {
    let mut cluster = cluster();
    let addp = AddpSettings { timeout: ms(250), remote_timeout: ms(250), ..AddpSettings::OFF };
    for site in cluster.hosts.values_mut() {
        site.addp = addp;
    }
    cluster.pairs.get_mut(&pair()).unwrap().policy = policy;
    cluster
}

fn hearing(mut report: ApplicationReport, peer_heard: bool) -> ApplicationReport {
    if let Some(strict) = report.role.as_mut().and_then(|role| role.strict.as_mut()) {
        strict.peer_heard = peer_heard;
    }
    report
}

/// `a` acts, `b` is ready, and their agents hear each other or not.
fn desk(policy: Policy, peer_heard: bool) -> Desk {
    let mut desk = Desk::with(watched(policy), Some(role(1, "a")), |_| ());
    desk.settle();
    desk.reports(hearing(acting(1, "a"), peer_heard));
    desk.reports(hearing(idle("b", 0), peer_heard));
    desk
}

fn foresee(desk: &Desk, supposed: Supposed) -> Foreseen {
    let before = desk.control.clone();
    let foreseen = desk.control.foresee(desk.now, &supposed).unwrap();
    assert!(desk.control == before, "the machine that was asked has changed");
    assert!(!foreseen.cut_short, "{foreseen:#?}");
    foreseen
}

fn lost(name: &str) -> Supposed {
    Supposed::HostLost { host: name.into() }
}

fn cut(one: &str, other: &str) -> Supposed {
    Supposed::LinkCut { one: one.into(), other: other.into() }
}

#[track_caller]
fn only(foreseen: &Foreseen) -> &ForeseenPair {
    assert_eq!(foreseen.pairs.len(), 1, "{foreseen:#?}");
    &foreseen.pairs[0]
}

#[track_caller]
fn ends(foreseen: &Foreseen, then: Option<&str>, after: Option<Duration>, two: bool) {
    let found = only(foreseen);
    let found = (found.primary_then.clone(), found.changed_after, found.two_may_act);
    assert_eq!(found, (then.map(app), after, two), "{foreseen:#?}");
}

#[test]
fn what_runs_on_a_lost_host_alone_is_named() {
    let mut cluster = watched(Policy::Strict);
    let single = ApplicationSpec { ..cluster.applications[&app("a")].clone() };
    cluster.applications.insert(app("cron"), single);
    let mut desk = Desk::with(cluster, Some(role(1, "a")), |_| ());
    desk.settle();
    let foreseen = foresee(&desk, lost("alpha"));
    let named = foreseen.steps.iter().find(|step| step.about.application == Some(app("cron")));
    assert!(named.is_some_and(|step| step.what.contains("nobody takes it over")), "{foreseen:#?}");
    let hosts = desk.control.view(desk.now).hosts;
    assert_eq!(hosts[0].only_here, [app("cron")]);
    assert!(hosts[1..].iter().all(|host| host.only_here.is_empty()), "{hosts:?}");
}

fn decided(foreseen: &Foreseen, rule: Rule) -> bool {
    let rules = foreseen.steps.iter().filter_map(|step| step.because.as_ref());
    rules.into_iter().any(|because| because.rule == rule)
}

#[test]
fn a_lost_host_is_followed_after_its_promise_under_strict_and_after_its_silence_under_available() {
    let strict = desk(Policy::Strict, true);
    let foreseen = foresee(&strict, lost("alpha"));
    // The other agent voted right before: its vote ends a lease later.
    ends(&foreseen, Some("b"), Some(ms(1_000)), false);
    assert!(decided(&foreseen, Rule::PromiseExpired), "{foreseen:#?}");
    let available = desk(Policy::Available, true);
    let foreseen = foresee(&available, lost("ALPHA"));
    ends(&foreseen, Some("b"), Some(ms(500)), false);
    assert!(decided(&foreseen, Rule::HostLost), "{foreseen:#?}");
}

#[test]
fn what_is_foreseen_of_a_lost_host_is_what_then_happens() {
    for at in [0, 130, 700] {
        let mut desk = desk(Policy::Strict, true);
        desk.pass(ms(at));
        assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
        let foreseen = foresee(&desk, lost("alpha"));
        let began = desk.now;
        desk.pass(ms(500));
        desk.link_down("alpha", LinkEnd::Silent);
        let asked = loop {
            desk.pass(ms(1));
            if let Some(asked) = desk.take_pre_vote() {
                break asked;
            }
            assert!(desk.now.since(began) < ms(5_000), "{}", desk.story());
        };
        desk.answers(&asked.0, &asked.1, Outcome::Done);
        let (_, _, ordered, _) = desk.take_promotion().expect("an order");
        assert_eq!(ordered, role(2, "b"));
        ends(&foreseen, Some("b"), Some(desk.now.since(began)), false);
    }
}

#[test]
fn a_lost_backup_costs_nothing_and_is_warned_of() {
    let desk = desk(Policy::Strict, true);
    let foreseen = foresee(&desk, lost("beta"));
    ends(&foreseen, Some("a"), None, false);
    assert_eq!(only(&foreseen).holds, ["this control server renews a"]);
    assert!(foreseen.warnings.iter().any(|one| one.contains("b could not take over")), "{foreseen:#?}");
}

#[test]
fn nobody_follows_a_lost_host_if_the_backup_is_not_ready() {
    let mut desk = desk(Policy::Strict, true);
    let down = ApplicationReport { gave_up: true, problem: "it will not run".into(), ..ended(0, "b", 0) };
    desk.reports(hearing(down, true));
    let foreseen = foresee(&desk, lost("alpha"));
    ends(&foreseen, None, None, false);
}

#[test]
fn a_cut_from_the_control_server_alone_costs_nothing_while_the_other_agent_renews() {
    let desk = desk(Policy::Strict, true);
    let foreseen = foresee(&desk, cut("alpha", "scs"));
    ends(&foreseen, Some("a"), None, false);
    assert!(
        only(&foreseen).because.nearly.iter().any(|one| one.missed.contains("alive through b")),
        "{foreseen:#?}"
    );
    assert_eq!(foresee(&desk, cut("SCS-1", "alpha")), foreseen, "either way round, by any of its names");
}

#[test]
fn a_cut_from_the_control_server_is_a_failover_where_nobody_else_renews() {
    let foreseen = foresee(&desk(Policy::Strict, false), cut("alpha", "scs"));
    ends(&foreseen, Some("b"), Some(ms(1_000)), false);
    let stops = &only(&foreseen).holds;
    assert!(stops.iter().any(|one| one.contains("asked to step down")), "{foreseen:#?}");
    let stepped = foreseen.steps.iter().find(|step| step.what.contains("step down")).unwrap();
    assert!(stepped.after < ms(1_000), "it stops before the other one acts: {foreseen:#?}");
    // The classic policy takes the risk, and says so.
    let foreseen = foresee(&desk(Policy::Available, false), cut("alpha", "scs"));
    ends(&foreseen, Some("b"), Some(ms(500)), true);
}

#[test]
fn a_cut_between_the_agents_is_shown_and_nothing_more() {
    let foreseen = foresee(&desk(Policy::Strict, true), cut("beta", "alpha"));
    ends(&foreseen, Some("a"), None, false);
    assert_eq!(only(&foreseen).holds, ["this control server renews a"]);
    assert!(foreseen.warnings.iter().any(|one| one.contains("steps down")), "{foreseen:#?}");
}

#[test]
fn without_a_control_server_the_other_agent_holds_a_primary_up_or_nobody_does() {
    let foreseen = foresee(&desk(Policy::Strict, true), Supposed::ScsLost);
    ends(&foreseen, Some("a"), None, false);
    assert_eq!(only(&foreseen).holds, ["the agent of beta renews a"]);
    let foreseen = foresee(&desk(Policy::Strict, false), Supposed::ScsLost);
    ends(&foreseen, None, None, false);
    let foreseen = foresee(&desk(Policy::Available, false), Supposed::ScsLost);
    ends(&foreseen, Some("a"), None, false);
}

#[test]
fn a_host_with_the_control_server_on_it_takes_both_votes() {
    let mut desk = desk(Policy::Strict, true);
    let own_hosts = [host("beta")].into();
    desk.sees(ControlSaw::Configured { cluster: desk.cluster.clone(), own_hosts });
    let foreseen = foresee(&desk, lost("beta"));
    ends(&foreseen, None, None, false);
    assert!(only(&foreseen).holds[0].contains("hears neither"), "{foreseen:#?}");
}

#[test]
fn an_ended_process_is_followed_at_once_or_first_waited_for() {
    for policy in [Policy::Strict, Policy::Available] {
        let mut desk = desk(policy, true);
        let crashed = Supposed::AppCrashed { application: "a".into() };
        let foreseen = foresee(&desk, crashed.clone());
        ends(&foreseen, Some("b"), Some(Duration::ZERO), false);
        assert!(decided(&foreseen, Rule::PrimaryExited), "{foreseen:#?}");
        desk.cluster.pairs.get_mut(&pair()).unwrap().on_crash = OnCrash::RestartFirst;
        desk.configure();
        let foreseen = foresee(&desk, crashed);
        ends(&foreseen, Some("b"), Some(Duration::from_secs(5)), false);
        assert!(decided(&foreseen, Rule::WaitForPreferred), "{foreseen:#?}");
    }
}

#[test]
fn a_lost_agent_is_followed_when_its_guard_has_killed_under_strict_and_blindly_under_available() {
    let gone = Supposed::AgentLost { host: "alpha".into() };
    let foreseen = foresee(&desk(Policy::Strict, true), gone.clone());
    ends(&foreseen, Some("b"), Some(ms(1_000)), false);
    let killed = foreseen.steps.iter().find(|step| step.who == "guard of alpha").unwrap();
    assert!(killed.after < ms(1_000), "{foreseen:#?}");
    let foreseen = foresee(&desk(Policy::Available, true), gone);
    let grace = Preset::Fast.timers().agent_restart_grace;
    ends(&foreseen, Some("b"), Some(grace), true);
}

#[test]
fn what_is_not_there_is_named() {
    let desk = desk(Policy::Strict, true);
    let asked = |supposed| desk.control.foresee(desk.now, &supposed).unwrap_err();
    let unknown = |kind, name: &str| SupposeError::Unknown { kind, name: name.into() };
    assert_eq!(asked(lost("moon")), unknown("host", "moon"));
    assert_eq!(asked(cut("alpha", "moon")), unknown("host", "moon"));
    assert_eq!(asked(Supposed::AgentLost { host: "a".into() }), unknown("host", "a"));
    assert_eq!(asked(Supposed::AppCrashed { application: "alpha".into() }), unknown("application", "alpha"));
    for name in ["alpha", "scs"] {
        assert_eq!(asked(cut(name, name)), SupposeError::OneEnd(name.into()));
    }
}

//! Signs of life, one rule a test: what is asked when, when silence is a hang, and who is not blamed.

mod one;

use one::{Bench, LIMIT, ms, name};
use understudy_decide::agent::*;
use understudy_model::notice::{Notice, Watchdog};
use understudy_model::*;

fn ready() -> Notice {
    Notice { ready: true, ..Default::default() }
}

fn alive() -> Notice {
    Notice { watchdog: Some(Watchdog::Alive), ..Default::default() }
}

#[test]
fn a_process_that_stays_stopped_is_hung_when_its_limit_is_over_and_not_before() {
    let mut bench = Bench::new(Interface::Plain, |_| ());
    assert!(bench.looked_at());
    bench.stops();
    bench.pass(999);
    assert!(!bench.examined());
    bench.pass(1);
    assert!(bench.examined() && !bench.killed(), "it is looked at first");
    bench.sees(AgentSaw::Evidence {
        application: name(),
        start: bench.start,
        text: "waits in do_nothing".into(),
        waits_for_core: true,
    });
    assert!(bench.killed(), "one that is stopped waits for nobody");
    let told = format!("{:?}", bench.events);
    assert!(told.contains("Hung") && told.contains("waits in do_nothing"), "{told}");
}

fn evidence(bench: &Bench, waits_for_core: bool) -> AgentSaw {
    AgentSaw::Evidence { application: name(), start: bench.start, text: "it is ready".into(), waits_for_core }
}

#[test]
fn one_that_gets_no_core_has_more_time_and_not_for_ever() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(true);
    let began = bench.now;
    bench.pass(1_000);
    let mut times = 0;
    while !bench.killed() {
        assert!(bench.examined());
        bench.done.clear();
        bench.sees(evidence(&bench, true));
        times += 1;
        if !bench.killed() {
            bench.pass(499);
            assert!(!bench.examined());
            bench.pass(1);
        }
    }
    assert_eq!((times, bench.now.since(began)), (5, LIMIT * 3));
}

#[test]
fn one_that_answers_while_it_is_looked_at_is_not_hung() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(true);
    bench.pass(1_000);
    assert!(bench.examined());
    bench.pong(1);
    bench.sees(evidence(&bench, false));
    bench.pass(25);
    assert!(!bench.killed());
}

#[test]
fn an_agent_that_gets_no_core_while_it_waits_for_evidence_hears_it_before_it_kills() {
    let silent = || {
        let mut bench = Bench::new(Interface::Library, |_| ());
        bench.attach(true);
        bench.pass(1_000);
        bench.freeze(90);
        bench
    };
    let mut bench = silent();
    assert!(bench.examined() && !bench.killed(), "65 ms were its own");
    bench.sees(evidence(&bench, true));
    bench.pass(100);
    assert!(!bench.killed());

    let mut bench = silent();
    bench.pong(1);
    bench.pass(100);
    assert!(!bench.killed());

    let mut bench = silent();
    bench.freeze(90);
    assert!(bench.killed(), "that is so once");
}

#[test]
fn who_says_that_it_is_broken_is_not_excused_because_it_was_silent_before() {
    let mut bench = Bench::new(Interface::Notify, |assigned| {
        assigned.spec.conduct.watchdog = Some(LIMIT);
        assigned.spec.conduct.hang_limit = None;
    });
    bench.notes(ready());
    bench.pass(1_000);
    assert!(bench.examined());
    bench.notes(Notice { watchdog: Some(Watchdog::Broken), ..Default::default() });
    bench.sees(evidence(&bench, true));
    assert!(bench.killed());
}

#[test]
fn one_that_was_stopped_and_goes_on_while_it_is_looked_at_is_not_hung() {
    let mut bench = Bench::new(Interface::Plain, |_| ());
    bench.stops();
    bench.pass(1_000);
    assert!(bench.examined());
    let (start, running) = (bench.start, bench.now);
    bench.sees(AgentSaw::Looked { application: name(), start, stopped: false, running });
    bench.sees(evidence(&bench, false));
    bench.pass(100);
    assert!(!bench.killed());
}

#[test]
fn nobody_is_killed_for_silence_after_maintenance_was_switched_on() {
    for answered in [false, true] {
        let mut bench = Bench::new(Interface::Plain, |_| ());
        bench.stops();
        bench.pass(1_000);
        assert!(bench.examined());
        hands_off(&mut bench);
        if answered {
            bench.sees(evidence(&bench, false));
        }
        bench.pass(100);
        assert!(!bench.killed());
    }
}

#[test]
fn evidence_that_does_not_come_puts_nothing_off() {
    let mut bench = Bench::new(Interface::Plain, |_| ());
    bench.stops();
    bench.pass(1_025);
    assert!(bench.killed());
}

#[test]
fn a_process_that_goes_on_in_time_is_not_hung() {
    let mut bench = Bench::new(Interface::Plain, |_| ());
    for _ in 0..5 {
        bench.stops();
        bench.pass(900);
        let (start, running) = (bench.start, bench.now);
        bench.sees(AgentSaw::Looked { application: name(), start, stopped: false, running });
        bench.pass(200);
    }
    assert!(!bench.examined());
}

#[test]
fn an_agent_that_was_late_itself_gives_the_time_once_more_and_not_for_ever() {
    let mut bench = Bench::new(Interface::Plain, |_| ());
    bench.stops();
    for _ in 0..2 {
        bench.freeze(5_000);
        assert!(!bench.examined());
        bench.pass(900);
        assert!(!bench.examined());
    }
    bench.freeze(5_000);
    assert!(bench.examined(), "an agent that is always late still finds a hang");
}

#[test]
fn an_agent_that_is_a_little_late_all_the_time_finds_a_hang_within_three_limits() {
    for late in [60, 90, 200, 700] {
        let mut bench = Bench::new(Interface::Plain, |_| ());
        bench.stops();
        let began = bench.now;
        while !bench.examined() {
            bench.freeze(late);
            let took = bench.now.since(began);
            assert!(took <= LIMIT * 3 + ms(late), "late by {late} ms: {took:?}");
        }
    }
}

#[test]
fn a_stall_in_the_middle_of_a_silence_is_not_held_against_a_library() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(true);
    bench.pass(600);
    assert_eq!(bench.pings(), [1]);
    // The agent meant to look at its clock after 50 ms.
    bench.freeze(350);
    bench.pass(349);
    assert!(!bench.examined(), "300 ms were its own");
    bench.pass(1);
    assert!(bench.examined(), "and no more than these");
    bench.pass(25);
    let told = format!("{:?}", bench.events);
    assert!(told.contains("besides 0.30 s in which this agent was late or it got no core"), "{told}");
}

#[test]
fn small_stalls_add_up() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(true);
    bench.pass(500);
    for _ in 0..5 {
        // Each began right after a look at the clock.
        bench.pass(50);
        bench.freeze(150);
    }
    assert!(!bench.examined(), "of 1000 ms since it was asked, 500 were its own");
    bench.pong(1);
    bench.pass(500);
    assert_eq!(bench.pings(), [1, 2]);
}

#[test]
fn a_library_that_is_asked_late_has_half_its_limit_to_answer() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(true);
    bench.freeze(990);
    assert_eq!(bench.pings(), [1]);
    bench.pass(499);
    assert!(!bench.examined());
    bench.pass(1);
    assert!(bench.examined());
}

#[test]
fn what_was_said_before_a_stall_and_is_heard_after_it_takes_nothing_back() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(true);
    bench.pass(600);
    let before = bench.now + ms(10);
    bench.freeze(2_000);
    let after = std::mem::replace(&mut bench.now, before);
    let said = FromApplication::Readiness(Readiness::Ready);
    bench.sees(AgentSaw::Said { application: name(), start: bench.start, said });
    bench.now = after;
    bench.pass(999);
    assert!(!bench.examined(), "it has its time once more since the stall");
    bench.pass(1);
    assert!(bench.examined());
}

#[test]
fn mail_that_waited_makes_nobody_late() {
    let mut bench = Bench::new(Interface::Plain, |_| ());
    bench.stops();
    bench.pass(800);
    let now = bench.now;
    // It was put into the inbox before the last look at the clock.
    bench.now = Moment(now.0 - 300_000_000);
    bench.sees(AgentSaw::ControllerLeft { link: LinkId(9) });
    bench.now = now;
    bench.pass(200);
    assert!(bench.examined());
}

#[test]
fn a_look_that_is_late_leaves_half_the_limit() {
    let mut bench = Bench::new(Interface::Plain, |_| ());
    let running = bench.now;
    bench.pass(10_000);
    bench.sees(AgentSaw::Looked { application: name(), start: bench.start, stopped: true, running });
    bench.pass(499);
    assert!(!bench.examined());
    bench.pass(1);
    assert!(bench.examined());
}

#[test]
fn a_stall_is_not_held_against_a_watched_one() {
    let mut bench =
        Bench::new(Interface::Notify, |assigned| assigned.spec.conduct.watchdog = Some(ms(1_000)));
    bench.notes(ready());
    bench.pass(400);
    bench.freeze(590);
    bench.pass(200);
    assert!(!bench.examined(), "from three quarters on the agent looks at its own clock: 240 ms late");
    bench.notes(alive());
    bench.pass(999);
    assert!(!bench.examined());
    bench.pass(1);
    assert!(bench.examined());
}

#[test]
fn whoever_is_not_silent_costs_no_look_at_the_clock() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(true);
    bench.pass(500);
    bench.pong(1);
    assert_eq!(bench.agent.next_deadline().unwrap().since(bench.now), LIMIT / 2, "the next question");
    let mut bench = Bench::new(Interface::Notify, |assigned| assigned.spec.conduct.watchdog = Some(LIMIT));
    bench.notes(ready());
    bench.notes(alive());
    assert_eq!(bench.agent.next_deadline().unwrap().since(bench.now), LIMIT / 4 * 3);
    let mut bench = Bench::new(Interface::Plain, |_| ());
    bench.pass(0);
    assert_eq!(bench.agent.next_deadline(), None);
}

fn hands_off(bench: &mut Bench) {
    given(bench, Work::SetHandsOff { application: name(), hands_off: true });
}

/// A control server that is just there orders this.
fn given(bench: &mut Bench, work: Work) {
    bench.sees(AgentSaw::ControllerJoined {
        link: LinkId(1),
        controller: ControllerName::new("scs-1").unwrap(),
        controller_epoch: ControllerEpoch(1),
        lineage: Vec::new(),
    });
    let order =
        Order { id: OrderId(1), incarnation: Incarnation(7), controller_epoch: ControllerEpoch(1), work };
    bench.sees(AgentSaw::Ordered { link: LinkId(1), order });
}

#[test]
fn under_maintenance_nobody_is_judged() {
    let bench = Bench::new(Interface::Plain, |assigned| assigned.hands_off = true);
    assert!(!bench.looked_at(), "it is not even started");
    let mut bench = Bench::new(Interface::Plain, |_| ());
    bench.stops();
    hands_off(&mut bench);
    bench.pass(10_000);
    assert!(!bench.examined());
}

#[test]
fn a_library_is_asked_twice_within_its_limit_and_hung_when_it_says_nothing() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(true);
    assert!(!bench.looked_at(), "its answers say enough");
    for number in 1..=4 {
        bench.pass(500);
        assert_eq!(bench.pings().last(), Some(&number));
        bench.pong(number);
    }
    bench.pass(500);
    assert_eq!(bench.pings().len(), 5);
    // An answer to an older question is a sign of life and no answer.
    bench.pong(4);
    bench.pass(999);
    assert!(!bench.examined());
    bench.pass(1);
    assert!(bench.examined());
}

#[test]
fn an_old_library_is_not_judged_by_its_silence_but_looked_at() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(false);
    bench.pass(60_000);
    assert!(bench.looked_at() && bench.pings().is_empty() && !bench.examined());
}

#[test]
fn a_lost_link_is_no_silence() {
    let mut bench = Bench::new(Interface::Library, |_| ());
    bench.attach(true);
    bench.pass(500);
    bench.sees(AgentSaw::ApplicationLeft { application: name(), start: bench.start });
    bench.pass(60_000);
    assert!(!bench.examined(), "a lost link has its own rule");
}

#[test]
fn a_watchdog_begins_when_it_is_ready_and_bites_when_it_is_silent() {
    let watched = |assigned: &mut Assignment| assigned.spec.conduct.watchdog = Some(ms(300));
    let mut bench = Bench::new(Interface::Notify, watched);
    bench.pass(5_000);
    assert!(!bench.examined(), "not ready yet");
    bench.notes(ready());
    for _ in 0..10 {
        bench.pass(299);
        bench.notes(alive());
    }
    assert!(!bench.examined());
    bench.notes(Notice { watchdog_every: Some(ms(600)), ..alive() });
    bench.pass(599);
    assert!(!bench.examined(), "it asked for more time");
    bench.pass(1);
    assert!(bench.examined());
}

#[test]
fn a_cry_for_help_is_heard_at_once_and_a_farewell_is_not_a_hang() {
    let watched = |assigned: &mut Assignment| assigned.spec.conduct.watchdog = Some(ms(300));
    let mut bench = Bench::new(Interface::Notify, watched);
    bench.notes(ready());
    bench.notes(Notice { stopping: true, ..Default::default() });
    bench.pass(10_000);
    assert!(!bench.examined());
    bench.notes(Notice { watchdog: Some(Watchdog::Broken), ..Default::default() });
    assert!(bench.examined());
}

#[test]
fn a_notice_of_another_start_or_to_another_interface_changes_nothing() {
    let mut bench = Bench::new(Interface::Plain, |_| ());
    let before = bench.agent.clone();
    bench.notes(Notice { stopping: true, ..Default::default() });
    let start = StartId { number: 99, ..bench.start };
    bench.sees(AgentSaw::Noticed { application: name(), start, notice: ready() });
    assert_eq!(bench.agent.inventory(), before.inventory());
}

fn probed(assigned: &mut Assignment) {
    let ask = Ask::Exec(vec!["/bin/true".into()]);
    assigned.spec.conduct.probe = Some(ProbeSpec { ask, interval: ms(100), timeout: ms(50), failures: 3 });
}

#[test]
fn a_probe_says_when_it_is_ready_and_so_many_failures_in_a_row_are_a_hang() {
    let mut bench = Bench::new(Interface::Plain, probed);
    let status = |bench: &Bench| bench.agent.inventory().applications[0].status;
    for _ in 0..5 {
        bench.answers(true);
        assert_eq!(status(&bench), ApplicationStatus::Initializing);
        bench.pass(100);
    }
    bench.answers(false);
    assert_eq!(status(&bench), ApplicationStatus::Started);
    for failed in [true, true, false, true, true] {
        bench.pass(100);
        bench.answers(failed);
        assert!(!bench.examined());
    }
    bench.pass(100);
    bench.answers(true);
    assert!(bench.examined());
}

#[test]
fn a_probe_that_fails_while_the_agent_was_late_is_not_counted_but_for_ever() {
    let mut bench = Bench::new(Interface::Plain, probed);
    bench.answers(false);
    for round in 0..6 {
        bench.pass(100);
        bench.freeze(5_000);
        assert!(!bench.examined(), "round {round}");
        bench.answers(true);
    }
    assert!(bench.examined(), "three were not counted, and three were");
}

#[test]
fn a_probe_that_does_not_end_is_killed_and_the_next_one_waits_for_it() {
    let mut bench = Bench::new(Interface::Plain, probed);
    bench.pass(1_000);
    assert_eq!((bench.probes().0.len(), bench.probes().1), (1, 1));
    bench.answers(true);
    bench.pass(100);
    assert_eq!(bench.probes().0.len(), 2);
    // Nobody needs the answer of a process that has ended.
    let cause = ExitCause::Signal(9);
    let (start, others_live, last_words) = (bench.start, false, String::new());
    bench.sees(AgentSaw::Ended { application: name(), start, cause, others_live, last_words });
    assert_eq!(bench.probes().1, 2);
}

#[test]
fn restarts_in_a_row_are_spread_a_little() {
    let mut delays = std::collections::BTreeSet::new();
    for life in 0..20 {
        let mut bench = Bench::of_life(life, Interface::Plain, |_| ());
        for number in 1..=2 {
            bench.start.number = number;
            bench.sees(AgentSaw::Spawned { application: name(), start: bench.start, pid: 100 });
            let (cause, others_live, last_words) = (ExitCause::Code(1), false, String::new());
            let start = bench.start;
            bench.sees(AgentSaw::Ended { application: name(), start, cause, others_live, last_words });
        }
        // The second end in a row is the first that waits.
        delays.insert(bench.agent.next_deadline().unwrap().since(bench.now));
    }
    assert!(delays.len() > 5, "each life has its own: {delays:?}");
    assert!(delays.iter().all(|delay| (ms(100)..=ms(110)).contains(delay)), "{delays:?}");
}

/// Its agent looked at a probe that was due and is none any more, without rest.
#[test]
fn a_probe_that_is_taken_out_of_the_settings_is_asked_no_more() {
    for ready in [false, true] {
        let mut bench = Bench::new(Interface::Plain, probed);
        bench.answers(!ready);
        let mut assigned = bench.agent.applications().next().unwrap().assigned.clone();
        assigned.spec.conduct.probe = None;
        given(&mut bench, Work::Assign(vec![assigned]));
        bench.done.clear();
        bench.pass(200);
        assert!(bench.agent.next_deadline().is_none_or(|due| due > bench.now));
        assert!(bench.probes().0.is_empty(), "{:?}", bench.done);
        let report = bench.agent.applications().next().unwrap().report(None, None);
        assert_eq!(report.status, ApplicationStatus::Started, "nothing else says when it is ready");
    }
}

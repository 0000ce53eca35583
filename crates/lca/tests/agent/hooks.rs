//! Members without the library: told of their role by real hooks, signals and new starts.
//!
//! Every program here is a shell. The law: a hook that misbehaves is contained, and a promotion that was not finished is
//! never believed.

use std::path::PathBuf;
use std::time::Duration;

use crate::play::{Controller, Place, RunningAgent, assignment, eventually, lives};
use understudy_model::{
    ApplicationReport, ApplicationStatus, Assignment, Epoch, Goal, Outcome, PairName, PairPlace, Refusal,
    RoleEpoch, RunMode, Signal, Work,
};

pub fn pair() -> PairName {
    PairName::new("pair").unwrap()
}

pub fn role(epoch: u64) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), "member".parse().unwrap())
}

fn promote(epoch: u64) -> Work {
    Work::Promote { pair: pair(), role: role(epoch), time_limit: Duration::from_secs(10), grant: None }
}

fn demote(epoch: u64) -> Work {
    Work::Demote { pair: pair(), role: role(epoch), time_limit: Duration::from_secs(5) }
}

pub fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

/// A member that notes how it is started, and waits.
pub fn member(place: &Place) -> Assignment {
    let script =
        format!("echo start $UNDERSTUDY_RUN_MODE $UNDERSTUDY_EPOCH >> {0}; exec sleep 1000", notes(place));
    let mut member = assignment("member", &["/bin/sh", "-c", &script]);
    member.goal = Goal::Started;
    member.spec.restart = understudy_model::RestartPolicy::Always;
    member.pair = Some(PairPlace {
        pair: pair(),
        peer: "other".parse().unwrap(),
        peer_address: "127.0.0.12".to_owned(),
        peer_ports: vec![("default".to_owned(), 7000)],
        fence_budget: Duration::from_secs(5),
        link_grace: Duration::from_secs(5),
        strict: None,
    });
    member
}

fn notes(place: &Place) -> String {
    place.state().parent().unwrap().join("notes").display().to_string()
}

pub fn noted(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(notes(place)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Both hooks note what they are told.
fn with_hooks(place: &Place, mut member: Assignment) -> Assignment {
    let note = |rest: &str| {
        shell(&format!(
            "echo $UNDERSTUDY_HOOK $UNDERSTUDY_RUN_MODE $UNDERSTUDY_EPOCH $UNDERSTUDY_PEER_PORT_DEFAULT >> {}{rest}",
            notes(place)
        ))
    };
    member.spec.conduct.hooks.on_promote = note("");
    member.spec.conduct.hooks.on_demote = note("");
    member
}

async fn begin(place: &Place, member: Assignment) -> (RunningAgent, Controller, ApplicationReport) {
    let agent = place.start_agent();
    let mut controller = Controller::connect(place, 1).await;
    controller.order(Work::Assign(vec![member])).await;
    let started = controller.report(|report| report.status == ApplicationStatus::Started).await;
    assert_eq!(started.run_mode, RunMode::Backup);
    eventually("it has noted how it was started", || !noted(place).is_empty());
    (agent, controller, started)
}

fn refusal(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(Refusal::ApplicationRefused(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn pid_in(path: &PathBuf) -> u32 {
    eventually("a number is written", || {
        std::fs::read_to_string(path).is_ok_and(|text| text.trim().parse::<u32>().is_ok())
    });
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn hooks_tell_a_plain_member_and_its_process_stays() {
    let place = Place::new();
    let member = with_hooks(&place, member(&place));
    let (mut agent, mut controller, started) = begin(&place, member).await;
    assert_eq!(controller.order(promote(5)).await, Outcome::Done);
    controller.report(|report| report.run_mode == RunMode::Primary).await;
    // The next life knows that the promotion was finished.
    agent.kill();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let kept = controller.inventory.applications[0].clone();
    assert_eq!((kept.pid, kept.run_mode), (started.pid, RunMode::Primary));
    assert_eq!(kept.role.unwrap().acting, Some(role(5)));
    assert_eq!(controller.order(demote(5)).await, Outcome::Done);
    let end = controller.report(|report| report.run_mode == RunMode::Backup).await;
    assert_eq!(end.pid, started.pid);
    assert_eq!(noted(&place), ["start backup 0", "on-promote primary 5 7000", "on-demote backup 5 7000"]);
    assert!(matches!(controller.order(promote(5)).await, Outcome::Refused(_)), "given up for good");
}

#[tokio::test]
async fn a_failed_promotion_is_undone_before_it_is_refused_and_tells_no_secret() {
    let place = Place::new();
    let mut member = with_hooks(&place, member(&place));
    member.spec.environment = [("DB_PASSWORD".to_owned(), "hunter2!".to_owned())].into();
    member.spec.conduct.hooks.on_promote = shell("echo with $DB_PASSWORD to the disk: no; exit 3");
    let (_agent, mut controller, started) = begin(&place, member).await;
    let why = refusal(controller.order(promote(5)).await);
    assert_eq!(why, "on-promote: exit code 3");
    assert_eq!(noted(&place), ["start backup 0", "on-demote backup 5 7000"]);
    eventually("it is told", || place.agent_log().contains("with *** to the disk: no"));
    let log = place.agent_log();
    assert!(!log.contains("hunter2!"), "{log}");
    assert_eq!(
        started.pid,
        controller
            .report(|report| report.role.as_ref().is_some_and(|role| role.closed == Epoch(5)))
            .await
            .pid
    );
}

#[tokio::test]
async fn a_hook_that_ignores_everything_forks_away_and_prints_without_end_is_contained() {
    let place = Place::new();
    let mut member = with_hooks(&place, member(&place));
    let child = PathBuf::from(format!("{}.child", notes(&place)));
    let script = format!(
        "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 1; done' & \
         while :; do head -c 1000000 /dev/zero | tr '\\0' x; done",
        child.display()
    );
    member.spec.conduct.hooks.on_promote = shell(&script);
    member.spec.conduct.hooks.timeout = Duration::from_millis(700);
    let (_agent, mut controller, _) = begin(&place, member).await;
    let why = refusal(controller.order(promote(5)).await);
    assert!(why.contains("longer than it may"), "{why}");
    let child = pid_in(&child);
    assert!(!lives(child), "what it left behind is dead before the next hook");
    assert_eq!(noted(&place).last().unwrap(), "on-demote backup 5 7000");
    assert!(place.agent_log().len() < 100_000);
}

#[tokio::test]
async fn what_a_hook_leaves_behind_ends_with_it() {
    let place = Place::new();
    let mut member = with_hooks(&place, member(&place));
    let child = PathBuf::from(format!("{}.child", notes(&place)));
    member.spec.conduct.hooks.on_promote = shell(&format!(
        "setsid sh -c 'echo $$ > {}; exec sleep 1000' & while ! [ -s {0} ]; do :; done",
        child.display()
    ));
    let (_agent, mut controller, started) = begin(&place, member).await;
    assert_eq!(controller.order(promote(5)).await, Outcome::Done);
    assert!(!lives(pid_in(&child)));
    assert!(lives(started.pid.unwrap()));
}

#[tokio::test]
async fn a_demotion_overtakes_a_promotion_whose_hook_runs() {
    let place = Place::new();
    let mut member = with_hooks(&place, member(&place));
    let begun = PathBuf::from(format!("{}.begun", notes(&place)));
    member.spec.conduct.hooks.on_promote = shell(&format!("echo $$ > {}; sleep 1000", begun.display()));
    let (_agent, mut controller, started) = begin(&place, member).await;
    let first = controller.begin_order(promote(5));
    let hook = pid_in(&begun);
    let second = controller.begin_order(demote(5));
    assert!(matches!(controller.answer(first).await, Outcome::Refused(_)));
    assert_eq!(controller.answer(second).await, Outcome::Done);
    assert!(!lives(hook) && lives(started.pid.unwrap()));
    assert_eq!(noted(&place), ["start backup 0", "on-demote backup 5 7000"]);
}

#[tokio::test]
async fn an_agent_that_dies_during_a_promotion_undoes_it_in_its_next_life() {
    let place = Place::new();
    let mut member = with_hooks(&place, member(&place));
    let begun = PathBuf::from(format!("{}.begun", notes(&place)));
    member.spec.conduct.hooks.on_promote = shell(&format!("echo $$ > {}; sleep 1000", begun.display()));
    let (mut agent, mut controller, started) = begin(&place, member).await;
    controller.begin_order(promote(5));
    let hook = pid_in(&begun);
    agent.kill();
    assert!(lives(hook), "nothing but the agent was killed");
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let ended = |report: &ApplicationReport| report.role.as_ref().is_some_and(|role| role.closed == Epoch(5));
    let known = controller.inventory.applications[0].clone();
    let report = if ended(&known) { known } else { controller.report(ended).await };
    assert_eq!((report.pid, report.role.unwrap().acting), (started.pid, None));
    assert!(!lives(hook), "what the hook left is killed first");
    assert_eq!(noted(&place), ["start backup 0", "on-demote backup 5 7000"]);
    assert!(matches!(controller.order(promote(5)).await, Outcome::Refused(Refusal::ClosedEpoch(_))));
}

#[tokio::test]
async fn a_failed_demotion_is_a_kill_and_the_epoch_is_closed_after_it() {
    let place = Place::new();
    let mut member = with_hooks(&place, member(&place));
    member.spec.conduct.hooks.on_demote = shell("exit 1");
    let (_agent, mut controller, started) = begin(&place, member).await;
    assert_eq!(controller.order(promote(5)).await, Outcome::Done);
    assert_eq!(controller.order(demote(5)).await, Outcome::Done);
    assert!(!lives(started.pid.unwrap()));
    controller.report(|report| report.pid.is_some() && report.pid != started.pid).await;
    eventually("it is a backup again", || noted(&place).last().unwrap() == "start backup 5");
}

#[tokio::test]
async fn with_neither_hook_nor_signal_it_is_started_anew_with_its_mode() {
    let place = Place::new();
    let (mut agent, mut controller, started) = begin(&place, member(&place)).await;
    assert_eq!(controller.order(promote(5)).await, Outcome::Done);
    let primary = controller.report(|report| report.run_mode == RunMode::Primary).await;
    assert!(primary.pid.is_some() && primary.pid != started.pid);
    eventually("it has noted that", || noted(&place).len() == 2);
    // A new epoch for the same member interrupts nothing.
    assert_eq!(controller.order(promote(6)).await, Outcome::Done);
    agent.kill();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let kept = controller.inventory.applications[0].clone();
    assert_eq!((kept.pid, kept.run_mode), (primary.pid, RunMode::Primary));
    assert_eq!(kept.role.unwrap().acting, Some(role(6)));
    assert_eq!(controller.order(demote(6)).await, Outcome::Done);
    controller.report(|report| report.pid.is_some() && report.pid != primary.pid).await;
    eventually("it is a backup again", || {
        noted(&place) == ["start backup 0", "start primary 5", "start backup 6"]
    });
}

#[tokio::test]
async fn signals_tell_a_plain_member() {
    let place = Place::new();
    let mut member = member(&place);
    let script = format!(
        "trap 'echo usr1 >> {0}' USR1; trap 'echo usr2 >> {0}' USR2; echo ready >> {0}; while :; do sleep 0.01; done",
        notes(&place)
    );
    member.spec.command = shell(&script);
    member.spec.conduct.promote_signal = Some(Signal::Usr1);
    member.spec.conduct.demote_signal = Some(Signal::Usr2);
    let (_agent, mut controller, started) = begin(&place, member).await;
    eventually("its traps are set", || noted(&place) == ["ready"]);
    assert_eq!(controller.order(promote(5)).await, Outcome::Done);
    eventually("it is told", || noted(&place) == ["ready", "usr1"]);
    assert_eq!(controller.order(demote(5)).await, Outcome::Done);
    eventually("it is told", || noted(&place) == ["ready", "usr1", "usr2"]);
    assert!(lives(started.pid.unwrap()));
}

#[tokio::test]
async fn commands_before_a_start_and_in_place_of_the_stop_signal() {
    let place = Place::new();
    let mut member = member(&place);
    let note = |word: &str| format!("echo {word} >> {}", notes(&place));
    member.spec.command = shell(&format!("{}; trap '' TERM; while :; do sleep 0.01; done", note("process")));
    member.spec.conduct.start_before = shell(&note("before"));
    member.spec.conduct.hooks.on_start = shell(&note("on-start"));
    let stop = format!("{}; kill -KILL $(cat {}.pid)", note("stop"), notes(&place));
    member.spec.conduct.stop_command = shell(&stop);
    let (_agent, mut controller, started) = begin(&place, member.clone()).await;
    std::fs::write(format!("{}.pid", notes(&place)), started.pid.unwrap().to_string()).unwrap();
    eventually("all of it runs", || noted(&place) == ["before", "on-start", "process"]);
    let goal = |goal| Work::SetGoal { application: "member".parse().unwrap(), goal, graceful: false };
    controller.order(goal(Goal::Stopped)).await;
    controller.report(|report| report.status == ApplicationStatus::Stopped).await;
    assert_eq!(noted(&place).last().unwrap(), "stop");
    // A start whose first step fails is a failed start.
    member.spec.conduct.hooks.on_start = shell("exit 7");
    member.spec.restart_limit = 2;
    controller.order(Work::Assign(vec![member])).await;
    controller.order(goal(Goal::Started)).await;
    let failed = controller.report(|report| report.gave_up).await;
    assert!(failed.problem.contains("on-start: exit code 7"), "{failed:?}");
    assert_eq!(noted(&place).iter().filter(|line| *line == "process").count(), 1);
}

#[tokio::test]
async fn new_options_alone_are_told_by_the_reload_signal() {
    let place = Place::new();
    let mut one = assignment("one", &[]);
    let text = "trap 'cat $UNDERSTUDY_OPTIONS_FILE >> NOTES; echo >> NOTES' HUP; echo ready >> NOTES; while :; do sleep 0.01; done";
    one.spec.command = shell(&text.replace("NOTES", &notes(&place)));
    one.goal = Goal::Started;
    one.spec.conduct.reload_signal = Some(Signal::Hup);
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    controller.order(Work::Assign(vec![one.clone()])).await;
    let started = controller.report(|report| report.status == ApplicationStatus::Started).await;
    eventually("its trap is set", || noted(&place) == ["ready"]);
    one.spec.options = [("log".to_owned(), [("level".to_owned(), "debug-9".to_owned())].into())].into();
    controller.order(Work::Assign(vec![one])).await;
    eventually("it has read its new options", || noted(&place).concat().contains("debug-9"));
    assert!(lives(started.pid.unwrap()));
}

#[tokio::test]
async fn a_plain_primary_that_dies_is_reported_at_once_and_comes_back_as_a_backup() {
    let place = Place::new();
    let member = with_hooks(&place, member(&place));
    let (_agent, mut controller, started) = begin(&place, member).await;
    assert_eq!(controller.order(promote(5)).await, Outcome::Done);
    let pid = rustix::process::Pid::from_raw(started.pid.unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let ended = controller.report(|report| report.pid.is_none()).await;
    assert_eq!(ended.role.unwrap().acting, None);
    let back = controller.report(|report| report.status == ApplicationStatus::Started).await;
    assert_eq!(back.run_mode, RunMode::Backup);
    eventually("it is a backup again", || noted(&place).last().unwrap() == "start backup 5");
}

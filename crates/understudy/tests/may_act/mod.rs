//! What an application hears when it asks whether it may act: role and page must both say so, in the same epoch.

use std::path::Path;
use std::time::{Duration, Instant};

use understudy::{Environment, Epoch, RolePageError, RunMode, StartError, Understudy};
use understudy_model::{FromApplication, ToApplication};
use understudy_page::{NEVER, PageWriter, Standing, now};

use crate::agent::{Agent, PATIENCE};
use crate::recorder::Recorder;

fn environment(agent: &Agent, run_mode: &str, epoch: u64, page: Option<&Path>) -> Environment {
    let mut variables = agent.variables(run_mode, epoch);
    variables.extend(page.map(|page| ("UNDERSTUDY_ROLE_PAGE".to_owned(), page.display().to_string())));
    Environment::from_variables(&variables).unwrap().unwrap()
}

fn primary(epoch: u64) -> Standing {
    Standing { run_mode: RunMode::Primary, epoch: Epoch(epoch), until: now() + Duration::from_secs(3_600) }
}

#[test]
fn role_and_page_must_agree() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app-1");
    let writer = PageWriter::open(&path).unwrap();
    let agent = Agent::new();
    let (recorder, _notes) = Recorder::new(&[]);
    let link = Understudy::start(environment(&agent, "backup", 6, Some(&path)), recorder).unwrap();
    let watch = link.watch();
    let (mut session, _) = agent.attach();
    assert!(!link.may_act());
    writer.set(primary(7));
    assert!(!link.may_act(), "the page says so, but it was not told");

    let order = |epoch| ToApplication::SetRunMode { run_mode: RunMode::Primary, epoch: Epoch(epoch) };
    session.say(order(7));
    assert_eq!(session.hear(), FromApplication::RunModeDone { run_mode: RunMode::Primary, epoch: Epoch(7) });
    assert!(link.may_act() && watch.may_act());
    assert_eq!((link.acts_in(), watch.acts_in()), (Some(Epoch(7)), Some(Epoch(7))));

    // Whether the higher one is its own, or came after one of somebody else: work of 7 is not answered in it.
    writer.set(primary(8));
    assert!(!link.may_act(), "a later epoch than the one it was told of");
    writer.set(primary(6));
    assert!(!link.may_act(), "an older epoch than the one it was told of");
    writer.set(primary(8));
    session.say(order(8));
    assert_eq!(session.hear(), FromApplication::RunModeDone { run_mode: RunMode::Primary, epoch: Epoch(8) });
    assert_eq!(watch.acts_in(), Some(Epoch(8)));

    writer.set(Standing { until: now() + Duration::from_millis(20), ..primary(8) });
    let limit = Instant::now() + PATIENCE;
    while watch.may_act() {
        assert!(Instant::now() < limit, "it never expired");
    }
    assert!(link.role().is_primary(), "nobody told it otherwise");
    writer.set(Standing { until: NEVER, ..primary(8) });
    assert!(link.may_act());
    session.say(ToApplication::SetRunMode { run_mode: RunMode::Backup, epoch: Epoch(8) });
    assert_eq!(session.hear(), FromApplication::RunModeDone { run_mode: RunMode::Backup, epoch: Epoch(8) });
    assert!(!link.may_act() && watch.acts_in().is_none(), "the page says so, but it was told otherwise");
}

#[test]
fn without_a_page_the_role_alone_says_it() {
    let agent = Agent::new();
    let (recorder, _notes) = Recorder::new(&[]);
    let link = Understudy::start(environment(&agent, "primary", 3, None), recorder).unwrap();
    assert_eq!((link.may_act(), link.acts_in()), (true, Some(Epoch(3))));
}

#[test]
fn a_page_that_cannot_be_relied_on_keeps_the_application_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let agent = Agent::new();
    let (recorder, notes) = Recorder::new(&[]);
    let missing = directory.path().join("app-1");
    let refused = Understudy::start(environment(&agent, "primary", 3, Some(&missing)), recorder).unwrap_err();
    assert!(matches!(refused, StartError::RolePage(RolePageError::Open { .. })), "{refused}");
    assert!(notes.is_quiet(), "nobody was asked to promote");
}

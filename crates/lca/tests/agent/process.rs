//! Applications with a user, an environment file, a log of their own: through a real agent.
//!
//! Knows no control server but the one that the test plays. The law: what only root can do says so when it is skipped.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use understudy_model::{
    ApplicationReport, ApplicationStatus, Assignment, EnvironmentFile, ExitCause, Goal, Outcome, Work,
};

use super::play::{Controller, Place, assignment, eventually};

fn script(name: &str, text: &str) -> Assignment {
    let mut assigned = assignment(name, &["/bin/sh", "-c", text]);
    assigned.goal = Goal::Started;
    assigned
}

async fn ended(controller: &mut Controller, assigned: Assignment) -> ApplicationReport {
    let name = assigned.application.clone();
    assert_eq!(controller.order(Work::Assign(vec![assigned])).await, Outcome::Done);
    let over = |report: &ApplicationReport| {
        report.application == name
            && report.last_exit.is_some()
            && report.status == ApplicationStatus::Stopped
    };
    controller.report(over).await
}

fn why(report: &ApplicationReport) -> &str {
    match &report.last_exit.as_ref().unwrap().cause {
        ExitCause::NotStarted(why) => why,
        other => panic!("{other}"),
    }
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: only root can become somebody else");
    }
    root
}

#[tokio::test]
async fn another_user_reaches_its_link_and_options_and_nothing_else() {
    if !is_root() {
        return;
    }
    let place = Place::open_to_others();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let text = "id -un; pwd; echo $HOME $USER; cat $UNDERSTUDY_OPTIONS_FILE; \
                test -w ${UNDERSTUDY_LINK#unix:} && echo link; ls $(dirname $UNDERSTUDY_OPTIONS_FILE) || echo closed";
    let mut assigned = script("app", text);
    assigned.spec.process.user = Some("nobody".to_owned());
    assigned.spec.options = [("s".to_owned(), [("key".to_owned(), "value".to_owned())].into())].into();
    let report = ended(&mut controller, assigned).await;
    let said = std::fs::read_to_string(place.logs().join("app.log")).unwrap();
    assert_eq!(report.last_exit.unwrap().cause, ExitCause::Code(0), "{said}");
    let work = format!("{}-applications/app", place.state().display());
    assert!(said.starts_with(&format!("nobody\n{work}\n/nonexistent nobody\n")), "{said}");
    assert!(said.contains("\"key\": \"value\"") && said.contains("link\n"), "{said}");
    assert!(said.ends_with("closed\n"), "{said}");
    let link = std::fs::symlink_metadata(place.at("run/links/app/lca.sock")).unwrap();
    assert_eq!((link.uid(), link.mode() & 0o777), (65_534, 0o600));
}

#[tokio::test]
async fn a_user_that_is_not_there_is_named_and_root_needs_permission() {
    let place = Place::new();
    let agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let mut assigned = script("gone", "exit 0");
    assigned.spec.process.user = Some("vanished-user".to_owned());
    let report = ended(&mut controller, assigned).await;
    assert!(why(&report).contains("no user \"vanished-user\""), "{report:?}");
    if !is_root() {
        return;
    }
    let settings = std::fs::read_to_string(place.settings()).unwrap();
    std::fs::write(place.settings(), settings.replace("allow-root = true", "users = [\"daemon\"]")).unwrap();
    agent.reload();
    eventually("they are read", || place.agent_log().contains("settings read again"));
    let report = ended(&mut controller, script("root", "exit 0")).await;
    assert!(why(&report).contains("allow-root") && why(&report).contains("lca.toml"), "{report:?}");
    let mut assigned = script("other", "exit 0");
    assigned.spec.process.user = Some("nobody".to_owned());
    let report = ended(&mut controller, assigned).await;
    assert!(why(&report).contains("users under [policy]"), "{report:?}");
}

#[tokio::test]
async fn an_environment_file_is_read_at_each_start_by_its_users_rights() {
    let place = Place::open_to_others();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let path = place.at("env");
    let with_file = |name: &str, optional| {
        let mut assigned = script(name, "echo \"$A $B\"");
        assigned.spec.environment = [("B".to_owned(), "settings".to_owned())].into();
        let path = path.to_str().unwrap().to_owned();
        assigned.spec.process.environment_file = Some(EnvironmentFile { path, optional });
        assigned
    };
    let said = |name: &str| std::fs::read_to_string(place.logs().join(format!("{name}.log"))).unwrap();
    let report = ended(&mut controller, with_file("missing", false)).await;
    assert!(why(&report).contains("environment file") && why(&report).contains("No such file"), "{report:?}");
    ended(&mut controller, with_file("optional", true)).await;
    assert_eq!(said("optional"), " settings\n");
    std::fs::write(&path, "A='x y'\nB=file\n").unwrap();
    ended(&mut controller, with_file("there", false)).await;
    assert_eq!(said("there"), "x y file\n");
    std::fs::write(&path, "A=1\nUNDERSTUDY_EPOCH=9\n").unwrap();
    let report = ended(&mut controller, with_file("reserved", false)).await;
    assert!(why(&report).contains("line 2"), "{report:?}");
    if is_root() {
        std::fs::write(&path, "A=1\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let mut assigned = with_file("closed", true);
        assigned.spec.process.user = Some("nobody".to_owned());
        let report = ended(&mut controller, assigned).await;
        assert!(why(&report).contains("rights of nobody"), "{report:?}");
    }
}

#[tokio::test]
async fn a_log_that_became_a_link_is_not_followed() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let victim = place.at("victim");
    std::fs::write(&victim, "as it was\n").unwrap();
    std::fs::create_dir_all(place.logs()).unwrap();
    symlink(&victim, place.logs().join("app.log")).unwrap();
    let report = ended(&mut controller, script("app", "echo pwned")).await;
    assert!(why(&report).contains("symbolic link"), "{report:?}");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "as it was\n");
}

#[tokio::test]
async fn what_floods_its_log_is_rotated_and_the_agent_answers_all_the_while() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let mut assigned = script("flood", "exec yes 0123456789012345678901234567890");
    assigned.spec.process.output_limit_bytes = Some(1 << 20);
    assigned.spec.process.output_keep = Some(1);
    controller.order(Work::Assign(vec![assigned.clone()])).await;
    controller.report(|report| report.status == ApplicationStatus::Started).await;
    let old = place.logs().join("flood.log.1");
    eventually("it is rotated", || old.exists());
    let begun = std::time::Instant::now();
    assigned.goal = Goal::Stopped;
    controller.order(Work::Assign(vec![assigned])).await;
    controller.report(|report| report.status == ApplicationStatus::Stopped).await;
    println!("stopped within {:?} while it was printing", begun.elapsed());
    let first = std::fs::read(place.logs().join("flood.log")).unwrap();
    assert!(first.starts_with(b"0123456789") || first.is_empty(), "it goes on at the beginning of a line");
    assert!(!place.logs().join("flood.log.2").exists() && !place.logs().join("flood.log.new").exists());
}

#[tokio::test]
async fn a_hook_runs_as_its_own_user_if_the_host_permits_that() {
    if !is_root() {
        return;
    }
    let place = Place::open_to_others();
    let agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let hooked = |name: &str| {
        let mut assigned = script(name, "exit 0");
        assigned.spec.process.user = Some("daemon".to_owned());
        let hook = "test $(id -un) = nobody && exit 42; exit 43";
        assigned.spec.conduct.hooks.on_start = ["/bin/sh", "-c", hook].map(str::to_owned).to_vec();
        assigned.spec.conduct.hooks.user = Some("nobody".to_owned());
        assigned
    };
    let report = ended(&mut controller, hooked("app")).await;
    assert!(report.problem.contains("exit code 42"), "{report:?}");
    let settings = std::fs::read_to_string(place.settings()).unwrap();
    let listed = settings.replace("allow-root = true", "allow-root = true\nusers = [\"daemon\"]");
    std::fs::write(place.settings(), listed).unwrap();
    agent.reload();
    eventually("they are read", || place.agent_log().contains("settings read again"));
    let report = ended(&mut controller, hooked("other")).await;
    assert!(report.problem.contains("users under [policy]"), "{report:?}");
}

/// One hook before its first process, one when that runs, and a probe while it does: none of them takes anything away.
#[tokio::test]
async fn a_hook_of_another_user_leaves_link_and_directory_to_the_application() {
    if !is_root() {
        return;
    }
    let place = Place::open_to_others();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let text = "id -un; pwd; touch made-here && echo mine; while :; do \
                test -w ${UNDERSTUDY_LINK#unix:} && echo link || echo no link; sleep 0.05; done";
    let mut assigned = script("app", text);
    assigned.spec.process.user = Some("daemon".to_owned());
    let notes = place.at("notes");
    std::fs::create_dir(&notes).unwrap();
    std::fs::set_permissions(&notes, PermissionsExt::from_mode(0o777)).unwrap();
    let note = |name: &str| {
        let text = format!("echo $(id -un) $(pwd) > {}/{name}", notes.display());
        ["/bin/sh", "-c", &text].map(str::to_owned).to_vec()
    };
    assigned.spec.conduct.start_before = note("before");
    assigned.spec.conduct.hooks.on_start = note("on-start");
    assigned.spec.conduct.hooks.user = Some("nobody".to_owned());
    assigned.spec.conduct.probe = Some(understudy_model::ProbeSpec {
        ask: understudy_model::Ask::Exec(note("probe")),
        interval: std::time::Duration::from_millis(20),
        timeout: std::time::Duration::from_secs(10),
        failures: 2,
    });
    controller.order(Work::Assign(vec![assigned])).await;
    let over = |report: &ApplicationReport| {
        report.last_exit.is_some() || report.status == ApplicationStatus::Started
    };
    let report = controller.report(over).await;
    assert_eq!(report.status, ApplicationStatus::Started, "{report:?}");
    for name in ["before", "on-start", "probe"] {
        let told = std::fs::read_to_string(notes.join(name)).unwrap();
        assert_eq!(told, "nobody /\n", "{name} may not enter the directory of daemon");
    }
    let said = || std::fs::read_to_string(place.logs().join("app.log")).unwrap();
    let before = said().lines().count();
    eventually("it goes on", || said().lines().count() > before + 2);
    let work = format!("{}-applications/app", place.state().display());
    assert!(said().starts_with(&format!("daemon\n{work}\nmine\nlink\n")), "{}", said());
    assert!(!said().contains("no link"), "{}", said());
    let link = std::fs::symlink_metadata(place.at("run/links/app/lca.sock")).unwrap();
    assert_eq!((link.uid(), link.mode() & 0o777), (1, 0o600));
}

#[tokio::test]
async fn what_an_application_printed_last_is_told_without_its_secrets_and_not_to_everybody() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let file = place.at("env");
    std::fs::write(&file, "PGAUTH=from-the-file\nDATABASE=pg://me:in-the-url@db/x\n").unwrap();
    let with_secrets = |name: &str, text: &str| {
        let mut assigned = script(name, text);
        let path = file.to_str().unwrap().to_owned();
        assigned.spec.process.environment_file = Some(EnvironmentFile { path, optional: false });
        assigned.spec.options =
            [("s".to_owned(), [("credential".to_owned(), "in-the-options".to_owned())].into())].into();
        assigned
    };
    let mut hooked = with_secrets("hooked", "exec sleep 1000");
    let hook = "echo hooked: $PGAUTH $DATABASE in-the-options; exit 8";
    hooked.spec.conduct.start_before = ["/bin/sh", "-c", hook].map(str::to_owned).to_vec();
    let masked = "*** pg://me:***@db/x ***";
    ended(&mut controller, hooked.clone()).await;
    let told = format!("its last output: hooked: {masked}\n");
    eventually("the hook's words are told, masked", || place.agent_log().contains(&told));

    let text = "echo \"refused: $PGAUTH $DATABASE in-the-options\" >&2; exit 7";
    let report = ended(&mut controller, with_secrets("one", text)).await;
    assert!(report.problem.starts_with(&format!("exit code 7: refused: {masked}")), "{report:?}");
    let (_, answer) = super::status::ask(place.status_address(), "GET", "/application/one/ready");
    assert!(answer.contains("it is stopped") && !answer.contains("refused"), "{answer}");
}

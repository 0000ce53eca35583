//! An application that says that it is another one, of another user.
//!
//! The impostor is this test program itself, run by the agent. The law: whatever it claims, it is heard as itself or not
//! at all.

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::Command;

use understudy_model::{
    ApplicationStatus, Assignment, Epoch, FromApplication, Goal, Interface, Readiness, RunMode, Work,
};
use understudy_transport::{Address, Security, dial};
use understudy_wire::{ApplicationHears, ApplicationSays};

use super::play::{Controller, LIMIT, Place, assignment, eventually};

/// Numbers of starts that are tried: those of this test are among them.
const NUMBERS: std::ops::Range<u64> = 1..5;

/// Not a test of its own: the impostor, when the agent runs this program, and when it runs itself with another mark.
#[tokio::test]
async fn the_impostor_itself() {
    let Ok(socket) = std::env::var("VICTIMS_SOCKET") else { return };
    let mark = std::env::var("UNDERSTUDY_START").unwrap();
    let application = std::env::var("UNDERSTUDY_APPLICATION").unwrap();
    if application == "impostor" {
        let (before, _) = mark.rsplit_once('.').unwrap();
        for number in NUMBERS {
            let mut other = Command::new(std::env::current_exe().unwrap());
            other
                .args(["--exact", "impostor::the_impostor_itself", "--nocapture"])
                .env("UNDERSTUDY_APPLICATION", "victim");
            other.env("UNDERSTUDY_START", format!("{before}.{number}"));
            assert!(other.status().unwrap().success());
        }
        println!("impostor: all tried");
        // It lives on as something that says nothing.
        panic!("{}", Command::new("/bin/sleep").arg("1000").exec());
    }
    let said = UnixDatagram::unbound().unwrap().send_to(b"READY=1\nSTATUS=forged\nSTOPPING=1", socket);
    println!("impostor: notice sent: {}", said.is_ok());
    let address: Address = std::env::var("UNDERSTUDY_LINK").unwrap().parse().unwrap();
    let connection = dial(&[address], LIMIT, &Security::Plain).await.unwrap();
    let (sender, mut receiver) = connection.split::<ApplicationSays, ApplicationHears>();
    let attach = FromApplication::Attach {
        application: application.parse().unwrap(),
        pid: std::process::id(),
        run_mode: RunMode::Backup,
        epoch: Epoch::NONE,
        readiness: Readiness::Ready,
        suspended: false,
        heartbeat: false,
    };
    sender.try_send(&attach.into()).unwrap();
    let answer = receiver.next().await;
    println!("impostor: answer: {:?}", answer.map(|answer| answer.map(ApplicationHears::into_said)));
}

fn of_user(mut one: Assignment, user: &str) -> Assignment {
    one.goal = Goal::Started;
    one.spec.process.user = Some(user.to_owned());
    one
}

#[tokio::test]
async fn an_application_cannot_speak_for_another_users() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let place = Place::open_to_others();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    // Where this program lies, other users need not be able to go.
    let program = place.at("impostor");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let program = program.to_str().unwrap();
    let mut victim =
        of_user(assignment("victim", &[program, "--exact", "notify::the_program_itself"]), "daemon");
    victim.spec.interface = Interface::Notify;
    victim.spec.environment = [("SAYS".to_owned(), "STATUS=it is me".to_owned())].into();
    controller.order(Work::Assign(vec![victim.clone()])).await;
    controller.report(|report| report.problem == "it is me").await;
    let sockets = place.at("run/notify");
    let socket = std::fs::read_dir(sockets).unwrap().next().unwrap().unwrap().path();

    let command = [program, "--exact", "impostor::the_impostor_itself", "--nocapture"];
    let mut impostor = of_user(assignment("impostor", &command), "nobody");
    impostor.spec.environment = [("VICTIMS_SOCKET".to_owned(), socket.display().to_string())].into();
    controller.order(Work::Assign(vec![victim, impostor])).await;
    let said = || std::fs::read_to_string(place.logs().join("impostor.log")).unwrap_or_default();
    eventually("it has tried everything", || said().contains("impostor: all tried"));

    let said = said();
    let refused = said.lines().filter(|line| line.contains("answer: Ok(Some(AttachRefused(")).count();
    assert_eq!(refused as u64, NUMBERS.end - NUMBERS.start, "{said}");
    assert!(said.contains("notice sent: false") && !said.contains("notice sent: true"), "{said}");
    let known = Controller::connect(&place, 2).await.inventory.applications;
    let victim = known.iter().find(|one| one.application.as_str() == "victim").unwrap();
    assert_eq!(
        (victim.status, victim.problem.as_str()),
        (ApplicationStatus::Initializing, "it is me"),
        "{victim:?}"
    );
}

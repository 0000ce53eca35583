//! A member of a pair with the library interface: promoted, its agent killed, demoted.
//!
//! The member is this test program itself, run by the agent. The law: as for all tests with real processes.

use std::time::Duration;

use crate::play::{Controller, LIMIT, Place, assignment};
use understudy_model::{
    ApplicationName, ApplicationStatus, Assignment, Epoch, FromApplication, Goal, Interface, Outcome,
    PairName, PairPlace, Readiness, Refusal, RoleEpoch, RunMode, ToApplication, Work,
};
use understudy_transport::{Address, Security, dial};
use understudy_wire::{ApplicationHears, ApplicationSays};

/// Not a test of its own: the member, when the agent runs this program.
#[tokio::test]
async fn the_member_itself() {
    let Ok(link) = std::env::var("UNDERSTUDY_LINK") else { return };
    let application: ApplicationName = std::env::var("UNDERSTUDY_APPLICATION").unwrap().parse().unwrap();
    let address: Address = link.parse().unwrap();
    let (mut run_mode, mut epoch) = (RunMode::Backup, Epoch::NONE);
    loop {
        let Ok(connection) = dial(std::slice::from_ref(&address), LIMIT, &Security::Plain).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let (sender, mut receiver) = connection.split::<ApplicationSays, ApplicationHears>();
        let attach = FromApplication::Attach {
            application: application.clone(),
            pid: std::process::id(),
            run_mode,
            epoch,
            readiness: Readiness::Ready,
            suspended: false,
            heartbeat: false,
        };
        // A failed send is met again by the receiver.
        let _ = sender.try_send(&attach.into());
        while let Ok(Some(heard)) = receiver.next().await {
            if let ToApplication::SetRunMode { run_mode: asked, epoch: under } = heard.into_said() {
                (run_mode, epoch) = (asked, under);
                let _ = sender.try_send(&FromApplication::RunModeDone { run_mode, epoch }.into());
            }
        }
    }
}

/// This program as a member of a pair, to be started.
pub fn member_assignment() -> Assignment {
    let program = std::env::current_exe().unwrap();
    let mut member =
        assignment("member", &[program.to_str().unwrap(), "--exact", "member::the_member_itself"]);
    member.goal = Goal::Started;
    member.spec.interface = Interface::Library;
    member.pair = Some(PairPlace {
        pair: PairName::new("pair").unwrap(),
        peer: "other".parse().unwrap(),
        peer_address: "127.0.0.12".to_owned(),
        peer_ports: Vec::new(),
        fence_budget: Duration::from_secs(10),
        link_grace: Duration::from_secs(10),
        strict: None,
    });
    member
}

pub fn role(epoch: u64) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), "member".parse().unwrap())
}

pub fn promote(epoch: u64) -> Work {
    Work::Promote {
        pair: PairName::new("pair").unwrap(),
        role: role(epoch),
        time_limit: Duration::from_secs(10),
        grant: None,
    }
}

#[tokio::test]
async fn a_member_keeps_its_role_through_the_death_of_its_agent() {
    let place = Place::new();
    let mut agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    controller.order(Work::Assign(vec![member_assignment()])).await;
    let started = controller.report(|report| report.status == ApplicationStatus::Started).await;
    assert_eq!(started.run_mode, RunMode::Backup);
    assert_eq!(controller.order(promote(5)).await, Outcome::Done);

    agent.kill();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let inventory = controller.inventory.applications[0].clone();
    assert_eq!(inventory.pid, started.pid);
    let kept = inventory.role.unwrap();
    assert_eq!((kept.promised, kept.acting), (Some(role(5)), Some(role(5))));
    if inventory.run_mode != RunMode::Primary {
        // Its link comes back a moment after the agent does.
        controller.report(|report| report.run_mode == RunMode::Primary).await;
    }
    let stale = controller.order(promote(4)).await;
    assert!(matches!(stale, Outcome::Refused(Refusal::StaleEpoch(_))), "{stale:?}");
    let pair = PairName::new("pair").unwrap();
    let demote = Work::Demote { pair, role: role(5), time_limit: Duration::from_secs(10) };
    assert_eq!(controller.order(demote).await, Outcome::Done);
    let closed = controller.order(promote(5)).await;
    assert!(matches!(closed, Outcome::Refused(_)), "an epoch that was given up never comes back: {closed:?}");
    assert_eq!(controller.order(promote(6)).await, Outcome::Done);
}

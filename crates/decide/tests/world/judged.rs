//! Stories for rules whose removal the random sequences seldom notice: each fails when its rule is taken out.

use std::time::Duration;

use understudy_decide::control::{Control, ControlDo, ControlMemory, ControlRecord, ControlSaw};
use understudy_model::*;

use crate::world::{self, World};

/// A new leadership that hears only the backup's agent, for however long, promotes nobody: the store names a holder.
#[test]
fn the_holder_of_the_store_blocks_while_its_agent_is_not_heard() {
    let mut world = World::new();
    world.settle(20);
    world.kill_control();
    world.start_control();
    world.connect(1);
    for _ in 0..120 {
        while world.deliver_order(1)
            | world.deliver_report(1)
            | world.notice_process(1)
            | world.run_process(1)
        {}
        world.pass(Duration::from_secs(1));
        world.check();
    }
    assert_eq!(world.primaries(), [0]);
    assert_eq!(world.stored.roles[&world::pair()].epoch, Epoch(1), "{}", world.story.join("\n"));
}

fn report(index: usize, promised: Option<RoleEpoch>, closed: Epoch) -> ApplicationReport {
    ApplicationReport {
        application: world::application(index),
        pid: Some(100 + u32::try_from(index).unwrap()),
        status: ApplicationStatus::Started,
        goal: Goal::Started,
        run_mode: RunMode::Backup,
        problem: String::new(),
        restarts: 0,
        gave_up: false,
        last_exit: None,
        role: Some(RoleReport { pair: world::pair(), promised, closed, acting: None, strict: None }),
    }
}

fn inventory(index: usize, report: ApplicationReport) -> ControlSaw {
    let inventory = Inventory {
        host: world::host(index),
        agent: AgentId(1),
        incarnation: Incarnation(1),
        controller_epoch: ControllerEpoch(1),
        applications: vec![report],
    };
    ControlSaw::LinkUp { host: world::host(index), inventory }
}

fn leading(stored: RoleEpoch) -> Control {
    Control::new(ControlMemory {
        controller: ControllerName::new("scs-1").unwrap(),
        controller_epoch: ControllerEpoch(1),
        roles: [(world::pair(), stored)].into(),
        goals: Default::default(),
        maintenance: Vec::new(),
        last_operation: OperationId(0),
        flaps: Default::default(),
        drained: Default::default(),
        in_sync: Default::default(),
        holds: Default::default(),
        grants: Default::default(),
        asked: Default::default(),
    })
}

/// An epoch that an agent has promised or closed is used, whatever the store says.
#[test]
fn the_next_epoch_is_above_everything_that_an_agent_has_promised_or_closed() {
    let mut control = leading(RoleEpoch::new(Epoch(1), world::application(0)));
    let promised = RoleEpoch::new(Epoch(7), world::application(1));
    let seen = [
        ControlSaw::Configured { cluster: world::cluster(), own_hosts: Default::default() },
        inventory(1, report(1, Some(promised), Epoch(9))),
        inventory(0, report(0, None, Epoch(1))),
    ];
    let records: Vec<_> = seen.into_iter().flat_map(|saw| control.step(Moment(1), saw).persist).collect();
    let expected = RoleEpoch::new(Epoch(1), world::application(0));
    let next = RoleEpoch::new(Epoch(10), world::application(0));
    assert_eq!(records, [ControlRecord::RaiseEpoch { pair: world::pair(), expected: Some(expected), next }]);
}

/// A living member whose own promise is open may act, whatever else it says, until its agent has closed the epoch.
#[test]
fn an_open_promise_of_a_living_member_blocks_until_it_is_closed() {
    let role = RoleEpoch::new(Epoch(1), world::application(0));
    let mut control = leading(role.clone());
    let mut promoted = |saw| {
        let actions = control.step(Moment(1), saw).actions;
        actions.into_iter().any(|action| matches!(action, ControlDo::Send { order, .. } if matches!(order.work, Work::Promote { .. })))
    };
    assert!(!promoted(ControlSaw::Configured { cluster: world::cluster(), own_hosts: Default::default() }));
    assert!(!promoted(inventory(1, report(1, None, Epoch::NONE))));
    assert!(!promoted(inventory(0, report(0, Some(role.clone()), Epoch::NONE))), "its promise is open");
    let closed = report(0, Some(role), Epoch(1));
    assert!(promoted(ControlSaw::Reported { host: world::host(0), report: closed }), "now it is closed");
}

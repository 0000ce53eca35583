//! Every order that a control server can give is one that an agent answers, whatever state it is in.

use std::time::Duration;

use understudy_decide::agent::{Agent, AgentDo, AgentMemory, AgentSaw, DurableRole, LinkId};
use understudy_model::*;

use crate::world;

const LINK: LinkId = LinkId(1);
const INCARNATION: Incarnation = Incarnation(9);

fn assignment() -> Assignment {
    let cluster = world::cluster();
    let spec = cluster.applications[&world::application(0)].clone();
    let timers = Preset::Fast.timers();
    let place = PairPlace {
        pair: world::pair(),
        peer: world::application(1),
        peer_address: String::new(),
        peer_ports: Vec::new(),
        fence_budget: timers.fence_budget,
        link_grace: timers.link_grace,
        strict: None,
    };
    let (goal, pair) = (Goal::Started, Some(place));
    Assignment { application: world::application(0), spec, goal, hands_off: false, pair }
}

/// One order of each kind; the match makes a new kind fail to compile until it is listed.
fn every_work() -> Vec<Work> {
    let application = world::application(0);
    let role = RoleEpoch::new(Epoch(5), application.clone());
    let (pair, time_limit) = (world::pair(), Duration::from_secs(1));
    let all = vec![
        Work::Assign(vec![assignment()]),
        Work::SetGoal { application: application.clone(), goal: Goal::Stopped, graceful: true },
        Work::SetHandsOff { application: application.clone(), hands_off: true },
        Work::Restart { application },
        Work::Promote { pair: pair.clone(), role: role.clone(), time_limit, grant: None },
        Work::Demote { pair, role, time_limit },
        Work::LetGo,
    ];
    for work in &all {
        match work {
            Work::Assign(_)
            | Work::SetGoal { .. }
            | Work::SetHandsOff { .. }
            | Work::Restart { .. }
            | Work::Promote { .. }
            | Work::Demote { .. }
            | Work::WouldPromise { .. }
            | Work::Learn { .. }
            | Work::LetGo => {}
        }
    }
    all
}

fn agent(assignments: Vec<Assignment>) -> Agent {
    agent_with(assignments, DurableRole::default())
}

fn agent_with(assignments: Vec<Assignment>, durable: DurableRole) -> Agent {
    let memory = AgentMemory {
        agent: AgentId(1),
        controller_epoch: ControllerEpoch(1),
        obeyed: None,
        assignments,
        roles: [(world::pair(), durable)].into(),
    };
    let mut agent = Agent::new(world::host(0), INCARNATION, memory);
    let controller = ControllerName::new("scs-1").unwrap();
    let joined = AgentSaw::ControllerJoined {
        link: LINK,
        controller,
        controller_epoch: ControllerEpoch(1),
        lineage: Vec::new(),
    };
    for saw in [AgentSaw::Awake { found: Vec::new(), pages: Default::default() }, joined] {
        agent.step(Moment(1), saw);
    }
    agent
}

/// The answers to one order, with everything stored and every deadline observed for a minute.
fn answers(
    mut agent: Agent,
    work: Work,
    incarnation: Incarnation,
    controller_epoch: ControllerEpoch,
) -> Vec<Outcome> {
    let order = Order { id: OrderId(1), incarnation, controller_epoch, work };
    let mut decisions = vec![agent.step(Moment(2), AgentSaw::Ordered { link: LINK, order })];
    for second in 1..=60_u64 {
        decisions.push(agent.step(Moment(2 + second * 1_000_000_000), AgentSaw::DeadlinePassed));
    }
    let actions = decisions.into_iter().flat_map(|decision| decision.actions);
    actions
        .filter_map(|action| match action {
            AgentDo::Answer { answer, .. } => Some(answer.outcome),
            _ => None,
        })
        .collect()
}

#[test]
fn every_order_gets_exactly_one_answer() {
    for work in every_work() {
        for assignments in [Vec::new(), vec![assignment()]] {
            let known = !assignments.is_empty();
            let answers = answers(agent(assignments), work.clone(), INCARNATION, ControllerEpoch(1));
            assert_eq!(answers.len(), 1, "{work:?}, assigned: {known}: {answers:?}");
        }
    }
}

#[test]
fn an_order_of_a_lower_leadership_or_for_another_life_does_nothing() {
    for work in every_work() {
        let stale = answers(agent(vec![assignment()]), work.clone(), INCARNATION, ControllerEpoch(0));
        assert_eq!(stale, [Outcome::Refused(Refusal::StaleController(ControllerEpoch(1)))], "{work:?}");
        let other = answers(agent(vec![assignment()]), work.clone(), Incarnation(8), ControllerEpoch(1));
        assert_eq!(other, [Outcome::Refused(Refusal::OtherIncarnation)], "{work:?}");
    }
}

#[test]
fn a_closed_epoch_is_never_entered_again() {
    let role = RoleEpoch::new(Epoch(5), world::application(0));
    for closed in [Epoch(5), Epoch(6)] {
        let durable = DurableRole { promised: Some(role.clone()), closed, ..DurableRole::default() };
        let work = Work::Promote {
            pair: world::pair(),
            role: role.clone(),
            time_limit: Duration::from_secs(1),
            grant: None,
        };
        let answers = answers(agent_with(vec![assignment()], durable), work, INCARNATION, ControllerEpoch(1));
        assert_eq!(answers, [Outcome::Refused(Refusal::ClosedEpoch(closed))]);
    }
}

//! S2: no agent carries out a command of a lower controller epoch, or for another (epoch, member), than it knows.
//!
//! What an agent knows is what is on its disk when the command arrives.

use understudy_decide::agent::{AgentDo, AgentMemory, AgentRecord};
use understudy_model::{Decision, Epoch, Order, Outcome, RoleEpoch, RunMode, ToApplication, Work};

use super::Objection;

/// S2.
#[derive(Debug, Default)]
pub struct S2 {
    pub(super) objection: Objection,
}

impl S2 {
    /// An order was decided on.
    pub fn obeyed(
        &mut self,
        now: u64,
        host: usize,
        order: &Order,
        memory: &AgentMemory,
        decision: &Decision<AgentRecord, AgentDo>,
    ) {
        let stale = order.controller_epoch < memory.controller_epoch;
        let done = decision.actions.iter().any(|action| match action {
            AgentDo::Answer { answer, .. } => answer.order == order.id && answer.outcome == Outcome::Done,
            _ => false,
        });
        if stale && (done || takes(order, decision)) {
            let known = memory.controller_epoch;
            self.objection.raise("S2", now, || {
                format!("host {host}, which knows controller epoch {known}, carries out {order:?}")
            });
        }
        match &order.work {
            Work::Promote { pair, role, .. } => {
                let durable = memory.roles.get(pair);
                let promised = durable.and_then(|durable| durable.promised.as_ref());
                let closed = durable.map(|durable| durable.closed).unwrap_or_default();
                let older = promised.is_some_and(|known| known.epoch > role.epoch) || closed >= role.epoch;
                let other = promised.is_some_and(|known| known.epoch == role.epoch && known != role);
                if (older || other) && (done || takes(order, decision)) {
                    let what =
                        || format!("host {host} takes {role}, and knows {promised:?}, closed {closed}");
                    self.objection.raise("S2", now, what);
                }
            }
            Work::Demote { role, .. } => {
                if let Some(epoch) = demotes_in(role, decision).filter(|epoch| *epoch != role.epoch) {
                    let what = || format!("host {host} demotes in epoch {epoch} on an order about {role}");
                    self.objection.raise("S2", now, what);
                }
            }
            Work::Assign(_)
            | Work::SetGoal { .. }
            | Work::SetHandsOff { .. }
            | Work::Restart { .. }
            | Work::WouldPromise { .. }
            | Work::Learn { .. }
            | Work::LetGo => {}
        }
    }
}

/// The decision begins what the order asks for.
fn takes(order: &Order, decision: &Decision<AgentRecord, AgentDo>) -> bool {
    let Work::Promote { role: ordered, .. } = &order.work else { return false };
    decision.persist.iter().any(|record| match record {
        AgentRecord::Promise { role, .. } => role == ordered,
        AgentRecord::Close { .. } | AgentRecord::ControllerEpoch { .. } | AgentRecord::Assignments(_) => {
            false
        }
    })
}

fn demotes_in(role: &RoleEpoch, decision: &Decision<AgentRecord, AgentDo>) -> Option<Epoch> {
    decision.actions.iter().find_map(|action| match action {
        AgentDo::Say {
            application,
            message: ToApplication::SetRunMode { run_mode: RunMode::Backup, epoch },
            ..
        } if *application == role.holder => Some(*epoch),
        _ => None,
    })
}

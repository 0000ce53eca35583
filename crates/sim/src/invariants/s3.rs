//! S3: nothing is answered, promised or released before it is durable.
//!
//! What leaves a daemon is held against what is on its disk at that moment, whatever the daemon was told of the disk.

use understudy_decide::agent::{AgentDo, AgentMemory, AgentRecord, DurableRole};
use understudy_decide::control::ControlMemory;
use understudy_model::{
    ApplicationReport, Order, PairName, Policy, RoleEpoch, RunMode, ToApplication, Verdict, Work,
};

use super::Objection;
use crate::climate::Climate;

/// S3.
#[derive(Debug)]
pub struct S3 {
    pub(super) objection: Objection,
    strict: bool,
}

impl S3 {
    pub(super) fn new(climate: &Climate) -> Self {
        Self { objection: Objection::default(), strict: climate.options.policy == Policy::Strict }
    }

    /// An order leaves the control server.
    pub fn order_leaves(&mut self, now: u64, order: &Order, store: &ControlMemory) {
        if let Work::Promote { pair, role, .. } = &order.work
            && store.roles.get(pair) != Some(role)
        {
            let what = || format!("{role} is ordered, and {:?} is stored", store.roles.get(pair));
            self.objection.raise("S3", now, what);
        }
    }

    /// Something that should need nothing durable wants something stored.
    pub fn aside(&mut self, now: u64, records: &[AgentRecord]) {
        self.objection
            .raise("S3", now, || format!("{records:?} is to be stored while something is being stored"));
    }

    /// An agent does something.
    pub fn agent_acts(&mut self, now: u64, action: &AgentDo, memory: &AgentMemory) {
        match action {
            AgentDo::Report(report) => self.report(now, report, memory),
            AgentDo::Welcome { inventory, .. } => {
                inventory.applications.iter().for_each(|report| self.report(now, report, memory));
            }
            AgentDo::Say {
                application,
                message: ToApplication::SetRunMode { run_mode: RunMode::Primary, epoch },
                ..
            } => {
                let role = RoleEpoch::new(*epoch, application.clone());
                self.promised("is told to a member", now, None, &role, memory);
            }
            AgentDo::ShowPage { page, .. } => {
                if let Some(role) = &page.role {
                    self.promised("is shown on a page", now, None, role, memory);
                }
            }
            AgentDo::AskPeer { ask, .. } | AgentDo::AskController { ask, .. } => {
                self.promised("is asked for", now, Some(&ask.pair), &ask.role, memory);
            }
            AgentDo::AnswerPeer { answer, .. } if answer.verdict == Verdict::Given => {
                self.promised("is voted for", now, Some(&answer.pair), &answer.role, memory);
            }
            AgentDo::TellPeer { release, .. } => {
                let closed = memory.roles.get(&release.pair).map(|known| known.closed).unwrap_or_default();
                if closed < release.role.epoch {
                    let role = &release.role;
                    self.objection.raise("S3", now, || format!("{role} is released, and {closed} is closed"));
                }
            }
            _ => {}
        }
    }

    fn report(&mut self, now: u64, report: &ApplicationReport, memory: &AgentMemory) {
        let Some(role) = &report.role else { return };
        let closed = memory.roles.get(&role.pair).map(|known| known.closed).unwrap_or_default();
        if role.closed > closed {
            self.objection.raise("S3", now, || {
                format!(
                    "{} is reported closed to {}, and {closed} is durable",
                    report.application, role.closed
                )
            });
        }
    }

    fn promised(
        &mut self,
        what: &str,
        now: u64,
        pair: Option<&PairName>,
        role: &RoleEpoch,
        memory: &AgentMemory,
    ) {
        let fits = |durable: &DurableRole| {
            // One who is promised a higher epoch may go on in the lower one that it had (G8).
            durable
                .promised
                .as_ref()
                .is_some_and(|promised| promised.holder == role.holder && promised.epoch >= role.epoch)
        };
        let durable = match pair {
            Some(pair) => memory.roles.get(pair).is_some_and(fits),
            None => memory.roles.values().any(fits),
        };
        if !durable {
            let strict = self.strict;
            self.objection.raise("S3", now, || {
                format!("{role} {what} and is not durable (strict: {strict}): {:?}", memory.roles)
            });
        }
    }
}

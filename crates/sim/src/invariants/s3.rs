//! S3: nothing is answered, promised or released before it is durable.
//!
//! What leaves a daemon is held against what is on its disk at that moment, whatever the daemon was told of the disk.

use std::collections::BTreeMap;

use understudy_decide::agent::{AgentDo, AgentMemory, AgentRecord, DurableRole};
use understudy_decide::control::ControlMemory;
use understudy_model::{
    Answer, ApplicationName, ApplicationReport, Order, Outcome, PairName, Policy, Refusal, RoleEpoch,
    RunMode, ToApplication, Verdict, VoteAnswer, Work,
};

use super::Objection;
use crate::climate::Climate;

/// S3.
#[derive(Debug)]
pub struct S3 {
    pub(super) objection: Objection,
    strict: bool,
    /// By host: what its agent could not store in this life, or does not know whether it did. That binds it all the same, and
    /// it may say so in reports, which nobody counts as a vote.
    unkept: Vec<Vec<(PairName, RoleEpoch)>>,
    /// The role in which each member was last reported to act.
    acting: BTreeMap<ApplicationName, RoleEpoch>,
}

impl S3 {
    pub(super) fn new(climate: &Climate) -> Self {
        Self {
            objection: Objection::default(),
            strict: climate.options.policy == Policy::Strict,
            unkept: vec![Vec::new(); climate.hosts],
            acting: BTreeMap::new(),
        }
    }

    /// A write of an agent failed.
    pub fn not_kept(&mut self, host: usize, records: &[AgentRecord]) {
        for record in records {
            if let AgentRecord::Promise { pair, role, .. } = record {
                let promised = (pair.clone(), role.clone());
                if !self.unkept[host].contains(&promised) {
                    self.unkept[host].push(promised);
                }
            }
        }
    }

    /// An agent has ended: the next one knows what is on the disk.
    pub fn agent_ended(&mut self, host: usize) {
        self.unkept[host].clear();
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

    /// The control server answers a holder's agent.
    pub fn control_votes(&mut self, now: u64, answer: &VoteAnswer, store: &ControlMemory) {
        if answer.verdict == Verdict::Given && store.roles.get(&answer.pair) != Some(&answer.role) {
            let stored = store.roles.get(&answer.pair);
            self.objection.raise("S3", now, || {
                format!("the control server votes for {}, and {stored:?} is stored", answer.role)
            });
        }
    }

    /// An agent answers an order to promote. A refusal gives the epoch up, but for those that say that the order was not
    /// meant for it, or that it has another one in hand. A member that acts goes on in its own, lower epoch.
    pub fn order_answered(
        &mut self,
        now: u64,
        host: usize,
        order: &Order,
        answer: &Answer,
        memory: &AgentMemory,
    ) {
        let (Work::Promote { pair, role, .. }, Outcome::Refused(refusal)) = (&order.work, &answer.outcome)
        else {
            return;
        };
        let gives_up = match refusal {
            Refusal::ClosedEpoch(_)
            | Refusal::NotRunning
            | Refusal::NotReady(_)
            | Refusal::ApplicationRefused(_)
            | Refusal::TooSlow
            | Refusal::Died(_)
            | Refusal::NoVotes
            | Refusal::NoGuard => true,
            Refusal::StaleController(_)
            | Refusal::OtherIncarnation
            | Refusal::StaleEpoch(_)
            | Refusal::UnknownApplication
            | Refusal::NotDurable(_)
            | Refusal::NotActing(_)
            | Refusal::Busy
            | Refusal::Promised(..)
            | Refusal::NotVoting(_) => false,
        };
        let durable = memory.roles.get(pair).cloned().unwrap_or_default();
        // With both members here: what one of them gives up is not the role that the other one has (G12), and a higher role is
        // not given up with a lower one.
        let is_here = |holder: &ApplicationName| {
            *holder == role.holder
                || memory.assignments.iter().any(|assigned| assigned.application == *holder)
        };
        let held_here = |promised: &RoleEpoch| {
            let others = promised.holder != role.holder && promised.epoch > durable.closed;
            is_here(&promised.holder) && (promised.epoch > role.epoch || others)
        };
        let held_above = durable.promised.as_ref().is_some_and(held_here);
        // What it could not store binds it as well.
        let mut unkept = self.unkept[host].iter().filter(|(of, _)| of == pair).map(|(_, promised)| promised);
        let bound_above = unkept.any(|promised| promised.epoch > role.epoch || held_here(promised));
        let acts_below = self.acting.get(&role.holder).is_some_and(|acting| acting.epoch < role.epoch);
        let kept_up = held_above || bound_above || acts_below;
        if gives_up && self.strict && durable.closed < role.epoch && !kept_up {
            self.objection.raise("S3", now, || {
                format!("{role} is refused ({refusal}), and {durable:?} is what is durable")
            });
        }
    }

    /// Something that should need nothing durable wants something stored.
    pub fn aside(&mut self, now: u64, records: &[AgentRecord]) {
        self.objection
            .raise("S3", now, || format!("{records:?} is to be stored while something is being stored"));
    }

    /// An agent does something, while the given records are being written.
    pub fn agent_acts(
        &mut self,
        now: u64,
        host: usize,
        action: &AgentDo,
        memory: &AgentMemory,
        writing: Option<&[AgentRecord]>,
    ) {
        match action {
            AgentDo::Report(report) => self.report(now, host, report, memory),
            AgentDo::Welcome { inventory, .. } => {
                inventory.applications.iter().for_each(|report| self.report(now, host, report, memory));
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
            // One that begins asks while its promise is being stored.
            AgentDo::AskPeer { ask, .. } | AgentDo::AskController { ask, .. }
                if !writing.is_some_and(|records| promises(records, &ask.pair, &ask.role)) =>
            {
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

    fn report(&mut self, now: u64, host: usize, report: &ApplicationReport, memory: &AgentMemory) {
        let Some(role) = &report.role else { return };
        match &role.acting {
            Some(acting) => drop(self.acting.insert(report.application.clone(), acting.clone())),
            None => drop(self.acting.remove(&report.application)),
        }
        let closed = memory.roles.get(&role.pair).map(|known| known.closed).unwrap_or_default();
        if let Some(promised) = &role.promised {
            self.reported_role(now, host, &report.application, &role.pair, promised, memory);
        }
        if role.closed > closed {
            self.objection.raise("S3", now, || {
                format!(
                    "{} is reported closed to {}, and {closed} is durable",
                    report.application, role.closed
                )
            });
        }
    }

    /// A higher promise on the disk covers a lower one that is told: the disk may be ahead of its agent.
    fn reported_role(
        &mut self,
        now: u64,
        host: usize,
        member: &ApplicationName,
        pair: &PairName,
        promised: &RoleEpoch,
        memory: &AgentMemory,
    ) {
        let durable = memory.roles.get(pair).and_then(|known| known.promised.as_ref());
        let covers = |durable: &RoleEpoch| durable == promised || durable.epoch > promised.epoch;
        let unkept = || self.unkept[host].iter().any(|(of, role)| of == pair && role == promised);
        if !durable.is_some_and(covers) && !unkept() {
            self.objection.raise("S3", now, || {
                format!("{member} is reported promised {promised}, and {durable:?} is durable")
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

fn promises(records: &[AgentRecord], of: &PairName, asked: &RoleEpoch) -> bool {
    let fits = |record: &AgentRecord| matches!(record, AgentRecord::Promise { pair, role, .. } if pair == of && role == asked);
    records.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::climate::Options;
    use understudy_model::*;

    fn name<T: std::str::FromStr>(text: &str) -> T {
        text.parse().ok().unwrap()
    }

    fn role(epoch: u64) -> RoleEpoch {
        RoleEpoch::new(Epoch(epoch), name("ada1"))
    }

    fn s3() -> S3 {
        S3::new(&Climate::of(1, Options { policy: Policy::Strict, ..Options::default() }))
    }

    fn memory(promised: u64, closed: u64) -> AgentMemory {
        let role =
            DurableRole { promised: Some(role(promised)), lease: Duration::ZERO, closed: Epoch(closed) };
        AgentMemory {
            agent: AgentId(1),
            controller_epoch: ControllerEpoch(1),
            obeyed: None,
            assignments: Vec::new(),
            roles: [(name("ada"), role)].into(),
        }
    }

    #[test]
    fn a_vote_of_the_control_server_is_for_what_is_stored() {
        let store = |epoch: u64| ControlMemory {
            controller: name("scs-1"),
            controller_epoch: ControllerEpoch(1),
            roles: [(name("ada"), role(epoch))].into(),
            goals: Default::default(),
            maintenance: Vec::new(),
            last_operation: OperationId(0),
            flaps: Default::default(),
            drained: Default::default(),
            in_sync: Default::default(),
            holds: Default::default(),
            grants: Default::default(),
            asked: Default::default(),
        };
        let answer = VoteAnswer {
            pair: name("ada"),
            incarnation: Incarnation(1),
            number: 1,
            role: role(4),
            verdict: Verdict::Given,
            clock: None,
        };
        let mut s3 = s3();
        s3.control_votes(1, &answer, &store(4));
        assert!(s3.objection.0.is_none());
        s3.control_votes(2, &answer, &store(5));
        assert!(s3.objection.0.is_some());
    }

    #[test]
    fn a_refused_order_is_given_up_on_the_disk() {
        let order = Order {
            id: OrderId(1),
            controller_epoch: ControllerEpoch(1),
            incarnation: Incarnation(1),
            work: Work::Promote { pair: name("ada"), role: role(4), time_limit: Duration::ZERO, grant: None },
        };
        let refused = |why| Answer { order: OrderId(1), outcome: Outcome::Refused(why) };
        let mut s3 = s3();
        s3.order_answered(1, 0, &order, &refused(Refusal::TooSlow), &memory(4, 4));
        s3.order_answered(1, 0, &order, &refused(Refusal::TooSlow), &memory(5, 3));
        s3.order_answered(1, 0, &order, &refused(Refusal::Busy), &memory(4, 3));
        assert!(s3.objection.0.is_none(), "given up, held above, or not an end");
        s3.order_answered(2, 0, &order, &refused(Refusal::TooSlow), &memory(4, 3));
        assert!(s3.objection.0.is_some());
        // What is promised to a member elsewhere binds this host as a voter, and gives up nothing.
        let mut elsewhere = memory(5, 3);
        let promised = RoleEpoch::new(Epoch(5), name("ada2"));
        elsewhere.roles.entry(name("ada")).or_default().promised = Some(promised);
        let mut s3 = self::s3();
        s3.order_answered(3, 0, &order, &refused(Refusal::TooSlow), &elsewhere);
        assert!(s3.objection.0.is_some());
    }

    #[test]
    fn what_is_reported_promised_is_durable_or_could_not_be_stored() {
        let durable = memory(3, 1);
        let told = |s3: &mut S3, epoch: u64| {
            s3.reported_role(1, 0, &name("ada1"), &name("ada"), &role(epoch), &durable);
        };
        let mut s3 = s3();
        told(&mut s3, 3);
        told(&mut s3, 2);
        s3.not_kept(0, &[AgentRecord::Promise { pair: name("ada"), role: role(4), lease: Duration::ZERO }]);
        told(&mut s3, 4);
        assert!(s3.objection.0.is_none());
        s3.agent_ended(0);
        told(&mut s3, 4);
        assert!(s3.objection.0.is_some());
    }
}

//! How one step of the agent gathers its decision, and how a decision that could not be stored is taken back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use understudy_model::{
    Answer, ApplicationName, Assignment, Because, ControllerEpoch, Decision, Epoch, Event, Incarnation,
    Inventory, Outcome, PairName, RoleEpoch,
};

use super::application::LeftAlone;
use super::role::{Closing, Waiting};
use super::{AgentDo, AgentRecord, LinkId};

/// A decision in the making, its actions sorted by how urgent they are.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub persist: Vec<AgentRecord>,
    /// Pages and guard: a "no" comes before everything that follows from it.
    pub pages: Vec<AgentDo>,
    /// Requests for votes: somebody waits to be primary, or to stay so.
    pub asks: Vec<AgentDo>,
    /// Words to applications: somebody waits to be primary.
    pub says: Vec<AgentDo>,
    /// Reports: somebody waits to decide.
    pub reports: Vec<AgentDo>,
    pub answers: Vec<AgentDo>,
    /// Links to be greeted with everything.
    pub welcomes: Vec<LinkId>,
    pub turned_away: Vec<AgentDo>,
    /// Starting, signalling, killing.
    pub process: Vec<AgentDo>,
    pub events: Vec<Event>,
    pub quiet: Vec<Because>,
}

impl Out {
    pub fn answer(&mut self, waiting: Waiting, outcome: Outcome) {
        let answer = Answer { order: waiting.order, outcome };
        self.answers.push(AgentDo::Answer { link: waiting.link, answer });
    }

    /// Something in it would be lost with what cannot be stored, and nothing would make it again.
    pub fn speaks(&self) -> bool {
        let silent = self.pages.is_empty()
            && self.asks.is_empty()
            && self.says.is_empty()
            && self.answers.is_empty()
            && self.welcomes.is_empty()
            && self.turned_away.is_empty()
            && self.events.is_empty();
        !silent
    }

    /// The decision. A greeting holds everything, so it is made last.
    pub fn decision(self, inventory: impl Fn() -> Inventory) -> Decision<AgentRecord, AgentDo> {
        let welcomes =
            self.welcomes.iter().map(|link| AgentDo::Welcome { link: *link, inventory: inventory() });
        let mut actions = self.pages;
        // Only who was welcomed is asked.
        actions.extend(welcomes);
        actions.extend(self.asks);
        actions.extend(self.says);
        actions.extend(self.reports);
        actions.extend(self.answers);
        actions.extend(self.process);
        actions.extend(self.turned_away);
        Decision { persist: self.persist, actions, events: self.events, quiet: self.quiet }
    }
}

/// The table of applications as it was, and which of them were left alone, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Before {
    pub table: Vec<Assignment>,
    pub left: BTreeMap<ApplicationName, LeftAlone>,
}

/// Something that a decision wants stored, with what is needed to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Unstored {
    /// A new table of assignments, and the order that it answers.
    Assignments { before: Before, waiting: Waiting },
    /// A promise, given to the member for an order, and the role in which it acted before.
    Promise { application: ApplicationName, epoch: Epoch, former: Option<RoleEpoch> },
    /// A closed epoch.
    Close { application: ApplicationName, pair: PairName, former: Epoch, closing: Closing },
    /// A vote for the other member.
    Vote { pair: PairName },
    /// What the store held, closed by an agent that remembered nothing, and the order that told it.
    Learned { pair: PairName, former: Epoch, waiting: Waiting },
    /// A controller epoch, and the connection that brought it.
    ControllerEpoch {
        former: ControllerEpoch,
        obeyed: Option<Incarnation>,
        link: LinkId,
        superseded: Vec<LinkId>,
    },
}

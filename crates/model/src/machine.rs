//! The shape of every deciding machine: an observation and a moment go in, a decision comes out.
//!
//! The law (`docs/architecture.md`): a decision is a value; what must be remembered, what must be done, and why, in that order.
//! Whoever runs a machine makes `persist` durable before it carries out a single action, and if that fails it
//! carries out none of them and lets the machine observe the failure.

use serde::{Deserialize, Serialize};

use crate::{Because, Event, Moment};

/// What a machine decided on one observation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decision<P, A> {
    /// Made durable first, all or nothing.
    pub persist: Vec<P>,
    /// Done after that, in this order.
    pub actions: Vec<A>,
    /// Why, for people.
    pub events: Vec<Event>,
    /// Why, for those who look closely: reasons of decisions that changed nothing anybody sees.
    pub quiet: Vec<Because>,
}

impl<P, A> Default for Decision<P, A> {
    fn default() -> Self {
        Self { persist: Vec::new(), actions: Vec::new(), events: Vec::new(), quiet: Vec::new() }
    }
}

impl<P, A> Decision<P, A> {
    /// True if nothing has to be remembered, done or said.
    pub fn is_empty(&self) -> bool {
        self.persist.is_empty() && self.actions.is_empty() && self.events.is_empty() && self.quiet.is_empty()
    }
}

/// Where an observation waits for its machine. Each has room of its own, so that one that is full keeps nothing of another
/// waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Whoever observed it waits until there is room; nothing is left out.
    Own,
    /// The same, of what programs can say as often as they like.
    Programs,
    /// What is said again until it is answered, so that it may be left out where a disk makes too much of it wait.
    Repeated,
}

/// A deciding machine. `step` is total: it never fails, never blocks, and has an answer to every observation.
pub trait Machine {
    /// What it can see.
    type Saw;
    /// What it wants remembered.
    type Persist;
    /// What it wants done.
    type Act;

    /// Observes and decides. `now` is the moment at which the observation was made.
    fn step(&mut self, now: Moment, saw: Self::Saw) -> Decision<Self::Persist, Self::Act>;

    /// When [`Machine::deadline_passed`] should be observed next. Waking early is harmless.
    fn next_deadline(&self) -> Option<Moment>;

    /// The observation that a deadline may have passed.
    fn deadline_passed() -> Self::Saw;

    /// Where an observation waits for its turn.
    fn lane(saw: &Self::Saw) -> Lane {
        let _ = saw;
        Lane::Own
    }

    /// Observes something while an earlier decision is being made durable, if that needs nothing durable itself and changes
    /// nothing that the earlier decision rests on; `None`: it waits for its turn. Votes are renewed here, so that a disk
    /// that takes its time costs no primary its role.
    fn aside(&mut self, now: Moment, saw: &Self::Saw) -> Option<Decision<Self::Persist, Self::Act>> {
        let _ = (now, saw);
        None
    }

    /// When [`Machine::aside_passed`] should be called next, while an earlier decision is being made durable.
    fn aside_deadline(&self) -> Option<Moment> {
        None
    }

    /// Does what is due and needs nothing durable, while an earlier decision is being made durable.
    fn aside_passed(&mut self, now: Moment) -> Decision<Self::Persist, Self::Act> {
        let _ = now;
        Decision::default()
    }

    /// The observation that `persist` could not be made durable, so that none of its decision's actions was done.
    /// `definite`: it is certain that nothing was stored.
    fn store_failed(persist: Vec<Self::Persist>, why: String, definite: bool) -> Self::Saw;
}

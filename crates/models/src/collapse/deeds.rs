//! States as numbers, and what can be done to one part or to two that are looked at together.
//!
//! Refuses to know what comes of it. The law: two deeds that may come to different things have different codes.

use std::time::Duration;

use understudy_decide::grants::holder::OtherVoter;
use understudy_model::{ControllerEpoch, Epoch};

use crate::pool::Number;
use crate::steps::Step;
use crate::world::{Call, UNIT};

/// A state: the numbers of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub(super) agents: [Number; 2],
    pub(super) controllers: [Number; 2],
    pub(super) store: Number,
    pub(super) rest: u16,
    pub(super) rates: u16,
}

/// What belongs to nobody.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    pub(super) call: Option<Call>,
    pub(super) wiped: bool,
}

/// What came of a deed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effect {
    pub(super) did: Did,
    /// Bits of what was reached, see [`Tally::reached`].
    pub(super) reached: u16,
    pub(super) one: Number,
    pub(super) two: Number,
    /// One above the number of an order that was sent; zero for none.
    pub(super) order: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Did {
    /// Nothing changed; a voter refused.
    Nothing,
    /// Something did; a voter said yes, and it renewed or promised something.
    Something,
    /// A voter said yes, and nothing changed for it.
    YesAgain,
    /// An invariant does not hold: the one with this number.
    Fault(u16),
}

/// A part that a step concerns, and its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Agent(usize, Number),
    Control(usize, Number),
    Store(Number),
    Rest(u16),
}

/// What is done to one part; two small numbers say the rest.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deed {
    Taken(Step),
    TickAgent(u32),
    TickControl(u32),
    TickStore(u32),
    AgentVotes(Epoch, Duration),
    ControlVotes(usize, Epoch, Duration),
    Answered(usize, OtherVoter),
    Ordered(u32),
    AgentHearsRelease(Epoch),
    ControlHearsRelease(usize, Epoch),
    ControlHearsWord(usize, Epoch, Duration),
    Learns(Epoch, Duration),
    ForgetsAsked(Epoch),
    Deposed(ControllerEpoch),
    ForgetsWrites,
}

impl Deed {
    pub(super) fn code(self) -> u32 {
        let epoch = |epoch: Epoch| u32::try_from(epoch.0).expect("explorations have few epochs");
        let with = |asked: Epoch, lease: Duration| {
            let units = u32::try_from(lease.as_nanos() / UNIT.as_nanos()).expect("explored leases are short");
            assert!(units < 256 && asked.0 < 256, "explorations have few epochs and short leases");
            epoch(asked) << 8 | units
        };
        let (kind, x, y) = match self {
            Deed::Taken(step) => return step.code(),
            Deed::TickAgent(rate) => (1, rate, 0),
            Deed::TickControl(rate) => (2, rate, 0),
            Deed::TickStore(rate) => (3, rate, 0),
            Deed::AgentVotes(asked, lease) => (4, with(asked, lease), 0),
            Deed::ControlVotes(a, asked, lease) => (5, with(asked, lease), a as u32),
            Deed::Answered(i, voter) => (6, i as u32, voter as u32),
            Deed::Ordered(order) => (7, order, 0),
            Deed::AgentHearsRelease(released) => (8, epoch(released), 0),
            Deed::ControlHearsRelease(a, released) => (9, epoch(released), a as u32),
            Deed::ControlHearsWord(a, highest, lease) => (10, with(highest, lease), a as u32),
            Deed::Learns(stored, covers) => (11, with(stored, covers), 0),
            Deed::ForgetsAsked(lowest) => (12, epoch(lowest), 0),
            Deed::Deposed(current) => (13, epoch(Epoch(current.0)), 0),
            Deed::ForgetsWrites => (14, 0, 0),
        };
        debug_assert!(x < 1 << 16 && y < 1 << 4);
        1 << 31 | kind << 20 | y << 16 | x
    }
}

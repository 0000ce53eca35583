//! Whole clusters of the real deciding machines in an invented world: clocks that drift, links that break, disks that lie,
//! processes that die, hang and freeze, operators who change their minds; all of it from one seed.
//!
//! Nothing of what decides is imitated: agents and control servers are those of `decide`. Refuses to know the real world: no
//! clock, no thread, no file. The law: one seed, one run, bit for bit; every invariant after every event.

pub mod cast;
pub mod climate;
pub mod clock;
pub mod daemon;
pub mod fault;
pub mod fingerprint;
pub mod invariants;
pub mod queue;
pub mod random;
pub mod run;
pub mod seeds;
pub mod sometimes;
pub mod story;
pub mod world;

//! Exhaustive exploration of the grant machines of `decide`: all interleavings at small bounds, breadth first.
//!
//! The machines are the ones that the daemons will embed, not a model of them. What surrounds them here (clocks, disks, links,
//! the store, crashes) is written to be more hostile than the world: messages that were sent stay deliverable for ever, in
//! any order, any number of times; no step is ever forced. The law: every reachable state is checked, and a run that did
//! not reach what it should counts as failed.

pub mod collapse;
pub mod embedded;
pub mod fingerprint;
pub mod likeness;
pub mod looks;
pub mod one_host;
pub mod pool;
pub mod runs;
pub mod search;
pub mod settle;
pub mod steps;
pub mod visited;
pub mod world;
pub mod wrong;

mod agents;
mod controllers;
mod small_host;
mod tally;

pub use tally::Tally;

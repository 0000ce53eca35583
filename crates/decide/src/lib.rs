//! The mind of Understudy: who starts, who stops, who is primary, and why.
//!
//! Two machines, each composed of smaller ones. [`agent::Agent`] decides for one host: application lifecycle, restart,
//! and the member's side of a role. [`control::Control`] decides for the cluster: hosts, pairs, switchovers,
//! operators' requests. [`grants`] has the rules of leases as machines of their own, which both will be made of.
//!
//! This crate refuses to know clocks, sockets, files, tasks, randomness and logs: time and facts come in, decisions
//! with reasons go out. The law: `step` is total, states are values that can be compared and hashed, iteration is in a
//! fixed order, and every list has a written bound.

pub mod agent;
pub mod clocks;
pub mod control;
pub mod grants;
pub mod table;

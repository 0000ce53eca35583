//! The reference call server: calls with connection ids, user data and call types, agents and DNs.
//!
//! `calls` and `lines` are pure; `gate` decides who may be answered; `conduct`, `serve` and `program` are the shell.

pub mod calls;
pub mod command;
pub mod conduct;
pub mod faults;
pub mod gate;
pub mod lines;
pub mod numbers;
pub mod program;
pub mod serve;

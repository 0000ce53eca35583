//! The load client: writes without pause to whoever serves, and watches both members from outside.
//!
//! `measure` is pure and decides what was seen; `member` talks to one member; `command` and `program` are the shell.

pub mod command;
pub mod measure;
pub mod member;
pub mod program;
pub mod reorder;
pub mod summary;

//! The raw layer: a settings file as tables of values, each with its place in the text.
//!
//! Knows no topology. The law: nothing is dropped and nothing is guessed; whatever the schema does not know is
//! reported before any value is looked at.

mod keys;
mod report;
mod tree;
mod view;

pub(crate) use keys::check_keys;
pub(crate) use report::Report;
pub(crate) use tree::{Table, Value, parse};
pub(crate) use view::{Found, View};

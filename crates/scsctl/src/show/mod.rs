//! How answers look: text made from values, with the present time handed in.
//!
//! It knows no server and no stream. The law: the same values at the same time always give the same text.

mod ago;
mod events;
#[cfg(test)]
mod golden;
mod objects;
mod operation;
mod printed;
mod replay;
mod status;
pub mod table;
mod tokens;
mod what_if;
mod why;

pub use events::{event_line, events_heading};
pub use objects::{application, applications, host, hosts, pair, pairs};
pub use operation::{operation, operations, plan, step};
pub use printed::harmless;
pub use replay::replay;
pub use status::status;
pub use tokens::tokens;
pub use what_if::what_if;
pub use why::why;

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::out::Paint;

/// How to show: when "now" is, with which paint, and whether there is room for more.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    /// The present, for "since".
    pub now: Timestamp,
    /// In which zone times of events are told.
    pub zone: &'static TimeZone,
    /// Colours.
    pub paint: Paint,
    /// More columns.
    pub wide: bool,
}

/// The zone of whoever reads.
pub fn own_zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(TimeZone::system)
}

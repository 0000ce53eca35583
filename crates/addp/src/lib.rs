//! ADDP, the advanced disconnect detection protocol: is the other end of a link still there?
//!
//! A TCP connection whose peer lost its power says nothing for minutes. ADDP finds out within two timeouts, and costs
//! nothing while there is traffic: *silence* for the timeout, a *poll*, silence again for the timeout, *lost*. Whatever
//! arrives counts as life, a reply no more than any other byte. Each end has a timeout of its own, for what it wants to
//! know; an end may ask the other to use one.
//!
//! This crate is the machine only. It reads no clock and no socket: [`Addp`] is told what arrived and what time it is,
//! and says what to send and when to look again. The law: a link is never called lost before two whole timeouts of
//! silence have passed while this end was awake to hear, and never later than three.
//!
//! ```
//! use std::time::Duration;
//! use understudy_addp::{Addp, Outcome, Settings, Signal};
//! use understudy_model::Moment;
//!
//! let second = Duration::from_secs(1);
//! let start = Moment(0);
//! let settings = Settings { timeout: second, ..Settings::OFF };
//! let (mut link, _) = Addp::new(start, settings);
//!
//! // Nothing arrives for a second: time to ask.
//! let due = link.next_deadline().unwrap();
//! assert_eq!(due, start + second);
//! assert_eq!(link.look(due), Outcome::Send(Signal::Poll { number: 1 }));
//!
//! // The answer, or any other byte, is life: the second begins again.
//! let answered = due + Duration::from_millis(3);
//! link.arrived(answered);
//! assert_eq!(link.next_deadline(), Some(answered + second));
//!
//! // Silence, a poll, silence: lost.
//! let polled = link.next_deadline().unwrap();
//! assert_eq!(link.look(polled), Outcome::Send(Signal::Poll { number: 2 }));
//! assert_eq!(link.look(polled + second), Outcome::Lost);
//! ```

mod link;
mod signal;

pub use link::{Addp, Counts, LATE_TOLERANCE, Outcome};
pub use understudy_model::{
    AddpSettings as Settings, AddpSettingsError as SettingsError, AddpTrace as Trace,
    LONGEST_ADDP_TIMEOUT as LONGEST_TIMEOUT, SHORTEST_ADDP_TIMEOUT as SHORTEST_TIMEOUT,
};

pub use signal::{LONGEST_SIGNAL_BYTES, Signal, SignalError};

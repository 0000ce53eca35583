//! The loop that every program runs its machine in, and the boot clock.
//!
//! Always the same things in the same order: record, step, persist, act, publish, sleep until the next deadline.
//! Beside it, what every program that serves strangers needs: a bounded room for them, figures as text, and
//! a log on standard error; and what none of them may tell.
//! This crate refuses to know what the machine decides about. The law: no action before what it rests on is durable.

mod clock;
mod crowd;
pub mod exposition;
mod inbox;
mod log;
mod log_thread;
mod pace;
mod run;
pub mod secrets;
mod stop;
#[cfg(target_os = "linux")]
mod unit;

pub use clock::{BootClock, now};
pub use crowd::{Crowd, CrowdPlace};
pub use inbox::{Inbox, InboxReader, Look, Mail};
pub use log::{Log, begin_log, flush_log};
pub use pace::{Pace, Paces};
pub use run::{Hands, Kept, Persisting, Told, run};
pub use stop::{Stop, stop_signals};
#[cfg(target_os = "linux")]
pub use unit::{State, Unit, UnitError};

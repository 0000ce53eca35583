//! The stage: builds clusters of real processes on this machine, plays with them and measures them from outside.
//!
//! It knows the programs only as an operator does: by their paths, command lines, settings files and the API. It
//! refuses to know anything of their inside. The law: whatever it started ends with it, and nothing else is touched.

pub mod api;
pub mod bench;
pub mod clock;
pub mod daemon;
pub mod demo;
pub mod dice;
pub mod disk;
pub mod error;
pub mod figures;
mod heir;
pub mod interrupt;
pub mod load;
pub mod net;
pub mod plan;
pub mod ports;
pub mod programs;
pub mod recipe;
pub mod redis;
pub mod soak;
pub mod stage;
pub mod status;
pub mod sweep;
pub mod witness;

pub use error::StageError;
pub use interrupt::Interrupt;
pub use plan::{ApplicationPlan, Host, PairPlan, Plan};
pub use programs::Programs;
pub use stage::{Daemon, GROUND_PREFIX, Ground, Stage};
pub use status::Status;

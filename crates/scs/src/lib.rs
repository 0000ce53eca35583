//! The control server: the hands of the deciding machine `understudy_decide::control::Control`.
//!
//! It carries observations in, makes decisions durable, carries them out and tells people; it decides nothing itself.
//! The law: nothing is ordered before what it rests on is durable, and ending this program touches nothing that runs.

pub mod accepted;
pub mod api;
mod asked;
pub mod certificates;
mod command;
pub mod exit;
pub mod fencing;
pub mod figures;
pub mod hands;
pub mod journal;
pub mod keeping;
pub mod leadership;
pub mod links;
pub mod notify;
pub mod record;
pub mod reload;
pub mod replay;
pub mod replies;
pub mod retention;
pub mod service;
pub mod standing;
pub mod wall;

//! The agent of one host, as parts that tests reach: hands, not mind.
//!
//! Processes, promises on disk and links are here; what to do with them is decided in `understudy-decide`. The law: no
//! action before what it rests on is durable, and the end of an agent is never the end of an application.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "this version of the agent has processes of Linux only; its `Platform` is what another system fills in"
);

pub mod accepting;
pub mod application_links;
mod aside;
pub mod assignments_file;
pub mod callers;
pub mod doors;
pub mod environment;
pub mod environment_file;
pub mod exit;
pub mod gate;
pub mod guarding;
pub mod hands;
pub mod inherited;
pub mod journal;
pub mod keeper;
pub mod life;
pub mod link_memory;
pub mod links;
pub mod local;
pub mod local_commands;
pub mod log_file;
pub mod log_files;
pub mod log_reader;
pub mod memory;
pub mod output;
pub mod pages;
pub mod peers;
pub mod permission;
pub mod platform;
pub mod processes;
pub mod promise_file;
pub mod reload;
pub mod replace;
#[cfg(test)]
mod samples;
pub use understudy_drive::secrets;
pub mod security;
pub mod starts;
pub mod state;
pub mod status;
pub mod untold;
pub mod whole_file;

//! The real `lca`, run as a process of its own, with a control server played by the tests.
//!
//! Knows the wire and the files only. The law: everything is waited for with a limit, and only what a test started is
//! killed.

mod held;
mod hooks;
mod impostor;
mod inherited;
mod member;
mod notify;
mod orders;
mod peers;
mod play;
mod process;
mod status;

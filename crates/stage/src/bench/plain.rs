//! A member without the library, and the hook that tells it: for benches of programs that nobody here wrote.
//!
//! It knows the environment that a managed program sees, and the bench's socket. The law: the time is taken before
//! anything else is done.

use std::path::PathBuf;

use super::words::{Mouth, SOCKET_VARIABLE};
use crate::StageError;

/// The name of the member.
pub const PART_PLAIN: &str = "plain";
/// The name of its `on-promote` hook.
pub const PART_HOOK: &str = "hook";

fn mouth() -> Result<Mouth, StageError> {
    let variable = |name: &str| {
        std::env::var_os(name).ok_or_else(|| StageError::Unexpected(format!("{name} is not set")))
    };
    let socket = PathBuf::from(variable(SOCKET_VARIABLE)?);
    Mouth::to(&socket, &variable("UNDERSTUDY_APPLICATION")?.to_string_lossy())
}

/// Serves until it is killed. `began_ns` is when `main` began.
pub fn be(began_ns: u64) -> Result<(), StageError> {
    mouth()?.tell("main", began_ns);
    loop {
        std::thread::park();
    }
}

/// Tells that its member is promoted; `began_ns` is when `main` of the hook began.
pub fn promote(began_ns: u64) -> Result<(), StageError> {
    mouth()?.tell("promote", began_ns);
    Ok(())
}

//! Hands over to the demonstration program that lies beside this one. It plays nothing itself.
//! The law: its arguments and its exit code are passed on as they are.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::exit::{Exit, Failure};

const PROGRAM: &str = "understudy-demo";

/// Becomes the demonstration. Returns only if that is not possible.
pub(super) fn play(arguments: &[OsString]) -> Result<Exit, Failure> {
    let beside = std::env::current_exe()
        .map_err(|error| {
            Failure::new(Exit::Failed, format!("where this program lies is not known: {error}"))
        })?
        .with_file_name(PROGRAM);
    if !beside.is_file() {
        return Err(Failure::new(Exit::Failed, format!("there is no demonstration at {}", beside.display()))
            .because("it is built from the project's sources and is not part of every package")
            .try_next("./scripts/demo in the project's sources"));
    }
    let error = Command::new(&beside).args(arguments).exec();
    Err(Failure::new(Exit::Failed, format!("{} could not be started: {error}", beside.display())))
}

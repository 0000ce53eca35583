//! Hands over to the control server's program, which lies beside this one: only it knows the store.
//!
//! It reads and writes nothing itself. The law: arguments and exit code are passed on as they are.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::args::{BackUp, Restore};
use crate::exit::{Exit, Failure};

const PROGRAM: &str = "scs";

/// Becomes `scs backup`.
pub(super) fn back_up(which: &BackUp) -> Result<Exit, Failure> {
    become_program(|command| {
        command.arg("--config").arg(&which.config).arg("backup").arg(&which.file);
        if which.with_keys {
            command.arg("--with-keys");
        }
    })
}

/// Becomes `scs restore`.
pub(super) fn restore(which: &Restore, yes: bool) -> Result<Exit, Failure> {
    become_program(|command| {
        command.arg("--config").arg(&which.config).arg("restore").arg(&which.file);
        if let Some(directory) = &which.files {
            command.arg("--files").arg(directory);
        }
        if yes {
            command.arg("--yes");
        }
    })
}

fn become_program(arguments: impl FnOnce(&mut Command)) -> Result<Exit, Failure> {
    let failed = |text: String| Failure::new(Exit::Failed, text);
    let own = std::env::current_exe()
        .map_err(|error| failed(format!("where this program lies is not known: {error}")))?;
    let beside = own.with_file_name(PROGRAM);
    if !beside.is_file() {
        return Err(failed(format!("there is no control server at {}", beside.display()))
            .because("a store is kept and restored on the host of its control server")
            .try_next("the same command on that host"));
    }
    let mut command = Command::new(&beside);
    arguments(&mut command);
    let error = command.exec();
    Err(failed(format!("{} could not be started: {error}", beside.display())))
}

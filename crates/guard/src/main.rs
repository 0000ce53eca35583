//! `lca-guard`: kills members of pairs when their time is over. An agent starts it; nobody else needs to.
//!
//! Refuses to know everything but where its runtime directory is. The law: what is said at the start is said to whoever
//! started it; after that only the agent is told anything, so that nothing can keep it waiting.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use understudy_guard::watch::{Place, Watch, WatchError};

const USAGE: &str = "usage: lca-guard --directory RUNTIME_DIRECTORY [--group CONTROL_GROUP]
Kills members of redundant pairs when their time is over. The agent of this host (lca) starts it by itself.";

/// A guard for that directory lives already.
const EXIT_IN_USE: u8 = 75;
/// The command line.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let place = match place(std::env::args_os().skip(1)) {
        Ok(place) => place,
        Err(asked_for_help) => {
            say(USAGE);
            return if asked_for_help { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) };
        }
    };
    let watch = match Watch::begin(&place) {
        Ok(watch) => watch,
        Err(error) => {
            say(&format!("lca-guard: {error}"));
            let in_use = matches!(error, WatchError::InUse { .. });
            return if in_use { ExitCode::from(EXIT_IN_USE) } else { ExitCode::FAILURE };
        }
    };
    match watch.keep() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Whoever is told may be gone, which must not end a guard.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn place(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Place, bool> {
    let (mut directory, mut group) = (None, None);
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        let wanted = match name.to_str() {
            Some("--directory") => &mut directory,
            Some("--group") => &mut group,
            Some("--help" | "-h") => return Err(true),
            _ => return Err(false),
        };
        *wanted = Some(PathBuf::from(arguments.next().ok_or(false)?));
    }
    Ok(Place { directory: directory.ok_or(false)?, group })
}

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
        Err(Asked::Help) => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(Asked::Version) => {
            // As for help: whoever asked may be gone.
            let _ = writeln!(std::io::stdout(), "lca-guard {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Err(Asked::Nonsense) => {
            say(USAGE);
            return ExitCode::from(EXIT_USAGE);
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

/// A command line that is none of a guard.
enum Asked {
    Help,
    Version,
    Nonsense,
}

fn place(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Place, Asked> {
    let (mut directory, mut group) = (None, None);
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        let wanted = match name.to_str() {
            Some("--directory") => &mut directory,
            Some("--group") => &mut group,
            Some("--help" | "-h") => return Err(Asked::Help),
            Some("--version" | "-V") => return Err(Asked::Version),
            _ => return Err(Asked::Nonsense),
        };
        *wanted = Some(PathBuf::from(arguments.next().ok_or(Asked::Nonsense)?));
    }
    Ok(Place { directory: directory.ok_or(Asked::Nonsense)?, group })
}

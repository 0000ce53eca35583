//! Ends what a play leaves behind that was killed itself: waits until its standard input is closed, then kills every process
//! with the mark of the stage in the directory that is its first argument. If nothing was said before, the play did not end
//! by itself, and the directories that are its arguments are removed.
//!
//! It knows no cluster. The law: as long as the play lives it does nothing; only directories with the name of a stage's are
//! removed.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::ExitCode;

use understudy_stage::GROUND_PREFIX;
use understudy_stage::sweep::end_all;

fn main() -> ExitCode {
    let directories: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some(mark) = directories.first() else {
        eprintln!("usage: understudy-heir DIRECTORY...");
        return ExitCode::from(2);
    };
    let mut said = Vec::new();
    // An input that cannot be read is as good as closed: nobody is there any more.
    let _ = std::io::stdin().read_to_end(&mut said);
    if let Err(why) = end_all(Path::new(mark)) {
        eprintln!("understudy-heir: {why}");
        return ExitCode::FAILURE;
    }
    if !said.is_empty() {
        return ExitCode::SUCCESS;
    }
    let left = directories.iter().filter(|directory| !remove(Path::new(directory))).count();
    if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn remove(directory: &Path) -> bool {
    let name = directory.file_name().and_then(|name| name.to_str());
    if !name.is_some_and(|name| name.starts_with(GROUND_PREFIX)) {
        return true;
    }
    match fs::remove_dir_all(directory) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => {
            eprintln!("understudy-heir: {} is left: {error}", directory.display());
            false
        }
    }
}

//! Ends what a play leaves behind that was killed itself: waits until its standard input is closed, then kills every process
//! with the mark of the stage in the directory that is its argument.
//!
//! It knows no cluster. The law: as long as the play lives it does nothing.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use understudy_stage::sweep::end_all;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("usage: understudy-heir DIRECTORY");
        return ExitCode::from(2);
    };
    // An input that cannot be read is as good as closed: nobody is there any more.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    match end_all(Path::new(&directory)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("understudy-heir: {why}");
            ExitCode::FAILURE
        }
    }
}

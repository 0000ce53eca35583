//! The operator's command line: asks a control server through its HTTP API, and shows the answer so that it can be
//! read at a glance.
//!
//! This crate refuses to know how roles are decided, and decides nothing itself: what it shows, the server said.
//! The law: every way to end is one [`Exit`] code, and an error says what was found, what was expected and what to
//! run next.

mod answers;
mod args;
mod contexts;
mod exit;
mod out;
mod place;
mod proof;
mod reference;
mod run;
mod server;
mod show;
mod stream;
mod when;

pub use exit::{Exit, Failure};
pub use reference::commands_markdown;

use std::ffi::OsString;

use clap::Parser;

/// Runs one command line and says how it ended. The first argument is the program's name.
pub fn main_with(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let mut args = match args::Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(refused) => {
            let asked_for_help = !refused.use_stderr();
            // If even this cannot be printed, nobody reads it; the exit code still tells.
            let _ = refused.print();
            return if asked_for_help { Exit::Done } else { Exit::Usage };
        }
    };
    args.access.or_environment(|name| std::env::var_os(name));
    let mut out = out::Out::new(args.no_color);
    match run::run(&args, &mut out) {
        Ok(exit) => exit,
        Err(failure) => {
            out.error(&failure);
            failure.exit()
        }
    }
}

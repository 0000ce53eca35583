//! The reference call server as a program; everything is in `understudy_refapps::tserver`.

use std::process::ExitCode;

use clap::Parser;
use understudy_refapps::tserver::{command::Arguments, program::run};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("tserver: {why}");
            ExitCode::FAILURE
        }
    }
}

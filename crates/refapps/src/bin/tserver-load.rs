//! The load client as a program; everything is in `understudy_refapps::load`.

use std::process::ExitCode;

use clap::Parser;
use understudy_refapps::load::{command::Arguments, program::run};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("tserver-load: {why}");
            ExitCode::FAILURE
        }
    }
}

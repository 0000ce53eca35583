//! The demonstration as a program; everything is in `understudy_stage::demo`.

use std::process::ExitCode;

use clap::Parser;
use understudy_stage::demo::{Arguments, run};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("understudy-demo: {why}");
            ExitCode::FAILURE
        }
    }
}

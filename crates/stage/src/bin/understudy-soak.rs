//! The soak runs as a program; everything is in `understudy_stage::soak`.

use std::process::ExitCode;

use clap::Parser;
use understudy_stage::soak::{Arguments, run};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("understudy-soak: {why}");
            ExitCode::FAILURE
        }
    }
}

//! The benches as a program; everything is in `understudy_stage::bench`. With a hidden first argument it is one of the
//! processes that a bench is played with.

use std::process::ExitCode;

use clap::Parser;
use understudy_stage::bench::{Arguments, PART, be, run};

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let done = match given.split_first() {
        Some((first, rest)) if first == PART => be(rest),
        _ => run(&Arguments::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("understudy-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

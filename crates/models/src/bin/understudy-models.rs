//! Explores the grant machines and says what was found.

use std::process::ExitCode;
use std::time::Instant;

use understudy_models::runs;
use understudy_models::search::{Outcome, explore};
use understudy_models::world::Scope;
use understudy_models::wrong::Wrong;

fn run(scope: &Scope) -> Outcome {
    let begun = Instant::now();
    let outcome = explore(scope, 20_000_000);
    println!("{:<50} {:>10} states {:>12} transitions depth {:>3} {:>7.1} s", scope.name, outcome.states, outcome.transitions, outcome.depth, begun.elapsed().as_secs_f64());
    if let Some(objection) = &outcome.objection {
        println!("  {}", objection.what);
        for (i, s) in objection.trace.iter().enumerate() { println!("  {i:>3}. {s}"); }
    }
    for (n, c, _) in outcome.tally.lines() { print!("{n}: {c}; "); }
    println!();
    outcome
}

fn main() -> ExitCode {
    for scope in runs::quick() { run(&scope); }
    for w in Wrong::ALL {
        println!("{w:?} {:?}", w.says());
        run(&runs::broken(*w));
    }
    ExitCode::SUCCESS
}

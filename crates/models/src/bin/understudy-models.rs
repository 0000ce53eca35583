//! Explores the grant machines and says what was found. What it prints is a table that documents can take as it is.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use understudy_models::search::{Outcome, Progress, explore_and_tell};
use understudy_models::world::Scope;
use understudy_models::wrong::Wrong;
use understudy_models::{embedded, one_host, runs};

/// Explores every interleaving of the grant machines at small bounds.
#[derive(Parser)]
#[command(name = "understudy-models", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Give up after so many states; a run that was not exhausted counts as failed. A hundred million need about 1.5 GB.
    #[arg(long, global = true, default_value_t = 400_000_000)]
    most: usize,
    /// Tell after every layer how far a run has come.
    #[arg(long, global = true)]
    progress: bool,
    /// Only runs whose name contains this.
    #[arg(long, global = true, default_value = "")]
    only: String,
}

#[derive(Subcommand, Clone, Copy, PartialEq)]
enum What {
    /// The rules as they are, in less than a minute.
    Quick,
    /// The rules as they are, in wider bounds.
    Full,
    /// The rules as they are, in the widest bounds: clocks in quarters of a lease, three epochs, two leaderships.
    Stated,
    /// The whole agent, through every history of so many happenings, with one member on its host and with both.
    Embedded {
        /// So many happenings after a beginning as backup, or as primary.
        #[arg(long, default_value_t = 5)]
        length: usize,
    },
    /// Each rule broken in turn: all must be caught.
    Broken {
        /// Tell how each one was caught, step by step.
        #[arg(long)]
        trace: bool,
    },
}

fn timed(scope: &Scope, arguments: &Arguments) -> (Outcome, f64) {
    let begun = Instant::now();
    let outcome = explore_and_tell(scope, arguments.most, |so_far| {
        if arguments.progress {
            let Progress { depth, states, transitions, waiting, parts } = so_far;
            let [agents, controllers, stores, known] = parts;
            eprintln!(
                "    {depth:>4} steps, {states} states, {waiting} of them new, {transitions} transitions, {:.0} s; \
                 {agents} agents, {controllers} control servers, {stores} stores, {known} outcomes",
                begun.elapsed().as_secs_f64()
            );
        }
    });
    (outcome, begun.elapsed().as_secs_f64())
}

fn tell(outcome: &Outcome) {
    if let Some(objection) = &outcome.objection {
        println!("\n{}\n", objection.what);
        for (number, sentence) in objection.trace.iter().enumerate() {
            println!("{number:>4}  {sentence}");
        }
        println!();
    }
}

fn one_host() -> bool {
    let begun = Instant::now();
    let found = one_host::explore(&runs::even("both members on one host, any order, 4 epochs", 4, 0), None);
    let seconds = begun.elapsed().as_secs_f64();
    println!("| both members on one host, any order, 4 epochs | {} | | | {seconds:.1} |", found.states);
    if found.two_primaries || found.unpromised {
        eprintln!("FAILED: S1 or S3: both members on one host act at once, or one without a promise");
    }
    !found.two_primaries && !found.unpromised
}

fn sound(scopes: Vec<Scope>, arguments: &Arguments) -> bool {
    println!("| run | states | transitions | depth | seconds |\n|---|---|---|---|---|");
    let mut all_well = one_host();
    for scope in scopes.iter().filter(|scope| scope.name.contains(&arguments.only)) {
        let (outcome, seconds) = timed(scope, arguments);
        let Outcome { states, transitions, depth, .. } = &outcome;
        println!("| {} | {states} | {transitions} | {depth} | {seconds:.1} |", scope.name);
        for (name, count, _) in outcome.tally.lines(scope).iter().filter(|(_, count, _)| *count > 0) {
            eprintln!("    {count:>10} {name}");
        }
        if scope.live && outcome.objection.is_none() {
            let Outcome { slowest, replaced, .. } = outcome;
            eprintln!("    L1 to L3 hold in every state; without faults it takes at most {slowest} ticks");
            eprintln!(
                "    {replaced} states whose acting member was not known to all voters, and was replaced"
            );
        }
        tell(&outcome);
        for name in outcome.tally.missing(scope) {
            eprintln!("FAILED: {}: no {name}; the run proves nothing", scope.name);
            all_well = false;
        }
        if outcome.objection.is_some() {
            eprintln!("FAILED: {}: an invariant does not hold, see above", scope.name);
            all_well = false;
        } else if !outcome.exhausted {
            eprintln!("FAILED: {}: more than {} states; raise --most", scope.name, arguments.most);
            all_well = false;
        }
    }
    all_well
}

fn broken(trace: bool, arguments: &Arguments) -> bool {
    println!("| rule | what is done instead | what objected | states | steps |\n|---|---|---|---|---|");
    let mut all_well = true;
    for wrong in Wrong::ALL.iter().filter(|wrong| format!("{wrong:?}").contains(&arguments.only)) {
        let (outcome, seconds) = timed(&runs::broken(*wrong), arguments);
        let (rule, instead) = wrong.says();
        let what = outcome.objection.as_ref().map_or("**nothing**", |objection| &objection.what[..2]);
        println!("| {rule} | {instead} | {what} | {} | {} |", outcome.states, outcome.depth);
        eprintln!("    {wrong:?}: {seconds:.1} s");
        if trace {
            tell(&outcome);
        }
        if outcome.objection.is_none() {
            eprintln!("FAILED: {wrong:?} was not caught");
            all_well = false;
        }
    }
    all_well
}

fn embedded(length: usize) -> bool {
    println!("| host | happenings | situations | tried | seconds |\n|---|---|---|---|---|");
    let mut all_well = true;
    for (both_here, name) in [(false, "one member"), (true, "both members")] {
        let begun = Instant::now();
        let told = embedded::explore(both_here, None, length);
        let seconds = begun.elapsed().as_secs_f64();
        println!("| {name} | {length} | {} | {} | {seconds:.1} |", told.situations, told.happened);
        for (name, count) in embedded::REACHED.iter().zip(told.reached) {
            eprintln!("    {count:>10} {name}");
        }
        if let Some((what, way)) = told.objection {
            eprintln!("FAILED: {name}: {what}\n{way:#?}");
            all_well = false;
        }
    }
    println!("\n| rule | what is done around the agent | what objected |\n|---|---|---|");
    for lie in embedded::Lie::ALL {
        let caught = [false, true].into_iter().find_map(|both_here| {
            (1..=length).find_map(|length| embedded::explore(both_here, Some(lie), length).objection)
        });
        let (rule, instead) = lie.says();
        let what = caught.as_ref().map_or("**nothing**", |(what, _)| what.as_str());
        println!("| {rule} | {instead} | {what} |");
        eprintln!("    {lie:?}: {:?}", caught.as_ref().map(|(_, way)| way));
        all_well &= caught.is_some();
    }
    all_well
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let all_well = match arguments.what {
        What::Quick => sound(runs::quick(), &arguments),
        What::Full => sound(runs::full(), &arguments),
        What::Stated => sound(runs::stated(), &arguments),
        What::Embedded { length } => embedded(length),
        What::Broken { trace } => broken(trace, &arguments),
    };
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

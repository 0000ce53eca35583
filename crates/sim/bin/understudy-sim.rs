//! Runs invented clusters and says what was found. With a seed, one run; with `--trace`, event by event.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use understudy_model::{Policy, Preset};
use understudy_sim::climate::Options;
use understudy_sim::run::{Outcome, Wanted, run, shrink};
use understudy_sim::sometimes::Sometimes;

/// Simulates whole clusters of the deciding machines, with faults, from seeds.
#[derive(Parser)]
#[command(name = "understudy-sim", version)]
struct Arguments {
    /// One run, of this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs for so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// So many runs.
    #[arg(long)]
    runs: Option<u64>,
    /// The first seed of many; by itself another one every time.
    #[arg(long)]
    first: Option<u64>,
    /// The timers.
    #[arg(long, value_enum, default_value_t = PresetWord::Normal)]
    preset: PresetWord,
    /// Never two primaries, or the classic behaviour.
    #[arg(long, value_enum, default_value_t = PolicyWord::Available)]
    policy: PolicyWord,
    /// Tells a run event by event.
    #[arg(long)]
    trace: bool,
    /// Finds the fewest faults that still break the law.
    #[arg(long)]
    shrink: bool,
    /// Leaves these faults out, by number.
    #[arg(long, value_delimiter = ',')]
    without: Vec<usize>,
    /// Clocks stop with their machines: outside of what is assumed.
    #[arg(long)]
    clocks_stop: bool,
    /// Pairs with the library keep their data: who lacks what was acknowledged is not promoted.
    #[arg(long)]
    keep_data: bool,
    /// The leases of pairs are changed by reloads meanwhile.
    #[arg(long)]
    reloads: bool,
    /// Operators hold hosts for planned work: what acts there gets a long lease.
    #[arg(long)]
    holds: bool,
    /// Hosts have fencing commands that take their power, and operators say of hosts without power that they are off.
    #[arg(long)]
    power: bool,
    /// What commands and operators say of the power is not so: outside of what is assumed.
    #[arg(long, requires = "power")]
    lies: bool,
    /// Measures what the machines themselves cost; that costs something too.
    #[arg(long)]
    measure: bool,
    /// How to print the end: a table, or one JSON object.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum PresetWord {
    Fast,
    Normal,
}

#[derive(Clone, Copy, ValueEnum)]
enum PolicyWord {
    Strict,
    Available,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// The sum of a campaign.
#[derive(Default)]
struct Campaign {
    runs: u64,
    events: u64,
    steps: u64,
    time: u64,
    slowest: u64,
    slowest_seed: u64,
    slowest_waited: String,
    spent: u64,
    sometimes: Sometimes,
    failed: Vec<u64>,
}

impl Campaign {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.events += outcome.events;
        self.steps += outcome.steps;
        self.time += outcome.time;
        if let Some(healed) = outcome.healed.filter(|healed| *healed > self.slowest) {
            (self.slowest, self.slowest_seed, self.slowest_waited) = (healed, outcome.seed, waits(outcome));
        }
        self.spent += outcome.spent;
        self.sometimes.add(&outcome.sometimes);
    }
}

/// What the slowest pair of a run waited for.
fn waits(outcome: &Outcome) -> String {
    let waits: Vec<String> =
        outcome.waited.iter().map(|(rule, count)| format!("{rule} ({count} s)")).collect();
    if waits.is_empty() { "nothing that a look each second has seen".to_owned() } else { waits.join(", ") }
}

/// The most failing seeds before a campaign ends.
const MOST_FAILED: usize = 10;
/// A campaign of fewer runs need not have reached everything.
const ENOUGH_RUNS: u64 = 3_000;

impl Arguments {
    fn options(&self) -> Options {
        Options {
            preset: match self.preset {
                PresetWord::Fast => Preset::Fast,
                PresetWord::Normal => Preset::Normal,
            },
            policy: match self.policy {
                PolicyWord::Strict => Policy::Strict,
                PolicyWord::Available => Policy::Available,
            },
            clocks_stop: self.clocks_stop,
            keep_data: self.keep_data,
            reloads: self.reloads,
            holds: self.holds,
            power: self.power,
            lies: self.lies,
        }
    }

    fn replay(&self, seed: u64) -> String {
        let words = |flag: &str, on: bool| if on { format!(" {flag}") } else { String::new() };
        let fast = words("--preset fast", matches!(self.preset, PresetWord::Fast));
        let policy = match self.policy {
            PolicyWord::Strict => " --policy strict",
            PolicyWord::Available => " --policy available",
        };
        let clocks = words("--clocks-stop", self.clocks_stop);
        let data = words("--keep-data", self.keep_data);
        let reloads = words("--reloads", self.reloads);
        let holds = words("--holds", self.holds);
        let power = words("--power", self.power);
        let lies = words("--lies", self.lies);
        format!(
            "./scripts/sim --seed {seed}{fast}{policy}{clocks}{data}{reloads}{holds}{power}{lies} --trace"
        )
    }
}

fn one(arguments: &Arguments, seed: u64) -> bool {
    let options = arguments.options();
    let mut wanted = Wanted {
        story: arguments.trace,
        fingerprint: true,
        without: arguments.without.clone(),
        ..Wanted::default()
    };
    let mut outcome = run(seed, options, &wanted);
    if let Some(violation) = outcome.violation.as_ref().filter(|_| arguments.shrink) {
        wanted.without = shrink(seed, options, violation.law);
        eprintln!("{} of {} faults are needed", outcome.faults - wanted.without.len(), outcome.faults);
        outcome = run(seed, options, &wanted);
    }
    for line in &outcome.story {
        println!("{line}");
    }
    let healed = outcome
        .healed
        .map_or_else(|| "not".to_owned(), |span| format!("after {:?}", Duration::from_nanos(span)));
    println!(
        "seed {seed}: {} events, {} steps of machines, {:?} of true time, {} faults, healed {healed}, fingerprint {:016x}",
        outcome.events,
        outcome.steps,
        Duration::from_nanos(outcome.time),
        outcome.faults,
        outcome.fingerprint.unwrap_or_default()
    );
    if outcome.healed.is_none_or(|healed| healed > 1_000_000_000) {
        println!("its slowest pair waited for {}", waits(&outcome));
    }
    if let Some(violation) = &outcome.violation {
        println!("{} at {:?}: {}", violation.law, Duration::from_nanos(violation.at), violation.what);
    }
    outcome.violation.is_none()
}

fn many(arguments: &Arguments) -> bool {
    let options = arguments.options();
    let limit = arguments.seconds.map(Duration::from_secs);
    let most = arguments.runs.unwrap_or(if limit.is_some() { u64::MAX } else { 1_000 });
    let first = arguments.first.unwrap_or_else(fresh_seed);
    eprintln!("seeds from {first} on");
    let mut campaign = Campaign::default();
    let wanted = Wanted { meter: arguments.measure.then_some(nanoseconds), ..Wanted::default() };
    let began = Instant::now();
    while campaign.runs < most && limit.is_none_or(|limit| began.elapsed() < limit) {
        let seed = first.wrapping_add(campaign.runs);
        let outcome = run(seed, options, &wanted);
        campaign.add(&outcome);
        if let Some(violation) = &outcome.violation {
            let at = Duration::from_nanos(violation.at);
            eprintln!("seed {seed}: {} at {at:?}: {}", violation.law, violation.what);
            eprintln!("    replay it with: {}", arguments.replay(seed));
            campaign.failed.push(seed);
            if campaign.failed.len() >= MOST_FAILED {
                break;
            }
        }
    }
    tell(arguments, &campaign, began.elapsed())
}

/// What this program has had of its core so far, if the system tells.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds).as_secs_f64())
}

/// For measuring.
fn nanoseconds() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Another one every time: the only thing here that is not from a seed, and it is printed.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos() % 1_000_000_000_000).unwrap_or_default()
}

fn tell(arguments: &Arguments, campaign: &Campaign, took: Duration) -> bool {
    let missing = if campaign.runs >= ENOUGH_RUNS && campaign.failed.is_empty() {
        campaign.sometimes.missing(arguments.options().policy)
    } else {
        Vec::new()
    };
    // On a machine that has other things to do, what it takes of a core says more than what the clock on the wall says.
    let (seconds, whose) = match processor_seconds() {
        Some(seconds) if seconds > 0.0 => (seconds, "of processor time"),
        _ => (took.as_secs_f64(), "by the clock on the wall"),
    };
    let per_second = campaign.events as f64 / seconds;
    if arguments.output == Output::Json {
        let counts: Vec<String> =
            campaign.sometimes.lines().iter().map(|(name, count)| format!("{name:?}:{count}")).collect();
        println!(
            "{{\"runs\":{},\"events\":{},\"steps\":{},\"seconds\":{seconds:.1},\"events_per_second\":{per_second:.0},\"simulated_seconds\":{},\"failovers\":{},\"violations\":{},\"failed_seeds\":{:?},\"missing\":{missing:?},\"slowest_heal_ms\":{},\"slowest_heal_seed\":{},\"slowest_heal_waited\":{:?},\"sometimes\":{{{}}}}}",
            campaign.runs,
            campaign.events,
            campaign.steps,
            campaign.time / 1_000_000_000,
            campaign.sometimes.failovers,
            campaign.failed.len(),
            campaign.failed,
            campaign.slowest / 1_000_000,
            campaign.slowest_seed,
            campaign.slowest_waited,
            counts.join(",")
        );
    } else {
        println!("{:>14}  runs", campaign.runs);
        println!("{:>14}  events, {per_second:.0} a second {whose}", campaign.events);
        println!("{:>14}  seconds by the clock on the wall", took.as_secs());
        println!("{:>14}  steps of machines", campaign.steps);
        if campaign.spent > 0 {
            let each = campaign.spent / campaign.steps.max(1);
            let share = campaign.spent as f64 / seconds / 1e7;
            println!("{each:>14}  ns a step, the machines alone: {share:.0} % of the time");
        }
        println!("{:>14}  simulated hours", campaign.time / 3_600_000_000_000);
        println!(
            "{:>14}  ms until the slowest run had healed, seed {}, which waited for {}",
            campaign.slowest / 1_000_000,
            campaign.slowest_seed,
            campaign.slowest_waited
        );
        for (name, count) in campaign.sometimes.lines() {
            println!("{count:>14}  {name}");
        }
        println!("{:>14}  violations", campaign.failed.len());
    }
    for name in &missing {
        eprintln!("FAILED: never seen: {name}");
    }
    campaign.failed.is_empty() && missing.is_empty()
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let well = match arguments.seed {
        Some(seed) => one(&arguments, seed),
        None => many(&arguments),
    };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! The load client as a process: a writing and a probing thread for each member, and one that measures.
//!
//! Knows threads, time and output; what the observations mean is `measure`'s. The law: times are taken next to the
//! system calls they are about, and a thread that only watches never holds up one that measures.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::command::Arguments;
use super::measure::{Ask, Measure, Observation, Said};
use super::member::{Conversation, epoch_of, judge_role, judge_write};
use super::reorder::Reorder;
use crate::tserver::lines::field;

/// Between two probes of a member.
const PROBE_EVERY: Duration = Duration::from_millis(1);
/// Between two tries of a write while nobody serves.
const TRY_EVERY: Duration = Duration::from_micros(200);
/// Between two tries at a member that does not serve, while the other does.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Without an acknowledgement for so long, nobody serves.
const NOBODY_AFTER_NS: u64 = 2_000_000;
/// Observations are put in order within this span; moments are printed that much later than they happened.
const HOLD_NS: u64 = 20_000_000;
/// The measuring thread looks this often.
const DRAIN_EVERY: Duration = Duration::from_millis(5);
/// Observations that may wait for it; more make the others wait.
const MOST_WAITING: usize = 1 << 16;

/// Why the client failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(#[source] io::Error),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// `--duration` is no span of time.
    #[error("--duration is {0}; a positive number of seconds is allowed")]
    Duration(f64),
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    began: Instant,
    stop: Arc<AtomicBool>,
    next_number: AtomicU64,
    last_acknowledged_ns: AtomicU64,
    /// In any answer that was an act.
    highest_epoch: AtomicU64,
    dn: String,
    pause: Duration,
}

impl Shared {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Rejects an act in an epoch below one that was seen before, by any of the threads: the fencing token at work. The time
    /// of its receipt is taken after this.
    fn check(&self, said: Said) -> Said {
        match said {
            Said::Serving(epoch) if self.highest_epoch.fetch_max(epoch, Ordering::SeqCst) > epoch => {
                Said::Stale(epoch)
            }
            Said::Serving(_) | Said::Stale(_) | Said::NotServing(_) | Said::Nothing | Said::Unreachable => {
                said
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs until it is told to end. `false`: `--once` found no member, or two, that serve.
pub fn run(arguments: &Arguments) -> Result<bool, RunError> {
    if arguments.once {
        return say_who_serves(&arguments.members);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(RunError::Signals)?;
    }
    let shared = Arc::new(Shared {
        began: Instant::now(),
        stop,
        next_number: AtomicU64::new(1),
        last_acknowledged_ns: AtomicU64::new(0),
        highest_epoch: AtomicU64::new(0),
        dn: arguments.dn.clone(),
        pause: Duration::from_micros(arguments.pause_us),
    });
    let end_ns = match arguments.duration {
        None => u64::MAX,
        Some(seconds) => match Duration::try_from_secs_f64(seconds) {
            Ok(span) if !span.is_zero() => u64::try_from(span.as_nanos()).unwrap_or(u64::MAX),
            _ => return Err(RunError::Duration(seconds)),
        },
    };
    if arguments.until_stdin_closes {
        let shared = Arc::clone(&shared);
        start(move || {
            // An error is an end too.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            shared.stop.store(true, Ordering::Relaxed);
        })?;
    }
    let (seen, observations) = sync_channel(MOST_WAITING);
    for (member, &address) in arguments.members.iter().enumerate() {
        for watch in [write_all as fn(usize, SocketAddr, &Shared, &SyncSender<Observation>), probe] {
            let (shared, seen) = (Arc::clone(&shared), seen.clone());
            start(move || watch(member, address, &shared, &seen))?;
        }
    }
    drop(seen);
    measure(arguments, &shared, &observations, end_ns)
}

fn start(act: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
    std::thread::Builder::new().spawn(act).map(drop).map_err(RunError::Thread)
}

/// Writes to one member: without pause while it serves, again and again while it does not.
fn write_all(member: usize, address: SocketAddr, shared: &Shared, seen: &SyncSender<Observation>) {
    let mut conversation = None;
    let mut number = None;
    while !shared.has_ended() {
        let sent_ns = shared.now_ns();
        if conversation.is_none() {
            conversation = Conversation::open(address).ok().and_then(|mut open| {
                // Registered with both, as clients of a hot pair are; the answer does not matter for the measure.
                open.ask(&format!("REGISTER {}\n", shared.dn)).ok().map(|_| open)
            });
        }
        // The same number until it is acknowledged: a write is harmless when doubled.
        let number_now = *number.get_or_insert_with(|| shared.next_number.fetch_add(1, Ordering::Relaxed));
        let (sent_ns, said) = match &mut conversation {
            None => (sent_ns, Said::Unreachable),
            Some(open) => {
                let sent_ns = shared.now_ns();
                (
                    sent_ns,
                    open.ask(&format!("WRITE {number_now}\n"))
                        .map_or(Said::Nothing, |text| judge_write(&text)),
                )
            }
        };
        let said = shared.check(said);
        let received_ns = shared.now_ns();
        let observation = Observation { member, sent_ns, received_ns, ask: Ask::Write(number_now), said };
        if seen.send(observation).is_err() {
            return;
        }
        match said {
            Said::Serving(_) => {
                number = None;
                shared.last_acknowledged_ns.fetch_max(received_ns, Ordering::Relaxed);
                if !shared.pause.is_zero() {
                    std::thread::sleep(shared.pause);
                }
                continue;
            }
            Said::Nothing => conversation = None,
            Said::Stale(_) | Said::NotServing(_) | Said::Unreachable => {}
        }
        let silence_ns = received_ns.saturating_sub(shared.last_acknowledged_ns.load(Ordering::Relaxed));
        std::thread::sleep(if silence_ns > NOBODY_AFTER_NS { TRY_EVERY } else { LOOK_EVERY });
    }
}

/// Asks one member all the time what it is.
fn probe(member: usize, address: SocketAddr, shared: &Shared, seen: &SyncSender<Observation>) {
    let mut conversation = None;
    while !shared.has_ended() {
        if conversation.is_none() {
            conversation = Conversation::open(address).ok();
        }
        let sent_ns = shared.now_ns();
        let said = match &mut conversation {
            None => Said::Unreachable,
            Some(open) => open.ask("HELLO\n").map_or(Said::Nothing, |text| judge_role(&text)),
        };
        let said = shared.check(said);
        if said == Said::Nothing {
            conversation = None;
        }
        let observation = Observation { member, sent_ns, received_ns: shared.now_ns(), ask: Ask::Role, said };
        if seen.send(observation).is_err() {
            return;
        }
        std::thread::sleep(PROBE_EVERY);
    }
}

fn measure(
    arguments: &Arguments,
    shared: &Shared,
    observations: &Receiver<Observation>,
    end_ns: u64,
) -> Result<bool, RunError> {
    let mut measure = Measure::new(arguments.stall_ms.saturating_mul(1_000_000));
    let mut reorder = Reorder::new(HOLD_NS);
    let mut moments = Vec::new();
    let ended_ns = loop {
        std::thread::sleep(DRAIN_EVERY);
        let now_ns = shared.now_ns();
        let ends = shared.has_ended() || now_ns >= end_ns;
        observations.try_iter().for_each(|seen| reorder.push(seen));
        while let Some(seen) = reorder.pop(if ends { u64::MAX } else { now_ns }) {
            measure.observe(seen, &mut moments);
        }
        for moment in moments.drain(..) {
            say(&moment)?;
        }
        if ends {
            break now_ns;
        }
    };
    shared.stop.store(true, Ordering::Relaxed);
    let looked_up = if arguments.verify { look_up(&arguments.members, &measure) } else { None };
    let mut summary = measure.finish(ended_ns);
    summary.acknowledged_checked = looked_up.map(|(checked, _)| checked);
    summary.acknowledged_lost = looked_up.map(|(_, lost)| lost);
    say(&summary)?;
    Ok(true)
}

fn say(line: &impl Serialize) -> Result<(), RunError> {
    let mut output = io::stdout().lock();
    serde_json::to_writer(&mut output, line).map_err(|why| RunError::Output(why.into()))?;
    writeln!(output).and_then(|()| output.flush()).map_err(RunError::Output)
}

/// How many writes of the present primary's epoch were looked up, and how many of them it does not have. `None` if
/// nobody serves, or it does not answer.
fn look_up(members: &[SocketAddr], measure: &Measure) -> Option<(u64, u64)> {
    let (mut open, epoch) = members.iter().find_map(|&address| {
        let mut open = Conversation::open(address).ok()?;
        match judge_role(&open.ask("HELLO\n").ok()?) {
            Said::Serving(epoch) => Some((open, epoch)),
            _ => None,
        }
    })?;
    let (mut checked, mut held) = (0, 0);
    for (first, last) in measure.acknowledged_in(epoch).into_iter().flat_map(|numbers| numbers.ranges()) {
        let answer = open.ask(&format!("QUERY writes {first} {last}\n")).ok()?;
        // An answer of another epoch is about other memory.
        if epoch_of(&answer) != Some(epoch) {
            return None;
        }
        held += field(&answer, "held").and_then(|held| held.parse::<u64>().ok())?;
        checked += last - first + 1;
    }
    Some((checked, checked.saturating_sub(held)))
}

/// One member that serves.
#[derive(Debug, Serialize)]
struct WhoServes {
    member: usize,
    address: SocketAddr,
    epoch: u64,
}

fn say_who_serves(members: &[SocketAddr]) -> Result<bool, RunError> {
    let mut count = 0;
    for (member, &address) in members.iter().enumerate() {
        let said = Conversation::open(address).and_then(|mut open| open.ask("HELLO\n"));
        match said.as_deref().map(judge_role) {
            Ok(Said::Serving(epoch)) => {
                count += 1;
                say(&WhoServes { member, address, epoch })?;
            }
            Ok(_) => {}
            Err(why) => eprintln!("tserver-load: {address}: {why}"),
        }
    }
    Ok(count == 1)
}

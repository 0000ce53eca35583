//! What a daemon says on standard error: one line an event, at the levels that the environment asks for.
//!
//! Refuses to know what is said. The laws: a wish that cannot be read is named and does not silence the rest; nobody waits for
//! whoever reads it, and a thread that panics no more than any other.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::log_thread::LogThread;

/// How long the end of a program may wait for what it said last.
const END_WAITS: Duration = Duration::from_secs(1);
/// How long who goes on may wait for it, as leases run on meanwhile.
const FLUSH_WAITS: Duration = Duration::from_millis(100);

/// The log of this process.
static LOG: OnceLock<LogThread> = OnceLock::new();

/// A log that has begun. Dropped at the end of the program, it waits a short time until all is written.
#[derive(Debug)]
#[must_use = "what is said last would be lost"]
pub struct Log(());

impl Drop for Log {
    fn drop(&mut self) {
        flush(END_WAITS);
    }
}

/// Begins the log of this process; once, before anything is said. Fails if the system refuses a thread; then nothing is logged.
///
/// `variable` names the environment variable that asks for other levels than `info`: a level (`debug`), or a list such as
/// `warn,understudy_transport=trace`. There are no patterns, as what reads them would be a tenth of an agent.
pub fn begin_log(variable: &str) -> io::Result<Log> {
    let (levels, problem) = levels(variable, std::env::var_os(variable).as_deref());
    let thread = LogThread::start(write)?;
    LOG.set(thread).map_err(|_| io::Error::other("it has begun already"))?;
    std::panic::set_hook(Box::new(say_panic));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Line)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(levels).with(lines).init();
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
    Ok(Log(()))
}

/// Waits a moment for what was logged to be written, before this process becomes another program; not for a reader that has
/// stopped.
pub fn flush_log() {
    flush(FLUSH_WAITS);
}

fn flush(limit: Duration) {
    if let Some(log) = LOG.get() {
        // What is not written by then nobody reads.
        log.flush(limit);
    }
}

/// Standard error, without the lock that a panic elsewhere may want.
#[cfg(unix)]
fn write(text: &[u8]) -> io::Result<()> {
    crate::log_thread::write_whole(io::stderr(), text)
}

#[cfg(not(unix))]
fn write(text: &[u8]) -> io::Result<()> {
    io::stderr().write_all(text)
}

/// A writer of lines, each of which it is given in one piece.
struct Line;

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if let Some(log) = LOG.get() {
            log.line(text);
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As the standard library says it, but for the waiting.
fn say_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let mut text = format!("thread '{}' {panic}\n", thread.name().unwrap_or("without a name"));
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("{trace}\n"));
    }
    if let Some(log) = LOG.get() {
        log.line(text.as_bytes());
    }
    // It may be the last word of this process.
    flush_log();
}

fn levels(variable: &str, wanted: Option<&std::ffi::OsStr>) -> (Targets, Option<String>) {
    let usual = Targets::new().with_default(LevelFilter::INFO);
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return (usual, None) };
    match wanted.to_string_lossy().parse() {
        Ok(levels) => (levels, None),
        Err(error) => {
            let wanted = wanted.display();
            (
                usual,
                Some(format!("{variable} is \"{wanted}\", which names no levels ({error}); info is logged")),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    fn asked(text: &str) -> (Targets, Option<String>) {
        levels("LCA_LOG", Some(text.as_ref()))
    }

    #[test]
    fn levels_are_read_for_all_and_for_one() {
        let (levels, problem) = asked("warn,understudy_transport=trace");
        assert_eq!(problem, None);
        assert!(levels.would_enable("understudy_transport::dial", &Level::TRACE));
        assert!(!levels.would_enable("lca", &Level::INFO) && levels.would_enable("lca", &Level::WARN));
    }

    #[test]
    fn a_wish_that_cannot_be_read_is_named_and_info_is_logged() {
        let (levels, problem) = asked("understudy=loud");
        let problem = problem.unwrap();
        assert!(problem.contains("LCA_LOG") && problem.contains("understudy=loud"), "{problem}");
        assert!(levels.would_enable("lca", &Level::INFO) && !levels.would_enable("lca", &Level::DEBUG));
        assert_eq!(asked("").1, None);
    }
}

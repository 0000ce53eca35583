//! What a daemon says on standard error: one line an event, at the levels that the environment asks for.
//!
//! Refuses to know what is said. The laws: a wish that cannot be read is named and does not silence the rest; nobody waits for
//! whoever reads it.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins the log of this process; once, before anything is said.
///
/// `variable` names the environment variable that asks for other levels than `info`: a level (`debug`), or a list such as
/// `warn,understudy_transport=trace`. There are no patterns, as what reads them would be a tenth of an agent.
pub fn begin_log(variable: &str) {
    let (levels, problem) = levels(variable, std::env::var_os(variable).as_deref());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(standard_error)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(levels).with(lines).init();
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
}

/// The pieces of this log that were dropped and not told of yet.
#[cfg(unix)]
static LOST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// A reader that stops, be it a terminal or a collector of logs, stops nobody who decides.
#[cfg(unix)]
fn standard_error() -> crate::unwaiting::Unwaiting<'static, std::io::Stderr> {
    crate::unwaiting::Unwaiting::new(std::io::stderr(), &LOST)
}

#[cfg(not(unix))]
use std::io::stderr as standard_error;

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

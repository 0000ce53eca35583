//! Waiting for conditions, with a deadline, until somebody presses Ctrl-C.
//!
//! It knows no conditions. The law: no wait is without end, and an interruption is noticed within one look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::StageError;

/// Pause between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Whether the play was interrupted. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Catches INT and TERM of this process from now on.
    pub fn catch() -> Result<Self, StageError> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.asked))
                .map_err(StageError::system("catch signals"))?;
        }
        Ok(interrupt)
    }

    /// An error if it was interrupted.
    pub fn check(&self) -> Result<(), StageError> {
        if self.asked.load(Ordering::Relaxed) { Err(StageError::Interrupted) } else { Ok(()) }
    }

    /// Looks again and again until the answer is `Ok`; an inner `Err` says what is there instead. An outer error ends
    /// the wait.
    pub fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> Result<Result<T, String>, StageError>,
    ) -> Result<T, StageError> {
        let deadline = Instant::now() + limit;
        loop {
            self.check()?;
            match look()? {
                Ok(found) => return Ok(found),
                Err(last) if Instant::now() >= deadline => {
                    return Err(StageError::InVain {
                        what: what.to_owned(),
                        limit_s: limit.as_secs_f64(),
                        last,
                    });
                }
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Lets `span` pass while everything goes on as it is: a stretch of the play, not a wait for anything.
    pub fn let_pass(&self, span: Duration) -> Result<(), StageError> {
        let end = Instant::now() + span;
        loop {
            self.check()?;
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(());
            }
            std::thread::sleep(rest.min(LOOK_EVERY * 10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_what_was_found_or_with_what_was_there_instead() {
        let interrupt = Interrupt::default();
        let mut looks = 0;
        let found = interrupt.until("three", Duration::from_secs(5), || {
            looks += 1;
            Ok(if looks == 3 { Ok(looks) } else { Err(format!("{looks}")) })
        });
        assert_eq!(found.unwrap(), 3);
        let error = interrupt
            .until("never", Duration::ZERO, || Ok(Err::<(), _>("nothing".to_owned())))
            .unwrap_err()
            .to_string();
        assert!(error.contains("never") && error.contains("nothing"), "{error}");
    }

    #[test]
    fn an_interruption_ends_every_wait() {
        let interrupt = Interrupt::default();
        interrupt.asked.store(true, Ordering::Relaxed);
        let waited = interrupt.until("x", Duration::from_secs(60), || Ok(Ok(())));
        assert!(matches!(waited, Err(StageError::Interrupted)));
        assert!(matches!(interrupt.let_pass(Duration::from_secs(60)), Err(StageError::Interrupted)));
    }
}

//! Accepting connections for ever, and counting what strangers said wrong.
//!
//! Refuses to know what is spoken. The law: no stranger can end the accepting, a flood of nonsense makes one line a minute,
//! and a flood of connections takes a small part of a core, as this thread may go before every other program.

use std::error::Error;
use std::sync::{Mutex, PoisonError};

use understudy_drive::Pace;
use understudy_transport::{Backoff, Listener, ReceiveError, RefusalTally, Stranger};

/// How fast strangers are let in at one place; those who come faster wait in the system's queue.
pub fn strangers() -> Pace {
    Pace::new(256, 250)
}

/// Hands every connection to `begin`, which must not wait.
pub async fn accept_all(listener: &Listener, begin: impl Fn(Stranger)) {
    let mut backoff = Backoff::new(u64::from(std::process::id()));
    let mut pace = strangers();
    loop {
        match listener.accept().await {
            Ok(stranger) => {
                backoff.reset();
                begin(stranger);
                let wait = pace.after_one(understudy_drive::now());
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, cause = %cause(&error), "no connection can be accepted now");
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }
}

/// What strangers said wrong on one kind of link.
pub struct Refusals {
    kind: &'static str,
    tally: Mutex<RefusalTally>,
}

impl Refusals {
    /// Nothing yet.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, tally: Mutex::new(RefusalTally::new()) }
    }

    /// Counts the end of a link, if its peer is to blame.
    pub fn count(&self, peer: &str, error: &ReceiveError) {
        if error.is_refusal() {
            self.count_word(peer, error.word(), &cause(error));
        } else {
            tracing::debug!(%peer, cause = %cause(error), "{} ended", self.kind);
        }
    }

    /// Counts one refusal, and logs it unless one like it was logged less than a minute ago.
    pub fn count_word(&self, peer: &str, word: &'static str, reason: &str) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = tally.count(word, understudy_drive::now()) {
            tracing::warn!(%peer, %word, %reason, times, "{} refused", self.kind);
        }
    }

    /// The kind of link, each reason, and how often, since the start.
    pub fn totals(&self) -> Vec<(&'static str, &'static str, u64)> {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.totals().map(|(reason, count)| (self.kind, reason, count)).collect()
    }
}

/// An error with everything behind it, in one line.
pub fn cause(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        // Several errors already end in what their source says.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = inner.source();
    }
    text
}

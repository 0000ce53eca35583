//! Accepting connections for ever, and counting what strangers said wrong.
//!
//! Refuses to know what is spoken. The law: no stranger can end the accepting, a flood of nonsense makes one line a minute,
//! and nobody waits for a flood of others: those who come too fast are turned away, which costs little, as this thread may go
//! before every other program.

use std::error::Error;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use understudy_transport::{Admission, Backoff, Listener, Peer, ReceiveError, RefusalTally, Stranger};

/// Hands every connection that `admit` lets in to `begin`. Neither must wait.
pub async fn accept_all(
    listener: &Listener,
    mut admit: impl FnMut(&Peer) -> Admission,
    begin: impl Fn(Stranger),
) {
    let mut backoff = Backoff::new(u64::from(std::process::id()));
    loop {
        match listener.accept_as(&mut admit).await {
            Ok(stranger) => {
                backoff.reset();
                begin(stranger);
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
    pub fn count_word(&self, peer: &(impl Display + ?Sized), word: &'static str, reason: &str) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = tally.count(word, understudy_drive::now()) {
            tracing::warn!(%peer, %word, %reason, times, "{} refused", self.kind);
        }
    }

    /// Counts one that was turned away because too many come from there.
    pub fn count_turned_away(&self, peer: &Peer) {
        self.count_word(peer, "too-fast", "too many connections come from there");
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

//! Forgets what is older than the journal is kept, every hour, a few rows at a time.
//!
//! The law: small pieces, so that no durable write waits long behind it.

use std::time::Duration;

use tokio::sync::watch;

use crate::journal::{Journal, now_ms};
use crate::standing::{Concern, Standing};

/// From one round to the next.
const ROUND: Duration = Duration::from_secs(3_600);
/// Rows of each sort in one piece.
const PIECE_ROWS: u32 = 500;
/// From one piece to the next.
const PIECE_PAUSE: Duration = Duration::from_millis(20);

/// Forgets for ever; what is kept may change meanwhile.
pub async fn run(journal: Journal, keep: watch::Receiver<Duration>, standing: Standing) {
    let mut round = tokio::time::interval(ROUND);
    loop {
        round.tick().await;
        let keep_ms = i64::try_from(keep.borrow().as_millis()).unwrap_or(i64::MAX);
        let before = now_ms().saturating_sub(keep_ms);
        match forget(&journal, before).await {
            Ok(rows) => {
                standing.set(Concern::Retention, Vec::new());
                tracing::debug!(rows, "old journal entries were forgotten");
            }
            Err(error) => {
                tracing::warn!(%error, "old journal entries were not forgotten");
                standing.set(
                    Concern::Retention,
                    vec![format!("old journal entries were not forgotten: {error}")],
                );
            }
        }
    }
}

async fn forget(journal: &Journal, before_ms: i64) -> Result<u64, understudy_store::CommitError> {
    let mut rows = 0;
    loop {
        let forgotten = journal.forget_before(before_ms, PIECE_ROWS).await?;
        rows += forgotten.rows;
        if !forgotten.more {
            return Ok(rows);
        }
        tokio::time::sleep(PIECE_PAUSE).await;
    }
}

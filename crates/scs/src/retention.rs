//! Forgets what is older than the journal is kept, and the oldest observations and decisions of what is more than it may take, a
//! few rows at a time.
//!
//! The law: small pieces, so that no durable write waits long behind it; and what a member or an agent makes the control server
//! write down cannot fill the disk of the store.

use std::time::Duration;

use tokio::sync::watch;
use understudy_store::{BY_SIZE, CommitError};

use crate::journal::{Journal, now_ms};
use crate::standing::{Concern, Standing};

/// From one round to the next: rows can come in by some megabytes a second.
const ROUND: Duration = Duration::from_secs(15);
/// How long it is shown that rows went early.
const SHOWN_FOR: Duration = Duration::from_secs(3_600);
/// Rows of each sort in one piece.
const PIECE_ROWS: u32 = 500;
/// From one piece to the next.
const PIECE_PAUSE: Duration = Duration::from_millis(20);

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Rows that are older go.
    pub span: Duration,
    /// When the store takes more bytes, the oldest rows go, whatever their age.
    pub most_bytes: u64,
}

/// Forgets for ever; what is kept may change meanwhile.
pub async fn run(journal: Journal, keep: watch::Receiver<Keep>, standing: Standing) {
    let mut round = tokio::time::interval(ROUND);
    // That something went early is shown for a while.
    let mut shown: Option<(tokio::time::Instant, String)> = None;
    loop {
        round.tick().await;
        let keep = *keep.borrow();
        let keep_ms = i64::try_from(keep.span.as_millis()).unwrap_or(i64::MAX);
        let before = now_ms().saturating_sub(keep_ms);
        let told = match forget(&journal, before, keep.most_bytes).await {
            Ok(0) => {
                shown.take_if(|(since, _)| since.elapsed() > SHOWN_FOR);
                shown.iter().map(|(_, text)| text.clone()).collect()
            }
            Ok(early) => {
                let size = keep.most_bytes >> 20;
                let text = format!(
                    "the store took more than journal.max-size ({size} MiB): {early} rows were forgotten before they were old"
                );
                tracing::warn!("{text}");
                shown = Some((tokio::time::Instant::now(), text.clone()));
                vec![text]
            }
            Err(error) => {
                tracing::warn!(%error, "old journal entries were not forgotten");
                vec![format!("old journal entries were not forgotten: {error}")]
            }
        };
        standing.set(Concern::Retention, told);
    }
}

/// How many rows went although they were not old.
async fn forget(journal: &Journal, before_ms: i64, most_bytes: u64) -> Result<u64, CommitError> {
    let mut early = 0;
    let mut used = loop {
        let forgotten = journal.forget_before(before_ms, PIECE_ROWS).await?;
        if !forgotten.more {
            break forgotten.used_bytes;
        }
        tokio::time::sleep(PIECE_PAUSE).await;
    };
    if used <= most_bytes {
        return Ok(0);
    }
    // Somewhat less than allowed, so that it is some time until the next row too many.
    while used > most_bytes - most_bytes / 10 {
        let forgotten = journal.forget_before(BY_SIZE, PIECE_ROWS).await?;
        early += forgotten.rows;
        used = forgotten.used_bytes;
        if !forgotten.more {
            break;
        }
        tokio::time::sleep(PIECE_PAUSE).await;
    }
    Ok(early)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use understudy_model::Moment;
    use understudy_store::{Batch, EntryKind, JournalEntry, Reader, Store};

    use super::*;

    #[tokio::test]
    async fn what_is_written_down_without_end_takes_no_more_than_it_may() {
        let directory = tempfile::tempdir().unwrap();
        let cluster = understudy_settings::parse_cluster("c", "[cluster]\nname = \"demo\"\n").unwrap().value;
        let standing = Standing::new(directory.path(), Arc::new(cluster));
        let store = Store::open(directory.path()).unwrap();
        let reader = Reader::open(directory.path()).unwrap();
        let journal = Journal::start(store, reader, standing).unwrap();
        let (mebibyte, text) = (1 << 20, "x".repeat(10_000));
        for _ in 0..4 {
            let entry = JournalEntry {
                at_boot: Moment(1),
                at_wall_ms: now_ms(),
                kind: EntryKind::Observation,
                text: text.clone(),
            };
            let batch = Batch { journal: vec![entry; 200], durable: true, ..Batch::default() };
            journal.commit(batch).await.unwrap();
        }
        // Nothing is old, and it has 8 MB.
        assert_eq!(forget(&journal, 0, 16 * mebibyte).await.unwrap(), 0);
        assert!(forget(&journal, 0, 2 * mebibyte).await.unwrap() > 0);
        let left = journal.forget_before(0, 1).await.unwrap();
        assert!(left.used_bytes <= 2 * mebibyte, "{left:?}");
        assert_eq!(forget(&journal, 0, 2 * mebibyte).await.unwrap(), 0, "and not again");
    }
}

//! What a control server must remember: leadership, role epochs, goals, maintenance, and the journal of what it saw,
//! decided and told.
//!
//! Knows no sockets and no decisions: moments and wall times are given, observations and decisions are JSON text; the
//! only clock is the writer's own patience. The law: what was acknowledged as durable is there after any crash, and a write whose outcome is unknown is
//! called unknown.

mod backup;
mod batch;
mod error;
mod forget;
mod in_sync;
mod lock;
mod open;
mod queries;
mod queue;
mod reader;
mod schema;
mod store;
mod stored;
mod thread;
mod write;

pub use backup::{BackUpError, KeptFile, LONGEST_FILE_BYTES, RestoreError, back_up, kept_files, restore};
pub use batch::{Batch, Change, EntryKind, JournalEntry, Receipt};
pub use error::{CommitError, OpenError, QueryError};
pub use forget::{BY_SIZE, Forgotten};
pub use queue::MOST_QUEUED_ROWS;
pub use reader::Reader;
pub use store::Store;
pub use stored::{
    EventQuery, JournalQuery, Leadership, Maintenance, StoredEntry, StoredEvent, StoredNearly, StoredToken,
};
pub use thread::{Notice, StoreThread};

/// The database file in the state directory.
pub const DATABASE_FILE: &str = "scs.db";

/// The lock file in the state directory.
pub const LOCK_FILE: &str = "scs.lock";

/// Longest text of one journal row or one event, in bytes: a row is one observation, never a recording.
pub const LONGEST_TEXT_BYTES: usize = 1024 * 1024;

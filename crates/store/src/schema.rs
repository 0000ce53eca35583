//! The tables, and how an older file is brought to them.
//!
//! Knows no rows. The law: a step once released is never edited; a later version adds one.

/// Marks the file as ours, in SQLite's header: "UsSc".
pub(crate) const APPLICATION_ID: i64 = 0x5573_5363;

/// Steps from an empty file to the present schema. The file's `user_version` counts the steps it has.
///
/// Journal and events have no index but their number and one of a few rows: a durable commit then touches one page of each, and questions by
/// name read backwards from the newest row.
pub(crate) const STEPS: [&str; 8] = [
    "
    CREATE TABLE control (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        leadership INTEGER NOT NULL,
        leader TEXT NOT NULL,
        last_operation INTEGER NOT NULL,
        cluster_id TEXT,
        checkpoints INTEGER NOT NULL
    ) STRICT;
    INSERT INTO control VALUES (1, 0, '', 0, NULL, 0);
    CREATE TABLE role (
        pair TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL CHECK (epoch > 0),
        holder TEXT NOT NULL,
        leadership INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE goal (
        application TEXT PRIMARY KEY,
        goal TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE maintenance (
        subject TEXT PRIMARY KEY,
        until_wall_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY,
        at_boot INTEGER NOT NULL,
        at_wall_ms INTEGER NOT NULL,
        kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
        text TEXT NOT NULL
    ) STRICT;
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        at_wall_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        severity TEXT NOT NULL,
        host TEXT,
        application TEXT,
        pair TEXT,
        before TEXT,
        after TEXT,
        epoch INTEGER,
        rule TEXT NOT NULL,
        reason TEXT NOT NULL,
        because TEXT NOT NULL,
        nearly TEXT NOT NULL,
        actor TEXT
    ) STRICT;
",
    "
    CREATE TABLE flap (
        pair TEXT PRIMARY KEY,
        boot TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE configuration (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        text TEXT NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE token (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
        made_by TEXT NOT NULL,
        made_wall_ms INTEGER NOT NULL,
        expires_wall_ms INTEGER,
        last_used_wall_ms INTEGER
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE control ADD COLUMN restored INTEGER;
    CREATE TABLE lease (
        pair TEXT PRIMARY KEY,
        lease_ns INTEGER NOT NULL CHECK (lease_ns > 0)
    ) STRICT, WITHOUT ROWID;
",
    // Where each leadership begins; no other row is in it.
    "
    CREATE INDEX journal_beginning ON journal (at_wall_ms) WHERE substr(text, 1, 7) = '{\"n\":0,';
",
    "
    CREATE TABLE in_sync (
        pair TEXT PRIMARY KEY,
        since INTEGER NOT NULL CHECK (since >= 0),
        members TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE hold (
        host TEXT PRIMARY KEY,
        boot TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    // The newest leaderships, each with an identity that no other store's leadership of the same number has.
    "
    CREATE TABLE leadership (
        epoch INTEGER PRIMARY KEY,
        incarnation BLOB NOT NULL CHECK (length(incarnation) = 16)
    ) STRICT;
",
];

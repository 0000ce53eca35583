//! A store as one file that can be kept elsewhere, and a state directory made from one.
//!
//! The file is a database like the store itself, with one more table: the settings that went with it. Knows nothing of what
//! they say. The law: a copy is of one moment, also while a control server writes; nothing that exists is overwritten; and
//! whatever is made is durable before it has its name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql};

use crate::in_sync::DOUBT_ALL;
use crate::lock::{DirectoryLock, private};
use crate::open::{PATIENCE, migrate};
use crate::schema::{APPLICATION_ID, STEPS};
use crate::{DATABASE_FILE, LOCK_FILE, OpenError};

/// The longest name and the longest file that is kept beside the store.
const LONGEST_NAME_BYTES: usize = 255;
/// The longest file that is kept beside the store, in bytes.
pub const LONGEST_FILE_BYTES: usize = 16 * 1024 * 1024;

/// A restored store counts leaderships on from at least so far above its backup. Each is the start of a control server: nobody
/// starts one so often between two backups.
pub(crate) const LEAST_JUMP: i64 = 1 << 20;

/// How many distances a restore chooses from, at random: two restores of one backup do not lead under the same number. It is
/// less than how far an agent may be ahead of a restored store that counts on from there.
pub(crate) const JUMPS: i64 = 1 << 30;

const KEPT_FILES: &str = "CREATE TABLE kept_file (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT";

/// A file of settings, by its name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    /// Without a directory.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Why there is no backup. A file that was begun is removed.
#[derive(Debug, thiserror::Error)]
pub enum BackUpError {
    /// Something is there already, or it cannot be made.
    #[error("cannot make {}: {source}", path.display())]
    Make {
        /// The backup.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no store to copy.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The store.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// It could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The backup.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// Why nothing was restored. The state directory has no store that it did not have before.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Another process has the directory, or it cannot be used.
    #[error(transparent)]
    Directory(#[from] OpenError),
    /// There is a store already.
    #[error("{} is there already, and is not overwritten: move it away first, and keep it", path.display())]
    There {
        /// The store.
        path: PathBuf,
    },
    /// The file is no backup.
    #[error("{} is no backup of this program: {found}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        found: String,
    },
    /// SQLite could not read it, or it is damaged.
    #[error("cannot use the backup {}: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Copying it failed.
    #[error("cannot copy it to {}: {source}", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Copies the store in `directory`, as it is at one moment, into a new file with `files` beside it.
pub fn back_up(directory: &Path, target: &Path, files: &[KeptFile]) -> Result<(), BackUpError> {
    let made = |source| BackUpError::Make { path: target.to_owned(), source };
    // SQLite fills an empty file; made here, nobody but its owner can ever read it.
    private().write(true).create_new(true).open(target).map_err(made)?;
    let written = fill(directory, target, files).and_then(|()| sync(target).map_err(made));
    if written.is_err()
        && let Err(error) = fs::remove_file(target)
    {
        return Err(made(error));
    }
    written
}

fn fill(directory: &Path, target: &Path, files: &[KeptFile]) -> Result<(), BackUpError> {
    let store = directory.join(DATABASE_FILE);
    let read = |source| BackUpError::Read { path: store.clone(), source };
    let write = |source| BackUpError::Write { path: target.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(&store, flags).map_err(read)?;
    from.busy_timeout(PATIENCE).map_err(read)?;
    from.execute("VACUUM INTO ?1", [PathText(target)]).map_err(read)?;
    drop(from);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut to = Connection::open_with_flags(target, flags).map_err(write)?;
    let transaction = to.transaction().map_err(write)?;
    transaction.execute_batch(KEPT_FILES).map_err(write)?;
    for file in files {
        let row = (&file.name, &file.bytes);
        transaction.execute("INSERT INTO kept_file VALUES (?1, ?2)", row).map_err(write)?;
    }
    transaction.commit().map_err(write)?;
    to.close().map_err(|(_, source)| write(source))
}

/// A path as SQLite takes one: its bytes, whatever they are. What is not Unicode would be another path in any other form.
struct PathText<'a>(&'a Path);

impl ToSql for PathText<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0.as_os_str().as_encoded_bytes())))
    }
}

/// The settings that a backup keeps, and whether it is one at all. Changes nothing.
pub fn kept_files(backup: &Path) -> Result<Vec<KeptFile>, RestoreError> {
    let foreign = |found: String| RestoreError::Foreign { path: backup.to_owned(), found };
    let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => {
            foreign("it does not begin as a SQLite file does".to_owned())
        }
        _ => RestoreError::Unusable { path: backup.to_owned(), source },
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(backup, flags).map_err(failed)?;
    let number =
        |question: &str| connection.query_row(question, [], |row| row.get::<_, i64>(0)).map_err(failed);
    let (origin, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let marked = number("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'kept_file'")?;
    if origin != APPLICATION_ID || marked != 1 {
        let kind = if origin == APPLICATION_ID {
            "a store, and not a backup of one"
        } else {
            "another program's file"
        };
        return Err(foreign(kind.to_owned()));
    }
    if version > STEPS.len() as i64 {
        return Err(RestoreError::Directory(OpenError::Newer {
            path: backup.to_owned(),
            found: version,
            known: STEPS.len() as i64,
        }));
    }
    let whole: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if whole != "ok" {
        return Err(foreign(format!("a damaged one ({whole})")));
    }
    let most = i64::try_from(LONGEST_FILE_BYTES).unwrap_or(i64::MAX);
    let too_long = "SELECT count(*) FROM kept_file WHERE length(bytes) > ?1 OR length(name) > ?2";
    let long = LONGEST_NAME_BYTES as i64;
    let beyond: i64 = connection.query_row(too_long, [most, long], |row| row.get(0)).map_err(failed)?;
    if beyond > 0 {
        return Err(foreign("it keeps a file that is too long".to_owned()));
    }
    let mut asked = connection.prepare("SELECT name, bytes FROM kept_file ORDER BY name").map_err(failed)?;
    let rows = asked.query_map([], |row| Ok(KeptFile { name: row.get(0)?, bytes: row.get(1)? }));
    let files: Vec<KeptFile> = rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    let plain =
        |file: &KeptFile| !file.name.is_empty() && !file.name.contains('/') && !file.name.starts_with('.');
    if !files.iter().all(plain) {
        return Err(foreign("it keeps a file with a path for a name".to_owned()));
    }
    Ok(files)
}

/// Makes the store of a state directory from a backup. The directory must have none, and no control server.
pub fn restore(backup: &Path, directory: &Path) -> Result<(), RestoreError> {
    kept_files(backup)?;
    let usable = |source| OpenError::Directory { path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(usable)?;
    let _lock = DirectoryLock::take(&directory.join(LOCK_FILE))?;
    let store = directory.join(DATABASE_FILE);
    // The log of a store that was moved away would be read into this one.
    for path in [store.clone(), directory.join(format!("{DATABASE_FILE}-wal"))] {
        if path.try_exists().map_err(usable)? {
            return Err(RestoreError::There { path });
        }
    }
    let copy = directory.join("restored.part");
    let failed = |source| RestoreError::Copy { path: copy.clone(), source };
    let mut to = private().write(true).create(true).truncate(true).open(&copy).map_err(failed)?;
    io::copy(&mut File::open(backup).map_err(failed)?, &mut to).map_err(failed)?;
    drop(to);
    make_restored(&copy)?;
    for path in [&copy, &directory.join(LOCK_FILE)] {
        give_to_owner(path, directory).map_err(failed)?;
    }
    sync(&copy).map_err(failed)?;
    fs::rename(&copy, &store).map_err(failed)?;
    sync(directory).map_err(failed)
}

/// Takes out what only a backup has, and marks the store: what it holds may be older than what was promised since.
fn make_restored(copy: &Path) -> Result<(), RestoreError> {
    let failed = |source| RestoreError::Unusable { path: copy.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(copy, flags).map_err(failed)?;
    connection.execute_batch("DROP TABLE kept_file").map_err(failed)?;
    // A backup of an earlier version has no place for the marker yet.
    migrate(&mut connection).map_err(failed)?;
    // The store that was lost counted on after the backup, and agents obeyed it: a restored one that counts on from there too
    // would take a leadership's number a second time. Each restore draws its own distance, also from the same backup.
    let jump = "UPDATE control SET leadership = leadership + ?1 + abs(random() % ?2)";
    connection.execute(jump, [LEAST_JUMP, JUMPS]).map_err(failed)?;
    connection.execute("UPDATE control SET restored = leadership", []).map_err(failed)?;
    // Somebody may have acknowledged alone since.
    connection.execute(DOUBT_ALL, []).map_err(failed)?;
    connection.close().map_err(|(_, source)| failed(source))
}

/// A control server that is not root must be able to use what root restored.
#[cfg(unix)]
fn give_to_owner(path: &Path, directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let (owner, own) = (fs::metadata(directory)?, fs::metadata(path)?);
    if (owner.uid(), owner.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    chown(path, Some(owner.uid()), Some(owner.gid()))
}

#[cfg(not(unix))]
fn give_to_owner(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

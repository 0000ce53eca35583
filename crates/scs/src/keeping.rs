//! `scs backup` and `scs restore`: everything that a control server must not lose, in one file. And `scs
//! forget-configuration`, for the one thing in the store that a person may have to take out.
//!
//! Knows nothing of what is in it. The law: a backup may be made at any time; what is restored is older than what the agents
//! have seen, and whoever restores must have read what that means.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use understudy_settings::ServerSettings;
use understudy_store::{
    BackUpError, DATABASE_FILE, KeptFile, LONGEST_FILE_BYTES, OpenError, RestoreError, Store, back_up,
    kept_files, restore,
};

use crate::accepted::{self, AcceptedError};
use crate::exit::Exit;

/// What must be known before an older store is put in place of a newer one; `docs/safety.md` has the whole of it.
pub const WARNING: &str = "a restored store may name an earlier primary than the last one: stop both members of every pair \
     first, or two may act at once (docs/safety.md)";

/// Without what was accepted last nothing says which members a changed configuration leaves running elsewhere.
const FORGETS: &str = "the next start takes the cluster file as it is, whatever runs: first stop both members of every pair of \
     which a member, a host or the policy is another one than before, or two may act at once (docs/safety.md)";

/// Why nothing was kept or restored.
#[derive(Debug, thiserror::Error)]
pub enum KeepingError {
    /// A file of settings.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file without a name, or one that is too long.
    #[error("{} cannot be kept: {why}", path.display())]
    Unkept {
        /// Which.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// The backup.
    #[error(transparent)]
    BackUp(#[from] BackUpError),
    /// The store.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A file of settings.
    #[error("cannot write {}: {source}; nothing was overwritten, and the store was not touched", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store, as it lies there.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was accepted.
    #[error(transparent)]
    Accepted(#[from] AcceptedError),
    /// Nobody has said that the warning was read.
    #[error("{0}; then repeat this with --yes")]
    NeedsYes(&'static str),
}

impl KeepingError {
    /// How the program ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            KeepingError::NeedsYes(_) => Exit::NeedsYes,
            KeepingError::Restore(RestoreError::There { .. } | RestoreError::Foreign { .. })
            | KeepingError::Restore(RestoreError::Directory(_)) => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}

/// Keeps the store, and the settings with it; with the keys of `[tls]` only if asked to. Says what is in it, and where
/// a file comes from that is kept under another name.
pub fn keep(
    settings: &ServerSettings,
    config: &Path,
    target: &Path,
    with_keys: bool,
) -> Result<Vec<String>, KeepingError> {
    let mut paths = vec![config.to_owned(), PathBuf::from(&settings.cluster_file)];
    if let Some(tls) = settings.tls.as_ref().filter(|_| with_keys) {
        let all = [&tls.certificate, &tls.key].into_iter().chain(&tls.authorities);
        paths.extend(all.map(PathBuf::from));
        // One that is not there yet is an empty list, as for TLS itself.
        paths.extend(tls.revoked.iter().map(PathBuf::from).filter(|path| path.exists()));
    }
    let mut known = BTreeSet::new();
    paths.retain(|path| known.insert(path.clone()));
    let mut files: Vec<KeptFile> = Vec::new();
    let mut shown = Vec::new();
    for path in paths {
        let unkept = |why| KeepingError::Unkept { path: path.clone(), why };
        let bytes = fs::read(&path).map_err(|source| KeepingError::Read { path: path.clone(), source })?;
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| unkept("it has no name"))?;
        if bytes.len() > LONGEST_FILE_BYTES {
            return Err(unkept("it is too long"));
        }
        let (name, text) = match free_name(name, &files) {
            free if free == name => (free.clone(), free),
            free => (free.clone(), format!("{free} ({})", path.display())),
        };
        shown.push(text);
        files.push(KeptFile { name, bytes });
    }
    back_up(Path::new(&settings.state_directory), target, &files)?;
    Ok(shown)
}

/// The name, or with a number before it if another file has it: two authorities may both be `ca.pem` in two directories.
fn free_name(name: &str, files: &[KeptFile]) -> String {
    let is_free = |name: &String| !files.iter().any(|file| file.name == *name);
    let numbered = (2..).map(|number| format!("{number}-{name}"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| name.to_owned())
}

/// Writes the settings of a backup into a directory, where none of them may be yet. Says their names.
pub fn restore_files(backup: &Path, directory: &Path) -> Result<Vec<String>, KeepingError> {
    let files = kept_files(backup)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| KeepingError::Write { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    let there = files.iter().map(|file| directory.join(&file.name)).find(|path| path.exists());
    if let Some(path) = there {
        return Err(failed(&path)(io::ErrorKind::AlreadyExists.into()));
    }
    for file in &files {
        let path = directory.join(&file.name);
        // A key among them is nobody else's; what others may read can be opened up by whoever restores.
        let mut new = fs::OpenOptions::new();
        let mut to = new.write(true).create_new(true).mode(0o600).open(&path).map_err(failed(&path))?;
        to.write_all(&file.bytes).and_then(|()| to.sync_all()).map_err(failed(&path))?;
    }
    Ok(files.into_iter().map(|file| file.name).collect())
}

/// Forgets which configuration was accepted last. No control server may run. False if there was none.
pub fn forget_configuration(settings: &ServerSettings, yes: bool) -> Result<bool, KeepingError> {
    if !yes {
        return Err(KeepingError::NeedsYes(FORGETS));
    }
    let directory = Path::new(&settings.state_directory);
    // Opening makes a store where there is none, and perhaps for another user than the service's.
    let path = directory.join(DATABASE_FILE);
    fs::metadata(&path).map_err(|source| KeepingError::Read { path, source })?;
    Ok(accepted::forget(&mut Store::open(directory)?)?)
}

/// Makes the store from a backup.
pub fn restore_store(settings: &ServerSettings, backup: &Path, yes: bool) -> Result<(), KeepingError> {
    if !yes {
        return Err(KeepingError::NeedsYes(WARNING));
    }
    restore(backup, Path::new(&settings.state_directory))?;
    Ok(())
}

//! Sockets for applications that run as another user than the agent: one each, open to that user alone.
//!
//! Refuses to know what is said there. The law: the directory of a socket belongs to the agent, so that nobody can put
//! something else in its place; the socket belongs to the application's user; nothing is open to everybody. Who may speak for
//! which start is still decided by the process that connects.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;
use understudy_model::ApplicationName;
use understudy_transport::{Address, BindError, Listener, Security};

/// Others may pass, and see nothing.
const PASSAGE_MODE: u32 = 0o711;
/// Sockets that wait to be served; a start waits for a place.
const WAITING: usize = 64;

/// Why an application of another user cannot reach its agent.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The directory.
    #[error("cannot make the directory of its link {}: {source}", path.display())]
    MakeDirectory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path of a socket is limited by the system.
    #[error("the path of its link {} is too long; give the agent a shorter runtime-directory", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// The socket.
    #[error("cannot listen for it: {0}")]
    Listen(#[source] BindError),
    /// The user.
    #[error("cannot give its link {} to user {uid}: {source}", path.display())]
    Give {
        /// Which.
        path: PathBuf,
        /// To whom.
        uid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The agent is ending.
    #[error("the agent is ending")]
    Ending,
}

/// All of them. There are as many as applications that ever ran as another user in this boot.
#[derive(Debug)]
pub struct Doors {
    directory: PathBuf,
    open: Mutex<BTreeSet<ApplicationName>>,
    serve: mpsc::Sender<(ApplicationName, Listener)>,
}

impl Doors {
    /// None yet; what is opened comes out of the second part, to be served.
    pub fn new(runtime: &Path) -> (Self, mpsc::Receiver<(ApplicationName, Listener)>) {
        let (serve, opened) = mpsc::channel(WAITING);
        (Self { directory: runtime.join("links"), open: Mutex::default(), serve }, opened)
    }

    /// Where the socket of an application is.
    pub fn path(&self, application: &ApplicationName) -> PathBuf {
        self.directory.join(application.as_str()).join("lca.sock")
    }

    /// Opens again what an earlier life of this agent had opened: its applications look for it there.
    pub async fn reopen(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let Some(name) = entry.file_name().to_str().and_then(|name| ApplicationName::new(name).ok())
            else {
                continue;
            };
            // Only root writes there, so what lies there is what a life of this agent put there.
            let Ok(found) = fs::symlink_metadata(self.path(&name)) else { continue };
            if found.file_type().is_socket()
                && let Err(error) = self.open(&name, found.uid()).await
            {
                tracing::warn!(application = %name, %error, "its link is not open");
            }
        }
    }

    /// Opens the socket of an application for a user, or gives it to that user if it is open.
    pub async fn open(&self, application: &ApplicationName, uid: u32) -> Result<PathBuf, DoorError> {
        let path = self.path(application);
        let text = format!("unix:{}", path.display());
        let address: Address = text.parse().map_err(|_| DoorError::TooLong { path: path.clone() })?;
        let is_open = self.open.lock().unwrap_or_else(PoisonError::into_inner).contains(application);
        if !is_open {
            for directory in [self.directory.parent(), Some(self.directory.as_path()), path.parent()] {
                let Some(directory) = directory else { continue };
                make_passage(directory)
                    .map_err(|source| DoorError::MakeDirectory { path: directory.to_owned(), source })?;
            }
            let listener = Listener::bind(&address, Security::Plain).await.map_err(DoorError::Listen)?;
            self.serve.send((application.clone(), listener)).await.map_err(|_| DoorError::Ending)?;
            self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(application.clone());
        }
        std::os::unix::fs::lchown(&path, Some(uid), None).map_err(|source| DoorError::Give {
            path: path.clone(),
            uid,
            source,
        })?;
        Ok(path)
    }
}

/// A directory of the agent that others may pass.
fn make_passage(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(PASSAGE_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    let own = rustix::process::geteuid().as_raw();
    if !found.is_dir() || found.uid() != own || found.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "it is not a directory of the agent's user that only that user can write to",
        ));
    }
    if found.mode() & PASSAGE_MODE != PASSAGE_MODE {
        fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o777 | PASSAGE_MODE))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_door_is_the_users_alone_and_is_found_again() {
        let runtime = tempfile::tempdir().unwrap();
        let own = rustix::process::geteuid();
        // Root gives it to another one; anybody else can only give it to himself.
        let uid = if own.is_root() { 65_534 } else { own.as_raw() };
        let name = ApplicationName::new("app").unwrap();
        let (doors, mut opened) = Doors::new(runtime.path());
        let path = doors.open(&name, uid).await.unwrap();
        let kept = opened.recv().await.unwrap();
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (uid, 0o600));
        let directory = fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!((directory.uid(), directory.mode() & 0o777), (own.as_raw(), 0o711));
        assert_eq!(
            doors.open(&name, own.as_raw()).await.unwrap(),
            path,
            "given to another, not opened twice"
        );
        assert!(opened.try_recv().is_err());
        doors.open(&name, uid).await.unwrap();
        drop(kept);
        let (doors, mut opened) = Doors::new(runtime.path());
        doors.reopen().await;
        assert!(opened.try_recv().is_ok());
        assert_eq!(fs::symlink_metadata(&path).unwrap().uid(), uid);
    }

    #[tokio::test]
    async fn a_directory_that_others_can_write_to_is_refused() {
        let runtime = tempfile::tempdir().unwrap();
        let (doors, _opened) = Doors::new(runtime.path());
        fs::create_dir(&doors.directory).unwrap();
        fs::set_permissions(&doors.directory, Permissions::from_mode(0o777)).unwrap();
        let refused = doors.open(&ApplicationName::new("app").unwrap(), 0).await.unwrap_err();
        assert!(refused.to_string().contains("only that user can write"), "{refused}");
    }
}

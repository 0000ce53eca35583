//! The notify interface of each start: a socket of its own, heard as long as the start lives.
//!
//! Refuses to know what a notice means. The law: only a process of the start's own tree is heard on its socket. One socket
//! for each start, not one for the agent: the kernel lets few datagrams wait, and a program that floods its socket must
//! not keep another one's watchdog from being heard.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use tokio::task::AbortHandle;
use understudy_decide::agent::{AgentSaw, StartId};
use understudy_drive::now;
use understudy_model::notice::Notice;
use understudy_model::{ApplicationName, Moment};
use understudy_wire::read_notice;

use super::Processes;
use crate::platform::{Datagram, NotifySocket, Platform};

/// So many datagrams of a start are heard in one [`SPAN`]; one that sends more waits.
const BURST: u32 = 16;
/// See [`BURST`].
const SPAN: Duration = Duration::from_millis(20);

/// So many datagrams are read at once when a main process has ended; the system lets fewer wait.
const MOST_UNREAD: u32 = 1024;

/// The sockets that are heard.
#[derive(Default)]
pub(super) struct Heard(Mutex<BTreeMap<StartId, Hearing>>);

/// One of them, and who hears it.
struct Hearing {
    task: AbortHandle,
    ear: Arc<Ear>,
}

/// The socket of one start.
struct Ear {
    application: ApplicationName,
    start: StartId,
    socket: NotifySocket,
    /// When the last sign of life was told. Held while one datagram is read and dealt with, so that whoever has it knows
    /// that everything which was read before was also dealt with.
    last_heartbeat: tokio::sync::Mutex<Moment>,
}

/// What was heard.
enum Next {
    /// Nothing is there.
    Nothing,
    /// Something that was not for this ear.
    Refused,
    /// A notice of the start itself.
    Own,
}

/// Makes the directory of sockets: everybody may reach a socket whose name it knows.
pub fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o711).create(path)
}

/// Removes the sockets that nobody hears any more: their starts ended while no agent lived.
pub fn remove_unheard(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let heard = UnixDatagram::unbound()?.connect(&path);
        if heard.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The socket of a start. Short, as the path of a socket may not be long.
pub fn socket_path(directory: &Path, start: StartId) -> PathBuf {
    let life = start.incarnation.0 >> 96;
    directory.join(format!("{life:08x}.{}", start.number))
}

impl<P: Platform> Processes<P> {
    /// Binds the socket of a start that is about to be made for a user, or was found.
    pub(super) fn bind_notices(&self, start: StartId, user: Option<u32>) -> Result<NotifySocket, String> {
        let path = socket_path(&self.around.notify, start);
        let _runtime = self.runtime.enter();
        NotifySocket::bind(&path, user)
            .map_err(|error| format!("cannot bind the notify socket {}: {error}", path.display()))
    }

    /// Hears a socket from now on.
    pub(super) fn hear_notices(
        self: &Arc<Self>,
        application: &ApplicationName,
        start: StartId,
        socket: NotifySocket,
    ) {
        let (application, last_heartbeat) = (application.clone(), tokio::sync::Mutex::default());
        let ear = Arc::new(Ear { application, start, socket, last_heartbeat });
        let task = Arc::clone(self).serve_notices(Arc::clone(&ear));
        let task = self.runtime.spawn(task).abort_handle();
        let mut heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(start, Hearing { task, ear });
    }

    /// Hears what a start has sent until now: before its main process ended, it may have said that another one is.
    pub(super) async fn hear_unread(self: &Arc<Self>, start: StartId) {
        let ear = {
            let heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
            heard.get(&start).map(|hearing| Arc::clone(&hearing.ear))
        };
        let Some(ear) = ear else { return };
        for _ in 0..MOST_UNREAD {
            match self.hear_next(&ear, NotifySocket::receive_now).await {
                Ok(Next::Own | Next::Refused) => {}
                Ok(Next::Nothing) => return,
                Err(error) => {
                    return tracing::error!(application = %ear.application, %error, "what it said last is not heard");
                }
            }
        }
    }

    /// The start is gone.
    pub(super) fn end_notices(&self, start: StartId) {
        let hearing = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&start);
        let Some(hearing) = hearing else { return };
        hearing.task.abort();
        let path = socket_path(&self.around.notify, start);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove a notify socket");
        }
    }

    async fn serve_notices(self: Arc<Self>, ear: Arc<Ear>) {
        let mut pace = Pace::default();
        loop {
            let heard = match ear.socket.readable().await {
                Ok(()) => self.hear_next(&ear, NotifySocket::receive).await,
                Err(error) => Err(error),
            };
            match heard {
                Ok(Next::Own) => pace.keep().await,
                // Whoever floods a socket that is not his must not make its own start wait.
                Ok(Next::Refused) => tokio::task::yield_now().await,
                Ok(Next::Nothing) => {}
                Err(error) => {
                    let application = &ear.application;
                    tracing::error!(%application, %error, "its notify socket is not heard any more");
                    return;
                }
            }
        }
    }

    /// Reads one datagram and deals with it, before anybody else reads one of that socket.
    async fn hear_next(
        self: &Arc<Self>,
        ear: &Ear,
        receive: fn(&NotifySocket) -> io::Result<Option<Datagram>>,
    ) -> io::Result<Next> {
        let mut last_heartbeat = ear.last_heartbeat.lock().await;
        let Some(datagram) = receive(&ear.socket)? else { return Ok(Next::Nothing) };
        let notice = self.admit_notice(ear.start, datagram.pid, datagram.bytes.as_deref());
        let Some(notice) = notice else { return Ok(Next::Refused) };
        // Many in one span say no more than one.
        let at = now();
        let repeats = notice.is_heartbeat() && at.since(*last_heartbeat) < SPAN;
        if !repeats && !notice.is_empty() {
            self.pass_on(&ear.application, ear.start, notice).await;
            *last_heartbeat = at;
        }
        Ok(Next::Own)
    }

    fn admit_notice(&self, start: StartId, pid: Option<u32>, bytes: Option<&[u8]>) -> Option<Notice> {
        let shown = pid.map_or_else(|| "somebody".to_owned(), |pid| format!("process {pid}"));
        let refuse = |word, reason: &str| self.refusals.count_word(&shown, word, reason);
        let Some(pid) = pid else {
            refuse("no-credentials", "the system does not say which process this is");
            return None;
        };
        if self.platform.start_of(pid) != Some(start) {
            refuse("not-ours", "it is no process of the application whose socket this is");
            return None;
        }
        if bytes.is_none() {
            refuse("too-long", "a notice has at most 4096 bytes");
        }
        bytes.map(read_notice)
    }

    async fn pass_on(self: &Arc<Self>, application: &ApplicationName, start: StartId, notice: Notice) {
        if let Some(pid) = notice.main_pid {
            self.change_main(application, start, pid).await;
        }
        if notice.ready
            && let Err(error) = self.starts.change(application, start, |note| note.ready = true)
        {
            tracing::warn!(%application, %error, "cannot note that it is ready");
        }
        let application = application.clone();
        self.inbox.saw(AgentSaw::Noticed { application, start, notice }).await;
    }

    /// Its main process is another one, if that is one of its own.
    async fn change_main(&self, application: &ApplicationName, start: StartId, pid: u32) {
        let Some(tree) = self.table.tree(start) else { return };
        if self.platform.pid(&tree) == Some(pid) {
            return;
        }
        let other = match self.platform.other_main(&tree, pid) {
            Ok(Some(other)) => other,
            Ok(None) => {
                let peer = application.to_string();
                return self.refusals.count_word(&peer, "main-not-ours", "MAINPID is no process of its own");
            }
            Err(error) => {
                tracing::warn!(%application, %error, "its new main process cannot be watched");
                return;
            }
        };
        let note = self.platform.note(&other);
        if let Err(error) = self.starts.change(application, start, |known| known.tree = note) {
            tracing::warn!(%application, %error, "cannot note its new main process");
        }
        self.table.replace(start, Arc::new(other));
        tracing::info!(%application, pid, "its main process is another one");
        let application = application.clone();
        self.inbox.saw(AgentSaw::MainChanged { application, start, pid }).await;
    }
}

/// Keeps one sender from being heard without pause.
#[derive(Default)]
struct Pace {
    began: Moment,
    heard: u32,
}

impl Pace {
    async fn keep(&mut self) {
        let at = now();
        if at.since(self.began) >= SPAN {
            *self = Self { began: at, heard: 0 };
        }
        self.heard += 1;
        if self.heard >= BURST {
            tokio::time::sleep(SPAN).await;
        }
    }
}

//! Serves the API on its Unix socket, on a thread of its own.
//!
//! It knows no paths of the API. The law: what is not a dead socket is never removed, and a caller costs at most one of
//! [`MOST_CONNECTIONS`] connections.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::Semaphore;
use understudy_drive::Stop;

use super::actor::{Actor, role_of_user};
use super::caller::Peer;
use super::tcp::NetworkSide;
use super::{Seat, router};

/// The most connections at a time; whoever comes above that waits in the system's own queue.
pub const MOST_CONNECTIONS: usize = 256;
/// Connections that the system keeps while none is accepted.
const BACKLOG: u32 = 128;
/// How long a caller may take to send the head of its request.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes.
const LONGEST_HEAD_BYTES: usize = 32 * 1024;
/// Who may connect: owner and group.
const SOCKET_MODE: u32 = 0o660;
/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the API cannot be served. At most a dead socket's file was removed.
#[derive(Debug, thiserror::Error)]
pub enum ApiSocketError {
    /// Another program serves there.
    #[error("the API socket {} is in use by another program", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else lies there and was left alone.
    #[error("the API socket {} cannot be made: the file there is not a socket", path.display())]
    NotSocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refused it.
    #[error("the API socket {} cannot be {act}: {source}", path.display())]
    System {
        /// What was tried.
        act: &'static str,
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The socket, ready to be served.
#[derive(Debug)]
pub struct Api {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
}

impl Api {
    /// Makes the socket. Must be called inside a tokio runtime.
    pub fn bind(path: &Path) -> Result<Self, ApiSocketError> {
        let system = |act| {
            let path = path.to_owned();
            move |source| ApiSocketError::System { act, path, source }
        };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(system("given a directory"))?;
        }
        remove_dead(path)?;
        let socket = UnixSocket::new_stream().map_err(system("made"))?;
        socket.bind(path).map_err(system("bound"))?;
        // Before it listens, so that nobody connects under other permissions.
        let mode = std::fs::Permissions::from_mode(SOCKET_MODE);
        std::fs::set_permissions(path, mode).map_err(system("given its permissions"))?;
        let listener = socket.listen(BACKLOG).map_err(system("listened at"))?;
        let listener = listener.into_std().map_err(system("handed over"))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves on a new thread until `stop` is asked. Fails if the thread cannot be started.
    pub fn serve(
        self,
        network: Option<NetworkSide>,
        seat: Seat,
        stop: Stop,
    ) -> io::Result<std::thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (guard, figures) = (seat.guard.clone(), seat.figures.clone());
        let router = router(seat);
        let listener = {
            let _inside = runtime.enter();
            if let Some(network) = network {
                network.serve(&router, guard, figures)?;
            }
            UnixListener::from_std(self.listener)?
        };
        std::thread::Builder::new().name("api".to_owned()).spawn(move || {
            runtime.block_on(accept(listener, router, stop));
            if let Err(error) = std::fs::remove_file(&self.path) {
                tracing::debug!(%error, "the API socket was gone already");
            }
        })
    }
}

fn remove_dead(path: &Path) -> Result<(), ApiSocketError> {
    let system = |act| move |source| ApiSocketError::System { act, path: path.to_owned(), source };
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system("looked at")(error)),
    };
    if !found.file_type().is_socket() {
        return Err(ApiSocketError::NotSocket { path: path.to_owned() });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(ApiSocketError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(system("replaced"))
        }
        Err(error) => Err(system("tried")(error)),
    }
}

async fn accept(listener: UnixListener, router: Router, stop: Stop) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let serving = async {
        loop {
            // The semaphore is never closed, so this always gives room in the end.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let router = router.clone();
                    tokio::spawn(async move {
                        serve_one(stream, router).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the API was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.asked() => {}
        () = serving => {}
    }
}

/// What every connection may take.
pub(super) fn connection() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_buf_size(LONGEST_HEAD_BYTES);
    builder
}

async fn serve_one(stream: UnixStream, router: Router) {
    let peer = match stream.peer_cred() {
        Ok(credentials) => Peer::Local {
            actor: Actor::of_uid(credentials.uid()),
            role: role_of_user(credentials.uid(), credentials.gid(), rustix::process::geteuid().as_raw()),
        },
        Err(error) => {
            tracing::warn!(%error, "a caller without credentials was refused");
            return;
        }
    };
    let paths = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        paths.call(request)
    });
    if let Err(error) = connection().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the API ended early");
    }
}

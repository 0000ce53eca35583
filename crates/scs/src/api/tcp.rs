//! Serves the API over the network, with TLS alone.
//!
//! It knows no paths and no roles. The law: a connection of somebody who is not known costs at most one of
//! [`MOST_STRANGERS`] places, and the one that came first makes room; known ones have [`MOST_KNOWN`] of their own, so
//! that a crowd of strangers keeps no operator waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use understudy_drive::Crowd;
use understudy_model::OperatorName;
use understudy_transport::TlsFailure;
use webpki::EndEntityCert;

use super::caller::{Peer, operator_in};
use super::guard::{Guard, Stranger};
use super::serve::{ACCEPT_PAUSE, connection};
use super::tls::TlsInUse;
use crate::figures::Figures;
use crate::standing::Standing;

/// The most connections of which nobody is known yet.
pub const MOST_STRANGERS: usize = 256;
/// The most connections through which somebody known has asked; those above that stay strangers.
pub const MOST_KNOWN: usize = 256;
/// How long a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Why the API is not served at an address.
#[derive(Debug, thiserror::Error)]
#[error("the API cannot be served at {address}: {source}")]
pub struct TcpBindError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// Changes of doors that may wait: reloads come one at a time.
const CHANGES_WAITING: usize = 4;

/// Listens, and is not served yet.
#[derive(Debug)]
pub struct NetworkSide {
    first: DoorChange,
    later: mpsc::Receiver<DoorChange>,
    tls: TlsInUse,
    standing: Standing,
}

/// From one list of addresses to another: what is new listens already, so that nothing of it can fail any more.
#[derive(Debug, Default)]
pub struct DoorChange {
    addresses: BTreeSet<SocketAddr>,
    opened: Vec<(SocketAddr, std::net::TcpListener)>,
}

/// The way to the network side, for whoever reads its addresses again.
#[derive(Debug)]
pub struct Doors {
    addresses: BTreeSet<SocketAddr>,
    changes: mpsc::Sender<DoorChange>,
}

impl Doors {
    /// Listens at what is new among these addresses; nobody is served there yet, and what is open stays so.
    pub fn prepare(&self, addresses: &[SocketAddr]) -> Result<DoorChange, TcpBindError> {
        DoorChange::new(&self.addresses, addresses)
    }

    /// Serves the new addresses, and closes those that are gone; whoever is connected there already stays.
    pub async fn change(&mut self, change: DoorChange) {
        self.addresses.clone_from(&change.addresses);
        if self.changes.send(change).await.is_err() {
            tracing::debug!("the API's network side has ended");
        }
    }
}

impl DoorChange {
    fn new(open: &BTreeSet<SocketAddr>, addresses: &[SocketAddr]) -> Result<Self, TcpBindError> {
        let bind = |address: &SocketAddr| {
            let failed = |source| TcpBindError { address: *address, source };
            let listener = std::net::TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            Ok((*address, listener))
        };
        let addresses: BTreeSet<SocketAddr> = addresses.iter().copied().collect();
        let opened = addresses.difference(open).map(bind).collect::<Result<_, _>>()?;
        Ok(Self { addresses, opened })
    }
}

impl NetworkSide {
    /// Listens at every address.
    pub fn bind(
        addresses: &[SocketAddr],
        tls: TlsInUse,
        standing: Standing,
    ) -> Result<(Self, Doors), TcpBindError> {
        let first = DoorChange::new(&BTreeSet::new(), addresses)?;
        let (changes, later) = mpsc::channel(CHANGES_WAITING);
        let doors = Doors { addresses: first.addresses.clone(), changes };
        Ok((Self { first, later, tls, standing }, doors))
    }

    /// Serves on the runtime it is called in, as long as that lives.
    pub fn serve(self, router: &Router, guard: Guard, figures: Figures) -> io::Result<()> {
        let Self { first, mut later, tls, standing } = self;
        let (crowd, known) = (Crowd::new(MOST_STRANGERS), Arc::new(Semaphore::new(MOST_KNOWN)));
        let door = Arc::new(Door { crowd, known, tls, standing, guard, figures, router: router.clone() });
        let mut open = BTreeMap::new();
        door.change(first, &mut open)?;
        tokio::spawn(async move {
            while let Some(change) = later.recv().await {
                if let Err(error) = door.change(change, &mut open) {
                    tracing::error!(%error, "an address of the API is not served; read the configuration again");
                }
            }
        });
        Ok(())
    }
}

struct Door {
    crowd: Crowd,
    known: Arc<Semaphore>,
    tls: TlsInUse,
    standing: Standing,
    guard: Guard,
    figures: Figures,
    router: Router,
}

impl Door {
    /// First the new addresses, then the end of the old ones.
    fn change(
        self: &Arc<Self>,
        change: DoorChange,
        open: &mut BTreeMap<SocketAddr, JoinHandle<()>>,
    ) -> io::Result<()> {
        let DoorChange { addresses, opened } = change;
        for (address, listener) in opened {
            let listener = TcpListener::from_std(listener)?;
            tracing::info!(address = %listener.local_addr()?, "serving the API with TLS");
            open.insert(address, tokio::spawn(Arc::clone(self).accept(listener)));
        }
        open.retain(|address, accepting| {
            let stays = addresses.contains(address);
            if !stays {
                accepting.abort();
                tracing::info!(%address, "the API is not served there any more");
            }
            stays
        });
        Ok(())
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let this = self;
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let place = this.crowd.enter();
                    let leave = place.must_leave();
                    let stranger = Stranger::new(place, Arc::clone(&this.known));
                    let this = Arc::clone(&this);
                    tokio::spawn(async move {
                        tokio::select! {
                            () = leave => tracing::debug!(%address, "a silent caller made room for another"),
                            () = this.converse(stream, address, stranger) => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the API was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn converse(&self, stream: TcpStream, address: SocketAddr, stranger: Stranger) {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.tls.now().config));
        let stream = match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.no_handshake(address, &error),
            Err(_) => {
                self.figures.no_handshake("tls-too-slow");
                return tracing::debug!(%address, "no TLS with a caller in time");
            }
        };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = chain.first().map(|own| self.operator(own));
        let peer = Peer::Remote { address, certificate };
        let paths = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(stranger.clone());
            paths.call(request)
        });
        if let Err(error) = connection().serve_connection(TokioIo::new(stream), service).await {
            tracing::debug!(%address, %error, "a connection to the API ended early");
        }
    }

    /// Counts it; a certificate that was refused is told of as well, as its owner will ask why.
    fn no_handshake(&self, address: SocketAddr, error: &io::Error) {
        tracing::debug!(%address, %error, "no TLS with a caller");
        let Some(failure) = TlsFailure::behind(error) else {
            return self.figures.no_handshake("tls-hung-up");
        };
        self.figures.no_handshake(failure.word);
        if TlsFailure::is_of_certificate(error) {
            self.guard.tell_no_handshake(address, &failure);
        }
    }

    /// The operator in a certificate that the handshake has proven.
    fn operator(&self, certificate: &CertificateDer<'_>) -> Result<OperatorName, String> {
        let read = EndEntityCert::try_from(certificate).map_err(|error| error.to_string())?;
        operator_in(read.valid_uri_names(), self.standing.cluster().id)
    }
}

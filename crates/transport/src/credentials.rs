//! A program's own certificate and key, and whom it believes: read from files, replaced while links live.
//!
//! Knows nothing of links. The law: files are read whole and checked against each other before anything of them is used,
//! so a bad set of files never replaces a good one; and no key is ever shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier as _;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version::TLS13};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use understudy_model::Identity;
use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::believed::Believed;
use crate::certificate::{CertificateError, Certified};
use crate::verify::Verifier;

/// The longest file that is read, in bytes.
const LONGEST_FILE_BYTES: u64 = 1024 * 1024;

/// Where the credentials are, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFiles {
    /// Its own certificate, followed by those between it and the authority, if any.
    pub certificate: PathBuf,
    /// The key of the certificate. Only its owner should be able to read it.
    pub key: PathBuf,
    /// The authorities whose certificates are believed; two or more during a change.
    pub authorities: Vec<PathBuf>,
    /// Lists of revoked certificates; a file that is not there yet is an empty list.
    pub revoked: Vec<PathBuf>,
}

impl CredentialFiles {
    /// From paths as settings have them.
    pub fn new(certificate: &str, key: &str, authorities: &[String], revoked: &[String]) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            authorities: authorities.iter().map(PathBuf::from).collect(),
            revoked: revoked.iter().map(PathBuf::from).collect(),
        }
    }
}

/// Why credentials cannot be used. What was in use before is in use still.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} holds no {expected}: {why}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What was wrong.
        why: String,
    },
    /// The key may be read by others.
    #[error("{path} may be read by others than its owner (mode {mode:03o}); run: chmod 600 {path}")]
    KeyOpen {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Its own certificate names nobody.
    #[error("the certificate in {path} cannot be used: {source}")]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// A reload found the certificate of somebody else.
    #[error(
        "the certificate in {path} is of {found}, and this is {own}, which the one in use says; run: scsctl pki issue {role}"
    )]
    OtherIdentity {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: Box<Identity>,
        /// Whose the one in use is.
        own: Box<Identity>,
        /// The role that it should have.
        role: String,
    },
    /// Certificate and key do not belong together, or the library refuses them.
    #[error("certificate {certificate} and key {key} cannot be used together: {why}")]
    Together {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What the library said.
        why: String,
    },
}

/// Credentials in use. Clones share them; a reload serves all later handshakes and touches no live link.
#[derive(Clone)]
pub struct Credentials {
    files: Arc<CredentialFiles>,
    loaded: Arc<RwLock<Loaded>>,
}

#[derive(Clone)]
struct Loaded {
    own: Certified,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("files", &self.files)
            .field("own", &self.own())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the files.
    pub fn load(files: CredentialFiles) -> Result<Self, CredentialsError> {
        let loaded = load(&files)?;
        Ok(Self { files: Arc::new(files), loaded: Arc::new(RwLock::new(loaded)) })
    }

    /// Reads the files again. A certificate must be of whom the first one was of. After an error everything is as it was.
    pub fn reload(&self) -> Result<(), CredentialsError> {
        let loaded = load(&self.files)?;
        let (own, found) = (self.identity(), &loaded.own.identity);
        if *found != own {
            let (path, role) = (self.files.certificate.clone(), own.role.to_string());
            let (found, own) = (Box::new(found.clone()), Box::new(own));
            return Err(CredentialsError::OtherIdentity { path, found, own, role });
        }
        // One assignment: a poisoned lock guards a whole value.
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// Its own certificate.
    pub fn own(&self) -> Certified {
        self.loaded().own
    }

    /// Who it is.
    pub fn identity(&self) -> Identity {
        self.own().identity
    }

    /// How long its certificate holds from `now`, both since 1970; zero if it has expired.
    pub fn holds_for(&self, now: Duration) -> Duration {
        self.own().not_after.saturating_sub(now)
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.loaded().client
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.loaded().server
    }

    fn loaded(&self) -> Loaded {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn load(files: &CredentialFiles) -> Result<Loaded, CredentialsError> {
    let chain = certificates(&files.certificate)?;
    let own = Certified::read(&chain[0])
        .map_err(|source| CredentialsError::Certificate { path: files.certificate.clone(), source })?;
    let key = private_key(&files.key)?;
    let mut authorities = RootCertStore::empty();
    for path in &files.authorities {
        for certificate in certificates(path)? {
            authorities.add(certificate).map_err(|error| content(path, "authority", error))?;
        }
    }
    let mut revoked = Vec::new();
    for path in &files.revoked {
        revoked.extend(revocations(path)?);
    }
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Verifier::new(Believed::new(authorities, revoked, algorithms));
    let together = |error: rustls::Error| CredentialsError::Together {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        why: error.to_string(),
    };
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(together)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .map_err(together)?;
    // A resumed session would pass over a certificate that was revoked meanwhile.
    client.resumption = rustls::client::Resumption::disabled();
    client.enable_sni = false;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(together)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(together)?;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Loaded { own, client: Arc::new(client), server: Arc::new(server) })
}

fn content(path: &Path, expected: &'static str, why: impl fmt::Display) -> CredentialsError {
    CredentialsError::Content { path: path.to_owned(), expected, why: why.to_string() }
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let failed = |source| CredentialsError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > LONGEST_FILE_BYTES {
        return Err(failed(std::io::Error::other(format!(
            "it has {length} bytes, at most {LONGEST_FILE_BYTES} are read"
        ))));
    }
    std::fs::read(path).map_err(failed)
}

/// At least one certificate.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    certificates_in(&read(path)?).map_err(|why| content(path, "certificate", why))
}

fn certificates_in(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, pem::Error>>();
    let all = all.map_err(|error| error.to_string())?;
    if all.is_empty() { Err("no PEM block CERTIFICATE was found".to_owned()) } else { Ok(all) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    let bytes = read(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = std::fs::metadata(path);
        let metadata = metadata.map_err(|source| CredentialsError::Read { path: path.to_owned(), source })?;
        let mode = metadata.permissions().mode() & 0o777;
        // Group read is left to the administrator: a group of its own for the daemons is usual.
        if mode & 0o037 != 0 {
            return Err(CredentialsError::KeyOpen { path: path.to_owned(), mode });
        }
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| content(path, "private key", error))
}

fn revocations(path: &Path) -> Result<Vec<CertRevocationList<'static>>, CredentialsError> {
    let bytes = match read(path) {
        Err(CredentialsError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        other => other?,
    };
    revocations_in(&bytes).map_err(|why| content(path, "list of revoked certificates", why))
}

impl Believed {
    /// With lists of revoked certificates from these files, PEM; one that is not there yet is an empty list.
    pub fn with_lists(authorities: RootCertStore, lists: &[PathBuf]) -> Result<Self, CredentialsError> {
        let mut revoked = Vec::new();
        for path in lists {
            revoked.extend(revocations(path)?);
        }
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Ok(Self::new(authorities, revoked, algorithms))
    }
}

fn revocations_in(bytes: &[u8]) -> Result<Vec<CertRevocationList<'static>>, String> {
    let lists = CertificateRevocationListDer::pem_slice_iter(bytes).map(|der| {
        let der = der.map_err(|error| error.to_string())?;
        let list = OwnedCertRevocationList::from_der(&der).map_err(|error| error.to_string())?;
        Ok(CertRevocationList::from(list))
    });
    lists.collect()
}

/// Whether a chain of certificates, its owner's first, would be believed at `now` (since 1970) by a holder of these
/// authorities and lists of revoked ones, both PEM, as a link does; else why not. For those who make up certificates.
pub fn would_believe(
    authorities: &[u8],
    revoked: &[u8],
    chain: &[CertificateDer<'_>],
    now: Duration,
) -> Result<Certified, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates_in(authorities)? {
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let verifier = Verifier::new(Believed::new(store, revocations_in(revoked)?, algorithms));
    let (own, between) = chain.split_first().ok_or("no certificate came")?;
    let now = UnixTime::since_unix_epoch(now);
    verifier.verify_client_cert(own, between, now).map_err(|error| error.to_string())?;
    Certified::read(own).map_err(|error| error.to_string())
}

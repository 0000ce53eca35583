//! The TLS of the API's network side: certificate, key and authorities, read from their files, and read again live.
//!
//! It knows no requests. The law: TLS 1.2 or 1.3 of one provider; a client's certificate is optional, but one that is
//! sent must be signed by a believed authority, valid now and not revoked; and files that are wrong never replace ones
//! that are in use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};
use understudy_settings::TlsFiles;
use understudy_transport::Believed;
use webpki::{CertRevocationList, EndEntityCert, OwnedCertRevocationList};

/// Why files of TLS cannot be used. What was in use stays.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("cannot read {what} {}: {source}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds none of what it should.
    #[error("{} does not hold {what}", path.display())]
    Empty {
        /// What it should hold.
        what: &'static str,
        /// Which.
        path: PathBuf,
    },
    /// Certificate and key do not fit, an authority is none, or a list of revoked certificates cannot be read.
    #[error("{} cannot be used: {why}", path.display())]
    Unusable {
        /// The certificate, the authority or the list.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// How connections are taken.
    pub config: Arc<ServerConfig>,
    /// The names in the certificate, in lower case; the first label of one may be `*`.
    pub host_names: Vec<String>,
}

/// What is in use. Clones share it.
#[derive(Debug, Clone)]
pub struct TlsInUse {
    files: Arc<TlsFiles>,
    loaded: Arc<Mutex<Arc<Loaded>>>,
}

impl TlsInUse {
    /// Reads the files.
    pub fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        let loaded = Arc::new(load(files)?);
        Ok(Self { files: Arc::new(files.clone()), loaded: Arc::new(Mutex::new(loaded)) })
    }

    /// Reads the files again. Nothing of it is in use before [`TlsInUse::take`].
    pub fn read(&self) -> Result<Loaded, TlsError> {
        load(&self.files)
    }

    /// Uses what was read for the connections to come.
    pub fn take(&self, loaded: Loaded) {
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
    }

    /// What is in use now.
    pub fn now(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn load(files: &TlsFiles) -> Result<Loaded, TlsError> {
    let certificate_path = Path::new(&files.certificate);
    let chain = certificates(certificate_path, "a certificate")?;
    let key_path = Path::new(&files.key);
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(|source| TlsError::File {
        what: "a key from",
        path: key_path.to_owned(),
        source,
    })?;
    let unusable = |why: String| TlsError::Unusable { path: certificate_path.to_owned(), why };
    let mut authorities = RootCertStore::empty();
    for path in &files.authorities {
        for authority in certificates(Path::new(path), "an authority")? {
            let path = PathBuf::from(path);
            authorities
                .add(authority)
                .map_err(|error| TlsError::Unusable { path, why: error.to_string() })?;
        }
    }
    let mut revoked: Vec<CertRevocationList<'static>> = Vec::new();
    for path in &files.revoked {
        let what = "a list of revoked certificates";
        let failed = |source| TlsError::File { what, path: PathBuf::from(path), source };
        // A list that is not there yet is an empty one, as it is for links.
        if !Path::new(path).exists() {
            continue;
        }
        let lists = CertificateRevocationListDer::pem_file_iter(path).map_err(failed)?;
        for list in lists {
            let list = OwnedCertRevocationList::from_der(&list.map_err(failed)?);
            let list = list
                .map_err(|error| TlsError::Unusable { path: PathBuf::from(path), why: error.to_string() })?;
            revoked.push(list.into());
        }
    }
    let provider = Arc::new(default_provider());
    let signatures =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authorities.clone()), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
    let believed = Believed::new(authorities, revoked, provider.signature_verification_algorithms);
    let verifier = Arc::new(Clients { believed, signatures });
    let host_names = host_names(&chain).map_err(|error| unusable(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_client_cert_verifier(verifier).with_single_cert(chain, key))
        .map_err(|error| unusable(error.to_string()))?;
    // A resumed session would skip the check of a certificate that has expired or was revoked meanwhile.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), host_names })
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::File { what, path: path.to_owned(), source };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() { Err(TlsError::Empty { what, path: path.to_owned() }) } else { Ok(found) }
}

fn host_names(chain: &[CertificateDer<'_>]) -> Result<Vec<String>, webpki::Error> {
    let Some(own) = chain.first() else { return Ok(Vec::new()) };
    let own = EndEntityCert::try_from(own)?;
    Ok(own.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// Looks at the certificates of clients that show one, as links look at those of their ends.
#[derive(Debug)]
struct Clients {
    believed: Believed,
    /// Whether whoever shows a certificate holds its key.
    signatures: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Clients {
    /// A token will do as well.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signatures.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.believed.check_client(certificate, between, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}

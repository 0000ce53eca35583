//! Where a control server is asked: a Unix socket of this machine, or an address behind TLS.
//!
//! It knows no requests. The law: behind TLS the server proves who it is before anything is said to it, and a secret
//! is neither printed nor sent anywhere else.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use understudy_transport::Believed;

use crate::exit::{Exit, Failure};
use crate::proof::Proof;

/// The port of the API unless the address has one.
const USUAL_PORT: u16 = 4997;
/// The authority that is believed unless another is named, if the file is there.
const USUAL_AUTHORITY: &str = "/etc/understudy/pki/ca.pem";
/// What the usual authority revoked, if the file is there.
const USUAL_REVOKED: &str = "/etc/understudy/pki/revoked.pem";

/// Everything that leads to a control server.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `unix:/PATH` or `https://HOST[:PORT]`.
    pub url: String,
    /// File of the authority that has to have signed the server's certificate.
    pub authority: Option<PathBuf>,
    /// Files of lists of revoked certificates.
    pub revoked: Vec<PathBuf>,
    /// File of our certificate.
    pub certificate: Option<PathBuf>,
    /// File of its key.
    pub key: Option<PathBuf>,
    /// What opens.
    pub token: Option<Token>,
}

/// A token of the API. It shows itself to nobody by accident.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token, without the line end of its file.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A place that can be connected to.
#[derive(Clone)]
pub enum Place {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A machine, perhaps this one.
    Tls(TlsPlace),
}

/// A machine behind TLS.
#[derive(Clone)]
pub struct TlsPlace {
    host: String,
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    authority: PathBuf,
    token: Option<Token>,
}

/// A connection of either kind.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Place {
    /// Reads an address and the files that it needs. Connects to nothing.
    pub fn new(access: Access) -> Result<Self, Failure> {
        if let Some(path) = access.url.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Place::Unix(PathBuf::from(path)));
        }
        let Some((host, port)) = access.url.strip_prefix("https://").and_then(host_and_port) else {
            let message =
                format!("the server {:?} is not of the form unix:/PATH or https://HOST[:PORT]", access.url);
            return Err(Failure::new(Exit::Usage, message)
                .try_next("scsctl --server unix:/run/understudy/scs.sock status"));
        };
        let name = ServerName::try_from(host.clone())
            .map_err(|_| Failure::new(Exit::Usage, format!("{host:?} is no name of a machine")))?;
        let mut revoked = access.revoked;
        if access.authority.is_none() && revoked.is_empty() && Path::new(USUAL_REVOKED).exists() {
            revoked.push(PathBuf::from(USUAL_REVOKED));
        }
        let authority = access.authority.unwrap_or_else(|| PathBuf::from(USUAL_AUTHORITY));
        let own = match (&access.certificate, &access.key) {
            (Some(certificate), Some(key)) => Some((certificate.as_path(), key.as_path())),
            (None, None) => None,
            (Some(_), None) => return Err(Failure::new(Exit::Usage, "a --certificate needs its --key")),
            (None, Some(_)) => return Err(Failure::new(Exit::Usage, "a --key needs its --certificate")),
        };
        let config = Arc::new(config(&authority, &revoked, own)?);
        Ok(Place::Tls(TlsPlace { host, port, name, config, authority, token: access.token }))
    }

    /// As people write it.
    pub fn shown(&self) -> String {
        match self {
            Place::Unix(path) => format!("unix:{}", path.display()),
            Place::Tls(place) => format!("https://{}", place.host_header()),
        }
    }

    /// Under which name the server is asked.
    pub fn host_header(&self) -> String {
        match self {
            Place::Unix(_) => "localhost".to_owned(),
            Place::Tls(place) => place.host_header(),
        }
    }

    /// What opens there. On the socket the system says who asks.
    pub fn token(&self) -> Option<&Token> {
        match self {
            Place::Unix(_) => None,
            Place::Tls(place) => place.token.as_ref(),
        }
    }

    /// Connects, up to the point where the other side has proven who it is.
    pub async fn connect(&self) -> Result<Box<dyn Wire>, Failure> {
        match self {
            Place::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(self.no_socket(&error)),
            },
            Place::Tls(place) => {
                let stream = TcpStream::connect((place.host.as_str(), place.port)).await;
                let stream = stream.map_err(|error| self.no_answer(&error))?;
                let connector = TlsConnector::from(Arc::clone(&place.config));
                let stream = connector.connect(place.name.clone(), stream).await;
                Ok(Box::new(stream.map_err(|error| self.no_tls(&error))?))
            }
        }
    }

    fn no_socket(&self, error: &io::Error) -> Failure {
        let failure = Failure::new(
            Exit::Unreachable,
            format!("no control server answers at {}: {error}", self.shown()),
        );
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Failure::new(Exit::Unreachable, format!("may not connect to {}: {error}", self.shown()))
                    .because("only the owner and the group of that socket may use it")
                    .try_next("id; sudo scsctl status")
            }
            _ => failure.try_next("systemctl status scs, or say where it is with --server"),
        }
    }

    fn no_answer(&self, error: &io::Error) -> Failure {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "the connection was refused".to_owned(),
            io::ErrorKind::TimedOut => "the machine does not answer".to_owned(),
            _ => error.to_string(),
        };
        Failure::new(Exit::Unreachable, format!("no control server answers at {}: {why}", self.shown()))
            .try_next("systemctl status scs there, and api-listen in its scs.toml")
    }

    /// An error of TLS in the words of whoever has to mend it; none if it is none of TLS.
    pub fn tls_failure(&self, error: &(dyn Error + 'static)) -> Option<Failure> {
        let Place::Tls(place) = self else { return None };
        let mut cause = Some(error);
        let found = loop {
            let one = cause?;
            if let Some(found) = one.downcast_ref::<rustls::Error>() {
                break found;
            }
            // An error of the system hides what it was made from one level deeper.
            let inner = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| one.source());
        };
        let (why, next) = name_tls(found, place);
        let message = format!("no safe connection to {}: {why}", self.shown());
        Some(Failure::new(Exit::Unreachable, message).try_next(next))
    }

    fn no_tls(&self, error: &io::Error) -> Failure {
        self.tls_failure(error).unwrap_or_else(|| {
            let message = format!("{} ended the connection before TLS began: {error}", self.shown());
            Failure::new(Exit::Unreachable, message).try_next("systemctl status scs there")
        })
    }
}

impl TlsPlace {
    fn host_header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }
}

/// What went wrong with TLS, and what to do about it.
fn name_tls(error: &rustls::Error, place: &TlsPlace) -> (String, String) {
    use rustls::Error as E;
    let (host, authority) = (&place.host, place.authority.display());
    let renew = "a certificate that is valid now, with --certificate and --key";
    match error {
        // A bad signature is what an authority of the same name and another key leads to.
        E::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => (
            format!("its certificate is not signed by the authority in {authority}"),
            "--ca with the authority of that cluster".to_owned(),
        ),
        E::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            format!("its certificate is not for {host}"),
            "a name or address that its certificate has".to_owned(),
        ),
        E::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => (
            "its certificate has expired".to_owned(),
            "renew the certificate of that control server".to_owned(),
        ),
        E::InvalidCertificate(CertificateError::Revoked) => (
            "its certificate was revoked".to_owned(),
            "issue another certificate for that control server".to_owned(),
        ),
        E::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => (
            "its certificate is of somebody else than a control server".to_owned(),
            "the address of a control server".to_owned(),
        ),
        E::AlertReceived(AlertDescription::CertificateExpired) => {
            ("it refused our certificate, which has expired".to_owned(), renew.to_owned())
        }
        E::AlertReceived(AlertDescription::CertificateRevoked) => {
            ("it refused our certificate, which was revoked".to_owned(), renew.to_owned())
        }
        E::AlertReceived(AlertDescription::UnknownCA | AlertDescription::DecryptError) => {
            ("it does not believe the authority of our certificate".to_owned(), renew.to_owned())
        }
        E::InvalidMessage(_) => (
            "what answers there does not speak TLS".to_owned(),
            "the port of api-listen in its scs.toml".to_owned(),
        ),
        other => (other.to_string(), "the log of scs there, with SCS_LOG=debug".to_owned()),
    }
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`, with a slash behind it or none.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = if port.is_empty() { USUAL_PORT } else { port.parse().ok()? };
    (!host.is_empty() && !host.contains(['/', '@', '?', '#'])).then(|| (host.to_owned(), port))
}

fn config(
    authority: &Path,
    revoked: &[PathBuf],
    own: Option<(&Path, &Path)>,
) -> Result<ClientConfig, Failure> {
    let unusable = |what: &str, path: &Path, why: &dyn fmt::Display| {
        Failure::new(Exit::Usage, format!("{what} {} cannot be used: {why}", path.display()))
    };
    let no_authority = |why: &dyn fmt::Display| {
        unusable("the authority", authority, why)
            .because("a server behind TLS is believed only if an authority that you name has signed its certificate")
            .try_next("--ca FILE with the authority of the cluster")
    };
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(authority).map_err(|error| no_authority(&error))?;
    for one in found {
        let one = one.map_err(|error| no_authority(&error))?;
        roots.add(one).map_err(|error| no_authority(&error))?;
    }
    if roots.is_empty() {
        return Err(no_authority(&"it holds no certificate"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(&provider));
    let usual = usual.build().map_err(|error| no_authority(&error))?;
    let list = "the list of revoked certificates";
    if let Some(missing) = revoked.iter().find(|path| !path.exists()) {
        return Err(unusable(list, missing, &"there is no such file"));
    }
    let believed = Believed::with_lists(roots, revoked)
        .map_err(|error| Failure::new(Exit::Usage, format!("{list} cannot be used: {error}")))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(Exit::Failed, format!("this program has no TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Proof { usual, believed }));
    let Some((certificate, key)) = own else { return Ok(builder.with_no_client_auth()) };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable("the certificate", certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("the key", key, &error))?;
    builder
        .with_client_auth_cert(chain, secret)
        .map_err(|error| unusable("the certificate", certificate, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_port() {
        let read = |text| host_and_port(text);
        let is = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(read("scs.example.net"), is("scs.example.net", USUAL_PORT));
        assert_eq!(read("127.0.0.1:1/"), is("127.0.0.1", 1));
        assert_eq!(read("[::1]"), is("::1", USUAL_PORT));
        assert_eq!(read("[::1]:9"), is("::1", 9));
        for wrong in ["", ":1", "a:b", "a:1:2", "[::1", "[::1]9", "a/b", "user@host", "a:99999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_the_two_forms_are_servers_and_tls_needs_an_authority() {
        let new = |url: &str| Place::new(Access { url: url.to_owned(), ..Access::default() });
        assert!(new("unix:/run/x.sock").is_ok());
        for wrong in ["", "unix:", "unix:x.sock", "http://localhost", "/run/x.sock", "https://"] {
            assert_eq!(new(wrong).err().unwrap().exit(), Exit::Usage, "{wrong}");
        }
        let authority = Some(PathBuf::from("/nowhere/ca.pem"));
        let access = Access { url: "https://localhost".to_owned(), authority, ..Access::default() };
        let failure = Place::new(access).err().unwrap();
        assert!(failure.to_string().contains("/nowhere/ca.pem"), "{failure}");
    }

    #[test]
    fn a_token_shows_itself_to_nobody() {
        assert_eq!(format!("{:?}", Token::new("understudy_x\n")), "Token(..)");
        assert_eq!(Token::new(" understudy_x\n").reveal(), "understudy_x");
    }
}

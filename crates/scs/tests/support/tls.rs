//! Certificates made on the spot, and a client that speaks TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::LIMIT;

/// The cluster of every certificate here, as `cluster.toml` may have it.
pub const CLUSTER: &str = "0123abcd00004000800000000000ffff";

/// An authority and everything that it signed, as PEM.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Unlike what it signs: OpenSSL takes a certificate of its own issuer's name for a self-signed one.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `localhost`, 127.0.0.1 and `scs.test`.
    pub fn server(&self) -> Identity {
        let names = ["localhost", "127.0.0.1", "scs.test"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.subject_alt_names.extend(self::params("scs/scs-1").subject_alt_names);
        self.sign(params)
    }

    /// A certificate with that identity of [`CLUSTER`], such as `operator/ann`.
    pub fn of(&self, kind_and_name: &str) -> Identity {
        self.sign(params(kind_and_name))
    }

    /// One whose time is over.
    pub fn expired(&self, kind_and_name: &str) -> Identity {
        let mut params = params(kind_and_name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.sign(params)
    }

    /// One with that serial number, to be revoked.
    pub fn numbered(&self, kind_and_name: &str, serial: u64) -> Identity {
        let mut params = params(kind_and_name);
        params.serial_number = Some(SerialNumber::from(serial));
        self.sign(params)
    }

    /// A list that revokes one serial number, as PEM.
    pub fn revoke(&self, serial: u64) -> String {
        let (now, next) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: next,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

fn params(kind_and_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let uri = format!("understudy://{CLUSTER}/{kind_and_name}");
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params
}

pub fn write(directory: &Path, name: &str, identity: &Identity) {
    std::fs::write(directory.join(format!("{name}.pem")), &identity.certificate).unwrap();
    let key = directory.join(format!("{name}.key"));
    std::fs::write(&key, &identity.key).unwrap();
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A client that believes one authority.
pub struct Client {
    config: Arc<ClientConfig>,
    address: SocketAddr,
}

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    pub fn new(address: SocketAddr, authority: &str, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Self { config: Arc::new(config), address }
    }

    pub fn open(&self) -> Stream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::clone(&self.config), name).unwrap(), stream)
    }

    /// Sends text and reads the whole answer.
    pub fn send(&self, text: &str) -> io::Result<String> {
        let mut stream = self.open();
        stream.write_all(text.as_bytes())?;
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            // The end without a farewell, which a test of garbage may get.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !bytes.is_empty() => {}
            read => drop(read?),
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Status and JSON of a request with further headers, each with its line end.
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
        let text = self
            .send(&format!(
                "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .unwrap_or_default();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

//! Certificates for tests: an authority that signs what it is asked to.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use tempfile::TempDir;
use understudy_transport::{CredentialFiles, Credentials, Security};

pub const CLUSTER: &str = "0000000000000000000000000000002a";

pub struct Authority {
    pub directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is to say.
pub struct Wanted {
    pub uris: Vec<String>,
    pub from: Duration,
    pub until: Duration,
    pub serial: u64,
    pub purposes: Vec<ExtendedKeyUsagePurpose>,
}

impl Wanted {
    /// For a day, for both ends.
    pub fn of(role: &str) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Self {
            uris: vec![format!("understudy://{CLUSTER}/{role}")],
            from: now - Duration::from_secs(3600),
            until: now + Duration::from_secs(86_400),
            serial: 1,
            purposes: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        }
    }

    /// One whose time is over.
    pub fn expired(role: &str) -> Self {
        let mut wanted = Self::of(role);
        wanted.until = wanted.from + Duration::from_secs(60);
        wanted
    }
}

impl Authority {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = format!("authority {}", directory.path().display());
        Self::called(&name, directory)
    }

    /// One with a name that others may have too.
    pub fn named(name: &str) -> Self {
        Self::called(name, tempfile::tempdir().unwrap())
    }

    fn called(name: &str, directory: TempDir) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let own = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), own.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a certificate and its key, and says where they are.
    pub fn issue(&self, file: &str, wanted: &Wanted) -> CredentialFiles {
        let mut params = CertificateParams::default();
        let uri = |uri: &String| SanType::URI(uri.as_str().try_into().unwrap());
        params.subject_alt_names = wanted.uris.iter().map(uri).collect();
        params.not_before = (SystemTime::UNIX_EPOCH + wanted.from).into();
        params.not_after = (SystemTime::UNIX_EPOCH + wanted.until).into();
        params.serial_number = Some(SerialNumber::from(wanted.serial));
        params.extended_key_usages.clone_from(&wanted.purposes);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) =
            (self.path(&format!("{file}.pem")), self.path(&format!("{file}.key")));
        std::fs::write(&certificate_file, certificate.pem()).unwrap();
        write_key(&key_file, &key.serialize_pem());
        CredentialFiles {
            certificate: certificate_file,
            key: key_file,
            authorities: vec![self.path("ca.pem")],
            revoked: vec![self.path("revoked.pem")],
        }
    }

    pub fn credentials(&self, role: &str) -> Credentials {
        Credentials::load(self.issue(&role.replace('/', "-"), &Wanted::of(role))).unwrap()
    }

    pub fn security(&self, role: &str) -> Security {
        Security::Tls(self.credentials(role))
    }

    /// Publishes the numbers of the certificates that are revoked.
    pub fn revoke(&self, serials: &[u64]) {
        let now = SystemTime::now();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + Duration::from_secs(86_400)).into(),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(self.path("revoked.pem"), list.signed_by(&self.issuer).unwrap().pem().unwrap())
            .unwrap();
    }
}

fn write_key(path: &std::path::Path, pem: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, pem).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

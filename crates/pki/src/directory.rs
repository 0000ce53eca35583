//! A directory with an authority: `ca.pem`, `ca.key`, `revoked.pem`, `issued.json`, and a pair of files for each owner.
//!
//! Knows nothing of where certificates are used. The law: one command changes it at a time; the record is written before the certificate, the key before
//! the certificate that belongs to it; a command that is killed can be given again.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use understudy_model::{ClusterId, Identity, Role};
use understudy_transport::Certified;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::PkiError;
use crate::authority::{self, Authority, CLUSTER_URI, Made, Names, Validity};
use crate::files::{self, Readers};
use crate::record::{Entry, Record, Standing};

/// A directory with an authority in it.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

/// A certificate that was just issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its file.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
    /// What the record says of it.
    pub entry: Entry,
}

/// The authority and everything that it issued.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The cluster.
    pub cluster: ClusterId,
    /// Until when the authority itself holds.
    pub until: Timestamp,
    /// Everything issued, oldest first, with what it is worth now.
    pub entries: Vec<(Entry, Standing)>,
}

impl Directory {
    /// A directory, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes an authority for a cluster. Without `id` the cluster gets a new random one.
    pub fn init(&self, name: &str, id: Option<ClusterId>, validity: Validity) -> Result<ClusterId, PkiError> {
        let certificate = self.at("ca.pem");
        std::fs::create_dir_all(&self.path).map_err(files::failed("made", &self.path))?;
        let _changing = files::change(&self.path)?;
        if files::read(&certificate)?.is_some() {
            return Err(PkiError::AuthorityThere { path: certificate });
        }
        let cluster = match id {
            Some(id) => id,
            None => random_cluster()?,
        };
        let now = SystemTime::now();
        let Made { certificate: pem, key } = authority::found(name, cluster, validity, now)?;
        // A key without a certificate is replaced by the next attempt; a certificate without its key would be no use.
        files::replace(&self.at("ca.key"), &key, Readers::Owner)?;
        files::replace(&certificate, &pem, Readers::Everybody)?;
        let list = self.open()?.revocations(&[], now)?;
        files::replace(&self.at("revoked.pem"), &list, Readers::Everybody)?;
        Ok(cluster)
    }

    /// Issues a certificate to an owner that has none here.
    pub fn issue(&self, role: &Role, names: &Names, validity: Validity) -> Result<Issued, PkiError> {
        let authority = self.open()?;
        let _changing = files::change(&self.path)?;
        let (certificate, key) = self.files_of(role);
        if files::read(&certificate)?.is_some() {
            let found = self.certified(&certificate)?.identity.role;
            let (path, other) = (certificate, found != *role);
            let (found, role) = (found.to_string(), role.to_string());
            return Err(match other {
                true => PkiError::NameTaken { path, found, role },
                false => PkiError::IssuedAlready { path, role },
            });
        }
        self.write(&authority, role, names, validity, (certificate, key))
    }

    /// Issues another certificate, with a new key, to an owner that has one here; names are kept unless new ones are given.
    pub fn renew(&self, role: &Role, names: &Names, validity: Validity) -> Result<Issued, PkiError> {
        let authority = self.open()?;
        let _changing = files::change(&self.path)?;
        let (certificate, key) = self.files_of(role);
        let Some(pem) = files::read(&certificate)? else {
            return Err(PkiError::NeverIssued { role: role.to_string() });
        };
        let found = self.certified(&certificate)?.identity.role;
        if found != *role {
            let (found, role) = (found.to_string(), role.to_string());
            return Err(PkiError::NameTaken { path: certificate, found, role });
        }
        let kept = if *names == Names::default() { names_in(&certificate, &pem)? } else { names.clone() };
        self.write(&authority, role, &kept, validity, (certificate, key))
    }

    fn write(
        &self,
        authority: &Authority,
        role: &Role,
        names: &Names,
        validity: Validity,
        (certificate, key): (PathBuf, PathBuf),
    ) -> Result<Issued, PkiError> {
        let identity = Identity { cluster: authority.cluster, role: role.clone() };
        let (made, entry) = authority.issue(&identity, names, validity, SystemTime::now())?;
        let mut record = self.record()?;
        record.entries.push(entry.clone());
        record.write()?;
        files::replace(&key, &made.key, Readers::Owner)?;
        files::replace(&certificate, &made.certificate, Readers::Everybody)?;
        Ok(Issued { certificate, key, entry })
    }

    /// Revokes every certificate of an owner that still holds, and writes the new list. Gives those that were revoked.
    pub fn revoke(&self, role: &Role) -> Result<Vec<Entry>, PkiError> {
        let role = role.to_string();
        let authority = self.open()?;
        let _changing = files::change(&self.path)?;
        let (of_role, now) = (|entry: &Entry| entry.role == role, Timestamp::now());
        if !self.record()?.entries.iter().any(of_role) {
            return Err(PkiError::NeverIssued { role });
        }
        self.revoke_where(&authority, |entry| {
            of_role(entry) && !matches!(entry.standing(now), Standing::Expired | Standing::Revoked)
        })
    }

    /// Revokes one certificate, and writes the new list. Gives it, unless it was revoked before.
    pub fn revoke_serial(&self, serial: &str) -> Result<Vec<Entry>, PkiError> {
        let serial = serial.to_ascii_lowercase();
        let authority = self.open()?;
        let _changing = files::change(&self.path)?;
        if !self.record()?.entries.iter().any(|entry| entry.serial == serial) {
            return Err(PkiError::UnknownSerial { serial });
        }
        self.revoke_where(&authority, |entry| entry.serial == serial && entry.revoked.is_none())
    }

    fn revoke_where(
        &self,
        authority: &Authority,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Entry>, PkiError> {
        let mut record = self.record()?;
        let mut revoked = Vec::new();
        for entry in record.entries.iter_mut().filter(|entry| wanted(entry)) {
            entry.revoked = Some(Timestamp::now());
            revoked.push(entry.clone());
        }
        record.write()?;
        // Written also if nothing was new: a command that was killed here is given again.
        let list = authority.revocations(&record.entries, SystemTime::now())?;
        files::replace(&self.at("revoked.pem"), &list, Readers::Everybody)?;
        Ok(revoked)
    }

    /// The authority and everything that it issued.
    pub fn show(&self) -> Result<Shown, PkiError> {
        let (cluster, until) = self.authority_of()?;
        let now = Timestamp::now();
        let entries = self.record()?.entries;
        let entries =
            entries.into_iter().map(|entry| (entry.standing(now), entry)).map(|(now, entry)| (entry, now));
        Ok(Shown { cluster, until, entries: entries.collect() })
    }

    fn record(&self) -> Result<Record, PkiError> {
        Record::read(&self.at("issued.json"))
    }

    fn open(&self) -> Result<Authority, PkiError> {
        let (cluster, until) = self.authority_of()?;
        let (certificate, key) = (self.at("ca.pem"), self.at("ca.key"));
        let missing = || PkiError::NoAuthority { directory: self.path.clone() };
        let pem = files::read(&certificate)?.ok_or_else(missing)?;
        let key = files::read(&key)?.ok_or_else(missing)?;
        Ok(Authority::open(&pem, &key, cluster, until)?)
    }

    /// The cluster and the end of the authority's certificate.
    fn authority_of(&self) -> Result<(ClusterId, Timestamp), PkiError> {
        let path = self.at("ca.pem");
        let pem =
            files::read(&path)?.ok_or_else(|| PkiError::NoAuthority { directory: self.path.clone() })?;
        let certificate = parsed(&path, &pem)?;
        let foreign = |why: &str| PkiError::ForeignAuthority { path: path.clone(), why: why.to_owned() };
        let cluster = names_of(&certificate)
            .iter()
            .find_map(|name| {
                match name {
                    GeneralName::UniformResourceIdentifier(uri) => uri.as_str().strip_prefix(CLUSTER_URI),
                    _ => None,
                }
                .and_then(|id| ClusterId::try_from(id.to_owned()).ok())
            })
            .ok_or_else(|| foreign("it names no cluster (understudy://CLUSTER)"))?;
        let ends = certificate.tbs_certificate.validity.not_after.to_unix_duration();
        Ok((cluster, timestamp(ends)))
    }

    /// Agents and control servers have their own names, as settings name their files; others tell their role.
    fn files_of(&self, role: &Role) -> (PathBuf, PathBuf) {
        let stem = match role {
            Role::Agent(_) | Role::Scs(_) => role.name().to_owned(),
            Role::Operator(_) | Role::App(_) => format!("{}-{}", role.word(), role.name()),
        };
        (self.at(&format!("{stem}.pem")), self.at(&format!("{stem}.key")))
    }

    fn certified(&self, path: &Path) -> Result<Certified, PkiError> {
        let damaged = |why: String| PkiError::Damaged { path: path.to_owned(), why };
        let der = CertificateDer::from_pem_file(path).map_err(|error| damaged(error.to_string()))?;
        Certified::read(&der).map_err(|source| PkiError::Certificate { path: path.to_owned(), source })
    }
}

fn parsed(path: &Path, pem: &str) -> Result<x509_cert::Certificate, PkiError> {
    let damaged = |why: String| PkiError::Damaged { path: path.to_owned(), why };
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| damaged(error.to_string()))?;
    x509_cert::Certificate::from_der(&der).map_err(|error| damaged(error.to_string()))
}

fn names_of(certificate: &x509_cert::Certificate) -> Vec<GeneralName> {
    let names = certificate.tbs_certificate.get::<SubjectAltName>();
    names.ok().flatten().map(|(_, names)| names.0).unwrap_or_default()
}

/// The DNS names and addresses of a certificate.
fn names_in(path: &Path, pem: &str) -> Result<Names, PkiError> {
    let mut names = Names::default();
    for name in names_of(&parsed(path, pem)?) {
        match name {
            GeneralName::DnsName(name) => names.dns.push(name.to_string()),
            GeneralName::IpAddress(octets) => match *octets.as_bytes() {
                [a, b, c, d] => names.addresses.push([a, b, c, d].into()),
                ref long => names.addresses.extend(<[u8; 16]>::try_from(long).map(std::net::IpAddr::from)),
            },
            _ => {}
        }
    }
    Ok(names)
}

fn random_cluster() -> Result<ClusterId, PkiError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(PkiError::Random)?;
    // The two marks of a random UUID.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(ClusterId(u128::from_be_bytes(bytes)))
}

fn timestamp(since_1970: Duration) -> Timestamp {
    Timestamp::try_from(SystemTime::UNIX_EPOCH + since_1970).unwrap_or(Timestamp::MAX)
}

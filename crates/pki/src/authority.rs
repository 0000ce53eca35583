//! Signing: the authority's own certificate, those that it issues, and its list of revoked ones.
//!
//! Knows no files. The law: every certificate names one identity of the authority's cluster, and can be used at both ends
//! of a link.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use understudy_model::{ClusterId, Identity};

use crate::PkiError;
use crate::record::Entry;

/// The scheme of the authority's own URI, `understudy://CLUSTER`.
pub(crate) const CLUSTER_URI: &str = "understudy://";
/// Clocks of hosts differ: certificates hold from an hour before they were made.
const EARLIER: Duration = Duration::from_secs(3_600);
/// The longest time anything holds, in days.
const MOST_DAYS: u32 = 20 * 366;

/// How long something holds from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    days: u32,
}

impl Validity {
    /// One to about twenty years of days.
    pub fn days(days: u32) -> Result<Self, PkiError> {
        match days {
            0 => Err(PkiError::Days { days, why: "it must hold for a day at least" }),
            1..=MOST_DAYS => Ok(Self { days }),
            _ => Err(PkiError::Days { days, why: "nothing holds for more than twenty years" }),
        }
    }

    fn span(self) -> Duration {
        Duration::from_secs(u64::from(self.days) * 86_400)
    }
}

/// Names by which clients that know no roles may reach it: browsers and `curl` at the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub addresses: Vec<std::net::IpAddr>,
}

/// An authority that can sign.
pub(crate) struct Authority {
    pub(crate) cluster: ClusterId,
    pub(crate) until: Timestamp,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, both PEM.
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A new authority for a cluster.
pub(crate) fn found(
    name: &str,
    cluster: ClusterId,
    validity: Validity,
    now: SystemTime,
) -> Result<Made, PkiError> {
    let mut params = params(now, validity)?;
    let key = KeyPair::generate()?;
    // With a part of the key's number: some programs tell authorities, and their lists, by this name alone.
    let number: String =
        params.key_identifier(&key).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("Understudy authority of {name} {number}");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![SanType::URI(ia5(&format!("{CLUSTER_URI}{cluster}"))?)];
    let certificate = params.self_signed(&key)?;
    Ok(Made { certificate: certificate.pem(), key: key.serialize_pem() })
}

impl Authority {
    /// From what [`found`] made.
    pub(crate) fn open(
        certificate: &str,
        key: &str,
        cluster: ClusterId,
        until: Timestamp,
    ) -> Result<Self, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?;
        Ok(Self { cluster, until, issuer })
    }

    /// A certificate with a new key. Never holds for longer than the authority itself. Gives its entry for the record too.
    pub(crate) fn issue(
        &self,
        identity: &Identity,
        names: &Names,
        validity: Validity,
        now: SystemTime,
    ) -> Result<(Made, Entry), PkiError> {
        let mut params = params(now, validity)?;
        let ends: SystemTime = (now + validity.span()).min(self.until.into());
        params.not_after = ends.into();
        params.distinguished_name.push(DnType::CommonName, identity.role.to_string());
        params.subject_alt_names = vec![SanType::URI(ia5(&identity.to_string())?)];
        for name in &names.dns {
            params.subject_alt_names.push(SanType::DnsName(ia5(name)?));
        }
        params.subject_alt_names.extend(names.addresses.iter().map(|address| SanType::IpAddress(*address)));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let serial = serial()?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let entry = Entry {
            serial: serial.iter().map(|byte| format!("{byte:02x}")).collect(),
            role: identity.role.to_string(),
            issued: timestamp(now),
            until: timestamp(ends),
            revoked: None,
        };
        Ok((Made { certificate: certificate.pem(), key: key.serialize_pem() }, entry))
    }

    /// The list of what was revoked, PEM. Each list has a higher number than the one before.
    pub(crate) fn revocations(&self, entries: &[Entry], now: SystemTime) -> Result<String, PkiError> {
        let revoked = entries.iter().filter_map(|entry| Some((entry, entry.revoked?)));
        let revoked_certs = revoked
            .map(|(entry, at)| RevokedCertParams {
                serial_number: SerialNumber::from_slice(&bytes(&entry.serial)),
                revocation_time: SystemTime::from(at).into(),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let number = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let list = CertificateRevocationListParams {
            this_update: now.into(),
            // Nobody refuses an old list; a reader that asks is told how long the authority itself lives.
            next_update: SystemTime::from(self.until).into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }
}

fn params(now: SystemTime, validity: Validity) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = (now - EARLIER).into();
    params.not_after = (now + validity.span()).into();
    Ok(params)
}

fn ia5(name: &str) -> Result<Ia5String, PkiError> {
    Ia5String::try_from(name)
        .map_err(|error| PkiError::Name { name: name.to_owned(), why: error.to_string() })
}

/// Random, positive, and never shortened by the encoding.
fn serial() -> Result<[u8; 16], PkiError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(PkiError::Random)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

fn bytes(serial: &str) -> Vec<u8> {
    let pairs = serial.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

fn timestamp(at: SystemTime) -> Timestamp {
    // Only a clock outside the years that people use fails here.
    Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

//! What a certificate says of its owner: identity and expiry.
//!
//! Knows nothing of whether it is genuine; [`crate::verify`] looks at that first. The law: a certificate names exactly one
//! identity, or nobody.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use understudy_model::Identity;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Why a certificate says nothing that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Its bytes are not a certificate.
    #[error("it cannot be read: {why}")]
    Unreadable {
        /// What the decoder said.
        why: String,
    },
    /// It names nobody of a cluster, or more than one.
    #[error(
        "it names {found} identities (understudy://CLUSTER/ROLE/NAME among its alternative names), one is expected"
    )]
    NoIdentity {
        /// How many.
        found: usize,
    },
}

/// What was read of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// Its owner.
    pub identity: Identity,
    /// From when it holds, since 1970 by the wall clock.
    pub not_before: Duration,
    /// Until when it holds, since 1970 by the wall clock.
    pub not_after: Duration,
    /// Its number, in hexadecimal.
    pub serial: String,
}

impl Certified {
    /// Reads a certificate.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let unreadable =
            |error: x509_cert::der::Error| CertificateError::Unreadable { why: error.to_string() };
        let certificate = Certificate::from_der(der).map_err(unreadable)?.tbs_certificate;
        let names = certificate.get::<SubjectAltName>().map_err(unreadable)?;
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        let mut identities = names.iter().filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => uri.as_str().parse::<Identity>().ok(),
            _ => None,
        });
        let (first, others) = (identities.next(), identities.count());
        let identity = match first {
            Some(identity) if others == 0 => identity,
            Some(_) => return Err(CertificateError::NoIdentity { found: others + 1 }),
            None => return Err(CertificateError::NoIdentity { found: 0 }),
        };
        Ok(Self {
            identity,
            not_before: certificate.validity.not_before.to_unix_duration(),
            not_after: certificate.validity.not_after.to_unix_duration(),
            serial: certificate.serial_number.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

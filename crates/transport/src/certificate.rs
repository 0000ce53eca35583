//! What a certificate says of its owner: identity and expiry.
//!
//! Knows nothing of whether it is genuine; [`crate::verify`] looks at that first. The law: a certificate names exactly one
//! identity, or nobody.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use understudy_model::Identity;
use x509_cert::der::Decode;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::{Certificate, TbsCertificate};

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
        let certificate = decode::<Certificate>(der)?.tbs_certificate;
        let names = alternative_names(&certificate)?;
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

/// The names beside the subject's; none if there are none.
fn alternative_names(certificate: &TbsCertificate) -> Result<Vec<GeneralName>, CertificateError> {
    let all = certificate.extensions.iter().flatten();
    let mut lists = all.filter(|extension| extension.extn_id == SubjectAltName::OID);
    match (lists.next(), lists.next()) {
        (None, _) => Ok(Vec::new()),
        (Some(names), None) => Ok(decode::<SubjectAltName>(names.extn_value.as_bytes())?.0),
        (Some(_), Some(_)) => unreadable("it has two lists of alternative names"),
    }
}

/// Decodes a value, and takes no more memory for it than its bytes are worth: the decoder makes room for as much as a
/// length says before it looks whether that much is there.
fn decode<'b, T: Decode<'b>>(bytes: &'b [u8]) -> Result<T, CertificateError> {
    if !lengths_fit(bytes) {
        return unreadable("a length in it goes beyond its end");
    }
    T::from_der(bytes).or_else(unreadable)
}

fn unreadable<T>(why: impl ToString) -> Result<T, CertificateError> {
    Err(CertificateError::Unreadable { why: why.to_string() })
}

/// Whether every value, and every value inside of it, ends within what holds it. Looks at lengths only.
fn lengths_fit(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    // What is inside of a value follows its head, so one pass sees it; the ends of those that are open are kept.
    let mut ends = vec![0];
    while !rest.is_empty() {
        while ends.last() == Some(&rest.len()) {
            ends.pop();
        }
        let Some((is_constructed, length, behind)) = head(rest) else { return false };
        let room = behind.len() - ends.last().copied().unwrap_or(0).min(behind.len());
        if length > room || ends.len() > DEEPEST {
            return false;
        }
        if is_constructed {
            ends.push(behind.len() - length);
            rest = behind;
        } else {
            rest = &behind[length..];
        }
    }
    true
}

/// How deep values may lie in each other.
const DEEPEST: usize = 32;

/// The head of a value: whether others lie in it, how long it is, and what follows the head. None for a head that is
/// broken off or that certificates do not use.
fn head(bytes: &[u8]) -> Option<(bool, usize, &[u8])> {
    let (&[tag, short], rest) = bytes.split_first_chunk()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    Some((tag & 0x20 != 0, length, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_goes_beyond_its_holder_is_refused_before_any_room_is_made() {
        let good: &[&[u8]] =
            &[b"", b"\x04\x01x", b"\x30\x05\x04\x01x\x05\x00", b"\x30\x00\x30\x81\x03\x04\x01x"];
        for bytes in good {
            assert!(lengths_fit(bytes), "{bytes:?}");
        }
        let bad: &[&[u8]] = &[
            b"\x04",
            b"\x04\x02x",
            b"\x04\x80xx",
            b"\x04\x84\x0f\xff\xff\xffx",
            b"\x30\x03\x04\x02x",
            b"\x30\x03\x04\x02xxxxx",
            b"\x30\x04\x30\x03\x04\x01xx",
            b"\x1f\x01x",
        ];
        for bytes in bad {
            assert!(!lengths_fit(bytes), "{bytes:?}");
        }
        assert!(!lengths_fit(&b"\x30\x80".repeat(100)));
        let deep: Vec<u8> = (0..100).rev().flat_map(|inner: u8| [0x30, 2 * inner]).collect();
        assert!(!lengths_fit(&deep) && lengths_fit(&deep[deep.len() - 40..]));
    }
}

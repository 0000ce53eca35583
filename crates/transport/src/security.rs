//! Whether links have TLS, and what it means when a handshake fails.
//!
//! Knows no sockets. The law: without TLS nothing leaves this machine; and why a handshake failed has a name that an
//! operator can act upon.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};
use understudy_model::Identity;

use crate::credentials::Credentials;

/// How TCP links are secured. Unix sockets never leave the machine and are always plain.
#[derive(Debug, Clone)]
pub enum Security {
    /// Not at all: loopback addresses only.
    Plain,
    /// TLS 1.3, both ends with certificates.
    Tls(Credentials),
}

impl Security {
    /// The identity of this end; `None` without TLS.
    pub fn identity(&self) -> Option<Identity> {
        match self {
            Security::Plain => None,
            Security::Tls(credentials) => Some(credentials.identity()),
        }
    }
}

/// Why a TLS handshake failed, or TLS broke later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct TlsFailure {
    /// One word for counters and logs.
    pub word: &'static str,
    /// For people, with what to do.
    pub text: String,
}

impl TlsFailure {
    /// The failure behind an error of a stream, if TLS is behind it.
    pub fn behind(error: &io::Error) -> Option<Self> {
        let tls = error.get_ref()?.downcast_ref::<Error>()?;
        Some(Self::of(tls))
    }

    /// True if this end refused the peer's certificate.
    pub fn is_of_certificate(error: &io::Error) -> bool {
        let tls = error.get_ref().and_then(|source| source.downcast_ref::<Error>());
        matches!(tls, Some(Error::InvalidCertificate(_)))
    }

    fn of(error: &Error) -> Self {
        let (word, text) = match error {
            Error::InvalidCertificate(reason) => ours(reason),
            Error::AlertReceived(alert) => theirs(*alert),
            Error::NoCertificatesPresented => {
                ("tls-no-certificate", "the peer showed no certificate".to_owned())
            }
            Error::InvalidMessage(_) => (
                "tls-not-spoken",
                "the peer does not speak TLS: one end has [tls] in its settings and the other has not"
                    .to_owned(),
            ),
            other => ("tls-failed", format!("TLS failed: {other}")),
        };
        Self { word, text }
    }
}

/// This end refused the peer's certificate.
fn ours(reason: &CertificateError) -> (&'static str, String) {
    use CertificateError as C;
    let (word, why) = match reason {
        C::Expired | C::ExpiredContext { .. } => {
            ("tls-expired", "has expired; renew it there with: scsctl pki renew".to_owned())
        }
        C::NotValidYet | C::NotValidYetContext { .. } => {
            ("tls-not-valid-yet", "is not valid yet: compare the clocks of both hosts".to_owned())
        }
        C::Revoked => ("tls-revoked", "was revoked".to_owned()),
        C::UnknownIssuer => {
            ("tls-unknown-authority", "is not signed by an authority that this end believes".to_owned())
        }
        C::InvalidPurpose => ("tls-wrong-purpose", "is not for links between programs".to_owned()),
        C::ApplicationVerificationFailure => {
            ("tls-nobody", "names no identity of a cluster; issue one with: scsctl pki issue".to_owned())
        }
        other => ("tls-bad-certificate", format!("is refused: {other}")),
    };
    (word, format!("the peer's certificate {why}"))
}

/// The peer refused ours.
fn theirs(alert: AlertDescription) -> (&'static str, String) {
    use AlertDescription as A;
    let (word, why) = match alert {
        A::CertificateExpired => (
            "tls-own-expired",
            "it has expired, or the clocks differ; renew it with: scsctl pki renew".to_owned(),
        ),
        A::CertificateRevoked => ("tls-own-revoked", "it was revoked".to_owned()),
        A::UnknownCA => (
            "tls-own-unknown-authority",
            "it is not signed by an authority that the peer believes".to_owned(),
        ),
        A::CertificateRequired => ("tls-own-missing", "there is none".to_owned()),
        A::AccessDenied | A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate => {
            ("tls-own-refused", format!("{alert:?}"))
        }
        other => return ("tls-alert", format!("the peer ended TLS: {other:?}")),
    };
    (word, format!("the peer refused this end's certificate: {why}"))
}

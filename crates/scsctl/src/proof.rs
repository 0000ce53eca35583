//! Whether whoever answers behind TLS is a control server, and believed.
//!
//! It knows no addresses but the one that was asked for. The law: a certificate has to be signed by the authority, for
//! the name that was asked for, not revoked, and of no other role than a control server's.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use understudy_model::Role;
use understudy_transport::{Believed, CertificateError as NoName, Certified};

/// Looks at the certificates of servers.
#[derive(Debug)]
pub struct Proof {
    /// Signature, time and name.
    pub usual: Arc<WebPkiServerVerifier>,
    /// The authorities, and what they revoked.
    pub believed: Believed,
}

impl ServerCertVerifier for Proof {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.usual.verify_server_cert(certificate, between, asked, stapled, now)?;
        self.believed.check_server(certificate, between, now)?;
        match Certified::read(certificate).map(|certified| certified.identity.role) {
            Ok(Role::Scs(_)) => Ok(verified),
            // One that was not made by scsctl: its name is all that it says.
            Err(NoName::NoIdentity { found: 0 }) => Ok(verified),
            Ok(Role::Agent(_) | Role::Operator(_) | Role::App(_)) | Err(_) => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

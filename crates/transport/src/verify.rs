//! Whether a peer's certificate is genuine: signed by one of our authorities, in its time, not revoked, for this use.
//!
//! Knows nothing of which peer is welcome; whoever asked for the link looks at the identity. The law: both ends are
//! looked at in the same way, and a reason is a name, never just "bad certificate".

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::KeyUsage;

use crate::believed::Believed;
use crate::certificate::Certified;

/// Looks at both ends' certificates.
#[derive(Debug)]
pub(crate) struct Verifier {
    believed: Believed,
    subjects: Vec<DistinguishedName>,
}

impl Verifier {
    pub(crate) fn new(believed: Believed) -> Arc<Self> {
        let subjects = believed.subjects();
        Arc::new(Self { believed, subjects })
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        self.believed.check(certificate, between, now, usage)?;
        // Whoever it is must be said in the certificate: a genuine one that names nobody ends here.
        Certified::read(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))?;
        Ok(())
    }
}

/// What both traits ask beside the certificate, word for word the same in each: whether whoever sent it holds its key.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signed, self.believed.algorithms())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signed, self.believed.algorithms())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.believed.algorithms().supported_schemes()
        }
    };
}

impl ServerCertVerifier for Verifier {
    /// The name that was dialed plays no part: hosts are known by their role, whatever their addresses are.
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _dialed: &ServerName<'_>,
        _stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(certificate, between, now, KeyUsage::server_auth())
            .map(|()| ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(certificate, between, now, KeyUsage::client_auth())
            .map(|()| ClientCertVerified::assertion())
    }

    signatures!();
}

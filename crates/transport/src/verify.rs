//! Whether a peer's certificate is genuine: signed by one of our authorities, in its time, not revoked, for this use.
//!
//! Knows nothing of which peer is welcome; whoever asked for the link looks at the identity. The law: both ends are
//! looked at in the same way, and a reason is a name, never just "bad certificate".

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExtendedKeyUsageValidator, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use crate::certificate::Certified;

/// Looks at both ends' certificates.
#[derive(Debug)]
pub(crate) struct Verifier {
    authorities: RootCertStore,
    revoked: Vec<CertRevocationList<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    subjects: Vec<DistinguishedName>,
}

impl Verifier {
    pub(crate) fn new(
        authorities: RootCertStore,
        revoked: Vec<CertRevocationList<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Arc<Self> {
        let subjects = authorities.subjects();
        Arc::new(Self { authorities, revoked, algorithms, subjects })
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: impl ExtendedKeyUsageValidator,
    ) -> Result<(), Error> {
        let parsed = EndEntityCert::try_from(certificate).map_err(named)?;
        let revoked: Vec<&CertRevocationList<'_>> = self.revoked.iter().collect();
        // An authority without a list has revoked nothing; a list that is old is still better than none.
        let revocation = RevocationOptionsBuilder::new(&revoked).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::EndEntity)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .build()
        });
        parsed
            .verify_for_usage(
                self.algorithms.all,
                &self.authorities.roots,
                between,
                now,
                usage,
                revocation,
                None,
            )
            .map_err(named)?;
        // Whoever it is must be said in the certificate: a genuine one that names nobody ends here.
        Certified::read(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))?;
        Ok(())
    }
}

/// The reasons that operators meet, by name; all others as they are.
fn named(error: webpki::Error) -> Error {
    use webpki::Error as E;
    let reason = match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::CertRevoked => CertificateError::Revoked,
        E::UnknownIssuer | E::InvalidSignatureForPublicKey => CertificateError::UnknownIssuer,
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(rustls::OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(reason)
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
            verify_tls12_signature(message, certificate, signed, &self.algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signed, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
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

//! Whom a program believes: authorities, and what each of them revoked.
//!
//! Knows nothing of handshakes and identities. The law: only the authority that signed a certificate can revoke it, and
//! every list of that authority counts; two authorities of one name never stand for each other.

use std::sync::Arc;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

/// Authorities and lists of revoked certificates.
#[derive(Debug)]
pub struct Believed {
    authorities: RootCertStore,
    revoked: Vec<CertRevocationList<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Believed {
    /// A list of an authority that is not among these says nothing here.
    pub fn new(
        authorities: RootCertStore,
        revoked: Vec<CertRevocationList<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { authorities, revoked, algorithms }
    }

    /// The algorithms that signatures may have.
    pub(crate) fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    /// The names of the authorities.
    pub(crate) fn subjects(&self) -> Vec<DistinguishedName> {
        self.authorities.subjects()
    }

    /// Whether a certificate, with those between it and an authority, is genuine, in its time, for a client's end of a
    /// connection, and not revoked; else why not, by the names that operators meet.
    pub fn check_client(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.check(certificate, between, now, KeyUsage::client_auth())
    }

    /// As [`Believed::check_client`], for a server's end.
    pub fn check_server(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.check(certificate, between, now, KeyUsage::server_auth())
    }

    /// As [`Believed::check_client`], for one use.
    pub(crate) fn check(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let parsed = EndEntityCert::try_from(certificate).map_err(named)?;
        let roots = &self.authorities.roots;
        let path = parsed
            .verify_for_usage(self.algorithms.all, roots, between, now, usage, None, None)
            .map_err(named)?;
        let anchor = std::slice::from_ref(path.anchor());
        for list in self.revoked.iter().filter(|list| list.issuer() == parsed.issuer()) {
            self.check_revoked(&parsed, between, now, usage, anchor, list).map_err(named)?;
        }
        Ok(())
    }

    /// Looks into one list of an authority of the right name. The library takes the first list of that name for the only
    /// one, and a wrong signature for a bad certificate, so it is given one list at a time.
    fn check_revoked(
        &self,
        certificate: &EndEntityCert<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
        anchor: &[TrustAnchor<'_>],
        list: &CertRevocationList<'_>,
    ) -> Result<(), webpki::Error> {
        let lists = [list];
        // An authority without a list has revoked nothing; a list that is old is still better than none.
        let Ok(options) = RevocationOptionsBuilder::new(&lists) else { return Ok(()) };
        let options = options
            .with_depth(RevocationCheckDepth::EndEntity)
            .with_status_policy(UnknownStatusPolicy::Allow)
            .build();
        use webpki::Error as E;
        let found = certificate.verify_for_usage(
            self.algorithms.all,
            anchor,
            between,
            now,
            usage,
            Some(options),
            None,
        );
        match found {
            // Another authority of the same name signed this list: it is none of this certificate's.
            Err(
                E::InvalidCrlSignatureForPublicKey
                | E::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_),
            ) => Ok(()),
            other => other.map(drop),
        }
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

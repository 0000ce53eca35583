//! The certificates of a cluster: an authority in a directory, and everything that it issued.
//!
//! Knows no links and no settings. It is a crate of its own so that no daemon links the code that signs: the authority's
//! key is touched by an operator's command alone. The law: no key and no certificate is ever overwritten before its
//! successor is whole on the disk, and the record of what was issued is written before the certificate can be used.

mod authority;
mod directory;
mod files;
mod record;

pub use authority::{Names, Validity};
pub use directory::{Directory, Issued, Shown};
pub use record::{Entry, Standing};

use std::path::PathBuf;

use understudy_model::IdentityError;
use understudy_transport::CertificateError;

/// Why something was not done with certificates. Unless said otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// There is an authority already.
    #[error("{path} is there already: an authority is made once; for another one choose another directory")]
    AuthorityThere {
        /// Its certificate.
        path: PathBuf,
    },
    /// There is no authority.
    #[error("there is no authority in {directory}; run: scsctl pki init --directory {directory}")]
    NoAuthority {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The authority's certificate names no cluster.
    #[error("{path} is not an authority that scsctl made: {why}")]
    ForeignAuthority {
        /// Its certificate.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The files would be overwritten.
    #[error("{path} is there already; run: scsctl pki renew {role}")]
    IssuedAlready {
        /// The file.
        path: PathBuf,
        /// For whom.
        role: String,
    },
    /// Nothing was ever issued to it.
    #[error("no certificate was issued to {role} here; run: scsctl pki issue {role}")]
    NeverIssued {
        /// To whom.
        role: String,
    },
    /// No such certificate.
    #[error("no certificate with serial number {serial} was issued here; scsctl pki show lists them")]
    UnknownSerial {
        /// The number.
        serial: String,
    },
    /// A file of somebody else is in the way.
    #[error("{path} is the certificate of {found}, and {role} would be written there; choose another name")]
    NameTaken {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who wants it.
        role: String,
    },
    /// A role or name is none.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A name for the certificate cannot be in one.
    #[error("{name:?} cannot be a name in a certificate: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
    /// Longer than the authority itself, or nothing at all.
    #[error("{days} days are not allowed: {why}")]
    Days {
        /// What was asked for.
        days: u32,
        /// Why not.
        why: &'static str,
    },
    /// A file.
    #[error("{path} cannot be {act}: {source}")]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A certificate that says nothing that can be used.
    #[error("{path} cannot be used: {source}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// Signing failed.
    #[error("the certificate cannot be made: {0}")]
    Sign(#[from] rcgen::Error),
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(#[source] getrandom::Error),
}

//! The table `[tls]` of a daemon's file: which files hold its certificate, its key and whom it believes.
//!
//! Opens none of these files. The law: all three are named or none is, so that nobody believes links to be safe that
//! are not.

use crate::problem::{Problem, ProblemKind};
use crate::raw::{Report, Table, View};
use crate::values;

/// Most files of authorities, and of revocations.
const MOST_FILES: usize = 16;

/// The files of TLS, in PEM form. Every path is absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The daemon's own certificate, with those between it and its authority behind it.
    pub certificate: String,
    /// The key of that certificate.
    pub key: String,
    /// Certificates of those who may have signed the others'. 1 to 16; two during a change of authority.
    pub authorities: Vec<String>,
    /// Lists of revoked certificates. At most 16, none by default.
    pub revoked: Vec<String>,
}

/// Reads the table; none if it is absent, or wrong and so reported.
pub(crate) fn read(report: &mut Report, file: View<'_>) -> Option<TlsFiles> {
    let table = file.table("tls")?;
    let table: &Table = table.value;
    let view = View::new("tls", table);
    let certificate = needed_path(report, view, "certificate");
    let key = needed_path(report, view, "key");
    if view.raw("authorities").is_none() {
        report.missing(view.at(), view.key("authorities"), NEEDED);
    }
    let authorities = paths(report, view, "authorities", 1);
    let revoked =
        if view.raw("revoked").is_some() { paths(report, view, "revoked", 0) } else { Some(Vec::new()) };
    Some(TlsFiles { certificate: certificate?, key: key?, authorities: authorities?, revoked: revoked? })
}

const NEEDED: &str =
    "TLS here proves both sides, which takes a certificate, its key and the authorities believed";

fn needed_path(report: &mut Report, view: View<'_>, key: &str) -> Option<String> {
    if view.raw(key).is_none() {
        report.missing(view.at(), view.key(key), NEEDED);
        return None;
    }
    values::path(view, report, key, "")
}

fn paths(report: &mut Report, view: View<'_>, key: &str, least: usize) -> Option<Vec<String>> {
    let texts = view.texts(report, key)?;
    if texts.value.len() < least || texts.value.len() > MOST_FILES {
        let problem = Problem::new(ProblemKind::BadValue, texts.key.as_str(), "not that many files");
        let problem = problem.found(format!("{} files", texts.value.len()));
        report.problem(texts.at, problem.allowed(format!("{least} to {MOST_FILES}")));
    }
    let mut paths = Vec::with_capacity(texts.value.len());
    for text in texts.value {
        if values::check_path(report, &text, text.value) {
            paths.push(text.value.to_owned());
        }
    }
    Some(paths)
}

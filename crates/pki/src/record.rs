//! What was issued, and what of it was revoked.
//!
//! Knows no keys. The law: a certificate stands here before anybody can use it, and nothing is ever taken out.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::PkiError;
use crate::files::{self, Readers};

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, in hexadecimal.
    pub serial: String,
    /// Its owner: `agent:alpha`.
    pub role: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// Until when it holds.
    pub until: Timestamp,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

/// What a certificate is worth at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It holds.
    Valid,
    /// It holds for less than thirty days.
    Ending,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// From here on a certificate counts as ending, in seconds.
const ENDING_SECONDS: i64 = 30 * 86_400;

impl Entry {
    /// What it is worth at `now`.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let left = self.until.as_second() - now.as_second();
        match self.revoked {
            Some(_) => Standing::Revoked,
            None if left <= 0 => Standing::Expired,
            None if left < ENDING_SECONDS => Standing::Ending,
            None => Standing::Valid,
        }
    }
}

/// Everything that an authority issued, oldest first.
#[derive(Debug)]
pub(crate) struct Record {
    path: PathBuf,
    pub(crate) entries: Vec<Entry>,
}

impl Record {
    pub(crate) fn read(path: &Path) -> Result<Self, PkiError> {
        let entries = match files::read(path)? {
            None => Vec::new(),
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| PkiError::Damaged { path: path.to_owned(), why: error.to_string() })?,
        };
        Ok(Self { path: path.to_owned(), entries })
    }

    pub(crate) fn write(&self) -> Result<(), PkiError> {
        let damaged =
            |error: serde_json::Error| PkiError::Damaged { path: self.path.clone(), why: error.to_string() };
        let text = serde_json::to_string_pretty(&self.entries).map_err(damaged)?;
        files::replace(&self.path, &(text + "\n"), Readers::Everybody)
    }
}

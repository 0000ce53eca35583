//! The applications of this host, as last assigned, kept as JSON.
//!
//! Refuses to know what follows from them. The law: a file that cannot be understood is refused by name; an agent that
//! took it for empty would end everything that runs.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use understudy_model::{AgentId, Assignment};

use crate::exit::needs_a_person;
use crate::whole_file::{self, Keep};

/// The version of the file.
const FORMAT: u32 = 1;
/// Longest file that is read, in bytes.
const LONGEST_BYTES: u64 = 64 * 1024 * 1024;

/// Why the assignments cannot be used. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentsError {
    /// It is there and cannot be read.
    #[error("cannot read the assignments {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Far longer than any that was written.
    #[error("the assignments {} have {bytes} bytes, at most {LONGEST_BYTES} are read; {}", path.display(), ADVICE)]
    TooLong {
        /// Which.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// It is not what was written.
    #[error("the assignments {} cannot be understood: {source}; {}", path.display(), ADVICE)]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where it stopped making sense.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error("the assignments {} have format {found}, this agent knows format {FORMAT}; use the agent version that wrote them", path.display())]
    OtherFormat {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The promises beside it are another agent's.
    #[error("the assignments {} were made by agent {found}, the promise file beside them is of agent {own}; {}", path.display(), ADVICE)]
    OtherAgent {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: AgentId,
        /// Who we are.
        own: AgentId,
    },
}

impl AssignmentsError {
    /// Whether a person must act before another start can succeed.
    pub fn needs_a_person(&self) -> bool {
        match self {
            AssignmentsError::Read { source, .. } => needs_a_person(source),
            AssignmentsError::TooLong { .. }
            | AssignmentsError::Damaged { .. }
            | AssignmentsError::OtherFormat { .. }
            | AssignmentsError::OtherAgent { .. } => true,
        }
    }
}

const ADVICE: &str =
    "stop this host's applications, remove the file and start again: the control server assigns anew";

#[derive(Deserialize)]
struct Read {
    format: u32,
    agent: AgentId,
    assignments: Vec<Assignment>,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    agent: AgentId,
    assignments: &'a [Assignment],
}

/// The file, by its path.
#[derive(Debug, Clone)]
pub struct AssignmentsFile {
    path: PathBuf,
    agent: AgentId,
}

impl AssignmentsFile {
    /// Reads what is there; nothing, if there never was anything.
    pub fn open(path: &Path, agent: AgentId) -> Result<(Self, Vec<Assignment>), AssignmentsError> {
        let this = Self { path: path.to_owned(), agent };
        let path = || path.to_owned();
        let text = match fs::metadata(&this.path).map(|found| found.len()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((this, Vec::new())),
            Ok(bytes) if bytes > LONGEST_BYTES => {
                return Err(AssignmentsError::TooLong { path: path(), bytes });
            }
            Ok(_) => fs::read(&this.path),
            Err(error) => Err(error),
        };
        let text = text.map_err(|source| AssignmentsError::Read { path: path(), source })?;
        let damaged = |source| AssignmentsError::Damaged { path: path(), source };
        // The version first: a file of another one may look otherwise.
        let any: serde_json::Value = serde_json::from_slice(&text).map_err(damaged)?;
        if let Some(found) = any.get("format").and_then(serde_json::Value::as_u64)
            && found != u64::from(FORMAT)
        {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(AssignmentsError::OtherFormat { path: path(), found });
        }
        let read: Read = serde_json::from_value(any).map_err(damaged)?;
        debug_assert_eq!(read.format, FORMAT);
        if read.agent != agent {
            return Err(AssignmentsError::OtherAgent { path: path(), found: read.agent, own: agent });
        }
        Ok((this, read.assignments))
    }

    /// Replaces what is there, durably. On an error the file is the old one or the new one.
    pub fn store(&self, assignments: &[Assignment]) -> io::Result<()> {
        let written = Written { format: FORMAT, agent: self.agent, assignments };
        let text = serde_json::to_vec_pretty(&written).map_err(io::Error::from)?;
        whole_file::replace(&self.path, &text, Keep::Always)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::assignment;

    #[test]
    fn what_was_stored_is_read_and_anything_else_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("assignments.json");
        let own = AgentId(5);
        let (file, nothing) = AssignmentsFile::open(&path, own).unwrap();
        assert_eq!(nothing, []);
        let kept = vec![assignment("tserver-1", &["/bin/true"])];
        file.store(&kept).unwrap();
        assert_eq!(AssignmentsFile::open(&path, own).unwrap().1, kept);
        let refused = AssignmentsFile::open(&path, AgentId(6)).unwrap_err();
        assert!(matches!(refused, AssignmentsError::OtherAgent { .. }), "{refused}");
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let refused = AssignmentsFile::open(&path, own).unwrap_err();
        assert!(matches!(refused, AssignmentsError::Damaged { .. }), "{refused}");
        fs::write(&path, whole.replace("\"format\": 1", "\"format\": 2")).unwrap();
        let refused = AssignmentsFile::open(&path, own).unwrap_err();
        assert!(matches!(refused, AssignmentsError::OtherFormat { found: 2, .. }), "{refused}");
    }
}

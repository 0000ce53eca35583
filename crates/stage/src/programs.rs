//! Where our programs lie.
//!
//! It knows their names only. The law: a program that is missing is named before anything is started.

use std::path::{Path, PathBuf};

use crate::StageError;

/// The directory with the programs: by default the one in which the running program lies.
#[derive(Debug, Clone)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// The programs in `directory`, or beside this one. Every one of `needed` must be there.
    pub fn find(directory: Option<&Path>, needed: &[&str]) -> Result<Self, StageError> {
        let directory = match directory {
            Some(directory) => std::path::absolute(directory).map_err(StageError::file("find", directory))?,
            None => {
                let own = std::env::current_exe().map_err(StageError::file("find", "this program"))?;
                own.parent().map(Path::to_owned).ok_or(StageError::NoProgram { path: own })?
            }
        };
        let programs = Self { directory };
        match needed.iter().map(|name| programs.path(name)).find(|path| !path.is_file()) {
            Some(path) => Err(StageError::NoProgram { path }),
            None => Ok(programs),
        }
    }

    /// Where the program with that name lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The same as text, for a command in settings.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("lca"), "").unwrap();
        assert!(Programs::find(Some(directory.path()), &["lca"]).is_ok());
        let error = Programs::find(Some(directory.path()), &["lca", "scs"]).unwrap_err().to_string();
        assert!(error.contains("/scs"), "{error}");
    }
}

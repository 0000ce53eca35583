//! What can go wrong on the stage.
//!
//! It knows no recovery: whoever plays decides. The law: a variant names the act that failed, and what it was about.

use std::io;
use std::path::PathBuf;

use crate::api::ApiError;

/// Why a play could not go on. Processes that run by then are ended when the stage is dropped.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A program of ours is not where it should be.
    #[error("there is no program {}: build it first, or name its directory with --programs", path.display())]
    NoProgram {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file or directory of the stage.
    #[error("cannot {act} {}: {source}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory of the stage is gone.
    #[error("somebody removed {} while the cluster ran", path.display())]
    Removed {
        /// The directory.
        path: PathBuf,
    },
    /// A Unix socket there could not be bound by any program.
    #[error("the path {} is too long for a Unix socket; set TMPDIR to a shorter one", path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// No port is free.
    #[error("found no free port on {address} in {tries} tries")]
    NoPort {
        /// The address.
        address: String,
        /// How many were tried.
        tries: u32,
    },
    /// The certificates of the stage.
    #[error(transparent)]
    Pki(#[from] understudy_pki::PkiError),
    /// A process could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A process could not be ended or waited for.
    #[error("cannot {act} {what}: {source}")]
    Process {
        /// What was tried.
        act: &'static str,
        /// Which process.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A daemon ended by itself.
    #[error("{what} ended by itself ({how}); its log is {}", log.display())]
    Ended {
        /// Which one.
        what: String,
        /// How.
        how: String,
        /// Where its log lies.
        log: PathBuf,
    },
    /// What was waited for did not come.
    #[error("waited {limit_s:.1} s in vain until {what}; the last that was seen: {last}")]
    InVain {
        /// The condition.
        what: String,
        /// How long, in seconds.
        limit_s: f64,
        /// What was there instead.
        last: String,
    },
    /// The operators' API.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The load client said something that is no line of its own.
    #[error("the load client said {line:?}: {why}")]
    Load {
        /// What it said.
        line: String,
        /// What is wrong with it.
        why: String,
    },
    /// State on a memory file system would measure nothing.
    #[error("{} is on {file_system}, which is memory: name a directory on a disk with --dir", path.display())]
    MemoryFileSystem {
        /// The directory.
        path: PathBuf,
        /// Which kind.
        file_system: String,
    },
    /// A socket, pipe or signal between the stage and its own processes.
    #[error("cannot {act}: {source}")]
    System {
        /// What was tried.
        act: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Something else than what was to be expected.
    #[error("{0}")]
    Unexpected(String),
    /// Ctrl-C, or TERM.
    #[error("interrupted")]
    Interrupted,
}

impl StageError {
    /// A [`StageError::File`], for `map_err`.
    pub fn file(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| StageError::File { act, path, source }
    }

    /// A [`StageError::System`], for `map_err`.
    pub fn system(act: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| StageError::System { act, source }
    }
}

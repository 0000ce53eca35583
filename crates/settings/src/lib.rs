//! Settings files to checked values: `cluster.toml`, `lca.toml`, `scs.toml`.
//!
//! Knows no sockets, no processes and no exit codes. The law: every problem of a file is reported at once, with line,
//! key, what was found, what is allowed and why; a value that comes out of here holds no nonsense.

mod agent;
mod cluster;
mod compare;
mod nearest;
mod notify;
mod problem;
mod raw;
mod reference;
mod schema;
mod server;
mod size;
mod span;
mod tls;
mod values;
mod written;

use std::path::{Path, PathBuf};

pub use agent::{AgentSettings, CommandPattern, HostPolicy, parse_agent};
pub use cluster::{parse_cluster, parse_cluster_on};
pub use compare::{Change, Forbidden, compare, data_at_stake};
pub use nearest::nearest;
pub use notify::NotifySettings;
pub use problem::{Problem, ProblemKind, Problems};
pub use reference::reference_markdown;
pub use server::{ApiAccess, ServerSettings, parse_server};
pub use tls::TlsFiles;
use understudy_model::Cluster;
pub use written::cluster_text;

/// Longest settings file that is read, in bytes.
pub const LONGEST_FILE_BYTES: usize = 4 * 1024 * 1024;

/// A checked value together with what should be looked at in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<T> {
    /// The value; nothing in it contradicts a rule.
    pub value: T,
    /// What is allowed and yet worth a look, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Why a settings file gave no value. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read settings file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was read and is wrong.
    #[error(transparent)]
    Wrong(#[from] Problems),
}

/// Reads and checks `cluster.toml`.
pub fn read_cluster(path: &Path) -> Result<Checked<Cluster>, ReadError> {
    Ok(parse_cluster(&path.display().to_string(), &read(path)?)?)
}

/// As [`read_cluster`], for a program on a machine of which `is_here` knows the addresses (`ADDRESS:PORT`): hosts that
/// share it with a control server are warned about.
pub fn read_cluster_on(path: &Path, is_here: &dyn Fn(&str) -> bool) -> Result<Checked<Cluster>, ReadError> {
    Ok(parse_cluster_on(&path.display().to_string(), &read(path)?, is_here)?)
}

/// Reads and checks `lca.toml`.
pub fn read_agent(path: &Path) -> Result<Checked<AgentSettings>, ReadError> {
    Ok(parse_agent(&path.display().to_string(), &read(path)?)?)
}

/// Reads and checks `scs.toml`.
pub fn read_server(path: &Path) -> Result<Checked<ServerSettings>, ReadError> {
    Ok(parse_server(&path.display().to_string(), &read(path)?)?)
}

/// The text of a file, up to one byte more than is allowed: the parser then says that it is too long.
fn read(path: &Path) -> Result<String, ReadError> {
    use std::io::Read;
    let mut text = String::new();
    let longest = LONGEST_FILE_BYTES as u64 + 1;
    std::fs::File::open(path)
        .and_then(|file| file.take(longest).read_to_string(&mut text))
        .map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })?;
    Ok(text)
}

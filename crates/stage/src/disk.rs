//! What kind of file system a directory is on.
//!
//! It knows numbers that the kernel gives file systems, and no measuring. The law: a kind that is not known is shown by
//! its number, never guessed.

use std::path::Path;

use crate::StageError;

const KNOWN: &[(i64, &str)] = &[
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x794C_7630, "overlayfs"),
    (0x2FC1_2FC1, "zfs"),
    (0xF2F5_2010, "f2fs"),
    (0x6969, "nfs"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58F6, "ramfs"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
];

/// The name of the file system that holds `directory`.
pub fn file_system(directory: &Path) -> Result<String, StageError> {
    let found = rustix::fs::statfs(directory).map_err(|error| StageError::File {
        act: "look at",
        path: directory.into(),
        source: error.into(),
    })?;
    // The numbers have 32 bits; the field is wider on most machines.
    #[allow(clippy::unnecessary_cast)]
    let kind = found.f_type as i64 & 0xFFFF_FFFF;
    let known = KNOWN.iter().find(|(number, _)| *number == kind);
    Ok(known.map_or_else(|| format!("{kind:#x}"), |(_, name)| (*name).to_owned()))
}

/// The same, and an error if it keeps its files in memory only.
pub fn lasting_file_system(directory: &Path) -> Result<String, StageError> {
    let file_system = file_system(directory)?;
    if matches!(file_system.as_str(), "tmpfs" | "ramfs") {
        return Err(StageError::MemoryFileSystem { path: directory.into(), file_system });
    }
    Ok(file_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_refused_by_name() {
        let is_memory = |path: &&str| file_system(Path::new(path)).is_ok_and(|kind| kind == "tmpfs");
        // A machine without any of these has nothing that could be refused.
        if let Some(memory) = ["/dev/shm", "/dev", "/run"].iter().find(|path| is_memory(path)) {
            let error = lasting_file_system(Path::new(memory)).unwrap_err().to_string();
            assert!(error.contains("tmpfs") && error.contains("--dir"), "{error}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        assert!(file_system(Path::new("/nonexistent")).is_err());
    }
}

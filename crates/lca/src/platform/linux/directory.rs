//! Directories for applications: made if they are missing, owned by whoever will use them.
//!
//! Refuses to know applications. The law: for another user nothing is made with the agent's own rights but one new
//! directory in a place that exists for such; otherwise whoever writes settings could make directories of his own
//! anywhere.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use super::accounts::Account;
use super::rights::with_rights_of;

/// Where the agent, as root, makes a directory for another user.
const PLACES: [&str; 3] = ["/var/lib", "/var/cache", "/srv"];

/// Makes a directory and what is missing above it. `ours` says that it lies in a place of the agent's own.
pub fn make(path: &Path, account: &Account, ours: bool) -> io::Result<()> {
    if !account.asked || account.uid == rustix::process::geteuid().as_raw() {
        return fs::create_dir_all(path);
    }
    if ours {
        if let Some(place) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o711).create(place)?;
        }
        return make_for(path, account);
    }
    let made = with_rights_of(account, || DirBuilder::new().recursive(true).mode(0o750).create(path));
    match made {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            if PLACES.iter().any(|place| path.parent() == Some(Path::new(place))) {
                return make_for(path, account);
            }
            let advice = format!(
                "{error} for user {}; the agent itself makes directories for others in {} only: make it yourself, with install -d -o {} {}",
                account.name,
                PLACES.join(", "),
                account.name,
                path.display()
            );
            Err(io::Error::new(error.kind(), advice))
        }
        made => made,
    }
}

/// In a directory where only root writes, so that nobody can put something else there meanwhile.
fn make_for(path: &Path, account: &Account) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let owner = fs::symlink_metadata(path)?.uid();
            // One that an agent made before, and did not live to give away, is empty and root's.
            let abandoned = owner == 0 && account.uid != 0 && fs::read_dir(path)?.next().is_none();
            if !abandoned {
                return Ok(());
            }
        }
        Err(error) => return Err(error),
    }
    std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid))
}

#[cfg(test)]
mod tests {
    use super::super::accounts;
    use super::*;

    #[test]
    fn another_users_directory_is_made_by_its_own_rights_or_in_our_place() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root makes directories for others");
            return;
        }
        let nobody = accounts::find(Some("nobody"), None, &[]).unwrap();
        let directory = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let closed = directory.path().join("etc/x");
        let refused = make(&closed, &nobody, false).unwrap_err().to_string();
        assert!(refused.contains("nobody") && refused.contains("install -d -o nobody"), "{refused}");
        assert!(!directory.path().join("etc").exists(), "nothing was made with other rights");
        let ours = directory.path().join("applications/app");
        make(&ours, &nobody, true).unwrap();
        assert_eq!(fs::metadata(&ours).unwrap().uid(), nobody.uid);
        assert_eq!(fs::metadata(&ours).unwrap().mode() & 0o777, 0o700);
        make(&ours, &nobody, true).unwrap();
        std::os::unix::fs::lchown(&ours, Some(0), Some(0)).unwrap();
        make(&ours, &nobody, true).unwrap();
        assert_eq!(fs::metadata(&ours).unwrap().uid(), nobody.uid, "it was abandoned half made");
    }
}

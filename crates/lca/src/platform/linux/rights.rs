//! Doing something with the rights of an account: what the system would not let it do, fails.
//!
//! Refuses to know what is done. The law: rights change on a thread of their own that ends with what is done, so that
//! no other work of the agent ever has them, and nothing needs to be given back.

use std::io;

use rustix::process::{Gid, Uid, geteuid};

use super::accounts::Account;

/// Does it with the rights of `account` as far as the agent can change its own; one that is not root has no others.
pub fn with_rights_of<T: Send>(
    account: &Account,
    act: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    if !account.asked || !geteuid().is_root() {
        return act();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("rights".to_owned()).spawn_scoped(scope, || {
            take(account)?;
            act()
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread with other rights panicked")))
    })
}

/// This thread has the rights of the account from now on, for good.
fn take(account: &Account) -> io::Result<()> {
    let groups: Vec<Gid> = account.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (user, group) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::accounts;
    use super::*;

    #[test]
    fn another_user_sees_less_and_the_agent_is_what_it_was() {
        if !geteuid().is_root() {
            println!("skipped: only root has other rights to take");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let nobody = accounts::find(Some("nobody"), None, &[]).unwrap();
        let refused = with_rights_of(&nobody, || std::fs::read(&path)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(with_rights_of(&nobody, || Ok(geteuid().as_raw())).unwrap(), nobody.uid);
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }
}

//! Who asks: the user behind a local connection, as the system says it.
//!
//! It believes no header. The law: a number whose name is not known is still somebody.

use super::caller::Role;

/// The longest user database or list of groups that is read, in bytes.
const LONGEST_PASSWD_BYTES: u64 = 1024 * 1024;
/// The group whose members are operators.
const OPERATORS: &str = "understudy";

/// The user at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(pub String);

impl Actor {
    /// The user with that number, by name if the system's user file has one.
    pub fn of_uid(uid: u32) -> Self {
        Self(name_of(uid).unwrap_or_else(|| format!("uid {uid}")))
    }
}

/// What a user of this machine may on the Unix socket, which only those reach whom its permissions let in: root and
/// the daemon's own user are admins, members of the group `understudy` in the system's list of groups are operators, all
/// others look.
pub fn role_of_user(uid: u32, gid: u32, own_uid: u32) -> Role {
    if uid == 0 || uid == own_uid {
        return Role::Admin;
    }
    let user = name_of(uid);
    let is_member = read("/etc/group").is_some_and(|groups| is_in(&groups, OPERATORS, user.as_deref(), gid));
    if is_member { Role::Operator } else { Role::Viewer }
}

/// Whether a group of that name has the number `gid`, or the user as a member.
fn is_in(groups: &str, wanted: &str, user: Option<&str>, gid: u32) -> bool {
    groups.lines().any(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let &[name, _, number, members] = fields.as_slice() else { return false };
        name == wanted
            && (number.parse() == Ok(gid)
                || user.is_some_and(|user| members.split(',').any(|one| one == user)))
    })
}

fn read(path: &str) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    // A list that cannot be read names nobody: who is not in it has the lesser role, and a number for a name.
    std::fs::File::open(path).ok()?.take(LONGEST_PASSWD_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn name_of(uid: u32) -> Option<String> {
    name_in(&read("/etc/passwd")?, uid)
}

fn name_in(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_number_and_bad_lines_passed_over() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\n:x:7:7::/:\nann:x:1001:1001::/home/ann:/bin/sh\n";
        assert_eq!(name_in(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_in(passwd, 1001).as_deref(), Some("ann"));
        assert_eq!(name_in(passwd, 7), None);
    }

    #[test]
    fn members_of_the_group_are_found_by_name_or_by_its_number() {
        let groups = "root:x:0:\nbroken\nunderstudy:x:990:ann,bob\nother:x:5:eve\n";
        let is = |user, gid| is_in(groups, OPERATORS, user, gid);
        assert!(is(Some("bob"), 1) && is(None, 990) && is(Some("eve"), 990));
        assert!(!is(Some("eve"), 5) && !is(None, 0) && !is(Some("an"), 1) && !is(Some(""), 1));
        assert_eq!(role_of_user(0, 0, 7), Role::Admin);
        assert_eq!(role_of_user(7, 7, 7), Role::Admin);
        assert_eq!(role_of_user(4_000_000_000, 4_000_000_000, 7), Role::Viewer);
    }
}

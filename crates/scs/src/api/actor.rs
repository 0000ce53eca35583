//! Who asks: the user behind a local connection, as the system says it.
//!
//! It believes no header. The law: a number whose name is not known is still somebody.

/// The longest user database that is read, in bytes.
const LONGEST_PASSWD_BYTES: u64 = 1024 * 1024;

/// The user at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(pub String);

impl Actor {
    /// The user with that number, by name if the system's user file has one.
    pub fn of_uid(uid: u32) -> Self {
        Self(name_of(uid).unwrap_or_else(|| format!("uid {uid}")))
    }
}

fn name_of(uid: u32) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    // A user file that cannot be read leaves the number, which says the same to whoever looks closely.
    std::fs::File::open("/etc/passwd").ok()?.take(LONGEST_PASSWD_BYTES).read_to_string(&mut text).ok()?;
    name_in(&text, uid)
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
}

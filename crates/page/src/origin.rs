//! Which boot, and which time namespace, the boot clock of this process counts from.
//!
//! Refuses to know pages. The law: two processes whose origins are equal read the same boot clock; what cannot be known is 0
//! and is never taken for a difference.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// From where a boot clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The first half of the random identity of this boot.
    pub(crate) boot: u64,
    /// The number of the time namespace.
    pub(crate) namespace: u64,
}

impl Origin {
    /// Of this process.
    pub(crate) fn own() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let boot = boot.and_then(|text| first_half(&text)).unwrap_or(0);
        Self { boot, namespace: fs::metadata("/proc/self/ns/time").map_or(0, |found| found.ino()) }
    }

    /// Whether `other` is known to count from somewhere else.
    pub(crate) fn differs_from(self, other: Origin) -> bool {
        let differ = |one: u64, two: u64| one != 0 && two != 0 && one != two;
        differ(self.boot, other.boot) || differ(self.namespace, other.namespace)
    }
}

/// The first sixteen hexadecimal digits of an identity, whatever stands between them.
fn first_half(identity: &str) -> Option<u64> {
    let digits: String = identity.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    (digits.len() == 16).then(|| u64::from_str_radix(&digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_no_difference() {
        let own = Origin { boot: 5, namespace: 7 };
        assert!(!own.differs_from(own));
        assert!(!own.differs_from(Origin { boot: 0, namespace: 0 }));
        assert!(own.differs_from(Origin { boot: 6, namespace: 7 }));
        assert!(own.differs_from(Origin { boot: 5, namespace: 8 }));
    }

    #[test]
    fn an_identity_is_read_whole_or_not_at_all() {
        assert_eq!(first_half("00000000-0000-0001-ffff-000000000000\n"), Some(1));
        assert_eq!(first_half("0123"), None);
        assert_ne!(Origin::own().boot, 0, "every boot of this system has one");
    }
}

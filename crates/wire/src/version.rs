//! Which protocol versions a program speaks, and how two programs choose one.
//!
//! Knows nothing of what a version contains. The law: the highest version that both speak, or none at all.

/// The protocol versions that this build speaks: this one and all before it.
pub const SPOKEN: VersionRange = VersionRange { min: 1, max: 4 };

/// From this version on, both ends understand signals of liveness (`docs/protocols/addp.md`).
pub const LIVENESS_SINCE: u16 = 2;

/// From this version on, a control server understands that a host leaves, and its agent that it may go.
pub const LEAVING_SINCE: u16 = 2;
/// From this version on, an agent can be asked for what its applications printed.
pub const LOGS_SINCE: u16 = 2;
/// From this version on, agents and control servers speak of votes, and agents speak to one another.
pub const VOTES_SINCE: u16 = 3;

/// From this version on, an application can ask whether another voter stands behind its role.
pub const CONFIRM_SINCE: u16 = 3;

/// From this version on, a primary can say who has everything that it acknowledged.
pub const IN_SYNC_SINCE: u16 = 4;

/// An unbroken range of protocol versions, both ends included; `1 <= min <= max` on everything that was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// The oldest version spoken.
    pub min: u16,
    /// The newest version spoken.
    pub max: u16,
}

impl VersionRange {
    /// The newest version that both speak; none if the ranges do not meet.
    pub fn highest_common(self, other: VersionRange) -> Option<u16> {
        let highest = self.max.min(other.max);
        (highest >= self.min.max(other.min)).then_some(highest)
    }
}

impl std::fmt::Display for VersionRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.max)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_that_both_speak_is_chosen() {
        let range = |min, max| VersionRange { min, max };
        assert_eq!(range(1, 3).highest_common(range(2, 5)), Some(3));
        assert_eq!(range(2, 5).highest_common(range(1, 3)), Some(3));
        assert_eq!(range(1, 4).highest_common(range(2, 3)), Some(3));
        assert_eq!(range(1, 1).highest_common(range(1, 1)), Some(1));
        assert_eq!(range(1, 2).highest_common(range(3, 4)), None);
        assert_eq!(range(3, 4).highest_common(range(1, 2)), None);
    }
}

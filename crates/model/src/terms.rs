//! The spans of a pair's grants, and what must hold between them.
//!
//! Refuses to know: settings files and presets. The law: what a holder may count on is shorter than what a voter is bound
//! by, by at least as much as two clocks may differ.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Parts per million in one.
const WHOLE: u128 = 1_000_000;

/// The spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Terms {
    /// L: how long a voter is bound by one answer, on its own clock.
    pub lease: Duration,
    /// δ: by how much, in parts per million, one boot clock may be slower than another.
    pub drift_ppm: u32,
    /// Lc: how long the store keeps a leadership after its last renewal.
    pub leader_lease: Duration,
    /// From one round of asking to the next.
    pub renew_every: Duration,
    /// How long a member may take to step down before its expiry.
    pub fence_budget: Duration,
    /// How long a kill may take.
    pub kill_budget: Duration,
}

/// What else happens in the time of a lease. Known to whoever checks a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// The largest relative difference of two clocks that is known, in parts per million.
    pub clocks_ppm: u32,
    /// How long an agent takes to come back.
    pub agent_restart: Duration,
    /// For a leading control server on a backup's host: how long until another leads and is connected, beyond Lc.
    pub election_and_connect: Option<Duration>,
}

/// A relation that does not hold, with its figures. Each sentence ends with what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are the figures of the sentence above them
pub enum Unsound {
    /// A clock may be slower than the terms say.
    Drift { drift_ppm: u32, clocks_ppm: u32 },
    /// A lost renewal or two would cost the role.
    Renewals { needed: Duration, share: Duration },
    /// The guard would begin before the member was asked to step down.
    Kill { kill_budget: Duration, fence_budget: Duration },
    /// An agent's restart would cost the role.
    Restart { agent_restart: Duration, room: Duration },
    /// Losing a backup's host with the leading control server would stop a healthy primary.
    Leader { needed: Duration, share: Duration },
    /// A span of zero.
    Nothing(&'static str),
}

impl Unsound {
    /// The name of the relation, the same in every message and document.
    pub fn relation(&self) -> &'static str {
        match self {
            Unsound::Drift { .. } => "drift-covers-clocks",
            Unsound::Renewals { .. } => "renewals-fit-lease",
            Unsound::Kill { .. } => "kill-fits-fence",
            Unsound::Restart { .. } => "restart-fits-lease",
            Unsound::Leader { .. } => "leader-change-fits-lease",
            Unsound::Nothing(_) => "spans-above-zero",
        }
    }
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsound::Drift { drift_ppm, clocks_ppm } => write!(
                f,
                "clocks differ by up to {clocks_ppm} ppm, drift allows {drift_ppm} ppm; raise drift"
            ),
            Unsound::Renewals { needed, share } => write!(
                f,
                "three renewals and the fence budget take {needed:?}, a holder has {share:?}; raise the lease or renew more often"
            ),
            Unsound::Kill { kill_budget, fence_budget } => write!(
                f,
                "the kill budget is {kill_budget:?}, the fence budget {fence_budget:?}; a kill must fit into the fence budget"
            ),
            Unsound::Restart { agent_restart, room } => write!(
                f,
                "an agent takes {agent_restart:?} to come back and has less than {room:?}; raise the lease"
            ),
            Unsound::Leader { needed, share } => write!(
                f,
                "a new leader needs {needed:?}, a holder has {share:?}; raise the lease, or move the control server off the backups' hosts"
            ),
            Unsound::Nothing(what) => write!(f, "{what} is zero; give it a span"),
        }
    }
}

impl Surroundings {
    /// How much two clocks differ whose time services slew by 500 ppm each, the most of a kernel's own discipline. A
    /// service that may slew faster has to be bounded, or the drift raised: `docs/guides/never-two-primaries.md`.
    pub const CLOCKS_PPM: u32 = 1_000;

    /// How long an agent takes from its end until it holds again, with room for a busy machine: a restart takes tens
    /// of milliseconds of it.
    pub const AGENT_RESTART: Duration = Duration::from_millis(125);

    /// What is assumed of a cluster of which nothing was measured, and whose control server leads alone: no other can
    /// take over from it, so no election has to fit into a lease.
    pub const ASSUMED: Surroundings = Surroundings {
        clocks_ppm: Self::CLOCKS_PPM,
        agent_restart: Self::AGENT_RESTART,
        election_and_connect: None,
    };
}

impl Terms {
    /// L(1-δ), rounded down: what a holder may count on from the moment it asked.
    pub fn share(&self) -> Duration {
        less(self.lease, self.drift_ppm)
    }

    /// These terms with votes of this lease. A lease changes with the pair's next epoch, the other spans at once (G13): where they
    /// were chosen for a longer one, each is a third of what a holder has at most, so that a renewal comes before the demotion.
    pub fn within(&self, lease: Duration) -> Terms {
        let terms = Terms { lease, ..*self };
        let most = terms.share() / 3;
        Terms {
            renew_every: self.renew_every.min(most),
            fence_budget: self.fence_budget.min(most),
            kill_budget: self.kill_budget.min(most),
            ..terms
        }
    }

    /// From a request that nobody has answered yet to the next one: a quarter of the interval. A network that loses one
    /// message in a hundred would cost roles otherwise: TCP notices a loss by what arrives after it, or not before 200 ms.
    pub fn again_every(&self) -> Duration {
        self.renew_every / 4
    }

    /// Lc(1-δ), rounded down: what a leader may count on from the moment it sent its renewal.
    pub fn leader_share(&self) -> Duration {
        less(self.leader_lease, self.drift_ppm)
    }

    /// Every relation that does not hold; none means sound.
    pub fn check(&self, around: &Surroundings) -> Vec<Unsound> {
        let share = self.share();
        let mut found = Vec::new();
        for (what, span) in
            [("lease", self.lease), ("leader lease", self.leader_lease), ("renew interval", self.renew_every)]
        {
            if span.is_zero() {
                found.push(Unsound::Nothing(what));
            }
        }
        if self.drift_ppm < around.clocks_ppm {
            found.push(Unsound::Drift { drift_ppm: self.drift_ppm, clocks_ppm: around.clocks_ppm });
        }
        let needed = self.renew_every.saturating_mul(3).saturating_add(self.fence_budget);
        if needed > share {
            found.push(Unsound::Renewals { needed, share });
        }
        let room = share.saturating_sub(self.renew_every).saturating_sub(self.fence_budget);
        if around.agent_restart >= room {
            found.push(Unsound::Restart { agent_restart: around.agent_restart, room });
        }
        if self.kill_budget > self.fence_budget {
            found.push(Unsound::Kill { kill_budget: self.kill_budget, fence_budget: self.fence_budget });
        }
        if let Some(election) = around.election_and_connect {
            let needed = [election, self.renew_every, self.fence_budget]
                .into_iter()
                .fold(self.leader_lease, Duration::saturating_add);
            if needed >= share {
                found.push(Unsound::Leader { needed, share });
            }
        }
        found
    }
}

/// `span` less `ppm` of it, rounded down to a nanosecond.
fn less(span: Duration, ppm: u32) -> Duration {
    let keep = WHOLE.saturating_sub(u128::from(ppm));
    // A span that overflows 64 bits of nanoseconds (584 years) is cut: shorter is the safe side.
    let nanos = span.as_nanos().min(u128::from(u64::MAX)) * keep / WHOLE;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> (Terms, Surroundings) {
        let ms = Duration::from_millis;
        let terms = Terms {
            lease: ms(3_000),
            drift_ppm: 1_000,
            leader_lease: ms(1_000),
            renew_every: ms(500),
            fence_budget: ms(500),
            kill_budget: ms(100),
        };
        let around =
            Surroundings { clocks_ppm: 200, agent_restart: ms(1_000), election_and_connect: Some(ms(500)) };
        (terms, around)
    }

    #[test]
    fn shares_are_rounded_down() {
        let terms = Terms { lease: Duration::from_nanos(3), drift_ppm: 1, ..sound().0 };
        assert_eq!(terms.share(), Duration::from_nanos(2));
        assert_eq!(sound().0.share(), Duration::from_millis(2_997));
        assert_eq!(sound().0.leader_share(), Duration::from_millis(999));
        assert_eq!(Terms { drift_ppm: u32::MAX, ..sound().0 }.share(), Duration::ZERO);
        assert!(Terms { lease: Duration::MAX, ..sound().0 }.share() < Duration::MAX);
    }

    #[test]
    fn sound_terms_have_no_problem() {
        let (terms, around) = sound();
        assert_eq!(terms.check(&around), []);
    }

    #[test]
    fn all_problems_are_said_at_once_with_their_figures() {
        let ms = Duration::from_millis;
        let terms = Terms {
            lease: ms(1_000),
            drift_ppm: 100,
            leader_lease: ms(1_000),
            renew_every: ms(400),
            fence_budget: ms(500),
            kill_budget: ms(600),
        };
        let (_, around) = sound();
        let said: Vec<String> = terms.check(&around).iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 5, "{said:#?}");
        assert!(said[0].contains("200 ppm") && said[0].contains("100 ppm"));
        assert!(said[1].contains("1.7s") && said[1].contains("999.9ms"));
        assert!(said[2].contains("1s") && said[2].contains("99.9ms"));
        assert!(said[3].contains("600ms") && said[3].contains("500ms"));
        assert!(said[4].contains("2.4s"));
    }

    #[test]
    fn each_relation_is_exact() {
        let (terms, around) = sound();
        let ms = Duration::from_millis;
        // 3 x 500 + 500 fits into exactly 2000.
        let tight = Terms { lease: ms(2_000), drift_ppm: 0, ..terms };
        let calm = Surroundings { clocks_ppm: 0, agent_restart: ms(999), election_and_connect: None };
        assert_eq!(tight.check(&calm), []);
        assert_eq!(Terms { lease: ms(1_999), ..tight }.check(&calm).len(), 2);
        assert_eq!(tight.check(&Surroundings { agent_restart: ms(1_000), ..calm }).len(), 1);
        assert_eq!(Terms { kill_budget: ms(500), ..tight }.check(&calm), []);
        assert_eq!(Terms { renew_every: ms(0), ..tight }.check(&calm), [Unsound::Nothing("renew interval")]);
        // 1000 + 0 + 500 + 500 must be less than the share, not equal.
        let near = Surroundings { election_and_connect: Some(ms(0)), ..calm };
        assert_eq!(tight.check(&near).len(), 1);
        assert_eq!(Terms { leader_lease: ms(999), ..tight }.check(&near), []);
        assert!(terms.check(&around).is_empty());
    }
}

//! Timers with the four presets of `docs/reference/settings.md`. A preset is a starting point; each value can be set by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{AddpSettings, AddpTrace, Terms};

/// A named set of timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Machines on one switch.
    Fast,
    /// The default.
    Normal,
    /// Virtual machines, slow networks.
    Wide,
    /// What the classic product ships.
    Classic,
}

/// By how much two boot clocks may differ in every preset, in parts per million: each of two time services may slew its
/// clock by 1000 ppm, in opposite directions. That costs a lease of three seconds six milliseconds, and every relation
/// of `docs/safety.md` still holds.
const CLOCK_DRIFT_PPM: u32 = 2_000;

impl Preset {
    /// What holds where a file names none.
    pub const DEFAULT: Preset = Preset::Normal;

    /// Every preset, from short to long.
    pub const ALL: &'static [Preset] = &[Preset::Fast, Preset::Normal, Preset::Wide, Preset::Classic];

    /// The word in `cluster.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::Fast => "fast",
            Preset::Normal => "normal",
            Preset::Wide => "wide",
            Preset::Classic => "classic",
        }
    }

    /// How the link between the control server and an agent is watched.
    pub fn addp(self) -> AddpSettings {
        let timeout = match self {
            Preset::Fast => Duration::from_millis(100),
            Preset::Normal => Duration::from_secs(1),
            Preset::Wide => Duration::from_secs(5),
            Preset::Classic => Duration::from_secs(9),
        };
        AddpSettings { timeout, remote_timeout: timeout, trace: AddpTrace::Off }
    }

    /// The timers of this preset.
    pub fn timers(self) -> Timers {
        let ms = Duration::from_millis;
        match self {
            Preset::Fast => Timers {
                switchover_timeout: ms(2_000),
                link_grace: ms(500),
                lease: ms(250),
                renew: ms(50),
                fence_budget: ms(50),
                kill_budget: ms(20),
                clock_drift_ppm: CLOCK_DRIFT_PPM,
                agent_restart_grace: ms(5_000),
                disconnect_switchover_timeout: ms(0),
                flap_damping: FlapDamping::within(ms(60_000)),
            },
            Preset::Normal => Timers {
                switchover_timeout: ms(10_000),
                link_grace: ms(2_000),
                lease: ms(3_000),
                renew: ms(600),
                fence_budget: ms(500),
                kill_budget: ms(50),
                clock_drift_ppm: CLOCK_DRIFT_PPM,
                agent_restart_grace: ms(10_000),
                disconnect_switchover_timeout: ms(0),
                flap_damping: FlapDamping::within(ms(300_000)),
            },
            Preset::Wide => Timers {
                switchover_timeout: ms(30_000),
                link_grace: ms(5_000),
                lease: ms(15_000),
                renew: ms(3_000),
                fence_budget: ms(3_000),
                kill_budget: ms(100),
                clock_drift_ppm: CLOCK_DRIFT_PPM,
                agent_restart_grace: ms(30_000),
                disconnect_switchover_timeout: ms(5_000),
                flap_damping: FlapDamping::within(ms(900_000)),
            },
            Preset::Classic => Timers {
                switchover_timeout: ms(60_000),
                link_grace: ms(10_000),
                lease: ms(30_000),
                renew: ms(6_000),
                fence_budget: ms(5_000),
                kill_budget: ms(100),
                clock_drift_ppm: CLOCK_DRIFT_PPM,
                agent_restart_grace: ms(30_000),
                disconnect_switchover_timeout: ms(0),
                flap_damping: FlapDamping::within(ms(1_800_000)),
            },
        }
    }

    /// How long an application of this preset may show no life; `None` is "not judged".
    pub fn hang_limit(self) -> Option<Duration> {
        match self {
            Preset::Fast => Some(Duration::from_secs(1)),
            Preset::Normal => Some(Duration::from_secs(3)),
            Preset::Wide => Some(Duration::from_secs(10)),
            Preset::Classic => None,
        }
    }
}

/// The timers that this version uses. All are spans on the boot clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timers {
    /// The longest a planned switchover may take, both halves together.
    pub switchover_timeout: Duration,
    /// How long an application's link to its agent may be gone while the process lives, before it counts as unable to serve.
    pub link_grace: Duration,
    /// With policy `strict`: how long a voter is bound by one answer, and so the longest that a lost primary is waited for.
    /// A changed lease holds from the pair's next epoch, and gets shorter only while no member runs.
    #[serde(default = "added::lease")]
    pub lease: Duration,
    /// With policy `strict`: how often a primary's agent asks its voters again.
    #[serde(default = "added::renew")]
    pub renew: Duration,
    /// How long a member may take to confirm a demotion before its agent kills it.
    pub fence_budget: Duration,
    /// With policy `strict`: how long a kill may take; the guard fires this much before the expiry.
    #[serde(default = "added::kill_budget")]
    pub kill_budget: Duration,
    /// With policy `strict`: by how much, in parts per million, the boot clock of one machine may be slower than that
    /// of another. A holder counts on a lease that is shorter by this.
    #[serde(default = "added::clock_drift_ppm")]
    pub clock_drift_ppm: u32,
    /// How long an agent that refuses connections, on a machine that answers, counts as restarting.
    pub agent_restart_grace: Duration,
    /// How long a host must have been silent, after its link was lost, before it counts as lost. Zero: at once.
    pub disconnect_switchover_timeout: Duration,
    /// How many automatic changes of roles a pair may make in which span, before further ones are held.
    pub flap_damping: FlapDamping,
}

/// What a configuration means that was stored before these timers existed: the default preset. Every pair of it has
/// policy `available`, which uses none of them.
mod added {
    use std::time::Duration;

    use super::{CLOCK_DRIFT_PPM, Preset};

    pub(super) fn lease() -> Duration {
        Preset::DEFAULT.timers().lease
    }

    pub(super) fn renew() -> Duration {
        Preset::DEFAULT.timers().renew
    }

    pub(super) fn kill_budget() -> Duration {
        Preset::DEFAULT.timers().kill_budget
    }

    pub(super) fn clock_drift_ppm() -> u32 {
        CLOCK_DRIFT_PPM
    }
}

impl Timers {
    /// The spans of a pair's grants. The leader's lease is the pair's own: the embedded store is held by a lock and not by
    /// time, so a leadership there does not run out, and a successor waits as long as the pair's voters do.
    pub fn terms(&self) -> Terms {
        Terms {
            lease: self.lease,
            drift_ppm: self.clock_drift_ppm,
            leader_lease: self.lease,
            renew_every: self.renew,
            fence_budget: self.fence_budget,
            kill_budget: self.kill_budget,
        }
    }
}

/// A bound on automatic changes of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlapDamping {
    /// So many changes are one too many to go on by itself. 0: never held; at most [`FlapDamping::MOST_CHANGES`].
    pub changes: u32,
    /// The span in which they are counted.
    pub within: Duration,
}

impl FlapDamping {
    /// The most changes that can be set.
    pub const MOST_CHANGES: u32 = 16;

    /// Three changes within a span, as every preset has it.
    pub const fn within(within: Duration) -> Self {
        Self { changes: 3, within }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Surroundings;

    #[test]
    fn every_preset_keeps_every_relation() {
        for preset in Preset::ALL {
            assert_eq!(preset.timers().terms().check(&Surroundings::ASSUMED), [], "{}", preset.as_str());
        }
    }
}

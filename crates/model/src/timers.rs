//! Timers with the four presets of `docs/reference/settings.md`. A preset is a starting point; each value can be set by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{AddpSettings, AddpTrace};

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

impl Preset {
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
        let (switchover_timeout, link_grace, fence_budget, agent_restart_grace) = match self {
            Preset::Fast => (ms(2_000), ms(500), ms(50), ms(5_000)),
            Preset::Normal => (ms(10_000), ms(2_000), ms(500), ms(10_000)),
            Preset::Wide => (ms(30_000), ms(5_000), ms(3_000), ms(30_000)),
            Preset::Classic => (ms(60_000), ms(10_000), ms(5_000), ms(30_000)),
        };
        Timers { switchover_timeout, link_grace, fence_budget, agent_restart_grace }
    }
}

/// The timers that this version uses. All are spans on the boot clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timers {
    /// The longest a planned switchover may take, both halves together.
    pub switchover_timeout: Duration,
    /// How long an application's link to its agent may be gone while the process lives, before it counts as unable to serve.
    pub link_grace: Duration,
    /// How long a member may take to confirm a demotion before its agent kills it.
    pub fence_budget: Duration,
    /// How long an agent that refuses connections, on a machine that answers, counts as restarting.
    pub agent_restart_grace: Duration,
}

//! Timers: the preset, then `[timers]`, then hosts, then the pair.
//!
//! Knows no clocks. The law: the nearest setting wins; of the two hosts of a pair, the longer one.

use std::time::Duration;

use understudy_model::{Preset, Timers};

use super::Drafts;
use super::pair::PairDraft;
use crate::raw::{Found, Report, View};

/// Shortest and longest value of a timer.
pub(super) const TIMER_BOUNDS: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_secs(86_400));

/// Timers set in one place, and the preset if it was set there.
#[derive(Debug, Clone, Default)]
pub(super) struct TimerDrafts {
    preset: Option<Preset>,
    switchover_timeout: Option<Found<Duration>>,
    link_grace: Option<Found<Duration>>,
    fence_budget: Option<Found<Duration>>,
    agent_restart_grace: Option<Found<Duration>>,
}

impl TimerDrafts {
    /// The preset, the default one if none was set.
    pub(super) fn preset(&self) -> Preset {
        self.preset.unwrap_or(Preset::Normal)
    }
}

/// The timers of one pair, with the place of those that a rule compares.
pub(super) struct PairTimers {
    /// All of them.
    pub(super) values: Timers,
    /// Where switchover timeout or fence budget was set, the nearer one first; none if the preset says both.
    pub(super) set_at: Option<(usize, String)>,
}

/// The preset of `[cluster]` and the single timers of `[timers]`.
pub(super) fn read_base(report: &mut Report, file: View<'_>) -> TimerDrafts {
    let mut base = match file.table("timers") {
        Some(table) => read_changes(report, View::new("timers", table.value)),
        None => TimerDrafts::default(),
    };
    let words: Vec<_> = Preset::ALL.iter().map(|preset| preset.as_str()).collect();
    let from_word = |word: &str| Preset::ALL.iter().copied().find(|preset| preset.as_str() == word);
    if let Some(cluster) = file.table("cluster") {
        let view = View::new("cluster", cluster.value);
        base.preset = view.word(report, "timers", &words, from_word).map(|preset| preset.value);
    }
    base
}

/// The timers set in one table.
pub(super) fn read_changes(report: &mut Report, view: View<'_>) -> TimerDrafts {
    TimerDrafts {
        preset: None,
        switchover_timeout: view.duration(report, "switchover-timeout", TIMER_BOUNDS),
        link_grace: view.duration(report, "link-grace", TIMER_BOUNDS),
        fence_budget: view.duration(report, "fence-budget", TIMER_BOUNDS),
        agent_restart_grace: view.duration(report, "agent-restart-grace", TIMER_BOUNDS),
    }
}

/// The timers that hold for a pair.
pub(super) fn of_pair(drafts: &Drafts, pair: &PairDraft) -> PairTimers {
    let base = &drafts.timers;
    let preset = base.preset().timers();
    let hosts: Vec<&TimerDrafts> = [&pair.primary, &pair.backup]
        .into_iter()
        .filter_map(|member| drafts.applications.get(&member.as_ref()?.value))
        .filter_map(|application| drafts.hosts.get(&application.host.as_ref()?.value))
        .map(|host| &host.timers)
        .collect();
    let pick = |read: fn(&TimerDrafts) -> Option<&Found<Duration>>| -> Option<Found<Duration>> {
        let on_hosts = hosts.iter().filter_map(|host| read(host)).max_by_key(|found| found.value);
        read(&pair.timers).or(on_hosts).or_else(|| read(base)).cloned()
    };
    let switchover = pick(|timers| timers.switchover_timeout.as_ref());
    let fence = pick(|timers| timers.fence_budget.as_ref());
    let value = |found: &Option<Found<Duration>>, preset| found.as_ref().map_or(preset, |found| found.value);
    PairTimers {
        values: Timers {
            switchover_timeout: value(&switchover, preset.switchover_timeout),
            link_grace: value(&pick(|timers| timers.link_grace.as_ref()), preset.link_grace),
            fence_budget: value(&fence, preset.fence_budget),
            agent_restart_grace: value(
                &pick(|timers| timers.agent_restart_grace.as_ref()),
                preset.agent_restart_grace,
            ),
        },
        set_at: switchover.or(fence).map(|found| (found.at, found.key)),
    }
}

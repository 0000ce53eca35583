//! Timers: the preset, then `[timers]`, then hosts, then the pair.
//!
//! Knows no clocks. The law: the nearest setting wins; of the two hosts of a pair, the longer one.

use std::time::Duration;

use understudy_model::{FlapDamping, Preset, Timers};

use super::Drafts;
use super::application::ApplicationDraft;
use super::conduct::HANG_BOUNDS;
use super::pair::PairDraft;
use crate::problem::{Problem, ProblemKind};
use crate::raw::{Found, Report, View};
use crate::span;

/// Shortest and longest value of a timer.
pub(super) const TIMER_BOUNDS: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_secs(86_400));

/// As [`TIMER_BOUNDS`], for a wait that may be left out.
const WAIT_BOUNDS: (Duration, Duration) = (Duration::ZERO, TIMER_BOUNDS.1);

/// The span in which changes of roles are counted.
const FLAP_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// Timers set in one place, and the preset if it was set there.
#[derive(Debug, Clone, Default)]
pub(super) struct TimerDrafts {
    preset: Option<Preset>,
    switchover_timeout: Option<Found<Duration>>,
    link_grace: Option<Found<Duration>>,
    fence_budget: Option<Found<Duration>>,
    agent_restart_grace: Option<Found<Duration>>,
    disconnect_switchover_timeout: Option<Found<Duration>>,
    flap_damping: Option<Found<FlapDamping>>,
    hang_limit: Option<Found<Duration>>,
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
        disconnect_switchover_timeout: view.duration(report, "disconnect-switchover-timeout", WAIT_BOUNDS),
        flap_damping: read_flap_damping(report, view),
        hang_limit: view.duration(report, "hang-limit", HANG_BOUNDS),
    }
}

/// How long an application may show no life: its own word, then its pair's, its host's, `[timers]`, the preset.
pub(super) fn hang_limit_of(drafts: &Drafts, application: &ApplicationDraft) -> Option<Duration> {
    let name = &application.name.value;
    let member = |of: &Option<Found<_>>| of.as_ref().is_some_and(|member| member.value == *name);
    let pair = drafts.pairs.values().find(|pair| member(&pair.primary) || member(&pair.backup));
    let host = application.host.as_ref().and_then(|host| drafts.hosts.get(&host.value));
    let set = (application.conduct().hang_limit.as_ref())
        .or_else(|| pair?.timers.hang_limit.as_ref())
        .or_else(|| host?.timers.hang_limit.as_ref())
        .or(drafts.timers.hang_limit.as_ref());
    match set {
        Some(limit) => Some(limit.value).filter(|limit| !limit.is_zero()),
        None => drafts.timers.preset.unwrap_or(Preset::Normal).hang_limit(),
    }
}

fn read_flap_damping(report: &mut Report, view: View<'_>) -> Option<Found<FlapDamping>> {
    let text = view.text(report, "flap-damping")?;
    let damping = flap_damping(text.value);
    if damping.is_none() {
        let problem = Problem::new(ProblemKind::BadValue, text.key.as_str(), "not an allowed value");
        let allowed = format!(
            "a count and a span such as \"3 in 5m\", 1 to {} changes in {} to {}, or \"off\"",
            FlapDamping::MOST_CHANGES,
            span::to_text(FLAP_BOUNDS.0),
            span::to_text(FLAP_BOUNDS.1)
        );
        report.problem(text.at, problem.found(format!("{:?}", text.value)).allowed(allowed));
    }
    damping.map(|damping| text.with(damping))
}

/// `off`, or so many changes `in` a span.
fn flap_damping(text: &str) -> Option<FlapDamping> {
    if text == "off" {
        return Some(FlapDamping { changes: 0, within: FLAP_BOUNDS.0 });
    }
    let (changes, within) = text.split_once(" in ")?;
    let (changes, within) = (changes.trim().parse().ok()?, span::from_text(within.trim())?);
    let allowed = (1..=FlapDamping::MOST_CHANGES).contains(&changes)
        && (FLAP_BOUNDS.0..=FLAP_BOUNDS.1).contains(&within);
    allowed.then_some(FlapDamping { changes, within })
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
    // Of two hosts, the setting that holds changes sooner.
    let on_hosts = hosts.iter().filter_map(|host| host.flap_damping.as_ref()).min_by_key(|found| {
        let damping = found.value;
        (damping.changes == 0, damping.changes, std::cmp::Reverse(damping.within))
    });
    let flap_damping = pair.timers.flap_damping.as_ref().or(on_hosts).or(base.flap_damping.as_ref());
    let fence = pick(|timers| timers.fence_budget.as_ref());
    let value = |found: &Option<Found<Duration>>, preset| found.as_ref().map_or(preset, |found| found.value);
    PairTimers {
        values: Timers {
            switchover_timeout: value(&switchover, preset.switchover_timeout),
            link_grace: value(&pick(|timers| timers.link_grace.as_ref()), preset.link_grace),
            fence_budget: value(&fence, preset.fence_budget),
            lease: preset.lease,
            renew: preset.renew,
            kill_budget: preset.kill_budget,
            clock_drift_ppm: preset.clock_drift_ppm,
            agent_restart_grace: value(
                &pick(|timers| timers.agent_restart_grace.as_ref()),
                preset.agent_restart_grace,
            ),
            disconnect_switchover_timeout: value(
                &pick(|timers| timers.disconnect_switchover_timeout.as_ref()),
                preset.disconnect_switchover_timeout,
            ),
            flap_damping: flap_damping.map_or(preset.flap_damping, |found| found.value),
        },
        set_at: switchover.or(fence).map(|found| (found.at, found.key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flap_damping_is_a_count_and_a_span_or_off() {
        let five_minutes = Duration::from_secs(300);
        assert_eq!(flap_damping("3 in 5m"), Some(FlapDamping { changes: 3, within: five_minutes }));
        assert_eq!(flap_damping("off").map(|damping| damping.changes), Some(0));
        for bad in ["", "3", "3 in", "0 in 5m", "17 in 5m", "3 in 10ms", "3 in 2d", "three in 5m", "3in5m"] {
            assert_eq!(flap_damping(bad), None, "{bad:?}");
        }
    }
}

//! Timers: the preset, then `[timers]`, then hosts, then the pair.
//!
//! Knows no clocks. The law: the nearest setting wins; of the two hosts of a pair, what is safe for both: the longer
//! one, but for `renew`, where the shorter asks often enough for both.

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

/// A lease of more than an hour would keep a pair without a primary for that long.
const LEASE_BOUNDS: (Duration, Duration) = (TIMER_BOUNDS.0, Duration::from_secs(3_600));

/// A kill is a signal and the end of a process: less than a millisecond is a promise that no scheduler keeps.
const KILL_BOUNDS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(3_600));

/// A tenth: what the fastest slewing time services do, and more than any sound clock.
const MOST_DRIFT_PPM: i64 = 100_000;

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
    lease: Option<Found<Duration>>,
    renew: Option<Found<Duration>>,
    fence_budget: Option<Found<Duration>>,
    kill_budget: Option<Found<Duration>>,
    clock_drift_ppm: Option<Found<u32>>,
    agent_restart_grace: Option<Found<Duration>>,
    disconnect_switchover_timeout: Option<Found<Duration>>,
    flap_damping: Option<Found<FlapDamping>>,
    hang_limit: Option<Found<Duration>>,
}

impl TimerDrafts {
    /// The preset, the default one if none was set.
    pub(super) fn preset(&self) -> Preset {
        self.preset.unwrap_or(Preset::DEFAULT)
    }

    /// Where timers stand that count silence, which is no proof with policy `strict`.
    pub(super) fn waits_for_silence(&self) -> Vec<(usize, String)> {
        places([self.disconnect_switchover_timeout.as_ref()])
    }

    /// Where timers stand that only a pair with leases uses.
    pub(super) fn spans_of_grants(&self) -> Vec<(usize, String)> {
        let mut found = places([self.lease.as_ref(), self.renew.as_ref(), self.kill_budget.as_ref()]);
        found.extend(places([self.clock_drift_ppm.as_ref()]));
        found
    }
}

fn places<T, const N: usize>(found: [Option<&Found<T>>; N]) -> Vec<(usize, String)> {
    found.into_iter().flatten().map(|found| (found.at, found.key.clone())).collect()
}

/// The timers of one pair, with the places of those that rules compare; none where the preset says it.
pub(super) struct PairTimers {
    /// All of them.
    pub(super) values: Timers,
    /// Where each was set.
    pub(super) set: SetAt,
}

/// Where a timer of a pair was set: an offset and a key.
pub(super) type Place = Option<(usize, String)>;

/// The places of the timers that rules compare.
pub(super) struct SetAt {
    pub(super) switchover_timeout: Place,
    pub(super) lease: Place,
    pub(super) renew: Place,
    pub(super) fence_budget: Place,
    pub(super) kill_budget: Place,
    pub(super) clock_drift: Place,
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
        lease: view.duration(report, "lease", LEASE_BOUNDS),
        renew: view.duration(report, "renew", TIMER_BOUNDS),
        fence_budget: view.duration(report, "fence-budget", TIMER_BOUNDS),
        kill_budget: view.duration(report, "kill-budget", KILL_BOUNDS),
        clock_drift_ppm: read_clock_drift(report, view),
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
        None => drafts.timers.preset.unwrap_or(Preset::DEFAULT).hang_limit(),
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

fn read_clock_drift(report: &mut Report, view: View<'_>) -> Option<Found<u32>> {
    let found = view.integer(report, "clock-drift", 1, MOST_DRIFT_PPM)?;
    u32::try_from(found.value).ok().map(|ppm| found.with(ppm))
}

/// The settings that count for a pair: its own, and those of its hosts over the base.
struct Layers<'d> {
    pair: &'d TimerDrafts,
    /// None twice, or of both members' hosts; fewer if one is not known, which was reported.
    hosts: Vec<&'d TimerDrafts>,
    base: &'d TimerDrafts,
}

impl Layers<'_> {
    /// The value that holds and where it was set. A host that says nothing counts with what holds for it, so that one
    /// host's short timer does not bind the other. `keep` chooses between two hosts.
    fn pick<T: Copy + PartialEq>(
        &self,
        read: fn(&TimerDrafts) -> Option<&Found<T>>,
        preset: T,
        keep: fn(T, T) -> T,
    ) -> (T, Place) {
        let said = |found: &Found<T>| (found.value, Some((found.at, found.key.clone())));
        let base = || read(self.base).map_or((preset, None), said);
        if let Some(own) = read(self.pair) {
            return said(own);
        }
        let on_hosts = self.hosts.iter().map(|host| read(host).map_or_else(base, said));
        let chosen = on_hosts.reduce(|one, other| if keep(one.0, other.0) == one.0 { one } else { other });
        chosen.unwrap_or_else(base)
    }
}

/// The timers that hold for a pair.
pub(super) fn of_pair(drafts: &Drafts, pair: &PairDraft) -> PairTimers {
    let preset = drafts.timers.preset().timers();
    let hosts: Vec<&TimerDrafts> = [&pair.primary, &pair.backup]
        .into_iter()
        .filter_map(|member| drafts.applications.get(&member.as_ref()?.value))
        .filter_map(|application| drafts.hosts.get(&application.host.as_ref()?.value))
        .map(|host| &host.timers)
        .collect();
    let layers = Layers { pair: &pair.timers, hosts, base: &drafts.timers };
    let longer =
        |read: fn(&TimerDrafts) -> Option<&Found<Duration>>, preset| layers.pick(read, preset, Duration::max);
    let (switchover_timeout, switchover_at) =
        longer(|set| set.switchover_timeout.as_ref(), preset.switchover_timeout);
    // Both agents, as voters and as holders, use one lease; the host that asks for a longer one fears its own stalls.
    let (lease, lease_at) = longer(|set| set.lease.as_ref(), preset.lease);
    let (renew, renew_at) = layers.pick(|set| set.renew.as_ref(), preset.renew, Duration::min);
    let (fence_budget, fence_at) = longer(|set| set.fence_budget.as_ref(), preset.fence_budget);
    // A kill that takes longer than its budget outlives the lease, and a clock slower than allowed outlives it as well.
    let (kill_budget, kill_at) = longer(|set| set.kill_budget.as_ref(), preset.kill_budget);
    let (clock_drift_ppm, drift_at) =
        layers.pick(|set| set.clock_drift_ppm.as_ref(), preset.clock_drift_ppm, u32::max);
    let values = Timers {
        switchover_timeout,
        link_grace: longer(|set| set.link_grace.as_ref(), preset.link_grace).0,
        lease,
        renew,
        fence_budget,
        kill_budget,
        clock_drift_ppm,
        agent_restart_grace: longer(|set| set.agent_restart_grace.as_ref(), preset.agent_restart_grace).0,
        disconnect_switchover_timeout: longer(
            |set| set.disconnect_switchover_timeout.as_ref(),
            preset.disconnect_switchover_timeout,
        )
        .0,
        flap_damping: flap_damping_of(&layers, preset.flap_damping),
    };
    let set = SetAt {
        switchover_timeout: switchover_at,
        lease: lease_at,
        renew: renew_at,
        fence_budget: fence_at,
        kill_budget: kill_at,
        clock_drift: drift_at,
    };
    PairTimers { values, set }
}

/// Of two hosts, the setting that holds changes sooner.
fn flap_damping_of(layers: &Layers<'_>, preset: FlapDamping) -> FlapDamping {
    let on_hosts = layers.hosts.iter().filter_map(|host| host.flap_damping.as_ref()).min_by_key(|found| {
        let damping = found.value;
        (damping.changes == 0, damping.changes, std::cmp::Reverse(damping.within))
    });
    let set = layers.pair.flap_damping.as_ref().or(on_hosts).or(layers.base.flap_damping.as_ref());
    set.map_or(preset, |found| found.value)
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

//! Faults that last: cuts, bad networks, and programs that are stopped; and how they end.
//!
//! It knows the stage, its networks and the dice, and no checks. The law: what was begun is ended, and it is remembered when
//! two members may have acted because of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use understudy_model::Policy;

use super::summary::Summary;
use crate::dice::Dice;
use crate::net::{Lane, Network, Station};
use crate::sweep::{Held, find_application, open_marked};
use crate::{Daemon, Host, Stage, StageError};

/// The longest that a strain lasts.
const LONGEST: Duration = Duration::from_secs(5);
/// The shortest.
const SHORTEST: Duration = Duration::from_millis(200);
/// After a cut or a stop, until the member left behind has been reached and demoted: a call that nobody answers, the pause
/// before the next, and a control server that may be away.
const RIGHT_AFTER: Duration = Duration::from_secs(8);
/// A network that is bad and no reason to give anybody up.
const BAD: Lane = Lane::slow(Duration::from_millis(60), Duration::from_millis(40)).losing(10);

/// A kind of strain. The names are those of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strain {
    HostCut,
    HostMute,
    HostDeaf,
    LinkCut,
    ServerCut,
    HostSlow,
    AgentStopped,
    ServerStopped,
    MemberStopped,
    HostStopped,
}

impl Strain {
    const ALL: [Strain; 10] = [
        Strain::HostCut,
        Strain::HostMute,
        Strain::HostDeaf,
        Strain::LinkCut,
        Strain::ServerCut,
        Strain::HostSlow,
        Strain::AgentStopped,
        Strain::ServerStopped,
        Strain::MemberStopped,
        Strain::HostStopped,
    ];

    fn name(self) -> &'static str {
        match self {
            Strain::HostCut => "host cut off",
            Strain::HostMute => "host's words lost",
            Strain::HostDeaf => "host hears nothing",
            Strain::LinkCut => "host cut off from control server",
            Strain::ServerCut => "control server cut off",
            Strain::HostSlow => "host's network slow and losing",
            Strain::AgentStopped => "agent stopped",
            Strain::ServerStopped => "control server stopped",
            Strain::MemberStopped => "member stopped",
            Strain::HostStopped => "host stopped",
        }
    }

    /// Nobody can be demoted by a control server that is stopped or cut off.
    fn takes_server(self) -> bool {
        matches!(self, Strain::ServerCut | Strain::ServerStopped)
    }

    /// Whether policy `available` may promote while the other still acts; `strict` never does.
    fn may_double(self) -> bool {
        match self {
            Strain::HostCut
            | Strain::HostMute
            | Strain::HostDeaf
            | Strain::LinkCut
            | Strain::AgentStopped
            | Strain::HostStopped => true,
            Strain::ServerCut | Strain::HostSlow | Strain::ServerStopped | Strain::MemberStopped => false,
        }
    }
}

/// A strain that has begun.
#[derive(Debug)]
struct Begun {
    until: Instant,
    /// What was stopped; empty: it is the network.
    held: Vec<Held>,
    /// Its place in the list of spans, if two may act.
    span: Option<usize>,
    /// Since when the control server is stopped or cut off by it.
    without_server: Option<Instant>,
}

/// What lasts now, and what is remembered of what did.
#[derive(Debug, Default)]
pub(super) struct Strains {
    /// Two may act while something lasts.
    doubles: bool,
    begun: Vec<Begun>,
    /// In which two may have acted; without an end as long as it lasts.
    spans: Vec<(Instant, Option<Instant>)>,
    /// Members that were stopped: they may have been replaced, or not.
    pub stopped_members: BTreeSet<String>,
}

impl Strains {
    pub fn of(policy: Policy) -> Self {
        Self { doubles: policy == Policy::Available, ..Self::default() }
    }

    /// Begins one, unless what it needs is taken or does not run.
    pub fn begin(&mut self, stage: &Stage, dice: &mut Dice, summary: &mut Summary) -> Result<(), StageError> {
        let pick = |dice: &mut Dice, bound: usize| usize::try_from(dice.below(bound as u64)).unwrap_or(0);
        let strain = Strain::ALL[pick(dice, Strain::ALL.len())];
        let host = Host::ALL[pick(dice, Host::ALL.len())];
        let members: Vec<&String> = stage.plan().applications.iter().map(|one| &one.name).collect();
        let member = members[pick(dice, members.len())].clone();
        let until = Instant::now() + SHORTEST + dice.span(LONGEST.saturating_sub(SHORTEST));
        let before = Instant::now();
        let held = match strain {
            Strain::AgentStopped => stop_daemon(stage, Daemon::Agent(host))?,
            Strain::ServerStopped => stop_daemon(stage, Daemon::Server)?,
            Strain::MemberStopped => {
                let found = find_application(stage.directory(), &member)?;
                found.iter().try_for_each(Held::stop)?;
                self.stopped_members.insert(member);
                found
            }
            Strain::HostStopped => {
                if stage.daemon_pid(Daemon::Agent(host)).is_none() {
                    return Ok(());
                }
                let on_host = stage.plan().applications.iter().filter(|one| one.host == host);
                self.stopped_members.extend(on_host.map(|one| one.name.clone()));
                stage.freeze(host)?.0
            }
            _ if self.begun.iter().any(|one| one.held.is_empty()) => return Ok(()),
            _ => {
                spoil(stage.network()?, strain, host);
                Vec::new()
            }
        };
        let is_stop = matches!(
            strain,
            Strain::AgentStopped | Strain::ServerStopped | Strain::MemberStopped | Strain::HostStopped
        );
        if is_stop && held.is_empty() {
            return Ok(());
        }
        summary.strained(strain.name());
        let span = (self.doubles && strain.may_double()).then(|| {
            self.spans.push((before, None));
            self.spans.len() - 1
        });
        let without_server = strain.takes_server().then_some(before);
        self.begun.push(Begun { until, held, span, without_server });
        Ok(())
    }

    /// Ends what has lasted for its time; with `all`, everything.
    pub fn ease(&mut self, stage: &Stage, all: bool) -> Result<(), StageError> {
        let now = Instant::now();
        let (due, later): (Vec<Begun>, Vec<Begun>) =
            self.begun.drain(..).partition(|one| all || one.until <= now);
        self.begun = later;
        for one in due {
            if one.held.is_empty() {
                stage.network()?.heal();
            }
            stage.thaw(&one.held)?;
            if let Some(span) = one.span.and_then(|span| self.spans.get_mut(span)) {
                span.1 = Some(Instant::now());
            }
            // Whoever was left behind before it is demoted only after it.
            if let Some(since) = one.without_server.filter(|since| self.may_have_doubled(*since)) {
                self.spans.push((since, Some(Instant::now())));
            }
        }
        Ok(())
    }

    /// Whether two may have acted at any moment.
    pub fn has_doubling(&self) -> bool {
        !self.spans.is_empty()
    }

    /// Whether two may have acted at that moment: during a cut or a stop, or right after it.
    pub fn may_have_doubled(&self, at: Instant) -> bool {
        self.spans
            .iter()
            .any(|(began, ended)| at >= *began && ended.is_none_or(|ended| at <= ended + RIGHT_AFTER))
    }
}

fn stop_daemon(stage: &Stage, daemon: Daemon) -> Result<Vec<Held>, StageError> {
    let found = stage.daemon_pid(daemon).and_then(|pid| open_marked(pid, stage.directory()));
    let held: Vec<Held> = found.into_iter().collect();
    held.iter().try_for_each(Held::stop)?;
    Ok(held)
}

fn spoil(network: &Network, strain: Strain, host: Host) {
    let station = Station::Host(host);
    let others = || Station::ALL.into_iter().filter(|other| *other != station);
    match strain {
        Strain::HostCut => network.set_around(station, Lane::CUT),
        Strain::HostMute => others().for_each(|other| network.set(station, other, Lane::CUT)),
        Strain::HostDeaf => others().for_each(|other| network.set(other, station, Lane::CUT)),
        Strain::LinkCut => network.set_between(station, Station::Server, Lane::CUT),
        Strain::ServerCut => network.set_around(Station::Server, Lane::CUT),
        Strain::HostSlow => network.set_around(station, BAD),
        Strain::AgentStopped | Strain::ServerStopped | Strain::MemberStopped | Strain::HostStopped => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_excuses_two_primaries_of_a_strict_pair() {
        assert!(!Strains::of(Policy::Strict).doubles && Strains::of(Policy::Available).doubles);
    }

    #[test]
    fn two_may_act_during_a_cut_and_right_after_it_and_at_no_other_time() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let mut strains = Strains::of(Policy::Available);
        assert!(!strains.may_have_doubled(began));
        strains.spans.push((began, None));
        assert!(strains.may_have_doubled(began + 100 * second));
        strains.spans[0].1 = Some(began + second);
        assert!(strains.may_have_doubled(began + second + RIGHT_AFTER));
        assert!(!strains.may_have_doubled(began + 2 * second + RIGHT_AFTER));
    }
}

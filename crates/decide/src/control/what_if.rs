//! What would happen if a host were lost, a process ended, a link were cut: the deciding function itself is asked, on a copy
//! of the machine and on a clock of its own.
//!
//! It refuses to know rules: every decision in its answer was made by `step`. What is not decided here, the answers of agents
//! and what they do alone, is played in `played` and `voices`, and each such thing is said to be assumed. The law: the machine
//! that is asked does not change, and nothing leaves this room but the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use understudy_model::{
    ApplicationName, ApplicationStatus, Because, ExitCause, HostName, LastExit, Machine, Member, Moment,
    OnCrash, PairName, Policy, RestartPolicy, RunMode, Severity, Subject,
};

use super::{Control, ControlSaw, LinkEnd};
use played::Awaited;
use voices::Voice;

mod played;
mod voices;

/// The furthest that is looked ahead.
const FURTHEST: Duration = Duration::from_secs(600);
/// How much further than the longest span of the settings.
const BEYOND: Duration = Duration::from_secs(5);
/// The most observations that are played.
const MOST_STEPS: usize = 20_000;
/// The most of them that are told.
const MOST_TOLD: usize = 200;

/// What is supposed to happen, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supposed {
    /// A machine is gone, with everything on it.
    HostLost {
        /// Its name.
        host: String,
    },
    /// The process of an application ends by itself.
    AppCrashed {
        /// Its name.
        application: String,
    },
    /// Nothing passes any more between two hosts, or between a host and the control server (`scs`, or its name).
    LinkCut {
        /// One end.
        one: String,
        /// The other end.
        other: String,
    },
    /// The control server is gone.
    ScsLost,
    /// The agent of a host is gone and does not come back; its applications run on.
    AgentLost {
        /// The host.
        host: String,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupposeError {
    /// Nothing has that name.
    Unknown {
        /// `host`, `application`.
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// Both ends of a link are the same.
    OneEnd(String),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// What was supposed, in a sentence.
    pub supposed: String,
    /// What was taken for granted, a sentence each.
    pub assumed: Vec<String>,
    /// What would be decided and done, in order.
    pub steps: Vec<Foresight>,
    /// Every pair that it concerns.
    pub pairs: Vec<ForeseenPair>,
    /// What would be shown as wrong or at risk then, and is not now.
    pub warnings: Vec<String>,
    /// How far was looked.
    pub looked_ahead: Duration,
    /// It was not looked as far as that, or not everything is told, as there was too much of it.
    pub cut_short: bool,
}

/// One thing that would happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foresight {
    /// How long after the beginning.
    pub after: Duration,
    /// `control server`, or an agent, of which it is assumed.
    pub who: String,
    /// About what.
    pub about: Subject,
    /// How much a person should care.
    pub severity: Severity,
    /// In a sentence.
    pub what: String,
    /// The rule that fired and what it saw, if it is a decision.
    pub because: Option<Because>,
}

/// What would become of one pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeseenPair {
    /// Which.
    pub pair: PairName,
    /// What it is promised.
    pub policy: Policy,
    /// Who is primary now, as far as is known here.
    pub primary_now: Option<ApplicationName>,
    /// Who would be primary in the end; nobody if absent.
    pub primary_then: Option<ApplicationName>,
    /// How long after the beginning another one would be primary; absent if there is no change.
    pub changed_after: Option<Duration>,
    /// Two may act, for a while or until somebody is heard again.
    pub two_may_act: bool,
    /// What holds the present primary up, and what stops it; a sentence each.
    pub holds: Vec<String>,
    /// Why it would be so in the end: what the rules would say then.
    pub because: Because,
}

impl Control {
    /// What would happen. Takes time in proportion to the cluster: ask a copy, away from the machine's own thread.
    pub fn foresee(&self, now: Moment, supposed: &Supposed) -> Result<Foreseen, SupposeError> {
        let mut night = Night::new(self.clone(), now);
        let sentence = night.suppose(supposed)?;
        let concerned = night.concerned(supposed);
        let voices: BTreeMap<PairName, Voice> =
            concerned.iter().filter_map(|name| Some((name.clone(), night.voice_of(name)?))).collect();
        let before = self.view(now);
        let looked_ahead = night.horizon(&concerned);
        if !night.headless {
            night.pass(looked_ahead);
        }
        night.tell_voices(&voices);
        night.told.sort_by_key(|step| step.after);
        let after = night.control.view(night.now);
        let warnings = after
            .warnings
            .iter()
            .filter(|one| !before.warnings.contains(one) && !night.headless)
            .cloned()
            .collect();
        let pairs =
            concerned.iter().filter_map(|name| night.outcome(name, &before, &after, voices.get(name)?));
        let pairs = pairs.collect();
        Ok(Foreseen {
            supposed: sentence,
            assumed: night.assumed,
            steps: night.told,
            pairs,
            warnings,
            looked_ahead,
            cut_short: night.cut_short,
        })
    }
}

/// A copy of the machine, in a world that is supposed.
struct Night {
    control: Control,
    began: Moment,
    now: Moment,
    /// What will be observed, in order.
    coming: BTreeMap<(Moment, u64), ControlSaw>,
    numbers: u64,
    /// Machines that are gone.
    dead: BTreeSet<HostName>,
    /// Hosts whose agent alone is gone.
    without_agent: BTreeSet<HostName>,
    /// Hosts that the control server does not reach.
    cut: BTreeSet<HostName>,
    /// Hosts that do not reach each other; in order.
    parted: BTreeSet<(HostName, HostName)>,
    /// The control server is gone.
    headless: bool,
    /// The application whose process ended.
    crashed: Option<ApplicationName>,
    /// Promotions whose agents wait for a vote.
    asking: BTreeMap<u64, Awaited>,
    /// Pairs whose agents hear each other, as either of them last said before the beginning.
    hearing: BTreeSet<PairName>,
    /// When another member of a pair said that it is primary.
    changed: BTreeMap<PairName, Moment>,
    assumed: Vec<String>,
    told: Vec<Foresight>,
    cut_short: bool,
}

impl Night {
    fn new(control: Control, now: Moment) -> Self {
        let hears = |app: &super::state::App| {
            let strict = app.report.as_ref()?.role.as_ref()?.strict.as_ref()?;
            strict.peer_heard.then(|| app.pair.clone())?
        };
        let hearing = control.applications.values().filter_map(hears).collect();
        Self {
            control,
            hearing,
            began: now,
            now,
            coming: BTreeMap::new(),
            numbers: 0,
            dead: BTreeSet::new(),
            without_agent: BTreeSet::new(),
            cut: BTreeSet::new(),
            parted: BTreeSet::new(),
            headless: false,
            crashed: None,
            asking: BTreeMap::new(),
            changed: BTreeMap::new(),
            assumed: Vec::new(),
            told: Vec::new(),
            cut_short: false,
        }
    }

    fn assume(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.assumed.contains(&text) {
            self.assumed.push(text);
        }
    }

    /// It will be observed so long after the beginning.
    fn observe(&mut self, after: Duration, saw: ControlSaw) {
        self.numbers += 1;
        let at = (self.began + after).max(self.now);
        self.coming.insert((at, self.numbers), saw);
    }

    fn host(&self, name: &str) -> Result<HostName, SupposeError> {
        let found = self.control.hosts.keys().find(|host| host.as_str().eq_ignore_ascii_case(name));
        found.cloned().ok_or_else(|| SupposeError::Unknown { kind: "host", name: name.to_owned() })
    }

    /// A host; none: the control server.
    fn end_of_link(&self, name: &str) -> Result<Option<HostName>, SupposeError> {
        match self.host(name) {
            Ok(host) => Ok(Some(host)),
            Err(_) if name.eq_ignore_ascii_case("scs") => Ok(None),
            Err(_) if name.eq_ignore_ascii_case(self.control.memory.controller.as_str()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Brings it about.
    fn suppose(&mut self, supposed: &Supposed) -> Result<String, SupposeError> {
        match supposed {
            Supposed::HostLost { host } => {
                let host = self.host(host)?;
                self.dead.insert(host.clone());
                self.lose_singles(&host);
                if self.control.own_hosts.contains(&host) {
                    self.headless = true;
                    return Ok(format!("host {host} is lost, and this control server with it"));
                }
                self.fall_silent(&host, "its host is lost");
                self.peers_fall_silent(|one| *one == host);
                Ok(format!("host {host} is lost"))
            }
            Supposed::AgentLost { host } => {
                let host = self.host(host)?;
                self.without_agent.insert(host.clone());
                self.assume(format!(
                    "host {host} itself answers: connections to its agent are refused at once"
                ));
                for end in [LinkEnd::Closed, LinkEnd::Refused] {
                    let why = "supposed: its agent is gone".to_owned();
                    self.observe(Duration::ZERO, ControlSaw::LinkDown { host: host.clone(), end, why });
                }
                self.peers_fall_silent(|one| *one == host);
                Ok(format!("the agent of host {host} is gone, and its applications run on"))
            }
            Supposed::LinkCut { one, other } => self.cut_link(one, other),
            Supposed::ScsLost => {
                self.headless = true;
                Ok("the control server is gone".to_owned())
            }
            Supposed::AppCrashed { application } => self.crash(application),
        }
    }

    /// What runs there alone is gone with the host, and nothing is decided about it.
    fn lose_singles(&mut self, host: &HostName) {
        for application in self.control.only_on(host) {
            self.told.push(Foresight {
                after: Duration::ZERO,
                who: format!("host {host}"),
                what: format!(
                    "{application} is gone with its host: it is in no pair, so nobody takes it over"
                ),
                about: Subject {
                    application: Some(application),
                    host: Some(host.clone()),
                    ..Subject::default()
                },
                severity: Severity::Warning,
                because: None,
            });
        }
    }

    fn cut_link(&mut self, one: &str, other: &str) -> Result<String, SupposeError> {
        let ends = (self.end_of_link(one)?, self.end_of_link(other)?);
        match ends {
            (Some(one), Some(other)) if one != other => {
                self.parted.insert((one.clone().min(other.clone()), one.clone().max(other.clone())));
                let (first, second) = (one.clone(), other.clone());
                self.peers_fall_silent(|host| *host == first || *host == second);
                Ok(format!("nothing passes between hosts {one} and {other}"))
            }
            (Some(host), None) | (None, Some(host)) => {
                self.cut.insert(host.clone());
                self.fall_silent(&host, "nothing passes between it and this control server");
                Ok(format!("nothing passes between host {host} and this control server"))
            }
            (Some(_), Some(_)) | (None, None) => Err(SupposeError::OneEnd(one.to_owned())),
        }
    }

    /// The control server finds a host silent, when its link says so.
    fn fall_silent(&mut self, host: &HostName, why: &str) {
        let connected = self.control.hosts.get(host).is_some_and(|known| known.incarnation.is_some());
        if !connected {
            self.assume(format!("host {host} is not heard already; its silence goes on as it is"));
            return;
        }
        let spec = self.control.cluster.as_ref().and_then(|cluster| cluster.hosts.get(host));
        let timeout = spec.map_or(Duration::ZERO, |spec| spec.addp.timeout);
        let after = timeout.saturating_mul(2);
        if timeout.is_zero() {
            self.assume(format!(
                "addp-timeout is off for host {host}: only the system finds that it is silent, perhaps after many minutes; \
                 here that is taken as found at once"
            ));
        } else {
            self.assume(format!("the silence of host {host} is found after two ADDP timeouts, {after:?}"));
        }
        let why = format!("supposed: {why}");
        self.observe(after, ControlSaw::LinkDown { host: host.clone(), end: LinkEnd::Silent, why });
    }

    /// Agents tell that they do not hear the other one of a pair any more.
    fn peers_fall_silent(&mut self, silent: impl Fn(&HostName) -> bool) {
        let mut reports = Vec::new();
        for pair in self.control.pairs.values() {
            let hosts = Member::BOTH.map(|member| self.control.app(pair, member).map(|app| &app.host));
            let [Some(first), Some(second)] = hosts else { continue };
            let parted = self.parted.is_empty() || self.are_parted(first, second);
            if first == second || !parted || !(silent(first) || silent(second)) {
                continue;
            }
            for member in Member::BOTH {
                let Some(app) = self.control.app(pair, member).filter(|app| app.heard) else { continue };
                let gone = self.dead.contains(&app.host) || self.without_agent.contains(&app.host);
                let Some(mut report) = app.report.clone().filter(|_| !gone) else { continue };
                let strict = report.role.as_mut().and_then(|role| role.strict.as_mut());
                if let Some(strict) = strict.filter(|strict| strict.peer_heard) {
                    strict.peer_heard = false;
                    reports.push((app.host.clone(), report));
                }
            }
        }
        for (host, report) in reports {
            let spec = self.control.cluster.as_ref().and_then(|cluster| cluster.hosts.get(&host));
            let after = spec.map_or(Duration::ZERO, |spec| spec.addp.timeout.saturating_mul(2));
            self.observe(after, ControlSaw::Reported { host, report });
        }
    }

    fn crash(&mut self, name: &str) -> Result<String, SupposeError> {
        let unknown = || SupposeError::Unknown { kind: "application", name: name.to_owned() };
        let known = |(one, _): &(&ApplicationName, _)| one.as_str().eq_ignore_ascii_case(name);
        let (name, app) = self.control.applications.iter().find(known).ok_or_else(unknown)?;
        let (name, host, heard) = (name.clone(), app.host.clone(), app.heard);
        let Some(mut report) = app.report.clone().filter(|report| report.pid.is_some()) else {
            self.assume(format!("{name} does not run, as far as is known here: nothing ends"));
            return Ok(format!("the process of {name} ends by itself"));
        };
        self.crashed = Some(name.clone());
        if !heard {
            self.assume(format!("the agent of host {host} is not heard: nobody here would know of it"));
            return Ok(format!("the process of {name} ends by itself"));
        }
        let spec = self.control.cluster.as_ref().and_then(|cluster| cluster.applications.get(&name));
        let restarts = spec.is_some_and(|spec| spec.restart != RestartPolicy::Never) && !report.gave_up;
        report.pid = None;
        report.status = if restarts { ApplicationStatus::StartPending } else { ApplicationStatus::Stopped };
        report.run_mode = RunMode::Unknown;
        report.last_exit = Some(LastExit { cause: ExitCause::Signal(9), wanted: false, ran_ms: 0 });
        let acted = report.role.as_mut().and_then(|role| {
            let acted = role.acting.take().or(role.promised.clone().filter(|held| held.holder == name))?;
            role.closed = role.closed.max(acted.epoch);
            Some(acted)
        });
        if acted.is_some() {
            self.assume(format!(
                "the agent of host {host} gives the epoch of {name} up durably; the few milliseconds for that are not shown"
            ));
        }
        self.assume(if restarts {
            format!("{name} is started again by its agent, and is not ready again in the time that is looked ahead")
        } else {
            format!("{name} is not started again: restart is never, or its agent gave up")
        });
        self.observe(Duration::ZERO, ControlSaw::Reported { host, report });
        Ok(format!("the process of {name} ends by itself"))
    }

    fn are_parted(&self, one: &HostName, other: &HostName) -> bool {
        self.parted.contains(&(one.clone().min(other.clone()), one.clone().max(other.clone())))
    }

    /// The pairs that it is about.
    fn concerned(&self, supposed: &Supposed) -> Vec<PairName> {
        let parted = |host: &HostName| self.parted.iter().any(|(one, other)| one == host || other == host);
        let touched = |host: &HostName| {
            self.dead.contains(host)
                || self.without_agent.contains(host)
                || self.cut.contains(host)
                || parted(host)
        };
        let concerns = |name: &&PairName| {
            let Some(pair) = self.control.pairs.get(*name) else { return false };
            match supposed {
                Supposed::AppCrashed { .. } => {
                    self.crashed.as_ref().is_some_and(|one| pair.spec.member_of(one).is_some())
                }
                _ => {
                    self.headless || {
                        let hosts =
                            Member::BOTH.map(|member| self.control.app(pair, member).map(|app| &app.host));
                        hosts.into_iter().flatten().any(touched)
                    }
                }
            }
        };
        self.control.pairs.keys().filter(concerns).cloned().collect()
    }

    /// How far is looked: beyond every span that can matter here.
    fn horizon(&self, concerned: &[PairName]) -> Duration {
        let mut longest = Duration::ZERO;
        for pair in concerned.iter().filter_map(|name| self.control.pairs.get(name)) {
            let timers = &pair.spec.timers;
            // What was promised, also to a held host, may be longer than what is set.
            let lease = self.control.longest_lease(pair);
            let spans = [lease, timers.disconnect_switchover_timeout, timers.agent_restart_grace];
            longest = spans.into_iter().fold(longest, Duration::max);
            if pair.spec.on_crash == OnCrash::RestartFirst || self.crashed.is_some() {
                longest = Member::BOTH
                    .map(|one| self.control.patience(pair, one))
                    .into_iter()
                    .fold(longest, Duration::max);
            }
        }
        let found = self.coming.keys().map(|(at, _)| at.since(self.began)).max().unwrap_or_default();
        // Promises may be renewed until the silence begins, and are asked about once more when they are over.
        (found + longest.saturating_mul(2) + BEYOND).min(FURTHEST)
    }

    /// Lets time pass, until nothing more is due or the bound is reached.
    fn pass(&mut self, span: Duration) {
        let end = self.began + span;
        for _ in 0..MOST_STEPS {
            let first = self.coming.first_key_value().map(|((at, _), _)| *at);
            let due = self.control.next_deadline();
            let Some(at) = [first, due].into_iter().flatten().min().filter(|at| *at <= end) else { return };
            self.now = self.now.max(at);
            let ready = first.is_some_and(|first| first <= self.now);
            let next = ready.then(|| self.coming.pop_first()).flatten();
            let saw = next.map_or(ControlSaw::DeadlinePassed, |(_, saw)| saw);
            let decision = self.control.step(self.now, saw);
            self.carry_out(decision);
        }
        self.cut_short = true;
    }

    fn tell(&mut self, step: Foresight) {
        let said =
            |other: &Foresight| other.what == step.what && other.about == step.about && other.who == step.who;
        if self.told.iter().any(said) {
            return;
        }
        if self.told.len() >= MOST_TOLD {
            self.cut_short = true;
        } else {
            self.told.push(step);
        }
    }
}

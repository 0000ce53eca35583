//! Signs of life: what an application must show within its limits, and what follows when it does not.
//!
//! Refuses to know how a process is looked at or asked. The law: silence is counted from the last sign of life that was
//! seen, without the time in which the agent itself was late (`patience.rs`); whoever is asked has half its limit to
//! answer; a hung process is looked at before it is killed, and that never takes long.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::notice::Watchdog;
use understudy_model::{
    ApplicationName, Ask, Because, EventKind, Interface, Moment, RestartPolicy, Rule, RunMode, Severity,
    ToApplication,
};

use super::application::{Application, StopReason};
use super::lifecycle::{Phase, Trigger};
use super::out::Out;
use super::patience::{LATE, Silence};
use super::role::Part;
use super::{Agent, AgentDo, HookAct, HookKind, HookRun, StartId};

/// How long evidence may take before a hung process is killed without it.
const EVIDENCE_WITHIN: Duration = Duration::from_millis(25);
/// The shortest time between two questions to a library.
const SHORTEST_PING: Duration = Duration::from_millis(20);

/// What is known of an application's life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Life {
    /// It said that it answers pings.
    pub heartbeat: bool,
    /// It has said what its library can.
    pub attached_once: bool,
    /// The last ping, and whether it was answered.
    ping: u64,
    answered: bool,
    /// Since the last sign of life over its link.
    heard: Option<Silence>,
    /// When it is asked again.
    ping_due: Option<Moment>,
    /// It asked for this watchdog itself.
    pub watchdog_every: Option<Duration>,
    /// Since the last sign of life to the watchdog; absent until it is ready.
    pub watched: Option<Silence>,
    /// It is stopped by a signal, and was last seen running at the beginning of this.
    stopped: Option<Silence>,
    /// When the probe is asked next.
    probe_due: Option<Moment>,
    /// The probe that is asked.
    probe: Option<StartId>,
    /// When its answer is late.
    probe_deadline: Option<Moment>,
    /// Failures in a row.
    failures: u32,
    /// The agent itself was late while the probe was asked.
    pub(super) probe_late: bool,
    /// Failures in a row that were not counted for that.
    excused: u32,
    /// It is hung.
    hung: Option<Hung>,
}

/// A verdict that is not carried out yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Hung {
    /// Why.
    why: String,
    /// When it is killed, whatever is seen of it.
    by: Moment,
    /// What was silent, and for how long it may be; nothing if somebody said that it is broken.
    silent: Option<(Sign, Duration)>,
    /// This agent was late itself while it waited for evidence: it waits once more, and not again.
    waited_late: bool,
}

/// What is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sign {
    Stopped,
    Library,
    Watchdog,
}

/// A limit that is running.
pub struct Limit {
    /// What is silent.
    pub what: Sign,
    /// For how long it may be.
    pub limit: Duration,
    /// From when on that is unusual: a watchdog is spoken to about twice within its limit.
    pub looked_at_from: Moment,
    /// When it is over.
    pub over: Moment,
}

impl Life {
    /// The next moment at which something is due.
    pub fn next(&self, application: &Application) -> Option<Moment> {
        let limits = limits(application).into_iter().flatten().map(|limit| limit.over);
        [self.ping_due, self.probe_due, self.probe_deadline, self.hung.as_ref().map(|hung| hung.by)]
            .into_iter()
            .flatten()
            .chain(limits)
            .min()
    }

    /// A probe is asked.
    pub fn probe_asked(&self) -> bool {
        self.probe.is_some()
    }

    /// A sign of life while evidence of its silence is kept: it is not hung.
    fn spoke_after_all(&mut self, what: Sign) {
        self.hung.take_if(|hung| hung.silent.is_some_and(|(silent, _)| silent == what));
    }

    fn silence(&self, what: Sign) -> Option<Silence> {
        match what {
            Sign::Stopped => self.stopped,
            Sign::Library => self.heard,
            Sign::Watchdog => self.watched,
        }
    }

    /// The silence of which a limit runs.
    pub fn silence_mut(&mut self, what: Sign) -> Option<&mut Silence> {
        match what {
            Sign::Stopped => self.stopped.as_mut(),
            Sign::Library => self.heard.as_mut(),
            Sign::Watchdog => self.watched.as_mut(),
        }
    }
}

/// Whether silence means anything now.
fn judged(known: &Application) -> bool {
    known.pid.is_some()
        && known.life.hung.is_none()
        && !known.assigned.hands_off
        && matches!(known.phase, Phase::Initializing | Phase::Started | Phase::Unavailable)
}

/// It is being told its role, which has a time of its own.
fn changes_role(known: &Application) -> bool {
    known.role.as_ref().is_some_and(|role| matches!(role.part, Part::Promoting | Part::Demoting))
}

/// The limits that are running.
pub fn limits(known: &Application) -> [Option<Limit>; 3] {
    if !judged(known) {
        return [None, None, None];
    }
    let life = &known.life;
    let hang_limit = known.spec().conduct.hang_limit;
    let asked = life.heartbeat && known.attached && life.ping > 0 && !life.answered && !changes_role(known);
    let running = |what, limit: Option<Duration>, usual: u32| {
        let (since, limit) = (life.silence(what)?.since(), limit?);
        Some(Limit { what, limit, looked_at_from: since + limit / 4 * usual, over: since + limit })
    };
    [
        running(Sign::Stopped, hang_limit, 0),
        running(Sign::Library, hang_limit, 0).filter(|_| asked),
        running(Sign::Watchdog, watchdog(known), 3),
    ]
}

fn describe(known: &Application, limit: &Limit) -> String {
    let seconds = limit.limit.as_secs_f64();
    let text = match limit.what {
        Sign::Stopped => format!("stopped by a signal for {seconds} s"),
        Sign::Library => format!("its library said nothing for {seconds} s, though asked"),
        Sign::Watchdog => format!("its watchdog heard nothing for {seconds} s"),
    };
    match known.life.silence(limit.what).map(Silence::given).filter(|given| !given.is_zero()) {
        Some(given) => {
            format!(
                "{text}, besides {:.2} s in which this agent was late or it got no core",
                given.as_secs_f64()
            )
        }
        None => text,
    }
}

fn watchdog(known: &Application) -> Option<Duration> {
    known.life.watchdog_every.or(known.spec().conduct.watchdog)
}

impl Agent {
    /// A process runs: from now on it is looked at.
    pub(super) fn begin_life(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        known.life = Life::default();
        if known.spec().conduct.probe.is_some() {
            known.life.probe_due = Some(now);
        }
        // One with the library answers pings, unless its library is an old one; that is known when it attaches.
        if !known.speaks() {
            self.look(name, out);
        }
    }

    /// Has its process looked at.
    pub(super) fn look(&self, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get(name) else { return };
        if let (Some(limit), Some(start)) = (known.spec().conduct.hang_limit, known.start) {
            out.process.push(AgentDo::Look { application: name.clone(), start, limit });
        }
    }

    /// It is ready: its watchdog begins.
    pub(super) fn ready_to_be_watched(&mut self, now: Moment, name: &ApplicationName) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.spec().interface == Interface::Notify && watchdog(known).is_some() {
            known.life.watched.get_or_insert(Silence::new(now));
        }
    }

    /// It said something over its link.
    pub(super) fn heard(&mut self, now: Moment, name: &ApplicationName, pong: Option<u64>) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let limit = known.spec().conduct.hang_limit;
        let life = &mut known.life;
        life.heard.get_or_insert(Silence::new(now)).broken_at(now);
        life.spoke_after_all(Sign::Library);
        life.answered |= pong == Some(life.ping);
        if let Some(limit) = limit.filter(|_| life.heartbeat) {
            life.ping_due.get_or_insert(now + (limit / 2).max(SHORTEST_PING));
        }
    }

    /// Its state was seen to change between stopped and running; `running` is when it was last seen to run.
    pub(super) fn looked(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        start: StartId,
        stopped: bool,
        running: Moment,
    ) {
        let Some(known) = self.applications.get_mut(name).filter(|known| known.start == Some(start)) else {
            return;
        };
        let limit = known.spec().conduct.hang_limit.unwrap_or_default();
        if !stopped {
            known.life.spoke_after_all(Sign::Stopped);
        }
        known.life.stopped = stopped.then(|| {
            let mut silence = Silence::new(running);
            // It is looked at several times within its limit. If the last look lies further back, the agent was late.
            silence.at_most(now, limit / 2);
            silence
        });
    }

    /// Nobody needs the answer of a probe any more.
    pub(super) fn drop_probe(&mut self, name: &ApplicationName, out: &mut Out) {
        let probe = self.applications.get_mut(name).and_then(|known| known.life.probe.take());
        if let Some(start) = probe {
            out.process.push(AgentDo::KillTree { application: name.clone(), start });
        }
    }

    /// A sign of life to its watchdog, or a cry for help.
    pub(super) fn watchdog_heard(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        said: Watchdog,
        out: &mut Out,
    ) {
        let Some(known) = self.applications.get_mut(name) else { return };
        match said {
            Watchdog::Alive => {
                if let Some(watched) = &mut known.life.watched {
                    watched.broken_at(now);
                }
                known.life.spoke_after_all(Sign::Watchdog);
            }
            Watchdog::Broken if judged(known) => {
                self.hung(
                    now,
                    name,
                    "it said itself that it is broken (WATCHDOG=trigger)".to_owned(),
                    None,
                    out,
                );
            }
            // Whatever else was silent: with its own word against it, nothing excuses it any more.
            Watchdog::Broken => {
                if let Some(hung) = &mut known.life.hung {
                    hung.silent = None;
                }
            }
        }
    }

    /// Looks at everything that is due of one application.
    pub(super) fn live(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        known.life.hung.take_if(|_| known.assigned.hands_off);
        if let Some(hung) = known.life.hung.as_mut().filter(|hung| hung.by <= now) {
            // Evidence, and a word of it, may wait in the inbox of an agent that got no core either.
            if now.since(hung.by) > LATE && !std::mem::replace(&mut hung.waited_late, true) {
                hung.by = now + EVIDENCE_WITHIN;
                return;
            }
            return self.kill_hung(name, "none could be had in time", out);
        }
        if known.pid.is_none() {
            return;
        }
        if let Some(limit) = limits(known).into_iter().flatten().find(|limit| limit.over <= now) {
            let why = describe(known, &limit);
            return self.hung(now, name, why, Some((limit.what, limit.limit)), out);
        }
        self.ping(now, name, out);
        self.probe(now, name, out);
    }

    fn ping(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.life.ping_due.is_none_or(|due| due > now) {
            return;
        }
        known.life.ping_due = None;
        let (Some(start), true) = (known.start, known.attached) else { return };
        let limit = known.spec().conduct.hang_limit.unwrap_or_default();
        known.life.ping += 1;
        known.life.answered = false;
        if let Some(heard) = &mut known.life.heard {
            // However late it is asked, it has half its time to answer.
            heard.at_most(now, limit / 2);
        }
        let message = ToApplication::Ping(known.life.ping);
        out.says.push(AgentDo::Say { application: name.clone(), start, message });
    }

    fn probe(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let incarnation = self.incarnation;
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.life.probe_deadline.take_if(|deadline| *deadline <= now).is_some()
            && let Some(hook) = known.life.probe
        {
            // It is counted when it is gone.
            out.process.push(AgentDo::KillTree { application: name.clone(), start: hook });
        }
        if known.life.probe_due.take_if(|due| *due <= now).is_none() {
            return;
        }
        let (Some(probe), Some(start)) = (known.spec().conduct.probe.clone(), known.start) else {
            // It was taken out of the settings while it ran: it says no more when a program is ready.
            if known.phase == Phase::Initializing && known.spec().interface == Interface::Plain {
                self.trigger(now, name, Trigger::Ready, out);
            }
            return;
        };
        self.hooks += 1;
        let id = StartId::of_hook(incarnation, self.hooks);
        known.life.probe = Some(id);
        known.life.probe_late = false;
        let application = name.clone();
        match probe.ask {
            Ask::Exec(command) => {
                known.life.probe_deadline = Some(now + probe.timeout);
                let run_mode = known.run_mode;
                let epoch = known.role.as_ref().and_then(|role| role.role.as_ref());
                out.process.push(AgentDo::RunHook(HookRun {
                    application,
                    start,
                    hook: id,
                    kind: HookKind::Probe,
                    act: HookAct::Command(command),
                    user: known.spec().conduct.hooks.user.clone(),
                    epoch: epoch.map_or(known.started_in, |role| role.epoch),
                    spec: known.spec().clone(),
                    pair: known.assigned.pair.clone(),
                    run_mode: if run_mode == RunMode::Primary { run_mode } else { RunMode::Backup },
                    held: false,
                }));
            }
            ask @ (Ask::Tcp(_) | Ask::Http(_)) => {
                out.process.push(AgentDo::Probe { application, probe: id, ask, timeout: probe.timeout });
            }
        }
    }

    /// The answer to a probe; true if it was one.
    pub(super) fn probed(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        id: StartId,
        failed: Option<&str>,
        out: &mut Out,
    ) -> bool {
        let Some(known) = self.applications.get_mut(name) else { return false };
        if known.life.probe.take_if(|probe| *probe == id).is_none() {
            return false;
        }
        let Some(probe) = known.spec().conduct.probe.clone() else { return true };
        let changes = changes_role(known);
        known.life.probe_deadline = None;
        known.life.probe_due = known.pid.is_some().then(|| now + probe.interval);
        let Some(why) = failed else {
            known.life.failures = 0;
            known.life.excused = 0;
            if known.phase == Phase::Initializing && known.spec().interface == Interface::Plain {
                self.trigger(now, name, Trigger::Ready, out);
            }
            return true;
        };
        if known.phase == Phase::Initializing {
            known.problem = format!("its probe does not answer yet: {why}");
        } else if judged(known) && !changes {
            if known.life.probe_late && known.life.excused < probe.failures {
                known.life.excused += 1;
                let reason =
                    format!("this agent was late itself while {name} was asked: {why} is not counted");
                out.quiet.push(Because::new(Rule::OwnDelay, reason));
                return true;
            }
            known.life.failures += 1;
            if known.life.failures >= probe.failures {
                let why = format!("its probe failed {} times in a row: {why}", probe.failures);
                self.hung(now, name, why, None, out);
            }
        }
        true
    }

    /// It is hung: what can be seen of it is kept, and then it is killed.
    fn hung(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        why: String,
        silent: Option<(Sign, Duration)>,
        out: &mut Out,
    ) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let Some(start) = known.start else { return };
        known.life.hung = Some(Hung { why, by: now + EVIDENCE_WITHIN, silent, waited_late: false });
        out.process.push(AgentDo::KeepEvidence { application: name.clone(), start });
    }

    /// What could be seen of a hung process. One that waits for a processor is silent without its fault, and gets more time, as
    /// if this agent had been late; how much in one silence is bounded.
    pub(super) fn evidence(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        start: StartId,
        (text, waits_for_core): (&str, bool),
        out: &mut Out,
    ) {
        let known = self.applications.get_mut(name).filter(|known| known.start == Some(start));
        let Some(known) = known else { return };
        known.life.hung.take_if(|_| known.assigned.hands_off);
        let life = &mut known.life;
        let Some(Hung { why, silent, .. }) = &life.hung else { return };
        let (why, silent) = (why.clone(), *silent);
        // One that is stopped waits for nobody.
        let silent = silent.filter(|(what, _)| waits_for_core && *what != Sign::Stopped);
        if let Some((what, limit)) = silent
            && life.silence_mut(what).is_some_and(|silence| silence.give(now, limit / 2, limit))
        {
            life.hung = None;
            let reason = format!("{why}; a thread of {name} waits for a core: it gets more time");
            return out.quiet.push(Because::new(Rule::WaitsForCore, reason).fact("what it was doing", text));
        }
        self.kill_hung(name, text, out);
    }

    fn kill_hung(&mut self, name: &ApplicationName, evidence: &str, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let Some(Hung { why, .. }) = known.life.hung.take() else { return };
        if known.pid.is_none() {
            return;
        }
        known.problem = format!("hung: {why}");
        known.stopping = Some(StopReason::Hung);
        known.life.stopped = None;
        let again = known.spec().restart != RestartPolicy::Never;
        let because = Because::new(Rule::Hung, format!("{why}: killed"))
            .fact("what it was doing", evidence)
            .fact("started again", if again { "yes" } else { "no: restart = \"never\"" });
        out.events.push(self.event(EventKind::Anomaly, Severity::Warning, name, because));
        self.kill(name, out);
    }
}

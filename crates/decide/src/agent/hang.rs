//! Signs of life: what an application must show within its limits, and what follows when it does not.
//!
//! Refuses to know how a process is looked at or asked. The law: silence is counted from the last sign of life that was
//! seen; an agent that was itself late gives its applications their time once more before it blames them; a hung process
//! is looked at before it is killed, and that never takes long.

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
use super::role::Part;
use super::{Agent, AgentDo, HookAct, HookKind, HookRun, StartId};

/// How long evidence may take before a hung process is killed without it.
const EVIDENCE_WITHIN: Duration = Duration::from_millis(25);
/// A deadline of its own that an agent meets later than this was met late.
const LATE: Duration = Duration::from_millis(100);
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
    /// The last sign of life over its link.
    heard: Option<Moment>,
    /// When it is asked again.
    ping_due: Option<Moment>,
    /// It asked for this watchdog itself.
    pub watchdog_every: Option<Duration>,
    /// The last sign of life to the watchdog; absent until it is ready.
    pub watched: Option<Moment>,
    /// It is stopped by a signal, and was last seen running then.
    pub stopped: Option<Moment>,
    /// When the probe is asked next.
    probe_due: Option<Moment>,
    /// The probe that is asked.
    probe: Option<StartId>,
    /// When its answer is late.
    probe_deadline: Option<Moment>,
    /// Failures in a row.
    failures: u32,
    /// The silence that is judged was already given its time once more.
    patient: bool,
    /// It is hung, why, and when it is killed at the latest.
    hung: Option<(String, Moment)>,
}

/// What is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    Stopped,
    Library,
    Watchdog,
}

impl Life {
    /// The next moment at which something is due.
    pub fn next(&self, application: &Application) -> Option<Moment> {
        let limits = limits(application).into_iter().flatten().map(|(due, _)| due);
        [self.ping_due, self.probe_due, self.probe_deadline, self.hung.as_ref().map(|hung| hung.1)]
            .into_iter()
            .flatten()
            .chain(limits)
            .min()
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

/// The limits that are running: when each is over, and what is silent then.
fn limits(known: &Application) -> [Option<(Moment, Silence)>; 3] {
    if !judged(known) {
        return [None; 3];
    }
    let life = &known.life;
    let limit = known.spec().conduct.hang_limit;
    let asked = life.heartbeat && known.attached && !life.answered && !changes_role(known);
    let over = |since: Option<Moment>, limit: Option<Duration>, what| Some((since? + limit?, what));
    [
        over(life.stopped, limit, Silence::Stopped),
        over(life.heard.filter(|_| asked), limit, Silence::Library),
        over(life.watched, watchdog(known), Silence::Watchdog),
    ]
}

fn describe(known: &Application, silence: Silence) -> String {
    let limit = match silence {
        Silence::Stopped | Silence::Library => known.spec().conduct.hang_limit,
        Silence::Watchdog => watchdog(known),
    };
    let seconds = limit.unwrap_or_default().as_secs_f64();
    match silence {
        Silence::Stopped => format!("stopped by a signal for {seconds} s"),
        Silence::Library => format!("its library said nothing for {seconds} s, though asked"),
        Silence::Watchdog => format!("its watchdog heard nothing for {seconds} s"),
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
            known.life.watched.get_or_insert(now);
        }
    }

    /// It said something over its link.
    pub(super) fn heard(&mut self, now: Moment, name: &ApplicationName, pong: Option<u64>) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let limit = known.spec().conduct.hang_limit;
        let life = &mut known.life;
        life.heard = Some(now);
        life.patient = false;
        life.answered |= pong == Some(life.ping);
        if let Some(limit) = limit.filter(|_| life.heartbeat) {
            life.ping_due.get_or_insert(now + (limit / 2).max(SHORTEST_PING));
        }
    }

    /// Its state was seen to change between stopped and running; `running` is when it was last seen to run.
    pub(super) fn looked(&mut self, name: &ApplicationName, start: StartId, stopped: bool, running: Moment) {
        let Some(known) = self.applications.get_mut(name).filter(|known| known.start == Some(start)) else {
            return;
        };
        known.life.stopped = stopped.then_some(running);
        known.life.patient &= stopped;
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
                known.life.patient = false;
                if let Some(watched) = &mut known.life.watched {
                    *watched = now;
                }
            }
            Watchdog::Broken if judged(known) => {
                self.hung(now, name, "it said itself that it is broken (WATCHDOG=trigger)".to_owned(), out);
            }
            Watchdog::Broken => {}
        }
    }

    /// Looks at everything that is due of one application.
    pub(super) fn live(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.life.hung.as_ref().is_some_and(|(_, by)| *by <= now) {
            return self.kill_hung(name, "none could be had in time", out);
        }
        if known.pid.is_none() {
            return;
        }
        let over = limits(known).into_iter().flatten().find(|(due, _)| *due <= now);
        if let Some((due, silence)) = over {
            // Whoever is late itself cannot say that another was: the silence may be its own.
            if now.since(due) > LATE && !std::mem::replace(&mut known.life.patient, true) {
                return self.give_time(now, name, now.since(due), out);
            }
            let why = describe(known, silence);
            return self.hung(now, name, why, out);
        }
        self.ping(now, name, out);
        self.probe(now, name, out);
    }

    fn give_time(&mut self, now: Moment, name: &ApplicationName, late: Duration, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let life = &mut known.life;
        for moment in [&mut life.heard, &mut life.watched, &mut life.stopped].into_iter().flatten() {
            *moment = now;
        }
        let reason =
            format!("this agent was {} ms late itself: {name} has its time once more", late.as_millis());
        out.quiet.push(Because::new(Rule::OwnDelay, reason));
    }

    fn ping(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.life.ping_due.is_none_or(|due| due > now) {
            return;
        }
        known.life.ping_due = None;
        let (Some(start), true) = (known.start, known.attached) else { return };
        known.life.ping += 1;
        known.life.answered = false;
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
        let due = known.life.probe_due.is_some_and(|due| due <= now);
        let (true, Some(probe), Some(start)) = (due, known.spec().conduct.probe.clone(), known.start) else {
            return;
        };
        self.hooks += 1;
        let id = StartId::of_hook(incarnation, self.hooks);
        known.life.probe_due = None;
        known.life.probe = Some(id);
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
            if known.phase == Phase::Initializing && known.spec().interface == Interface::Plain {
                self.trigger(now, name, Trigger::Ready, out);
            }
            return true;
        };
        if known.phase == Phase::Initializing {
            known.problem = format!("its probe does not answer yet: {why}");
        } else if judged(known) && !changes {
            known.life.failures += 1;
            if known.life.failures >= probe.failures {
                let why = format!("its probe failed {} times in a row: {why}", probe.failures);
                self.hung(now, name, why, out);
            }
        }
        true
    }

    /// It is hung: what can be seen of it is kept, and then it is killed.
    fn hung(&mut self, now: Moment, name: &ApplicationName, why: String, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let Some(start) = known.start else { return };
        known.life.hung = Some((why, now + EVIDENCE_WITHIN));
        out.process.push(AgentDo::KeepEvidence { application: name.clone(), start });
    }

    /// What could be seen of a hung process.
    pub(super) fn evidence(&mut self, name: &ApplicationName, start: StartId, text: &str, out: &mut Out) {
        let known = self.applications.get(name).filter(|known| known.start == Some(start));
        if known.is_some_and(|known| known.life.hung.is_some()) {
            self.kill_hung(name, text, out);
        }
    }

    fn kill_hung(&mut self, name: &ApplicationName, evidence: &str, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        let Some((why, _)) = known.life.hung.take() else { return };
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

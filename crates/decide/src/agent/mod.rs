//! The agent's mind: one host's applications, their lives and their roles.
//!
//! It knows orders, processes and application links only as observations; it refuses to know how a process is started
//! or where a promise is kept. The law: what could fail to be stored never shares a decision with starting, signalling
//! or killing, so a full disk loses no action; and nothing is answered before it is durable (invariant S3).

mod acts;
mod adoption;
mod after;
pub mod application;
mod aside;
mod clocks;
mod confirm;
mod grants;
mod hang;
mod hooks;
mod in_sync;
mod leave;
pub mod lifecycle;
mod notices;
mod orders;
mod out;
mod pages;
mod patience;
mod processes;
pub mod role;
mod saw;
mod speech;
mod telling;
mod votes;

pub use acts::*;
pub use leave::Leaving;
pub use saw::*;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use application::Application;
use out::{Out, Unstored};
use serde::{Deserialize, Serialize};
use understudy_model::{
    AgentId, ApplicationName, ApplicationStatus, ControllerEpoch, ControllerName, Decision, Event, EventKind,
    GrantReport, HostName, Incarnation, Inventory, Lane, Machine, Moment, PairName, Severity, Subject,
};

use crate::grants::holder::Page;

/// How long something that could not be stored is left before it is tried again.
pub const STORE_RETRY: Duration = Duration::from_secs(1);

/// A control server's connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Controller {
    name: ControllerName,
    epoch: ControllerEpoch,
}

/// One host's deciding machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Agent {
    host: HostName,
    agent: AgentId,
    incarnation: Incarnation,
    controller_epoch: ControllerEpoch,
    /// Which leadership had that number, if it is known.
    obeyed: Option<Incarnation>,
    controllers: BTreeMap<LinkId, Controller>,
    applications: BTreeMap<ApplicationName, Application>,
    durable: BTreeMap<PairName, DurableRole>,
    /// The grants of the pairs with `policy = "strict"`.
    grants: BTreeMap<PairName, grants::PairGrants>,
    /// The hosts to whose agent the link is open.
    peers: BTreeSet<HostName>,
    /// The clocks of other voters, held against the own one.
    clocks: clocks::Clocks,
    /// The agents that it keeps a link to, as last told.
    kept_peers: Option<Vec<Peer>>,
    /// What members said of who has everything, on its way.
    words: in_sync::Words,
    /// The guard is there.
    guard_up: bool,
    /// It was said that one is needed.
    guard_needed: bool,
    /// What each page was last told.
    shown: BTreeMap<ApplicationName, Page>,
    /// What the guard was last told.
    guarded: BTreeMap<ApplicationName, (StartId, Moment)>,
    /// The same for hooks.
    guarded_hooks: BTreeMap<StartId, (ApplicationName, Moment)>,
    starts: u64,
    /// Runs of hooks so far.
    hooks: u64,
    /// Process actions that waited for a decision without anything to store.
    held: Vec<AgentDo>,
    /// What the last decision wanted stored, until the next observation says whether it was.
    unstored: Vec<Unstored>,
    /// A table of assignments could not be stored, and may be on the disk all the same.
    table_unknown: bool,
    /// Something is due now.
    settle: bool,
    /// The moment of this step is no older than its observation: nobody slept in between.
    fresh: bool,
    /// The host leaves.
    leave: Option<leave::Leave>,
    /// When it looks at its own clock, as somebody is silent.
    pulse: Option<Moment>,
    /// The latest moment of which it has heard.
    clock: Moment,
}

impl Agent {
    /// A machine at the start of a life; its first observation must be [`AgentSaw::Awake`].
    pub fn new(host: HostName, incarnation: Incarnation, memory: AgentMemory) -> Self {
        let applications = memory
            .assignments
            .into_iter()
            .map(|assigned| (assigned.application.clone(), Application::new(assigned, Moment::default())))
            .collect();
        Self {
            host,
            agent: memory.agent,
            incarnation,
            controller_epoch: memory.controller_epoch,
            obeyed: memory.obeyed,
            controllers: BTreeMap::new(),
            applications,
            durable: memory.roles,
            grants: BTreeMap::new(),
            peers: BTreeSet::new(),
            clocks: clocks::Clocks::default(),
            kept_peers: None,
            words: in_sync::Words::default(),
            guard_up: false,
            guard_needed: false,
            shown: BTreeMap::new(),
            guarded: BTreeMap::new(),
            guarded_hooks: BTreeMap::new(),
            starts: 0,
            hooks: 0,
            held: Vec::new(),
            unstored: Vec::new(),
            table_unknown: false,
            settle: false,
            fresh: false,
            leave: None,
            pulse: None,
            clock: Moment::default(),
        }
    }

    /// Everything, as it would be told to a control server now.
    pub fn inventory(&self) -> Inventory {
        Inventory {
            host: self.host.clone(),
            agent: self.agent,
            incarnation: self.incarnation,
            controller_epoch: self.controller_epoch,
            applications: self
                .applications
                .values()
                .map(|known| known.report(self.durable_of(known), self.grant_report(known.name())))
                .collect(),
        }
    }

    /// The applications of this host, for those who look.
    pub fn applications(&self) -> impl Iterator<Item = &Application> {
        self.applications.values()
    }

    /// How many control servers are connected and obeyed.
    pub fn controllers_heard(&self) -> usize {
        self.controllers.len()
    }

    fn durable_of(&self, application: &Application) -> Option<&DurableRole> {
        self.durable.get(&application.role.as_ref()?.place.pair)
    }

    fn subject(&self, application: &ApplicationName) -> Subject {
        let pair = self.applications.get(application).and_then(|known| known.assigned.pair.as_ref());
        Subject {
            host: Some(self.host.clone()),
            application: Some(application.clone()),
            pair: pair.map(|place| place.pair.clone()),
        }
    }

    fn event(
        &self,
        kind: EventKind,
        severity: Severity,
        application: &ApplicationName,
        because: understudy_model::Because,
    ) -> Event {
        let about = self.subject(application);
        Event::new(kind, severity, about, because)
    }

    /// Reports every application that differs from what was last reported.
    ///
    /// While an epoch of a living process waits to be closed its report is held back: a control server must not read
    /// "does not act" before "will never act again" is durable (G5). One that still acts is reported, and one that is being
    /// killed too, in the role that was reported before: it may never end, and then its epoch stays open.
    fn report_changes(&mut self, out: &mut Out) {
        let mut votes: BTreeMap<ApplicationName, GrantReport> = BTreeMap::new();
        if !self.grants.is_empty() {
            let voting =
                self.applications.keys().filter_map(|name| Some((name.clone(), self.grant_report(name)?)));
            votes.extend(voting);
        }
        let durable = &self.durable;
        for (name, application) in &mut self.applications {
            let role = application.role.as_ref().and_then(|role| durable.get(&role.place.pair));
            let mut report = application.report(role, votes.remove(name));
            let acts = report.role.as_ref().is_some_and(|role| role.acting.is_some());
            if application.closing() && application.pid.is_some() && !acts {
                let killed = report.status == ApplicationStatus::StopPending;
                let Some(before) = application.reported.as_ref().filter(|_| killed) else { continue };
                report.role.clone_from(&before.role);
            }
            if application.reported.as_ref() != Some(&report) {
                application.reported = Some(report.clone());
                out.reports.push(AgentDo::Report(report));
            }
        }
        // A removal that is not durable yet may be taken back.
        let removable = out.persist.is_empty();
        self.applications.retain(|_, application| {
            !(removable
                && application.dropped
                && application.pid.is_none()
                && !application.closing()
                && application.phase == lifecycle::Phase::Stopped)
        });
    }

    /// Closes every epoch that is due: durable first, answered after.
    fn close_due(&mut self, now: Moment, out: &mut Out) {
        let mut due = Vec::new();
        for (name, application) in &mut self.applications {
            let Some(role) = &mut application.role else { continue };
            if role.part == role::Part::Idle && role.closing.is_none() {
                // A member that does not act has no open epoch: after a restart, or a change of its pair (G7).
                let durable = self.durable.get(&role.place.pair);
                let open = durable.filter(|durable| {
                    durable
                        .promised
                        .as_ref()
                        .is_some_and(|promised| promised.holder == *name && promised.epoch > durable.closed)
                });
                if let Some(promised) = open.and_then(|durable| durable.promised.as_ref()) {
                    role.close(promised.epoch, now, []);
                }
            }
            if !application.may_close() {
                continue;
            }
            let Some(role) = &mut application.role else { continue };
            let Some(closing) = role.closing.take_if(|closing| closing.due <= now) else { continue };
            due.push((name.clone(), role.place.pair.clone(), closing));
        }
        // The guard may let go of what was closed.
        self.settle |= !due.is_empty();
        for (name, pair, closing) in due {
            let closes = self.close_grant(&pair, &name, closing.epoch, out);
            let durable = self.durable.entry(pair.clone()).or_default();
            let former = durable.closed;
            for (waiting, outcome) in &closing.answers {
                out.answer(*waiting, outcome.clone());
            }
            if closes && closing.epoch > former {
                durable.closed = closing.epoch;
                out.persist.push(AgentRecord::Close { pair: pair.clone(), epoch: closing.epoch });
                self.unstored.push(Unstored::Close { application: name, pair, former, closing });
            }
        }
    }
}

impl Machine for Agent {
    type Saw = AgentSaw;
    type Persist = AgentRecord;
    type Act = AgentDo;

    fn step(&mut self, now: Moment, saw: AgentSaw) -> Decision<AgentRecord, AgentDo> {
        let mut out = Out::default();
        out.process.append(&mut self.held);
        self.settle = false;
        self.notice_own_lateness(now, &mut out);
        let unstored = std::mem::take(&mut self.unstored);
        if !matches!(saw, AgentSaw::StoreFailed { .. }) {
            self.stored(now, &unstored);
        }
        let awakes = matches!(saw, AgentSaw::Awake { .. });
        let calm = awakes || saw == AgentSaw::DeadlinePassed;
        self.fresh = calm;
        match saw {
            AgentSaw::Awake { found, pages } => self.awake(now, found, pages, &mut out),
            AgentSaw::ControllerJoined { link, controller, controller_epoch, lineage } => {
                self.join(now, link, controller, controller_epoch, &lineage, &mut out);
            }
            AgentSaw::ControllerLeft { link } => {
                self.controllers.remove(&link);
            }
            AgentSaw::Ordered { link, order } => self.order(now, link, order, &mut out),
            AgentSaw::Spawned { application, start, pid } => {
                self.spawned(now, &application, start, pid, &mut out)
            }
            AgentSaw::SpawnFailed { application, start, why } => {
                self.spawn_failed(now, &application, start, why, &mut out);
            }
            AgentSaw::Ended { application, start, cause, others_live, last_words } => {
                let end = processes::End { cause, others_live, last_words };
                self.ended(now, &application, start, end, &mut out);
            }
            AgentSaw::TreeGone { application, start } => self.tree_gone(now, &application, start, &mut out),
            AgentSaw::Said { application, start, said } => {
                self.said(now, &application, start, said, &mut out)
            }
            AgentSaw::ApplicationLeft { application, start } => self.left(now, &application, start),
            AgentSaw::HookEnded { application, hook, failed, said } => {
                self.hook_ended(now, &application, hook, failed, &said, &mut out);
            }
            AgentSaw::Noticed { application, start, notice } => {
                self.noticed(now, &application, start, notice, &mut out);
            }
            AgentSaw::MainChanged { application, start, pid } => self.main_changed(&application, start, pid),
            AgentSaw::Looked { application, start, stopped, running } => {
                self.looked(now, &application, start, stopped, running);
            }
            AgentSaw::Evidence { application, start, text, waits_for_core } => {
                self.evidence(now, &application, start, (&text, waits_for_core), &mut out);
            }
            AgentSaw::StoreFailed { records, why } => {
                self.store_failed(now, unstored, &records, &why, &mut out);
            }
            AgentSaw::LeaveAsked { limit } => self.begin_leave(now, limit, &mut out),
            AgentSaw::LeaveTakenBack => self.end_leave(&mut out),
            AgentSaw::PeerJoined { host } => self.peer_joined(host, &mut out),
            AgentSaw::PeerLeft { host } => {
                self.peers.remove(&host);
            }
            AgentSaw::PeerAsked { host, ask } => self.peer_asked(now, host, ask, &mut out),
            AgentSaw::PeerVoted { host, answer } => self.peer_voted(now, &host, answer, &mut out),
            AgentSaw::PeerReleased { host, release } => self.peer_released(&host, release),
            AgentSaw::PeerRemembers { host, remembered } => {
                self.peer_remembers(now, &host, remembered, &mut out);
            }
            AgentSaw::ControllerVoted { link, answer } => {
                self.controller_voted(now, link, answer, &mut out);
            }
            AgentSaw::InSyncAnswered { link, answer } => self.in_sync_answered(link, answer),
            AgentSaw::GuardChanged { up } => self.guard_changed(up, &mut out),
            AgentSaw::GuardRefused { application, start, why } => {
                self.guard_refused(&application, start, &why, &mut out);
            }
            AgentSaw::GuardFired { application, start } => self.guard_fired(&application, start, &mut out),
            AgentSaw::DeadlinePassed => {}
        }
        self.go_on_leaving(now);
        if self.assignments_hold() {
            self.settle_grants(now, &mut out);
        }
        self.look_at_grants(now, &mut out);
        self.deadlines(now, &mut out);
        // One that needed no stop makes way for the next.
        self.go_on_leaving(now);
        self.confirm_waiting(now, &mut out);
        self.settle_words(&mut out);
        self.show(&mut out);
        // Never together with the news that led to it: a control server waits for the report of an exit, and the disk
        // need not be waited for before it is told (`docs/decisions/0002-exit-before-release.md`).
        if calm && out.persist.is_empty() && (awakes || !out.speaks()) {
            self.close_due(now, &mut out);
        }
        // Observations may come in out of order. A clock that goes back would make the next look seem late.
        self.clock = self.clock.max(now);
        self.report_changes(&mut out);
        self.set_pulse();
        if !out.persist.is_empty() {
            self.held.append(&mut out.process);
        }
        out.decision(|| self.inventory())
    }

    fn next_deadline(&self) -> Option<Moment> {
        if self.settle || !self.held.is_empty() {
            return Some(Moment::default());
        }
        let due = |application: &Application| {
            let role = application.role.as_ref();
            [
                application.phase_deadline,
                application.link_deadline,
                application.hook.as_ref().and_then(|hook| hook.deadline),
                application.life.next(application),
                role.and_then(|role| role.deadline),
                role.and_then(|role| role.closing.as_ref())
                    .filter(|_| application.may_close())
                    .map(|closing| closing.due),
            ]
            .into_iter()
            .flatten()
            .min()
        };
        self.applications
            .values()
            .filter_map(due)
            .chain(self.leave_deadline())
            .chain(self.grants_deadline())
            .chain(self.pulse)
            .min()
    }

    fn deadline_passed() -> AgentSaw {
        AgentSaw::DeadlinePassed
    }

    fn lane(saw: &AgentSaw) -> Lane {
        match saw {
            AgentSaw::Said { .. }
            | AgentSaw::ApplicationLeft { .. }
            | AgentSaw::Noticed { .. }
            | AgentSaw::MainChanged { .. } => Lane::Programs,
            AgentSaw::PeerAsked { .. } | AgentSaw::PeerVoted { .. } | AgentSaw::ControllerVoted { .. } => {
                Lane::Repeated
            }
            _ => Lane::Own,
        }
    }

    fn aside(&mut self, now: Moment, saw: &AgentSaw) -> Option<Decision<AgentRecord, AgentDo>> {
        self.take_aside(now, saw)
    }

    fn aside_deadline(&self) -> Option<Moment> {
        self.asks_aside_at()
    }

    fn aside_passed(&mut self, now: Moment) -> Decision<AgentRecord, AgentDo> {
        self.ask_aside(now)
    }

    fn store_failed(records: Vec<AgentRecord>, why: String, _definite: bool) -> AgentSaw {
        AgentSaw::StoreFailed { records, why }
    }
}

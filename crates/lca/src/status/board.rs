//! What the agent's machine last showed, pinned up for those who look.
//!
//! Refuses to know who looks. The law: a picture is pinned up after each decision was carried out and before the next
//! observation is taken, so nobody reads what the machine has already taken back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use understudy_decide::agent::Agent;
use understudy_decide::agent::role::Part;
use understudy_model::{
    ApplicationName, ApplicationStatus, Epoch, Event, HostName, Incarnation, PairName, RunMode,
};
use understudy_transport::LinkTally;

use crate::application_links::ApplicationLinks;
use crate::links::Links;
use crate::peers::Peers;
use crate::platform::Platform;

/// Everything that is shown, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// One for each assigned application, by name.
    pub applications: BTreeMap<ApplicationName, Shown>,
    /// How many clocks of other voters are doubted, or the own one for them.
    pub clock_doubts: u64,
}

/// One application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Of which pair.
    pub pair: Option<PairName>,
    /// What it is.
    pub status: ApplicationStatus,
    /// What it last confirmed to be.
    pub run_mode: RunMode,
    /// What it does in its role; absent for a single application.
    pub part: Option<Part>,
    /// In which epoch it acts.
    pub epoch: Option<Epoch>,
    /// Starts by the agent itself since it was last asked to start it.
    pub restarts: u32,
    /// It is not started again before an operator asks.
    pub gave_up: bool,
}

impl Picture {
    /// What that machine shows now.
    pub fn of(agent: &Agent) -> Self {
        let shown = agent.applications().map(|application| {
            let report = application.report(None, None);
            let role = application.role.as_ref();
            let shown = Shown {
                pair: role.map(|role| role.place.pair.clone()),
                status: report.status,
                run_mode: report.run_mode,
                part: role.map(|role| role.part),
                epoch: role.and_then(|role| role.role.as_ref()).map(|role| role.epoch),
                restarts: report.restarts,
                gave_up: report.gave_up,
            };
            (report.application, shown)
        });
        Self { applications: shown.collect(), clock_doubts: agent.clock_doubts().count() as u64 }
    }
}

/// The board. One for each agent.
pub struct Board {
    host: HostName,
    incarnation: Incarnation,
    picture: Mutex<Arc<Picture>>,
    counts: Mutex<Counts>,
    decisions: AtomicU64,
    links: Box<dyn Fn() -> LinkFigures + Send + Sync>,
}

/// What only grows.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Events told, by the word of their kind.
    pub events: BTreeMap<&'static str, u64>,
    /// Answers on the status port, by HTTP status.
    pub answers: BTreeMap<u16, u64>,
}

/// What the links count; figures of a new kind of link belong here.
#[derive(Debug, Clone, Default)]
pub struct LinkFigures {
    /// Control servers that are welcome now.
    pub control_links: u64,
    /// Applications that are connected now.
    pub application_links: u64,
    /// What happened on the links of control servers since the start.
    pub control: LinkTally,
    /// Connections of applications that were taken since the start.
    pub application_connects: u64,
    /// Agents of other hosts that are linked now.
    pub peer_links: u64,
    /// What happened on the links to them since the start.
    pub peer: LinkTally,
    /// What was refused on links: the kind of link, the reason, how often.
    pub refusals: Vec<(&'static str, &'static str, u64)>,
}

/// Everything that figures are made from.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Whose they are.
    pub host: HostName,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The newest picture.
    pub picture: Arc<Picture>,
    /// What only grows.
    pub counts: Counts,
    /// Decisions of the machine in this life.
    pub decisions: u64,
    /// What the links count.
    pub links: LinkFigures,
}

impl Board {
    /// An empty board.
    pub fn new<P: Platform>(
        host: HostName,
        incarnation: Incarnation,
        links: &Arc<Links>,
        peers: &Arc<Peers>,
        applications: &Arc<ApplicationLinks<P>>,
    ) -> Arc<Self> {
        let (links, peers, applications) = (Arc::clone(links), Arc::clone(peers), Arc::clone(applications));
        let count = move || LinkFigures {
            control_links: links.welcomed() as u64,
            application_links: applications.attached() as u64,
            control: links.tally(),
            application_connects: applications.accepted(),
            peer_links: peers.linked() as u64,
            peer: peers.tally(),
            refusals: [links.refused(), applications.refused(), peers.refused()].concat(),
        };
        Arc::new(Self {
            host,
            incarnation,
            picture: Mutex::default(),
            counts: Mutex::default(),
            decisions: AtomicU64::new(0),
            links: Box::new(count),
        })
    }

    /// An empty one of an agent without links.
    #[cfg(test)]
    pub fn without_links(host: HostName) -> Arc<Self> {
        Arc::new(Self {
            host,
            incarnation: Incarnation(1),
            picture: Mutex::default(),
            counts: Mutex::default(),
            decisions: AtomicU64::new(0),
            links: Box::new(LinkFigures::default),
        })
    }

    /// Pins up what the machine shows after a decision, and counts what it told.
    pub fn pin(&self, agent: &Agent, events: &[Event]) {
        let picture = Arc::new(Picture::of(agent));
        *self.picture.lock().unwrap_or_else(PoisonError::into_inner) = picture;
        self.decisions.fetch_add(1, Ordering::Relaxed);
        if !events.is_empty() {
            let mut counts = self.lock_counts();
            for event in events {
                *counts.events.entry(event.kind.as_str()).or_default() += 1;
            }
        }
    }

    /// Counts an answer on the status port.
    pub fn asked(&self, status: u16) {
        *self.lock_counts().answers.entry(status).or_default() += 1;
    }

    /// The newest picture.
    pub fn picture(&self) -> Arc<Picture> {
        Arc::clone(&self.picture.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything, as it is now.
    pub fn seen(&self) -> Seen {
        Seen {
            host: self.host.clone(),
            incarnation: self.incarnation,
            picture: self.picture(),
            counts: self.lock_counts().clone(),
            decisions: self.decisions.load(Ordering::Relaxed),
            links: (self.links)(),
        }
    }

    /// Whose board this is.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Every change is one addition, so a poisoned lock still guards whole counts.
    fn lock_counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

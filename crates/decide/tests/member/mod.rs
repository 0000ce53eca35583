//! One agent with one member of a strict pair, driven by hand: what it is told, what it keeps, what it has done, in order.
//!
//! Knows no rule. The law: time passes only when a test says so, and what is to be kept is kept before anything is done.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_decide::agent::*;
use understudy_decide::grants::holder::Page;
use understudy_model::*;

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn terms() -> Terms {
    Terms {
        lease: ms(3_000),
        drift_ppm: 0,
        leader_lease: ms(3_000),
        renew_every: ms(600),
        fence_budget: ms(500),
        kill_budget: ms(50),
    }
}

pub fn app(name: &str) -> ApplicationName {
    ApplicationName::new(name).unwrap()
}

pub fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

pub fn pair() -> PairName {
    PairName::new("pair").unwrap()
}

pub fn role(epoch: u64, holder: &str) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), app(holder))
}

pub fn assignment(name: &str, peer: &str, peer_host: &str, interface: Interface) -> Assignment {
    let spec = ApplicationSpec {
        host: host("alpha"),
        kind: String::new(),
        interface,
        command: vec!["/bin/true".into()],
        working_directory: None,
        environment: Default::default(),
        stop_signal: Signal::Term,
        restart: RestartPolicy::Always,
        success_codes: vec![0],
        restart_delay: ms(100),
        restart_limit: 5,
        startup_timeout: ms(60_000),
        shutdown_timeout: ms(1_000),
        autostart: true,
        ports: Vec::new(),
        options: Default::default(),
        process: Default::default(),
        conduct: ConductSpec::default(),
    };
    let strict = StrictPlace {
        terms: terms(),
        peer_host: host(peer_host),
        peer_addresses: vec!["127.0.0.12:4999".into()],
        peer_addp: Preset::Normal.addp(),
    };
    let place = PairPlace {
        pair: pair(),
        peer: app(peer),
        peer_address: "127.0.0.12".into(),
        peer_ports: Vec::new(),
        fence_budget: ms(500),
        link_grace: ms(2_000),
        strict: Some(strict),
    };
    Assignment { application: app(name), spec, goal: Goal::Started, hands_off: false, pair: Some(place) }
}

/// The agent of host alpha, whose member is `one`; the other one is `two` on beta.
pub struct Bench {
    pub agent: Agent,
    pub now: Moment,
    pub memory: AgentMemory,
    /// What was kept and done, in order.
    pub log: Vec<Did>,
    pub events: Vec<Event>,
    pub broken_disk: bool,
    life: u128,
    orders: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Did {
    Kept(AgentRecord),
    Done(AgentDo),
}

impl Bench {
    /// One that has promised `kept`, and runs as a backup.
    pub fn new(kept: DurableRole) -> Self {
        Self::with(kept, vec![assignment("one", "two", "beta", Interface::Library)])
    }

    pub fn with(kept: DurableRole, assignments: Vec<Assignment>) -> Self {
        let mut member = Self::begin(kept, assignments, 7, Vec::new(), BTreeMap::new());
        member.pass(0);
        for name in member.memory.assignments.clone() {
            let name = name.application;
            let start = member.start_of(&name);
            member.sees(AgentSaw::Spawned { application: name.clone(), start, pid: 100 });
            member.attach(&name, RunMode::Backup, 0);
        }
        member.join(1);
        member.sees(AgentSaw::PeerJoined { host: host("beta") });
        member.sees(AgentSaw::GuardChanged { up: true });
        member.pass(0);
        member.log.clear();
        member
    }

    pub fn begin(
        kept: DurableRole,
        assignments: Vec<Assignment>,
        life: u128,
        found: Vec<Found>,
        pages: BTreeMap<ApplicationName, Page>,
    ) -> Self {
        let memory = AgentMemory {
            agent: AgentId(1),
            controller_epoch: ControllerEpoch(1),
            obeyed: None,
            assignments,
            roles: BTreeMap::from([(pair(), kept)]),
        };
        let agent = Agent::new(host("alpha"), Incarnation(life), memory.clone());
        let mut member = Self {
            agent,
            now: Moment(100_000_000_000),
            memory,
            log: Vec::new(),
            events: Vec::new(),
            broken_disk: false,
            life,
            orders: 0,
        };
        member.sees(AgentSaw::Awake { found, pages });
        member
    }

    pub fn start_of(&self, name: &ApplicationName) -> StartId {
        self.agent.applications().find(|known| known.name() == name).and_then(|known| known.start).unwrap()
    }

    pub fn sees(&mut self, saw: AgentSaw) {
        let mut next = Some(saw);
        while let Some(saw) = next.take() {
            let decision = self.agent.step(self.now, saw);
            if self.broken_disk && !decision.persist.is_empty() {
                next = Some(Agent::store_failed(decision.persist, "no space left".into(), false));
                continue;
            }
            self.log.extend(decision.persist.into_iter().map(Did::Kept));
            self.log.extend(decision.actions.into_iter().map(Did::Done));
            self.events.extend(decision.events);
        }
    }

    /// Time passes; the agent looks at every deadline when it is over.
    pub fn pass(&mut self, milliseconds: u64) {
        let end = self.now + ms(milliseconds);
        let mut steps = 0;
        while let Some(due) = self.agent.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.sees(AgentSaw::DeadlinePassed);
            steps += 1;
            assert!(steps < 10_000, "it asks for its next deadline for ever");
        }
        self.now = end;
    }

    pub fn attach(&mut self, name: &ApplicationName, run_mode: RunMode, epoch: u64) {
        let said = FromApplication::Attach {
            application: name.clone(),
            pid: 100,
            run_mode,
            epoch: Epoch(epoch),
            readiness: Readiness::Ready,
            suspended: false,
            heartbeat: false,
        };
        let start = self.start_of(name);
        self.sees(AgentSaw::Said { application: name.clone(), start, said });
    }

    pub fn done(&mut self, run_mode: RunMode, epoch: u64) {
        let start = self.start_of(&app("one"));
        let said = FromApplication::RunModeDone { run_mode, epoch: Epoch(epoch) };
        self.sees(AgentSaw::Said { application: app("one"), start, said });
    }

    pub fn exit(&mut self) {
        let start = self.start_of(&app("one"));
        let cause = ExitCause::Signal(9);
        let last_words = String::new();
        self.sees(AgentSaw::Ended { application: app("one"), start, cause, others_live: false, last_words });
    }

    pub fn join(&mut self, link: u64) {
        let controller = ControllerName::new("scs-1").unwrap();
        let controller_epoch = ControllerEpoch(1);
        self.sees(AgentSaw::ControllerJoined {
            link: LinkId(link),
            controller,
            controller_epoch,
            lineage: Vec::new(),
        });
    }

    pub fn leave(&mut self, link: u64) {
        self.sees(AgentSaw::ControllerLeft { link: LinkId(link) });
    }

    pub fn order(&mut self, work: Work) -> OrderId {
        self.orders += 1;
        let id = OrderId(self.orders);
        let incarnation = Incarnation(self.life);
        let order = Order { id, incarnation, controller_epoch: ControllerEpoch(1), work };
        self.sees(AgentSaw::Ordered { link: LinkId(1), order });
        id
    }

    pub fn promote(&mut self, epoch: u64, holder: &str) -> OrderId {
        let grant = Some(GrantTold { lease: ms(3_000), fenced: None });
        let role = role(epoch, holder);
        self.order(Work::Promote { pair: pair(), role, time_limit: ms(10_000), grant })
    }

    /// The last request that was sent to the other agent or the control server.
    pub fn asked(&self) -> Option<VoteAsk> {
        self.log.iter().rev().find_map(|did| match did {
            Did::Done(AgentDo::AskPeer { ask, .. } | AgentDo::AskController { ask, .. }) => Some(ask.clone()),
            _ => None,
        })
    }

    pub fn yes(ask: &VoteAsk) -> VoteAnswer {
        let VoteAsk { pair, incarnation, number, role, .. } = ask.clone();
        VoteAnswer { pair, incarnation, number, role, verdict: Verdict::Given, clock: None }
    }

    pub fn peer_says(&mut self, answer: VoteAnswer) {
        self.sees(AgentSaw::PeerVoted { host: host("beta"), answer });
    }

    pub fn control_says(&mut self, answer: VoteAnswer) {
        self.sees(AgentSaw::ControllerVoted { link: LinkId(1), answer });
    }

    /// Every pending request is answered by both, as time passes.
    pub fn renewed_for(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds / 100 {
            self.log.clear();
            self.pass(100);
            if let Some(ask) = self.asked() {
                self.peer_says(Self::yes(&ask));
            }
        }
    }

    /// Promoted to epoch 2 as far as its agent can: the first yes has come.
    pub fn voted_for(assignments: Vec<Assignment>) -> Self {
        let mut member = Self::with(kept(1, "two", 0), assignments);
        member.pass(3_000);
        member.promote(2, "one");
        member.pass(0);
        let ask = member.asked().expect("it asks");
        member.peer_says(Self::yes(&ask));
        member.pass(0);
        member
    }

    /// Primary in `epoch`, acting on both votes.
    pub fn primary(epoch: u64) -> Self {
        let mut member = Self::new(kept(epoch - 1, "two", 0));
        member.pass(3_000);
        member.promote(epoch, "one");
        member.pass(0);
        let ask = member.asked().expect("it asks");
        member.peer_says(Self::yes(&ask));
        member.control_says(Self::yes(&ask));
        member.pass(0);
        member.done(RunMode::Primary, epoch);
        member.pass(0);
        member.log.clear();
        member
    }

    /// Where in the log the first such entry is.
    pub fn at(&self, what: &str, wanted: impl Fn(&Did) -> bool) -> usize {
        self.log.iter().position(wanted).unwrap_or_else(|| panic!("{what} is not in {:#?}", self.log))
    }

    pub fn has(&self, wanted: impl Fn(&Did) -> bool) -> bool {
        self.log.iter().any(wanted)
    }

    pub fn answer_to(&self, id: OrderId) -> Option<Outcome> {
        self.log.iter().find_map(|did| match did {
            Did::Done(AgentDo::Answer { answer, .. }) if answer.order == id => Some(answer.outcome.clone()),
            _ => None,
        })
    }
}

pub fn kept(epoch: u64, holder: &str, closed: u64) -> DurableRole {
    let promised = (epoch > 0).then(|| role(epoch, holder));
    DurableRole { promised, lease: ms(3_000), closed: Epoch(closed) }
}

pub fn page_says_no(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::ShowPage { page, .. }) if page.role.is_none())
}

pub fn page_says_yes(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::ShowPage { page, .. }) if page.role.is_some())
}

pub fn closes(did: &Did) -> bool {
    matches!(did, Did::Kept(AgentRecord::Close { .. }))
}

pub fn promises(did: &Did) -> bool {
    matches!(did, Did::Kept(AgentRecord::Promise { .. }))
}

pub fn releases(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::TellPeer { .. }))
}

pub fn asks(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::AskPeer { .. } | AgentDo::AskController { .. }))
}

pub fn tells_primary(did: &Did) -> bool {
    let primary = |message: &ToApplication| {
        matches!(message, ToApplication::SetRunMode { run_mode: RunMode::Primary, .. })
    };
    matches!(did, Did::Done(AgentDo::Say { message, .. }) if primary(message))
}

pub fn tells_backup(did: &Did) -> bool {
    let backup = |message: &ToApplication| {
        matches!(message, ToApplication::SetRunMode { run_mode: RunMode::Backup, .. })
    };
    matches!(did, Did::Done(AgentDo::Say { message, .. }) if backup(message))
}

pub fn kills(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::KillTree { .. }))
}

pub fn guards(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::Guard { .. }))
}

pub fn ask(epoch: u64, number: u64) -> VoteAsk {
    let (incarnation, role) = (Incarnation(9), role(epoch, "two"));
    VoteAsk { pair: pair(), incarnation, number, role, lease: ms(3_000) }
}

pub fn verdict(one: &Bench, number: u64) -> Option<Verdict> {
    one.log.iter().find_map(|did| match did {
        Did::Done(AgentDo::AnswerPeer { answer, .. }) if answer.number == number => {
            Some(answer.verdict.clone())
        }
        _ => None,
    })
}

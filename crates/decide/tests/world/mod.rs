//! A small world of real deciding machines: one control server, two agents, one pair, with everything between them
//! invented: links that break, processes that die, stores that fail. No clock, no socket: whoever drives it chooses
//! what happens next.
//!
//! The law it checks after every event: at most one living process believes that it is primary.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use understudy_decide::agent::{
    Agent, AgentDo, AgentMemory, AgentRecord, AgentSaw, DurableRole, Found, LinkId, StartId,
};
use understudy_decide::control::{
    Ask, Control, ControlDo, ControlMemory, ControlRecord, ControlSaw, LinkEnd, Reply, RequestId,
};
use understudy_model::*;

mod cluster;

pub use cluster::*;

/// A process, as it believes itself to be.
#[derive(Debug, Clone)]
pub struct Process {
    pub start: StartId,
    pub pid: u32,
    pub mode: RunMode,
    pub epoch: Epoch,
    pub ready: Readiness,
    pub attached: bool,
    pub heard: VecDeque<ToApplication>,
    pub says: VecDeque<FromApplication>,
    /// Ignores what it is told.
    pub hung: bool,
    /// Refuses the next promotion.
    pub refuses: bool,
}

#[derive(Debug)]
pub struct Site {
    pub agent: Option<Agent>,
    pub memory: AgentMemory,
    pub lives: u128,
    pub process: Option<Process>,
    pub ended: Option<(StartId, ExitCause)>,
    /// The connection of the control server: its number, what flies to the agent, what flies back.
    pub link: Option<(LinkId, VecDeque<Order>, VecDeque<ControlSaw>)>,
    pub full_disk: bool,
}

pub struct World {
    pub now: Moment,
    pub sites: [Site; 2],
    pub control: Option<Control>,
    pub stored: ControlMemory,
    pub full_store: bool,
    pub links: u64,
    pub pids: u32,
    pub requests: u64,
    pub replies: Vec<Reply>,
    /// Every role that was ever ordered, in the order of the orders.
    pub ordered: Vec<RoleEpoch>,
    pub story: Vec<String>,
}

impl World {
    pub fn new() -> Self {
        let site = |index: u128| Site {
            agent: None,
            memory: AgentMemory {
                agent: AgentId(index),
                controller_epoch: ControllerEpoch(0),
                obeyed: None,
                assignments: Vec::new(),
                roles: BTreeMap::new(),
            },
            lives: 0,
            process: None,
            ended: None,
            link: None,
            full_disk: false,
        };
        Self {
            now: Moment(1_000_000_000),
            sites: [site(1), site(2)],
            control: None,
            stored: ControlMemory {
                controller: ControllerName::new("scs-1").unwrap(),
                controller_epoch: ControllerEpoch(0),
                roles: BTreeMap::new(),
                goals: BTreeMap::new(),
                maintenance: Vec::new(),
                last_operation: OperationId(0),
                flaps: Default::default(),
                drained: Default::default(),
                in_sync: Default::default(),
                holds: Default::default(),
                grants: Default::default(),
                asked: Default::default(),
            },
            full_store: false,
            links: 0,
            pids: 100,
            requests: 0,
            replies: Vec::new(),
            ordered: Vec::new(),
            story: Vec::new(),
        }
    }

    fn tell(&mut self, text: String) {
        self.story.push(format!("{} {text}", self.now));
    }

    // ---- faults and repairs -------------------------------------------------------------------------------------

    pub fn start_agent(&mut self, index: usize) {
        if self.sites[index].agent.is_some() {
            return;
        }
        self.tell(format!("agent {index} starts"));
        let site = &mut self.sites[index];
        site.lives += 1;
        let incarnation = Incarnation(site.lives + 1000 * index as u128);
        let mut agent = Agent::new(host(index), incarnation, site.memory.clone());
        let found = site.process.as_mut().map(|process| {
            process.attached = false;
            process.heard.clear();
            process.says.clear();
            Found {
                application: application(index),
                start: process.start,
                pid: Some(process.pid),
                running_for: Duration::from_millis(50),
                restarts: 0,
                acts: None,
                half: None,
                ready: false,
            }
        });
        site.ended = None;
        let decision = agent.step(
            self.now,
            AgentSaw::Awake { found: found.into_iter().collect(), pages: Default::default() },
        );
        site.agent = Some(agent);
        self.carry_out(index, decision);
    }

    pub fn kill_agent(&mut self, index: usize) {
        if self.sites[index].agent.take().is_some() {
            self.tell(format!("agent {index} is killed"));
            self.cut(index);
            if let Some(process) = &mut self.sites[index].process {
                process.attached = false;
                process.heard.clear();
                process.says.clear();
            }
        }
    }

    pub fn kill_process(&mut self, index: usize) {
        let Some(process) = self.sites[index].process.take() else { return };
        self.tell(format!("process {} of {} is killed", process.pid, APPLICATIONS[index]));
        self.sites[index].ended = Some((process.start, ExitCause::Signal(9)));
    }

    pub fn start_control(&mut self) {
        if self.control.is_some() {
            return;
        }
        self.stored.controller_epoch.0 += 1;
        self.tell(format!("control server starts, epoch {}", self.stored.controller_epoch));
        let mut control = Control::new(self.stored.clone());
        let decision = control
            .step(self.now, ControlSaw::Configured { cluster: cluster(), own_hosts: Default::default() });
        self.control = Some(control);
        self.carry_out_control(decision);
    }

    pub fn kill_control(&mut self) {
        if self.control.take().is_some() {
            self.tell("control server is killed".into());
            for index in 0..2 {
                self.cut(index);
            }
        }
    }

    /// Breaks the connection between control server and agent; what flies is lost.
    pub fn cut(&mut self, index: usize) {
        let Some((link, _, _)) = self.sites[index].link.take() else { return };
        self.tell(format!("link {index} breaks"));
        self.agent_sees(index, AgentSaw::ControllerLeft { link });
        let end = LinkEnd::Closed;
        self.control_sees(ControlSaw::LinkDown { host: host(index), end, why: "cut".into() });
    }

    /// The control server connects to an agent.
    pub fn connect(&mut self, index: usize) {
        if self.sites[index].agent.is_none() || self.control.is_none() || self.sites[index].link.is_some() {
            return;
        }
        self.links += 1;
        let link = LinkId(self.links);
        self.sites[index].link = Some((link, VecDeque::new(), VecDeque::new()));
        let (controller, controller_epoch) = (self.stored.controller.clone(), self.stored.controller_epoch);
        self.agent_sees(
            index,
            AgentSaw::ControllerJoined { link, controller, controller_epoch, lineage: Vec::new() },
        );
    }

    // ---- deliveries ---------------------------------------------------------------------------------------------

    pub fn deliver_order(&mut self, index: usize) -> bool {
        let Some((link, orders, _)) = &mut self.sites[index].link else { return false };
        let link = *link;
        let Some(order) = orders.pop_front() else { return false };
        self.agent_sees(index, AgentSaw::Ordered { link, order });
        true
    }

    pub fn deliver_report(&mut self, index: usize) -> bool {
        let Some((_, _, reports)) = &mut self.sites[index].link else { return false };
        let Some(saw) = reports.pop_front() else { return false };
        self.control_sees(saw);
        true
    }

    /// The agent notices that a process ended, or hears what it says.
    pub fn notice_process(&mut self, index: usize) -> bool {
        if self.sites[index].agent.is_none() {
            return false;
        }
        if let Some((start, cause)) = self.sites[index].ended.take() {
            let application = application(index);
            self.agent_sees(
                index,
                AgentSaw::Ended { application, start, cause, others_live: false, last_words: String::new() },
            );
            return true;
        }
        let Some(process) = &mut self.sites[index].process else { return false };
        let start = process.start;
        if !process.attached {
            if process.hung {
                return false;
            }
            process.attached = true;
            let said = FromApplication::Attach {
                application: application(index),
                pid: process.pid,
                run_mode: process.mode,
                epoch: process.epoch,
                readiness: process.ready.clone(),
                suspended: false,
                heartbeat: false,
            };
            self.agent_sees(index, AgentSaw::Said { application: application(index), start, said });
            return true;
        }
        let Some(said) = process.says.pop_front() else { return false };
        self.agent_sees(index, AgentSaw::Said { application: application(index), start, said });
        true
    }

    /// The process does one thing that it was told, or becomes ready.
    pub fn run_process(&mut self, index: usize) -> bool {
        let Some(process) = &mut self.sites[index].process else { return false };
        if process.hung {
            return false;
        }
        if process.ready == Readiness::NotYet {
            process.ready = Readiness::Ready;
            if process.attached {
                process.says.push_back(FromApplication::Readiness(Readiness::Ready));
            }
            return true;
        }
        let Some(message) = process.heard.pop_front() else { return false };
        match message {
            ToApplication::SetRunMode { run_mode, epoch } if epoch < process.epoch => {
                let reason = "older epoch".into();
                process.says.push_back(FromApplication::RunModeRefused { run_mode, epoch, reason });
            }
            ToApplication::SetRunMode { run_mode: RunMode::Primary, epoch } if process.refuses => {
                process.refuses = false;
                let (run_mode, reason) = (RunMode::Primary, "not today".into());
                process.says.push_back(FromApplication::RunModeRefused { run_mode, epoch, reason });
            }
            ToApplication::SetRunMode { run_mode, epoch } => {
                process.mode = run_mode;
                process.epoch = epoch;
                process.says.push_back(FromApplication::RunModeDone { run_mode, epoch });
            }
            ToApplication::Suspend => process.says.push_back(FromApplication::Suspended),
            ToApplication::Attached
            | ToApplication::AttachRefused(_)
            | ToApplication::Ping(_)
            | ToApplication::InSyncDone { .. }
            | ToApplication::Confirmed { .. } => {}
        }
        true
    }

    /// Time passes, and every deadline that is over is observed.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let agents = self.sites.iter().filter_map(|site| site.agent.as_ref()?.next_deadline());
            let control = self.control.as_ref().and_then(Control::next_deadline);
            let next = agents.chain(control).min().filter(|next| *next < until).unwrap_or(until);
            self.now = self.now.max(next);
            self.observe_deadlines();
            if next == until {
                return;
            }
        }
    }

    fn observe_deadlines(&mut self) {
        for index in 0..2 {
            let due = self.sites[index].agent.as_ref().and_then(Agent::next_deadline);
            if due.is_some_and(|due| due <= self.now) {
                self.agent_sees(index, AgentSaw::DeadlinePassed);
            }
        }
        if self.control.as_ref().and_then(Control::next_deadline).is_some_and(|due| due <= self.now) {
            self.control_sees(ControlSaw::DeadlinePassed);
        }
    }

    pub fn ask(&mut self, ask: Ask) {
        if self.control.is_none() {
            return;
        }
        self.requests += 1;
        let request = RequestId(self.requests);
        self.tell(format!("operator: {ask:?}"));
        self.control_sees(ControlSaw::Asked { request, actor: "tester".into(), ask });
    }

    /// Delivers and connects until nothing moves; time passes in small steps. For the end of a run.
    pub fn settle(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.start_control();
            for index in 0..2 {
                self.start_agent(index);
                self.connect(index);
                while self.deliver_order(index)
                    | self.deliver_report(index)
                    | self.notice_process(index)
                    | self.run_process(index)
                {}
            }
            self.pass(Duration::from_millis(50));
        }
    }

    // ---- the machines -------------------------------------------------------------------------------------------

    fn agent_sees(&mut self, index: usize, saw: AgentSaw) {
        let now = self.now;
        let Some(agent) = &mut self.sites[index].agent else { return };
        let decision = agent.step(now, saw);
        self.carry_out(index, decision);
        // A deadline that is due at once is observed at once.
        for _ in 0..8 {
            let Some(agent) = &mut self.sites[index].agent else { return };
            if agent.next_deadline().is_none_or(|due| due > now) {
                return;
            }
            let decision = agent.step(now, AgentSaw::DeadlinePassed);
            self.carry_out(index, decision);
        }
        panic!("agent {index} does not come to rest: {:?}", self.sites[index].agent);
    }

    fn carry_out(&mut self, index: usize, decision: Decision<AgentRecord, AgentDo>) {
        if !decision.persist.is_empty() && self.sites[index].full_disk {
            let saw = AgentSaw::StoreFailed { records: decision.persist, why: "disk full".into() };
            let now = self.now;
            let Some(agent) = &mut self.sites[index].agent else { return };
            let decision = agent.step(now, saw);
            return self.carry_out(index, decision);
        }
        for record in decision.persist {
            let memory = &mut self.sites[index].memory;
            match record {
                AgentRecord::Promise { pair, role, .. } => {
                    memory.roles.entry(pair).or_default().promised = Some(role);
                }
                AgentRecord::Close { pair, epoch } => {
                    let durable: &mut DurableRole = memory.roles.entry(pair).or_default();
                    assert!(epoch > durable.closed, "closed epochs only rise");
                    durable.closed = epoch;
                }
                AgentRecord::ControllerEpoch { epoch, incarnation } => {
                    (memory.controller_epoch, memory.obeyed) = (epoch, incarnation);
                }
                AgentRecord::Assignments(table) => memory.assignments = table,
            }
        }
        for action in decision.actions {
            self.agent_does(index, action);
        }
    }

    fn agent_does(&mut self, index: usize, action: AgentDo) {
        let name = host(index);
        match action {
            AgentDo::Welcome { link, inventory } => {
                self.fly_back(index, Some(link), ControlSaw::LinkUp { host: name, inventory })
            }
            AgentDo::TurnAway { link, reason, .. } => {
                if self.sites[index].link.as_ref().is_some_and(|(own, _, _)| *own == link) {
                    self.sites[index].link = None;
                    self.control_sees(ControlSaw::LinkDown {
                        host: name,
                        end: LinkEnd::Unwelcome,
                        why: reason,
                    });
                }
            }
            AgentDo::Report(report) => {
                self.fly_back(index, None, ControlSaw::Reported { host: name, report })
            }
            AgentDo::Answer { link, answer } => {
                self.fly_back(index, Some(link), ControlSaw::Answered { host: name, answer })
            }
            AgentDo::TellLeaving { leaving } => {
                self.fly_back(index, None, ControlSaw::Leaving { host: name, leaving });
            }
            AgentDo::Spawn(spawn) => {
                let goal = self.sites[index]
                    .memory
                    .assignments
                    .iter()
                    .find(|known| known.application == spawn.application);
                assert_eq!(goal.map(|known| known.goal), Some(Goal::Started), "a stop is never undone");
                assert!(self.sites[index].process.is_none(), "one process at a time");
                self.pids += 1;
                let pid = self.pids;
                self.tell(format!(
                    "{} is started as {} in epoch {}",
                    spawn.application, spawn.run_mode, spawn.epoch
                ));
                self.sites[index].process = Some(Process {
                    start: spawn.start,
                    pid,
                    mode: spawn.run_mode,
                    epoch: spawn.epoch,
                    ready: Readiness::NotYet,
                    attached: false,
                    heard: VecDeque::new(),
                    says: VecDeque::new(),
                    hung: false,
                    refuses: false,
                });
                let (application, start) = (spawn.application, spawn.start);
                self.agent_sees(index, AgentSaw::Spawned { application, start, pid });
            }
            AgentDo::Signal { start, .. } | AgentDo::KillTree { start, .. } => {
                if self.sites[index].process.as_ref().is_some_and(|process| process.start == start) {
                    self.kill_process(index);
                }
            }
            AgentDo::Say { start, message, .. } => {
                if let Some(process) = &mut self.sites[index].process
                    && process.start == start
                    && process.attached
                {
                    process.heard.push_back(message);
                }
            }
            // Nobody looks at pages here.
            AgentDo::ShowPage { .. } | AgentDo::ForgetPage { .. } => {}
            other => panic!("not configured here: {other:?}"),
        }
    }

    fn fly_back(&mut self, index: usize, link: Option<LinkId>, saw: ControlSaw) {
        if let Some((own, _, back)) = &mut self.sites[index].link
            && link.is_none_or(|link| link == *own)
        {
            back.push_back(saw);
        }
    }

    fn control_sees(&mut self, saw: ControlSaw) {
        let now = self.now;
        let Some(control) = &mut self.control else { return };
        let decision = control.step(now, saw);
        self.carry_out_control(decision);
    }

    fn carry_out_control(&mut self, decision: Decision<ControlRecord, ControlDo>) {
        if !decision.persist.is_empty() && self.full_store {
            let saw = ControlSaw::StoreFailed {
                records: decision.persist,
                why: "disk full".into(),
                definite: true,
            };
            return self.control_sees(saw);
        }
        for event in &decision.events {
            let text =
                format!("  {}: {} [{}]", event.kind.as_str(), event.because.reason, event.because.rule);
            self.tell(text);
        }
        for record in decision.persist {
            match record {
                ControlRecord::RaiseEpoch { pair, expected, next } => {
                    assert_eq!(self.stored.roles.get(&pair), expected.as_ref(), "compare-and-set");
                    self.stored.roles.insert(pair, next);
                }
                ControlRecord::SetGoal { application, goal } => {
                    self.stored.goals.insert(application, goal);
                }
                ControlRecord::SetMaintenance { of, on } => {
                    self.stored.maintenance.retain(|known| *known != of);
                    if on {
                        self.stored.maintenance.push(of);
                    }
                }
                ControlRecord::UseOperation(id) => self.stored.last_operation = id,
                ControlRecord::SetLease { .. }
                | ControlRecord::SetInSync { .. }
                | ControlRecord::SetHold { .. }
                | ControlRecord::RaiseLeadership { .. } => {
                    unreachable!("no pair is strict or keeps its data here")
                }
                ControlRecord::SetDrained { host, on: true } => drop(self.stored.drained.insert(host)),
                ControlRecord::SetDrained { host, .. } => drop(self.stored.drained.remove(&host)),
                ControlRecord::SetFlap { pair, flap } => {
                    self.stored.flaps.insert(pair, flap);
                }
            }
        }
        for action in decision.actions {
            match action {
                // Its pairs are `available`, and keep no data.
                ControlDo::Vote { .. } | ControlDo::AnswerInSync { .. } | ControlDo::Fence { .. } => {
                    unreachable!()
                }
                ControlDo::Send { host: name, order } => {
                    if let Work::Promote { role, pair, .. } = &order.work {
                        assert_eq!(
                            self.stored.roles.get(pair),
                            Some(role),
                            "no order before its epoch is durable"
                        );
                        self.ordered.push(role.clone());
                    }
                    let index = HOSTS.iter().position(|known| *known == name.as_str()).unwrap();
                    if let Some((_, orders, _)) = &mut self.sites[index].link {
                        orders.push_back(order);
                    }
                }
                ControlDo::Reply { reply, .. } => self.replies.push(reply),
            }
        }
    }

    // ---- what must hold -----------------------------------------------------------------------------------------

    pub fn primaries(&self) -> Vec<usize> {
        let primary = |index: &usize| {
            self.sites[*index].process.as_ref().is_some_and(|process| process.mode == RunMode::Primary)
        };
        (0..2).filter(primary).collect()
    }

    pub fn check(&self) {
        assert!(self.primaries().len() <= 1, "two primaries:\n{}", self.story.join("\n"));
        let rising = self.ordered.windows(2).all(|two| two[0].epoch < two[1].epoch);
        assert!(rising, "an order has a higher epoch than every order before: {:?}", self.ordered);
    }
}

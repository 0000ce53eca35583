//! A control server with one `strict` pair, and a desk from which its agents and its store are played by hand.
//!
//! It knows no rule. The law: time passes only when a test says so, every deadline is looked at, and a decision's actions are
//! done only if its records were stored.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use understudy_decide::control::{Ask, *};
use understudy_model::*;

pub fn app(name: &str) -> ApplicationName {
    ApplicationName::new(name).unwrap()
}

pub fn pair() -> PairName {
    PairName::new("p").unwrap()
}

pub fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

pub fn role(epoch: u64, holder: &str) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), app(holder))
}

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// How the store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Works,
    Full,
    Unknown,
}

/// `a` on alpha, `b` on beta, pair `p`: lease 1 s, renewed every 200 ms.
pub fn cluster() -> Cluster {
    let spec = |host_name: &str| ApplicationSpec {
        host: host(host_name),
        kind: String::new(),
        interface: Interface::Library,
        command: vec!["/bin/true".into()],
        working_directory: None,
        environment: BTreeMap::new(),
        stop_signal: Signal::Term,
        restart: RestartPolicy::Always,
        success_codes: vec![0],
        restart_delay: ms(100),
        restart_limit: 5,
        startup_timeout: Duration::from_secs(5),
        shutdown_timeout: Duration::from_secs(1),
        autostart: true,
        ports: Vec::new(),
        options: BTreeMap::new(),
        process: Default::default(),
        conduct: Default::default(),
    };
    let site =
        |address: &str| HostSpec { addresses: vec![address.into()], addp: AddpSettings::OFF, fence: None };
    Cluster {
        name: "strict".into(),
        id: None,
        hosts: [(host("alpha"), site("10.0.0.1:4999")), (host("beta"), site("10.0.0.2:4999"))].into(),
        applications: [(app("a"), spec("alpha")), (app("b"), spec("beta"))].into(),
        pairs: [(
            pair(),
            PairSpec {
                primary: app("a"),
                backup: app("b"),
                redundancy: Redundancy::WarmStandby,
                policy: Policy::Strict,
                on_crash: OnCrash::Failover,
                keep_data: false,
                timers: Timers {
                    lease: ms(1_000),
                    renew: ms(200),
                    fence_budget: ms(100),
                    ..Preset::Fast.timers()
                },
            },
        )]
        .into(),
    }
}

pub struct Desk {
    pub control: Control,
    pub now: Moment,
    pub cluster: Cluster,
    pub stored: ControlMemory,
    pub disk: Disk,
    /// What was sent and not taken from the desk yet.
    pub orders: Vec<(HostName, Order)>,
    pub votes: Vec<VoteAnswer>,
    pub words: Vec<InSyncAnswer>,
    pub fenced: Vec<HostName>,
    pub replies: Vec<Reply>,
    pub events: Vec<Event>,
    /// Records, step by step, as they were asked for.
    pub records: Vec<ControlRecord>,
    pub reports: BTreeMap<ApplicationName, ApplicationReport>,
    /// The life of the agent that is connected, or was.
    pub life_of: BTreeMap<HostName, Incarnation>,
    lives: u128,
    asked: u64,
}

impl Desk {
    /// A leadership that finds this role stored.
    pub fn new(stored: Option<RoleEpoch>) -> Self {
        Self::with(cluster(), stored, |_| ())
    }

    pub fn with(
        cluster: Cluster,
        stored: Option<RoleEpoch>,
        change: impl FnOnce(&mut ControlMemory),
    ) -> Self {
        let mut stored = ControlMemory {
            controller: ControllerName::new("scs-1").unwrap(),
            controller_epoch: ControllerEpoch(1),
            roles: stored.into_iter().map(|role| (pair(), role)).collect(),
            goals: BTreeMap::new(),
            maintenance: Vec::new(),
            last_operation: OperationId(0),
            flaps: BTreeMap::new(),
            drained: BTreeSet::new(),
            in_sync: Default::default(),
            holds: BTreeMap::new(),
            grants: GrantMemory::default(),
            asked: Default::default(),
        };
        change(&mut stored);
        let mut desk = Self {
            control: Control::new(stored.clone()),
            now: Moment(1_000_000_000),
            cluster,
            stored,
            disk: Disk::Works,
            orders: Vec::new(),
            votes: Vec::new(),
            words: Vec::new(),
            fenced: Vec::new(),
            replies: Vec::new(),
            events: Vec::new(),
            records: Vec::new(),
            reports: BTreeMap::new(),
            life_of: BTreeMap::new(),
            lives: 0,
            asked: 0,
        };
        desk.configure();
        desk
    }

    /// Acting `a` and ready `b`, both heard, in the first epoch.
    pub fn settled() -> Self {
        let mut desk = Self::new(Some(role(1, "a")));
        desk.settle();
        desk
    }

    pub fn settle(&mut self) {
        self.reports.insert(app("a"), acting(1, "a"));
        self.reports.insert(app("b"), idle("b", 0));
        self.link_up("alpha");
        self.link_up("beta");
        assert_eq!(self.state(), "held", "{}", self.story());
    }

    pub fn configure(&mut self) {
        let cluster = self.cluster.clone();
        self.sees(ControlSaw::Configured { cluster, own_hosts: BTreeSet::new() });
    }

    /// The control server ends, and another life of it reads what is stored.
    pub fn restart(&mut self) {
        self.stored.controller_epoch.0 += 1;
        self.control = Control::new(self.stored.clone());
        self.orders.clear();
        self.configure();
    }

    /// One observation, with everything that is due at the same moment.
    pub fn sees(&mut self, saw: ControlSaw) {
        self.step(saw);
        for _ in 0..12 {
            if self.control.next_deadline().is_none_or(|due| due > self.now) {
                return;
            }
            self.step(ControlSaw::DeadlinePassed);
        }
        panic!("it does not come to rest:\n{}", self.story());
    }

    /// One observation alone.
    pub fn step(&mut self, saw: ControlSaw) {
        let mut next = Some(saw);
        while let Some(saw) = next.take() {
            let decision = self.control.step(self.now, saw);
            self.records.extend(decision.persist.iter().cloned());
            if decision.persist.is_empty() || self.disk == Disk::Works {
                self.keep(&decision.persist);
                self.carry_out(decision);
            } else {
                let definite = self.disk == Disk::Full;
                next = Some(Control::store_failed(decision.persist, "no room".into(), definite));
            }
        }
    }

    fn keep(&mut self, records: &[ControlRecord]) {
        for record in records.iter().cloned() {
            match record {
                ControlRecord::RaiseEpoch { pair, expected, next } => {
                    assert_eq!(self.stored.roles.get(&pair), expected.as_ref(), "compare-and-set");
                    let has = |record: &InSync| record.members.contains_key(&next.holder);
                    assert!(self.stored.in_sync.get(&pair).is_none_or(has), "G14: {next} is left out");
                    self.stored.roles.insert(pair.clone(), next);
                    self.stored.grants.trusted.insert(pair);
                }
                ControlRecord::SetInSync { pair, role, expected, next } => {
                    assert_eq!(self.stored.roles.get(&pair), role.as_ref(), "compare-and-set of the role");
                    assert_eq!(self.stored.in_sync.get(&pair), expected.as_ref(), "compare-and-set");
                    self.stored.in_sync.insert(pair, next);
                }
                ControlRecord::SetLease { pair, lease } => {
                    self.stored.grants.leases.insert(pair, lease);
                }
                ControlRecord::UseOperation(id) => self.stored.last_operation = id,
                ControlRecord::SetGoal { application, goal } => {
                    self.stored.goals.insert(application, goal);
                }
                ControlRecord::SetFlap { pair, flap } => drop(self.stored.flaps.insert(pair, flap)),
                ControlRecord::SetHold { host, hold: Some(hold) } => {
                    self.stored.holds.insert(host, hold);
                }
                ControlRecord::SetHold { host, hold: None } => drop(self.stored.holds.remove(&host)),
                ControlRecord::SetMaintenance { .. }
                | ControlRecord::SetDrained { .. }
                | ControlRecord::RaiseLeadership { .. } => {}
            }
        }
    }

    fn carry_out(&mut self, decision: Decision<ControlRecord, ControlDo>) {
        self.events.extend(decision.events);
        for action in decision.actions {
            match action {
                ControlDo::Send { host, order } => {
                    if let Work::Promote { role, .. } = &order.work {
                        assert_eq!(self.stored.roles.get(&pair()), Some(role), "ordered before it is stored");
                    }
                    self.orders.push((host, order));
                }
                ControlDo::AnswerInSync { answer, .. } => {
                    if answer.refused.is_none() {
                        assert!(
                            self.stored.in_sync.contains_key(&answer.pair),
                            "answered before it is stored"
                        );
                    }
                    self.words.push(answer);
                }
                ControlDo::Vote { answer, .. } => self.votes.push(answer),
                ControlDo::Fence { host } => self.fenced.push(host),
                ControlDo::Reply { reply, .. } => self.replies.push(reply),
            }
        }
    }

    /// Time passes, and every deadline is looked at when it is over.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.control.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.sees(ControlSaw::DeadlinePassed);
        }
        self.now = end;
    }

    // ---- agents -----------------------------------------------------------------------------------------------------

    /// An agent connects, and says what stands on the desk for it.
    pub fn link_up(&mut self, name: &str) {
        self.lives += 1;
        let known = &self.cluster.applications;
        let on_it = |report: &&ApplicationReport| known[&report.application].host == host(name);
        let inventory = Inventory {
            host: host(name),
            agent: AgentId(1),
            incarnation: Incarnation(self.lives),
            controller_epoch: ControllerEpoch(1),
            applications: self.reports.values().filter(on_it).cloned().collect(),
        };
        self.life_of.insert(host(name), inventory.incarnation);
        self.sees(ControlSaw::LinkUp { host: host(name), inventory });
    }

    pub fn link_down(&mut self, name: &str, end: LinkEnd) {
        self.sees(ControlSaw::LinkDown { host: host(name), end, why: format!("{end:?}") });
    }

    pub fn reports(&mut self, report: ApplicationReport) {
        let host = self.cluster.applications[&report.application].host.clone();
        self.reports.insert(report.application.clone(), report.clone());
        self.sees(ControlSaw::Reported { host, report });
    }

    /// The holder's agent asks for a vote; what it got.
    pub fn asks_vote(&mut self, from: &str, role: RoleEpoch) -> Verdict {
        self.asks_vote_for(from, role, ms(1_000))
    }

    /// The same, of a holder that counts on this lease.
    pub fn asks_vote_for(&mut self, from: &str, role: RoleEpoch, lease: Duration) -> Verdict {
        self.asked += 1;
        let ask = VoteAsk { pair: pair(), incarnation: Incarnation(1), number: self.asked, role, lease };
        self.sees(ControlSaw::VoteAsked { host: host(from), ask });
        let answer = self.votes.pop().expect("an answer");
        assert_eq!(answer.number, self.asked);
        answer.verdict
    }

    /// The agent of this host, in the life that is connected, brings a member's word on who has everything; the refusal.
    pub fn says(&mut self, from: &str, role: RoleEpoch, wish: InSyncWish) -> Option<String> {
        self.asked += 1;
        self.says_as(from, self.life_of[&host(from)], self.asked, role, wish)
    }

    /// The same, by that life of the agent and with that number.
    pub fn says_as(
        &mut self,
        from: &str,
        incarnation: Incarnation,
        number: u64,
        role: RoleEpoch,
        wish: InSyncWish,
    ) -> Option<String> {
        let ask = InSyncAsk { pair: pair(), incarnation, number, role, wish };
        self.sees(ControlSaw::InSyncAsked { host: host(from), ask });
        let answer = self.words.pop().expect("an answer");
        assert_eq!((answer.number, self.words.len()), (number, 0), "one answer to each");
        answer.refused
    }

    /// The newest order that fits, taken from the desk.
    pub fn take(&mut self, fits: impl Fn(&Work) -> bool) -> Option<(HostName, Order)> {
        let index = self.orders.iter().rposition(|(_, order)| fits(&order.work))?;
        Some(self.orders.remove(index))
    }

    pub fn take_promotion(&mut self) -> Option<(HostName, Order, RoleEpoch, GrantTold)> {
        let (host, order) = self.take(|work| matches!(work, Work::Promote { .. }))?;
        let Work::Promote { role, grant, .. } = order.work.clone() else { return None };
        Some((host, order, role, grant.expect("a grant")))
    }

    pub fn take_pre_vote(&mut self) -> Option<(HostName, Order, RoleEpoch)> {
        let (host, order) = self.take(|work| matches!(work, Work::WouldPromise { .. }))?;
        let Work::WouldPromise { role, .. } = order.work.clone() else { return None };
        Some((host, order, role))
    }

    pub fn answers(&mut self, from: &HostName, order: &Order, outcome: Outcome) {
        let answer = Answer { order: order.id, outcome };
        self.sees(ControlSaw::Answered { host: from.clone(), answer });
    }

    pub fn asks(&mut self, ask: Ask) -> Reply {
        self.asked += 1;
        self.sees(ControlSaw::Asked { request: RequestId(self.asked), actor: "tester".into(), ask });
        self.replies.pop().expect("a reply")
    }

    // ---- what is seen -----------------------------------------------------------------------------------------------

    pub fn view(&self) -> PairView {
        self.control.view(self.now).pairs.pop().unwrap()
    }

    pub fn state(&self) -> String {
        self.view().state
    }

    pub fn told(&self, rule: Rule) -> bool {
        self.events.iter().any(|event| event.because.rule == rule)
    }

    pub fn story(&self) -> String {
        let line = |event: &Event| {
            format!("{}: {} [{}]", event.kind.as_str(), event.because.reason, event.because.rule)
        };
        let told: Vec<String> = self.events.iter().map(line).collect();
        format!("{}\n{:#?}", told.join("\n"), self.view())
    }
}

fn report(name: &str, pid: Option<u32>, mode: RunMode, role: RoleReport) -> ApplicationReport {
    ApplicationReport {
        application: app(name),
        pid,
        status: if pid.is_some() { ApplicationStatus::Started } else { ApplicationStatus::Stopped },
        goal: Goal::Started,
        run_mode: mode,
        problem: String::new(),
        restarts: 0,
        gave_up: false,
        last_exit: None,
        role: Some(role),
    }
}

/// A member that acts.
pub fn acting(epoch: u64, name: &str) -> ApplicationReport {
    let held = Some(role(epoch, name));
    let told = RoleReport {
        pair: pair(),
        promised: held.clone(),
        closed: Epoch::NONE,
        acting: held,
        strict: Some(GrantReport::default()),
    };
    report(name, Some(10), RunMode::Primary, told)
}

/// A ready member that does not act, whose agent voted for the other one and gave up everything to this epoch.
pub fn idle(name: &str, closed: u64) -> ApplicationReport {
    let other = if name == "a" { "b" } else { "a" };
    let told = RoleReport {
        pair: pair(),
        promised: Some(role(1, other)),
        closed: Epoch(closed),
        acting: None,
        strict: Some(GrantReport::default()),
    };
    report(name, Some(20), RunMode::Backup, told)
}

/// Its process ended; its epoch is closed up to `closed`.
pub fn ended(epoch: u64, name: &str, closed: u64) -> ApplicationReport {
    let told = RoleReport {
        pair: pair(),
        promised: Some(role(epoch, name)),
        closed: Epoch(closed),
        acting: None,
        strict: Some(GrantReport::default()),
    };
    report(name, None, RunMode::Unknown, told)
}

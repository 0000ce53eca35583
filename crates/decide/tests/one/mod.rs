//! One agent with one application, driven by hand: what it sees, and what it has done.
//!
//! Knows no rule. The law: time passes only when a test says so.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::time::Duration;

use understudy_decide::agent::*;
use understudy_model::notice::Notice;
use understudy_model::*;

pub const LIMIT: Duration = Duration::from_millis(1_000);

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn name() -> ApplicationName {
    ApplicationName::new("one").unwrap()
}

/// One agent with one application that runs.
pub struct Bench {
    pub agent: Agent,
    pub now: Moment,
    pub start: StartId,
    pub done: Vec<AgentDo>,
    pub events: Vec<Event>,
}

impl Bench {
    pub fn new(interface: Interface, change: impl FnOnce(&mut Assignment)) -> Self {
        Self::of_life(7, interface, change)
    }

    pub fn of_life(life: u128, interface: Interface, change: impl FnOnce(&mut Assignment)) -> Self {
        let spec = ApplicationSpec {
            host: HostName::new("alpha").unwrap(),
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
            conduct: ConductSpec { hang_limit: Some(LIMIT), ..Default::default() },
        };
        let mut assigned =
            Assignment { application: name(), spec, goal: Goal::Started, hands_off: false, pair: None };
        change(&mut assigned);
        let memory = AgentMemory {
            agent: AgentId(1),
            controller_epoch: ControllerEpoch(1),
            obeyed: None,
            assignments: vec![assigned],
            roles: Default::default(),
        };
        let agent = Agent::new(HostName::new("alpha").unwrap(), Incarnation(life), memory);
        let start = StartId { incarnation: Incarnation(life), number: 1 };
        let mut bench =
            Self { agent, now: Moment(1_000_000_000), start, done: Vec::new(), events: Vec::new() };
        bench.sees(AgentSaw::Awake { found: Vec::new(), pages: Default::default() });
        bench.pass(0);
        bench.sees(AgentSaw::Spawned { application: name(), start, pid: 100 });
        bench
    }

    pub fn sees(&mut self, saw: AgentSaw) {
        let decision = self.agent.step(self.now, saw);
        self.done.extend(decision.actions);
        self.events.extend(decision.events);
    }

    /// Time passes; the agent looks at every deadline when it is over.
    pub fn pass(&mut self, milliseconds: u64) {
        let end = self.now + ms(milliseconds);
        let mut steps = 0;
        while let Some(due) = self.agent.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.sees(AgentSaw::DeadlinePassed);
            steps += 1;
            assert!(steps < 100_000, "it asks for its next deadline for ever");
        }
        self.now = end;
    }

    /// Time passes while the agent does not run.
    pub fn freeze(&mut self, milliseconds: u64) {
        self.now = self.now + ms(milliseconds);
        self.sees(AgentSaw::DeadlinePassed);
    }

    pub fn stops(&mut self) {
        let (start, running) = (self.start, self.now);
        self.sees(AgentSaw::Looked { application: name(), start, stopped: true, running });
    }

    pub fn notes(&mut self, notice: Notice) {
        self.sees(AgentSaw::Noticed { application: name(), start: self.start, notice });
    }

    pub fn attach(&mut self, heartbeat: bool) {
        let said = FromApplication::Attach {
            application: name(),
            pid: 100,
            run_mode: RunMode::Primary,
            epoch: Epoch(0),
            readiness: Readiness::Ready,
            suspended: false,
            heartbeat,
        };
        self.sees(AgentSaw::Said { application: name(), start: self.start, said });
    }

    pub fn pong(&mut self, number: u64) {
        let said = FromApplication::Pong(number);
        self.sees(AgentSaw::Said { application: name(), start: self.start, said });
    }

    pub fn pings(&self) -> Vec<u64> {
        let number = |action: &AgentDo| match action {
            AgentDo::Say { message: ToApplication::Ping(number), .. } => Some(*number),
            _ => None,
        };
        self.done.iter().filter_map(number).collect()
    }

    pub fn looked_at(&self) -> bool {
        self.done.iter().any(|action| matches!(action, AgentDo::Look { .. }))
    }

    pub fn examined(&self) -> bool {
        self.done.iter().any(|action| matches!(action, AgentDo::KeepEvidence { .. }))
    }

    pub fn killed(&self) -> bool {
        self.done
            .iter()
            .any(|action| matches!(action, AgentDo::KillTree { start, .. } if *start == self.start))
    }

    /// The numbers of probes asked and killed.
    pub fn probes(&self) -> (Vec<StartId>, usize) {
        let asked = |action: &AgentDo| match action {
            AgentDo::Probe { probe, .. } => Some(*probe),
            AgentDo::RunHook(run) if run.kind == HookKind::Probe => Some(run.hook),
            _ => None,
        };
        let killed = |action: &&AgentDo| matches!(action, AgentDo::KillTree { start, .. } if start.is_hook());
        (self.done.iter().filter_map(asked).collect(), self.done.iter().filter(killed).count())
    }

    pub fn answers(&mut self, failed: bool) {
        let hook = *self.probes().0.last().unwrap();
        let failed = failed.then(|| "exit code 1".to_owned());
        self.sees(AgentSaw::HookEnded { application: name(), hook, failed, said: String::new() });
    }
}

//! An agent that runs nothing and obeys at once, and remembers what it was told, in which order, and what the store
//! held at that moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use understudy_model::{
    AgentId, Answer, ApplicationName, ApplicationReport, ApplicationStatus, Assignment, ControllerEpoch,
    Epoch, ExitCause, Goal, HostName, Incarnation, Inventory, LastExit, Order, Outcome, Refusal, RoleEpoch,
    RoleReport, RunMode, Work,
};
use understudy_transport::{Address, Listener, Receiver, Security, Sender};
use understudy_wire::{FromAgent, Hello, ToAgent};

use super::{stored_role, until};

/// What the agent was told.
#[derive(Debug, Clone)]
pub struct Told {
    pub order: Order,
    /// What the store held when the order came.
    pub stored: Option<RoleEpoch>,
}

struct State {
    /// What it says it is.
    host: HostName,
    agent: AgentId,
    applications: BTreeMap<ApplicationName, ApplicationReport>,
    hellos: Vec<Hello>,
    told: Vec<Told>,
    refuse_promotions: bool,
    /// Orders of roles are kept back, unanswered.
    silent: bool,
    link: Option<Sender<FromAgent>>,
    /// Of the protocol.
    version: u16,
    next_pid: u32,
}

pub struct FakeAgent {
    state: Arc<Mutex<State>>,
    _stop: std::sync::mpsc::Sender<()>,
}

impl FakeAgent {
    pub fn start(host: &str, socket: &Path, state_directory: &Path) -> Self {
        let state = Arc::new(Mutex::new(State {
            host: HostName::new(host).unwrap(),
            agent: AgentId(u128::from(host.as_bytes()[0])),
            applications: BTreeMap::new(),
            hellos: Vec::new(),
            told: Vec::new(),
            refuse_promotions: false,
            silent: false,
            link: None,
            version: 1,
            next_pid: 1_000,
        }));
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let address = Address::Unix(socket.to_owned());
        let (shared, store) = (Arc::clone(&state), state_directory.to_owned());
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.spawn(serve(address, shared, store));
            // Ends when the test lets go of the agent: nothing is ever sent.
            let _ = stopped.recv();
            runtime.shutdown_background();
        });
        until("the agent listens", || socket.exists().then_some(()));
        Self { state, _stop: stop }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn told(&self) -> Vec<Told> {
        self.lock().told.clone()
    }

    pub fn hellos(&self) -> Vec<Hello> {
        self.lock().hellos.clone()
    }

    pub fn forget_told(&self) {
        self.lock().told.clear();
    }

    /// The roles that it was told to take or give up, as `promote 1` or `demote 1`.
    pub fn roles_told(&self) -> Vec<String> {
        let told = self.told();
        let roles = told.iter().filter_map(|told| match &told.order.work {
            Work::Promote { role, .. } => Some(format!("promote {}", role.epoch)),
            Work::Demote { role, .. } => Some(format!("demote {}", role.epoch)),
            _ => None,
        });
        roles.collect()
    }

    pub fn refuse_promotions(&self) {
        self.lock().refuse_promotions = true;
    }

    pub fn be_silent(&self) {
        self.lock().silent = true;
    }

    pub fn claim_host(&self, host: &str) {
        self.lock().host = HostName::new(host).unwrap();
    }

    /// Speaks this version of the protocol from the next link on.
    pub fn speak(&self, version: u16) {
        self.lock().version = version;
    }

    pub fn change_identity(&self) {
        self.lock().agent = AgentId(99);
    }

    /// Closes the link as a dying agent would.
    pub fn drop_link(&self) {
        self.lock().link = None;
    }

    /// The application's process is killed; it stays down.
    pub fn crash(&self, application: &str) {
        let mut state = self.lock();
        let name = ApplicationName::new(application).unwrap();
        let report = state.applications.get_mut(&name).unwrap();
        report.pid = None;
        report.status = ApplicationStatus::StartPending;
        report.run_mode = RunMode::Unknown;
        report.last_exit = Some(LastExit { cause: ExitCause::Signal(9), wanted: false, ran_ms: 5_000 });
        if let Some(role) = &mut report.role
            && let Some(acting) = role.acting.take()
        {
            role.closed = acting.epoch;
        }
        state.report(&name);
    }

    /// It runs again, as backup.
    pub fn recover(&self, application: &str) {
        let mut state = self.lock();
        let name = ApplicationName::new(application).unwrap();
        state.run(&name);
        state.report(&name);
    }
}

async fn serve(address: Address, state: Arc<Mutex<State>>, store: PathBuf) {
    let listener = Listener::bind(&address, Security::Plain).await.unwrap();
    loop {
        let stranger = listener.accept().await.unwrap();
        let Ok((ToAgent::Hello(hello), sender, mut receiver)) =
            stranger.first_message::<ToAgent, FromAgent>().await
        else {
            continue;
        };
        let welcome = {
            let mut state = state.lock().unwrap();
            if state.version >= understudy_wire::LIVENESS_SINCE {
                receiver.allow_signals();
            }
            state.hellos.push(hello);
            state.link = Some(sender);
            FromAgent::Welcome { version: state.version, inventory: state.inventory() }
        };
        state.lock().unwrap().say(welcome);
        tokio::spawn(listen(receiver, Arc::clone(&state), store.clone()));
    }
}

async fn listen(mut receiver: Receiver<ToAgent>, state: Arc<Mutex<State>>, store: PathBuf) {
    while let Ok(Some(message)) = receiver.next().await {
        if let ToAgent::Order(order) = message {
            let stored = stored_role(&store);
            state.lock().unwrap().obey(order, stored);
        }
    }
}

impl State {
    fn say(&mut self, message: FromAgent) {
        if let Some(link) = &self.link {
            // A server that was killed is part of some tests.
            let _ = link.try_send(&message);
        }
    }

    fn inventory(&self) -> Inventory {
        Inventory {
            host: self.host.clone(),
            agent: self.agent,
            incarnation: Incarnation(1),
            controller_epoch: ControllerEpoch(0),
            applications: self.applications.values().cloned().collect(),
        }
    }

    fn report(&mut self, name: &ApplicationName) {
        if let Some(report) = self.applications.get(name).cloned() {
            self.say(FromAgent::Report(report));
        }
    }

    fn obey(&mut self, order: Order, stored: Option<RoleEpoch>) {
        self.told.push(Told { order: order.clone(), stored });
        let outcome = match order.work {
            Work::Promote { .. } | Work::Demote { .. } if self.silent => return,
            Work::Assign(assignments) => {
                for assignment in assignments {
                    self.assign(&assignment);
                }
                Outcome::Done
            }
            Work::SetGoal { application, goal, .. } => {
                self.set_goal(&application, goal);
                Outcome::Done
            }
            Work::SetHandsOff { .. }
            | Work::Restart { .. }
            | Work::WouldPromise { .. }
            | Work::Learn { .. }
            | Work::LetGo => Outcome::Done,
            Work::Promote { role, .. } => self.promote(role),
            Work::Demote { role, .. } => self.demote(&role),
        };
        self.say(FromAgent::Answer(Answer { order: order.id, outcome }));
    }

    fn assign(&mut self, assignment: &Assignment) {
        let name = assignment.application.clone();
        if self.applications.contains_key(&name) {
            return;
        }
        let role = assignment.pair.as_ref().map(|place| RoleReport {
            pair: place.pair.clone(),
            promised: None,
            closed: Epoch::NONE,
            acting: None,
            strict: None,
        });
        let report = ApplicationReport {
            application: name.clone(),
            pid: None,
            status: ApplicationStatus::Stopped,
            goal: assignment.goal,
            run_mode: RunMode::Unknown,
            problem: String::new(),
            restarts: 0,
            gave_up: false,
            last_exit: None,
            role,
        };
        self.applications.insert(name.clone(), report);
        self.set_goal(&name, assignment.goal);
    }

    fn set_goal(&mut self, name: &ApplicationName, goal: Goal) {
        if goal == Goal::Started {
            self.run(name);
        } else if let Some(report) = self.applications.get_mut(name) {
            report.goal = goal;
            report.pid = None;
            report.status = ApplicationStatus::Stopped;
            report.run_mode = RunMode::Unknown;
            if let Some(role) = &mut report.role
                && let Some(acting) = role.acting.take()
            {
                role.closed = acting.epoch;
            }
        }
        self.report(name);
    }

    fn run(&mut self, name: &ApplicationName) {
        self.next_pid += 1;
        if let Some(report) = self.applications.get_mut(name) {
            report.goal = Goal::Started;
            report.pid = Some(self.next_pid);
            report.status = ApplicationStatus::Started;
            report.run_mode = RunMode::Backup;
        }
    }

    fn promote(&mut self, ordered: RoleEpoch) -> Outcome {
        let name = ordered.holder.clone();
        let refuses = self.refuse_promotions;
        let Some(report) = self.applications.get_mut(&name) else {
            return Outcome::Refused(Refusal::UnknownApplication);
        };
        let Some(role) = &mut report.role else { return Outcome::Refused(Refusal::UnknownApplication) };
        if refuses {
            role.closed = ordered.epoch;
            self.report(&name);
            return Outcome::Refused(Refusal::ApplicationRefused("not today".to_owned()));
        }
        role.promised = Some(ordered.clone());
        role.acting = Some(ordered);
        report.run_mode = RunMode::Primary;
        self.report(&name);
        Outcome::Done
    }

    fn demote(&mut self, ordered: &RoleEpoch) -> Outcome {
        let name = ordered.holder.clone();
        let Some(report) = self.applications.get_mut(&name) else {
            return Outcome::Refused(Refusal::UnknownApplication);
        };
        let Some(role) = &mut report.role else { return Outcome::Refused(Refusal::UnknownApplication) };
        if role.acting.as_ref() != Some(ordered) {
            return Outcome::Refused(Refusal::NotActing(role.acting.clone()));
        }
        role.acting = None;
        role.closed = ordered.epoch;
        report.run_mode = RunMode::Backup;
        self.report(&name);
        Outcome::Done
    }
}

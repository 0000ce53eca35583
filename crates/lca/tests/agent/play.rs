//! A place for one agent on this machine, and a control server to talk to it.
//!
//! Knows no test. The law: whatever it started is gone when it is dropped, and nothing else is touched.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use understudy_lca::platform::{Linux, Platform};
use understudy_lca::promise_file::{Owner, PromiseFile};
use understudy_model::{
    AgentId, ApplicationName, ApplicationReport, ApplicationSpec, Assignment, ControllerEpoch,
    ControllerName, Goal, Interface, Inventory, Order, OrderId, Outcome, OutputKind, ProcessSpec,
    RestartPolicy, Signal, Verdict, VoteAnswer, VoteAsk, Work,
};
use understudy_transport::{Address, Receiver, Security, Sender, dial};
use understudy_wire::{FromAgent, Hello, Message, SPOKEN, ToAgent};

/// The longest that anything may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Directories and settings of one agent.
pub struct Place {
    directory: tempfile::TempDir,
    host: &'static str,
}

impl Place {
    pub fn new() -> Self {
        Self::of_host("alpha")
    }

    /// One of an agent of that host.
    pub fn of_host(host: &'static str) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap(), host };
        place.write_settings("run");
        place
    }

    /// One that users other than the agent's can pass.
    pub fn open_to_others() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let mode = PermissionsExt::from_mode(0o755);
        let directory = tempfile::Builder::new().permissions(mode).tempdir_in("/tmp").unwrap();
        let place = Self { directory, host: "alpha" };
        place.write_settings("run");
        place
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.at("state")
    }

    pub fn logs(&self) -> PathBuf {
        self.at("logs")
    }

    pub fn listen(&self) -> PathBuf {
        self.at("control.sock")
    }

    pub fn settings(&self) -> PathBuf {
        self.at("lca.toml")
    }

    pub fn agent_log(&self) -> String {
        std::fs::read_to_string(self.at("agent.log")).unwrap_or_default()
    }

    /// Where the newest agent answers load balancers: the system gave it a port.
    pub fn status_address(&self) -> std::net::SocketAddr {
        let find = || {
            let log = self.agent_log();
            let line = log.lines().rev().find(|line| line.contains("answering load balancers"))?.to_owned();
            line.split("address=").nth(1)?.trim().parse().ok()
        };
        eventually("the status port is served", || find().is_some());
        find().unwrap()
    }

    /// Other places than one that the system chooses.
    pub fn set_status_listen(&self, list: &str) {
        let text = std::fs::read_to_string(self.settings()).unwrap();
        std::fs::write(self.settings(), text.replace("[\"127.0.0.1:0\"]", list)).unwrap();
    }

    pub fn write_settings(&self, runtime: &str) {
        let text = format!(
            "[agent]\nhost = {:?}\nlisten = [\"unix:{}\"]\nstatus-listen = [\"127.0.0.1:0\"]\nstate-directory = {:?}\nruntime-directory = {:?}\nlog-directory = {:?}\n[policy]\nallow-root = true\n",
            self.host,
            self.listen().display(),
            self.state(),
            self.at(runtime),
            self.logs(),
        );
        std::fs::write(self.settings(), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lca"));
        command.arg("--config").arg(self.settings()).stdin(Stdio::null());
        command
    }

    /// Runs an agent that should end by itself.
    pub fn run_agent(&self, more: &[&str]) -> Output {
        self.command().args(more).output().unwrap()
    }

    pub fn start_agent(&self) -> RunningAgent {
        self.start_agent_by(self.command())
    }

    /// By a command that becomes the agent.
    pub fn start_agent_by(&self, mut command: Command) -> RunningAgent {
        let log = std::fs::File::options().create(true).append(true).open(self.at("agent.log")).unwrap();
        let child = command.stderr(log).spawn().unwrap();
        eventually("the agent listens", || std::os::unix::net::UnixStream::connect(self.listen()).is_ok());
        RunningAgent { child }
    }

    /// A link as an application opens one.
    pub async fn application_link<Out: Message, In: Message>(&self) -> (Sender<Out>, Receiver<In>) {
        dial(&[Address::Unix(self.at("run/lca.sock"))], LIMIT, &Security::Plain).await.unwrap().split()
    }

    /// What agents that were killed could not remove.
    fn remove_control_groups(&self) {
        let owner = Owner { host: self.host.to_owned(), machine: understudy_lca::state::machine_id() };
        let path = self.state().join("promises");
        let Ok((_, promises)) = PromiseFile::open(&path, &owner, AgentId(1)) else { return };
        let Ok((platform, _)) = Linux::new(promises.agent) else { return };
        if let Ok(survivors) = platform.survivors(&[]) {
            for survivor in survivors {
                let _ = platform.kill(&survivor.tree);
            }
        }
        platform.remove_leftovers();
    }

    /// Ends a process of which the number is known to be ours.
    pub fn clean_up(&self, pid: u32) {
        let cwd = std::fs::read_link(format!("/proc/{pid}/cwd"));
        if cwd.is_ok_and(|cwd| cwd.starts_with(self.directory.path())) {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            self.clean_up(pid);
        }
        self.remove_control_groups();
        if std::thread::panicking() {
            eprintln!("{}", self.agent_log());
        }
    }
}

pub struct RunningAgent {
    child: Child,
}

impl RunningAgent {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to read its settings again.
    pub fn reload(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// Stops it as it stands, or lets it go on: it says nothing meanwhile, and its links stay open.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to end; its exit code.
    pub fn terminate(&mut self, limit: Duration) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "the agent does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        // It may have ended already, as some tests want it to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A control server.
pub struct Controller {
    sender: Sender<ToAgent>,
    receiver: Receiver<FromAgent>,
    pub inventory: Inventory,
    epoch: ControllerEpoch,
    orders: u64,
    unread: Vec<ApplicationReport>,
    answers: Vec<(OrderId, Outcome)>,
}

impl Controller {
    fn hello(epoch: u64, host: &str) -> Hello {
        Hello {
            versions: SPOKEN,
            controller: ControllerName::new("scs-1").unwrap(),
            controller_epoch: ControllerEpoch(epoch),
            cluster_name: "test".to_owned(),
            cluster: None,
            host: host.parse().unwrap(),
            lineage: Vec::new(),
        }
    }

    async fn say(place: &Place, hello: Hello) -> (Sender<ToAgent>, Receiver<FromAgent>, FromAgent) {
        let connection = dial(&[Address::Unix(place.listen())], LIMIT, &Security::Plain).await.unwrap();
        let (sender, mut receiver) = connection.split::<ToAgent, FromAgent>();
        sender.try_send(&ToAgent::Hello(hello)).unwrap();
        let answer = limited(receiver.next()).await.unwrap().unwrap();
        (sender, receiver, answer)
    }

    pub async fn connect(place: &Place, epoch: u64) -> Self {
        let (sender, receiver, answer) = Self::say(place, Self::hello(epoch, place.host)).await;
        let FromAgent::Welcome { inventory, .. } = answer else { panic!("{answer:?}") };
        let epoch = ControllerEpoch(epoch);
        Self { sender, receiver, inventory, epoch, orders: 0, unread: Vec::new(), answers: Vec::new() }
    }

    /// Why a Hello with that change is refused.
    pub async fn refused(place: &Place, change: impl FnOnce(&mut Hello)) -> String {
        let mut hello = Self::hello(1, place.host);
        change(&mut hello);
        let (_, mut receiver, answer) = Self::say(place, hello).await;
        let FromAgent::HelloRefused { reason, .. } = answer else { panic!("{answer:?}") };
        assert!(limited(receiver.next()).await.unwrap().is_none(), "the link ends after a refusal");
        reason
    }

    /// Orders something; its outcome. Reports that come before it are kept.
    pub async fn order(&mut self, work: Work) -> Outcome {
        let id = self.begin_order(work);
        self.answer(id).await
    }

    /// Gives an order without waiting for its answer.
    pub fn begin_order(&mut self, work: Work) -> OrderId {
        self.orders += 1;
        let id = OrderId(self.orders);
        let incarnation = self.inventory.incarnation;
        let order = Order { id, incarnation, controller_epoch: self.epoch, work };
        self.sender.try_send(&ToAgent::Order(order)).unwrap();
        id
    }

    /// The outcome of an order.
    pub async fn answer(&mut self, id: OrderId) -> Outcome {
        if let Some(at) = self.answers.iter().position(|(order, _)| *order == id) {
            return self.answers.swap_remove(at).1;
        }
        loop {
            match self.next().await.expect("the agent is there") {
                FromAgent::Answer(answer) if answer.order == id => return answer.outcome,
                FromAgent::Answer(answer) => self.answers.push((answer.order, answer.outcome)),
                FromAgent::Report(report) => self.unread.push(report),
                FromAgent::AskVote(ask) => self.vote(ask),
                _ => {}
            }
        }
    }

    pub async fn next(&mut self) -> Option<FromAgent> {
        limited(self.receiver.next()).await.unwrap_or(None)
    }

    /// Gives its vote.
    fn vote(&self, ask: VoteAsk) {
        let VoteAsk { pair, incarnation, number, role, .. } = ask;
        let answer = VoteAnswer { pair, incarnation, number, role, verdict: Verdict::Given, clock: None };
        // The agent may be dead, as some tests want it to.
        let _ = self.sender.try_send(&ToAgent::Vote(answer));
    }

    /// Gives every vote that was asked for until now.
    pub async fn vote_now(&mut self) {
        while let Some(said) = self.next_now().await {
            match said {
                FromAgent::AskVote(ask) => self.vote(ask),
                FromAgent::Answer(answer) => self.answers.push((answer.order, answer.outcome)),
                _ => {}
            }
        }
    }

    /// What has come already.
    pub async fn next_now(&mut self) -> Option<FromAgent> {
        tokio::time::timeout(Duration::from_millis(1), self.receiver.next()).await.ok()?.unwrap()
    }

    /// The first report that is as wished.
    pub async fn report(&mut self, wished: impl Fn(&ApplicationReport) -> bool) -> ApplicationReport {
        if let Some(at) = self.unread.iter().position(&wished) {
            return self.unread.drain(..=at).next_back().unwrap();
        }
        self.unread.clear();
        loop {
            match self.next().await.expect("the agent is there") {
                FromAgent::Report(report) if wished(&report) => return report,
                FromAgent::AskVote(ask) => self.vote(ask),
                _ => {}
            }
        }
    }
}

pub async fn limited<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

/// Returns as soon as a condition holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::yield_now();
    }
}

/// Whether a process runs; a zombie does not.
pub fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

pub fn assignment(name: &str, command: &[&str]) -> Assignment {
    let spec = ApplicationSpec {
        host: "alpha".parse().unwrap(),
        kind: "test".to_owned(),
        interface: Interface::Plain,
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        working_directory: None,
        environment: Default::default(),
        stop_signal: Signal::Term,
        restart: RestartPolicy::Never,
        success_codes: vec![0],
        restart_delay: Duration::from_millis(10),
        restart_limit: 3,
        startup_timeout: Duration::from_secs(10),
        shutdown_timeout: Duration::from_secs(5),
        autostart: false,
        ports: Vec::new(),
        options: Default::default(),
        // Tests read it, also on machines with a journal.
        process: ProcessSpec { output: Some(OutputKind::File), ..ProcessSpec::default() },
        conduct: Default::default(),
    };
    let application = ApplicationName::new(name).unwrap();
    Assignment { application, spec, goal: Goal::Stopped, hands_off: false, pair: None }
}

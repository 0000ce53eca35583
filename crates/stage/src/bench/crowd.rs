//! Two hundred agents in one process: what a control server of a large cluster has at the other ends of its links.
//!
//! It knows the conversation of control links and nothing of processes: an application counts as running as soon as it is
//! assigned. The law: every agent has a certificate, a listener and a link of its own, and obeys as a real one would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;
use understudy_model::{
    AgentId, Answer, ApplicationName, ApplicationReport, ApplicationStatus, Assignment, ControllerEpoch,
    Epoch, Goal, HostName, Incarnation, Inventory, Order, Outcome, PairName, RoleEpoch, RoleReport, RunMode,
    Work,
};
use understudy_transport::{
    Address, CredentialFiles, Credentials, Listener, Receiver, Security, Sender, Stranger,
};
use understudy_wire::{FromAgent, SPOKEN, ToAgent};

use crate::StageError;
use crate::plan::PKI;

/// The name of this part.
pub const PART_CROWD: &str = "crowd";
/// The first number of a process of theirs; none of them exists.
const FIRST_PID: u32 = 1_000_000;

/// Plays every agent of a list: a line has a host's name and the address at which its agent listens. Certificates lie in
/// the authority's directory below `directory`. Ends with its process.
pub fn be(list: &Path, directory: &Path) -> Result<(), StageError> {
    let text = std::fs::read_to_string(list).map_err(StageError::file("read", list))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(StageError::system("start a runtime"))?.block_on(async {
        let mut agents = tokio::task::JoinSet::new();
        for (number, line) in text.lines().enumerate() {
            let odd = || StageError::Unexpected(format!("{}: {line:?}", list.display()));
            let (host, address) = line.split_once(' ').ok_or_else(odd)?;
            let address: Address = address.parse().map_err(|_| odd())?;
            let security = Security::Tls(credentials(&directory.join(PKI), host)?);
            let listener = Listener::bind(&address, security).await;
            let listener = listener.map_err(|error| StageError::Unexpected(error.to_string()))?;
            let agent = Arc::new(Played::new(HostName::new(host).map_err(|_| odd())?, number));
            agents.spawn(async move { agent.serve(&listener).await });
        }
        match agents.join_next().await {
            Some(Ok(Err(error))) => Err(error),
            _ => Err(StageError::Unexpected("an agent of the crowd has ended".to_owned())),
        }
    })
}

fn credentials(pki: &Path, host: &str) -> Result<Credentials, StageError> {
    let file = |end: &str| -> PathBuf { pki.join(format!("{host}.{end}")) };
    let (authorities, revoked) = (vec![pki.join("ca.pem")], vec![pki.join("revoked.pem")]);
    let files = CredentialFiles { certificate: file("pem"), key: file("key"), authorities, revoked };
    Credentials::load(files).map_err(|error| StageError::Unexpected(error.to_string()))
}

/// One agent.
struct Played {
    host: HostName,
    number: u64,
    applications: Mutex<BTreeMap<ApplicationName, Part>>,
}

/// An application that it pretends to run.
struct Part {
    assignment: Assignment,
    promised: Option<RoleEpoch>,
    closed: Epoch,
    acts: bool,
}

impl Played {
    fn new(host: HostName, number: usize) -> Self {
        Self { host, number: number as u64 + 1, applications: Mutex::default() }
    }

    async fn serve(self: Arc<Self>, listener: &Listener) -> Result<(), StageError> {
        loop {
            let stranger = listener.accept().await;
            let stranger = stranger.map_err(|error| StageError::Unexpected(error.to_string()))?;
            let this = Arc::clone(&self);
            tokio::spawn(async move { this.converse(stranger).await });
        }
    }

    /// Speaks with one control server until the link ends, however it does: that is the control server's to tell.
    async fn converse(&self, stranger: Stranger) {
        let Ok((ToAgent::Hello(hello), sender, mut receiver)) = stranger.first_message().await else {
            return;
        };
        receiver.allow_signals();
        let Some(version) = SPOKEN.highest_common(hello.versions) else { return };
        let inventory = self.inventory(hello.controller_epoch).await;
        if sender.try_send(&FromAgent::Welcome { version, inventory }).is_ok() {
            self.obey(&sender, receiver).await;
        }
    }

    async fn inventory(&self, controller_epoch: ControllerEpoch) -> Inventory {
        let applications = self.applications.lock().await;
        Inventory {
            host: self.host.clone(),
            agent: AgentId(u128::from(self.number)),
            incarnation: Incarnation(u128::from(self.number)),
            controller_epoch,
            applications: applications.values().map(|part| self.report(part)).collect(),
        }
    }

    async fn obey(&self, sender: &Sender<FromAgent>, mut receiver: Receiver<ToAgent>) {
        while let Ok(Some(message)) = receiver.next().await {
            let ToAgent::Order(Order { id, work, .. }) = message else { continue };
            let changed = self.change(work).await;
            let answer = FromAgent::Answer(Answer { order: id, outcome: Outcome::Done });
            let mut said = changed.into_iter().map(FromAgent::Report).chain([answer]);
            if !said.all(|message| sender.try_send(&message).is_ok()) {
                return;
            }
        }
    }

    /// Does what is ordered; reports what is different then.
    async fn change(&self, work: Work) -> Vec<ApplicationReport> {
        let mut applications = self.applications.lock().await;
        match work {
            Work::Assign(assignments) => {
                let mut before = std::mem::take(&mut *applications);
                for assignment in assignments {
                    let part = match before.remove(&assignment.application) {
                        Some(part) => Part { assignment, ..part },
                        None => Part { assignment, promised: None, closed: Epoch(0), acts: false },
                    };
                    applications.insert(part.assignment.application.clone(), part);
                }
                applications.values().map(|part| self.report(part)).collect()
            }
            Work::SetGoal { application, goal, .. } => self.one(&mut applications, &application, |part| {
                part.assignment.goal = goal;
                part.acts &= goal == Goal::Started;
            }),
            Work::SetHandsOff { application, hands_off } => {
                self.one(&mut applications, &application, |part| part.assignment.hands_off = hands_off)
            }
            Work::Restart { application } => {
                self.one(&mut applications, &application, |part| part.acts = false)
            }
            Work::WouldPromise { .. } | Work::Learn { .. } => Vec::new(),
            // Nobody leaves in a bench.
            Work::LetGo => Vec::new(),
            Work::Promote { pair, role, .. } => self.member(&mut applications, &pair, |part| {
                part.promised = Some(role.clone());
                part.acts = true;
            }),
            Work::Demote { pair, role, .. } => self.member(&mut applications, &pair, |part| {
                part.closed = role.epoch;
                part.acts = false;
            }),
        }
    }

    fn one(
        &self,
        applications: &mut BTreeMap<ApplicationName, Part>,
        name: &ApplicationName,
        change: impl FnOnce(&mut Part),
    ) -> Vec<ApplicationReport> {
        let Some(part) = applications.get_mut(name) else { return Vec::new() };
        change(part);
        vec![self.report(part)]
    }

    fn member(
        &self,
        applications: &mut BTreeMap<ApplicationName, Part>,
        pair: &PairName,
        change: impl FnOnce(&mut Part),
    ) -> Vec<ApplicationReport> {
        let of_pair =
            |part: &&mut Part| part.assignment.pair.as_ref().is_some_and(|place| place.pair == *pair);
        let Some(part) = applications.values_mut().find(of_pair) else { return Vec::new() };
        change(part);
        vec![self.report(part)]
    }

    fn report(&self, part: &Part) -> ApplicationReport {
        let runs = part.assignment.goal == Goal::Started;
        let pair = part.assignment.pair.as_ref();
        let run_mode = match (pair, runs, part.acts) {
            (None, true, _) | (Some(_), true, true) => RunMode::Primary,
            (Some(_), true, false) => RunMode::Backup,
            (_, false, _) => RunMode::Unknown,
        };
        ApplicationReport {
            application: part.assignment.application.clone(),
            pid: runs.then(|| FIRST_PID + u32::try_from(self.number).unwrap_or(0)),
            status: if runs { ApplicationStatus::Started } else { ApplicationStatus::Stopped },
            goal: part.assignment.goal,
            run_mode,
            problem: String::new(),
            restarts: 0,
            gave_up: false,
            last_exit: None,
            role: pair.map(|place| RoleReport {
                pair: place.pair.clone(),
                promised: part.promised.clone(),
                closed: part.closed,
                acting: part.promised.clone().filter(|_| part.acts),
                strict: None,
            }),
        }
    }
}

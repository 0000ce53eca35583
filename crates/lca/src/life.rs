//! One life of an agent: everything opened, wired together, run, and left alone again.
//!
//! Refuses to decide. The law is the order: lock, promises, assignments, what still runs; then the machine's first
//! observation; only then does anybody hear us. And the end of the agent is never the end of an application.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use understudy_decide::agent::{Agent, AgentMemory, AgentSaw, StartId};
use understudy_drive::{Inbox, InboxReader, State as UnitState, Stop, Unit};
use understudy_model::{AgentId, ApplicationName, Incarnation};
use understudy_settings::AgentSettings;
use understudy_transport::{Address, AddressError, BindError, Listener, Security};

use crate::accepting::cause;
use crate::application_links::ApplicationLinks;
use crate::callers;
use crate::doors::Doors;
use crate::environment::{Surroundings, home_of};
use understudy_guard::guards::GuardsError;

use crate::guarding;
use crate::hands::AgentHands;
use crate::inherited::Inheritance;
use crate::journal;
use crate::keeper::Keeper;
use crate::links::Links;
use crate::local::Local;
use crate::log_files::LogFiles;
use crate::log_reader::LogReader;
use crate::pages::Pages;
use crate::peers::{Me, Peers};
use crate::platform::{Linux, Platform, PlatformError};
use crate::processes::{Footing, Places, Processes, notices};
use crate::promise_file::Owner;
use crate::replace::Replace;
use crate::security::SecurityError;
use crate::starts::Starts;
use crate::state::{self, State, StateError};
use crate::status::board::Board;
use crate::status::serve_status;

/// Mail that may wait for the machine.
const INBOX_BOUND: usize = 1024;

/// Why a life did not begin. Nothing was started, signalled or answered.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// The settings name something that cannot be.
    #[error("{key}: {source}")]
    Address {
        /// Which setting.
        key: &'static str,
        /// What is wrong with it.
        source: AddressError,
    },
    /// The certificate or its key.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The state is not ours, not whole, or in use.
    #[error(transparent)]
    State(#[from] StateError),
    /// The guard.
    #[error(transparent)]
    Guard(#[from] GuardsError),
    /// The system lacks what an agent needs.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// A directory for what runs.
    #[error("cannot use the runtime directory {}: {source}", path.display())]
    Runtime {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What runs could not be searched.
    #[error("cannot search for applications that still run: {0}")]
    Search(#[source] io::Error),
    /// The thread that writes to disk.
    #[error("cannot make the thread that writes to disk: {0}")]
    Keeper(#[source] io::Error),
    /// A place to listen at.
    #[error("cannot listen: {0}")]
    Listen(#[source] BindError),
    /// A listener of the program before this one.
    #[error("cannot listen on at {address}: {source}")]
    ListenOn {
        /// Where.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The socket of local commands.
    #[error("cannot listen for local commands in {}: {source}", path.display())]
    Local {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LifeError {
    /// Whether a person must change settings or state before another start can succeed.
    pub fn is_configuration(&self) -> bool {
        match self {
            LifeError::Address { .. } | LifeError::Security(_) => true,
            // Who holds the state may let go of it, and a disk may be well again: that is tried again.
            LifeError::State(StateError::Promises(error)) => error.needs_a_person(),
            LifeError::State(StateError::Assignments(error)) => error.needs_a_person(),
            _ => false,
        }
    }
}

/// The socket of applications, and every place to listen at; what settings alone cannot check.
pub fn addresses(settings: &AgentSettings) -> Result<(PathBuf, Vec<Address>), LifeError> {
    let link = Path::new(&settings.runtime_directory).join("lca.sock");
    let parse =
        |key, text: &str| text.parse::<Address>().map_err(|source| LifeError::Address { key, source });
    parse("agent.runtime-directory", &format!("unix:{}", link.display()))?;
    let listen = settings.listen.iter().map(|text| parse("agent.listen", text)).collect::<Result<_, _>>()?;
    Ok((link, listen))
}

/// An agent that has begun: everything is adopted, nothing was decided yet.
pub struct Life {
    agent: Agent,
    first: AgentSaw,
    mail: InboxReader<Agent>,
    hands: AgentHands<Linux>,
    platform: Arc<Linux>,
    links: Arc<Links>,
    applications: Arc<ApplicationLinks<Linux>>,
    link_path: PathBuf,
    listen: Vec<Address>,
    status_listen: Vec<SocketAddr>,
    runtime_directory: PathBuf,
    opened: Opened,
    security: Security,
    inbox: Inbox<Agent>,
    adopted: Vec<StartId>,
    /// Held until the end: the lock on the state directory.
    _lock: fs::File,
}

impl Life {
    /// Opens everything and searches what still runs. Must be called inside a tokio runtime.
    pub fn begin(settings: &AgentSettings, program: &Path) -> Result<Self, LifeError> {
        let (link_path, listen) = addresses(settings)?;
        let security = crate::security::load(settings)?;
        let state_directory = Path::new(&settings.state_directory);
        let owner = Owner { host: settings.host.to_string(), machine: state::machine_id() };
        let State { lock, promise_file, promises, assignments_file, assignments } =
            State::open(state_directory, &owner)?;
        for remark in &promises.remarks {
            tracing::warn!("{remark}");
        }
        let incarnation = Incarnation(state::random().map_err(StateError::Random)?);
        let (platform, missing) = Linux::new(promises.agent)?;
        if let Some(missing) = missing {
            tracing::warn!("{missing}");
        }
        let platform = Arc::new(platform);
        let (inbox, mail) = Inbox::new(INBOX_BOUND);
        let keeper = Keeper::start(promise_file, assignments_file).map_err(LifeError::Keeper)?;
        let logs = Arc::new(LogFiles::new(Path::new(&settings.log_directory)));
        for assignment in &assignments {
            let has_journal = journal::socket().is_some();
            logs.know(&assignment.application, &assignment.spec.process, has_journal);
        }
        let (processes, found, opened) =
            adopt(settings, promises.agent, &platform, &link_path, &inbox, &logs)?;
        tracing::info!(host = %settings.host, agent = %promises.agent, %incarnation,
            adopted = found.len(), "agent begins");
        let adopted = found.iter().map(|found| found.start).collect();
        let links = Links::new(
            settings.host.clone(),
            security.clone(),
            inbox.clone(),
            promises.controller_epoch,
            LogReader::new(Arc::clone(&logs)),
        );
        let me = Me { host: settings.host.clone(), agent: promises.agent, incarnation };
        let peers = Peers::new(me, security.clone(), inbox.clone());
        let applications = ApplicationLinks::new(Arc::clone(&processes), inbox.clone());
        let board = (!settings.status_listen.is_empty())
            .then(|| Board::new(settings.host.clone(), incarnation, &links, &peers, &applications));
        let pages = processes.pages().found();
        let runtime_directory = Path::new(&settings.runtime_directory);
        let told = inbox.clone();
        let guards = guarding::start(runtime_directory, program, Arc::clone(&platform), move |event| {
            // An agent that has ended need not know.
            told.saw_blocking(guarding::observed(event));
        })?;
        let memory = AgentMemory {
            agent: promises.agent,
            controller_epoch: promises.controller_epoch,
            obeyed: promises.obeyed,
            assignments,
            roles: promises.roles,
        };
        Ok(Self {
            agent: Agent::new(settings.host.clone(), incarnation, memory)
                .on_clock(understudy_drive::BootClock::own().id()),
            first: AgentSaw::Awake { found, pages },
            mail,
            hands: AgentHands {
                keeper,
                inbox: inbox.clone(),
                processes,
                links: Arc::clone(&links),
                peers,
                applications: Arc::clone(&applications),
                board,
                guards,
                agent: promises.agent,
            },
            platform,
            links,
            applications,
            link_path,
            listen,
            status_listen: settings.status_listen.clone(),
            runtime_directory: PathBuf::from(&settings.runtime_directory),
            opened,
            security,
            inbox,
            adopted,
            _lock: lock,
        })
    }

    /// The processes, for settings that change while the agent lives.
    pub fn processes(&self) -> Arc<Processes<Linux>> {
        Arc::clone(&self.hands.processes)
    }

    /// How links are secured, for certificates that change while the agent lives.
    pub fn security(&self) -> Security {
        self.security.clone()
    }

    /// Lives until `stop` is asked, and tells the service manager how it fares. Applications run on after that.
    pub async fn live(mut self, stop: &Stop, start: Start) -> Result<(), LifeError> {
        let Start { program, arguments, unit, mut inheritance } = start;
        // Bound before the machine runs, so that a place that is taken ends the agent before it decided anything;
        // accepted from only after, as what waits in the system's queue is not answered yet.
        let link = Address::Unix(self.link_path);
        let link = listen(&link, Security::Plain, &mut inheritance).await?;
        let mut listeners = Vec::new();
        for address in &self.listen {
            listeners.push(listen(address, self.security.clone(), &mut inheritance).await?);
        }
        // Where nobody listens any more, whoever connects is to be refused and not kept waiting.
        for (address, _) in inheritance.listeners.drain(..) {
            tracing::info!(%address, "not listening there any more");
        }
        let local = Local::bind(&self.runtime_directory)
            .map_err(|source| LifeError::Local { path: self.runtime_directory.clone(), source })?;
        let replace = Replace::new(program, arguments, Arc::clone(&self.applications), unit.clone());
        for listener in listeners.iter().chain([&link]) {
            replace.keep(listener);
        }
        let mut opened = self.opened;
        self.hands.processes.doors().reopen().await;
        let platform = Arc::clone(&self.platform);
        tokio::spawn(async move {
            if let Err(error) = platform.serve().await {
                tracing::error!(%error, "orphans of applications are not waited for any more");
            }
        });
        let (links, applications) = (self.links, self.applications);
        let peers = Arc::clone(&self.hands.peers);
        let (board, status_listen) = (self.hands.board.clone(), self.status_listen);
        let (inbox, adopted, attending) = (self.inbox, self.adopted, unit.clone());
        // The machine's task takes the first observation before any other task of this thread runs.
        let accepting = async move {
            applications.take_up(inheritance.links, &adopted);
            tokio::spawn(local.serve(inbox.clone(), replace));
            tokio::spawn(attending.attend(inbox, status));
            tokio::spawn(Arc::clone(&applications).serve(link, None));
            tokio::spawn(async move {
                while let Some((whose, door)) = opened.recv().await {
                    tokio::spawn(Arc::clone(&applications).serve(Arc::new(door), Some(whose)));
                }
            });
            for listener in listeners {
                tracing::info!(address = %listener.address(), "listening for control servers and other agents");
                tokio::spawn(callers::serve(listener, Arc::clone(&links), Arc::clone(&peers)));
            }
            // Last, when the machine has taken its first observation: before that nothing is known.
            for (address, board) in status_listen.into_iter().zip(std::iter::repeat(board).flatten()) {
                tokio::spawn(serve_status(address, board));
            }
            std::future::pending::<()>().await;
        };
        let machine = understudy_drive::run(self.agent, self.first, self.mail, &mut self.hands, stop);
        tokio::select! {
            biased;
            _ = machine => {}
            () = accepting => {}
        }
        unit.tell(UnitState::Stopping);
        self.platform.remove_leftovers();
        tracing::info!("agent ends; applications run on");
        Ok(())
    }
}

/// How this program was started, and what it was handed.
#[derive(Debug, Default)]
pub struct Start {
    /// Where it lies; the next one is looked for there.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What the service manager is told.
    pub unit: Unit,
    /// What the program before it left open.
    pub inheritance: Inheritance,
}

/// Listens on, if the program before this one did, or anew.
async fn listen(
    address: &Address,
    security: Security,
    inheritance: &mut Inheritance,
) -> Result<Arc<Listener>, LifeError> {
    let listener = match inheritance.listener(&address.to_string()) {
        Some(kept) => Listener::from_copy(address, kept, security)
            .map_err(|source| LifeError::ListenOn { address: address.clone(), source })?,
        None => Listener::bind(address, security).await.map_err(LifeError::Listen)?,
    };
    Ok(Arc::new(listener))
}

/// One line for whoever asks the service manager.
fn status(agent: &Agent) -> String {
    let all = agent.applications().count();
    let run = agent.applications().filter(|known| known.pid.is_some()).count();
    let primary = agent.applications().filter(|known| known.pid.is_some() && known.may_act()).count();
    let heard = match agent.controllers_heard() {
        0 => "no control server is heard".to_owned(),
        1 => "a control server is heard".to_owned(),
        more => format!("{more} control servers are heard"),
    };
    let leaving = if agent.leaving().is_some() { "this host is leaving; " } else { "" };
    format!("{leaving}{run} of {all} applications run, {primary} in a primary's role; {heard}")
}
/// What earlier lives left, taken over; what the machine must know of it; and listeners to be served.
type Adopted = (Arc<Processes<Linux>>, Vec<understudy_decide::agent::Found>, Opened);

/// Listeners of applications that run as other users, and whose they are.
type Opened = tokio::sync::mpsc::Receiver<(ApplicationName, Listener)>;

/// Where processes and their notes are, and what is found of earlier lives.
fn adopt(
    settings: &AgentSettings,
    agent: AgentId,
    platform: &Arc<Linux>,
    link: &Path,
    inbox: &Inbox<Agent>,
    logs: &Arc<LogFiles>,
) -> Result<Adopted, LifeError> {
    let runtime = Path::new(&settings.runtime_directory);
    let failed = |source| LifeError::Runtime { path: runtime.to_owned(), source };
    let options = runtime.join("options");
    state::make_directory(&options).map_err(failed)?;
    let starts = Starts::open(&runtime.join("starts"), agent).map_err(failed)?;
    let (notes, removed) = starts.all(platform.boot_id()).map_err(failed)?;
    if removed > 0 {
        tracing::info!(removed, "notes of another boot, or unreadable ones, are removed");
    }
    let hints: Vec<_> =
        notes.iter().map(|note| (note.application.clone(), note.start, note.tree.clone())).collect();
    let survivors = platform.survivors(&hints).map_err(LifeError::Search)?;
    for note in &notes {
        if !survivors.iter().any(|survivor| survivor.start == note.start)
            && let Err(error) = starts.forget(&note.application, note.start)
        {
            tracing::warn!(application = %note.application, cause = %cause(&error), "cannot remove an old note");
        }
    }
    let pages = Arc::new(Pages::open(runtime).map_err(failed)?);
    let notify = runtime.join("notify");
    notices::make_directory(&notify).map_err(failed)?;
    let around = Surroundings {
        host: settings.host.clone(),
        link: link.to_owned(),
        pages: pages.directory().to_owned(),
        notify,
        home: home_of(rustix::process::geteuid().as_raw()),
        user: None,
        file: Vec::new(),
    };
    let (doors, opened) = Doors::new(runtime);
    let processes = Processes::new(Footing {
        platform: Arc::clone(platform),
        inbox: inbox.clone(),
        starts,
        boot: platform.boot_id().to_owned(),
        places: Places {
            applications: Path::new(&settings.state_directory).join("applications"),
            of_others: PathBuf::from(format!(
                "{}-applications",
                settings.state_directory.trim_end_matches('/')
            )),
            options,
            journal: journal::socket(),
            evidence: Path::new(&settings.state_directory).join("evidence"),
        },
        around,
        doors,
        logs: Arc::clone(logs),
        pages,
        policy: settings.policy.clone(),
    });
    let found = processes.adopt(survivors, &notes);
    if let Err(error) = notices::remove_unheard(&runtime.join("notify")) {
        tracing::warn!(%error, "cannot remove notify sockets that nobody hears any more");
    }
    Ok((processes, found, opened))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignments_file::AssignmentsError;
    use crate::promise_file::OpenError;
    use rustix::io::Errno;

    #[test]
    fn a_disk_that_is_ill_is_tried_again_and_what_a_person_must_mend_is_not() {
        let path = || PathBuf::from("/state/file");
        let all = |source: Errno| {
            let source = || io::Error::from(source);
            let promises: [StateError; 3] = [
                OpenError::Create { path: path(), source: source() }.into(),
                OpenError::Read { path: path(), source: source() }.into(),
                OpenError::Flush { path: path(), source: source() }.into(),
            ];
            let assignments = AssignmentsError::Read { path: path(), source: source() }.into();
            promises.into_iter().chain([assignments]).map(|error| LifeError::State(error).is_configuration())
        };
        for ill in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::STALE, Errno::TIMEDOUT] {
            assert!(all(ill).all(|is_configuration| !is_configuration), "{ill}");
        }
        for wrong in [Errno::ACCESS, Errno::PERM, Errno::NOTDIR, Errno::ISDIR] {
            assert!(all(wrong).all(|is_configuration| is_configuration), "{wrong}");
        }
        let content = StateError::from(OpenError::DamagedSlot { path: path(), slot: 1 });
        assert!(LifeError::State(content).is_configuration());
    }
}

//! One life of the control server: settings, store, leadership, machine, links, API, and the end.
//!
//! It knows the order of these and nothing inside them. The law: the machine and the links share one thread, so that a
//! report reaches a decision and a decision its socket without waking another; operators are served on another thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use understudy_decide::control::{Control, ControlSaw};
use understudy_drive::{Inbox, State, Stop, Unit, stop_signals};
use understudy_model::{Cluster, HostName, HostStatus, LeadershipId};
use understudy_settings::{Checked, Problem, ReadError, ServerSettings, read_cluster, read_server};
use understudy_store::{Reader, Store, StoredToken};
use understudy_transport::{Security, is_of_this_machine};

use crate::accepted::{self, AcceptedError, Chosen};
use crate::api::before::Before;
use crate::api::guard::Guard;
use crate::api::logs::Readers;
use crate::api::shared::Shared;
use crate::api::tls::TlsInUse;
use crate::api::tokens::Tokens;
use crate::api::{Api, NetworkSide, ReloadAsked, Seat};
use crate::asked;
use crate::certificates::{self, Certificates};
use crate::exit::Exit;
use crate::fencing::Fencing;
use crate::figures::Figures;
use crate::hands::ControlHands;
use crate::journal::Journal;
use crate::leadership;
use crate::links::{Introduction, Links};
use crate::record::Recorder;
use crate::reload::{Live, Reload, tell_refused};
use crate::replies::Replies;
use crate::retention::{self, Keep};
use crate::standing::{Concern, Standing};

/// Observations and looks that may wait for the machine.
const INBOX_BOUND: usize = 1_024;
/// Reloads that may wait.
const RELOADS_WAITING: usize = 4;

/// Everything that the files say.
#[derive(Debug)]
pub struct Files {
    /// Where `scs.toml` is.
    pub config: PathBuf,
    /// `scs.toml`
    pub server: ServerSettings,
    /// `cluster.toml`
    pub cluster: Cluster,
    /// How links are secured.
    pub security: Security,
    /// What should be looked at in either.
    pub warnings: Vec<Problem>,
}

/// Every reason why the files cannot be used.
#[derive(Debug)]
pub struct BadFiles {
    /// One for each problem.
    pub problems: Vec<String>,
    /// What should be looked at as well.
    pub warnings: Vec<String>,
}

/// Reads both files. The cluster file can only be looked for once the settings say where it is.
pub fn read_files(config: &Path) -> Result<Files, BadFiles> {
    let Checked { value: server, mut warnings } = read_server(config).map_err(bad)?;
    let Checked { value: mut cluster, warnings: more } =
        read_cluster(Path::new(&server.cluster_file)).map_err(bad)?;
    warnings.extend(more);
    let security = certificates::load(&server, &mut cluster).map_err(|error| BadFiles {
        problems: vec![format!("{}: {error}", config.display())],
        warnings: warnings.iter().map(ToString::to_string).collect(),
    })?;
    Ok(Files { config: config.to_owned(), server, cluster, security, warnings })
}

fn bad(error: ReadError) -> BadFiles {
    let texts = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect();
    match error {
        ReadError::Wrong(wrong) => {
            BadFiles { problems: texts(&wrong.problems), warnings: texts(&wrong.warnings) }
        }
        unreadable @ ReadError::Unreadable { .. } => {
            BadFiles { problems: vec![unreadable.to_string()], warnings: Vec::new() }
        }
    }
}

/// Why the service could not start or go on. What runs on the hosts was not touched.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] understudy_store::OpenError),
    /// Leadership was not taken.
    #[error(transparent)]
    Leadership(#[from] leadership::LeadershipError),
    /// No configuration could be chosen or kept.
    #[error(transparent)]
    Accepted(#[from] AcceptedError),
    /// The API's socket cannot be made.
    #[error(transparent)]
    Api(#[from] crate::api::ApiSocketError),
    /// The API's files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] crate::api::tls::TlsError),
    /// The API's network side cannot be served.
    #[error(transparent)]
    Network(#[from] crate::api::TcpBindError),
    /// The tokens of the API cannot be read.
    #[error(transparent)]
    Tokens(#[from] understudy_store::QueryError),
    /// The system refused a thread, a runtime or a signal.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// The outcome of a durable write is unknown, or somebody else leads.
    #[error("this leadership ends, the next start reads the store anew: {0}")]
    LeadershipLost(String),
}

impl ServiceError {
    /// How the program ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            ServiceError::Leadership(leadership::LeadershipError::OtherCluster { .. }) => {
                Exit::BadConfiguration
            }
            ServiceError::Tls(_) | ServiceError::Accepted(AcceptedError::Foreign(_)) => {
                Exit::BadConfiguration
            }
            _ => Exit::Failed,
        }
    }
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> ServiceError {
    move |source| ServiceError::System { what, source }
}

/// Serves until it is asked to end.
pub fn serve(files: Files) -> Result<(), ServiceError> {
    let directory = PathBuf::from(&files.server.state_directory);
    let mut store = Store::open(&directory)?;
    let memory = leadership::take(&mut store, &files.server.name, &files.cluster, understudy_drive::now())?;
    let lineage = store.lineage()?;
    let Chosen { cluster, refused } = accepted::choose(&mut store, files.cluster)?;
    let reader = Reader::open(&directory)?;
    let tokens = reader.tokens()?;
    let cluster = Arc::new(cluster);
    let standing = Standing::new(Path::new(&files.server.cluster_file), Arc::clone(&cluster));
    standing.set(Concern::Configuration, files.warnings.iter().map(ToString::to_string).collect());
    let journal =
        Journal::start(store, reader, standing.clone()).map_err(system("a thread for the store"))?;
    journal.notify(files.server.notify.clone()).map_err(system("a thread for notices"))?;
    if !refused.is_empty() {
        tell_refused(&standing, &journal, None, &refused);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(system("a runtime"))?;
    let unit = Unit::from_environment().unwrap_or_else(|error| {
        tracing::warn!("the service manager is not told anything: {error}");
        Unit::default()
    });
    let life = Life {
        unit,
        config: files.config,
        server: files.server,
        cluster,
        security: files.security,
        standing,
        journal: journal.clone(),
        tokens,
        lineage: lineage.into(),
    };
    let outcome = runtime.block_on(life.run(memory));
    drop(runtime);
    match journal.close() {
        Ok(()) => tracing::info!("ended; what runs on the hosts was not touched"),
        Err(error) => tracing::error!(%error, "ended, and the last journal entries were not written"),
    }
    outcome
}

/// What the settings say of the journal.
pub(crate) fn keep_of(server: &ServerSettings) -> Keep {
    Keep { span: server.journal_keep, most_bytes: server.journal_max_size }
}

/// How a reload hears of the machine, and ends it.
struct Ties {
    seen: watch::Receiver<u64>,
    lost: Arc<OnceLock<String>>,
    stop: Stop,
}

struct Life {
    unit: Unit,
    config: PathBuf,
    server: ServerSettings,
    cluster: Arc<Cluster>,
    security: Security,
    standing: Standing,
    journal: Journal,
    tokens: Vec<StoredToken>,
    lineage: Arc<[LeadershipId]>,
}

impl Life {
    async fn run(
        mut self,
        mut memory: understudy_decide::control::ControlMemory,
    ) -> Result<(), ServiceError> {
        memory.asked = asked::asked(&self.journal, &memory, &self.cluster, understudy_drive::now()).await;
        let stop = stop_signals().map_err(system("the signals TERM and INT"))?;
        let api = Api::bind(Path::new(&self.server.api_socket))?;
        let tls = self.server.tls.as_ref().map(TlsInUse::open).transpose()?;
        let (network, doors) = match &tls {
            Some(tls) => {
                let side = NetworkSide::bind(&self.server.api_listen, tls.clone(), self.standing.clone())?;
                (Some(side.0), Some(side.1))
            }
            None => (None, None),
        };
        let tokens = Tokens::new(self.journal.clone(), std::mem::take(&mut self.tokens));
        let (inbox, mail) = Inbox::new(INBOX_BOUND);
        let links = Links::new(inbox.clone(), self.journal.clone(), self.security.clone());
        let introduction = Introduction {
            controller: memory.controller.clone(),
            controller_epoch: memory.controller_epoch,
            cluster_name: self.cluster.name.clone(),
            cluster: self.cluster.id,
            lineage: Arc::clone(&self.lineage),
        };
        let (steps, steps_seen) = watch::channel(0);
        let (reloads, reloads_seen) = watch::channel(0);
        let replies = Replies::default();
        let figures = Figures::default();
        let mut hands = ControlHands {
            journal: self.journal.clone(),
            links: links.clone(),
            replies: replies.clone(),
            standing: self.standing.clone(),
            steps,
            controller_epoch: memory.controller_epoch,
            boot: leadership::boot(),
            stop: stop.clone(),
            lost: Arc::default(),
            store_failing: false,
            figures: figures.clone(),
            fencing: Fencing::new(inbox.clone(), self.standing.clone()),
            recorder: Recorder::default(),
            reloads,
            keeping: None,
        };
        hands.begin(&memory);
        // The machine observes the configuration before any mail, so links may be dialed already.
        links.reconcile(&self.cluster, &introduction);
        let guard = Guard::new(tokens, self.server.api.clone(), tls.clone(), self.journal.clone());
        let (keep, kept) = watch::channel(keep_of(&self.server));
        let live = Live { guard: guard.clone(), doors, keep };
        let ties = Ties { seen: reloads_seen, lost: Arc::clone(&hands.lost), stop: stop.clone() };
        let reload = self.start_reloading(&inbox, &links, introduction, tls, live, ties)?;
        tokio::spawn(retention::run(self.journal.clone(), kept, self.standing.clone()));
        tokio::spawn(self.unit.clone().attend(inbox.clone(), status));
        let before = Before::default();
        before.read(&self.journal);
        let seat = Seat {
            before,
            inbox,
            replies,
            journal: self.journal.clone(),
            standing: self.standing.clone(),
            steps: steps_seen,
            reload,
            guard,
            figures,
            links: links.clone(),
            readers: Readers::default(),
            views: Shared::default(),
            pulse: Shared::default(),
        };
        let serving = api.serve(network, seat, stop.clone()).map_err(system("a thread for the API"))?;
        tracing::info!(name = %memory.controller, controller_epoch = %memory.controller_epoch,
            socket = %self.server.api_socket, "leading");
        let configured =
            ControlSaw::Configured { cluster: (*self.cluster).clone(), own_hosts: own_hosts(&self.cluster) };
        understudy_drive::run(Control::new(memory), configured, mail, &mut hands, &stop).await;
        hands.end();
        self.unit.tell(State::Stopping);
        end(&stop, &links, serving).await;
        hands.lost.get().map_or(Ok(()), |why| Err(ServiceError::LeadershipLost(why.clone())))
    }

    /// SIGHUP and the API both lead to the same reload.
    fn start_reloading(
        &self,
        inbox: &Inbox<Control>,
        links: &Links,
        introduction: Introduction,
        tls: Option<TlsInUse>,
        live: Live,
        ties: Ties,
    ) -> Result<mpsc::Sender<ReloadAsked>, ServiceError> {
        let (reload, asked) = mpsc::channel(RELOADS_WAITING);
        let stop = ties.stop.clone();
        let reloading = Reload {
            config: self.config.clone(),
            server: self.server.clone(),
            live,
            inbox: inbox.clone(),
            seen: ties.seen,
            count: 0,
            links: links.clone(),
            certificates: Certificates::new(
                self.security.clone(),
                tls,
                links.clone(),
                self.standing.clone(),
                self.journal.clone(),
            ),
            introduction,
            standing: self.standing.clone(),
            journal: self.journal.clone(),
            unit: self.unit.clone(),
            lost: ties.lost,
            stop: ties.stop.clone(),
        };
        let (task, ties_stop) = (tokio::spawn(reloading.run(asked)), stop);
        tokio::spawn(async move {
            if task.await.is_err() {
                // It may have left pairs alone, for ever. The panic was printed.
                ties_stop.ask();
            }
        });
        let mut hangup = signal(SignalKind::hangup()).map_err(system("the signal HUP"))?;
        let asker = reload.clone();
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                let (answer, _) = oneshot::channel();
                if asker.send(ReloadAsked { actor: None, dry_run: false, answer }).await.is_err() {
                    return;
                }
            }
        });
        Ok(reload)
    }
}

/// One line for whoever asks the service manager.
fn status(control: &Control) -> String {
    let view = control.view(understudy_drive::now());
    let heard = view.hosts.iter().filter(|host| host.status == HostStatus::Running).count();
    let led = view.pairs.iter().filter(|pair| pair.primary.is_some()).count();
    let epoch = view.controller.map(|(_, epoch)| epoch).unwrap_or_default();
    format!(
        "leading with controller epoch {epoch}; {heard} of {} hosts heard; {led} of {} pairs have a primary; {} warnings",
        view.hosts.len(),
        view.pairs.len(),
        view.warnings.len()
    )
}

/// The hosts whose agent has an address of this machine.
pub(crate) fn own_hosts(cluster: &Cluster) -> std::collections::BTreeSet<HostName> {
    let here = |address: &String| address.parse().is_ok_and(|address| is_of_this_machine(&address));
    let hosts = cluster.hosts.iter().filter(|(_, spec)| spec.addresses.iter().any(here));
    hosts.map(|(name, _)| name.clone()).collect()
}

async fn end(stop: &Stop, links: &Links, serving: std::thread::JoinHandle<()>) {
    stop.ask();
    links.end();
    // The API thread ends by itself; it is only waited for, so that its socket is gone when this program is.
    let ended = tokio::task::spawn_blocking(move || serving.join()).await;
    if !matches!(ended, Ok(Ok(()))) {
        tracing::error!("the thread of the API panicked");
    }
}

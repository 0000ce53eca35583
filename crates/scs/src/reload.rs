//! Reads the settings, the cluster file and the files of TLS again while everything runs.
//!
//! It knows no rules of these files. The law: all of it takes effect, or nothing, and every reason is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, watch};
use understudy_decide::control::{Control, ControlSaw};
use understudy_drive::{Inbox, State, Stop, Unit};
use understudy_model::{
    ApplicationName, Because, Cluster, Event, EventKind, Member, PairName, PairSpec, Rule, Severity, Subject,
};
use understudy_settings::{
    Checked, Forbidden, ReadError, ServerSettings, compare, data_at_stake, read_cluster, read_server,
};

use crate::accepted;
use crate::api::guard::Guard;
use crate::api::{DoorChange, Doors, ReloadAsked};
use crate::certificates::{Certificates, READ_EVERY};
use crate::journal::Journal;
use crate::links::{Introduction, Links};
use crate::retention::Keep;
use crate::service::{keep_of, own_hosts};
use crate::standing::{Concern, Standing};

/// Most changes that one event tells; the caller hears of all of them.
const MOST_CHANGES_TOLD: usize = 20;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// It is in use.
    Accepted {
        /// Each change.
        changes: Vec<String>,
        /// What should be looked at.
        warnings: Vec<String>,
    },
    /// The file is wrong. Nothing changed.
    Wrong {
        /// Each problem.
        problems: Vec<String>,
    },
    /// The file is right, and may not take effect now. Nothing changed.
    Forbidden {
        /// Each reason.
        reasons: Vec<String>,
    },
}

/// Everything that a reload touches.
pub struct Reload {
    /// `scs.toml`.
    pub config: PathBuf,
    /// What it said when it last took effect.
    pub server: ServerSettings,
    /// What is known of it elsewhere.
    pub live: Live,
    /// What runs is known there, and the new configuration observed.
    pub inbox: Inbox<Control>,
    /// The last reload of which the machine knows that it comes.
    pub seen: watch::Receiver<u64>,
    /// Reloads so far.
    pub count: u64,
    /// Hosts come and go.
    pub links: Links,
    /// Certificates are read again too.
    pub certificates: Certificates,
    /// How agents are spoken to.
    pub introduction: Introduction,
    /// What is in use.
    pub standing: Standing,
    /// Refusals are events, and a command is told of events.
    pub journal: Journal,
    /// The service manager waits for the end of a reload.
    pub unit: Unit,
    /// Why this leadership must end, if it must.
    pub lost: Arc<OnceLock<String>>,
    /// Ends the program.
    pub stop: Stop,
}

/// Where settings of `scs.toml` are in use that can change.
pub struct Live {
    /// Who may do what.
    pub guard: Guard,
    /// Where the API is served over the network; absent without TLS.
    pub doors: Option<Doors>,
    /// How long the journal is kept, and how large it may be.
    pub keep: watch::Sender<Keep>,
}

/// Everything that was read and may take effect.
struct Read {
    server: ServerSettings,
    cluster: Cluster,
    changes: Vec<String>,
    warnings: Vec<String>,
    doors: Option<DoorChange>,
}

/// What would change, and why it may not.
struct Judged {
    changes: Vec<String>,
    reasons: Vec<String>,
}

/// What the machine knows of what runs.
struct Known {
    running: BTreeSet<ApplicationName>,
    not_given_up: BTreeSet<ApplicationName>,
    about_to_start: BTreeSet<ApplicationName>,
}

impl Known {
    fn of(control: &Control) -> Self {
        Self {
            running: control.running(),
            not_given_up: control.not_given_up(),
            about_to_start: control.about_to_start(),
        }
    }
}

impl Reload {
    /// Reloads whenever it is asked for, one at a time, until nobody can ask any more.
    pub async fn run(mut self, mut asked: mpsc::Receiver<ReloadAsked>) {
        let mut look = tokio::time::interval(READ_EVERY);
        loop {
            let asker = tokio::select! {
                asker = asked.recv() => asker,
                _ = look.tick() => {
                    // What is wrong is shown in status until it is right.
                    let _ = self.certificates.reload();
                    continue;
                }
            };
            let Some(ReloadAsked { actor, dry_run, answer }) = asker else { return };
            if dry_run {
                let _ = answer.send(self.preview().await);
                continue;
            }
            self.unit.tell(State::Reloading);
            let reloaded = self.reload(actor).await;
            self.unit.tell(State::Ready);
            // An asker who has gone finds the outcome in the events.
            let _ = answer.send(reloaded);
        }
    }

    /// As [`Reload::run`], once.
    async fn reload(&mut self, actor: Option<String>) -> Reloaded {
        let before = self.count;
        let reloaded = match self.read().await {
            Ok(read) => self.take_effect(read).await,
            Err(refused) => refused,
        };
        if self.count > before && !matches!(reloaded, Reloaded::Accepted { .. }) {
            self.inbox.saw(ControlSaw::ConfigurationStays).await;
        }
        match &reloaded {
            Reloaded::Accepted { changes, .. } => {
                self.standing.set(Concern::Reload, Vec::new());
                tell_accepted(&self.journal, actor, changes);
            }
            Reloaded::Wrong { problems: reasons } | Reloaded::Forbidden { reasons } => {
                tell_refused(&self.standing, &self.journal, actor, reasons);
            }
        }
        reloaded
    }

    async fn remember(&self, cluster: &Cluster) -> Result<(), String> {
        let batch = accepted::batch(cluster).map_err(|error| error.to_string())?;
        let stored = self.journal.commit(batch).await;
        stored.map_err(|error| {
            if !error.is_definite() {
                // Only a start that reads the store first can know which one is accepted.
                self.lost.get_or_init(|| error.to_string());
                self.stop.ask();
            }
            format!("the accepted configuration cannot be stored: {error}")
        })
    }

    /// What a reload would change, or why it would be refused. Nothing is announced, told or stored.
    async fn preview(&mut self) -> Reloaded {
        let (server, mut cluster, mut warnings) = match self.files() {
            Ok(files) => files,
            Err(wrong) => return wrong,
        };
        let look = |control: &Control| Known::of(control);
        let Some(known) = self.inbox.look(look).await else { return ending() };
        let Judged { changes, mut reasons } = self.judge(&server, &mut cluster, &known, &mut warnings);
        if let Some(doors) = self.live.doors.as_ref().filter(|_| reasons.is_empty())
            && let Err(error) = doors.prepare(&server.api_listen)
        {
            reasons.push(error.to_string());
        }
        if reasons.is_empty() {
            Reloaded::Accepted { changes, warnings }
        } else {
            Reloaded::Forbidden { reasons }
        }
    }

    /// Reads every file. Only the files of TLS take effect at once, each for itself: a settings file that is wrong keeps no new
    /// certificate out.
    fn files(&mut self) -> Result<(ServerSettings, Cluster, Vec<String>), Reloaded> {
        let mut problems: Vec<String> = self.certificates.reload().err().into_iter().collect();
        let server = checked(read_server(&self.config), &mut problems);
        let cluster = checked(read_cluster(Path::new(&self.server.cluster_file)), &mut problems);
        let (Some(server), Some(cluster), true) = (server, cluster, problems.is_empty()) else {
            return Err(Reloaded::Wrong { problems });
        };
        let warnings = server.warnings.iter().chain(&cluster.warnings).map(ToString::to_string).collect();
        Ok((server.value, cluster.value, warnings))
    }

    /// What would change, and why it may not: the one place that says so, for a reload and for its dry run.
    fn judge(
        &self,
        server: &ServerSettings,
        cluster: &mut Cluster,
        known: &Known,
        warnings: &mut Vec<String>,
    ) -> Judged {
        let (mut changes, mut reasons) = (Vec::new(), Vec::new());
        if let Some(own) = self.certificates.security().identity()
            && let Some(other) = cluster.id.replace(own.cluster).filter(|id| *id != own.cluster)
        {
            reasons.push(format!(
                "cluster.id is {other}, and the certificate in use is of cluster {}",
                own.cluster
            ));
        }
        match self.server.changes_to(server) {
            Ok(some) => changes.extend(some),
            Err(forbidden) => reasons.extend(forbidden),
        }
        let used = self.standing.cluster();
        match compare(&used, cluster, &known.running) {
            Ok(some) => {
                changes.extend(some.iter().map(|change| change.between(&used, cluster)));
                warnings.extend(data_at_stake(&used, cluster));
            }
            Err(forbidden) => {
                reasons.extend(forbidden.iter().map(ToString::to_string));
                reasons.extend(known.not_given_up.iter().map(may_still_act));
                let meant = |name: &&ApplicationName| forbidden.iter().any(|one| is_about(one, name));
                reasons.extend(known.about_to_start.iter().filter(meant).map(may_start));
            }
        }
        Judged { changes, reasons }
    }

    /// Reads every file, and makes ready what could fail.
    async fn read(&mut self) -> Result<Read, Reloaded> {
        let (server, mut cluster, mut warnings) = self.files()?;
        // Its identity is a matter of the certificate in use.
        let Some(known) = self.announce(&cluster).await else { return Err(ending()) };
        let Judged { changes, mut reasons } = self.judge(&server, &mut cluster, &known, &mut warnings);
        let doors = match &self.live.doors {
            Some(doors) if reasons.is_empty() => doors.prepare(&server.api_listen).map(Some),
            Some(_) | None => Ok(None),
        };
        let doors = doors.unwrap_or_else(|error| {
            reasons.push(error.to_string());
            None
        });
        if server.notify.is_some()
            && let Err(error) = self.journal.prepare_notices()
        {
            reasons.push(format!("there is no thread for the notify command: {error}"));
        }
        if !reasons.is_empty() {
            return Err(Reloaded::Forbidden { reasons });
        }
        Ok(Read { server, cluster, changes, warnings, doors })
    }

    /// Has the machine leave alone what changes, and only then asks it what runs: what did not run then is not started as
    /// primary before the new configuration is stored and observed (G13). `None` if the machine has ended.
    async fn announce(&mut self, cluster: &Cluster) -> Option<Known> {
        self.count += 1;
        let (pairs, reload) = (changed_pairs(&self.standing.cluster(), cluster), self.count);
        if !self.inbox.saw(ControlSaw::ConfigurationComes { pairs, reload }).await {
            return None;
        }
        // A look may overtake what waits for the disk.
        self.seen.wait_for(|seen| *seen >= reload).await.ok()?;
        self.inbox.look(|control: &Control| Known::of(control)).await
    }

    /// All of it. What can fail comes first.
    async fn take_effect(&mut self, read: Read) -> Reloaded {
        let Read { server, cluster, changes, warnings, doors } = read;
        // The next start compares with it: what is not remembered does not take effect.
        if let Err(why) = self.remember(&cluster).await {
            return Reloaded::Forbidden { reasons: vec![why] };
        }
        if server.notify != self.server.notify
            && let Err(error) = self.journal.notify(server.notify.clone())
        {
            tracing::error!(%error, "nobody is told of events");
        }
        self.live.guard.change(server.api.clone());
        self.live.keep.send_replace(keep_of(&server));
        if let (Some(open), Some(change)) = (&mut self.live.doors, doors) {
            open.change(change).await;
        }
        self.server = server;
        self.standing.set(Concern::Configuration, warnings.clone());
        self.standing.configured(Arc::new(cluster.clone()));
        self.introduction.cluster_name.clone_from(&cluster.name);
        self.introduction.cluster = cluster.id;
        let own_hosts = own_hosts(&cluster);
        self.inbox.saw(ControlSaw::Configured { cluster: cluster.clone(), own_hosts }).await;
        self.links.reconcile(&cluster, &self.introduction);
        Reloaded::Accepted { changes, warnings }
    }
}

/// The pairs in use that a configuration changes, takes away, or whose members it changes.
fn changed_pairs(used: &Cluster, new: &Cluster) -> BTreeSet<PairName> {
    let stays = |name: &PairName, spec: &PairSpec| {
        let members = Member::BOTH.map(|member| spec.application(member));
        new.pairs.get(name) == Some(spec)
            && members.iter().all(|member| used.applications.get(*member) == new.applications.get(*member))
    };
    used.pairs.iter().filter(|(name, spec)| !stays(name, spec)).map(|(name, _)| name.clone()).collect()
}

/// Why a stopped member of a `strict` pair counts as running.
fn may_still_act(member: &ApplicationName) -> String {
    format!(
        "{member} counts as running although it should be stopped: its host is silent, and its agent was not heard to give \
         up its role since this control server leads, so it may be primary through the other member's agent; bring its \
         host back, or let the other member take over (scsctl failover {member} --force if that machine is off)"
    )
}

fn is_about(forbidden: &Forbidden, name: &ApplicationName) -> bool {
    let words = |text: &str| text.split(' ').any(|word| word == name.as_str());
    words(&forbidden.subject) || words(&forbidden.why)
}

/// Why an application without a process counts as running.
fn may_start(name: &ApplicationName) -> String {
    format!(
        "{name} has no process now and counts as running: it should be started, and its agent tries that again and again"
    )
}

fn ending() -> Reloaded {
    Reloaded::Forbidden { reasons: vec!["the control server is ending".to_owned()] }
}

/// What a file says, if nothing is wrong with it.
fn checked<T>(read: Result<Checked<T>, ReadError>, problems: &mut Vec<String>) -> Option<Checked<T>> {
    match read {
        Ok(checked) => return Some(checked),
        Err(ReadError::Wrong(wrong)) => problems.extend(wrong.problems.iter().map(ToString::to_string)),
        Err(unreadable @ ReadError::Unreadable { .. }) => problems.push(unreadable.to_string()),
    }
    None
}

/// Tells who had what changed. What the machine makes of it is an event of its own.
fn tell_accepted(journal: &Journal, actor: Option<String>, changes: &[String]) {
    let who = actor.as_deref().unwrap_or("a signal");
    let reason = format!("{who} had the configuration read again: {} change(s) took effect", changes.len());
    let mut because = Because::new(Rule::ConfigurationRead, reason);
    for change in changes.iter().take(MOST_CHANGES_TOLD) {
        because = because.fact("change", change);
    }
    let told = Event::new(EventKind::ConfigurationChanged, Severity::Info, Subject::default(), because);
    journal.tell(vec![Event { actor, ..told }]);
}

/// Tells everybody that a configuration was refused, why, and who wanted it.
pub fn tell_refused(standing: &Standing, journal: &Journal, actor: Option<String>, reasons: &[String]) {
    for reason in reasons {
        tracing::error!(%reason, "the configuration was refused; what ran before goes on");
    }
    let file = standing.cluster_file();
    let warning = format!(
        "{file} was refused and an older configuration is in use ({} reason(s)): run scsctl config validate {file}, \
         then scsctl config reload",
        reasons.len()
    );
    standing.set(Concern::Reload, vec![warning]);
    let mut because =
        Because::new(Rule::ConfigurationRead, "the configuration was refused; what ran before goes on");
    for reason in reasons {
        because = because.fact("refused because", reason);
    }
    let kind = EventKind::ConfigurationChanged;
    let told = Event::new(kind, Severity::Warning, Subject::default(), because);
    journal.tell(vec![Event { actor, ..told }]);
}

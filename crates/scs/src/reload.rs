//! Reads the cluster file again while everything runs.
//!
//! It knows no rules of the file. The law: all of it takes effect, or nothing, and every reason is said.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use understudy_decide::control::{Control, ControlSaw};
use understudy_drive::{Inbox, State, Unit};
use understudy_model::{
    ApplicationName, ApplicationStatus, Because, Cluster, Event, EventKind, Goal, HostStatus, Rule, Severity,
    Subject,
};
use understudy_settings::{Checked, ReadError, compare, read_cluster};

use understudy_transport::Security;

use crate::accepted;
use crate::api::ReloadAsked;
use crate::api::tls::TlsInUse;
use crate::journal::Journal;
use crate::links::{Introduction, Links};
use crate::service::own_hosts;
use crate::standing::{Concern, Standing};

/// How often the files of TLS are read again without anybody asking.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(3_600);

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
    /// The file.
    pub cluster_file: PathBuf,
    /// What runs is known there, and the new configuration observed.
    pub inbox: Inbox<Control>,
    /// Hosts come and go.
    pub links: Links,
    /// Certificates are read again too.
    pub security: Security,
    /// How agents are spoken to.
    pub introduction: Introduction,
    /// What is in use.
    pub standing: Standing,
    /// Refusals are events.
    pub journal: Journal,
    /// Certificates are read again too.
    pub tls: Option<TlsInUse>,
    /// The service manager waits for the end of a reload.
    pub unit: Unit,
}

impl Reload {
    /// Reloads whenever it is asked for, one at a time, until nobody can ask any more.
    pub async fn run(mut self, mut asked: mpsc::Receiver<ReloadAsked>) {
        loop {
            let asker = match tokio::time::timeout(CERTIFICATES_EVERY, asked.recv()).await {
                Ok(Some(asker)) => asker,
                Ok(None) => return,
                // Whoever renews a certificate need not tell this program.
                Err(_) => {
                    self.reload_certificates();
                    continue;
                }
            };
            self.unit.tell(State::Reloading);
            let reloaded = self.reload().await;
            self.unit.tell(State::Ready);
            // An asker who has gone finds the outcome in the events.
            let _ = asker.send(reloaded);
        }
    }

    /// As [`Reload::run`], once.
    async fn reload(&mut self) -> Reloaded {
        self.reload_certificates();
        let reloaded = self.try_reload().await;
        match &reloaded {
            Reloaded::Accepted { changes, .. } => {
                self.standing.set(Concern::Reload, Vec::new());
                tracing::info!(changes = changes.len(), "the configuration was read again");
            }
            Reloaded::Wrong { problems: reasons } | Reloaded::Forbidden { reasons } => {
                tell_refused(&self.standing, &self.journal, reasons);
            }
        }
        reloaded
    }

    /// For itself: a wrong cluster file keeps no new certificate out, nor the other way round.
    fn reload_certificates(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(()) => {
                self.standing.set(Concern::ApiCertificates, Vec::new());
                tracing::info!("the files of TLS were read again");
            }
            Err(error) => {
                tracing::error!(%error, "the files of TLS were refused; those read before stay in use");
                let warning =
                    format!("{error}; older files of TLS are in use: mend them, then scsctl config reload");
                self.standing.set(Concern::ApiCertificates, vec![warning]);
            }
        }
    }

    async fn remember(&self, cluster: &Cluster) -> Result<(), String> {
        let batch = accepted::batch(cluster).map_err(|error| error.to_string())?;
        let stored = self.journal.commit(batch).await;
        stored.map_err(|error| format!("the accepted configuration cannot be stored: {error}"))
    }

    async fn try_reload(&mut self) -> Reloaded {
        if let Security::Tls(credentials) = &self.security
            && let Err(error) = credentials.reload()
        {
            return Reloaded::Wrong { problems: vec![error.to_string()] };
        }
        let Checked { value: mut cluster, warnings } = match read_cluster(&self.cluster_file) {
            Ok(checked) => checked,
            Err(ReadError::Wrong(wrong)) => {
                return Reloaded::Wrong {
                    problems: wrong.problems.iter().map(ToString::to_string).collect(),
                };
            }
            Err(unreadable @ ReadError::Unreadable { .. }) => {
                return Reloaded::Wrong { problems: vec![unreadable.to_string()] };
            }
        };
        if let Some(own) = self.security.identity()
            && let Some(other) = cluster.id.replace(own.cluster).filter(|id| *id != own.cluster)
        {
            let reason =
                format!("cluster.id is {other}, and the certificate in use is of cluster {}", own.cluster);
            return Reloaded::Forbidden { reasons: vec![reason] };
        }
        let Some(running) = self.inbox.look(running).await else {
            return Reloaded::Forbidden { reasons: vec!["the control server is ending".to_owned()] };
        };
        let changes = match compare(&self.standing.cluster(), &cluster, &running) {
            Ok(changes) => changes.iter().map(ToString::to_string).collect(),
            Err(forbidden) => {
                return Reloaded::Forbidden { reasons: forbidden.iter().map(ToString::to_string).collect() };
            }
        };
        // The next start compares with it: what is not remembered does not take effect.
        if let Err(why) = self.remember(&cluster).await {
            return Reloaded::Forbidden { reasons: vec![why] };
        }
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
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

/// Tells everybody that a configuration was refused, and why.
pub fn tell_refused(standing: &Standing, journal: &Journal, reasons: &[String]) {
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
    journal.tell(vec![Event {
        kind: EventKind::ConfigurationChanged,
        severity: Severity::Warning,
        about: Subject::default(),
        from: None,
        to: None,
        epoch: None,
        because,
        actor: None,
    }]);
}

/// What has a process or may have one. What an operator stopped on a host that is silent does not: else a host that is
/// gone for good could never be taken out.
fn running(control: &Control) -> BTreeSet<ApplicationName> {
    let view = control.view(understudy_drive::now());
    let silent: BTreeSet<_> = view
        .hosts
        .iter()
        .filter(|host| host.status == HostStatus::Unreachable)
        .map(|host| host.name.clone())
        .collect();
    let may_run = view.applications.into_iter().filter(|application| {
        let given_up = application.goal == Goal::Stopped && silent.contains(&application.host);
        !given_up && (application.pid.is_some() || application.status != ApplicationStatus::Stopped)
    });
    may_run.map(|application| application.name).collect()
}

//! The control server's certificate, and what is known of the agents' ones.
//!
//! It knows no bytes of TLS. The law: a certificate that runs out is said for thirty days, in status and as an event, and
//! is never a reason to change a role.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use understudy_model::{Because, Cluster, Event, EventKind, Identity, Role, Rule, Severity, Subject};
use understudy_settings::ServerSettings;
use understudy_transport::{Certified, CredentialFiles, Credentials, CredentialsError, Security};

use crate::journal::Journal;
use crate::links::Links;
use crate::standing::{Concern, Standing};

/// From here on, a certificate's end is said.
const WARN_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// How often certificates are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// How often the same end is an event again.
const TELL_EVERY: Duration = Duration::from_secs(86_400);

/// Why the control server cannot prove who it is.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// The files.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A certificate of somebody else.
    #[error(
        "tls.certificate {certificate} is of {found}, and this is scs:{name}; run: scsctl pki issue scs:{name}"
    )]
    OtherRole {
        /// The file.
        certificate: String,
        /// Whose it is.
        found: String,
        /// The control server's name.
        name: String,
    },
    /// Two identities of one cluster.
    #[error(
        "cluster.id is {configured}, and the certificate {certificate} is of cluster {found}; remove cluster.id, or use the right one"
    )]
    OtherCluster {
        /// The file.
        certificate: String,
        /// What it says.
        found: String,
        /// What the cluster file says.
        configured: String,
    },
}

/// Loads what `[tls]` names, if there is such a table; the cluster's identity is then that of the certificate.
pub fn load(server: &ServerSettings, cluster: &mut Cluster) -> Result<Security, SecurityError> {
    let Some(tls) = &server.tls else { return Ok(Security::Plain) };
    let files = CredentialFiles::new(&tls.certificate, &tls.key, &tls.authorities, &tls.revoked);
    let credentials = Credentials::load(files)?;
    let identity = credentials.identity();
    match &identity.role {
        Role::Scs(name) if *name == server.name => {}
        other => {
            return Err(SecurityError::OtherRole {
                certificate: tls.certificate.clone(),
                found: other.to_string(),
                name: server.name.to_string(),
            });
        }
    }
    match cluster.id.replace(identity.cluster) {
        Some(configured) if configured != identity.cluster => Err(SecurityError::OtherCluster {
            certificate: tls.certificate.clone(),
            found: identity.cluster.to_string(),
            configured: configured.to_string(),
        }),
        _ => Ok(Security::Tls(credentials)),
    }
}

/// Looks after certificates as long as the runtime lives: reads the own one again, and says which ones run out.
pub async fn look_after(security: Security, links: Links, standing: Standing, journal: Journal) {
    let Security::Tls(credentials) = security else { return };
    let mut told: BTreeMap<Identity, Duration> = BTreeMap::new();
    loop {
        if let Err(error) = credentials.reload() {
            tracing::error!(%error, "the certificate is kept as it is");
        }
        // With a wall clock before 1970 nothing can be said of ends.
        if let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            let known = std::iter::once(credentials.own()).chain(links.certificates());
            let ending: Vec<Certified> = known.filter(|one| one.not_after < now + WARN_BEFORE).collect();
            standing.set(Concern::Certificates, ending.iter().map(|one| describe(one, now)).collect());
            for one in ending {
                let due = told.get(&one.identity).is_none_or(|last| now.saturating_sub(*last) >= TELL_EVERY);
                if due {
                    journal.tell(vec![event(&one, now)]);
                    told.insert(one.identity, now);
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn describe(one: &Certified, now: Duration) -> String {
    let role = &one.identity.role;
    let left = one.not_after.saturating_sub(now);
    if left.is_zero() {
        return format!(
            "the certificate of {role} has expired: its live links go on, new ones are refused; run: scsctl pki renew {role}"
        );
    }
    format!(
        "the certificate of {role} ends in {} days; run: scsctl pki renew {role}",
        left.as_secs() / 86_400
    )
}

fn event(one: &Certified, now: Duration) -> Event {
    let host = match &one.identity.role {
        Role::Agent(host) => Some(host.clone()),
        _ => None,
    };
    let because = Because::new(Rule::CertificateEnds, describe(one, now)).fact("serial", &one.serial);
    Event {
        kind: EventKind::CertificateExpiring,
        severity: Severity::Warning,
        about: Subject { host, ..Subject::default() },
        from: None,
        to: None,
        epoch: None,
        because,
        actor: None,
    }
}

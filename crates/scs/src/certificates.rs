//! The control server's certificate, and what is known of the agents' ones.
//!
//! It knows no bytes of TLS. The law: a certificate that runs out is said for thirty days, in status and as an event, and
//! is never a reason to change a role.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use understudy_model::{Because, Cluster, Event, EventKind, Identity, Role, Rule, Severity, Subject};
use understudy_settings::ServerSettings;
use understudy_transport::{Certified, CredentialFiles, Credentials, CredentialsError, Security};

use crate::api::tls::TlsInUse;
use crate::journal::Journal;
use crate::links::Links;
use crate::standing::{Concern, Standing};

/// From here on, a certificate's end is said.
const WARN_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// How often the files are read again without anybody asking: whoever renews a certificate need not tell this program.
pub const READ_EVERY: Duration = Duration::from_secs(3_600);
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

/// The files of TLS while they are in use, for links and for the API, and when their certificates and those of agents
/// run out.
pub struct Certificates {
    security: Security,
    tls: Option<TlsInUse>,
    links: Links,
    standing: Standing,
    journal: Journal,
    told: BTreeMap<Identity, Duration>,
}

impl Certificates {
    /// Nothing told yet. `tls` is the API's view of the files, if there are any.
    pub fn new(
        security: Security,
        tls: Option<TlsInUse>,
        links: Links,
        standing: Standing,
        journal: Journal,
    ) -> Self {
        Self { security, tls, links, standing, journal, told: BTreeMap::new() }
    }

    /// How this control server proves who it is.
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Reads the files again, for links and connections to come. Those that are wrong replace nothing; then it says why.
    pub fn reload(&mut self) -> Result<(), String> {
        let Security::Tls(credentials) = &self.security else { return Ok(()) };
        let read = reload(credentials, self.tls.as_ref());
        match &read {
            Ok(()) => {
                self.standing.set(Concern::TlsFiles, Vec::new());
                tracing::info!("the files of TLS were read again");
            }
            Err(why) => {
                tracing::error!(%why, "the files of TLS were refused; those read before stay in use");
                let warning =
                    format!("{why}; older files of TLS are in use: mend them, then scsctl config reload");
                self.standing.set(Concern::TlsFiles, vec![warning]);
            }
        }
        self.tell_ends();
        read
    }

    /// Says which certificates run out.
    fn tell_ends(&mut self) {
        let Security::Tls(credentials) = &self.security else { return };
        // With a wall clock before 1970 nothing can be said of ends.
        let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else { return };
        let known = std::iter::once(credentials.own()).chain(self.links.certificates());
        let ending: Vec<Certified> = known.filter(|one| one.not_after < now + WARN_BEFORE).collect();
        self.standing.set(Concern::Certificates, ending.iter().map(|one| describe(one, now)).collect());
        for one in ending {
            let due = self.told.get(&one.identity).is_none_or(|last| now.saturating_sub(*last) >= TELL_EVERY);
            if due {
                self.journal.tell(vec![event(&one, now)]);
                self.told.insert(one.identity, now);
            }
        }
    }
}

/// For links and the API together, or for neither.
fn reload(credentials: &Credentials, api: Option<&TlsInUse>) -> Result<(), String> {
    let of_api = match api {
        Some(api) => Some((api, api.read().map_err(|error| error.to_string())?)),
        None => None,
    };
    credentials.reload().map_err(|error| error.to_string())?;
    if let Some((api, loaded)) = of_api {
        api.take(loaded);
    }
    Ok(())
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
    let about = Subject { host, ..Subject::default() };
    Event::new(EventKind::CertificateExpiring, Severity::Warning, about, because)
}

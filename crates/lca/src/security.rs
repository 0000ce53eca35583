//! The agent's certificate, and which control servers it believes.
//!
//! Refuses to know bytes of TLS. The law: with TLS, only role `scs` of the agent's own cluster is obeyed; certificates are
//! read again live, and one that runs out is said for thirty days.

use std::time::{Duration, SystemTime};

use understudy_model::{Identity, Role};
use understudy_settings::AgentSettings;
use understudy_transport::{CredentialFiles, Credentials, CredentialsError, Security};

use crate::accepting::cause;
use crate::aside::aside;

/// From here on, a certificate's end is said.
const WARN_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// How often the files are looked at without being asked.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Loads what `[tls]` names, if there is such a table.
pub fn load(settings: &AgentSettings) -> Result<Security, SecurityError> {
    let Some(tls) = &settings.tls else { return Ok(Security::Plain) };
    let credentials =
        Credentials::load(CredentialFiles::new(&tls.certificate, &tls.key, &tls.authorities, &tls.revoked))?;
    let identity = credentials.identity();
    match &identity.role {
        Role::Agent(host) if *host == settings.host => Ok(Security::Tls(credentials)),
        other => Err(SecurityError::OtherRole {
            certificate: tls.certificate.clone(),
            found: other.to_string(),
            host: settings.host.to_string(),
        }),
    }
}

/// Why the agent cannot prove who it is.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// The files.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A certificate of somebody else.
    #[error(
        "tls.certificate {certificate} is of {found}, and this is agent:{host}; run: scsctl pki issue agent:{host}"
    )]
    OtherRole {
        /// The file.
        certificate: String,
        /// Whose it is.
        found: String,
        /// The agent's host.
        host: String,
    },
}

/// Why a peer is not obeyed, as a word and for people; `None` if it is.
pub fn unwelcome(own: Option<&Identity>, peer: Option<&Identity>) -> Option<(&'static str, String)> {
    let (own, peer) = match (own, peer) {
        (Some(own), Some(peer)) => (own, peer),
        // A Unix socket, or loopback without TLS: who may connect was decided by the system.
        _ => return None,
    };
    if peer.cluster != own.cluster {
        let text = format!(
            "its certificate is of cluster {}, this agent is of cluster {}",
            peer.cluster, own.cluster
        );
        return Some(("other-cluster", text));
    }
    match &peer.role {
        Role::Scs(_) => None,
        other => Some((
            "other-role",
            format!("its certificate is of {other}, and only role scs commands an agent"),
        )),
    }
}

/// Reads certificates again every hour, and says when the own one runs out, as long as the runtime lives.
pub async fn look_after(security: Security) {
    let Security::Tls(credentials) = security else { return };
    loop {
        warn_if_ending(&credentials);
        tokio::time::sleep(LOOK_EVERY).await;
        reload(&credentials).await;
    }
}

/// Reads certificates again; wrong files change nothing. Nothing else waits for the disk meanwhile.
pub async fn reload(credentials: &Credentials) {
    let credentials = credentials.clone();
    match aside("certificates", move || credentials.reload()).await {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::error!("certificates are kept as they are: {}", cause(&error)),
        None => tracing::error!("certificates are kept as they are: they could not be read"),
    }
}

fn warn_if_ending(credentials: &Credentials) {
    let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else { return };
    let left = credentials.holds_for(now);
    let identity = credentials.identity();
    if left.is_zero() {
        tracing::error!(%identity, "the certificate has expired: live links go on, new ones are refused; run: scsctl pki renew");
    } else if left < WARN_BEFORE {
        let days = left.as_secs() / 86_400;
        tracing::warn!(%identity, days, "the certificate runs out; run: scsctl pki renew");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_model::ClusterId;

    #[test]
    fn only_control_servers_of_the_own_cluster_are_obeyed() {
        let of = |cluster, role: &str| Identity { cluster: ClusterId(cluster), role: role.parse().unwrap() };
        let own = of(1, "agent:alpha");
        let word = |peer: &Identity| unwelcome(Some(&own), Some(peer)).map(|(word, _)| word);
        assert_eq!(word(&of(1, "scs:scs-1")), None);
        assert_eq!(word(&of(2, "scs:scs-1")), Some("other-cluster"));
        for role in ["agent:alpha", "agent:beta", "operator:anna", "app:tserver-1"] {
            assert_eq!(word(&of(1, role)), Some("other-role"), "{role}");
        }
        assert_eq!(unwelcome(None, None), None, "a plain link on this machine");
    }
}

//! SIGHUP: settings are read again, and what cannot change in a living agent is said.
//!
//! Refuses to know what settings mean. The law: wrong settings change nothing.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use understudy_drive::{State, Unit};
use understudy_settings::{AgentSettings, read_agent};
use understudy_transport::Security;

use crate::platform::Platform;
use crate::processes::Processes;
use crate::security;

/// The signal, caught from now on. Must be called inside a tokio runtime.
pub fn reload_signal() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Reads the settings again whenever asked, as long as the runtime lives.
pub async fn reload_on_request<P: Platform>(
    mut asked: Signal,
    path: PathBuf,
    mut settings: AgentSettings,
    processes: Arc<Processes<P>>,
    security: Security,
    unit: Unit,
) {
    while asked.recv().await.is_some() {
        unit.tell(State::Reloading);
        let new = match read_agent(&path) {
            Ok(checked) => checked.value,
            Err(error) => {
                tracing::error!("settings are kept as they are, as the new ones are wrong: {error}");
                unit.tell(State::Ready);
                continue;
            }
        };
        for key in unchangeable(&settings, &new) {
            tracing::warn!(key, "cannot change while the agent lives; restart it (its applications run on)");
        }
        if let Security::Tls(credentials) = &security {
            security::reload(credentials).await;
        }
        processes.set_policy(new.policy.clone());
        settings.policy = new.policy;
        tracing::info!("settings read again");
        unit.tell(State::Ready);
    }
}

/// The keys that differ and cannot change in a living agent.
fn unchangeable(old: &AgentSettings, new: &AgentSettings) -> Vec<&'static str> {
    let differences = [
        ("agent.host", old.host != new.host),
        ("agent.listen", old.listen != new.listen),
        ("agent.status-listen", old.status_listen != new.status_listen),
        ("agent.state-directory", old.state_directory != new.state_directory),
        ("agent.runtime-directory", old.runtime_directory != new.runtime_directory),
        ("tls", old.tls != new.tls),
        ("agent.log-directory", old.log_directory != new.log_directory),
    ];
    differences.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

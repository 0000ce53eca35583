//! The accepted configuration, as a file that means the same.
//!
//! It knows no file: what is shown is what is in use. The law: secrets are masked, as in everything that leaves this host.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use understudy_drive::secrets::Secrets;
use understudy_model::{ApplicationSpec, Ask, Cluster};
use understudy_settings::cluster_text;

use super::Seat;
use super::error::ApiError;

/// What is in use.
pub(super) async fn accepted(State(seat): State<Seat>) -> Result<Json<Value>, ApiError> {
    let revision = seat.leading().await?.revision;
    let text = cluster_text(&masked(Cluster::clone(&seat.standing.cluster())));
    Ok(Json(json!({ "revision": revision, "file": seat.standing.cluster_file().to_string(), "text": text })))
}

/// The same without what is nobody's business.
fn masked(mut cluster: Cluster) -> Cluster {
    for host in cluster.hosts.values_mut() {
        if let Some(fence) = &mut host.fence {
            mask_command(&Secrets::default(), &mut fence.command);
        }
    }
    cluster.applications.values_mut().for_each(mask_application);
    cluster
}

fn mask_application(spec: &mut ApplicationSpec) {
    let environment: Vec<(String, String)> =
        spec.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let secrets = Secrets::of(&environment, &spec.options);
    let mask_values = |values: &mut BTreeMap<String, String>| {
        values.values_mut().for_each(|value| *value = secrets.mask(value));
    };
    mask_values(&mut spec.environment);
    spec.options.values_mut().for_each(mask_values);
    let conduct = &mut spec.conduct;
    let hooks = &mut conduct.hooks;
    let mut commands = vec![
        &mut spec.command,
        &mut conduct.stop_command,
        &mut conduct.start_before,
        &mut hooks.on_start,
        &mut hooks.on_promote,
        &mut hooks.on_demote,
    ];
    match conduct.probe.as_mut().map(|probe| &mut probe.ask) {
        Some(Ask::Exec(command)) => commands.push(command),
        Some(Ask::Http(page)) => *page = secrets.mask(page),
        Some(Ask::Tcp(_)) | None => {}
    }
    commands.into_iter().for_each(|command| mask_command(&secrets, command));
}

fn mask_command(secrets: &Secrets, command: &mut [String]) {
    let own = Secrets::of_command(command);
    for word in command {
        *word = own.mask(&secrets.mask(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let text = r#"
[cluster]
name = "demo"
[[host]]
name = "alpha"
addresses = ["127.0.0.1"]
fence = ["/bin/off", "--password", "hunter1"]
[[application]]
name = "a"
host = "alpha"
command = ["/bin/a", "--token=hunter2", "--plain", "seen"]
environment = { DB_PASSWORD = "hunter3", NAME = "seen too" }
[application.options.s]
api-key = "hunter4"
[application.probe]
exec = ["/bin/ask", "hunter3"]
"#;
        let cluster = understudy_settings::parse_cluster("c", text).unwrap().value;
        let shown = cluster_text(&masked(cluster));
        assert!(!shown.contains("hunter") && shown.contains("***"), "{shown}");
        assert!(shown.contains("seen") && shown.contains("seen too"), "{shown}");
    }
}

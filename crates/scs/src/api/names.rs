//! The names that a question about events is asked with: what is known, what was known once, and what never was.
//!
//! It knows no times. The law: a mistyped name is never answered with nothing.

use understudy_decide::control::ClusterView;
use understudy_settings::nearest;
use understudy_store::EventQuery;

use super::Seat;
use super::error::ApiError;
use super::look::find_pair;

/// Puts the pair in the place of a member that was named as one. What is in the configuration no more may be asked for as long
/// as the journal knows it: a sentence is answered for each. Other names are errors.
pub(super) async fn check(seat: &Seat, query: &mut EventQuery) -> Result<Vec<String>, ApiError> {
    if query.application.is_none() && query.pair.is_none() && query.host.is_none() {
        return Ok(Vec::new());
    }
    let (view, _) = seat.view().await?;
    if let Some(pair) = query.pair.as_deref().and_then(|name| find_pair(&view, name)) {
        query.pair = Some(pair.name.to_string());
    }
    let mut gone = Vec::new();
    for Unknown { kind, name, command, mut once, known } in unknown(&view, query) {
        once.limit = 1;
        let told = seat.journal.events(once).await.map_err(|error| error.into_api())?;
        if told.is_empty() {
            let error = ApiError::not_found(kind, &name, command);
            return Err(match nearest(&name, known.iter().map(String::as_str)) {
                Some(near) => error.because(format!("the nearest name is {near}")),
                None => error,
            });
        }
        gone.push(format!("{kind} {name} is in the configuration no more; these events are of before"));
    }
    Ok(gone)
}

/// A name that is in no configuration.
struct Unknown {
    kind: &'static str,
    name: String,
    command: &'static str,
    /// What the journal is asked for.
    once: EventQuery,
    /// What it may have been meant to be.
    known: Vec<String>,
}

fn unknown(view: &ClusterView, query: &EventQuery) -> Vec<Unknown> {
    let applications: Vec<String> = view.applications.iter().map(|one| one.name.to_string()).collect();
    let pairs: Vec<String> = view.pairs.iter().map(|one| one.name.to_string()).collect();
    let hosts: Vec<String> = view.hosts.iter().map(|one| one.name.to_string()).collect();
    let members = view.applications.iter().filter(|one| one.pair.is_some()).map(|one| one.name.to_string());
    let pairs_or_members: Vec<String> = pairs.iter().cloned().chain(members).collect();
    let ask = EventQuery::default;
    let asked = [
        ("application", &query.application, "scsctl apps", &applications, applications.clone()),
        ("pair", &query.pair, "scsctl pairs", &pairs, pairs_or_members),
        ("host", &query.host, "scsctl hosts", &hosts, hosts.clone()),
    ];
    let unknown = asked.into_iter().filter_map(|(kind, name, command, there, known)| {
        let name = name.clone().filter(|name| !there.contains(name))?;
        let once = match kind {
            "application" => EventQuery { application: Some(name.clone()), ..ask() },
            "pair" => EventQuery { pair: Some(name.clone()), ..ask() },
            _ => EventQuery { host: Some(name.clone()), ..ask() },
        };
        Some(Unknown { kind, name, command, once, known })
    });
    unknown.collect()
}

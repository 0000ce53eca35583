//! Checks a cluster file without a server, or lets the server read its file again.
//!
//! It knows no rules of the file; the law: every problem is shown at once, and a wrong file ends with 78.

use std::collections::BTreeMap;
use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};
use understudy_model::{PairName, PairSpec, Policy};
use understudy_settings::{Problem, ReadError, read_cluster_on};
use understudy_transport::is_of_this_machine;

use super::Session;
use crate::args::Output;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Pairs that one line names; `-o json` names all.
const MOST_NAMED: usize = 5;

/// Reads the file, prints every warning and every problem.
pub(super) fn validate(file: &Path, output: Output, out: &mut Out) -> Result<Exit, Failure> {
    let is_here = |address: &str| address.parse().is_ok_and(|address| is_of_this_machine(&address));
    let (problems, warnings, pairs, exit) = match read_cluster_on(file, &is_here) {
        Ok(checked) => (Vec::new(), checked.warnings, checked.value.pairs, Exit::Done),
        Err(ReadError::Wrong(wrong)) => {
            (wrong.problems, wrong.warnings, BTreeMap::new(), Exit::BadConfiguration)
        }
        Err(unreadable @ ReadError::Unreadable { .. }) => {
            return Err(Failure::new(Exit::BadConfiguration, unreadable.to_string())
                .try_next("scsctl config validate FILE, with the file that scs.toml names as cluster-file"));
        }
    };
    if output == Output::Json {
        let valid = exit == Exit::Done;
        let policies = json!(pairs.iter().map(|(name, pair)| policy(name, pair)).collect::<Vec<_>>());
        let answer =
            json!({ "valid": valid, "problems": problems, "warnings": warnings, "policies": policies });
        out.line(&answer.to_string())?;
    } else {
        out.print(&report(file, &problems, &warnings, &pairs))?;
    }
    Ok(exit)
}

fn policy(name: &PairName, pair: &PairSpec) -> Value {
    json!({ "pair": name, "policy": pair.policy, "means": pair.policy.means() })
}

fn report(
    file: &Path,
    problems: &[Problem],
    warnings: &[Problem],
    pairs: &BTreeMap<PairName, PairSpec>,
) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(&format!("problem  {problem}\n"));
    }
    for warning in warnings {
        text.push_str(&format!("warning  {warning}\n"));
    }
    for policy in Policy::ALL {
        let mut of: Vec<&str> =
            pairs.iter().filter(|(_, pair)| pair.policy == *policy).map(|(name, _)| name.as_str()).collect();
        let more = of.len().saturating_sub(MOST_NAMED);
        of.truncate(MOST_NAMED);
        let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
        if !of.is_empty() {
            text.push_str(&format!("policy   {policy} ({}{and_more}): {}\n", of.join(", "), policy.means()));
        }
    }
    let file = file.display();
    if problems.is_empty() {
        text.push_str(
            "note     whether it may take effect now, and what it would change: scsctl config diff\n",
        );
    }
    match (problems.len(), warnings.len()) {
        (0, 0) => text.push_str(&format!("{file} is valid\n")),
        (0, warnings) => text.push_str(&format!("{file} is valid, with {warnings} warning(s)\n")),
        (problems, _) => text.push_str(&format!("{file} is not valid: {problems} problem(s)\n")),
    }
    text
}

/// The accepted configuration.
pub(super) async fn show(mut session: Session<'_>) -> Result<Exit, Failure> {
    let answer = session.server.get("/v1/config").await?;
    if session.wants_json() {
        session.json(&answer)?;
    } else {
        session.out.print(answer.get("text").and_then(Value::as_str).unwrap_or_default())?;
    }
    Ok(Exit::Done)
}

/// Lets the server read its file again: all of it, or nothing; or say what that would be.
pub(super) async fn reload(mut session: Session<'_>, dry_run: bool) -> Result<Exit, Failure> {
    // An older server takes no such word, and refuses it.
    let body = if dry_run { json!({ "dry_run": true }) } else { json!({}) };
    let answer = session.server.ask(Method::POST, "/v1/config/reload", &body).await?;
    if session.wants_json() {
        session.json(&answer)?;
        return Ok(Exit::Done);
    }
    session.out.line(answer.get("done").and_then(Value::as_str).unwrap_or("done"))?;
    let changes = answer.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
    for change in changes.iter().filter_map(Value::as_str) {
        session.out.line(&format!("  {change}"))?;
    }
    let warnings = answer.get("warnings").and_then(Value::as_array).cloned().unwrap_or_default();
    for warning in warnings.iter().filter_map(Value::as_str) {
        session.out.line(&format!("  warning  {warning}"))?;
    }
    Ok(Exit::Done)
}

//! Checks a cluster file without a server, or lets the server read its file again.
//!
//! It knows no rules of the file; the law: every problem is shown at once, and a wrong file ends with 78.

use std::path::Path;

use hyper::Method;
use serde_json::{Value, json};
use understudy_settings::{Problem, ReadError, read_cluster};

use super::Session;
use crate::args::Output;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// Reads the file, prints every warning and every problem.
pub(super) fn validate(file: &Path, output: Output, out: &mut Out) -> Result<Exit, Failure> {
    let (problems, warnings, exit) = match read_cluster(file) {
        Ok(checked) => (Vec::new(), checked.warnings, Exit::Done),
        Err(ReadError::Wrong(wrong)) => (wrong.problems, wrong.warnings, Exit::BadConfiguration),
        Err(unreadable @ ReadError::Unreadable { .. }) => {
            return Err(Failure::new(Exit::BadConfiguration, unreadable.to_string())
                .try_next("scsctl config validate FILE, with the file that scs.toml names as cluster-file"));
        }
    };
    if output == Output::Json {
        let valid = exit == Exit::Done;
        out.line(&json!({ "valid": valid, "problems": problems, "warnings": warnings }).to_string())?;
    } else {
        out.print(&report(file, &problems, &warnings))?;
    }
    Ok(exit)
}

fn report(file: &Path, problems: &[Problem], warnings: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(&format!("problem  {problem}\n"));
    }
    for warning in warnings {
        text.push_str(&format!("warning  {warning}\n"));
    }
    let file = file.display();
    match (problems.len(), warnings.len()) {
        (0, 0) => text.push_str(&format!("{file} is valid\n")),
        (0, warnings) => text.push_str(&format!("{file} is valid, with {warnings} warning(s)\n")),
        (problems, _) => text.push_str(&format!("{file} is not valid: {problems} problem(s)\n")),
    }
    text
}

/// Lets the server read its file again: all of it, or nothing.
pub(super) async fn reload(mut session: Session<'_>) -> Result<Exit, Failure> {
    let answer = session.server.ask(Method::POST, "/v1/config/reload", &json!({})).await?;
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

//! The commands that ask for something to be done, and wait for its end.
//!
//! They check nothing that the server checks. The law: no primary is stopped or restarted alone without `--yes`.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Session;
use crate::answers::{self, Begun, Operation, read};
use crate::args::{Doing, Switch, Switchover};
use crate::exit::{Exit, Failure};
use crate::server::escape;
use crate::show;

/// One question about a running operation is kept open by the server for at most this long.
const LONG_POLL: Duration = Duration::from_secs(10);
/// How much longer than that an answer may take.
const LONG_POLL_MARGIN: Duration = Duration::from_secs(5);

/// What a name on the command line is.
enum Object {
    Application(answers::Application),
    Pair(answers::Pair),
}

pub(super) async fn start(session: Session<'_>, doing: &Doing) -> Result<Exit, Failure> {
    let path = match find(&session, &doing.name).await? {
        Object::Application(_) => format!("/v1/applications/{}/start", escape(&doing.name)),
        Object::Pair(_) => format!("/v1/pairs/{}/start", escape(&doing.name)),
    };
    do_it(session, &path, with_reason(json!({}), doing.reason.as_deref()), doing.no_wait).await
}

pub(super) async fn stop(session: Session<'_>, doing: &Doing, graceful: bool) -> Result<Exit, Failure> {
    let object = find(&session, &doing.name).await?;
    if !session.yes
        && let Some(consequence) = interruption(&session, &object).await?
    {
        return Err(Failure::new(Exit::NeedsYes, format!("{consequence}; nothing was done"))
            .try_next(format!("scsctl stop {} --yes", doing.name)));
    }
    let kind = match object {
        Object::Application(_) => "applications",
        Object::Pair(_) => "pairs",
    };
    let path = format!("/v1/{kind}/{}/stop", escape(&doing.name));
    do_it(
        session,
        &path,
        with_reason(json!({ "graceful": graceful }), doing.reason.as_deref()),
        doing.no_wait,
    )
    .await
}

pub(super) async fn rejoin(session: Session<'_>, host: &str) -> Result<Exit, Failure> {
    let path = format!("/v1/hosts/{}/rejoin", escape(host));
    if session.yes {
        return do_it(session, &path, json!({}), true).await;
    }
    let answer = session.server.ask(Method::POST, &path, &json!({ "dry_run": true })).await?;
    let plan = read::<Begun>(&answer)?.plan.unwrap_or_default();
    Err(Failure::new(Exit::NeedsYes, format!("{}; nothing was done", plan.steps.join("; ")))
        .try_next(format!("scsctl host rejoin {host} --yes")))
}

/// What stopping it would interrupt; nothing if no primary is stopped.
async fn interruption(session: &Session<'_>, object: &Object) -> Result<Option<String>, Failure> {
    match object {
        Object::Pair(pair) => Ok(pair.primary.as_ref().map(|primary| {
            format!(
                "stopping pair {} stops its primary {primary} and its backup: nobody would serve",
                pair.name
            )
        })),
        Object::Application(application) => {
            let Some(name) = &application.pair else { return Ok(None) };
            let pair: answers::Pair =
                read(&session.server.get(&format!("/v1/pairs/{}", escape(name))).await?)?;
            // Both are asked: what it acts as, and what the control server holds it to be while it is not heard.
            let primary =
                application.run_mode == "primary" || pair.primary.as_ref() == Some(&application.name);
            // One that is not heard may be primary where it is, whatever is known of its pair here.
            let unheard =
                application.status == "unknown" && (application.epoch.is_some() || pair.primary.is_none());
            if unheard && !primary {
                return Ok(Some(format!(
                    "{} is not heard, and may be primary of pair {name} where it is",
                    application.name
                )));
            }
            let then = if pair.ready {
                format!("{} would take over", pair.backup)
            } else {
                format!("nobody could take over: {}", pair.not_ready_because.join("; "))
            };
            Ok(primary.then(|| format!("{} is the primary of pair {name}: {then}", application.name)))
        }
    }
}

/// Restarts one application. The restart of a primary gives its role away, so that is asked for twice.
pub(super) async fn restart(session: Session<'_>, doing: &Doing) -> Result<Exit, Failure> {
    if !session.yes {
        match find(&session, &doing.name).await {
            // The server says what can be restarted: no pair, and nothing that is not heard.
            Ok(Object::Application(application)) if application.status == "unknown" => {}
            Ok(object @ Object::Application(_)) => refuse_interruption(&session, &object, doing).await?,
            Ok(Object::Pair(_)) => {}
            Err(failure) if failure.exit() == Exit::Refused => {}
            Err(failure) => return Err(failure),
        }
    }
    let path = format!("/v1/applications/{}/restart", escape(&doing.name));
    do_it(session, &path, with_reason(json!({}), doing.reason.as_deref()), doing.no_wait).await
}

async fn refuse_interruption(session: &Session<'_>, object: &Object, doing: &Doing) -> Result<(), Failure> {
    let Some(consequence) = interruption(session, object).await? else { return Ok(()) };
    let yes = format!("scsctl restart {} --yes", doing.name);
    let next = match object {
        Object::Application(answers::Application { pair: Some(pair), .. }) => {
            format!("scsctl restart {pair} --rolling, or {yes}")
        }
        Object::Application(_) | Object::Pair(_) => yes,
    };
    Err(Failure::new(Exit::NeedsYes, format!("{consequence}; nothing was done")).try_next(next))
}

pub(super) async fn switchover(session: Session<'_>, which: &Switchover) -> Result<Exit, Failure> {
    let path = format!("/v1/pairs/{}/switchover", escape(&which.pair));
    let body = json!({ "to": which.to, "dry_run": which.dry_run, "reason": which.reason });
    do_it(session, &path, body, which.no_wait).await
}

pub(super) async fn maintenance(
    mut session: Session<'_>,
    name: &str,
    switch: Switch,
    reason: Option<&str>,
) -> Result<Exit, Failure> {
    let path = format!("/v1/maintenance/{}", escape(name));
    let answer = session
        .server
        .ask(Method::PUT, &path, &with_reason(json!({ "on": switch == Switch::On }), reason))
        .await?;
    finish(&mut session, &answer)
}

/// The same, and why, if that was said: a server that knows no reasons refuses the word alone.
pub(super) fn with_reason(mut body: Value, reason: Option<&str>) -> Value {
    if let Some(reason) = reason {
        body["reason"] = json!(reason);
    }
    body
}

async fn find(session: &Session<'_>, name: &str) -> Result<Object, Failure> {
    let not_pair = match session.server.get(&format!("/v1/applications/{}", escape(name))).await {
        Ok(answer) => return Ok(Object::Application(read(&answer)?)),
        Err(failure) if failure.exit() == Exit::Refused => failure,
        Err(failure) => return Err(failure),
    };
    match session.server.get(&format!("/v1/pairs/{}", escape(name))).await {
        Ok(answer) => Ok(Object::Pair(read(&answer)?)),
        Err(failure) if failure.exit() == Exit::Refused => Err(not_pair),
        Err(failure) => Err(failure),
    }
}

/// Asks, and unless told otherwise follows the operation to its end.
pub(super) async fn do_it(
    mut session: Session<'_>,
    path: &str,
    body: Value,
    no_wait: bool,
) -> Result<Exit, Failure> {
    let answer = session.server.ask(Method::POST, path, &body).await?;
    let begun: Begun = read(&answer)?;
    match begun.operation {
        Some(operation) if no_wait && session.wants_json() => {
            session.json(answer.get("operation").unwrap_or(&json!({ "id": operation.id })))?;
            Ok(Exit::Done)
        }
        Some(operation) if no_wait => {
            session.out.line(&operation.id.to_string())?;
            Ok(Exit::Done)
        }
        Some(operation) => follow(session, operation.id).await,
        None => finish(&mut session, &answer),
    }
}

/// Shows an answer that needs no waiting.
fn finish(session: &mut Session<'_>, answer: &Value) -> Result<Exit, Failure> {
    let begun: Begun = read(answer)?;
    if session.wants_json() {
        session.json(answer)?;
    } else if let Some(plan) = &begun.plan {
        let text = show::plan(plan, session.show());
        session.out.print(&text)?;
    } else {
        session.out.line(begun.done.as_deref().unwrap_or("done"))?;
    }
    // A plan whose checks do not all hold is what the real command would be refused for.
    let refused = begun.plan.is_some_and(|plan| plan.checks.iter().any(|check| !check.ok));
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

/// Follows an operation, showing each step as it happens.
async fn follow(mut session: Session<'_>, id: u64) -> Result<Exit, Failure> {
    let deadline = Instant::now() + session.wait_limit;
    let mut shown = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = left.min(LONG_POLL);
        let path = format!("/v1/operations/{id}?wait_ms={}&steps={shown}", wait.as_millis());
        let answer = session.server.get_within(&path, wait + LONG_POLL_MARGIN).await.map_err(|failure| {
            Failure::new(Exit::Unknown, format!("operation {id} began, and its end was not heard: {failure}"))
                .try_next(format!("scsctl operations {id}"))
        })?;
        let operation: Operation = read(&answer)?;
        if !session.wants_json() {
            for step in operation.steps.iter().skip(shown) {
                session.out.print(&show::step(step))?;
            }
        }
        shown = shown.max(operation.steps.len());
        if operation.state != "running" {
            if session.wants_json() {
                session.json(&answer)?;
            } else {
                let text = show::operation(&operation, session.show());
                session.out.print(&text)?;
            }
            return Ok(match operation.state.as_str() {
                "done" => Exit::Done,
                "failed" => Exit::Failed,
                _ => Exit::Unknown,
            });
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(
                Exit::Unknown,
                format!("operation {id} still runs after {:?}; it goes on", session.wait_limit),
            )
            .try_next(format!("scsctl operations {id}")));
        }
    }
}

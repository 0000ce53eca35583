//! The commands for operations of several steps, and for what an operator alone may decide.
//!
//! They check nothing that the server checks. The law: no proof is given up without `--force`; what is given up is said first,
//! and what is ordered is what was said.

use hyper::Method;
use serde_json::{Value, json};

use super::Session;
use super::does::{do_it, with_reason};
use crate::answers::{Begun, read};
use crate::args::{Doing, Failover};
use crate::exit::{Exit, Failure};
use crate::server::escape;

pub(super) async fn drain(
    session: Session<'_>,
    host: &str,
    back: bool,
    dry_run: bool,
    reason: Option<&str>,
    no_wait: bool,
) -> Result<Exit, Failure> {
    let what = if back { "return" } else { "drain" };
    let path = format!("/v1/hosts/{}/{what}", escape(host));
    do_it(session, &path, with_reason(json!({ "dry_run": dry_run }), reason), no_wait).await
}

/// `body`: for how long, and why; no span ends it.
pub(super) async fn hold(
    session: Session<'_>,
    host: &str,
    body: Value,
    no_wait: bool,
) -> Result<Exit, Failure> {
    do_it(session, &format!("/v1/hosts/{}/hold", escape(host)), body, no_wait).await
}

pub(super) async fn restart(session: Session<'_>, doing: &Doing, dry_run: bool) -> Result<Exit, Failure> {
    let path = format!("/v1/pairs/{}/restart", escape(&doing.name));
    let body = with_reason(json!({ "dry_run": dry_run }), doing.reason.as_deref());
    do_it(session, &path, body, doing.no_wait).await
}

pub(super) async fn failover(session: Session<'_>, which: &Failover) -> Result<Exit, Failure> {
    if !which.force && !which.dry_run {
        let message = format!(
            "a failover of {} gives up the proof that its former primary has ended: two may act until its host is \
             heard; nothing was done",
            which.pair
        );
        return Err(Failure::new(Exit::NeedsYes, message)
            .try_next(format!("scsctl failover {} --dry-run, then with --force", which.pair)));
    }
    let path = format!("/v1/pairs/{}/failover", escape(&which.pair));
    let looks = json!({ "force": which.force, "dry_run": true, "reason": which.reason });
    if which.dry_run {
        return do_it(session, &path, looks, which.no_wait).await;
    }
    let answer = session.server.ask(Method::POST, &path, &looks).await?;
    let plan = read::<Begun>(&answer)?.plan.unwrap_or_default();
    // In JSON there is one answer; its steps say the same.
    if !session.wants_json() {
        for step in &plan.steps {
            session.out.line(&format!("to do: {step}"))?;
        }
    }
    let mut order = json!({ "force": true, "dry_run": false, "reason": which.reason });
    // A server of an earlier version says nothing of it, and takes nothing.
    if let Some(given_up) = plan.given_up {
        order["given_up"] = given_up;
    }
    do_it(session, &path, order, which.no_wait).await
}

pub(super) async fn acknowledge(session: Session<'_>, pair: &str) -> Result<Exit, Failure> {
    let path = format!("/v1/pairs/{}/flap/acknowledge", escape(pair));
    do_it(session, &path, json!({}), true).await
}

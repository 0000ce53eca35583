//! Waits until an object is what a script needs. It changes nothing; the law: a name that does not exist is not
//! waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use crate::answers::{Application, Pair, Status, read};
use crate::args::Awaited;
use crate::exit::{Exit, Failure};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks until it is so, or the time is over (exit 1, saying what was found instead).
pub(super) async fn until(session: Session<'_>, name: &str, what: Awaited) -> Result<Exit, Failure> {
    let deadline = Instant::now() + session.wait_limit;
    loop {
        let looked = session.server.get("/v1/status").await;
        let found = match &looked {
            // A server that is being restarted is waited for too.
            Err(failure) if failure.exit() == Exit::Unreachable && Instant::now() < deadline => None,
            Err(failure) => return Err(failure.clone()),
            Ok(answer) => Some(judge(&read(answer)?, &name.to_ascii_lowercase(), what)?),
        };
        match found {
            Some(Ok(said)) => {
                let wants_json = session.wants_json();
                let done = serde_json::json!({ "name": name, "for": what.as_str(), "done": said });
                let text = if wants_json { done.to_string() } else { said };
                session.out.line(&text)?;
                return Ok(Exit::Done);
            }
            Some(Err(instead)) if Instant::now() >= deadline => {
                let asked = what.as_str();
                return Err(Failure::new(
                    Exit::Failed,
                    format!("{name} did not become {asked} within {:?}: {instead}", session.wait_limit),
                )
                .try_next(format!("scsctl why {name}")));
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// `Ok` with what is so, or `Err` with what is found instead. Fails if nothing has that name.
fn judge(status: &Status, name: &str, what: Awaited) -> Result<Result<String, String>, Failure> {
    if let Some(application) = status.applications.iter().find(|application| application.name == name) {
        return Ok(judge_application(application, what));
    }
    if let Some(pair) = status.pairs.iter().find(|pair| pair.name == name) {
        return Ok(judge_pair(pair, &status.applications, what));
    }
    if let Some(host) = status.hosts.iter().find(|host| host.name == name) {
        return match what {
            Awaited::Started | Awaited::Ready => {
                let text = format!("host {name} is {}", host.status);
                Ok(if host.status == "running" { Ok(text) } else { Err(text) })
            }
            Awaited::Primary | Awaited::Stopped => {
                Err(Failure::new(Exit::Usage, format!("a host is never {}", what.as_str()))
                    .try_next(format!("scsctl wait {name} --for started")))
            }
        };
    }
    Err(Failure::new(Exit::Refused, format!("there is no application, pair or host {name:?}"))
        .try_next("scsctl status"))
}

fn judge_application(application: &Application, what: Awaited) -> Result<String, String> {
    let so = match what {
        Awaited::Primary => application.run_mode == "primary" && application.status == "started",
        Awaited::Started | Awaited::Ready => application.status == "started",
        Awaited::Stopped => application.status == "stopped",
    };
    let mut text = format!("{} is {}, {}", application.name, application.status, application.run_mode);
    if !so && !application.problem.is_empty() {
        text.push_str(&format!(" ({})", application.problem));
    }
    if so { Ok(text) } else { Err(text) }
}

fn judge_pair(pair: &Pair, applications: &[Application], what: Awaited) -> Result<String, String> {
    let members: Vec<&Application> =
        applications.iter().filter(|application| application.pair.as_deref() == Some(&pair.name)).collect();
    let all = |word: &str| members.len() == 2 && members.iter().all(|member| member.status == word);
    let primary = pair.primary.as_deref().unwrap_or("nobody");
    let acts = members.iter().any(|member| member.name == primary && member.run_mode == "primary");
    let so = match what {
        Awaited::Primary => acts,
        Awaited::Ready => acts && pair.ready,
        Awaited::Started => all("started"),
        Awaited::Stopped => all("stopped"),
    };
    let mut text = format!("{primary} is primary of pair {}", pair.name);
    for member in &members {
        text.push_str(&format!(", {} is {}", member.name, member.status));
    }
    if !pair.not_ready_because.is_empty() {
        text.push_str(&format!(" ({})", pair.not_ready_because.join("; ")));
    }
    if so { Ok(text) } else { Err(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let answer = serde_json::json!({
            "hosts": [{"name": "alpha", "status": "running"}],
            "applications": [
                {"name": "t-1", "pair": "t", "status": "started", "run_mode": "primary"},
                {"name": "t-2", "pair": "t", "status": "initializing", "run_mode": "backup"},
                {"name": "single", "status": "stopped", "run_mode": "unknown", "problem": "no such file"}
            ],
            "pairs": [{"name": "t", "primary": "t-1", "backup": "t-2", "ready": false,
                       "not_ready_because": ["t-2 is initializing"]}]
        });
        read(&answer).unwrap()
    }

    #[test]
    fn each_kind_of_object_is_judged_by_its_own_words() {
        let status = status();
        let so = |name, what| judge(&status, name, what).unwrap().is_ok();
        assert!(so("t", Awaited::Primary));
        assert!(!so("t", Awaited::Ready));
        assert!(!so("t", Awaited::Started));
        assert!(so("t-1", Awaited::Primary));
        assert!(!so("t-2", Awaited::Primary));
        assert!(so("single", Awaited::Stopped));
        assert!(so("alpha", Awaited::Ready));
    }

    #[test]
    fn what_is_found_instead_is_said() {
        let instead = judge(&status(), "single", Awaited::Started).unwrap().unwrap_err();
        assert!(instead.contains("stopped") && instead.contains("no such file"), "{instead}");
    }

    #[test]
    fn a_name_that_does_not_exist_is_not_waited_for() {
        assert_eq!(judge(&status(), "nothing", Awaited::Started).unwrap_err().exit(), Exit::Refused);
        assert_eq!(judge(&status(), "alpha", Awaited::Primary).unwrap_err().exit(), Exit::Usage);
    }
}

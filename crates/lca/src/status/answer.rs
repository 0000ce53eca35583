//! The answers of the status port, made from the board.
//!
//! Knows no sockets. The law: 200 on `primary` means that the machine shows a member that acts as primary and takes
//! work; whatever is not certain is 503 with the reason.

use serde_json::json;
use understudy_decide::agent::role::Part;
use understudy_drive::exposition::CONTENT_TYPE;
use understudy_model::{ApplicationName, ApplicationStatus, RunMode};

use super::board::{Board, Picture, Shown};
use super::figures;
use super::request::{Head, LONGEST_HEAD_BYTES, Refusal};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Status and body.
    Get,
    /// The same without the body.
    Head,
    /// The same as `Get`: some load balancers ask so.
    Options,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// Names the allowed methods.
    pub says_allowed: bool,
}

impl Answer {
    fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, content_type: "application/json", body: format!("{body}\n"), says_allowed: false }
    }

    fn error(status: u16, code: &str, message: &str, try_next: &str) -> Self {
        let error = json!({ "code": code, "message": message, "because": [], "try": try_next });
        Self::json(status, &json!({ "error": error }))
    }

    /// The answer to what is no request that is answered.
    pub fn refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Nonsense(why) => Self::error(400, "bad-request", why, ""),
            Refusal::TooLong => {
                let message = format!("the head of a request has at most {LONGEST_HEAD_BYTES} bytes");
                Self::error(431, "too-large", &message, "")
            }
            Refusal::Body => Self::error(413, "too-large", "a request here has no body", ""),
            Refusal::Method => {
                let mut answer = Self::error(405, "method-not-allowed", "here one can only look", "");
                answer.says_allowed = true;
                answer
            }
        }
    }

    /// The words beside the status.
    pub fn reason(&self) -> &'static str {
        match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            413 => "Content Too Large",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        }
    }
}

/// Answers a request.
pub fn answer(head: &Head, board: &Board) -> Answer {
    let mut answer = match head.path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "healthz"] => Answer::json(200, &json!({ "ok": true, "host": board.host() })),
        ["", "metrics"] => {
            let (status, content_type, says_allowed) = (200, CONTENT_TYPE, false);
            Answer { status, content_type, body: figures::text(&board.seen()), says_allowed }
        }
        ["", "application", name, question @ ("primary" | "backup" | "ready")] => {
            of_application(board, name, question)
        }
        ["", "application", name] => of_application(board, name, "ready"),
        _ => {
            let known = "GET /application/NAME/primary, /backup or /ready, /metrics, /healthz";
            Answer::error(404, "not-found", &format!("there is no path {:?}", head.path), known)
        }
    };
    answer.says_allowed |= head.method == Method::Options;
    answer
}

fn of_application(board: &Board, name: &str, question: &str) -> Answer {
    let picture = board.picture();
    let asked = match question {
        "primary" => is_primary,
        "backup" => is_backup,
        _ => is_ready,
    };
    let Some((name, shown)) = find(&picture, name, asked) else {
        let message = format!("host {} has no application and no member of a pair {name:?}", board.host());
        return Answer::error(404, "not-found", &message, "scsctl apps");
    };
    let (status, why) = match asked(shown) {
        Ok(so) => (200, so.to_owned()),
        // What is wrong with it may be what it printed. Nobody here is asked who he is: that is told elsewhere.
        Err(instead) => (503, instead),
    };
    let body = json!({
        "application": name,
        "host": board.host(),
        "pair": shown.pair,
        "run_mode": shown.run_mode,
        "epoch": shown.epoch,
        "status": shown.status,
        question: status == 200,
        "why": why,
    });
    Answer::json(status, &body)
}

/// What a question is answered with: yes because, or no because.
pub(super) type Said = Result<&'static str, String>;

/// The application of that name, or this host's member of the pair of that name, so that load balancers ask every host
/// the same. Where both members are on one host, the one for which the answer is yes.
fn find<'p>(
    picture: &'p Picture,
    name: &str,
    asked: impl Fn(&Shown) -> Said,
) -> Option<(&'p ApplicationName, &'p Shown)> {
    let name = name.to_ascii_lowercase();
    let by_name = picture.applications.iter().find(|(application, _)| application.as_str() == name);
    let members = || {
        let is_member = |shown: &Shown| shown.pair.as_ref().is_some_and(|pair| pair.as_str() == name);
        picture.applications.iter().filter(move |(_, shown)| is_member(shown))
    };
    by_name.or_else(|| members().find(|(_, shown)| asked(shown).is_ok()).or_else(|| members().next()))
}

pub(super) fn is_ready(shown: &Shown) -> Said {
    match shown.status {
        ApplicationStatus::Started => Ok("it runs and is ready"),
        other => Err(format!("it is {other}")),
    }
}

pub(super) fn is_primary(shown: &Shown) -> Said {
    is_ready(shown)?;
    match shown.part {
        Some(Part::Acting) => Ok("it acts as primary"),
        None if shown.run_mode == RunMode::Primary => Ok("it is no member of a pair, and serves"),
        Some(Part::Promoting) => Err("it was told to be primary and has not answered".to_owned()),
        Some(Part::Demoting) => Err("it was told to be a backup and has not answered".to_owned()),
        Some(Part::Idle) | None => Err(format!("its run mode is {}", shown.run_mode)),
    }
}

fn is_backup(shown: &Shown) -> Said {
    is_ready(shown)?;
    match (shown.part, shown.run_mode) {
        (Some(Part::Idle), RunMode::Backup) => Ok("it stands ready as backup"),
        (Some(Part::Acting), _) => Err("it acts as primary".to_owned()),
        (Some(Part::Promoting), _) => Err("it was told to be primary and has not answered".to_owned()),
        (Some(Part::Demoting), _) => Err("it was told to be a backup and has not answered".to_owned()),
        (Some(Part::Idle) | None, other) => Err(format!("its run mode is {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: ApplicationStatus, run_mode: RunMode, part: Option<Part>) -> Shown {
        Shown { pair: None, status, run_mode, part, epoch: None, restarts: 0, gave_up: false }
    }

    #[test]
    fn a_pairs_name_means_its_member_here() {
        let member = |part| Shown {
            pair: Some("pair".parse().unwrap()),
            ..shown(ApplicationStatus::Started, RunMode::Backup, Some(part))
        };
        let mut picture = Picture::default();
        picture.applications.insert("a".parse().unwrap(), member(Part::Idle));
        let found =
            |picture: &Picture, name| find(picture, name, is_primary).map(|(name, _)| name.to_string());
        assert_eq!(found(&picture, "Pair").as_deref(), Some("a"));
        picture.applications.insert("b".parse().unwrap(), member(Part::Acting));
        assert_eq!(found(&picture, "pair").as_deref(), Some("b"), "both are here: the one that is primary");
        assert_eq!(found(&picture, "a").as_deref(), Some("a"));
        assert_eq!(found(&picture, "c"), None);
    }

    /// The promise to load balancers, for every status, run mode and part: never both, and only when ready.
    #[test]
    fn only_a_ready_member_that_acts_is_primary() {
        let parts = [None, Some(Part::Idle), Some(Part::Promoting), Some(Part::Acting), Some(Part::Demoting)];
        for status in ApplicationStatus::ALL {
            for mode in RunMode::ALL {
                for part in parts {
                    let shown = shown(*status, *mode, part);
                    let (primary, backup) = (is_primary(&shown).is_ok(), is_backup(&shown).is_ok());
                    let ready = *status == ApplicationStatus::Started;
                    let acts = part == Some(Part::Acting) || (part.is_none() && *mode == RunMode::Primary);
                    assert_eq!(primary, ready && acts, "{shown:?}");
                    assert_eq!(
                        backup,
                        ready && part == Some(Part::Idle) && *mode == RunMode::Backup,
                        "{shown:?}"
                    );
                    assert_eq!(is_ready(&shown).is_ok(), ready);
                }
            }
        }
    }
}

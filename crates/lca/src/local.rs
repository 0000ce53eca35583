//! Commands of this host to its agent: leave, stay, become the new program. One line in, lines out, the last of which says
//! how it ended.
//!
//! Refuses to know how a host leaves and what is handed over. The law: only root and the agent's own user are heard, as the
//! kernel says who they are; every answer has an end.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use understudy_decide::agent::{Agent, AgentSaw, Leaving};
use understudy_drive::{Inbox, now};

use crate::replace::Replace;

/// The socket's name in the runtime directory.
pub const SOCKET: &str = "agent.sock";
/// Longest question, in bytes.
const LONGEST_QUESTION_BYTES: u64 = 256;
/// How long somebody who connected has for a question.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);
/// Questions at once.
const MOST_AT_ONCE: usize = 16;
/// How often the machine is looked at while a host leaves.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What stopping may take beyond the limits that were asked for: the last one's own time, and its kill.
const STOPPING_MARGIN: Duration = Duration::from_secs(60);
/// The longest that each half of a leave may be given.
pub const LONGEST_LEAVE: Duration = Duration::from_secs(3_600);

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Hand over, then stop everything; each half within this time.
    Leave(Duration),
    /// Stay after all.
    Stay,
    /// Which program would be the next one.
    Program,
    /// Become it.
    Replace,
}

impl Question {
    /// As it is written on the socket, without the end of the line.
    pub fn to_line(self) -> String {
        match self {
            Question::Leave(limit) => format!("leave {}", limit.as_millis()),
            Question::Stay => "stay".to_owned(),
            Question::Program => "program".to_owned(),
            Question::Replace => "replace".to_owned(),
        }
    }

    /// The question in a line; none if it is not one.
    pub fn read(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            Some(("leave", ms)) => {
                let limit = Duration::from_millis(ms.parse().ok()?);
                (limit <= LONGEST_LEAVE).then_some(Question::Leave(limit))
            }
            Some(_) => None,
            None => match line {
                "stay" => Some(Question::Stay),
                "program" => Some(Question::Program),
                "replace" => Some(Question::Replace),
                _ => None,
            },
        }
    }
}

/// How an answer ends; the first word of its last line.
pub mod ending {
    /// It is done; the rest of the line says what.
    pub const DONE: &str = "done";
    /// It is not; the rest says why.
    pub const FAILED: &str = "failed";
    /// Another line follows.
    pub const MORE: &str = "now";
}

/// Where local commands are answered.
pub struct Local {
    listener: UnixListener,
    path: PathBuf,
}

impl Local {
    /// Listens in the runtime directory. Whatever socket is there is of an earlier life: there is one agent for a state
    /// directory, and its lock is held.
    pub fn bind(runtime: &Path) -> io::Result<Self> {
        let path = runtime.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers as long as the runtime lives.
    pub async fn serve(self, inbox: Inbox<Agent>, replace: Arc<Replace>) {
        let room = Arc::new(Semaphore::new(MOST_AT_ONCE));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "no local command can be heard now");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let (inbox, replace) = (inbox.clone(), Arc::clone(&replace));
            tokio::spawn(async move {
                // Whoever asked and went away needs no answer.
                let _ = converse(stream, &inbox, &replace).await;
                drop(place);
            });
        }
    }
}

async fn converse(stream: UnixStream, inbox: &Inbox<Agent>, replace: &Replace) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let own = rustix::process::geteuid().as_raw();
    let (reading, mut out) = stream.into_split();
    if peer.uid() != 0 && peer.uid() != own {
        tracing::warn!(uid = peer.uid(), "a local command of a user who may not give one is refused");
        return say(&mut out, ending::FAILED, "only root and the agent's own user may do this").await;
    }
    let mut line = String::new();
    let mut reading = BufReader::new(reading.take(LONGEST_QUESTION_BYTES));
    let read = tokio::time::timeout(QUESTION_LIMIT, reading.read_line(&mut line)).await;
    if !matches!(read, Ok(Ok(_))) {
        return say(&mut out, ending::FAILED, "no question came in time").await;
    }
    let Some(question) = Question::read(line.trim_end()) else {
        return say(&mut out, ending::FAILED, "this agent does not know that command").await;
    };
    tracing::info!(?question, uid = peer.uid(), pid = ?peer.pid(), "local command");
    match question {
        Question::Leave(limit) => leave(&mut out, inbox, limit).await,
        Question::Stay => stay(&mut out, inbox).await,
        Question::Program => say(&mut out, ending::DONE, &replace.shown()).await,
        Question::Replace => match replace.replace(inbox, &mut out).await {
            Ok(never) => match never {},
            Err(why) => say(&mut out, ending::FAILED, &why).await,
        },
    }
}

/// One line of an answer.
pub async fn say(out: &mut (impl AsyncWriteExt + Unpin), word: &str, text: &str) -> io::Result<()> {
    let text = text.replace(['\n', '\r'], " ");
    out.write_all(format!("{word} {text}\n").as_bytes()).await
}

async fn stay(out: &mut (impl AsyncWriteExt + Unpin), inbox: &Inbox<Agent>) -> io::Result<()> {
    if !inbox.saw(AgentSaw::LeaveTakenBack).await {
        return say(out, ending::FAILED, "the agent is ending").await;
    }
    say(out, ending::DONE, "this host stays: what should run is started, roles stay where they are").await
}

async fn leave(
    out: &mut (impl AsyncWriteExt + Unpin),
    inbox: &Inbox<Agent>,
    limit: Duration,
) -> io::Result<()> {
    let until = now() + limit + limit + STOPPING_MARGIN;
    if !inbox.saw(AgentSaw::LeaveAsked { limit }).await {
        return say(out, ending::FAILED, "the agent is ending").await;
    }
    let mut told = String::new();
    loop {
        let Some(leaving) = inbox.look(Agent::leaving).await else {
            return say(out, ending::FAILED, "the agent is ending").await;
        };
        let Some(leaving) = leaving else {
            return say(out, ending::FAILED, "somebody took it back: this host stays").await;
        };
        if leaving.is_over() {
            return say(
                out,
                ending::DONE,
                "nothing runs on this host; to take it back: lca handover --return",
            )
            .await;
        }
        let text = describe(&leaving);
        if text != told {
            say(out, ending::MORE, &text).await?;
            told = text;
        }
        if until <= now() {
            return say(out, ending::FAILED, "it took too long").await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn describe(leaving: &Leaving) -> String {
    let names = |names: &[understudy_model::ApplicationName]| {
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    if leaving.stops {
        format!("stopping: {}", names(&leaving.running))
    } else {
        format!("handing over: {}", names(&leaving.primaries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_as_they_are_written_and_bounded() {
        let limit = Duration::from_millis(1_500);
        for question in [Question::Leave(limit), Question::Stay, Question::Program, Question::Replace] {
            assert_eq!(Question::read(&question.to_line()), Some(question));
        }
        for bad in ["", "leave", "leave -1", "leave 99999999999", "stay now", "replace /bin/sh", "x"] {
            assert_eq!(Question::read(bad), None, "{bad}");
        }
    }
}

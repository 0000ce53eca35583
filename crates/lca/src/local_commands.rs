//! `lca handover` and `lca reexec`: what somebody on this host asks of its agent, and waits for.
//!
//! Refuses to know what the agent does for it. The law: the next program is tried before the agent becomes it, and what is
//! printed last says how it ended.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use understudy_settings::AgentSettings;

use crate::exit::Exit;
use crate::local::{Question, SOCKET, ending};

/// How long a new program may take to be there.
const COMES_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Nobody listens.
    #[error("no agent answers at {}: {source}; run: systemctl status lca", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was cut off.
    #[error("the agent closed the connection before it had answered")]
    CutOff,
    /// The agent said no, or it failed.
    #[error("{0}")]
    Failed(String),
    /// The next program is not fit to be one.
    #[error("{} --check failed, so the agent goes on as it is: {why}", program.display())]
    Unfit {
        /// Which.
        program: PathBuf,
        /// What it said.
        why: String,
    },
}

impl CommandError {
    /// How the program ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            CommandError::Unreachable { .. } => Exit::Unreachable,
            CommandError::CutOff | CommandError::Failed(_) | CommandError::Unfit { .. } => Exit::Failed,
        }
    }
}

/// Hands over what is primary on this host, then stops everything; or takes that back.
pub fn hand_over(settings: &AgentSettings, limit: Duration, back: bool) -> Result<(), CommandError> {
    let question = if back { Question::Stay } else { Question::Leave(limit) };
    let done = ask(&socket(settings), question)?;
    println!("{done}");
    Ok(())
}

/// Lets the agent become the program that lies where it was started from.
pub fn replace(settings: &AgentSettings) -> Result<(), CommandError> {
    let path = socket(settings);
    let shown = ask(&path, Question::Program)?;
    let mut words = shown.split('\t');
    let program = PathBuf::from(words.next().unwrap_or_default());
    check(&program, &words.collect::<Vec<_>>())?;
    match ask(&path, Question::Replace) {
        // The change closes the connection: whoever answers next is the new program.
        Err(CommandError::CutOff) => {}
        Ok(text) => return Err(CommandError::Failed(text)),
        Err(error) => return Err(error),
    }
    let until = Instant::now() + COMES_WITHIN;
    loop {
        match ask(&path, Question::Program) {
            Ok(_) => break,
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
    println!("the agent is {} now", program.display());
    Ok(())
}

fn socket(settings: &AgentSettings) -> PathBuf {
    Path::new(&settings.runtime_directory).join(SOCKET)
}

fn check(program: &Path, arguments: &[&str]) -> Result<(), CommandError> {
    let unfit = |why| CommandError::Unfit { program: program.to_owned(), why };
    let mut command = Command::new(program);
    command.args(arguments).arg("--check").stdin(Stdio::null());
    let output = command.output().map_err(|error| unfit(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(unfit(format!("{}: {}", output.status, said.trim())))
}

/// Asks, prints what is said on the way, and gives the last words.
fn ask(path: &Path, question: Question) -> Result<String, CommandError> {
    let unreachable = |source| CommandError::Unreachable { path: path.to_owned(), source };
    let mut stream = UnixStream::connect(path).map_err(unreachable)?;
    stream.write_all(format!("{}\n", question.to_line()).as_bytes()).map_err(unreachable)?;
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(|_| CommandError::CutOff)?;
        let (word, text) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            ending::DONE => return Ok(text.to_owned()),
            ending::FAILED => return Err(CommandError::Failed(text.to_owned())),
            _ => println!("{text}"),
        }
    }
    Err(CommandError::CutOff)
}

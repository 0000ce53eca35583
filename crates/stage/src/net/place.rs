//! A network of its own, with a table of mounts of its own, held by a thread that lives in it.
//!
//! It knows no addresses. The law: a place has no name that the machine could see; it is gone when its thread and the last
//! process that was started in it are.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use super::kernel;
use crate::StageError;

type Act = Box<dyn FnOnce() + Send>;

/// The place. Dropped, its thread ends.
#[derive(Debug)]
pub struct Place {
    name: String,
    acts: Option<Sender<Act>>,
    thread: Option<JoinHandle<()>>,
}

impl Place {
    /// Opens one. Its `/etc/hosts` is the file `names`, which may change later.
    pub(super) fn open(name: &str, names: &Path) -> Result<Self, StageError> {
        let (acts, taken) = channel::<Act>();
        let (told, heard) = channel();
        let thread = std::thread::Builder::new()
            .name(format!("place {name}"))
            .spawn(move || {
                let left = kernel::leave_for_own_network();
                let is_left = left.is_ok();
                if told.send(left).is_err() || !is_left {
                    return;
                }
                taken.into_iter().for_each(|act| act());
            })
            .map_err(StageError::system("start a thread"))?;
        let left = heard.recv().map_err(|_| StageError::Unexpected(format!("place {name} did not open")))?;
        left.map_err(StageError::system("make a network namespace"))?;
        let place = Self { name: name.to_owned(), acts: Some(acts), thread: Some(thread) };
        // Nothing that is mounted in here may be seen by others.
        place.command("mount", &["--make-rprivate", "/"])?;
        place.command("mount", &["--bind", &names.to_string_lossy(), "/etc/hosts"])?;
        Ok(place)
    }

    /// Does something in this network: whatever it opens or starts belongs to it. One act after the other.
    pub fn run<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> Result<T, StageError> {
        let gone = || StageError::Unexpected(format!("the thread of place {} has ended", self.name));
        let (told, heard) = channel();
        let act: Act = Box::new(move || {
            // Whoever asked may have given up.
            let _ = told.send(act());
        });
        self.acts.as_ref().ok_or_else(gone)?.send(act).map_err(|_| gone())?;
        heard.recv().map_err(|_| gone())
    }

    /// Runs a program in here to its end, which must be a good one; answers what it printed.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Result<String, StageError> {
        self.command_with(program, arguments, "")
    }

    /// The same with words on its standard input.
    pub fn command_with(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, StageError> {
        let (name, input) = (program.to_owned(), input.to_owned());
        let words: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let ended = self.run(move || said(&name, &words, &input))?;
        let start = |source| StageError::Start { program: program.into(), source };
        let output = ended.map_err(start)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(StageError::Unexpected(format!("{program} {} in {}: {said}", arguments.join(" "), self.name)))
    }
}

fn said(program: &str, arguments: &[String], input: &str) -> std::io::Result<Output> {
    use std::io::Write;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that reads nothing ends as it likes; its own word for it is what counts.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

impl Drop for Place {
    fn drop(&mut self) {
        self.acts = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("an act in place {} has panicked", self.name);
        }
    }
}

//! Answers questions for what an application printed: from its file, or from the journal through its own program.
//!
//! Refuses to know who asks. The law: each answer is made on a thread of its own, of which there are few; it is bounded in
//! bytes and in time, and nothing is remembered between two questions.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use understudy_model::logs::{LONGEST_LOG_PLACE_BYTES, MOST_LOG_BYTES};
use understudy_model::{ApplicationName, LogAnswer, LogPiece, LogPlace, LogQuestion, OutputKind};

use crate::log_file;
use crate::log_files::LogFiles;

/// Most answers that are being made.
const MOST_AT_ONCE: usize = 4;
/// How far from the end of a file its last lines are looked for, in bytes.
const LONGEST_TAIL_BYTES: u64 = 1024 * 1024;
/// How long the journal's program may take.
const JOURNAL_LIMIT: Duration = Duration::from_secs(5);
/// Where the journal's program may be.
const JOURNAL_PROGRAMS: [&str; 2] = ["/usr/bin/journalctl", "/bin/journalctl"];

/// Makes the answers.
#[derive(Debug)]
pub struct LogReader {
    files: Arc<LogFiles>,
    journal_program: Option<PathBuf>,
    busy: AtomicUsize,
}

impl LogReader {
    /// For the files of this agent and the journal of this system.
    pub fn new(files: Arc<LogFiles>) -> Arc<Self> {
        let program = JOURNAL_PROGRAMS.iter().map(PathBuf::from).find(|path| path.exists());
        Arc::new(Self { files, journal_program: program, busy: AtomicUsize::new(0) })
    }

    /// Has an answer made and handed to `answer`, at once or from another thread.
    pub fn read(self: &Arc<Self>, question: LogQuestion, answer: impl FnOnce(LogAnswer) + Send + 'static) {
        let id = question.id;
        if self.busy.fetch_add(1, Ordering::AcqRel) >= MOST_AT_ONCE {
            self.busy.fetch_sub(1, Ordering::AcqRel);
            let outcome = Err("this agent reads several logs already; try again".to_owned());
            return answer(LogAnswer { id, outcome });
        }
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("logs".to_owned()).stack_size(256 * 1024);
        let begun = thread.spawn(move || {
            let outcome = this.piece(&question);
            this.busy.fetch_sub(1, Ordering::AcqRel);
            answer(LogAnswer { id, outcome });
        });
        if let Err(error) = begun {
            self.busy.fetch_sub(1, Ordering::AcqRel);
            // Whoever asked hears nothing, and asks again or gives up.
            tracing::warn!(%error, "cannot make a thread to read a log");
        }
    }

    fn piece(&self, question: &LogQuestion) -> Result<LogPiece, String> {
        match self.files.kind(&question.application) {
            None => Err(format!("this agent has no application {}", question.application)),
            Some(OutputKind::File) => self.read_from_file(question),
            Some(OutputKind::Journal) => self.read_from_journal(question),
        }
    }

    fn read_from_file(&self, question: &LogQuestion) -> Result<LogPiece, String> {
        if let LogPlace::Last { since_wall_ms: Some(_), .. } = question.from {
            let name = &question.application;
            return Err(format!(
                "the output of {name} is in a file, whose lines have no time: ask for --lines instead, or set output = \"journal\""
            ));
        }
        let path = self.files.path(&question.application);
        let rotations = self.files.rotations(&question.application);
        match read_file(&path, rotations, &question.from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LogPiece {
                bytes: Vec::new(),
                next: format!("file:{rotations}:0"),
                more: false,
                missing: false,
            }),
            read => read.map_err(|error| format!("cannot read the log {}: {error}", path.display())),
        }
    }

    fn read_from_journal(&self, question: &LogQuestion) -> Result<LogPiece, String> {
        let name = &question.application;
        let program = self.journal_program.as_deref().ok_or_else(|| {
            format!("the output of {name} is in the journal of its host, which has no journalctl")
        })?;
        journal_piece(program, name, &question.from)
            .map_err(|error| format!("cannot read the journal ({error}); on its host: journalctl -t {name}"))
    }
}

fn read_file(path: &Path, rotations: u64, from: &LogPlace) -> io::Result<LogPiece> {
    let mut file = log_file::open_to_read(path)?;
    let length = file.metadata()?.len();
    let (start, missing) = match from {
        LogPlace::Last { lines, .. } => (tail_start(&mut file, length, *lines)?, false),
        LogPlace::After(place) => match read_place(place) {
            Some((rotation, offset)) if rotation == rotations && offset <= length => (offset, false),
            // It was emptied, or the agent is a new one.
            _ => (0, true),
        },
    };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    (&mut file).take(MOST_LOG_BYTES as u64).read_to_end(&mut bytes)?;
    let end = start + bytes.len() as u64;
    Ok(LogPiece { bytes, next: format!("file:{rotations}:{end}"), more: end < length, missing })
}

fn read_place(place: &str) -> Option<(u64, u64)> {
    let (rotation, offset) = place.strip_prefix("file:")?.split_once(':')?;
    Some((rotation.parse().ok()?, offset.parse().ok()?))
}

/// Where the last `lines` lines begin, as far as they are within [`LONGEST_TAIL_BYTES`].
fn tail_start(file: &mut File, length: u64, lines: u32) -> io::Result<u64> {
    let from = length.saturating_sub(LONGEST_TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(length - from).read_to_end(&mut tail)?;
    let ends_here = usize::from(tail.last() == Some(&b'\n'));
    let searched = &tail[..tail.len() - ends_here];
    let mut ends = searched.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let start = match (lines as usize).checked_sub(1) {
        None => return Ok(length),
        Some(before) => ends.nth(before).map_or(0, |(at, _)| at as u64 + 1),
    };
    Ok(from + start)
}

/// One line of the journal's own output: where it is, and what was printed.
#[derive(serde::Deserialize)]
struct Entry {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "MESSAGE", default)]
    message: Message,
}

/// Bytes that are not text come as numbers.
#[derive(serde::Deserialize, Default)]
#[serde(untagged)]
enum Message {
    Text(String),
    Bytes(Vec<u8>),
    #[default]
    None,
}

fn journal_piece(program: &Path, name: &ApplicationName, from: &LogPlace) -> Result<LogPiece, String> {
    let mut command = Command::new(program);
    command.args(["--quiet", "--no-pager", "--output=json", "--output-fields=MESSAGE"]);
    command.arg(format!("--identifier={name}"));
    let place = match from {
        LogPlace::Last { lines, since_wall_ms } => {
            command.arg(format!("--lines={lines}"));
            if let Some(ms) = since_wall_ms {
                command.arg(format!("--since=@{}", ms.div_euclid(1000)));
            }
            None
        }
        LogPlace::After(place) => match place.strip_prefix("journal:").ok_or("this is no place in it")? {
            "" => None,
            cursor => {
                command.arg(format!("--after-cursor={cursor}"));
                Some(cursor.to_owned())
            }
        },
    };
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let output = child.stdout.take().ok_or("it has no output")?;
    let (lines, whole) = read_lines(output).map_err(|error| error.to_string())?;
    // Its end is waited for here or by the agent's care for orphans, whoever comes first; what it printed is what
    // counts. One that was not read to its end finds its pipe closed.
    let waited = child.wait();
    if whole && lines.is_empty() && waited.is_ok_and(|end| !end.success()) {
        return Err("journalctl failed".to_owned());
    }
    let mut piece = LogPiece { bytes: Vec::new(), next: String::new(), more: !whole, missing: false };
    let mut last = place;
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let entry: Entry = match serde_json::from_slice(line) {
            Ok(entry) => entry,
            // The last one may have been cut off; it is read with the next piece.
            Err(_) if !whole => break,
            Err(error) => return Err(error.to_string()),
        };
        let mut message = match entry.message {
            Message::Text(text) => text.into_bytes(),
            Message::Bytes(bytes) => bytes,
            Message::None => Vec::new(),
        };
        message.truncate(MOST_LOG_BYTES - 1);
        message.push(b'\n');
        if piece.bytes.len() + message.len() > MOST_LOG_BYTES {
            piece.more = true;
            break;
        }
        piece.bytes.append(&mut message);
        last = Some(entry.cursor);
    }
    piece.next = format!("journal:{}", last.unwrap_or_default());
    piece.next.truncate(LONGEST_LOG_PLACE_BYTES);
    Ok(piece)
}

/// What a program prints, to its end or to four times a piece (JSON is longer than what it carries).
fn read_lines(mut output: impl Read + AsFd) -> io::Result<(Vec<u8>, bool)> {
    let until = Instant::now() + JOURNAL_LIMIT;
    let mut lines = Vec::new();
    let mut part = [0_u8; 8192];
    while lines.len() < MOST_LOG_BYTES * 4 {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut waiting = [PollFd::new(&output, PollFlags::IN)];
        match rustix::event::poll(&mut waiting, Some(&left)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "journalctl does not answer")),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        match output.read(&mut part)? {
            0 => return Ok((lines, true)),
            read => lines.extend_from_slice(&part[..read]),
        }
    }
    Ok((lines, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use understudy_model::ProcessSpec;

    fn last(lines: u32) -> LogPlace {
        LogPlace::Last { lines, since_wall_ms: None }
    }

    #[test]
    fn the_last_lines_are_found_and_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let text = |place: &LogPlace| String::from_utf8(read_file(&path, 0, place).unwrap().bytes).unwrap();
        assert_eq!(text(&last(0)), "");
        assert_eq!(text(&last(1)), "three\n");
        assert_eq!(text(&last(2)), "two\nthree\n");
        assert_eq!(text(&last(99)), "one\ntwo\nthree\n");
        let piece = read_file(&path, 0, &last(1)).unwrap();
        assert!(!piece.more && !piece.missing);
        let mut file = File::options().append(true).open(&path).unwrap();
        write!(file, "four").unwrap();
        let after = LogPlace::After(piece.next);
        let piece = read_file(&path, 0, &after).unwrap();
        assert_eq!((piece.bytes.as_slice(), piece.missing), (b"four".as_slice(), false));
        // It was emptied meanwhile, as the count says, although it is as long as before.
        let piece = read_file(&path, 1, &after).unwrap();
        assert!(piece.missing && piece.bytes.starts_with(b"one"));
        let nonsense = LogPlace::After("file:x:-1".to_owned());
        assert!(read_file(&path, 0, &nonsense).unwrap().missing);
        assert_eq!(text(&last(1)), "four", "a line without an end is one");
    }

    #[test]
    fn a_long_log_comes_in_pieces() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let whole: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(&path, &whole).unwrap();
        let mut read = Vec::new();
        let mut place = last(10_000);
        loop {
            let piece = read_file(&path, 0, &place).unwrap();
            assert!(piece.bytes.len() <= MOST_LOG_BYTES);
            read.extend(piece.bytes);
            place = LogPlace::After(piece.next);
            if !piece.more {
                break;
            }
        }
        assert!(whole.as_bytes().ends_with(&read) && read.starts_with(b"line 10000\n"));
    }

    /// A program that answers as the journal's own does.
    fn program(directory: &Path, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = directory.join("journalctl");
        // Closed before it is run, and written by nobody else.
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_journals_program_is_asked_and_its_cursor_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let name = ApplicationName::new("app").unwrap();
        let script = r#"echo "$@" >> "$(dirname "$0")/asked"
            echo '{"__CURSOR":"s=1","MESSAGE":"one"}'
            echo '{"__CURSOR":"s=2","MESSAGE":[255,10]}'
            echo '{"__CURSOR":"s=3","MESSAGE":null}'"#;
        let path = program(directory.path(), &format!("PATH=/usr/bin:/bin\n{script}"));
        let from = LogPlace::Last { lines: 5, since_wall_ms: Some(2_500) };
        let piece = journal_piece(&path, &name, &from).unwrap();
        assert_eq!(piece.bytes, b"one\n\xff\n\n\n");
        assert_eq!((piece.next.as_str(), piece.more), ("journal:s=3", false));
        journal_piece(&path, &name, &LogPlace::After(piece.next)).unwrap();
        let asked = std::fs::read_to_string(directory.path().join("asked")).unwrap();
        let mut asked = asked.lines();
        assert!(asked.next().unwrap().ends_with("--identifier=app --lines=5 --since=@2"));
        assert!(asked.next().unwrap().ends_with("--identifier=app --after-cursor=s=3"));
        assert!(journal_piece(&path, &name, &LogPlace::After("file:0:0".to_owned())).is_err());
        let broken = program(directory.path(), "exit 1");
        assert!(journal_piece(&broken, &name, &last(1)).unwrap_err().contains("failed"));
        let flood =
            program(directory.path(), "while :; do echo '{\"__CURSOR\":\"c\",\"MESSAGE\":\"x\"}'; done");
        let piece = journal_piece(&flood, &name, &last(1)).unwrap();
        assert!(piece.more && piece.bytes.len() <= MOST_LOG_BYTES);
    }

    #[test]
    fn an_unknown_application_and_too_many_questions_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let files = Arc::new(LogFiles::new(directory.path()));
        let reader = LogReader::new(Arc::clone(&files));
        let ask = |name: &str| {
            let question =
                LogQuestion { id: 7, application: ApplicationName::new(name).unwrap(), from: last(1) };
            let (sender, answer) = std::sync::mpsc::channel();
            reader.read(question, move |made| sender.send(made).unwrap());
            answer.recv().unwrap()
        };
        let answer = ask("nobody");
        assert!(answer.id == 7 && answer.outcome.unwrap_err().contains("nobody"));
        let spec = ProcessSpec { output: Some(OutputKind::File), ..ProcessSpec::default() };
        files.know(&ApplicationName::new("app").unwrap(), &spec, false);
        assert_eq!(ask("app").outcome.unwrap().bytes, b"", "it has printed nothing yet");
        reader.busy.store(MOST_AT_ONCE, Ordering::Release);
        assert!(ask("app").outcome.unwrap_err().contains("try again"));
    }
}

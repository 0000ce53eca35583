//! Signs of life: looking at processes, asking places, and keeping what a hung process was doing.
//!
//! Refuses to judge. The law: each is begun when its machine asks and ends with the start; none of them waits for what
//! may hang on the thread of the runtime.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use understudy_decide::agent::{AgentSaw, StartId};
use understudy_drive::now;
use understudy_guard::watch::{Rank, hurry};
use understudy_model::{ApplicationName, Ask, Moment};

use super::{Processes, STACK_BYTES};
use crate::platform::{Evidence, Platform};
use crate::whole_file::{self, Keep};

/// Looks within one limit.
const LOOKS: u32 = 8;
/// The shortest time between two looks.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
/// The longest, so that a look ends soon after its start has.
const LONGEST_PERIOD: Duration = Duration::from_secs(5);
/// Files of evidence that are kept.
const MOST_FILES: usize = 20;
/// The most that is read of an answer, in bytes: its first line is all that counts.
const ANSWER_BYTES: usize = 64;

impl<P: Platform> Processes<P> {
    /// Looks at a main process until its start is gone.
    pub fn look(self: &Arc<Self>, application: ApplicationName, start: StartId, limit: Duration) {
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            let period = (limit / LOOKS).clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
            // If this agent itself stood still meanwhile, its machine sees how late the answer is.
            let (mut running, mut told) = (now(), false);
            while this.table.knows(start) {
                tokio::time::sleep(until_next(now(), period)).await;
                let at = now();
                let Some(tree) = this.table.tree(start) else { continue };
                let stopped = this.platform.is_stopped(&tree);
                if !stopped {
                    running = at;
                }
                if stopped != told {
                    told = stopped;
                    let application = application.clone();
                    this.inbox.saw(AgentSaw::Looked { application, start, stopped, running }).await;
                }
            }
        });
    }

    /// Asks a place; the answer is observed.
    pub fn probe(
        self: &Arc<Self>,
        application: ApplicationName,
        probe: StartId,
        ask: Ask,
        timeout: Duration,
    ) {
        let inbox = self.inbox.clone();
        self.runtime.spawn(async move {
            let answered = async {
                match &ask {
                    Ask::Tcp(place) => connect(place).await.map(drop),
                    Ask::Http(page) => fetch(page).await,
                    Ask::Exec(_) => Err("a command is not asked here".to_owned()),
                }
            };
            let failed = match tokio::time::timeout(timeout, answered).await {
                Ok(answer) => answer.err(),
                Err(_) => Some(format!("no answer within {} ms", timeout.as_millis())),
            };
            inbox.saw(AgentSaw::HookEnded { application, hook: probe, failed, said: String::new() }).await;
        });
    }

    /// Keeps what can be seen of a hung process; a summary is observed.
    pub fn keep_evidence(self: &Arc<Self>, application: ApplicationName, start: StartId) {
        let Some(tree) = self.table.tree(start) else { return };
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("evidence".to_owned()).stack_size(STACK_BYTES);
        let look = move || {
            // It has as little time as whoever waits for it.
            hurry(Rank::Agent);
            let evidence = this.platform.evidence(&tree);
            let path = this.places.evidence.join(format!("{application}.{}.txt", now().0));
            let name = application.clone();
            let tell = |text, waits_for_core| {
                this.inbox.saw_blocking(AgentSaw::Evidence { application, start, text, waits_for_core });
            };
            if let Err(error) = tell_and_keep(&evidence, &path, tell, keep) {
                tracing::warn!(application = %name, path = %path.display(), %error, "cannot keep evidence of a hang");
            }
        };
        if let Err(error) = thread.spawn(look) {
            // It is killed without evidence when its time is over.
            tracing::warn!(%error, "cannot make a thread to look at a hung process");
        }
    }
}

/// The same moments for every application, so that one waking looks at all.
fn until_next(at: Moment, period: Duration) -> Duration {
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    Duration::from_nanos(period - at.0 % period)
}

async fn connect(place: &str) -> Result<TcpStream, String> {
    let place: SocketAddr = place.parse().map_err(|_| format!("{place:?} is no address with a port"))?;
    TcpStream::connect(place).await.map_err(|error| format!("cannot connect to {place}: {error}"))
}

/// Asks for a page and reads the first line of the answer.
async fn fetch(page: &str) -> Result<(), String> {
    let rest = page.strip_prefix("http://").unwrap_or_default();
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let stream = connect(place).await?;
    let asked = format!("GET {path} HTTP/1.0\r\nHost: {place}\r\nConnection: close\r\n\r\n");
    let failed = |error: io::Error| format!("{page}: {error}");
    let mut unsent = asked.as_bytes();
    while !unsent.is_empty() {
        stream.writable().await.map_err(failed)?;
        match stream.try_write(unsent) {
            Ok(sent) => unsent = &unsent[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let mut answer = Vec::with_capacity(ANSWER_BYTES);
    while answer.len() < ANSWER_BYTES && !answer.contains(&b'\n') {
        stream.readable().await.map_err(failed)?;
        let mut buffer = [0; ANSWER_BYTES];
        match stream.try_read(&mut buffer[..ANSWER_BYTES - answer.len()]) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(failed(error)),
        }
    }
    judge(&String::from_utf8_lossy(&answer)).map_err(|why| format!("{page}: {why}"))
}

/// A first line such as `HTTP/1.1 200 OK` with a status from 200 to 399.
fn judge(answer: &str) -> Result<(), String> {
    let line = answer.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let speaks = words.next().is_some_and(|word| word.starts_with("HTTP/"));
    let status: Option<u16> = words.next().and_then(|word| word.parse().ok());
    match status.filter(|_| speaks) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("status {status}")),
        None => Err(format!("not an answer of HTTP: {:?}", line.chars().take(40).collect::<String>())),
    }
}

/// Tells where all of it will be, and only then writes it: whoever waits for it waits for no disk.
fn tell_and_keep(
    evidence: &Evidence,
    path: &Path,
    tell: impl FnOnce(String, bool),
    keep: impl FnOnce(&Path, &str) -> io::Result<()>,
) -> io::Result<()> {
    tell(format!("{}; more in {}", evidence.summary, path.display()), evidence.waits_for_core);
    keep(path, &evidence.all)
}

/// Writes one file and removes the oldest beyond [`MOST_FILES`].
fn keep(path: &Path, text: &str) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    crate::state::make_directory(directory)?;
    whole_file::replace(path, text.as_bytes(), Keep::ThisBoot)?;
    let mut files: Vec<_> = fs::read_dir(directory)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, oldest) in files.iter().take(files.len().saturating_sub(MOST_FILES)) {
        fs::remove_file(oldest)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_whether_it_is_well() {
        for good in ["HTTP/1.0 200 OK\r\n", "HTTP/1.1 399", "HTTP/1.1 204 No Content\r\nX: y"] {
            assert_eq!(judge(good), Ok(()), "{good}");
        }
        for bad in ["", "200 OK", "HTTP/1.1 500 Broken", "HTTP/1.1 404", "HTTP/1.1", "SSH-2.0-x 200"] {
            assert!(judge(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_process_was_doing_is_told_before_any_disk_is_waited_for() {
        let evidence = Evidence { summary: "s".to_owned(), all: "all".to_owned(), waits_for_core: true };
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |text, waits| told.borrow_mut().push((text, waits));
        let failed = tell_and_keep(&evidence, Path::new("/x/y.txt"), tell, |path, all| {
            assert_eq!((path, all), (Path::new("/x/y.txt"), "all"));
            assert_eq!(*told.borrow(), [("s; more in /x/y.txt".to_owned(), true)]);
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull, "it is not swallowed");
    }

    #[test]
    fn evidence_does_not_pile_up() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..MOST_FILES + 5 {
            keep(&directory.path().join("evidence").join(format!("a.{number}.txt")), "x").unwrap();
        }
        assert_eq!(fs::read_dir(directory.path().join("evidence")).unwrap().count(), MOST_FILES);
    }

    #[test]
    fn looks_of_one_period_fall_together() {
        let period = Duration::from_millis(10);
        let at = |moment| Moment(moment) + until_next(Moment(moment), period);
        assert_eq!(at(1), at(9_999_999));
        assert_eq!(at(10_000_000), Moment(20_000_000));
    }
}

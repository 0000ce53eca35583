//! Measures how long a durable epoch takes, as the failover path writes it: one raise, four journal rows, two events.
//!
//! `commit_latency DIRECTORY [COMMITS]`. The directory must be on a real disk; it is made, and left behind. Also prints
//! the floor of the same file system: an overwrite of a preallocated file with fdatasync.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use understudy_model::{
    ApplicationName, Because, ControllerName, Epoch, Event, EventKind, Moment, PairName, RoleEpoch, Rule,
    Severity, Subject,
};
use understudy_store::{Batch, Change, EntryKind, JournalEntry, Store, StoreThread};

const PAUSE: Duration = Duration::from_millis(5);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: commit_latency DIRECTORY [COMMITS]")?;
    let commits: u64 = arguments.next().map_or(Ok(500), |text| text.parse())?;
    let directory = Path::new(&directory);
    std::fs::create_dir_all(directory)?;
    print("floor", floor(directory, commits)?);
    print("commit", epochs(directory, commits)?);
    Ok(())
}

fn epochs(directory: &Path, commits: u64) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let mut store = Store::open(directory)?;
    let leadership = store.take_leadership(&ControllerName::new("bench")?)?;
    let pair = PairName::new("pair")?;
    let mut stored = store.roles()?.remove(&pair);
    let members = [ApplicationName::new("member-1")?, ApplicationName::new("member-2")?];
    let thread = StoreThread::start(store, |_| {})?;
    let (done, answered) = channel();
    let mut spans = Vec::new();
    for round in 0..commits {
        std::thread::sleep(PAUSE);
        let epoch = stored.as_ref().map_or(Epoch::NONE, |role| role.epoch).next();
        let next = RoleEpoch::new(epoch, members[usize::from(round % 2 == 0)].clone());
        let change = Change::RaiseEpoch {
            pair: pair.clone(),
            expected: stored.clone(),
            next: next.clone(),
            controller_epoch: leadership,
        };
        let batch = Batch {
            changes: vec![change],
            journal: (0..4).map(|row| entry(round * 4 + row)).collect(),
            events: vec![event(&pair, &next), event(&pair, &next)],
            durable: true,
        };
        let done = done.clone();
        let start = Instant::now();
        thread.commit(batch, move |outcome| drop(done.send((Instant::now(), outcome))));
        let (end, outcome) = answered.recv()?;
        outcome?;
        spans.push(end - start);
        stored = Some(next);
    }
    thread.close()?;
    Ok(spans)
}

fn entry(at: u64) -> JournalEntry {
    let text = format!("{{\"seen\":\"{}\"}}", "x".repeat(300));
    JournalEntry { at_boot: Moment(at), at_wall_ms: 0, kind: EntryKind::Observation, text }
}

fn event(pair: &PairName, role: &RoleEpoch) -> (i64, Event) {
    let about = Subject { pair: Some(pair.clone()), ..Subject::default() };
    let because = Because::new(Rule::PrimaryExited, "the primary's process ended with signal 9")
        .fact("backup", "ready")
        .fact("epoch", role.epoch);
    let event = Event {
        kind: EventKind::PromotionOrdered,
        severity: Severity::Warning,
        about,
        from: None,
        to: Some(role.holder.to_string()),
        epoch: Some(role.epoch),
        because,
        actor: None,
    };
    (0, event)
}

fn floor(directory: &Path, commits: u64) -> std::io::Result<Vec<Duration>> {
    let path = directory.join("floor");
    let mut file = File::create(&path)?;
    file.write_all(&vec![1; 1024 * 1024])?;
    file.sync_all()?;
    let mut spans = Vec::new();
    for round in 0..commits {
        std::thread::sleep(PAUSE);
        let start = Instant::now();
        file.seek(std::io::SeekFrom::Start(round % 64 * 12_288))?;
        file.write_all(&[round as u8; 12_288])?;
        file.sync_data()?;
        spans.push(start.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(spans)
}

fn print(name: &str, mut spans: Vec<Duration>) {
    spans.sort_unstable();
    let at = |percent: usize| spans.get((spans.len() * percent / 100).min(spans.len().saturating_sub(1)));
    println!("{name}: n {}, median {:?}, p99 {:?}, max {:?}", spans.len(), at(50), at(99), spans.last());
}

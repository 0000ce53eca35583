//! The thread that writes to disk, so that the runtime's thread never waits for one.
//!
//! Refuses to know what is decided. The law: one write at a time, in the order asked; the answer is given after the
//! flush.

use std::io;
use std::sync::mpsc;

use tokio::sync::oneshot;
use understudy_decide::agent::AgentRecord;
use understudy_guard::watch::{Rank, hurry};

use crate::assignments_file::AssignmentsFile;
use crate::promise_file::{Change, PromiseFile};

/// Why something is not durable, for people, and whether certainly nothing was stored.
pub type NotDurable = (String, bool);

struct Job {
    records: Vec<AgentRecord>,
    answer: oneshot::Sender<Result<(), NotDurable>>,
}

/// The way to the thread; it ends when this is dropped.
#[derive(Debug, Clone)]
pub struct Keeper {
    jobs: mpsc::Sender<Job>,
}

impl Keeper {
    /// Starts the thread, which owns both files from now on.
    pub fn start(mut promises: PromiseFile, assignments: AssignmentsFile) -> io::Result<Self> {
        let (jobs, work) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            // As the thread that decides, which waits for it; it mostly waits for the disk.
            hurry(Rank::Agent);
            while let Ok(job) = work.recv() {
                let kept = keep(&mut promises, &assignments, job.records);
                // Whoever asked may have ended with the agent.
                let _ = job.answer.send(kept);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Makes records durable, or says why not. The machine asks for one decision at a time, so few ever wait.
    pub async fn keep(&self, records: Vec<AgentRecord>) -> Result<(), NotDurable> {
        let gone = || ("the thread that writes to disk has ended".to_owned(), false);
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job { records, answer }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn keep(
    promises: &mut PromiseFile,
    assignments: &AssignmentsFile,
    records: Vec<AgentRecord>,
) -> Result<(), NotDurable> {
    let mut changes = Vec::new();
    let mut assigned = None;
    for record in records {
        match record {
            AgentRecord::Promise { pair, role, lease } => changes.push(Change::Promise(pair, role, lease)),
            AgentRecord::Close { pair, epoch } => changes.push(Change::Close(pair, epoch)),
            AgentRecord::ControllerEpoch { epoch, incarnation } => {
                changes.push(Change::Controller(epoch, incarnation));
            }
            AgentRecord::Assignments(all) => assigned = Some(all),
        }
    }
    let stored_some = !changes.is_empty();
    if stored_some {
        promises.store(&changes).map_err(|error| (error.to_string(), error.is_definite()))?;
    }
    if let Some(all) = assigned {
        assignments
            .store(&all)
            .map_err(|error| (format!("cannot write the assignments: {error}"), !stored_some))?;
    }
    Ok(())
}

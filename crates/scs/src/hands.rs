//! The hands of the deciding machine: durable first, then orders and answers, then the telling.
//!
//! They know no rules. The law: a decision whose records are not certainly durable is not carried out, and one whose
//! outcome nobody can know ends this leadership.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use understudy_decide::control::{Control, ControlDo, ControlMemory, ControlRecord, ControlSaw};
use understudy_drive::{Hands, Kept, Persisting, Stop, Told};
use understudy_model::{ControllerEpoch, Decision, Moment};
use understudy_store::{Batch, Change, CommitError, JournalEntry};

use crate::fencing::Fencing;
use crate::figures::Figures;
use crate::journal::Journal;
use crate::leadership::drained_subject;
use crate::links::Links;
use crate::record::{Recorder, Step};
use crate::replies::Replies;
use crate::standing::{Concern, Standing};

type ControlDecision = Decision<ControlRecord, ControlDo>;

/// What the machine's decisions are carried out with.
pub struct ControlHands {
    /// Where records, observations and events go.
    pub journal: Journal,
    /// Where orders go.
    pub links: Links,
    /// Where answers go.
    pub replies: Replies,
    /// Where trouble with the store is shown.
    pub standing: Standing,
    /// Counts the machine's steps, for those who wait for one.
    pub steps: watch::Sender<u64>,
    /// The leadership under which epochs are raised.
    pub controller_epoch: ControllerEpoch,
    /// The boot whose clock the machine's moments are of.
    pub boot: String,
    /// Ends the program.
    pub stop: Stop,
    /// Why this leadership must end, if it must.
    pub lost: Arc<OnceLock<String>>,
    /// The last durable batch failed.
    pub store_failing: bool,
    /// What is counted.
    pub figures: Figures,
    /// Runs the commands that switch hosts off.
    pub fencing: Fencing,
    /// Writes down what is observed and decided.
    pub recorder: Recorder,
    /// The last reload of which the machine knows that it comes.
    pub reloads: watch::Sender<u64>,
    /// What was written down with a decision that is being made durable: written again if that fails.
    pub keeping: Option<Vec<JournalEntry>>,
}

impl Hands<Control> for ControlHands {
    fn record(&mut self, at: Moment, saw: &ControlSaw, decision: &ControlDecision) {
        self.observe(saw);
        self.figures.waited(understudy_drive::now().since(at));
        // What comes while a decision is being made durable was taken aside.
        let step = Step { at, aside: self.keeping.is_some(), saw: saw.clone() };
        let rows = self.recorder.note(step, decision);
        self.note(rows);
    }

    fn persist(&mut self, at: Moment, saw: &ControlSaw, decision: &ControlDecision) -> Persisting {
        self.observe(saw);
        let changes =
            decision.persist.iter().map(|record| change(record, self.controller_epoch, &self.boot)).collect();
        let rows = self.recorder.note(Step { at, aside: false, saw: saw.clone() }, decision);
        self.keeping = Some(rows.clone());
        let batch = Batch { changes, journal: rows, durable: true, ..Batch::default() };
        let began = understudy_drive::now();
        self.figures.waited(began.since(at));
        let (journal, figures) = (self.journal.clone(), self.figures.clone());
        let lost = Arc::clone(&self.lost);
        let overtaken =
            decision.persist.iter().any(|record| matches!(record, ControlRecord::RaiseLeadership { .. }));
        Box::pin(async move {
            let committed = journal.commit(batch).await;
            figures.wrote(understudy_drive::now().since(began));
            if committed.is_ok() && overtaken {
                let why = "an agent obeyed a higher controller epoch; leaderships count on from there";
                lost.get_or_init(|| why.to_owned());
            }
            committed.map_err(|error| {
                if !error.is_definite() || matches!(error, CommitError::NotLeading { .. }) {
                    // Only a new leadership, which reads the store first, can know what is stored (`docs/safety.md`, G2
                    // and G7). The first reason is the one that counts.
                    lost.get_or_init(|| error.to_string());
                }
                // Whoever leads now may store anything: the machine votes for nobody any more.
                (error.to_string(), error.is_definite() && !matches!(error, CommitError::NotLeading { .. }))
            })
        })
    }

    fn persisted(&mut self, kept: &Kept) {
        // They were in the same transaction; that it failed is the next thing to be written down.
        let rows = self.keeping.take().filter(|_| kept.is_err());
        self.note(rows.unwrap_or_default());
        match kept {
            Ok(()) => self.store_works(),
            Err((why, _)) => self.store_fails(why),
        }
        if self.lost.get().is_some() {
            self.stop.ask();
        }
    }

    fn act(&mut self, action: ControlDo) {
        match action {
            ControlDo::Vote { host, answer } => self.links.vote(&host, answer),
            ControlDo::AnswerInSync { host, answer } => self.links.answer_in_sync(&host, answer),
            ControlDo::Fence { host } => self.fencing.call(host),
            ControlDo::Send { host, order } => self.links.send(&host, order),
            ControlDo::Reply { request, reply } => {
                if !self.replies.answer(request, reply) {
                    tracing::debug!(request = request.0, "nobody waits for this answer any more");
                }
            }
        }
    }

    fn tell(&mut self, control: &Control, told: Told) {
        for because in &told.quiet {
            tracing::debug!(rule = because.rule.id(), "{}", because.reason);
        }
        if self.figures.told(&told.events) {
            self.figures.ended(&control.view(understudy_drive::now()).operations);
        }
        self.journal.tell(told.events);
        self.steps.send_modify(|steps| *steps += 1);
    }
}

impl ControlHands {
    /// A leadership begins: from this a replay begins too.
    pub fn begin(&mut self, memory: &ControlMemory) {
        let rows = self.recorder.begin(understudy_drive::now(), memory);
        self.note(rows);
    }

    /// The leadership ends: what waits is written.
    pub fn end(&mut self) {
        let rows = self.recorder.flush();
        self.note(rows);
    }

    /// What else an observation is waited for by.
    fn observe(&self, saw: &ControlSaw) {
        self.links.observed(saw);
        if let ControlSaw::ConfigurationComes { reload, .. } = saw {
            self.reloads.send_replace(*reload);
        }
    }

    fn note(&self, journal: Vec<JournalEntry>) {
        if !journal.is_empty() {
            self.journal.note(Batch { journal, ..Batch::default() });
        }
    }

    fn store_works(&mut self) {
        if std::mem::take(&mut self.store_failing) {
            tracing::info!("the store can be written again");
            self.standing.set(Concern::Store, Vec::new());
        }
    }

    fn store_fails(&mut self, error: &str) {
        self.store_failing = true;
        tracing::error!(error, "a decision could not be made durable and is not carried out");
        let warning = format!(
            "the store cannot be written, so nobody can be promoted: {error}; what runs goes on: make room under the \
             state directory"
        );
        self.standing.set(Concern::Store, vec![warning]);
    }
}

/// What the machine wants remembered, in the store's words.
fn change(record: &ControlRecord, controller_epoch: ControllerEpoch, boot: &str) -> Change {
    match record {
        ControlRecord::RaiseEpoch { pair, expected, next } => Change::RaiseEpoch {
            pair: pair.clone(),
            expected: expected.clone(),
            next: next.clone(),
            controller_epoch,
        },
        ControlRecord::SetInSync { pair, role, expected, next } => Change::SetInSync {
            pair: pair.clone(),
            role: role.clone(),
            expected: expected.clone(),
            next: next.clone(),
            controller_epoch,
        },
        ControlRecord::SetLease { pair, lease } => {
            Change::SetLease { pair: pair.clone(), lease: *lease, controller_epoch }
        }
        ControlRecord::RaiseLeadership { highest } => Change::RaiseLeadership(*highest),
        ControlRecord::SetGoal { application, goal } => {
            Change::SetGoal { application: application.clone(), goal: *goal }
        }
        ControlRecord::SetMaintenance { of, on } => {
            Change::SetMaintenance { subject: of.to_string(), on: *on, until_wall_ms: None }
        }
        ControlRecord::UseOperation(id) => Change::UseOperation(*id),
        ControlRecord::SetFlap { pair, flap } => {
            Change::SetFlap { pair: pair.clone(), boot: boot.to_owned(), text: as_json(flap) }
        }
        ControlRecord::SetHold { host, hold } => {
            Change::SetHold { host: host.clone(), boot: boot.to_owned(), text: hold.as_ref().map(as_json) }
        }
        // Beside maintenance: it is of the same kind, and no object of maintenance is called so.
        ControlRecord::SetDrained { host, on } => {
            Change::SetMaintenance { subject: drained_subject(host), on: *on, until_wall_ms: None }
        }
    }
}

/// As JSON; what has no such form is named instead, so that it cannot keep an epoch from being stored.
fn as_json(what: &impl serde::Serialize) -> String {
    serde_json::to_string(what)
        .unwrap_or_else(|error| serde_json::json!({ "unwritable": error.to_string() }).to_string())
}

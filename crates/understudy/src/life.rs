//! The library's one thread: connect, attach, hear, obey, and begin again when the agent is gone.
//!
//! Knows the link and the application's conduct, and leaves every yes or no to `obedience`. The law: whatever the
//! link does, the application's role changes only by an order that `obedience` accepts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use understudy_model::{Epoch, FromApplication, RunMode, ToApplication};

use crate::endpoint::{Ear, open};
use crate::obedience::{Standing, Step, answer};
use crate::truth::{Suspension, Truth, shorten};
use crate::{Conduct, Environment, LONGEST_RETRY, LinkChange, Role, SHORTEST_RETRY, SuspendDone};

pub(crate) struct Life {
    truth: Arc<Truth>,
    path: PathBuf,
    starting: Role,
    conduct: Box<dyn Conduct>,
    /// The highest epoch left or refused.
    left: Epoch,
    /// A refusal at the start, before there was anybody to tell.
    untold_refusal: Option<FromApplication>,
    last_told: Option<LinkChange>,
}

/// Ends the process if the thread that holds it panics; the message was printed by then.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

impl Life {
    pub(crate) fn new(truth: Arc<Truth>, environment: Environment, conduct: Box<dyn Conduct>) -> Self {
        Self {
            truth,
            path: environment.link,
            starting: environment.role,
            conduct,
            left: Epoch::NONE,
            untold_refusal: None,
            last_told: None,
        }
    }

    /// Lives until the link is ended by its owner. `begun` hears when the starting role is taken.
    pub(crate) fn run(mut self, begun: Sender<()>) {
        let _abort = AbortOnPanic;
        if self.starting.is_primary() {
            self.untold_refusal = self.promote(self.starting.epoch).err();
        }
        // The starter may be gone already; then there is nobody to tell.
        let _ = begun.send(());
        let mut retry = SHORTEST_RETRY;
        while !self.truth.has_ended() {
            let mut attached = false;
            let ended = self.converse(&mut attached);
            self.truth.detach();
            if self.truth.has_ended() {
                return;
            }
            self.tell(ended);
            if attached {
                retry = SHORTEST_RETRY;
            }
            if self.truth.wait_for_end(retry) {
                return;
            }
            retry = (retry * 2).min(LONGEST_RETRY);
        }
    }

    /// One connection, from its opening to its end. Answers how it ended.
    fn converse(&mut self, attached: &mut bool) -> LinkChange {
        let (mut ear, mouth) = match open(&self.path) {
            Ok(both) => both,
            Err(why) => return LinkChange::Lost(format!("cannot open {}: {why}", self.path.display())),
        };
        if !self.truth.attach(mouth) {
            return LinkChange::Lost("the agent does not read".to_owned());
        }
        if let Some(refusal) = self.untold_refusal.take() {
            self.truth.say(&refusal);
        }
        self.listen(&mut ear, attached)
    }

    fn listen(&mut self, ear: &mut Ear, attached: &mut bool) -> LinkChange {
        loop {
            let (heard, version) = match ear.hear() {
                Ok(both) => both,
                Err(why) => return LinkChange::Lost(why.to_string()),
            };
            match heard {
                ToApplication::Attached => {
                    *attached = true;
                    self.truth.attached(version.unwrap_or_default());
                    self.tell(LinkChange::Attached);
                }
                ToApplication::AttachRefused(why) => return LinkChange::Refused(shorten(why)),
                // An agent that has not accepted this process gives it no orders.
                order if !*attached => {
                    return LinkChange::Lost(format!(
                        "an order before the agent accepted this process: {order:?}"
                    ));
                }
                ToApplication::SetRunMode { run_mode, epoch } => {
                    let said = self.obey(run_mode, epoch);
                    self.truth.say(&said);
                }
                ToApplication::Suspend => self.suspend(),
                ToApplication::Ping(number) => self.truth.say(&FromApplication::Pong(number)),
                ToApplication::InSyncDone { number, refused } => self.truth.recorded(number, refused),
                ToApplication::Confirmed { number, epoch } => self.truth.confirmed(number, epoch),
            }
        }
    }

    /// Carries an order out, or not; what is returned is to be said.
    fn obey(&mut self, run_mode: RunMode, epoch: Epoch) -> FromApplication {
        let role = self.truth.role();
        let suspending = self.truth.suspension() != Suspension::NotAsked;
        match answer(&Standing { role, left: self.left, suspending }, run_mode, epoch) {
            Step::AlreadySo => {}
            Step::Promote => {
                if let Err(refusal) = self.promote(epoch) {
                    return refusal;
                }
            }
            Step::Demote => self.demote(epoch),
            Step::LearnEpoch => self.truth.set_role(Role { run_mode, epoch }),
            Step::Refuse(reason) => return FromApplication::RunModeRefused { run_mode, epoch, reason },
        }
        FromApplication::RunModeDone { run_mode, epoch }
    }

    fn promote(&mut self, epoch: Epoch) -> Result<(), FromApplication> {
        let run_mode = RunMode::Primary;
        match self.conduct.promote(epoch) {
            Ok(()) => {
                self.truth.set_role(Role { run_mode, epoch });
                Ok(())
            }
            Err(reason) => {
                let before = self.truth.role();
                if before.is_primary() {
                    self.demote(before.epoch);
                }
                self.left = self.left.max(epoch);
                Err(FromApplication::RunModeRefused { run_mode, epoch, reason: shorten(reason) })
            }
        }
    }

    fn demote(&mut self, epoch: Epoch) {
        let before = self.truth.role();
        // First the watch, so that nobody who looks begins anything; then the application, until it is quiet.
        self.truth.set_role(Role { run_mode: RunMode::Backup, epoch });
        self.conduct.demote(epoch);
        self.left = self.left.max(before.epoch);
    }

    fn suspend(&mut self) {
        match self.truth.begin_suspension() {
            Suspension::NotAsked => {
                self.conduct.suspend(SuspendDone { truth: Arc::downgrade(&self.truth) });
            }
            Suspension::Finishing => {}
            Suspension::Finished => self.truth.say(&FromApplication::Suspended),
        }
    }

    fn tell(&mut self, change: LinkChange) {
        let kind = std::mem::discriminant(&change);
        let is_news = self.last_told.as_ref().is_none_or(|last| std::mem::discriminant(last) != kind);
        if is_news {
            self.last_told = Some(change.clone());
            self.conduct.hear_link(change);
        }
    }
}

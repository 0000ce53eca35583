//! What an application would say of itself if it connected now, as far as its link has said it.
//!
//! Refuses to know what the machine makes of it. The law: while the application was told to be something and has not
//! answered, nobody here knows what it is, and nothing is claimed for it.

use understudy_model::{FromApplication, ToApplication};

/// The memory of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkMemory {
    attach: FromApplication,
    /// It was told to be primary or backup, and has not answered.
    unanswered: bool,
}

impl LinkMemory {
    /// Of a link that begins with this Attach.
    pub fn new(attach: FromApplication) -> Self {
        Self { attach, unanswered: false }
    }

    /// It said something more.
    pub fn heard(&mut self, said: &FromApplication) {
        let FromApplication::Attach { run_mode, epoch, readiness, suspended, .. } = &mut self.attach else {
            return;
        };
        match said {
            FromApplication::Readiness(now) => readiness.clone_from(now),
            FromApplication::RunModeDone { run_mode: now, epoch: of } => {
                (*run_mode, *epoch) = (*now, *of);
                self.unanswered = false;
            }
            FromApplication::RunModeRefused { .. } => self.unanswered = false,
            FromApplication::Suspended => *suspended = true,
            // A link has one Attach; a Pong says only that it lives.
            FromApplication::Attach { .. }
            | FromApplication::Pong(_)
            | FromApplication::Confirm(_)
            // Its answer comes to the link on which it was said, or to nobody.
            | FromApplication::InSync { .. } => {}
        }
    }

    /// It was told something.
    pub fn said(&mut self, message: &ToApplication) {
        if matches!(message, ToApplication::SetRunMode { .. }) {
            self.unanswered = true;
        }
    }

    /// What it would say; none while that is not known.
    pub fn attach(&self) -> Option<FromApplication> {
        (!self.unanswered).then(|| self.attach.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_model::{Epoch, Readiness, RunMode};

    fn attach(run_mode: RunMode, epoch: u64, readiness: Readiness, suspended: bool) -> FromApplication {
        let application = "tserver-1".parse().unwrap();
        FromApplication::Attach {
            application,
            pid: 7,
            run_mode,
            epoch: Epoch(epoch),
            readiness,
            suspended,
            heartbeat: true,
        }
    }

    #[test]
    fn it_would_say_what_it_said_last() {
        let mut memory = LinkMemory::new(attach(RunMode::Backup, 0, Readiness::NotYet, false));
        memory.heard(&FromApplication::Readiness(Readiness::Ready));
        memory.heard(&FromApplication::RunModeDone { run_mode: RunMode::Primary, epoch: Epoch(4) });
        memory.heard(&FromApplication::Pong(9));
        assert_eq!(memory.attach(), Some(attach(RunMode::Primary, 4, Readiness::Ready, false)));
        memory.heard(&FromApplication::Suspended);
        assert_eq!(memory.attach(), Some(attach(RunMode::Primary, 4, Readiness::Ready, true)));
    }

    #[test]
    fn nothing_is_claimed_while_an_answer_is_awaited() {
        let mut memory = LinkMemory::new(attach(RunMode::Backup, 0, Readiness::Ready, false));
        memory.said(&ToApplication::Ping(1));
        assert!(memory.attach().is_some());
        for answer in [
            FromApplication::RunModeDone { run_mode: RunMode::Primary, epoch: Epoch(4) },
            FromApplication::RunModeRefused {
                run_mode: RunMode::Primary,
                epoch: Epoch(4),
                reason: String::new(),
            },
        ] {
            memory.said(&ToApplication::SetRunMode { run_mode: RunMode::Primary, epoch: Epoch(4) });
            assert_eq!(memory.attach(), None);
            memory.heard(&answer);
            assert!(memory.attach().is_some());
        }
    }
}

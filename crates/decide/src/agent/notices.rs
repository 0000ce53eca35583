//! What a program says through the notify interface.
//!
//! Refuses to know sockets and bytes; whoever is not of the application's own processes was not heard at all. The law: a
//! datagram changes only the application whose process sent it.

use std::time::Duration;

use understudy_model::notice::Notice;
use understudy_model::{ApplicationName, Because, Interface, Moment, Rule};

use super::lifecycle::{Phase, Trigger};
use super::out::Out;
use super::{Agent, StartId};

/// The most that a program may ask for at a time, so that one that loops does not come up for ever unseen.
const LONGEST_EXTENSION: Duration = Duration::from_secs(3_600);

impl Agent {
    pub(super) fn noticed(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        start: StartId,
        notice: Notice,
        out: &mut Out,
    ) {
        let Some(known) = self.applications.get_mut(name).filter(|known| known.start == Some(start)) else {
            return;
        };
        if known.pid.is_none() || known.spec().interface != Interface::Notify {
            return;
        }
        if let Some(every) = notice.watchdog_every {
            known.life.watchdog_every = Some(every);
        }
        if let (Some(more), Some(deadline)) = (notice.extend_by, known.phase_deadline) {
            known.phase_deadline = Some(deadline.max(now + more.min(LONGEST_EXTENSION)));
        }
        if let Some(result) = &notice.result {
            out.quiet.push(Because::new(Rule::ReadinessSaid, format!("{name} said {result}")));
        }
        if let Some(status) = notice.status
            && matches!(known.phase, Phase::Initializing | Phase::Unavailable)
        {
            // While it cannot serve, what it says of itself is the best reason there is.
            known.problem = status;
        }
        if let Some(said) = notice.watchdog {
            self.watchdog_heard(now, name, said, out);
        }
        if notice.stopping {
            self.says_it_ends(now, name, out);
        } else if notice.ready {
            self.trigger(now, name, Trigger::Ready, out);
            self.ready_to_be_watched(now, name);
        }
        if notice.reloading {
            out.quiet.push(Because::new(Rule::ReadinessSaid, format!("{name} reads its settings again")));
        }
    }

    /// It is about to end by itself: nobody should be promoted to it meanwhile, and a primary may be taken over.
    fn says_it_ends(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.stopping.is_none() {
            known.problem = "it says that it is about to end".to_owned();
        }
        known.life.watched = None;
        self.trigger(now, name, Trigger::NotReady, out);
    }

    /// The main process is another one of the application's own.
    pub(super) fn main_changed(&mut self, name: &ApplicationName, start: StartId, pid: u32) {
        let known = self.applications.get_mut(name).filter(|known| known.start == Some(start));
        if let Some(known) = known.filter(|known| known.pid.is_some()) {
            known.pid = Some(pid);
        }
    }
}

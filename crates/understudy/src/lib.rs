//! The application library: how a supervised program says that it is ready, hears whether it is primary or backup,
//! and knows the epoch (the fencing token) of its role.
//!
//! It knows one Unix socket and one page of memory, those of the agent that started the process, and nothing of other hosts, of TLS or of
//! who decides about roles. It is blocking and owns one thread. The law: **the agent's absence changes nothing**. While
//! no agent is there the application goes on in its role, and the next agent hears what it is.
//!
//! ```no_run
//! use understudy::{Conduct, Environment, Epoch, Understudy};
//!
//! struct Counter;
//!
//! impl Conduct for Counter {
//!     fn promote(&mut self, epoch: Epoch) -> Result<(), String> {
//!         println!("serving in epoch {epoch}");
//!         Ok(())
//!     }
//!     fn demote(&mut self, epoch: Epoch) {
//!         println!("backup, epoch {epoch}");
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let Some(environment) = Environment::read()? else {
//!         println!("no agent started this process: it serves alone");
//!         return Ok(());
//!     };
//!     let port = environment.port("default").unwrap_or(7000);
//!     let link = Understudy::start(environment, Counter)?;
//!     // ... open `port`, load what is needed ...
//!     link.ready();
//!     // Other threads look at the role whenever they like, and ask before each answer that only a primary may give.
//!     let watch = link.watch();
//!     if let Some(epoch) = watch.acts_in() {
//!         println!("port {port} serves in epoch {epoch}");
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # What is promised
//!
//! - `promote` and `demote` are called by the library's own thread, which otherwise only waits for the agent's bytes:
//!   between the bytes and the call nothing is queued.
//! - Orders are answered in their order. An order for what the application already is, is answered without a call.
//! - An order with a lower epoch than the present one is refused, as is one for an epoch that this process has left
//!   or refused before.
//! - A lost link is opened again for ever, first after [`SHORTEST_RETRY`], then twice as long each time, at most
//!   [`LONGEST_RETRY`]. Each new connection begins with what the application is at that moment.
//! - [`RoleWatch::may_act`] is true only while the agent's permission lasts, whoever sleeps, hangs or is cut off meanwhile.
//! - A panic in `promote`, `demote`, `suspend` or `hear_link` aborts the process; [`Conduct`] says why.
//!
//! # After `fork()`
//!
//! A process that is forked from this one (a worker) has no link of its own, and no thread that hears the agent. What it may
//! ask is what is true of the process that started the link, at that instant: [`Understudy::role`], [`Understudy::may_act`],
//! [`Understudy::acts_in`], [`Understudy::may_acknowledge_alone`], and the same of a [`RoleWatch`]. They look at memory that both share.
//! Everything else belongs to the process that called [`Understudy::start`]: it speaks on a socket that both would write to, under
//! locks that may have been held at the fork. So a worker does not drop an [`Understudy`] either, which would end the link of its
//! parent: it leaves by `_exit()` or `exec()`. And before [`Understudy::peer_caught_up`] the parent sees to it that its workers
//! acknowledge alone no more, as it does for its threads.
//!
//! If that process ends, its workers go on to see the last that it was told, with what the page says. The agent ends whatever is
//! left of an application before it starts it again, and before it lets anybody else act.

mod conduct;
mod endpoint;
mod environment;
mod in_sync;
mod life;
mod obedience;
mod role;
mod truth;

use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use understudy_model::InSyncWish;
pub use understudy_model::{ApplicationName, Epoch, HostName, NameError, PairName, Readiness, RunMode};

pub use conduct::{Conduct, LinkChange, SuspendDone};
pub use environment::{Environment, EnvironmentError, variable_part};
pub use in_sync::InSyncError;
pub use role::{HIGHEST_EPOCH, Role, RoleWatch};
pub use understudy_page::OpenError as RolePageError;

use truth::Truth;
use understudy_page::Page;

/// Wait before the first attempt to open a lost link again.
pub const SHORTEST_RETRY: Duration = Duration::from_millis(10);
/// The wait between attempts never grows beyond this.
pub const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// The longest that saying something to the agent may block. An agent that reads nothing for so long is hung up on and
/// hears the truth again when it is back.
pub const LONGEST_SAYING: Duration = Duration::from_millis(100);
/// Reasons for people are cut to this length.
pub const LONGEST_REASON_BYTES: usize = 400;

/// Why the link could not be started. Nothing runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gave no thread.
    #[error("cannot start the thread of the agent's link: {0}")]
    Thread(#[source] io::Error),
    /// The system gave no memory for the words that say what it acts as.
    #[error("cannot map memory for the role: {0}")]
    Memory(#[source] io::Error),
    /// The environment names a role page that cannot be relied on: without it nobody could know when to stop acting.
    #[error(transparent)]
    RolePage(#[from] RolePageError),
}

/// The link of this process to its agent. Kept for as long as the process serves: dropping it ends the link, and the
/// agent then sees an application that does not answer. Other threads share it by reference or in an `Arc`.
#[derive(Debug)]
pub struct Understudy {
    truth: Arc<Truth>,
    watch: RoleWatch,
}

impl Understudy {
    /// Takes the role that the environment names and begins to look for the agent, in a thread of its own.
    ///
    /// If the role is primary (a restart in place, or a single application) `promote` is called first, and this
    /// returns when that has; if it refuses, the process begins as backup and the agent is told why. It does not wait
    /// for the agent.
    pub fn start(environment: Environment, conduct: impl Conduct) -> Result<Self, StartError> {
        let page = environment.role_page.as_deref().map(Page::open).transpose()?;
        // Until promote has returned, nothing is served.
        let backup = Role { run_mode: RunMode::Backup, epoch: environment.role.epoch };
        let watch = RoleWatch::new(backup, page).map_err(StartError::Memory)?;
        let truth = Arc::new(Truth::new(environment.application.clone(), watch.clone()));
        let (begun, beginning) = mpsc::channel();
        let life = life::Life::new(Arc::clone(&truth), environment, Box::new(conduct));
        std::thread::Builder::new()
            .name("understudy-link".to_owned())
            .spawn(move || life.run(begun))
            .map_err(StartError::Thread)?;
        // The sender is only dropped unsent if the thread panicked, and then the process aborts.
        let _ = beginning.recv();
        Ok(Self { truth, watch })
    }

    /// Says that the application can serve, or can take over at once. Said once, and again after [`Self::unavailable`].
    /// Blocks for at most [`LONGEST_SAYING`].
    pub fn ready(&self) {
        self.truth.set_readiness(Readiness::Ready);
    }

    /// Says that the application cannot serve, and why; `reason` is cut to [`LONGEST_REASON_BYTES`]. The role stays
    /// what it is until the agent says otherwise. Blocks for at most [`LONGEST_SAYING`].
    pub fn unavailable(&self, reason: impl Into<String>) {
        self.truth.set_readiness(Readiness::Unavailable(reason.into()));
    }

    /// What the application acts as at this instant.
    pub fn role(&self) -> Role {
        self.watch.role()
    }

    /// Whether this application may act as primary at this instant. See [`RoleWatch::may_act`] for what that proves.
    pub fn may_act(&self) -> bool {
        self.watch.may_act()
    }

    /// The epoch (the fencing token) in which it may act at this instant, if it may. See [`RoleWatch::may_act`].
    pub fn acts_in(&self) -> Option<Epoch> {
        self.watch.acts_in()
    }

    /// As [`Understudy::acts_in`], and another voter has said so after this was asked: the agent of the other member's host, or
    /// the control server. For machines whose clock may stand still while others run on (a paused guest): there the expiry
    /// on the role page proves nothing by itself. Costs a round trip on the network, and waits `longest` at most; nobody
    /// is "no", as is a pair without votes (`policy = "available"`) and an agent that is not there.
    pub fn may_act_confirmed(&self, longest: Duration) -> Option<Epoch> {
        self.acts_in()?;
        let confirmed = self.truth.confirm(longest)?;
        self.acts_in().filter(|epoch| *epoch == confirmed)
    }

    /// Has "the other member is out" recorded, durably, so that this primary may acknowledge what the other one does not have
    /// (pairs with `keep-data`, rule G14). Returns the epoch for which that is certain: **from then on the other member is not
    /// promoted**, before [`Self::peer_caught_up`] is called, or an operator promotes it by force and is told what may be
    /// lost. Repeated calls are cheap: what is recorded already is not stored again.
    ///
    /// The contract of a primary of such a pair: in each epoch, before its first acknowledgement, either this or
    /// [`Self::peer_caught_up`] has returned `Ok`. After this one it may acknowledge alone, after that one only what the other
    /// member has. [`Self::may_acknowledge_alone`] tells which, at any instant.
    ///
    /// If another thread calls [`Self::peer_caught_up`] while this one waits, this is refused as overtaken, also if both were
    /// recorded: then the last word is that both have everything.
    ///
    /// Waits `longest` at most. On any error nothing may be acknowledged alone: without a control server that is heard nobody
    /// can record anything, and the application has to choose between waiting and refusing writes.
    pub fn leave_out_peer(&self, longest: Duration) -> Result<Epoch, InSyncError> {
        self.record(InSyncWish::LeaveOut, longest)
    }

    /// Has "the other member has everything" recorded, durably, so that it may be promoted again. To be called when the other
    /// member has everything that was ever acknowledged, **and after this primary has stopped to acknowledge anything that the
    /// other one does not have**: from the call on the record may say so, also if this returns an error. After an error
    /// nothing may be acknowledged alone before [`Self::leave_out_peer`] has returned `Ok` again.
    ///
    /// Waits `longest` at most; returns the epoch for which it is certain. Refused as overtaken if another thread calls
    /// [`Self::leave_out_peer`] meanwhile.
    pub fn peer_caught_up(&self, longest: Duration) -> Result<Epoch, InSyncError> {
        self.record(InSyncWish::CaughtUp, longest)
    }

    fn record(&self, wish: InSyncWish, longest: Duration) -> Result<Epoch, InSyncError> {
        let epoch = self.acts_in().ok_or(InSyncError::NotActing)?;
        self.truth.record(epoch, wish, longest)?;
        self.acts_in().filter(|now| *now == epoch).ok_or(InSyncError::NotActing)
    }

    /// Whether this application may acknowledge what the other member does not have, at this instant: it acts as primary, and in
    /// this epoch the last of [`Self::leave_out_peer`] and [`Self::peer_caught_up`] was the first one, and succeeded. As
    /// [`RoleWatch::may_act`] it is asked right before the acknowledgement.
    pub fn may_acknowledge_alone(&self) -> bool {
        let alone_in = self.watch.alone_in();
        self.acts_in().is_some_and(|epoch| epoch == alone_in)
    }

    /// A view of the role for other threads; it stays valid when this link is dropped, but changes no more.
    pub fn watch(&self) -> RoleWatch {
        self.watch.clone()
    }
}

impl Drop for Understudy {
    fn drop(&mut self) {
        self.truth.end();
    }
}

//! The links of applications: who may speak for a start, and what is said to it.
//!
//! Refuses to know what a run mode means. The law: the system says which process connected, and only a process of a
//! start's own tree speaks for it; the latest connection of a start is its link.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use understudy_decide::agent::{Agent, AgentSaw, StartId};
use understudy_drive::Inbox;
use understudy_model::{ApplicationName, FromApplication, ToApplication};
use understudy_transport::{Listener, Peer, Receiver, SendError, Sender, Stranger};
use understudy_wire::{ApplicationHears, ApplicationSays, SPOKEN};

use crate::accepting::{Refusals, accept_all};
use crate::platform::Platform;
use crate::processes::Processes;

/// All links of applications. There is at most one for each start, so their number is bounded by what runs.
pub struct ApplicationLinks<P: Platform> {
    processes: Arc<Processes<P>>,
    inbox: Inbox<Agent>,
    open: Mutex<Open>,
    refusals: Refusals,
}

#[derive(Default)]
struct Open {
    links: BTreeMap<StartId, Link>,
    /// Numbers connections, to tell the latest one of a start from the one before.
    accepted: u64,
}

struct Link {
    number: u64,
    sender: Sender<ApplicationHears>,
    /// Told when a later connection took its place.
    ended: Arc<Notify>,
}

impl<P: Platform> ApplicationLinks<P> {
    /// No link yet.
    pub fn new(processes: Arc<Processes<P>>, inbox: Inbox<Agent>) -> Arc<Self> {
        Arc::new(Self {
            processes,
            inbox,
            open: Mutex::default(),
            refusals: Refusals::new("application link"),
        })
    }

    /// How many applications are connected.
    pub fn attached(&self) -> usize {
        self.open().links.len()
    }

    /// What was refused since the start, and how often.
    pub fn refused(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.refusals.totals()
    }

    /// Accepts applications as long as the runtime lives.
    pub async fn serve(self: Arc<Self>, listener: Listener) {
        accept_all(&listener, |stranger| {
            let this = Arc::clone(&self);
            tokio::spawn(async move { this.converse(stranger).await });
        })
        .await;
    }

    async fn converse(self: Arc<Self>, stranger: Stranger) {
        let peer = stranger.peer().clone();
        let shown = peer.to_string();
        let heard = stranger.first_message::<ApplicationSays, ApplicationHears>().await;
        let (first, sender, receiver) = match heard {
            Ok(heard) => heard,
            Err(error) => return self.refusals.count(&shown, &error),
        };
        let refuse = |word, reason: String| {
            self.refusals.count_word(&shown, word, &reason);
            // It may be gone already, and then needs no reason.
            let _ = sender.try_send(&ToApplication::AttachRefused(reason).into());
        };
        let (name, start) = match self.admit(&peer, &first).await {
            Ok(admitted) => admitted,
            Err((word, reason)) => return refuse(word, reason),
        };
        let versions = first.versions().unwrap_or(SPOKEN);
        let Some(version) = SPOKEN.highest_common(versions) else {
            let reason = format!("this agent speaks versions {SPOKEN}, the application {versions}");
            return refuse("no-common-version", reason);
        };
        if sender.try_send(&ApplicationHears::attached(version)).is_err() {
            return;
        }
        let (number, ended) = self.attach(start, sender);
        let said = first.into_said();
        self.inbox.saw(AgentSaw::Said { application: name.clone(), start, said }).await;
        self.listen(&name, start, &shown, receiver, &ended).await;
        if self.detach(start, number) {
            self.inbox.saw(AgentSaw::ApplicationLeft { application: name, start }).await;
        }
    }

    /// Whether that process may speak for the application that it names.
    async fn admit(
        &self,
        peer: &Peer,
        first: &ApplicationSays,
    ) -> Result<(ApplicationName, StartId), (&'static str, String)> {
        let FromApplication::Attach { application, .. } = first.said() else {
            return Err(("no-attach", "the first message must be Attach".to_owned()));
        };
        let Peer::Unix { pid: Some(pid), .. } = peer else {
            return Err(("no-credentials", "the system does not say which process this is".to_owned()));
        };
        let stranger =
            || ("not-ours", format!("process {pid} belongs to no application that this agent runs"));
        let (name, start) = self.processes.start_of(*pid).await.ok_or_else(stranger)?;
        if name != *application {
            return Err((
                "other-application",
                format!("process {pid} belongs to {name}, not to {application}"),
            ));
        }
        Ok((name, start))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Every change is one insertion or removal.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach(&self, start: StartId, sender: Sender<ApplicationHears>) -> (u64, Arc<Notify>) {
        let ended = Arc::new(Notify::new());
        let mut open = self.open();
        open.accepted += 1;
        let number = open.accepted;
        let link = Link { number, sender, ended: Arc::clone(&ended) };
        if let Some(former) = open.links.insert(start, link) {
            former.ended.notify_one();
        }
        (number, ended)
    }

    /// True if it was the start's link until now.
    fn detach(&self, start: StartId, number: u64) -> bool {
        let mut open = self.open();
        let is_it = open.links.get(&start).is_some_and(|link| link.number == number);
        if is_it {
            open.links.remove(&start);
        }
        is_it
    }

    async fn listen(
        &self,
        name: &ApplicationName,
        start: StartId,
        peer: &str,
        mut receiver: Receiver<ApplicationSays>,
        ended: &Notify,
    ) {
        loop {
            let heard = tokio::select! {
                heard = receiver.next() => heard,
                () = ended.notified() => return,
            };
            match heard.map(|heard| heard.map(ApplicationSays::into_said)) {
                Ok(Some(FromApplication::Attach { .. })) => {
                    return self.refusals.count_word(peer, "second-attach", "a link has one Attach");
                }
                Ok(Some(said)) => {
                    self.inbox.saw(AgentSaw::Said { application: name.clone(), start, said }).await;
                }
                Ok(None) => return,
                Err(error) => return self.refusals.count(peer, &error),
            }
        }
    }

    /// Says something to a start, at once, if its link is open.
    pub fn say(&self, application: &ApplicationName, start: StartId, message: ToApplication) {
        let open = self.open();
        let Some(link) = open.links.get(&start) else {
            tracing::debug!(%application, ?message, "not said: its link is not open");
            return;
        };
        match link.sender.try_send(&message.into()) {
            // Its own task meets the end of the link and tells it.
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => {
                tracing::warn!(%application, %error, "cannot speak to the application; its link is ended");
                link.ended.notify_one();
            }
        }
    }
}

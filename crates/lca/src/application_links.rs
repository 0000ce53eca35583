//! The links of applications: who may speak for a start, and what is said to it.
//!
//! Refuses to know what a run mode means. The law: the system says which process connected, and only a process of a
//! start's own tree speaks for it; the latest connection of a start is its link.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use understudy_decide::agent::{Agent, AgentSaw, StartId};
use understudy_drive::Inbox;
use understudy_model::{ApplicationName, FromApplication, ToApplication};
use understudy_transport::{Admission, Handed, Listener, Peer, Receiver, SendError, Sender, Stranger};
use understudy_wire::{ApplicationHears, ApplicationSays, SPOKEN};

use crate::accepting::{Refusals, accept_all};
use crate::gate::Gate;
use crate::inherited::{Inheritance, LinkDescription};
use crate::link_memory::LinkMemory;
use crate::platform::Platform;
use crate::processes::Processes;
use crate::replace::Holds;

/// How often it is looked whether every link rests.
const LOOK_AT_REST_EVERY: Duration = Duration::from_millis(1);

/// All links of applications. There is at most one for each start, so their number is bounded by what runs.
pub struct ApplicationLinks<P: Platform> {
    processes: Arc<Processes<P>>,
    inbox: Inbox<Agent>,
    open: Mutex<Open>,
    refusals: Refusals,
    /// Links rest: nothing is read.
    rest: watch::Sender<bool>,
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
    /// What it would say if it connected now.
    memory: LinkMemory,
    /// It rests, and this is what another program needs to go on with it.
    resting: Option<Handed>,
}

impl<P: Platform> ApplicationLinks<P> {
    /// No link yet.
    pub fn new(processes: Arc<Processes<P>>, inbox: Inbox<Agent>) -> Arc<Self> {
        Arc::new(Self {
            processes,
            inbox,
            open: Mutex::default(),
            refusals: Refusals::new("application link"),
            rest: watch::Sender::new(false),
        })
    }

    /// How many applications are connected.
    pub fn attached(&self) -> usize {
        self.open().links.len()
    }

    /// How many connections of applications were taken since the start.
    pub fn accepted(&self) -> u64 {
        self.open().accepted
    }

    /// What was refused since the start, and how often.
    pub fn refused(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.refusals.totals()
    }

    /// Accepts applications as long as the runtime lives: all of them, or at a door the one whose door it is.
    pub async fn serve(self: Arc<Self>, listener: Arc<Listener>, door_of: Option<ApplicationName>) {
        let mut gate = Gate::default();
        let admit = |peer: &Peer| {
            let admission = gate.admit(peer, |_| false, understudy_drive::now());
            if admission == Admission::TurnedAway {
                self.refusals.count_turned_away(peer);
            }
            admission
        };
        accept_all(&listener, admit, |stranger| {
            let (this, door_of) = (Arc::clone(&self), door_of.clone());
            tokio::spawn(async move { this.converse(stranger, door_of).await });
        })
        .await;
    }

    async fn converse(self: Arc<Self>, stranger: Stranger, door_of: Option<ApplicationName>) {
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
        let (name, start) = match self.admit(&peer, &first, door_of.as_ref()).await {
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
        let said = first.into_said();
        self.go_on(name, start, &shown, said, (sender, receiver)).await;
    }

    /// From its Attach to its end.
    async fn go_on(
        &self,
        name: ApplicationName,
        start: StartId,
        peer: &str,
        attach: FromApplication,
        (sender, receiver): (Sender<ApplicationHears>, Receiver<ApplicationSays>),
    ) {
        let (number, ended) = self.attach(start, sender, LinkMemory::new(attach.clone()));
        self.inbox.saw(AgentSaw::Said { application: name.clone(), start, said: attach }).await;
        self.listen(&name, start, peer, receiver, (number, &ended)).await;
        if self.detach(start, number) {
            self.inbox.saw(AgentSaw::ApplicationLeft { application: name, start }).await;
        }
    }

    /// Goes on with links that the program before this one had open, as if each had connected just now. A start that was
    /// not adopted has none.
    pub fn take_up(self: &Arc<Self>, links: Vec<(LinkDescription, OwnedFd)>, adopted: &[StartId]) {
        for (link, descriptor) in links {
            let LinkDescription { application, start, attach, unread } = link;
            if !adopted.contains(&start) {
                continue;
            }
            match (Handed { descriptor, unread }).take_up() {
                Ok(ends) => {
                    let this = Arc::clone(self);
                    let peer = format!("{application}, kept");
                    tokio::spawn(async move { this.go_on(application, start, &peer, attach, ends).await });
                }
                Err(error) => {
                    tracing::warn!(%application, %error, "its link cannot be kept; it will open another");
                }
            }
        }
    }

    /// Whether that process may speak for the application that it names.
    async fn admit(
        &self,
        peer: &Peer,
        first: &ApplicationSays,
        door_of: Option<&ApplicationName>,
    ) -> Result<(ApplicationName, StartId), (&'static str, String)> {
        let FromApplication::Attach { application, .. } = first.said() else {
            return Err(("no-attach", "the first message must be Attach".to_owned()));
        };
        if let Some(host) = door_of.filter(|host| *host != application) {
            return Err(("other-door", format!("this is the socket of {host}, not of {application}")));
        }
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

    fn attach(
        &self,
        start: StartId,
        sender: Sender<ApplicationHears>,
        memory: LinkMemory,
    ) -> (u64, Arc<Notify>) {
        let ended = Arc::new(Notify::new());
        let mut open = self.open();
        open.accepted += 1;
        let number = open.accepted;
        let link = Link { number, sender, ended: Arc::clone(&ended), memory, resting: None };
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
        (number, ended): (u64, &Notify),
    ) {
        let mut rest = self.rest.subscribe();
        loop {
            if *rest.borrow_and_update() {
                self.describe_resting(start, number, &receiver);
                // The sender lives as long as `self`.
                let _ = rest.wait_for(|rest| !*rest).await;
            }
            let heard = tokio::select! {
                heard = receiver.next() => heard,
                () = ended.notified() => return,
                _ = rest.changed() => continue,
            };
            match heard.map(|heard| heard.map(ApplicationSays::into_said)) {
                Ok(Some(FromApplication::Attach { .. })) => {
                    return self.refusals.count_word(peer, "second-attach", "a link has one Attach");
                }
                Ok(Some(said)) => {
                    self.remember(start, number, |memory| memory.heard(&said));
                    self.inbox.saw(AgentSaw::Said { application: name.clone(), start, said }).await;
                }
                Ok(None) => return,
                Err(error) => return self.refusals.count(peer, &error),
            }
        }
    }

    fn remember(&self, start: StartId, number: u64, change: impl FnOnce(&mut LinkMemory)) {
        if let Some(link) = self.open().links.get_mut(&start).filter(|link| link.number == number) {
            change(&mut link.memory);
        }
    }

    fn describe_resting(&self, start: StartId, number: u64, receiver: &Receiver<ApplicationSays>) {
        let handed = receiver.hand().unwrap_or_else(|error| {
            tracing::warn!(%error, "a link cannot be kept");
            None
        });
        if let Some(link) = self.open().links.get_mut(&start).filter(|link| link.number == number) {
            link.resting = handed;
        }
    }

    /// Says something to a start, at once, if its link is open.
    pub fn say(&self, application: &ApplicationName, start: StartId, message: ToApplication) {
        let mut open = self.open();
        let Some(link) = open.links.get_mut(&start) else {
            tracing::debug!(%application, ?message, "not said: its link is not open");
            return;
        };
        link.memory.said(&message);
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

impl<P: Platform> Holds for ApplicationLinks<P> {
    fn hold(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.rest.send_replace(true);
        Box::pin(async {
            while !self.open().links.values().all(|link| link.resting.is_some()) {
                tokio::time::sleep(LOOK_AT_REST_EVERY).await;
            }
        })
    }

    fn describe(&self, inheritance: &mut Inheritance) {
        let mut open = self.open();
        for (start, link) in &mut open.links {
            let Some(Handed { descriptor, unread }) = link.resting.take() else { continue };
            // What is still to be written would be cut off, and an answer that is awaited would come to a program that
            // does not await it: such an application connects anew, and says what it is then.
            let Some(attach) = link.memory.attach().filter(|_| link.sender.has_written_all()) else {
                continue;
            };
            let FromApplication::Attach { application, .. } = &attach else { continue };
            let application = application.clone();
            let description = LinkDescription { application, start: *start, attach, unread };
            inheritance.links.push((description, descriptor));
        }
    }

    fn let_go(&self) {
        for link in self.open().links.values_mut() {
            link.resting = None;
        }
        self.rest.send_replace(false);
    }
}

//! The links of control servers: the conversation before the Welcome, and everything that is said after it.
//!
//! Refuses to know what an order means and whether a leadership is the right one; the machine decides that. The law: a
//! control server that is too slow to read is let go, and finds everything again in the inventory of its next
//! connection; nothing waits for one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use understudy_decide::agent::{Agent, AgentSaw, LinkId};
use understudy_drive::Inbox;
use understudy_model::{
    Answer, ApplicationReport, ControllerEpoch, Event, HostName, Identity, InSyncAnswer, InSyncAsk,
    Inventory, LogQuestion, VoteAsk,
};
use understudy_transport::{
    FirstFrame, LinkTally, Peer, ReceiveError, Receiver, Security, SendError, Sender,
};
use understudy_wire::control::MOST_EVENTS;
use understudy_wire::{
    FromAgent, Hello, IN_SYNC_SINCE, LEAVING_SINCE, LIVENESS_SINCE, SPOKEN, ToAgent, VOTES_SINCE, control,
};

use crate::accepting::Refusals;
use crate::gate::Welcomed;
use crate::log_reader::LogReader;
use crate::security::unwelcome;
use crate::untold::Untold;

/// Most control servers at once. A cluster has a few.
const MOST_LINKS: usize = 64;

/// All links of control servers.
pub struct Links {
    host: HostName,
    security: Security,
    inbox: Inbox<Agent>,
    open: Mutex<BTreeMap<LinkId, Link>>,
    next: AtomicU64,
    highest_epoch: AtomicU64,
    refusals: Refusals,
    welcomed: Welcomed,
    untold: Mutex<Untold>,
    logs: Arc<LogReader>,
    tally: Mutex<LinkTally>,
}

struct Link {
    sender: Sender<FromAgent>,
    version: u16,
    peer: String,
    welcomed: bool,
    /// Told when the link is to be ended from this side.
    ended: Arc<Notify>,
}

impl Links {
    /// No link yet; `highest_epoch` is what an earlier life obeyed.
    pub fn new(
        host: HostName,
        security: Security,
        inbox: Inbox<Agent>,
        highest_epoch: ControllerEpoch,
        logs: Arc<LogReader>,
    ) -> Arc<Self> {
        Arc::new(Self {
            host,
            security,
            inbox,
            open: Mutex::default(),
            next: AtomicU64::new(1),
            highest_epoch: AtomicU64::new(highest_epoch.0),
            refusals: Refusals::new("control link"),
            welcomed: Welcomed::new(MOST_LINKS),
            untold: Mutex::default(),
            logs,
            tally: Mutex::default(),
        })
    }

    /// How many control servers are connected and welcome.
    pub fn welcomed(&self) -> usize {
        self.open().values().filter(|entry| entry.welcomed).count()
    }

    /// What was refused since the start, and how often.
    pub fn refused(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.refusals.totals()
    }

    /// What happened on these links since the start.
    pub fn tally(&self) -> LinkTally {
        self.lock_tally().clone()
    }

    /// Every change is one addition, so a poisoned lock still guards whole counts.
    fn lock_tally(&self) -> MutexGuard<'_, LinkTally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a stranger who said nothing that begins a conversation.
    pub fn refuse_stranger(&self, peer: &str, error: &ReceiveError) {
        self.refusals.count(peer, error);
    }

    /// Counts one who was turned away before it could say anything.
    pub fn turn_away_stranger(&self, peer: &Peer) {
        self.refusals.count_turned_away(peer);
    }

    /// Whether a control server came from there that was welcome.
    pub fn knows(&self, ip: IpAddr) -> bool {
        self.welcomed.knows(ip)
    }

    /// Talks with whoever said this until the link ends.
    pub async fn converse(self: Arc<Self>, first: FirstFrame) {
        let peer = first.peer().to_string();
        let (hello, sender, mut receiver) = match first.understand::<ToAgent, FromAgent>() {
            Ok((ToAgent::Hello(hello), sender, receiver)) => (hello, sender, receiver),
            Ok((ToAgent::Order(_), sender, _)) => {
                return self.refuse(&sender, &peer, "order-before-hello", "an order came before the Hello");
            }
            Ok((ToAgent::ReadLogs(_), sender, _)) => {
                let reason = "a question came before the Hello";
                return self.refuse(&sender, &peer, "question-before-hello", reason);
            }
            Ok((ToAgent::InSync(_), sender, _)) => {
                let reason = "an answer on data came before the Hello";
                return self.refuse(&sender, &peer, "answer-before-hello", reason);
            }
            Ok((ToAgent::Vote(_), sender, _)) => {
                return self.refuse(&sender, &peer, "vote-before-hello", "a vote came before the Hello");
            }
            Err(error) => return self.refusals.count(&peer, &error),
        };
        if let Some((word, reason)) = unwelcome(self.security.identity().as_ref(), receiver.identity()) {
            return self.refuse(&sender, &peer, word, &reason);
        }
        let version = match self.examine(&hello, receiver.identity()) {
            Ok(version) => version,
            Err((word, reason)) => return self.refuse(&sender, &peer, word, &reason),
        };
        if version >= LIVENESS_SINCE {
            receiver.allow_signals();
        }
        let pulse = sender.pulse().clone();
        let link = LinkId(self.next.fetch_add(1, Ordering::Relaxed));
        let ended = Arc::new(Notify::new());
        let entry = Link { sender, version, peer: peer.clone(), welcomed: false, ended: Arc::clone(&ended) };
        if let Some(entry) = self.take_in(link, entry) {
            let reason = format!("{MOST_LINKS} control servers are connected already");
            return self.refuse(&entry.sender, &peer, "too-many-links", &reason);
        }
        self.welcomed.remember(receiver.peer());
        let Hello { controller, controller_epoch, lineage, .. } = hello;
        tracing::info!(%controller, %controller_epoch, %peer, "control server connected");
        self.inbox
            .saw(AgentSaw::ControllerJoined {
                link,
                controller: controller.clone(),
                controller_epoch,
                lineage,
            })
            .await;
        self.lock_tally().begin(&pulse);
        let end = self.listen(link, &peer, receiver, &ended).await;
        self.lock_tally().end(&pulse, end);
        self.open().remove(&link);
        tracing::info!(%controller, %peer, "control server left");
        self.inbox.saw(AgentSaw::ControllerLeft { link }).await;
    }

    fn examine(&self, hello: &Hello, peer: Option<&Identity>) -> Result<u16, (&'static str, String)> {
        if hello.host != self.host {
            let reason = format!("this is host {}, not host {}", self.host, hello.host);
            return Err(("other-host", reason));
        }
        if let Some(Identity { role, cluster }) = peer {
            if role.name() != hello.controller.as_str() {
                let reason = format!("it calls itself {}, its certificate is of {role}", hello.controller);
                return Err(("other-name", reason));
            }
            if hello.cluster.is_some_and(|said| said != *cluster) {
                let reason =
                    format!("its configuration is of another cluster than its certificate, {cluster}");
                return Err(("other-cluster", reason));
            }
        }
        SPOKEN.highest_common(hello.versions).ok_or_else(|| {
            let reason =
                format!("this agent speaks versions {SPOKEN}, the control server {}", hello.versions);
            ("no-common-version", reason)
        })
    }

    fn take_in(&self, link: LinkId, entry: Link) -> Option<Link> {
        let mut open = self.open();
        if open.len() >= MOST_LINKS {
            return Some(entry);
        }
        open.insert(link, entry);
        None
    }

    /// Hears a control server until the link ends, and says why it did.
    async fn listen(
        self: &Arc<Self>,
        link: LinkId,
        peer: &str,
        mut receiver: Receiver<ToAgent>,
        ended: &Notify,
    ) -> &'static str {
        loop {
            let heard = tokio::select! {
                heard = receiver.next() => heard,
                () = ended.notified() => return "ended-here",
            };
            match heard {
                Ok(Some(ToAgent::Order(order))) => {
                    self.inbox.saw(AgentSaw::Ordered { link, order }).await;
                }
                // Nobody was asked before the Welcome.
                Ok(Some(ToAgent::Vote(answer))) if self.is_welcome(link) => {
                    self.inbox.saw(AgentSaw::ControllerVoted { link, answer }).await;
                }
                Ok(Some(ToAgent::Vote(_))) => {
                    self.refusals.count_word(peer, "vote-unasked", "a vote came before the Welcome");
                    return "vote-unasked";
                }
                Ok(Some(ToAgent::InSync(answer))) if self.is_welcome(link) => {
                    self.inbox.saw(AgentSaw::InSyncAnswered { link, answer }).await;
                }
                Ok(Some(ToAgent::InSync(_))) => {
                    let why = "an answer on data came before the Welcome";
                    self.refusals.count_word(peer, "answer-unasked", why);
                    return "answer-unasked";
                }
                Ok(Some(ToAgent::ReadLogs(question))) => self.read_logs(link, question),
                Ok(Some(ToAgent::Hello(_))) => {
                    self.refusals.count_word(peer, "second-hello", "a link has one Hello");
                    return "second-hello";
                }
                Ok(None) => return "closed",
                Err(error) => {
                    self.refusals.count(peer, &error);
                    return error.word();
                }
            }
        }
    }

    fn is_welcome(&self, link: LinkId) -> bool {
        self.open().get(&link).is_some_and(|entry| entry.welcomed)
    }

    /// Answers on the same link, if that is a welcome one now and still is then.
    fn read_logs(self: &Arc<Self>, link: LinkId, question: LogQuestion) {
        if !self.is_welcome(link) {
            return;
        }
        let this = Arc::clone(self);
        self.logs.read(question, move |answer| {
            let mut open = this.open();
            if let Some(entry) = open.get(&link)
                && !say(entry, &FromAgent::Logs(answer))
            {
                open.remove(&link);
            }
        });
    }

    fn refuse(&self, sender: &Sender<FromAgent>, peer: &str, word: &'static str, reason: &str) {
        self.refusals.count_word(peer, word, reason);
        let refused = FromAgent::HelloRefused {
            reason: reason.to_owned(),
            versions: SPOKEN,
            highest_controller_epoch: ControllerEpoch(self.highest_epoch.load(Ordering::Relaxed)),
        };
        if let Err(error) = sender.try_send(&refused) {
            tracing::debug!(%peer, %error, "cannot say why a control server is refused");
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<LinkId, Link>> {
        // Every change is one insertion or removal.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A higher controller epoch is durable.
    pub fn obeyed(&self, epoch: ControllerEpoch) {
        self.highest_epoch.fetch_max(epoch.0, Ordering::Relaxed);
    }

    fn untold(&self) -> MutexGuard<'_, Untold> {
        // A panic elsewhere can at most have lost events for people.
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a control server; from now on it hears everything, and first what nobody has heard.
    pub fn welcome(&self, link: LinkId, inventory: Inventory) {
        let mut open = self.open();
        let Some(entry) = open.get_mut(&link) else { return };
        entry.welcomed = true;
        let message = FromAgent::Welcome { version: entry.version, inventory };
        let mut heard = say(entry, &message);
        if heard {
            let untold = self.untold().take(understudy_drive::now());
            heard = untold.chunks(MOST_EVENTS).all(|some| say(entry, &FromAgent::Events(some.to_vec())));
        }
        if !heard {
            open.remove(&link);
        }
    }

    /// Refuses a control server and ends its link as soon as it can have heard why.
    pub fn turn_away(&self, link: LinkId, reason: &str, highest: ControllerEpoch) {
        let Some(entry) = self.open().remove(&link) else { return };
        let refused = FromAgent::HelloRefused {
            reason: reason.to_owned(),
            versions: SPOKEN,
            highest_controller_epoch: highest,
        };
        say(&entry, &refused);
        entry.ended.notify_one();
    }

    /// Answers an order on its own link.
    pub fn answer(&self, link: LinkId, answer: Answer) {
        let mut open = self.open();
        if let Some(entry) = open.get(&link)
            && !say(entry, &FromAgent::Answer(control::answer_in_words_of(entry.version, answer)))
        {
            open.remove(&link);
        }
    }

    /// Asks a control server for its vote; one that is not welcome or has no words for it is not asked.
    pub fn ask_vote(&self, link: LinkId, ask: VoteAsk) {
        let mut open = self.open();
        if let Some(entry) = open.get(&link)
            && entry.welcomed
            && entry.version >= VOTES_SINCE
            && !say(entry, &FromAgent::AskVote(ask))
        {
            open.remove(&link);
        }
    }

    /// Carries a member's word on who has everything; the refusal if that control server has no words for it. One that is gone is
    /// observed as gone.
    pub fn say_in_sync(&self, link: LinkId, ask: InSyncAsk) -> Option<InSyncAnswer> {
        let mut open = self.open();
        let entry = open.get(&link).filter(|entry| entry.welcomed)?;
        if entry.version < IN_SYNC_SINCE {
            let why =
                "the control server is of a version that records nothing of who has the data: update it";
            let InSyncAsk { pair, incarnation, number, .. } = ask;
            return Some(InSyncAnswer { pair, incarnation, number, refused: Some(why.to_owned()) });
        }
        if !say(entry, &FromAgent::InSync(ask)) {
            open.remove(&link);
        }
        None
    }

    /// Tells one application's state to every welcomed control server.
    pub fn report(&self, report: ApplicationReport) {
        self.tell_all(&FromAgent::Report(report));
    }

    /// Tells events to every welcomed control server, or keeps them for the next one.
    pub fn tell_events(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        if !self.open().values().any(|entry| entry.welcomed) {
            return self.untold().keep(events, understudy_drive::now());
        }
        for some in events.chunks(MOST_EVENTS) {
            self.tell_all(&FromAgent::Events(some.to_vec()));
        }
    }

    /// Tells every welcomed control server that this host leaves, or stays; an old one does not know the words, and sees the
    /// host go.
    pub fn tell_leaving(&self, leaving: bool) {
        let message = FromAgent::Leaving { leaving };
        self.open()
            .retain(|_, entry| !entry.welcomed || entry.version < LEAVING_SINCE || say(entry, &message));
    }

    fn tell_all(&self, message: &FromAgent) {
        self.open().retain(|_, entry| !entry.welcomed || say(entry, message));
    }
}

/// Says something; false if the link is to be given up, which its own task has then been told.
fn say(entry: &Link, message: &FromAgent) -> bool {
    match entry.sender.try_send(message) {
        Ok(()) => true,
        Err(error @ SendError::Encode(_)) => {
            tracing::error!(peer = %entry.peer, %error, "a message is left out");
            true
        }
        // Its own task meets the end of the link too, and tells it.
        Err(SendError::Closed) => true,
        Err(error @ SendError::Full { .. }) => {
            tracing::warn!(peer = %entry.peer, %error, "a control server does not read; its link is ended");
            entry.ended.notify_one();
            false
        }
    }
}

//! How two agents come to know each other: dialing, the Hello, and what is asked of whoever says it.
//!
//! Knows nothing of votes. The law: nobody is believed to be the agent of a host without a certificate that says so, where there
//! are certificates; only hosts that the machine named are met, and never an agent with this one's own identity (A5).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use understudy_model::{AgentId, HostName, Identity, Role};
use understudy_transport::{Backoff, FirstFrame, LONGEST_DELAY, Receiver, Sender, dial_whom};
use understudy_wire::{PeerHello, PeerSaid};

use super::{PEERS_SPEAK, Peers, Place};
use crate::accepting::cause;

/// How long the other agent may take to answer the Hello, however short a lease is: it looks at nothing but its memory for
/// that, on a machine that may be busy.
const LEAST_WELCOME: Duration = Duration::from_millis(500);
/// No longer than this between two tries: while control servers are away, this link alone keeps primaries in their roles.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The two ends of a link.
type Ends = (Sender<PeerSaid>, Receiver<PeerSaid>);

/// Why a peer was not met: a word for counters, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NotMet {
    word: &'static str,
    why: String,
    /// Somebody answers, and one of both does not want the other.
    unwelcome: bool,
}

impl NotMet {
    fn unwelcome(word: &'static str, why: impl Into<String>) -> Self {
        Self { word, why: why.into(), unwelcome: true }
    }

    fn gone(word: &'static str, why: impl Into<String>) -> Self {
        Self { word, why: why.into(), unwelcome: false }
    }
}

impl Peers {
    /// Keeps a link to a peer whose host's name sorts behind the own one, until it is let go.
    pub(super) async fn dial_on(self: Arc<Self>, host: HostName, mut place: watch::Receiver<Place>) {
        // Without randomness the pauses are still right, only not spread.
        let mut backoff = Backoff::new(getrandom::u64().unwrap_or(0));
        let mut said: Option<NotMet> = None;
        let mut first = 0;
        loop {
            let mut watched = place.clone();
            let met = tokio::select! {
                met = self.call(&host, place.borrow_and_update().clone(), &mut first) => met,
                () = let_go(&mut watched) => return,
            };
            match met {
                Ok((ends, agent)) => {
                    said = None;
                    let began = Instant::now();
                    self.talk(&host, agent, ends, place.clone()).await;
                    // One that ends at once is not to be opened again without a pause.
                    if began.elapsed() >= LONGEST_DELAY {
                        backoff.reset();
                    }
                }
                Err(problem) => {
                    if problem.unwelcome {
                        self.refusals.count_word(host.as_str(), problem.word, &problem.why);
                    }
                    if said.as_ref() != Some(&problem) {
                        tracing::info!(%host, why = %problem.why, "no link to the agent there; it is tried again");
                        said = Some(problem);
                    }
                }
            }
            let pause = backoff.next_delay().min(LONGEST_PAUSE);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = let_go(&mut place) => return,
            }
        }
    }

    /// Dials, says the Hello and hears the answer. After an answer that is none, the next address is tried first.
    async fn call(
        &self,
        host: &HostName,
        mut place: Place,
        first: &mut usize,
    ) -> Result<(Ends, AgentId), NotMet> {
        let (count, skipped) = (place.addresses.len().max(1), std::mem::take(first));
        place.addresses.rotate_left(skipped % count);
        let stranger = |found: Option<&Identity>| self.stranger(host, found).map(|(_, why)| why);
        let dialed = dial_whom(&place.addresses, place.patience, &self.security, stranger).await;
        let (index, connection) = dialed.map_err(|error| NotMet {
            word: error.word(),
            unwelcome: error.is_unwelcome(),
            why: error.to_string(),
        })?;
        let (sender, mut receiver) = connection.split::<PeerSaid, PeerSaid>();
        let limit = place.patience.max(LEAST_WELCOME);
        let answer = self.introduce(host, limit, &sender, &mut receiver).await;
        if answer.is_err() {
            *first = (skipped + index + 1) % count;
        }
        Ok(((sender, receiver), answer?))
    }

    /// Says the Hello; the agent that answers it.
    async fn introduce(
        &self,
        host: &HostName,
        limit: Duration,
        sender: &Sender<PeerSaid>,
        receiver: &mut Receiver<PeerSaid>,
    ) -> Result<AgentId, NotMet> {
        let hello = PeerSaid::Hello(PeerHello {
            versions: PEERS_SPEAK,
            host: self.me.host.clone(),
            agent: self.me.agent,
            incarnation: self.me.incarnation,
            to_host: host.clone(),
        });
        sender.try_send(&hello).map_err(|error| NotMet::gone("no-hello", cause(&error)))?;
        let answer = tokio::time::timeout(limit, receiver.next()).await;
        match answer {
            Err(_) => Err(NotMet::gone("silent", format!("no answer to the Hello within {limit:?}"))),
            Ok(Err(error)) if error.is_refusal() => Err(NotMet::unwelcome(error.word(), cause(&error))),
            Ok(Err(error)) => Err(NotMet::gone(error.word(), cause(&error))),
            Ok(Ok(None)) => Err(NotMet::gone(
                "closed-at-once",
                format!(
                    "the agent there hung up at the Hello: if it is older than protocol version {}, update it",
                    PEERS_SPEAK.min
                ),
            )),
            Ok(Ok(Some(PeerSaid::Welcome { version, agent, incarnation: _ }))) => {
                if !(PEERS_SPEAK.min..=PEERS_SPEAK.max).contains(&version) {
                    let why = format!("it chose protocol version {version}; this agent speaks {PEERS_SPEAK}");
                    return Err(NotMet::unwelcome("no-common-version", why));
                }
                self.own_identity(agent).map_or(Ok(agent), |(word, why)| Err(NotMet::unwelcome(word, why)))
            }
            Ok(Ok(Some(PeerSaid::Refused { reason, versions }))) => Err(NotMet::unwelcome(
                "refused-by-peer",
                format!("the agent there refused this one: {reason} (it speaks versions {versions})"),
            )),
            Ok(Ok(Some(
                PeerSaid::Hello(_)
                | PeerSaid::Ask(_)
                | PeerSaid::Vote(_)
                | PeerSaid::Release(_)
                | PeerSaid::Remembered(_),
            ))) => Err(NotMet::unwelcome("early-word", "the agent there spoke before it answered the Hello")),
        }
    }

    /// Meets an agent that connected, and talks with it until the link ends.
    pub async fn meet(self: Arc<Self>, first: FirstFrame) {
        let peer = first.peer().to_string();
        let (said, sender, receiver) = match first.understand::<PeerSaid, PeerSaid>() {
            Ok(understood) => understood,
            Err(error) => return self.refusals.count(&peer, &error),
        };
        let PeerSaid::Hello(hello) = said else {
            return self.refuse(&sender, &peer, "word-before-hello", "something was said before the Hello");
        };
        let version = match self.examine(&hello, receiver.identity()) {
            Ok(version) => version,
            Err((word, reason)) => return self.refuse(&sender, &peer, word, &reason),
        };
        let Some(place) = self.place(&hello.host) else {
            let reason = format!(
                "no pair has a member on host {} and one on host {}, as far as this agent was told",
                hello.host, self.me.host
            );
            return self.refuse(&sender, &peer, "not-a-peer", &reason);
        };
        self.welcomed.remember(receiver.peer());
        let (agent, incarnation) = (self.me.agent, self.me.incarnation);
        if let Err(error) = sender.try_send(&PeerSaid::Welcome { version, agent, incarnation }) {
            tracing::debug!(%peer, %error, "a peer left before its Welcome");
            return;
        }
        self.talk(&hello.host, hello.agent, (sender, receiver), place).await;
    }

    /// The version that both speak, or why this is nobody to talk with.
    fn examine(&self, hello: &PeerHello, found: Option<&Identity>) -> Result<u16, (&'static str, String)> {
        if let Some(problem) = self.stranger(&hello.host, found) {
            return Err(problem);
        }
        if hello.to_host != self.me.host {
            return Err(("other-host", format!("this is host {}, not host {}", self.me.host, hello.to_host)));
        }
        if let Some(problem) = self.own_identity(hello.agent) {
            return Err(problem);
        }
        if hello.host >= self.me.host {
            let reason = format!(
                "of two agents the one whose host's name sorts first connects: {} does not connect to {}",
                hello.host, self.me.host
            );
            return Err(("wrong-end", reason));
        }
        PEERS_SPEAK.highest_common(hello.versions).ok_or_else(|| {
            let reason =
                format!("this agent speaks versions {PEERS_SPEAK} with others, that one {}", hello.versions);
            ("no-common-version", reason)
        })
    }

    /// Why whoever is there is not the agent of that host, as its certificate says; `None` if it is, or if the link is plain
    /// and so does not leave the machine.
    fn stranger(&self, host: &HostName, found: Option<&Identity>) -> Option<(&'static str, String)> {
        let own = self.security.identity()?;
        let found = found?;
        let expected = Identity { cluster: own.cluster, role: Role::Agent(host.clone()) };
        let why = format!("the certificate there is of {found}, and {expected} is expected");
        (*found != expected).then_some(("other-certificate", why))
    }

    /// Why two agents with one identity do not talk.
    fn own_identity(&self, agent: AgentId) -> Option<(&'static str, String)> {
        let why = format!(
            "both agents have the identity {agent}, so the state directory of one was copied to the other: stop the agent \
             that has the copy, and remove its state directory"
        );
        (agent == self.me.agent).then_some(("same-agent", why))
    }

    fn refuse(&self, sender: &Sender<PeerSaid>, peer: &str, word: &'static str, reason: &str) {
        self.refusals.count_word(peer, word, reason);
        let refused = PeerSaid::Refused { reason: reason.to_owned(), versions: PEERS_SPEAK };
        if let Err(error) = sender.try_send(&refused) {
            tracing::debug!(%peer, %error, "cannot say why an agent is refused");
        }
    }
}

/// Ends when the peer was let go.
async fn let_go(place: &mut watch::Receiver<Place>) {
    while place.changed().await.is_ok() {}
}

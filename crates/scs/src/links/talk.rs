//! One link: dial, introduce, listen, and begin again.
//!
//! It decides nothing of what it hears. The law: the end of a link is said once, and again only if its reason changes.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use understudy_decide::control::{ControlSaw, LinkEnd};
use understudy_model::{AddpSettings, AgentId, HostName, Identity, Inventory, Role};
use understudy_transport::{
    Address, Backoff, Connection, DialError, ReceiveError, Receiver, Sender, dial_whom,
};
use understudy_wire::{FromAgent, Hello, LIVENESS_SINCE, SPOKEN, ToAgent};

use super::coming::Open;
use super::told::Told;
use super::{Introduction, Links};

/// How long one address may take to answer.
const DIAL_LIMIT: Duration = Duration::from_secs(2);
/// How long an agent may take to answer the Hello. It reads its state and looks at its processes first.
const WELCOME_LIMIT: Duration = Duration::from_secs(5);

/// What one task needs to talk with one agent.
pub(super) struct Talk {
    pub(super) host: HostName,
    pub(super) addresses: Vec<String>,
    pub(super) introduction: Introduction,
    pub(super) links: Links,
    /// The number of its slot.
    pub(super) slot: u64,
    /// The address that is tried first: after the one at which a Hello failed, else the first one.
    pub(super) first: usize,
    /// What its agent told of itself, over all links to it.
    pub(super) told: Told,
    /// How the link is watched, now and after every change.
    pub(super) addp: watch::Receiver<AddpSettings>,
    /// A former task had a link to this host, in which the machine may believe.
    pub(super) replaces: bool,
}

/// Why there is no link, as the machine hears it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Down {
    end: LinkEnd,
    /// For counters.
    word: &'static str,
    why: String,
}

impl Down {
    /// The link was closed, or was not begun: nothing is known of the host by that.
    fn closed(word: &'static str, why: impl Into<String>) -> Self {
        Self { end: LinkEnd::Closed, word, why: why.into() }
    }

    /// The agent answers, and one of both does not want the other.
    fn unwelcome(word: &'static str, why: impl Into<String>) -> Self {
        Self { end: LinkEnd::Unwelcome, word, why: why.into() }
    }

    /// Nothing is heard.
    fn silent(word: &'static str, why: impl Into<String>) -> Self {
        Self { end: LinkEnd::Silent, word, why: why.into() }
    }

    /// What no connection says: silence only if every address was silent, as what fails here says nothing of the host.
    fn not_dialed(error: &DialError) -> Self {
        let end = if error.is_unwelcome() {
            LinkEnd::Unwelcome
        } else if error.is_refused() {
            LinkEnd::Refused
        } else if error.is_silent() {
            LinkEnd::Silent
        } else if error.is_unresolved() {
            LinkEnd::Unresolved
        } else {
            LinkEnd::Closed
        };
        Self { end, word: error.word(), why: error.to_string() }
    }
}

/// A link whose agent said everything.
struct Welcomed {
    sender: Sender<ToAgent>,
    receiver: Receiver<FromAgent>,
    version: u16,
    inventory: Inventory,
}

impl Talk {
    /// Talks until the program ends or the host is not configured any more.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(seed());
        let mut said: Option<Down> = None;
        if self.replaces {
            let down = Down::closed("reconfigured", "the host's addresses were changed in the configuration");
            if !self.say(&mut said, down).await {
                return;
            }
        }
        loop {
            let down = match self.connect().await {
                Ok(welcomed) => {
                    backoff.reset();
                    said = None;
                    match self.listen(welcomed).await {
                        Some(down) => down,
                        None => return,
                    }
                }
                Err(down) => down,
            };
            if down.end == LinkEnd::Unwelcome {
                self.links.tell_tally(&self.host, |tally| tally.refuse(down.word));
            }
            if down.end == LinkEnd::Silent && !self.say_who_is_asked().await {
                return;
            }
            if !self.say(&mut said, down).await {
                return;
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Tells the machine that there is no link, unless it was told the same before. False if the machine has ended.
    async fn say(&self, said: &mut Option<Down>, down: Down) -> bool {
        if said.as_ref() == Some(&down) {
            return true;
        }
        // The machine's own event says it to people.
        tracing::debug!(host = %self.host, end = ?down.end, why = %down.why, "no link to the agent");
        let saw = ControlSaw::LinkDown { host: self.host.clone(), end: down.end, why: down.why.clone() };
        *said = Some(down);
        self.tell(saw, None).await
    }

    /// Tells the machine of a link, or that there is none. False if the machine has ended.
    async fn tell(&self, saw: ControlSaw, link: Option<Open>) -> bool {
        let telling = self.links.coming.tell(&self.host, self.slot, link);
        // Nothing is awaited between the two: what will be observed is not forgotten.
        let told = self.links.inbox.saw(saw).await;
        if told {
            telling.told();
        }
        told
    }

    /// Tells the machine of every other agent that is being asked right now whether it lives, and then of its answer. False if
    /// the machine has ended.
    async fn say_who_is_asked(&self) -> bool {
        let asked = self.links.asked(understudy_drive::now());
        for (host, before, pulse) in asked.into_iter().filter(|(host, _, _)| *host != self.host) {
            if !self.links.inbox.saw(ControlSaw::LinkPolled { host: host.clone() }).await {
                return false;
            }
            let inbox = self.links.inbox.clone();
            tokio::spawn(async move {
                // An answer that is later than this is none: by then the link is lost.
                let answer = tokio::time::timeout(before.timeout * 2, pulse.heard_after(before.heard));
                if answer.await.is_ok() {
                    inbox.saw(ControlSaw::LinkAnswered { host }).await;
                }
            });
        }
        true
    }

    async fn connect(&mut self) -> Result<Welcomed, Down> {
        let addresses =
            self.addresses.iter().map(|text| text.parse::<Address>()).collect::<Result<Vec<_>, _>>();
        let mut addresses = addresses.map_err(|error| Down::unwelcome("bad-address", error.to_string()))?;
        let (count, first) = (addresses.len().max(1), std::mem::take(&mut self.first));
        addresses.rotate_left(first % count);
        let stranger = |found: Option<&Identity>| self.stranger(found);
        let (index, connection) = dial_whom(&addresses, DIAL_LIMIT, &self.links.security, stranger)
            .await
            .map_err(|error| Down::not_dialed(&error))?;
        let welcomed = self.introduce(connection).await;
        if welcomed.is_err() {
            self.first = (first + index + 1) % count;
        }
        welcomed
    }

    /// Says the Hello, and hears the answer.
    async fn introduce(&self, connection: Connection) -> Result<Welcomed, Down> {
        let (sender, mut receiver) = connection.split::<ToAgent, FromAgent>();
        let hello = ToAgent::Hello(Hello {
            versions: SPOKEN,
            controller: self.introduction.controller.clone(),
            controller_epoch: self.introduction.controller_epoch,
            cluster_name: self.introduction.cluster_name.clone(),
            cluster: self.introduction.cluster,
            host: self.host.clone(),
            lineage: self.introduction.lineage.to_vec(),
        });
        sender
            .try_send(&hello)
            .map_err(|error| Down::closed("no-hello", format!("the hello was not sent: {error}")))?;
        let first = tokio::time::timeout(WELCOME_LIMIT, receiver.next()).await;
        match first {
            // A stopped agent looks like this, on a link as on a new connection: nothing is heard of it.
            Err(_) => Err(Down::silent(
                "silent",
                format!("the agent did not answer the hello within {WELCOME_LIMIT:?}"),
            )),
            Ok(Err(error)) => Err(broken(&error)),
            Ok(Ok(None)) => Err(Down::closed("closed-at-once", "the agent closed the link at once")),
            Ok(Ok(Some(message))) => {
                self.say_if_outranked(&message).await;
                let (version, inventory) = self.welcome(message)?;
                Ok(Welcomed { sender, receiver, version, inventory })
            }
        }
    }

    /// Tells the machine of an agent that has obeyed a higher controller epoch.
    async fn say_if_outranked(&self, answer: &FromAgent) {
        if let FromAgent::HelloRefused { highest_controller_epoch: highest, .. } = answer
            && *highest > self.introduction.controller_epoch
        {
            let saw = ControlSaw::Outranked { host: self.host.clone(), highest: *highest };
            // If the machine has ended, so does this link.
            self.links.inbox.saw(saw).await;
        }
    }

    /// Why whoever answered there is not the agent of this host, as its certificate says; `None` if it is, or if the link is
    /// plain.
    fn stranger(&self, found: Option<&Identity>) -> Option<String> {
        let own = self.links.security.identity()?;
        let found = found?;
        let expected = Identity { cluster: own.cluster, role: Role::Agent(self.host.clone()) };
        let text = format!("the certificate there is of {found}, and {expected} is expected");
        (*found != expected).then_some(text)
    }

    /// Version and inventory, if the agent is who it should be.
    fn welcome(&self, message: FromAgent) -> Result<(u16, Inventory), Down> {
        match message {
            FromAgent::Welcome { version, inventory } => {
                let problem = identity_problem(&self.host, self.links.known_agent(&self.host), &inventory);
                if problem.as_ref().is_some_and(|(word, _)| *word == OTHER_AGENT) {
                    self.links.refuse_agent(&self.host, inventory.agent);
                }
                problem.map_or(Ok((version, inventory)), |(word, why)| Err(Down::unwelcome(word, why)))
            }
            FromAgent::HelloRefused { reason, versions, highest_controller_epoch } => Err(Down::unwelcome(
                "refused-by-agent",
                format!(
                    "the agent refused this control server: {reason} (it speaks versions {versions}, this server \
                     {SPOKEN}; it obeyed controller epoch {highest_controller_epoch}, this server has {})",
                    self.introduction.controller_epoch
                ),
            )),
            FromAgent::Report(_)
            | FromAgent::Answer(_)
            | FromAgent::Events(_)
            | FromAgent::Leaving { .. }
            | FromAgent::AskVote(_)
            | FromAgent::Logs(_)
            | FromAgent::InSync(_) => {
                Err(Down::unwelcome("early-word", "the agent spoke before it answered the hello"))
            }
        }
    }

    /// Hears the agent until the link ends, and says why it did; `None` if the machine has ended.
    async fn listen(&mut self, welcomed: Welcomed) -> Option<Down> {
        let Welcomed { sender, mut receiver, version, inventory } = welcomed;
        let watches = version >= LIVENESS_SINCE;
        if watches {
            receiver.watch(*self.addp.borrow_and_update());
        }
        let pulse = sender.pulse().clone();
        self.links.welcomed(&self.host, &pulse, inventory.agent, receiver.certified().cloned());
        tracing::info!(host = %self.host, agent = %inventory.agent, incarnation = %inventory.incarnation, "link up");
        let up = ControlSaw::LinkUp { host: self.host.clone(), inventory };
        let drop_link = Arc::new(Notify::new());
        let open = Open { sender, version, drop_link: Arc::clone(&drop_link) };
        if !self.tell(up, Some(open)).await {
            return None;
        }
        let down = self.hear_all(&mut receiver, watches, &drop_link).await?;
        self.links.tell_tally(&self.host, |tally| tally.end(&pulse, down.word));
        Some(down)
    }

    /// The same from the first word after the Welcome.
    async fn hear_all(
        &mut self,
        receiver: &mut Receiver<FromAgent>,
        watches: bool,
        drop_link: &Notify,
    ) -> Option<Down> {
        loop {
            let heard = tokio::select! {
                heard = receiver.next() => heard,
                Ok(()) = self.addp.changed(), if watches => {
                    receiver.watch(*self.addp.borrow_and_update());
                    continue;
                }
                () = drop_link.notified() => {
                    return Some(Down::closed("slow-reader", "the agent reads too slowly: the link was dropped"));
                }
            };
            match heard {
                Err(error) => return Some(broken(&error)),
                Ok(None) => return Some(Down::closed("closed", "the agent closed the link")),
                Ok(Some(message)) => match self.hear(message).await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(down) => return Some(down),
                },
            }
        }
    }

    /// Passes on what was heard. False if the machine has ended.
    async fn hear(&mut self, message: FromAgent) -> Result<bool, Down> {
        let host = self.host.clone();
        match message {
            FromAgent::Report(report) => {
                Ok(self.links.inbox.saw(ControlSaw::Reported { host, report }).await)
            }
            FromAgent::Answer(answer) => {
                Ok(self.links.inbox.saw(ControlSaw::Answered { host, answer }).await)
            }
            // Which pairs the host may ask for, the machine knows.
            FromAgent::AskVote(ask) => Ok(self.links.inbox.saw(ControlSaw::VoteAsked { host, ask }).await),
            FromAgent::InSync(ask) => Ok(self.links.inbox.saw(ControlSaw::InSyncAsked { host, ask }).await),
            FromAgent::Leaving { leaving } => {
                Ok(self.links.inbox.saw(ControlSaw::Leaving { host, leaving }).await)
            }
            FromAgent::Events(events) => {
                let kept = self.told.keep(understudy_drive::now(), events);
                if kept.left_out > 0 {
                    self.links.tell_tally(&host, |tally| tally.leave_out(kept.left_out));
                }
                self.links.journal.tell(kept.events);
                Ok(true)
            }
            FromAgent::Logs(answer) => {
                self.links.asked.answered(&host, answer);
                Ok(true)
            }
            FromAgent::Welcome { .. } | FromAgent::HelloRefused { .. } => {
                Err(Down::unwelcome("second-welcome", "the agent answered a hello twice"))
            }
        }
    }
}

/// What the end of reading says: the network's own word for silence, a stream that ended, or words that nobody reads.
fn broken(error: &ReceiveError) -> Down {
    let (word, why) = (error.word(), format!("the link broke: {error}"));
    match error {
        ReceiveError::Lost(source) => match source.kind() {
            ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                Down::silent(word, why)
            }
            _ => Down::closed(word, why),
        },
        ReceiveError::Silent { .. } => Down::silent(word, why),
        ReceiveError::Truncated { .. } | ReceiveError::LeftSilently => Down::closed(word, why),
        ReceiveError::Frame(_)
        | ReceiveError::Signal(_)
        | ReceiveError::SignalUnasked
        | ReceiveError::SignalFlood
        | ReceiveError::Tls(_)
        | ReceiveError::Message(_)
        | ReceiveError::FirstMessageLate { .. }
        | ReceiveError::Crowded => Down::unwelcome(word, why),
    }
}

/// The word for an agent with another identity than the known one.
const OTHER_AGENT: &str = "other-agent";

/// Why this inventory is not that of the host's agent, if it is not: a word and a sentence.
fn identity_problem(
    host: &HostName,
    known: Option<AgentId>,
    inventory: &Inventory,
) -> Option<(&'static str, String)> {
    if &inventory.host != host {
        let why = format!("the agent at this address says it is host {}, not {host}", inventory.host);
        return Some(("other-host", why));
    }
    let known = known.filter(|known| *known != inventory.agent)?;
    let why = format!(
        "the agent of host {host} has identity {}, and it was {known} before: if it was reinstalled, run \
         scsctl host rejoin {host}; if not, two agents may have one name: see the runbook host-rejoin",
        inventory.agent
    );
    Some((OTHER_AGENT, why))
}

/// A start for the delays, so that many control servers do not dial together.
fn seed() -> u64 {
    // Without randomness the delays are still right, only not spread.
    getrandom::u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_model::{ControllerEpoch, Incarnation};
    use understudy_transport::{Security, dial};

    fn inventory(host: &str, agent: u128) -> Inventory {
        Inventory {
            host: HostName::new(host).unwrap(),
            agent: AgentId(agent),
            incarnation: Incarnation(1),
            controller_epoch: ControllerEpoch(1),
            applications: Vec::new(),
        }
    }

    #[test]
    fn what_the_system_says_of_an_ended_stream_keeps_silence_and_a_close_apart() {
        let lost = |kind: ErrorKind| broken(&ReceiveError::Lost(kind.into())).end;
        assert_eq!(lost(ErrorKind::TimedOut), LinkEnd::Silent);
        assert_eq!(lost(ErrorKind::HostUnreachable), LinkEnd::Silent);
        assert_eq!(lost(ErrorKind::ConnectionReset), LinkEnd::Closed);
        assert_eq!(broken(&ReceiveError::Truncated { bytes: 3 }).end, LinkEnd::Closed);
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_refused_and_not_silent() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = free.to_string().parse::<Address>().unwrap();
        let error = dial(&[address], DIAL_LIMIT, &Security::Plain).await.err().unwrap();
        assert_eq!(Down::not_dialed(&error).end, LinkEnd::Refused, "{error}");
    }

    #[tokio::test]
    async fn a_name_that_gives_no_address_says_nothing_of_its_host() {
        // A name with an empty part is refused by every resolver, without asking anybody.
        let address = "nobody..invalid:1".parse::<Address>().unwrap();
        let error = dial(&[address], DIAL_LIMIT, &Security::Plain).await.err().unwrap();
        assert_eq!(Down::not_dialed(&error).end, LinkEnd::Unresolved, "{error}");
    }

    #[test]
    fn an_agent_of_another_host_and_a_changed_identity_are_refused_by_name() {
        let alpha = HostName::new("alpha").unwrap();
        assert_eq!(identity_problem(&alpha, None, &inventory("alpha", 7)), None);
        assert_eq!(identity_problem(&alpha, Some(AgentId(7)), &inventory("alpha", 7)), None);
        let (_, other) = identity_problem(&alpha, None, &inventory("beta", 7)).unwrap();
        assert!(other.contains("beta") && other.contains("alpha"), "{other}");
        let (_, changed) = identity_problem(&alpha, Some(AgentId(7)), &inventory("alpha", 8)).unwrap();
        assert!(changed.contains("scsctl host rejoin alpha"), "{changed}");
    }
}

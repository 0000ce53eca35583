//! An agent's links without its machine: what the machine would observe is read here, what it would do is done here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use understudy_decide::agent::{Agent, AgentSaw, Peer};
use understudy_drive::{Inbox, InboxReader, Mail};
use understudy_lca::callers;
use understudy_lca::links::Links;
use understudy_lca::log_files::LogFiles;
use understudy_lca::log_reader::LogReader;
use understudy_lca::peers::{Me, Peers};
use understudy_model::{
    AddpSettings, AgentId, ClockReading, ControllerEpoch, Epoch, HostName, Incarnation, Moment, Release,
    RoleEpoch, Verdict, VoteAnswer, VoteAsk,
};
use understudy_transport::{Address, Listener, Receiver, Security, Sender, dial};
use understudy_wire::{PeerHello, PeerSaid, VersionRange};

/// The longest that anything may take.
pub const LIMIT: Duration = Duration::from_secs(20);
/// How long a dial may take.
pub const PATIENCE: Duration = Duration::from_secs(2);
pub const V3: VersionRange = VersionRange { min: 3, max: 3 };

pub struct End {
    pub peers: Arc<Peers>,
    pub links: Arc<Links>,
    pub address: Address,
    mail: InboxReader<Agent>,
    _logs: tempfile::TempDir,
}

pub async fn limited<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

/// Waits for something that no message tells.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        tokio::task::yield_now().await;
    }
}

pub fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

impl End {
    /// An agent that listens on loopback; its identity is the length of its host's name, unless one is given.
    pub async fn plain(name: &str) -> Self {
        Self::new(name, name.len() as u128, Security::Plain, "127.0.0.1:0").await
    }

    pub async fn new(name: &str, agent: u128, security: Security, listen: &str) -> Self {
        let (inbox, mail) = Inbox::new(64);
        let logs = tempfile::tempdir().unwrap();
        let reader = LogReader::new(Arc::new(LogFiles::new(logs.path())));
        let me = Me { host: host(name), agent: AgentId(agent), incarnation: Incarnation(7) };
        let links =
            Links::new(host(name), security.clone(), inbox.clone(), ControllerEpoch::default(), reader);
        let peers = Peers::new(me, security.clone(), inbox);
        let listener = Listener::bind(&listen.parse().unwrap(), security).await.unwrap();
        let address = listener.address().clone();
        tokio::spawn(callers::serve(Arc::new(listener), Arc::clone(&links), Arc::clone(&peers)));
        Self { peers, links, address, mail, _logs: logs }
    }

    /// Keeps a link to that one only.
    pub fn keep(&self, name: &str, other: &End) {
        self.keep_at(name, &[&other.address], AddpSettings::OFF);
    }

    pub fn keep_at(&self, name: &str, addresses: &[&Address], addp: AddpSettings) {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        self.peers.keep(vec![Peer { host: host(name), addresses, addp, patience: PATIENCE }]);
    }

    /// The next observation.
    pub async fn saw(&mut self) -> AgentSaw {
        match limited(self.mail.recv()).await.expect("the links are there") {
            Mail::Saw(_, saw) => saw,
            Mail::Look(_) => unreachable!("nobody looks"),
        }
    }

    /// The next observation, which is a vote, and when it was made: without its reading, and that.
    pub async fn voted(&mut self) -> (VoteAnswer, ClockReading, Moment) {
        match limited(self.mail.recv()).await.expect("the links are there") {
            Mail::Saw(at, AgentSaw::PeerVoted { answer, .. }) => {
                let clock = answer.clock.expect("every vote says what the clock shows");
                (VoteAnswer { clock: None, ..answer }, clock, at)
            }
            Mail::Saw(_, saw) => panic!("{saw:?}"),
            Mail::Look(_) => unreachable!("nobody looks"),
        }
    }

    pub async fn joined(&mut self, name: &str) {
        assert_eq!(self.saw().await, AgentSaw::PeerJoined { host: host(name) });
    }

    pub async fn left(&mut self, name: &str) {
        assert_eq!(self.saw().await, AgentSaw::PeerLeft { host: host(name) });
    }

    /// How often that was refused on links to agents.
    pub fn refused(&self, word: &str) -> u64 {
        self.peers.refused().iter().filter(|(_, reason, _)| *reason == word).map(|(.., count)| count).sum()
    }

    /// Waits until that was refused on links to agents.
    pub async fn refuses(&self, word: &'static str) {
        eventually(word, || self.refused(word) > 0).await;
    }

    /// How often links ended for that reason.
    pub fn ended(&self, reason: &str) -> u64 {
        self.peers.tally().ended().filter(|(word, _)| *word == reason).map(|(_, count)| count).sum()
    }
}

pub fn hello(from: &str, to: &str) -> PeerHello {
    PeerHello {
        versions: V3,
        host: host(from),
        agent: AgentId(0xabc),
        incarnation: Incarnation(9),
        to_host: host(to),
    }
}

/// Connects as an agent would, and gives the answer to that Hello.
pub async fn call(
    to: &Address,
    security: &Security,
    hello: PeerHello,
) -> (Sender<PeerSaid>, Receiver<PeerSaid>, PeerSaid) {
    let connection = dial(std::slice::from_ref(to), LIMIT, security).await.unwrap();
    let (sender, mut receiver) = connection.split::<PeerSaid, PeerSaid>();
    sender.try_send(&PeerSaid::Hello(hello)).unwrap();
    let answer = limited(receiver.next()).await.unwrap().expect("an answer");
    (sender, receiver, answer)
}

/// Why that Hello is refused; the link ends with that.
pub async fn refusal(to: &Address, security: &Security, hello: PeerHello) -> String {
    let (_sender, mut receiver, answer) = call(to, security, hello).await;
    let PeerSaid::Refused { reason, .. } = answer else { panic!("{answer:?}") };
    assert!(limited(receiver.next()).await.unwrap().is_none(), "the link ends after a refusal");
    reason
}

pub fn role(epoch: u64) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), "db-1".parse().unwrap())
}

pub fn ask(number: u64) -> VoteAsk {
    VoteAsk {
        pair: "db".parse().unwrap(),
        incarnation: Incarnation(7),
        number,
        role: role(8),
        lease: Duration::from_secs(3),
    }
}

pub fn answer(number: u64, verdict: Verdict) -> VoteAnswer {
    let VoteAsk { pair, incarnation, number, role, lease: _ } = ask(number);
    VoteAnswer { pair, incarnation, number, role, verdict, clock: None }
}

pub fn release(epoch: u64) -> Release {
    Release { pair: "db".parse().unwrap(), role: role(epoch) }
}

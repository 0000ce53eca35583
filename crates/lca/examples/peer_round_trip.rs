//! How long a vote of the other agent takes: from the ask to the answer, over a link with TLS on loopback.
//!
//!     cargo run --release -p understudy-lca --example peer_round_trip
//!
//! Two agents' links, each with a thread and a runtime of its own, as two agents have them; the machines are left out. The
//! law: prints what was measured, and judges nothing.

#[path = "../../transport/tests/support/authority.rs"]
#[allow(dead_code, reason = "some of it is for tests of the transport")]
mod authority;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use understudy_decide::agent::{Agent, AgentSaw, Peer};
use understudy_drive::{Inbox, InboxReader, Mail};
use understudy_lca::callers;
use understudy_lca::links::Links;
use understudy_lca::log_files::LogFiles;
use understudy_lca::log_reader::LogReader;
use understudy_lca::peers::{Me, Peers};
use understudy_model::{
    AddpSettings, AgentId, ControllerEpoch, Epoch, HostName, Incarnation, RoleEpoch, Verdict, VoteAnswer,
    VoteAsk,
};
use understudy_transport::{Listener, Security};

/// How long a dial may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many round trips are measured.
const ROUNDS: usize = 20_000;
/// How many asks leave together in the second part.
const TOGETHER: u64 = 50;

type Mailbox = InboxReader<Agent>;

fn host(name: &str) -> HostName {
    name.parse().expect("a name")
}

async fn agent(name: &str, id: u128, security: Security) -> (Arc<Peers>, Mailbox, String) {
    let (inbox, mail) = Inbox::new(1024);
    let reader = LogReader::new(Arc::new(LogFiles::new(&std::env::temp_dir())));
    let me = Me { host: host(name), agent: AgentId(id), incarnation: Incarnation(id) };
    let links = Links::new(host(name), security.clone(), inbox.clone(), ControllerEpoch::default(), reader);
    let peers = Peers::new(me, security.clone(), inbox);
    let listener = Listener::bind(&"127.0.0.1:0".parse().expect("an address"), security).await;
    let listener = Arc::new(listener.expect("a free port"));
    let address = listener.address().to_string();
    tokio::spawn(callers::serve(listener, links, Arc::clone(&peers)));
    (peers, mail, address)
}

async fn saw(mail: &mut Mailbox) -> AgentSaw {
    match mail.recv().await.expect("the links live") {
        Mail::Saw(_, saw) => saw,
        Mail::Look(_) => unreachable!("nobody looks"),
    }
}

/// The other agent: says yes to everything.
async fn vote(security: Security, told: oneshot::Sender<String>) {
    let (peers, mut mail, address) = agent("beta", 2, security).await;
    peers.keep(vec![Peer {
        host: host("alpha"),
        addresses: Vec::new(),
        addp: AddpSettings::OFF,
        patience: PATIENCE,
    }]);
    told.send(address).expect("somebody waits");
    loop {
        if let AgentSaw::PeerAsked { host, ask } = saw(&mut mail).await {
            let VoteAsk { pair, incarnation, number, role, lease: _ } = ask;
            peers.answer(
                &host,
                VoteAnswer { pair, incarnation, number, role, verdict: Verdict::Given, clock: None },
            );
        }
    }
}

async fn measure(security: Security, address: String) {
    let (peers, mut mail, _) = agent("alpha", 1, security).await;
    let beta = host("beta");
    peers.keep(vec![Peer {
        host: beta.clone(),
        addresses: vec![address],
        addp: AddpSettings::OFF,
        patience: PATIENCE,
    }]);
    while !matches!(saw(&mut mail).await, AgentSaw::PeerJoined { .. }) {}
    let ask = |number| VoteAsk {
        pair: "db".parse().expect("a name"),
        incarnation: Incarnation(1),
        number,
        role: RoleEpoch::new(Epoch(8), "db-1".parse().expect("a name")),
        lease: Duration::from_secs(3),
    };
    for (what, together) in [("one ask", 1), ("asks of many pairs together, until the last answer", TOGETHER)]
    {
        let mut took = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS / usize::try_from(together).expect("a small number") {
            let began = Instant::now();
            for number in 0..together {
                peers.ask(&beta, ask(number));
            }
            for _ in 0..together {
                assert!(matches!(saw(&mut mail).await, AgentSaw::PeerVoted { .. }));
            }
            took.push(began.elapsed());
        }
        took.sort_unstable();
        let at = |share: usize| took[(took.len() - 1) * share / 1000];
        println!("{what} ({together}): median {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn main() {
    let authority = authority::Authority::new();
    let (alpha, beta) = (authority.security("agent/alpha"), authority.security("agent/beta"));
    let (told, address) = oneshot::channel();
    std::thread::spawn(move || runtime().block_on(vote(beta, told)));
    runtime().block_on(async { measure(alpha, address.await.expect("it listens")).await });
}

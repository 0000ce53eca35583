//! Votes on the links to agents: asked and answered with those that know the words, and never said to older ones.
//!
//! The machine is played here. The law: an agent that would pass over what makes an order safe never gets that order.

use std::sync::Arc;
use std::time::Duration;

use understudy_decide::control::{Control, ControlSaw};
use understudy_drive::{Inbox, InboxReader, Mail};
use understudy_model::{
    AgentId, Answer, ApplicationName, ControllerEpoch, Epoch, Goal, GrantTold, HostName, Incarnation,
    Inventory, Order, OrderId, Outcome, Refusal, RoleEpoch, Verdict, VoteAnswer, VoteAsk, Work,
};
use understudy_scs::journal::Journal;
use understudy_scs::links::{Introduction, Links};
use understudy_scs::standing::Standing;
use understudy_store::{Reader, Store};
use understudy_transport::{Listener, Receiver, Security, Sender};
use understudy_wire::{FromAgent, ToAgent};

/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(20);

struct Bench {
    links: Links,
    mail: InboxReader<Control>,
    sender: Sender<FromAgent>,
    receiver: Receiver<ToAgent>,
    _directory: tempfile::TempDir,
}

fn alpha() -> HostName {
    "alpha".parse().unwrap()
}

async fn limited<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

impl Bench {
    /// A control server's links, with an agent that speaks that version.
    async fn with(version: u16) -> Self {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), Security::Plain).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "[cluster]\nname = \"demo\"\n[[host]]\nname = \"alpha\"\naddresses = [\"127.0.0.1\"]\nlca-port = {}\n",
            listener.address().to_string().rsplit(':').next().unwrap()
        );
        let cluster = Arc::new(understudy_settings::parse_cluster("c", &text).unwrap().value);
        let mut store = Store::open(directory.path()).unwrap();
        let controller = "scs-1".parse().unwrap();
        let controller_epoch = store.take_leadership(&controller).unwrap();
        let standing = Standing::new(directory.path(), Arc::clone(&cluster));
        let reader = Reader::open(directory.path()).unwrap();
        let journal = Journal::start(store, reader, standing).unwrap();
        let (inbox, mail) = Inbox::<Control>::new(8);
        let links = Links::new(inbox, journal, Security::Plain);
        let introduction = Introduction {
            controller,
            controller_epoch,
            cluster_name: "demo".to_owned(),
            cluster: None,
            lineage: [].into(),
        };
        links.reconcile(&cluster, &introduction);
        let stranger = limited(listener.accept()).await.unwrap();
        let (_hello, sender, receiver) =
            limited(stranger.first_message::<ToAgent, FromAgent>()).await.unwrap();
        let inventory = Inventory {
            host: alpha(),
            agent: AgentId(1),
            incarnation: Incarnation(1),
            controller_epoch: ControllerEpoch(0),
            applications: Vec::new(),
        };
        sender.try_send(&FromAgent::Welcome { version, inventory }).unwrap();
        let mut bench = Self { links, mail, sender, receiver, _directory: directory };
        let up = bench.saw().await;
        assert!(matches!(up, ControlSaw::LinkUp { .. }), "{up:?}");
        bench.links.observed(&up);
        bench
    }

    async fn saw(&mut self) -> ControlSaw {
        match limited(self.mail.recv()).await.expect("the links are there") {
            Mail::Saw(_, saw) => saw,
            Mail::Look(_) => unreachable!("nobody looks"),
        }
    }

    /// What the agent hears next, beside signals of liveness.
    async fn hears(&mut self) -> ToAgent {
        limited(self.receiver.next()).await.unwrap().expect("the link is open")
    }

    fn order(&self, id: u64, work: Work) -> Order {
        let order = Order {
            id: OrderId(id),
            incarnation: Incarnation(1),
            controller_epoch: ControllerEpoch(1),
            work,
        };
        self.links.send(&alpha(), order.clone());
        order
    }
}

fn role() -> RoleEpoch {
    RoleEpoch::new(Epoch(8), "db-1".parse().unwrap())
}

fn ask() -> VoteAsk {
    VoteAsk {
        pair: "db".parse().unwrap(),
        incarnation: Incarnation(1),
        number: 7,
        role: role(),
        lease: Duration::from_secs(3),
    }
}

fn vote() -> VoteAnswer {
    let VoteAsk { pair, incarnation, number, role, lease: _ } = ask();
    VoteAnswer { pair, incarnation, number, role, verdict: Verdict::Given, clock: None }
}

/// Every order that older agents have no word for.
fn strict_orders() -> [Work; 3] {
    let grant = Some(GrantTold { lease: Duration::from_secs(3), fenced: None });
    [
        Work::Promote {
            pair: "db".parse().unwrap(),
            role: role(),
            time_limit: Duration::from_secs(1),
            grant,
        },
        Work::WouldPromise { pair: "db".parse().unwrap(), role: role() },
        Work::Learn { pair: "db".parse().unwrap(), stored: Epoch(7), lease: Duration::ZERO },
    ]
}

#[tokio::test]
async fn an_agent_asks_and_hears_the_vote() {
    let mut bench = Bench::with(3).await;
    bench.receiver.allow_signals();
    bench.sender.try_send(&FromAgent::AskVote(ask())).unwrap();
    assert_eq!(bench.saw().await, ControlSaw::VoteAsked { host: alpha(), ask: ask() });
    bench.links.vote(&alpha(), vote());
    let ToAgent::Vote(heard) = bench.hears().await else { panic!("a vote") };
    assert_eq!(VoteAnswer { clock: None, ..heard.clone() }, vote());
    // The clock of the control server's machine, as agents compare it with theirs.
    let clock = heard.clock.expect("it says what the clock shows");
    assert_eq!(Some(clock.clock), understudy_drive::BootClock::own().id());
    assert!(clock.at <= understudy_drive::now());
    for (id, work) in (1..).zip(strict_orders()) {
        let order = bench.order(id, work);
        assert_eq!(bench.hears().await, ToAgent::Order(order));
    }
    // For hosts without a link votes are lost, and nobody waits.
    bench.links.vote(&"beta".parse().unwrap(), vote());
}

#[tokio::test]
async fn an_older_agent_gets_no_order_of_a_strict_pair_and_the_refusal_says_what_to_do() {
    let mut bench = Bench::with(2).await;
    bench.receiver.allow_signals();
    for (id, work) in (1..).zip(strict_orders()) {
        bench.order(id, work);
        let ControlSaw::Answered { host, answer: Answer { order, outcome } } = bench.saw().await else {
            panic!("it is answered")
        };
        assert_eq!((host, order), (alpha(), OrderId(id)));
        let Outcome::Refused(Refusal::NotVoting(why)) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("version 2") && why.contains("update the agent of host alpha"), "{why}");
    }
    bench.links.vote(&alpha(), vote());
    let application: ApplicationName = "db-1".parse().unwrap();
    let known = bench.order(9, Work::SetGoal { application, goal: Goal::Started, graceful: false });
    assert_eq!(bench.hears().await, ToAgent::Order(known), "nothing else was sent");
}

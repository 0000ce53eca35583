//! A link that comes and goes while the machine waits for its disk.
//!
//! The agent and the machine are played here. The law: orders go over the link whose inventory was observed last, and over
//! no other; and once everything was observed, there is such a link.

use std::sync::Arc;
use std::time::Duration;

use understudy_decide::control::{Control, ControlSaw};
use understudy_drive::{Inbox, InboxReader, Mail};
use understudy_model::{AgentId, ControllerEpoch, HostName, Incarnation, Inventory, Order, OrderId, Work};
use understudy_scs::journal::Journal;
use understudy_scs::links::{Introduction, Links};
use understudy_scs::standing::Standing;
use understudy_store::{Reader, Store};
use understudy_transport::{Listener, Receiver, Security, Sender};
use understudy_wire::{FromAgent, SPOKEN, ToAgent};

/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(20);

async fn limited<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

fn alpha() -> HostName {
    "alpha".parse().unwrap()
}

/// Accepts the next link of the control server, in this life of the agent.
async fn welcome(listener: &Listener, life: u128) -> (Sender<FromAgent>, Receiver<ToAgent>) {
    let stranger = limited(listener.accept()).await.unwrap();
    let (_hello, sender, mut receiver) =
        limited(stranger.first_message::<ToAgent, FromAgent>()).await.unwrap();
    receiver.allow_signals();
    let inventory = Inventory {
        host: alpha(),
        agent: AgentId(1),
        incarnation: Incarnation(life),
        controller_epoch: ControllerEpoch(0),
        applications: Vec::new(),
    };
    sender.try_send(&FromAgent::Welcome { version: SPOKEN.max, inventory }).unwrap();
    (sender, receiver)
}

async fn next(mail: &mut InboxReader<Control>) -> ControlSaw {
    match limited(mail.recv()).await.expect("the links are there") {
        Mail::Saw(_, saw) => saw,
        Mail::Look(_) => unreachable!("nobody looks"),
    }
}

fn order(id: u64, life: u128) -> Order {
    let work = Work::LetGo;
    Order { id: OrderId(id), incarnation: Incarnation(life), controller_epoch: ControllerEpoch(1), work }
}

#[tokio::test]
async fn a_link_that_came_back_before_the_first_was_observed_carries_orders() {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), Security::Plain).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let port = listener.address().to_string().rsplit(':').next().unwrap().to_owned();
    let text = format!(
        "[cluster]\nname = \"demo\"\n[[host]]\nname = \"alpha\"\naddresses = [\"127.0.0.1\"]\nlca-port = {port}\n"
    );
    let cluster = Arc::new(understudy_settings::parse_cluster("c", &text).unwrap().value);
    let mut store = Store::open(directory.path()).unwrap();
    let controller = "scs-1".parse().unwrap();
    let controller_epoch = store.take_leadership(&controller).unwrap();
    let standing = Standing::new(directory.path(), Arc::clone(&cluster));
    let journal = Journal::start(store, Reader::open(directory.path()).unwrap(), standing).unwrap();
    let (inbox, mut mail) = Inbox::<Control>::new(64);
    let links = Links::new(inbox, journal, Security::Plain);
    let cluster_name = "demo".to_owned();
    let introduction =
        Introduction { controller, controller_epoch, cluster_name, cluster: None, lineage: [].into() };
    links.reconcile(&cluster, &introduction);

    // Two links come and go, and a third one comes, before the machine has observed any of it.
    drop(welcome(&listener, 1).await);
    drop(welcome(&listener, 2).await);
    let (_sender, mut receiver) = welcome(&listener, 3).await;
    let mut waiting = Vec::new();
    while waiting.iter().filter(|saw| matches!(saw, ControlSaw::LinkUp { .. })).count() < 3 {
        waiting.push(next(&mut mail).await);
    }
    let (mut lives, mut sent) = (Vec::new(), 0);
    for saw in waiting {
        links.observed(&saw);
        match saw {
            ControlSaw::LinkUp { inventory, .. } => lives.push(inventory.incarnation),
            ControlSaw::LinkDown { .. } => {}
            other => panic!("{other:?}"),
        }
        if let Some(life) = lives.last() {
            sent += 1;
            links.send(&alpha(), order(sent, life.0));
        }
    }
    assert_eq!(lives, [1, 2, 3].map(Incarnation));
    let heard = limited(receiver.next()).await.unwrap().expect("the link is open");
    assert_eq!(heard, ToAgent::Order(order(sent, 3)), "the order of this inventory, and none before it");
}

//! Two programs in one test: listeners, dialers and messages.
#![allow(dead_code, reason = "each test program uses some of these")]

pub mod authority;

use std::future::Future;
use std::time::Duration;

use tempfile::TempDir;
use understudy_model::{Answer, ControllerEpoch, Incarnation, Order, OrderId, Outcome, Work};
use understudy_transport::{Address, Connection, Listener, Receiver, Security, Sender, dial};
use understudy_wire::{FromAgent, Hello, SPOKEN, ToAgent};

/// No step of a test takes longer, unless something is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub type AtController = (Sender<ToAgent>, Receiver<FromAgent>);
pub type AtAgent = (Sender<FromAgent>, Receiver<ToAgent>);

/// Waits for `act`, but not for ever.
pub async fn soon<T>(act: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, act).await.expect("it comes soon")
}

pub fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

/// Listening addresses of every kind of link, with the directory of the socket.
pub fn all_kinds() -> (TempDir, Vec<Address>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("agent.sock");
    (directory, vec![address("127.0.0.1:0"), address("localhost:0"), Address::Unix(path)])
}

pub fn hello() -> ToAgent {
    ToAgent::Hello(Hello {
        versions: SPOKEN,
        controller: "scs-1".parse().expect("a name"),
        controller_epoch: ControllerEpoch(1),
        cluster_name: "demo".to_owned(),
        cluster: None,
        host: "alpha".parse().expect("a name"),
        lineage: Vec::new(),
    })
}

pub fn order(number: u64) -> ToAgent {
    ToAgent::Order(Order {
        id: OrderId(number),
        incarnation: Incarnation(1),
        controller_epoch: ControllerEpoch(1),
        work: Work::Restart { application: "tserver-1".parse().expect("a name") },
    })
}

pub fn answer(number: u64) -> FromAgent {
    FromAgent::Answer(Answer { order: OrderId(number), outcome: Outcome::Done })
}

/// Four thousand bytes, so that few of them fill the system's own buffers.
pub fn long_words(number: u64) -> FromAgent {
    let highest_controller_epoch = ControllerEpoch(number);
    FromAgent::HelloRefused { reason: "x".repeat(4000), versions: SPOKEN, highest_controller_epoch }
}

pub async fn connect(to: &Address) -> Connection {
    dial(std::slice::from_ref(to), PATIENCE, &Security::Plain).await.expect("somebody listens")
}

/// A link on which the Hello was said and heard.
pub async fn link(listener: &Listener) -> (AtController, AtAgent) {
    let (to_agent, from_agent) = soon(connect(listener.address())).await.split::<ToAgent, FromAgent>();
    to_agent.try_send(&hello()).expect("the link is open");
    let stranger = soon(listener.accept()).await.expect("somebody came");
    let (first, to_controller, from_controller) =
        soon(stranger.first_message::<ToAgent, FromAgent>()).await.expect("a Hello comes");
    assert_eq!(first, hello());
    ((to_agent, from_agent), (to_controller, from_controller))
}

/// A link between an agent and a control server, each with its own security, after the Hello.
pub async fn secured_link(listener: &Listener, dialer: &Security) -> (AtController, AtAgent) {
    let addresses = [listener.address().clone()];
    let dialing = async {
        let connection = dial(&addresses, PATIENCE, dialer).await.expect("somebody listens");
        let (to_agent, from_agent) = connection.split::<ToAgent, FromAgent>();
        to_agent.try_send(&hello()).expect("the link is open");
        (to_agent, from_agent)
    };
    let accepting = async {
        let stranger = listener.accept().await.expect("somebody came");
        let (first, sender, receiver) = stranger.first_message().await.expect("a Hello comes");
        assert_eq!(first, hello());
        (sender, receiver)
    };
    soon(async { tokio::join!(dialing, accepting) }).await
}

/// Says something both ways, so that a link is known to live.
pub async fn exchange(controller: &mut AtController, agent: &mut AtAgent, number: u64) {
    controller.0.try_send(&order(number)).expect("the link is open");
    assert_eq!(soon(agent.1.next()).await.expect("no error"), Some(order(number)));
    agent.0.try_send(&answer(number)).expect("the link is open");
    assert_eq!(soon(controller.1.next()).await.expect("no error"), Some(answer(number)));
}

//! Votes of control servers, on their own links.

use understudy_decide::agent::{AgentSaw, LinkId};
use understudy_model::{
    AgentId, Answer, ControllerEpoch, Incarnation, Inventory, OrderId, Outcome, Refusal, Verdict,
};
use understudy_transport::{Receiver, Security, Sender, dial};
use understudy_wire::{FromAgent, Hello, ToAgent, VersionRange};

use super::play::*;

async fn control_server(
    agent: &mut End,
    versions: VersionRange,
) -> (LinkId, Sender<ToAgent>, Receiver<FromAgent>) {
    let connection = dial(std::slice::from_ref(&agent.address), LIMIT, &Security::Plain).await.unwrap();
    let (sender, receiver) = connection.split::<ToAgent, FromAgent>();
    let hello = Hello {
        versions,
        controller: "scs-1".parse().unwrap(),
        controller_epoch: ControllerEpoch(1),
        cluster_name: "test".to_owned(),
        cluster: None,
        host: host("alpha"),
        lineage: Vec::new(),
    };
    sender.try_send(&ToAgent::Hello(hello)).unwrap();
    let AgentSaw::ControllerJoined { link, .. } = agent.saw().await else { panic!("it joins") };
    (link, sender, receiver)
}

fn inventory() -> Inventory {
    Inventory {
        host: host("alpha"),
        agent: AgentId(5),
        incarnation: Incarnation(7),
        controller_epoch: ControllerEpoch(1),
        applications: Vec::new(),
    }
}

#[tokio::test]
async fn a_welcomed_control_server_is_asked_and_its_vote_is_heard() {
    let mut alpha = End::plain("alpha").await;
    let versions = VersionRange { min: 1, max: 3 };
    let (link, sender, mut receiver) = control_server(&mut alpha, versions).await;
    // Before the Welcome nothing is said.
    alpha.links.ask_vote(link, ask(1));
    alpha.links.welcome(link, inventory());
    let welcome = limited(receiver.next()).await.unwrap().unwrap();
    assert!(matches!(welcome, FromAgent::Welcome { version: 3, .. }), "{welcome:?}");
    alpha.links.ask_vote(link, ask(2));
    assert_eq!(limited(receiver.next()).await.unwrap(), Some(FromAgent::AskVote(ask(2))));
    sender.try_send(&ToAgent::Vote(answer(2, Verdict::Given))).unwrap();
    let voted = AgentSaw::ControllerVoted { link, answer: answer(2, Verdict::Given) };
    assert_eq!(alpha.saw().await, voted);
    let refused = Answer { order: OrderId(1), outcome: Outcome::Refused(Refusal::NoVotes) };
    alpha.links.answer(link, refused.clone());
    assert_eq!(limited(receiver.next()).await.unwrap(), Some(FromAgent::Answer(refused)));
}

#[tokio::test]
async fn an_older_control_server_is_not_asked_and_reads_refusals_as_text() {
    let mut alpha = End::plain("alpha").await;
    let versions = VersionRange { min: 1, max: 2 };
    let (link, _sender, mut receiver) = control_server(&mut alpha, versions).await;
    alpha.links.welcome(link, inventory());
    let welcome = limited(receiver.next()).await.unwrap().unwrap();
    assert!(matches!(welcome, FromAgent::Welcome { version: 2, .. }), "{welcome:?}");
    alpha.links.ask_vote(link, ask(1));
    let refused = Answer { order: OrderId(1), outcome: Outcome::Refused(Refusal::NoVotes) };
    alpha.links.answer(link, refused);
    let text = Refusal::NotReady("no other voter said yes in time".to_owned());
    let said = Answer { order: OrderId(1), outcome: Outcome::Refused(text) };
    assert_eq!(
        limited(receiver.next()).await.unwrap(),
        Some(FromAgent::Answer(said)),
        "and no question before it"
    );
}

#[tokio::test]
async fn a_vote_before_the_welcome_is_nobody_s_answer() {
    let mut alpha = End::plain("alpha").await;
    let (link, sender, _receiver) = control_server(&mut alpha, VersionRange { min: 3, max: 3 }).await;
    sender.try_send(&ToAgent::Vote(answer(1, Verdict::Given))).unwrap();
    assert_eq!(alpha.saw().await, AgentSaw::ControllerLeft { link });
    assert!(alpha.links.refused().contains(&("control link", "vote-unasked", 1)));
}

#[tokio::test]
async fn a_vote_before_the_hello_is_refused() {
    let alpha = End::plain("alpha").await;
    let connection = dial(std::slice::from_ref(&alpha.address), LIMIT, &Security::Plain).await.unwrap();
    let (sender, mut receiver) = connection.split::<ToAgent, FromAgent>();
    sender.try_send(&ToAgent::Vote(answer(2, Verdict::Given))).unwrap();
    let answer = limited(receiver.next()).await.unwrap();
    assert!(matches!(answer, Some(FromAgent::HelloRefused { .. })), "{answer:?}");
    assert!(alpha.links.refused().contains(&("control link", "vote-before-hello", 1)));
}

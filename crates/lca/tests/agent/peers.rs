//! Two real agents, each with a member of one strict pair, and the link between them.
//!
//! Told whom to keep a link to by a control server, which leaves at once. The law: what is seen are the agents' own figures.

use std::net::TcpStream;
use std::time::Duration;

use crate::member::member_assignment;
use crate::play::{Controller, LIMIT, Place, RunningAgent, eventually, limited};
use crate::status::ask;
use understudy_model::{
    AddpSettings, AddpTrace, AgentId, Assignment, Goal, Incarnation, Outcome, StrictPlace, Terms, Work,
};
use understudy_transport::{Address, Security, dial};
use understudy_wire::{PeerHello, PeerSaid, VersionRange};

/// A member of a strict pair; the other one is on that host, whose agent listens there.
fn strict_member(name: &str, host: &str, peer_host: &str, peer: &Place) -> Assignment {
    let ms = Duration::from_millis;
    let mut member = member_assignment();
    member.application = name.parse().unwrap();
    member.spec.host = host.parse().unwrap();
    member.goal = Goal::Stopped;
    member.pair.as_mut().unwrap().strict = Some(StrictPlace {
        terms: Terms {
            lease: ms(3_000),
            drift_ppm: 1_000,
            leader_lease: ms(1_000),
            renew_every: ms(600),
            fence_budget: ms(500),
            kill_budget: ms(50),
        },
        peer_host: peer_host.parse().unwrap(),
        peer_addresses: vec![format!("unix:{}", peer.listen().display())],
        peer_addp: AddpSettings { timeout: ms(100), remote_timeout: ms(100), trace: AddpTrace::Off },
    });
    member
}

/// Gives the agent there its assignment, and leaves.
async fn assign(place: &Place, member: Assignment) {
    let mut controller = Controller::connect(place, 1).await;
    assert_eq!(controller.order(Work::Assign(vec![member])).await, Outcome::Done);
}

async fn pair() -> (Place, RunningAgent, Place, RunningAgent) {
    let (alpha, beta) = (Place::new(), Place::of_host("beta"));
    let (at_alpha, at_beta) = (alpha.start_agent(), beta.start_agent());
    assign(&alpha, strict_member("one", "alpha", "beta", &beta)).await;
    assign(&beta, strict_member("two", "beta", "alpha", &alpha)).await;
    (alpha, at_alpha, beta, at_beta)
}

/// A figure of an agent; 0 if it does not show it, or does not answer yet.
fn figure(place: &Place, name: &str) -> u64 {
    let address = place.status_address();
    // The next agent answers at another port than the one before.
    if TcpStream::connect(address).is_err() {
        return 0;
    }
    let (_, text) = ask(address, "GET", "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

fn linked(place: &Place) -> bool {
    figure(place, "understudy_agent_peer_links") == 1
}

#[tokio::test]
async fn agents_of_a_strict_pair_find_each_other_without_a_control_server() {
    let (alpha, mut at_alpha, beta, mut at_beta) = pair().await;
    eventually("both are linked", || linked(&alpha) && linked(&beta));
    at_beta.kill();
    eventually("alpha sees that", || !linked(&alpha));
    let _at_beta = beta.start_agent();
    eventually("they are linked again", || linked(&alpha) && linked(&beta));
    at_alpha.kill();
    let _at_alpha = alpha.start_agent();
    eventually("and from the other end", || linked(&alpha) && linked(&beta));
}

#[tokio::test]
async fn an_agent_that_stands_still_is_let_go_and_taken_up_again() {
    let (alpha, _at_alpha, beta, at_beta) = pair().await;
    eventually("both are linked", || linked(&alpha) && linked(&beta));
    at_beta.freeze(true);
    let lost = "understudy_agent_peer_link_losses_total{reason=\"silent\"}";
    eventually("its silence is noticed", || figure(&alpha, lost) == 1);
    assert!(!linked(&alpha));
    at_beta.freeze(false);
    eventually("they are linked again", || linked(&alpha) && linked(&beta));
}

#[tokio::test]
async fn an_agent_that_was_told_of_no_pair_talks_with_nobody() {
    let place = Place::of_host("beta");
    let _agent = place.start_agent();
    let connection = dial(&[Address::Unix(place.listen())], LIMIT, &Security::Plain).await.unwrap();
    let (sender, mut receiver) = connection.split::<PeerSaid, PeerSaid>();
    let hello = PeerHello {
        versions: VersionRange { min: 3, max: 3 },
        host: "alpha".parse().unwrap(),
        agent: AgentId(1),
        incarnation: Incarnation(1),
        to_host: "beta".parse().unwrap(),
    };
    sender.try_send(&PeerSaid::Hello(hello)).unwrap();
    let answer = limited(receiver.next()).await.unwrap();
    let Some(PeerSaid::Refused { reason, .. }) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("host alpha") && reason.contains("host beta"), "{reason}");
    let refused = "understudy_agent_refusals_total{link=\"peer link\",reason=\"not-a-peer\"}";
    eventually("it is counted", || figure(&place, refused) == 1);
}

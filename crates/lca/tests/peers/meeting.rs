//! Two agents meet, talk, lose each other and meet again.

use std::time::{Duration, Instant};

use understudy_decide::agent::{AgentSaw, Peer};
use understudy_model::{AddpSettings, Epoch, Remembered, Verdict};
use understudy_transport::{Address, Listener, Security, SendError};
use understudy_wire::PeerSaid;

use super::authority::Authority;
use super::play::*;

/// Everything that agents say, both ways, over a link that both want.
async fn talk(mut alpha: End, mut beta: End) {
    beta.keep("alpha", &alpha);
    alpha.keep("beta", &beta);
    alpha.joined("beta").await;
    beta.joined("alpha").await;
    assert_eq!((alpha.peers.linked(), beta.peers.linked()), (1, 1));

    let (to_alpha, to_beta) = (host("alpha"), host("beta"));
    alpha.peers.ask(&to_beta, ask(1));
    assert_eq!(beta.saw().await, AgentSaw::PeerAsked { host: to_alpha.clone(), ask: ask(1) });
    beta.peers.answer(&to_alpha, answer(1, Verdict::Given));
    assert_eq!(alpha.voted().await.0, answer(1, Verdict::Given));
    beta.peers.ask(&to_alpha, ask(2));
    assert_eq!(alpha.saw().await, AgentSaw::PeerAsked { host: to_beta.clone(), ask: ask(2) });
    let no = Verdict::Refused { promised: Some(role(9)), why: "it is promised".to_owned() };
    alpha.peers.answer(&to_beta, answer(2, no.clone()));
    assert_eq!(beta.voted().await.0, answer(2, no));
    alpha.peers.tell(&to_beta, release(8));
    assert_eq!(beta.saw().await, AgentSaw::PeerReleased { host: to_alpha, release: release(8) });
    beta.peers.tell(&host("alpha"), release(9));
    assert_eq!(alpha.saw().await, AgentSaw::PeerReleased { host: to_beta, release: release(9) });
    let remembered = Remembered {
        pair: "db".parse().unwrap(),
        voted: Some(role(8)),
        released: Epoch(7),
        lease: Duration::from_secs(600),
    };
    alpha.peers.remember(&host("beta"), remembered.clone());
    assert_eq!(beta.saw().await, AgentSaw::PeerRemembers { host: host("alpha"), remembered });
    assert_eq!((alpha.peers.tally().begun(), beta.peers.tally().begun()), (1, 1), "one link for both");
}

#[tokio::test]
async fn the_addresses_of_peers_are_known_by_name_too_until_they_are_let_go() {
    let beta = End::plain("beta").await;
    let knows = |ip: &str| beta.peers.knows(ip.parse().unwrap());
    let addresses: [Address; 3] =
        ["10.0.0.7:1", "localhost:1", "nowhere.invalid:1"].map(|text| text.parse().unwrap());
    beta.keep_at("alpha", &addresses.each_ref(), AddpSettings::OFF);
    assert!(knows("10.0.0.7") && !knows("10.0.0.8"));
    eventually("the name is resolved", || knows("127.0.0.1")).await;
    // Others come and go: what is known stays known.
    beta.keep_at("alpha", &[&addresses[1]], AddpSettings::OFF);
    assert!(knows("127.0.0.1") && !knows("10.0.0.7"));
    beta.peers.keep(Vec::new());
    assert!(!knows("127.0.0.1"));
}

#[tokio::test]
async fn asks_votes_and_releases_travel_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", directory.path().join("lca.sock").display());
    talk(End::plain("alpha").await, End::plain("beta").await).await;
    talk(End::plain("alpha").await, End::new("beta", 4, Security::Plain, &socket).await).await;
    let authority = Authority::new();
    let (alpha, beta) = (authority.security("agent/alpha"), authority.security("agent/beta"));
    talk(End::new("alpha", 5, alpha, "127.0.0.1:0").await, End::new("beta", 4, beta, "127.0.0.1:0").await)
        .await;
}

#[tokio::test]
async fn the_agent_whose_host_sorts_first_dials_and_the_other_waits() {
    let mut beta = End::plain("beta").await;
    let gamma = End::plain("gamma").await;
    let first = Listener::bind(&"127.0.0.1:0".parse().unwrap(), Security::Plain).await.unwrap();
    let peer = |name: &str, address: &Address| Peer {
        host: host(name),
        addresses: vec![address.to_string()],
        addp: AddpSettings::OFF,
        patience: PATIENCE,
    };
    beta.peers.keep(vec![peer("alpha", first.address()), peer("gamma", &gamma.address)]);
    gamma.keep("beta", &beta);
    beta.joined("gamma").await;
    // Both would have been dialed together.
    assert!(tokio::time::timeout(Duration::from_millis(1), first.accept()).await.is_err());
}

#[tokio::test]
async fn peers_meet_again_after_either_let_the_other_go_or_was_away() {
    let (mut alpha, mut beta) = (End::plain("alpha").await, End::plain("beta").await);
    alpha.keep("beta", &beta);
    // Not named yet on the other side: asked again until it is.
    beta.refuses("not-a-peer").await;
    beta.keep("alpha", &alpha);
    for _ in 0..3 {
        alpha.joined("beta").await;
        beta.joined("alpha").await;
        beta.peers.keep(Vec::new());
        beta.left("alpha").await;
        alpha.left("beta").await;
        assert_eq!(beta.peers.linked(), 0);
        // What has no link is lost, and harms nobody.
        beta.peers.ask(&host("alpha"), ask(1));
        beta.keep("alpha", &alpha);
    }
    alpha.joined("beta").await;
    beta.joined("alpha").await;
    alpha.peers.keep(Vec::new());
    alpha.left("beta").await;
    beta.left("alpha").await;
    assert_eq!((beta.ended("let-go"), beta.ended("closed"), alpha.ended("let-go")), (3, 1, 1));
}

#[tokio::test]
async fn a_peer_is_found_at_its_second_address_and_one_that_is_none_is_left_out() {
    let (mut alpha, beta) = (End::plain("alpha").await, End::plain("beta").await);
    let gamma = End::plain("gamma").await;
    beta.keep("alpha", &alpha);
    let addresses = vec!["nonsense".to_owned(), gamma.address.to_string(), beta.address.to_string()];
    let (addp, patience) = (AddpSettings::OFF, PATIENCE);
    alpha.peers.keep(vec![Peer { host: host("beta"), addresses, addp, patience }]);
    alpha.joined("beta").await;
    assert_eq!(gamma.refused("other-host"), 1, "it was asked first");
}

/// A call that was begun while the way was cut hangs when it is whole again: with a short lease it is given up before that
/// is over, and the next one gets through.
#[tokio::test]
async fn an_address_that_does_not_answer_is_waited_for_as_long_as_the_lease_allows() {
    let authority = Authority::new();
    let (alpha, beta) = (authority.security("agent/alpha"), authority.security("agent/beta"));
    let mut alpha = End::new("alpha", 5, alpha, "127.0.0.1:0").await;
    let beta = End::new("beta", 4, beta, "127.0.0.1:0").await;
    beta.keep("alpha", &alpha);
    // The system takes the call, and nobody ever says a word there.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = vec![mute.local_addr().unwrap().to_string(), beta.address.to_string()];
    let (addp, patience) = (AddpSettings::OFF, Duration::from_millis(100));
    let began = Instant::now();
    alpha.peers.keep(vec![Peer { host: host("beta"), addresses, addp, patience }]);
    alpha.joined("beta").await;
    assert!(began.elapsed() >= patience, "the mute one comes first");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn of_two_links_of_one_peer_the_newer_one_stays_and_the_older_one_is_heard_no_more() {
    let (alpha, mut beta) = (End::plain("alpha").await, End::plain("beta").await);
    beta.keep("alpha", &alpha);
    let (old, mut old_hears, welcome) = call(&beta.address, &Security::Plain, hello("alpha", "beta")).await;
    assert!(matches!(welcome, PeerSaid::Welcome { version: 3, .. }), "{welcome:?}");
    beta.joined("alpha").await;
    let flood = tokio::spawn(async move {
        loop {
            match old.try_send(&PeerSaid::Ask(ask(1000))) {
                Ok(()) | Err(SendError::Full { .. }) => tokio::task::yield_now().await,
                Err(_) => return,
            }
        }
    });
    let (new, _new_hears, _) = call(&beta.address, &Security::Plain, hello("alpha", "beta")).await;
    new.try_send(&PeerSaid::Ask(ask(1))).unwrap();
    limited(async {
        loop {
            match beta.saw().await {
                AgentSaw::PeerAsked { ask, .. } => assert_eq!(ask.number, 1000, "the new one comes after"),
                AgentSaw::PeerLeft { .. } => return,
                saw => panic!("{saw:?}"),
            }
        }
    })
    .await;
    beta.joined("alpha").await;
    new.try_send(&PeerSaid::Ask(ask(2))).unwrap();
    let mut asked = Vec::new();
    for _ in 0..2 {
        let AgentSaw::PeerAsked { ask, .. } = beta.saw().await else { panic!("only the new one speaks") };
        asked.push(ask.number);
    }
    assert_eq!(asked, [1, 2]);
    assert_eq!(beta.ended("replaced"), 1);
    // Whatever waited for the old one ends with it.
    let rest = limited(old_hears.next()).await;
    assert!(!matches!(rest, Ok(Some(_))), "{rest:?}");
    limited(flood).await.unwrap();
}

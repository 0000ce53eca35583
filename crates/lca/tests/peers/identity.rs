//! Who is believed to be the agent of a host.

use understudy_model::{AddpSettings, AgentId};
use understudy_transport::{Address, Listener, Security, dial};
use understudy_wire::{FromAgent, PeerSaid, SPOKEN, ToAgent, VersionRange};

use super::authority::Authority;
use super::play::*;

#[tokio::test]
async fn a_certificate_must_be_of_the_agent_that_its_owner_says_it_is() {
    let authority = Authority::new();
    let mut beta = End::new("beta", 4, authority.security("agent/beta"), "127.0.0.1:0").await;
    beta.keep_at("alpha", &[], AddpSettings::OFF);
    for role in ["agent/gamma", "scs/alpha", "app/alpha", "operator/alpha"] {
        let reason = refusal(&beta.address, &authority.security(role), hello("alpha", "beta")).await;
        assert!(
            reason.contains("agent:alpha is expected") || reason.contains("agent/alpha"),
            "{role}: {reason}"
        );
    }
    assert_eq!(beta.refused("other-certificate"), 4);
    // Nobody at all, and somebody of another authority.
    let stranger = Authority::new().security("agent/alpha");
    assert!(dial(std::slice::from_ref(&beta.address), LIMIT, &stranger).await.is_err());
    let (_sender, _receiver, welcome) =
        call(&beta.address, &authority.security("agent/alpha"), hello("alpha", "beta")).await;
    assert!(matches!(welcome, PeerSaid::Welcome { .. }), "{welcome:?}");
    beta.joined("alpha").await;
}

#[tokio::test]
async fn whoever_is_dialed_must_have_the_certificate_of_the_host_that_is_meant() {
    let authority = Authority::new();
    let alpha = End::new("alpha", 5, authority.security("agent/alpha"), "127.0.0.1:0").await;
    for role in ["agent/gamma", "scs/beta"] {
        // It says all that the agent of beta would.
        let beta = End::new("beta", 4, authority.security(role), "127.0.0.1:0").await;
        beta.keep("alpha", &alpha);
        alpha.keep("beta", &beta);
        let before = alpha.refused("other-certificate");
        eventually("it is refused", || alpha.refused("other-certificate") > before).await;
        assert_eq!(alpha.peers.tally().begun(), 0);
        alpha.peers.keep(Vec::new());
    }
}

#[tokio::test]
async fn who_is_not_expected_is_refused_in_words() {
    let mut beta = End::plain("beta").await;
    beta.keep_at("alpha", &[], AddpSettings::OFF);
    let address = beta.address.clone();
    let refused = async |word: &str, hello| {
        let reason = refusal(&address, &Security::Plain, hello).await;
        assert_eq!(beta.refused(word), 1, "{word}: {reason}");
        reason
    };
    let reason = refused("other-host", hello("alpha", "gamma")).await;
    assert!(reason.contains("this is host beta, not host gamma"), "{reason}");
    let reason = refused("not-a-peer", hello("aleph", "beta")).await;
    assert!(reason.contains("host aleph") && reason.contains("host beta"), "{reason}");
    let reason = refused("wrong-end", hello("gamma", "beta")).await;
    assert!(reason.contains("sorts first"), "{reason}");
    let mut same = hello("alpha", "beta");
    same.agent = AgentId(4);
    let reason = refused("same-agent", same).await;
    assert!(reason.contains("state directory") && reason.contains("remove"), "{reason}");
    let mut old = hello("alpha", "beta");
    old.versions = VersionRange { min: 1, max: 2 };
    let reason = refused("no-common-version", old).await;
    assert!(reason.contains("versions 3") && reason.contains("1 to 2"), "{reason}");
    assert_eq!(beta.peers.tally().begun(), 0, "none of them was heard");
    // And none of them is in the way of the one that is expected.
    let (_sender, _receiver, _) = call(&beta.address, &Security::Plain, hello("alpha", "beta")).await;
    beta.joined("alpha").await;
}

#[tokio::test]
async fn two_agents_with_one_identity_do_not_talk() {
    let alpha = End::new("alpha", 7, Security::Plain, "127.0.0.1:0").await;
    let beta = End::new("beta", 7, Security::Plain, "127.0.0.1:0").await;
    beta.keep("alpha", &alpha);
    alpha.keep("beta", &beta);
    beta.refuses("same-agent").await;
    alpha.refuses("refused-by-peer").await;
    assert_eq!((alpha.peers.linked(), beta.peers.linked()), (0, 0));
}

/// One that listens where beta should, and gives that answer to every Hello; or hangs up.
async fn impostor(answer: Option<PeerSaid>) -> Address {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), Security::Plain).await.unwrap();
    let address = listener.address().clone();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let stranger = listener.accept().await.unwrap();
            let Some(answer) = &answer else { continue };
            let (_, sender, receiver) = stranger.first_message::<PeerSaid, PeerSaid>().await.unwrap();
            sender.try_send(answer).unwrap();
            kept.push((sender, receiver));
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_no_peer_gives_is_no_link() {
    let welcome = |version, agent| PeerSaid::Welcome {
        version,
        agent: AgentId(agent),
        incarnation: understudy_model::Incarnation(1),
    };
    let alpha = End::plain("alpha").await;
    for (answer, word) in [
        (welcome(2, 4), "no-common-version"),
        (welcome(5, 4), "no-common-version"),
        (welcome(3, 5), "same-agent"),
        (PeerSaid::Ask(ask(1)), "early-word"),
        (PeerSaid::Hello(hello("beta", "alpha")), "early-word"),
        (PeerSaid::Refused { reason: "no".to_owned(), versions: V3 }, "refused-by-peer"),
    ] {
        let before = alpha.refused(word);
        alpha.keep_at("beta", &[&impostor(Some(answer.clone())).await], AddpSettings::OFF);
        eventually(word, || alpha.refused(word) > before).await;
        assert_eq!(alpha.peers.tally().begun(), 0, "{answer:?}");
        alpha.peers.keep(Vec::new());
    }
}

#[tokio::test]
async fn an_agent_before_version_three_hangs_up_and_is_tried_again() {
    let (mut alpha, beta) = (End::plain("alpha").await, End::plain("beta").await);
    beta.keep("alpha", &alpha);
    // An older build does not know the kind of the frame, and ends the connection.
    let old = impostor(None).await;
    alpha.keep_at("beta", &[&old], AddpSettings::OFF);
    alpha.keep_at("beta", &[&old, &beta.address], AddpSettings::OFF);
    alpha.joined("beta").await;
    assert_eq!(alpha.peers.tally().begun(), 1);
}

#[tokio::test]
async fn whoever_speaks_of_something_else_first_is_refused_as_before() {
    let beta = End::plain("beta").await;
    let connect = async || dial(std::slice::from_ref(&beta.address), LIMIT, &Security::Plain).await.unwrap();
    // A word of agents before the Hello.
    let (sender, mut receiver) = connect().await.split::<PeerSaid, PeerSaid>();
    sender.try_send(&PeerSaid::Ask(ask(1))).unwrap();
    let answer = limited(receiver.next()).await.unwrap();
    assert!(matches!(answer, Some(PeerSaid::Refused { .. })), "{answer:?}");
    assert_eq!(beta.refused("word-before-hello"), 1);
    // A control server's Hello for another host, at the same place.
    let (sender, mut receiver) = connect().await.split::<ToAgent, FromAgent>();
    let hello = understudy_wire::Hello {
        versions: SPOKEN,
        controller: "scs-1".parse().unwrap(),
        controller_epoch: understudy_model::ControllerEpoch(1),
        cluster_name: "test".to_owned(),
        cluster: None,
        host: host("gamma"),
        lineage: Vec::new(),
    };
    sender.try_send(&ToAgent::Hello(hello)).unwrap();
    let answer = limited(receiver.next()).await.unwrap();
    assert!(matches!(answer, Some(FromAgent::HelloRefused { .. })), "{answer:?}");
    // What only an agent says to a control server begins nothing.
    let (sender, mut receiver) = connect().await.split::<FromAgent, ToAgent>();
    sender.try_send(&FromAgent::Leaving { leaving: true }).unwrap();
    assert_eq!(limited(receiver.next()).await.unwrap(), None);
    let refused = beta.links.refused();
    assert!(refused.contains(&("control link", "wrong-kind", 1)), "{refused:?}");
}

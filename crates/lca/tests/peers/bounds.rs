//! Peers that say nothing, read nothing, or speak nonsense.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use understudy_decide::agent::AgentSaw;
use understudy_model::{AddpSettings, AddpTrace, Verdict};
use understudy_transport::{Address, Security};
use understudy_wire::{Kind, Message, PeerSaid, frame};

use super::play::*;

/// Bytes to a place, and what came back until the other end closed.
fn throw(at: &Address, bytes: Vec<u8>) -> std::thread::JoinHandle<Vec<u8>> {
    let Address::Tcp { host, port } = at.clone() else { panic!("{at} is no TCP address") };
    std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect((host, port)).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut heard = Vec::new();
        // A reset is an end, too.
        let _ = std::io::Read::read_to_end(&mut stream, &mut heard);
        heard
    })
}

fn frame_of(message: &PeerSaid) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    message.to_frame(&mut bytes).unwrap();
    bytes.to_vec()
}

fn framed(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame::encode(kind, body, &mut bytes).unwrap();
    bytes.to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_ends_its_own_link_is_counted_and_disturbs_nobody() {
    let (mut alpha, mut beta) = (End::plain("alpha").await, End::plain("beta").await);
    beta.keep("alpha", &alpha);
    alpha.keep("beta", &beta);
    alpha.joined("beta").await;
    beta.joined("alpha").await;
    for (bytes, word) in [
        (framed(Kind::Peer, b"\xff\xff\xff"), "unreadable"),
        (framed(Kind::Peer, b""), "missing-field"),
        (framed(Kind::Peer, &[0x0a; 300]), "unreadable"),
    ] {
        let before = beta.refused(word);
        throw(&beta.address, bytes).join().unwrap();
        assert_eq!(beta.refused(word), before + 1);
    }
    // Too long for a stranger's first word, and of no kind at all: refused before anybody knows with whom it wants to talk.
    throw(&beta.address, framed(Kind::Peer, &[0; 20_000])).join().unwrap();
    throw(&beta.address, b"US\x01\x07\0\0\0\0\0\0\0\0".to_vec()).join().unwrap();
    let refused = beta.links.refused();
    for word in ["oversized", "unknown-kind"] {
        assert!(refused.contains(&("control link", word, 1)), "{word}: {refused:?}");
    }
    alpha.peers.ask(&host("beta"), ask(1));
    assert_eq!(beta.saw().await, AgentSaw::PeerAsked { host: host("alpha"), ask: ask(1) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_after_the_hello_ends_the_link() {
    let (alpha, mut beta) = (End::plain("alpha").await, End::plain("beta").await);
    beta.keep("alpha", &alpha);
    let begin = frame_of(&PeerSaid::Hello(hello("alpha", "beta")));
    for (more, word) in [
        (begin.clone(), "second-hello"),
        (frame_of(&PeerSaid::Refused { reason: String::new(), versions: V3 }), "second-hello"),
        (b"GET / HTTP/1.1\r\n".to_vec(), "bad-magic"),
        (framed(Kind::Peer, b"\x22\x00"), "bad-name"),
        (framed(Kind::FromAgent, b""), "wrong-kind"),
        (framed(Kind::Link, b"nonsense"), "bad-signal"),
    ] {
        let (refused, ended) = (beta.refused(word), beta.ended(word));
        let bytes = [begin.clone(), frame_of(&PeerSaid::Ask(ask(1))), more].concat();
        let heard = throw(&beta.address, bytes);
        beta.joined("alpha").await;
        assert_eq!(beta.saw().await, AgentSaw::PeerAsked { host: host("alpha"), ask: ask(1) });
        beta.left("alpha").await;
        assert_eq!((beta.refused(word), beta.ended(word)), (refused + 1, ended + 1), "{word}");
        assert!(!heard.join().unwrap().is_empty(), "it was welcome");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_let_go_and_nothing_waits_for_it() {
    let (alpha, mut beta) = (End::plain("alpha").await, End::plain("beta").await);
    beta.keep("alpha", &alpha);
    let (_sender, _unread, _) = call(&beta.address, &Security::Plain, hello("alpha", "beta")).await;
    beta.joined("alpha").await;
    let why = "x".repeat(4000);
    let long = answer(1, Verdict::Refused { promised: None, why });
    let mut sent = 0;
    while beta.peers.linked() == 1 {
        beta.peers.answer(&host("alpha"), long.clone());
        sent += 1;
        assert!(sent < 1_000_000, "what waits for a peer is bounded");
    }
    beta.left("alpha").await;
    assert_eq!(beta.ended("slow-reader"), 1);
    let (_sender, _receiver, _) = call(&beta.address, &Security::Plain, hello("alpha", "beta")).await;
    beta.joined("alpha").await;
}

/// Connects from an address of its own to that place, and says nothing.
async fn come(from: &str, to: &Address) -> tokio::net::TcpStream {
    let Address::Tcp { host, port } = to else { panic!("{to} is no TCP address") };
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((from.parse::<std::net::IpAddr>().unwrap(), 0).into()).unwrap();
    socket.connect((host.parse::<std::net::IpAddr>().unwrap(), *port).into()).await.unwrap()
}

#[tokio::test]
async fn strangers_who_flood_are_turned_away_and_a_peer_is_met_meanwhile() {
    let (mut alpha, mut beta) = (End::plain("alpha").await, End::plain("beta").await);
    let address = beta.address.clone();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let flood = tokio::spawn(async move {
        let mut crowd = std::collections::VecDeque::new();
        while stopped.try_recv().is_err() {
            crowd.push_back(come("127.0.0.2", &address).await);
            if crowd.len() > 300 {
                crowd.pop_front();
            }
        }
    });
    eventually("some are turned away", || {
        beta.links.refused().iter().any(|(_, word, count)| *word == "too-fast" && *count > 100)
    })
    .await;
    for number in 0..20 {
        beta.keep("alpha", &alpha);
        alpha.keep("beta", &beta);
        alpha.joined("beta").await;
        beta.joined("alpha").await;
        assert!(!flood.is_finished(), "{number}");
        alpha.peers.keep(Vec::new());
        alpha.left("beta").await;
        beta.left("alpha").await;
    }
    stop.send(()).unwrap();
    flood.await.unwrap();
}

#[tokio::test]
async fn a_silent_peer_is_lost_after_two_timeouts_and_a_new_timeout_counts_at_once() {
    let timeout = Duration::from_millis(50);
    let watched = AddpSettings { timeout, remote_timeout: timeout, trace: AddpTrace::Off };
    let mut beta = End::plain("beta").await;
    beta.keep_at("alpha", &[], AddpSettings::OFF);
    // It was last heard after this. Its socket stays open, as that of a stopped program does.
    let began = Instant::now();
    let (_sender, _unread, _) = call(&beta.address, &Security::Plain, hello("alpha", "beta")).await;
    beta.joined("alpha").await;
    beta.keep_at("alpha", &[], watched);
    beta.left("alpha").await;
    assert!(began.elapsed() >= 2 * timeout, "{:?}", began.elapsed());
    assert_eq!(beta.ended("silent"), 1);
    assert_eq!(beta.peers.tally().addp().polls_sent, 1);
}

#[tokio::test]
async fn peers_that_only_poll_each_other_stay_linked() {
    let timeout = Duration::from_millis(50);
    let watched = AddpSettings { timeout, remote_timeout: timeout, trace: AddpTrace::Off };
    let (mut alpha, mut beta) = (End::plain("alpha").await, End::plain("beta").await);
    beta.keep_at("alpha", &[&alpha.address], watched);
    alpha.keep_at("beta", &[&beta.address], watched);
    alpha.joined("beta").await;
    beta.joined("alpha").await;
    eventually("they poll", || {
        let (one, other) = (alpha.peers.tally().addp(), beta.peers.tally().addp());
        one.polls_sent + other.polls_sent >= 5
    })
    .await;
    assert_eq!((alpha.peers.linked(), beta.peers.linked()), (1, 1));
}

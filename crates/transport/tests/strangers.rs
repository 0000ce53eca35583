//! What strangers send and how long they take: only their own link ends, and others are served.

mod support;

use std::time::Duration;

use bytes::BytesMut;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use understudy_addp::Signal;
use understudy_transport::{
    Address, Admission, FIRST_MESSAGE_LIMIT_BYTES, FIRST_MESSAGE_TIMEOUT, Listener, MOST_STRANGERS, Peer,
    ReceiveError, Security,
};
use understudy_wire::{FromAgent, Kind, Message, ToAgent, frame};

async fn raw(listener: &Listener) -> TcpStream {
    let Address::Tcp { host, port } = listener.address() else { panic!("a TCP listener") };
    TcpStream::connect((host.as_str(), *port)).await.unwrap()
}

fn bytes_of(message: &impl Message) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.to_frame(&mut bytes).unwrap();
    bytes
}

fn signal() -> BytesMut {
    let mut bytes = BytesMut::new();
    frame::encode(Kind::Link, &Signal::Poll { number: 1 }.to_bytes(), &mut bytes).unwrap();
    bytes
}

/// What the listener makes of a stranger who sends these bytes and ends.
async fn first_words(listener: &Listener, bytes: &[u8]) -> Result<ToAgent, ReceiveError> {
    let mut stream = raw(listener).await;
    let stranger = soon(listener.accept()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let heard = soon(stranger.first_message::<ToAgent, FromAgent>()).await;
    if heard.is_err() {
        let mut rest = Vec::new();
        // A link closed with unread bytes may end with a reset: closed all the same.
        let closed = soon(stream.read_to_end(&mut rest)).await;
        assert!(matches!(closed, Ok(0)) || closed.is_err(), "nothing is said to a refused stranger");
    }
    heard.map(|(first, ..)| first)
}

#[tokio::test]
async fn bad_frames_close_only_their_own_link() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let (mut controller, mut agent) = link(&listener).await;
    let hello = bytes_of(&hello());
    let mut changed = hello.to_vec();
    changed[20] ^= 1;
    let first_byte = b"\x16";
    let oversized = b"US\x01\x01\xff\xff\xff\xff";
    let signal = signal();
    let cases: [(&[u8], &str); 9] = [
        (b"GET / HTTP/1.1\r\n\r\n", "bad-magic"),
        (first_byte, "bad-magic"),
        (b"US\x09", "unknown-frame-version"),
        (oversized, "oversized"),
        (&changed, "bad-checksum"),
        (&hello[..hello.len() - 1], "truncated"),
        (&bytes_of(&answer(1)), "wrong-kind"),
        (&signal, "unasked-signal"),
        (b"", "left-silently"),
    ];
    for (number, (bytes, word)) in cases.iter().enumerate() {
        let refused = first_words(&listener, bytes).await.unwrap_err();
        assert_eq!(refused.word(), *word);
        assert_eq!(refused.is_refusal(), *word != "left-silently");
        exchange(&mut controller, &mut agent, number as u64).await;
    }
    assert_eq!(first_words(&listener, &hello).await.unwrap(), support::hello());
}

#[tokio::test]
async fn a_bad_frame_on_a_known_link_ends_it_in_both_directions() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let (mut controller, mut agent) = link(&listener).await;
    let mut stream = raw(&listener).await;
    let stranger = soon(listener.accept()).await.unwrap();
    stream.write_all(&bytes_of(&hello())).await.unwrap();
    let (_, sender, mut receiver) = soon(stranger.first_message::<ToAgent, FromAgent>()).await.unwrap();
    stream.write_all(&bytes_of(&order(1))).await.unwrap();
    stream.write_all(b"garbage").await.unwrap();
    assert_eq!(soon(receiver.next()).await.unwrap(), Some(order(1)), "what came before is good");
    assert_eq!(soon(receiver.next()).await.unwrap_err().word(), "bad-magic");
    assert_eq!(soon(receiver.next()).await.unwrap(), None);
    assert!(sender.is_closed());
    exchange(&mut controller, &mut agent, 2).await;
}

#[tokio::test]
async fn a_first_message_has_its_own_smaller_bound() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let mut announced = BytesMut::from(&b"US\x01\x01"[..]);
    let body = FIRST_MESSAGE_LIMIT_BYTES as u32 - 11;
    announced.extend_from_slice(&body.to_le_bytes());
    assert_eq!(first_words(&listener, &announced).await.unwrap_err().word(), "oversized");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_who_says_nothing_whole_is_dropped_in_time() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    for said in [&b""[..], b"US\x01\x01"] {
        let mut stream = raw(&listener).await;
        stream.write_all(said).await.unwrap();
        let stranger = listener.accept().await.unwrap();
        // The clock of this test jumps forward as soon as everybody waits.
        let began = tokio::time::Instant::now();
        let refused = stranger.first_message::<ToAgent, FromAgent>().await.unwrap_err();
        assert!(matches!(refused, ReceiveError::FirstMessageLate { .. }), "{refused}");
        let took = began.elapsed();
        assert!(
            took >= FIRST_MESSAGE_TIMEOUT && took < FIRST_MESSAGE_TIMEOUT + Duration::from_secs(1),
            "{took:?}"
        );
    }
}

#[tokio::test]
async fn the_one_that_was_silent_for_longest_makes_room_and_nobody_waits() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let (mut streams, mut hearing) = (Vec::new(), Vec::new());
    for _ in 0..MOST_STRANGERS {
        streams.push(raw(&listener).await);
        let stranger = soon(listener.accept()).await.unwrap();
        hearing.push(tokio::spawn(stranger.first_message::<ToAgent, FromAgent>()));
    }
    let late = connect(listener.address()).await.split::<ToAgent, FromAgent>();
    late.0.try_send(&hello()).unwrap();
    let stranger = soon(listener.accept()).await.unwrap();
    let (first, ..) = soon(stranger.first_message::<ToAgent, FromAgent>()).await.unwrap();
    assert_eq!(first, hello());
    let refused = soon(hearing.remove(0)).await.unwrap().unwrap_err();
    assert!(matches!(refused, ReceiveError::Crowded) && refused.is_refusal(), "{refused}");
    assert!(hearing.iter().all(|heard| !heard.is_finished()), "one had to leave, not more");

    // Whoever has said its first message takes no room, so the next one drives nobody out.
    streams.push(raw(&listener).await);
    let _newest = soon(listener.accept()).await.unwrap();
    tokio::task::yield_now().await;
    assert!(hearing.iter().all(|heard| !heard.is_finished()));
}

#[tokio::test]
async fn no_stranger_makes_somebody_known_leave_and_who_is_turned_away_is_closed_at_once() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let known = connect(listener.address()).await.split::<ToAgent, FromAgent>();
    let stranger = soon(listener.accept_as(|_| Admission::Known)).await.unwrap();
    let hearing = tokio::spawn(stranger.first_message::<ToAgent, FromAgent>());
    let (mut streams, mut others) = (Vec::new(), Vec::new());
    for _ in 0..2 * MOST_STRANGERS {
        streams.push(raw(&listener).await);
        others.push(tokio::spawn(soon(listener.accept()).await.unwrap().first_frame()));
    }
    let mut away = raw(&listener).await;
    streams.push(raw(&listener).await);
    let mut asked = 0;
    let admit = |_: &Peer| {
        asked += 1;
        if asked == 1 { Admission::TurnedAway } else { Admission::Stranger }
    };
    let _next = soon(listener.accept_as(admit)).await.unwrap();
    assert_eq!(soon(away.read(&mut [0; 1])).await.unwrap(), 0, "it is closed");
    known.0.try_send(&hello()).unwrap();
    assert_eq!(soon(hearing).await.unwrap().unwrap().0, hello());
}

/// Writes the same bytes for as long as anybody reads them. Returns whether it still does.
fn talk_on(stream: TcpStream, words: Vec<u8>) -> impl Fn() -> bool {
    let mut stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let began = std::time::Instant::now();
    let talker = std::thread::spawn(move || {
        use std::io::Write;
        while began.elapsed() < PATIENCE && stream.write_all(&words).is_ok() {}
    });
    move || !talker.is_finished()
}

#[tokio::test]
async fn a_peer_that_never_stops_talking_leaves_time_for_others() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let mut stream = raw(&listener).await;
    let stranger = soon(listener.accept()).await.unwrap();
    stream.write_all(&bytes_of(&hello())).await.unwrap();
    let (_, sender, mut receiver) = soon(stranger.first_message::<ToAgent, FromAgent>()).await.unwrap();
    let talks = talk_on(stream, bytes_of(&order(1)).repeat(1_000));
    let hear_all = async { while receiver.next().await.unwrap().is_some() {} };
    // Both are on one thread: this time is over only if the loop lets go of it.
    let heard = tokio::time::timeout(Duration::from_millis(50), hear_all).await;
    assert!(heard.is_err() && talks(), "the peer talks still, and a timer was met");
    drop((sender, receiver));
}

#[tokio::test]
async fn a_flood_of_signals_ends_its_link_and_no_more_than_that() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let (mut controller, mut agent) = link(&listener).await;
    let mut stream = raw(&listener).await;
    let stranger = soon(listener.accept()).await.unwrap();
    stream.write_all(&bytes_of(&hello())).await.unwrap();
    let (_, sender, mut receiver) = soon(stranger.first_message::<ToAgent, FromAgent>()).await.unwrap();
    receiver.allow_signals();
    let talks = talk_on(stream, signal().repeat(1_000));
    assert_eq!(soon(receiver.next()).await.unwrap_err().word(), "signal-flood");
    exchange(&mut controller, &mut agent, 1).await;
    drop((sender, receiver));
    soon(async {
        while talks() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

//! Listening and dialing: what is refused, what is silent, what is replaced, and coming back.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use support::*;
use tokio::net::{TcpSocket, TcpStream};
use understudy_transport::{Address, Backoff, BindError, DialFailure, Listener, Security, dial};

/// An address at which nobody listens: it was free a moment ago.
async fn empty_place() -> Address {
    Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap().address().clone()
}

#[tokio::test]
async fn nobody_there_is_refused_and_not_silent() {
    let directory = tempfile::tempdir().unwrap();
    let dead = directory.path().join("dead.sock");
    drop(Listener::bind(&Address::Unix(dead.clone()), Security::Plain).await.unwrap());
    let missing = directory.path().join("missing.sock");
    for place in [empty_place().await, Address::Unix(dead), Address::Unix(missing)] {
        let error = dial(std::slice::from_ref(&place), PATIENCE, &Security::Plain).await.unwrap_err();
        assert!(error.is_refused() && !error.is_silent(), "{error}");
        assert!(error.to_string().contains(&place.to_string()), "{error}");
    }
}

#[tokio::test]
async fn no_answer_is_silent_and_not_refused() {
    // A listener that accepts nothing, with its queue full: the system then drops further calls.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let place = full.local_addr().unwrap();
    let mut callers = Vec::new();
    while let Ok(caller) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(place)).await {
        callers.push(caller.unwrap());
        assert!(callers.len() < 100, "the queue fills");
    }
    let limit = Duration::from_millis(200);
    let error = dial(&[place.into()], limit, &Security::Plain).await.unwrap_err();
    assert!(error.is_silent() && !error.is_refused(), "{error}");
    let error = dial(&[place.into(), empty_place().await], limit, &Security::Plain).await.unwrap_err();
    assert!(error.is_refused() && !error.is_silent(), "one refusal is a sign of life: {error}");
}

#[tokio::test]
async fn addresses_are_tried_in_turn() {
    let listener = Listener::bind(&address("127.0.0.1:0"), Security::Plain).await.unwrap();
    let addresses = [empty_place().await, address("no-such-host.invalid:1"), listener.address().clone()];
    dial(&addresses, PATIENCE, &Security::Plain).await.unwrap();
    let error = dial(&addresses[..2], PATIENCE, &Security::Plain).await.unwrap_err();
    assert!(matches!(error.tried[0], (_, DialFailure::Refused(_))), "{error}");
    assert!(matches!(error.tried[1], (_, DialFailure::Unresolved(_))), "{error}");
    let error = dial(&[], PATIENCE, &Security::Plain).await.unwrap_err();
    assert!(!error.is_refused() && !error.is_silent(), "{error}");
}

#[tokio::test]
async fn plain_links_never_leave_the_machine() {
    for away in ["0.0.0.0:0", "192.0.2.1:4999", "[2001:db8::1]:4999", "[::]:0"] {
        let error = Listener::bind(&address(away), Security::Plain).await.unwrap_err();
        assert!(matches!(error, BindError::NotLocal { .. }), "{error}");
        assert!(error.to_string().contains("[tls]"), "{error}");
        let error = dial(&[address(away)], PATIENCE, &Security::Plain).await.unwrap_err();
        assert!(matches!(error.tried[0], (_, DialFailure::NotLocal { .. })), "{error}");
        assert!(error.to_string().contains("[tls]"), "{error}");
    }
}

#[tokio::test]
async fn a_place_in_use_is_left_alone() {
    let (_directory, kinds) = all_kinds();
    for kind in kinds {
        let listener = Listener::bind(&kind, Security::Plain).await.unwrap();
        let error = Listener::bind(listener.address(), Security::Plain).await.unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        if matches!(kind, Address::Unix(_)) {
            // To see whether anybody answers, the second one called and hung up.
            drop(soon(listener.accept()).await.unwrap());
        }
        link(&listener).await;
    }
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_open_to_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let place = Address::Unix(path.clone());
    for _ in 0..2 {
        let listener = Listener::bind(&place, Security::Plain).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        link(&listener).await;
    }
}

#[tokio::test]
async fn what_is_not_a_socket_is_never_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "words").unwrap();
    let error = Listener::bind(&Address::Unix(path.clone()), Security::Plain).await.unwrap_err();
    assert!(matches!(error, BindError::NotSocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "words");

    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let error = Listener::bind(&Address::Unix(link), Security::Plain).await.unwrap_err();
    assert!(matches!(error, BindError::NotSocket { .. }), "{error}");
}

#[tokio::test]
async fn a_place_that_cannot_be_is_said_so() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Address::Unix(directory.path().join("no/such/directory.sock"));
    let error = Listener::bind(&missing, Security::Plain).await.unwrap_err();
    assert!(matches!(error, BindError::Listen { .. }), "{error}");
    let error = Listener::bind(&address("no-such-host.invalid:0"), Security::Plain).await.unwrap_err();
    assert!(matches!(error, BindError::Unresolved { .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again() {
    let (_directory, kinds) = all_kinds();
    for kind in kinds {
        let listener = Listener::bind(&kind, Security::Plain).await.unwrap();
        let place = listener.address().clone();
        let ((_to_agent, mut from_agent), agent) = link(&listener).await;
        drop((listener, agent));
        assert!(matches!(soon(from_agent.next()).await, Ok(None) | Err(_)));
        assert!(
            dial(std::slice::from_ref(&place), PATIENCE, &Security::Plain).await.unwrap_err().is_refused()
        );

        let again = Listener::bind(&place, Security::Plain).await.unwrap();
        let mut backoff = Backoff::new(1);
        soon(async {
            while dial(std::slice::from_ref(&place), PATIENCE, &Security::Plain).await.is_err() {
                tokio::time::sleep(backoff.next_delay()).await;
            }
        })
        .await;
        drop(soon(again.accept()).await.unwrap());
        link(&again).await;
    }
}

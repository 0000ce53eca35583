//! ADDP on real links: traffic costs no polls, silence is found, and settings change while a link lives.

mod support;

use std::time::Duration;

use support::authority::Authority;
use support::*;
use understudy_addp::{Settings, Trace};
use understudy_drive::now;
use understudy_transport::{Listener, ReceiveError, Security};

const TIMEOUT: Duration = Duration::from_millis(100);

fn both(timeout: Duration) -> Settings {
    Settings { timeout, remote_timeout: timeout, trace: Trace::Off }
}

/// A link of either kind, after the Hello.
async fn pair(security: Option<&Authority>) -> (AtController, AtAgent) {
    let of = |role: &str| security.map_or(Security::Plain, |authority| authority.security(role));
    let listener = Listener::bind(&address("127.0.0.1:0"), of("agent/alpha")).await.unwrap();
    let (controller, mut agent) = secured_link(&listener, &of("scs/scs-1")).await;
    agent.1.allow_signals();
    (controller, agent)
}

#[tokio::test]
async fn two_quiet_ends_that_live_poll_and_are_never_lost() {
    let authority = Authority::new();
    for security in [None, Some(&authority)] {
        let ((to_agent, mut from_agent), (to_controller, mut from_controller)) = pair(security).await;
        from_agent.watch(both(TIMEOUT));
        let pulse = to_agent.pulse().clone();
        let enough = async {
            while pulse.health().counts.polls_sent + to_controller.pulse().health().counts.polls_sent < 6 {
                tokio::task::yield_now().await;
            }
        };
        soon(async {
            tokio::select! {
                heard = from_agent.next() => panic!("nobody said anything: {heard:?}"),
                heard = from_controller.next() => panic!("nobody said anything: {heard:?}"),
                () = enough => {}
            }
        })
        .await;
        assert_eq!(to_controller.pulse().health().timeout, TIMEOUT, "the agent's end was asked to watch");
        let (one, other) = (pulse.health().counts, to_controller.pulse().health().counts);
        assert!(one.polls_answered + other.polls_answered > 0, "{one:?} {other:?}");
        assert!(one.round_trip.or(other.round_trip).is_some(), "a reply tells the round trip");
    }
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_lost_after_two_timeouts_and_the_sender_knows() {
    let authority = Authority::new();
    let ((to_agent, mut from_agent), (to_controller, from_controller)) = pair(Some(&authority)).await;
    let before = now();
    from_agent.watch(both(TIMEOUT));
    // Its socket is open, and nobody reads it: a program that was stopped.
    let error = soon(from_agent.next()).await.unwrap_err();
    // Counted from when it was last heard, which is the handshake of a moment ago.
    let ReceiveError::Silent { silence, .. } = &error else { panic!("{error}") };
    assert!(*silence >= 2 * TIMEOUT && now().since(before) >= TIMEOUT, "{silence:?}");
    assert!(!error.is_refusal(), "silence is no fault of the peer's words");
    assert!(to_agent.is_closed());
    assert!(soon(from_agent.next()).await.unwrap().is_none(), "the link has ended");
    drop((to_controller, from_controller));
}

#[tokio::test]
async fn traffic_costs_no_polls_and_settings_change_on_a_live_link() {
    let (mut controller, mut agent) = pair(None).await;
    controller.1.watch(both(Duration::from_secs(30)));
    for number in 0..200 {
        exchange(&mut controller, &mut agent, number).await;
    }
    assert_eq!(controller.0.pulse().health().counts.polls_sent, 0);
    // From thirty seconds to a tenth: the agent's end follows, and its silence is found.
    controller.1.watch(both(TIMEOUT));
    exchange(&mut controller, &mut agent, 1_000).await;
    assert_eq!(agent.0.pulse().health().timeout, TIMEOUT);
    let lost = soon(controller.1.next()).await.unwrap_err();
    assert_eq!(lost.word(), "silent");
}

#[tokio::test]
async fn switched_off_it_waits_for_ever_and_still_answers() {
    let ((to_agent, mut from_agent), (to_controller, mut from_controller)) = pair(None).await;
    from_agent.watch(Settings { remote_timeout: Duration::ZERO, ..both(TIMEOUT) });
    let polls = to_agent.pulse().clone();
    let answered = async {
        while polls.health().counts.round_trip.is_none() {
            tokio::task::yield_now().await;
        }
    };
    soon(async {
        tokio::select! {
            heard = from_agent.next() => panic!("{heard:?}"),
            heard = from_controller.next() => panic!("{heard:?}"),
            () = answered => {}
        }
    })
    .await;
    let health = to_controller.pulse().health();
    assert_eq!((health.timeout, health.counts.polls_sent), (Duration::ZERO, 0));
    assert!(health.counts.polls_answered > 0);
}

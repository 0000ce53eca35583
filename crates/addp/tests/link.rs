//! One end by itself: every stage and every observation, and the bounds on when a silent peer is given up.

use std::time::Duration;

use proptest::prelude::*;
use understudy_addp::{
    Addp, LATE_TOLERANCE, LONGEST_TIMEOUT, Outcome, SHORTEST_TIMEOUT, Settings, Signal, Trace,
};
use understudy_model::Moment;

const TIMEOUT: Duration = Duration::from_millis(200);
const START: Moment = Moment(5_000_000_000);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn watching() -> Addp {
    Addp::new(START, Settings { timeout: TIMEOUT, ..Settings::OFF }).0
}

#[test]
fn silence_a_poll_silence_lost_and_nothing_after_it() {
    let mut link = watching();
    assert_eq!(link.look(START + ms(199)), Outcome::Nothing, "too early is harmless");
    assert_eq!(link.look(START + ms(200)), Outcome::Send(Signal::Poll { number: 1 }));
    assert_eq!(link.look(START + ms(399)), Outcome::Nothing, "one poll is enough");
    assert_eq!(link.look(START + ms(400)), Outcome::Lost);
    assert!(link.is_lost());
    link.arrived(START + ms(401));
    assert!(link.is_lost(), "what was given up is not taken back: the link is closed by then");
    assert_eq!((link.next_deadline(), link.look(START + ms(900))), (None, Outcome::Nothing));
}

#[test]
fn anything_that_arrives_is_life_also_after_the_poll() {
    let mut link = watching();
    link.arrived(START + ms(150));
    assert_eq!(link.look(START + ms(200)), Outcome::Nothing);
    assert_eq!(link.look(START + ms(350)), Outcome::Send(Signal::Poll { number: 1 }));
    link.arrived(START + ms(549));
    assert_eq!(link.next_deadline(), Some(START + ms(749)));
    assert_eq!(link.look(START + ms(749)), Outcome::Send(Signal::Poll { number: 2 }));
    assert_eq!(link.signalled(START + ms(760), Signal::Reply { number: 1 }), None);
    assert_eq!(link.counts().round_trip, None, "a reply to an older poll measures nothing");
    assert_eq!(link.look(START + ms(960)), Outcome::Send(Signal::Poll { number: 3 }));
    link.signalled(START + ms(964), Signal::Reply { number: 3 });
    assert_eq!(link.counts().round_trip, Some(ms(4)));
}

#[test]
fn an_end_that_does_not_watch_still_answers_and_may_be_asked_to_watch() {
    let (mut link, asked) = Addp::new(START, Settings::OFF);
    assert_eq!((asked, link.next_deadline()), (None, None));
    assert_eq!(link.look(START + LONGEST_TIMEOUT), Outcome::Nothing);
    assert_eq!(link.signalled(START, Signal::Poll { number: 9 }), Some(Signal::Reply { number: 9 }));
    let at = START + ms(50);
    assert_eq!(link.signalled(at, Signal::Ask { timeout: TIMEOUT, trace: true }), None);
    assert_eq!((link.next_deadline(), link.traces()), (Some(at + TIMEOUT), true));
    link.signalled(at, Signal::Ask { timeout: Duration::ZERO, trace: false });
    assert_eq!((link.next_deadline(), link.traces()), (None, false));
}

#[test]
fn the_other_end_is_asked_at_the_beginning_and_at_every_change() {
    let settings = Settings { timeout: TIMEOUT, remote_timeout: ms(300), trace: Trace::Remote };
    let (mut link, asked) = Addp::new(START, settings);
    assert_eq!(asked, Some(Signal::Ask { timeout: ms(300), trace: true }));
    assert!(!link.traces());

    // A shorter timeout counts from when the other end was last heard.
    let asked = link
        .change(START + ms(100), Settings { timeout: ms(120), remote_timeout: ms(0), trace: Trace::Local });
    assert_eq!(asked, Signal::Ask { timeout: ms(0), trace: false });
    assert_eq!((link.next_deadline(), link.traces()), (Some(START + ms(120)), true));

    // A poll that is out gets a whole new timeout; switched off, it is forgotten.
    assert!(matches!(link.look(START + ms(120)), Outcome::Send(Signal::Poll { .. })));
    link.change(START + ms(130), settings);
    assert_eq!(link.next_deadline(), Some(START + ms(330)));
    link.change(START + ms(140), Settings::OFF);
    assert_eq!(link.next_deadline(), None);
    link.change(START + ms(150), settings);
    assert!(
        matches!(link.look(START + ms(200)), Outcome::Send(Signal::Poll { .. })),
        "it was silent for the timeout"
    );
}

#[test]
fn an_end_that_was_not_awake_gives_the_other_that_much_more_time_but_no_more_than_a_timeout() {
    let mut link = watching();
    let woke = START + ms(250);
    assert_eq!(link.look(woke), Outcome::Patient { late_by: ms(50) });
    assert_eq!(link.next_deadline(), Some(woke + ms(50)));
    assert_eq!(link.look(woke + ms(50)), Outcome::Send(Signal::Poll { number: 1 }));

    // Stopped for ten seconds while the poll was out.
    let woke = START + Duration::from_secs(10);
    assert!(matches!(link.look(woke), Outcome::Patient { .. }));
    assert_eq!(link.next_deadline(), Some(woke + ms(150)), "150 of the 200 ms that may be given are left");
    assert_eq!(link.look(woke + ms(150)), Outcome::Lost);
    let counts = link.counts();
    assert_eq!((counts.late_looks, counts.latest), (2, woke.since(START + ms(500))));
}

#[test]
fn patience_is_given_anew_after_the_other_end_was_heard() {
    let mut link = watching();
    for round in 0..5 {
        let began = START + Duration::from_secs(10 * round);
        link.arrived(began);
        assert!(matches!(link.look(began + Duration::from_secs(9)), Outcome::Patient { .. }));
    }
    assert_eq!(link.counts().late_looks, 5);
}

#[test]
fn timeouts_out_of_bounds_count_as_the_nearest_bound() {
    let with = |timeout| Addp::new(START, Settings { timeout, ..Settings::OFF }).0.timeout();
    assert_eq!(with(Duration::from_nanos(1)), SHORTEST_TIMEOUT);
    assert_eq!(with(Duration::MAX), LONGEST_TIMEOUT);
}

proptest! {
    /// However this end's looks are spaced, a peer that is silent from the beginning is given up after two timeouts, and
    /// not later than one timeout and this end's own lateness after that.
    #[test]
    fn a_silent_peer_is_given_up_within_bounds(
        timeout_ms in 10u64..2_000,
        late_us in proptest::collection::vec(0u64..400_000, 40),
    ) {
        let timeout = ms(timeout_ms);
        let (mut link, _) = Addp::new(START, Settings { timeout, ..Settings::OFF });
        let (mut lateness, mut latest) = (Duration::ZERO, START);
        for late in late_us {
            let Some(due) = link.next_deadline() else { break };
            let late = Duration::from_micros(late);
            lateness += late;
            latest = due + late;
            if link.look(latest) == Outcome::Lost {
                break;
            }
        }
        prop_assert!(link.is_lost());
        let silence = latest.since(START);
        prop_assert!(silence >= 2 * timeout, "{silence:?}");
        prop_assert!(silence <= 3 * timeout + lateness, "{silence:?}, late by {lateness:?}");
    }

    /// An end that is awake gives nobody more time than is theirs.
    #[test]
    fn without_lateness_two_timeouts_are_two_timeouts(timeout_ms in 10u64..4_000, jitter_us in 0u64..5_000) {
        let timeout = ms(timeout_ms);
        let jitter = Duration::from_micros(jitter_us);
        prop_assume!(jitter <= LATE_TOLERANCE);
        let (mut link, _) = Addp::new(START, Settings { timeout, ..Settings::OFF });
        let polled = link.next_deadline().unwrap() + jitter;
        prop_assert!(matches!(link.look(polled), Outcome::Send(_)));
        let lost = link.next_deadline().unwrap() + jitter;
        prop_assert_eq!(link.look(lost), Outcome::Lost);
        prop_assert_eq!(lost.since(START), 2 * timeout + 2 * jitter);
    }

    /// Traffic that comes more often than the timeout costs no poll.
    #[test]
    fn a_busy_link_is_never_polled(gaps_ms in proptest::collection::vec(1u64..200, 1..100)) {
        let (mut link, mut now) = (watching(), START);
        for gap in gaps_ms {
            now = now + ms(gap);
            prop_assert_eq!(link.look(now), Outcome::Nothing);
            link.arrived(now);
        }
        prop_assert_eq!(link.counts().polls_sent, 0);
    }
}

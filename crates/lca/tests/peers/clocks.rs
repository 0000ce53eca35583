//! What a vote says of the clock of whoever gives it, over real links; and that comparing finds what it should in it.
//!
//! Both ends are in one process here and so have one clock: that it agrees with itself is shown with true readings, that
//! another one would be found out with readings that are shifted as a paused machine's would be.

use std::time::Duration;

use understudy_decide::agent::AgentSaw;
use understudy_decide::clocks::{Compared, Comparison};
use understudy_drive::BootClock;
use understudy_model::{ClockReading, Verdict, WhichClock};

use super::play::*;

/// What two clocks may differ by.
const DRIFT: u32 = 2_000;

#[tokio::test]
async fn votes_say_what_the_clock_shows_and_a_clock_that_stood_still_is_found_in_them() {
    let (mut alpha, mut beta) = (End::plain("alpha").await, End::plain("beta").await);
    beta.keep("alpha", &alpha);
    alpha.keep("beta", &beta);
    alpha.joined("beta").await;
    beta.joined("alpha").await;
    let own = BootClock::own().id().expect("this system says which boot it is");
    let mut true_one = Comparison::new(own, DRIFT);
    let mut paused = Comparison::new(own, DRIFT);
    let pause = Duration::from_secs(30);
    let mut found = Vec::new();
    for number in 1..=8 {
        let asked = understudy_drive::now();
        alpha.peers.ask(&host("beta"), ask(number));
        assert!(matches!(beta.saw().await, AgentSaw::PeerAsked { .. }));
        beta.peers.answer(&host("alpha"), answer(number, Verdict::Given));
        let (vote, clock, heard) = alpha.voted().await;
        assert_eq!((vote.number, clock.clock), (number, own));
        assert!(asked <= clock.at && clock.at <= heard, "between the question and its answer: {clock:?}");
        assert_eq!(true_one.hear(asked, clock, heard, DRIFT), Compared::Consistent);
        // As if the machine of this end had been paused before the sixth.
        let ahead = if number < 6 { Duration::ZERO } else { pause };
        found.push(paused.hear(asked, ClockReading { at: clock.at + ahead, ..clock }, heard, DRIFT));
        // Closer questions are one sample.
        while understudy_drive::now().since(asked) < Duration::from_millis(11) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(found.iter().position(|found| *found == Compared::Apart), Some(5), "{found:?}");
    let proof = paused.proof().expect("it was found");
    assert_eq!(proof.behind, WhichClock::Own);
    assert!(proof.other_ns() >= 30_000_000_000 && proof.own_most() < pause, "{proof:?}");
}

//! Two ends with a line between them that delays and loses: who polls, who finds out, and that nobody is given up for
//! nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use understudy_addp::{Addp, Outcome, Settings, Signal, Trace};
use understudy_model::Moment;

const START: Moment = Moment(1_000_000_000);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A line between end 0 and end 1. Signals are encoded on their way, as on a real one.
struct Line {
    ends: [Addp; 2],
    delays: [Duration; 2],
    /// No signal from that end arrives after this moment.
    cut: [Option<Moment>; 2],
    on_their_way: BTreeMap<(Moment, u64), (usize, Vec<u8>)>,
    sent: u64,
    lost_at: [Option<Moment>; 2],
    now: Moment,
}

impl Line {
    fn new(dialing: Settings, delays: [Duration; 2]) -> Self {
        let (first, ask) = Addp::new(START, dialing);
        let (second, none) = Addp::new(START, Settings::OFF);
        assert_eq!(none, None);
        let mut line = Self {
            ends: [first, second],
            delays,
            cut: [None; 2],
            on_their_way: BTreeMap::new(),
            sent: 0,
            lost_at: [None; 2],
            now: START,
        };
        if let Some(ask) = ask {
            line.send(0, ask);
        }
        line
    }

    fn send(&mut self, from: usize, signal: Signal) {
        let arrives = self.now + self.delays[from];
        if self.cut[from].is_none_or(|cut| arrives < cut) {
            self.sent += 1;
            self.on_their_way.insert((arrives, self.sent), (1 - from, signal.to_bytes()));
        }
    }

    /// Runs everything that is due until `end`.
    fn run_until(&mut self, end: Moment) {
        loop {
            let arrival = self.on_their_way.first_key_value().map(|((at, _), _)| *at);
            let looks = self.ends.iter().filter_map(Addp::next_deadline).min();
            // What arrives at the moment of a look is read before it.
            let next = match (arrival, looks) {
                (Some(arrival), Some(look)) => arrival.min(look),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => break,
            };
            if next > end {
                break;
            }
            self.now = next;
            if arrival == Some(next) {
                let Some((_, (to, bytes))) = self.on_their_way.pop_first() else { unreachable!() };
                let signal = Signal::from_bytes(&bytes).expect("what was sent is understood");
                if let Some(answer) = self.ends[to].signalled(next, signal) {
                    self.send(to, answer);
                }
                continue;
            }
            for end in 0..2 {
                match self.ends[end].look(next) {
                    Outcome::Send(signal) => self.send(end, signal),
                    Outcome::Lost => self.lost_at[end] = Some(next),
                    Outcome::Nothing => {}
                    Outcome::Patient { .. } => panic!("nobody is late here"),
                }
            }
        }
        self.now = end;
    }
}

fn both(timeout: Duration, remote_timeout: Duration) -> Settings {
    Settings { timeout, remote_timeout, trace: Trace::Off }
}

#[test]
fn with_two_timeouts_only_the_shorter_one_polls() {
    let mut line = Line::new(both(ms(1_000), ms(2_500)), [ms(3), ms(3)]);
    line.run_until(START + Duration::from_secs(60));
    assert_eq!(line.lost_at, [None, None]);
    let [first, second] = [line.ends[0].counts(), line.ends[1].counts()];
    assert!(first.polls_sent > 55, "{first:?}");
    assert_eq!(second.polls_sent, 0, "the polls of the other end were life enough");
    assert_eq!(first.round_trip, Some(ms(6)));
}

#[test]
fn a_one_way_cut_is_found_by_the_end_that_hears_nothing() {
    let mut line = Line::new(both(ms(200), ms(0)), [ms(1), ms(1)]);
    line.run_until(START + ms(500));
    line.cut[1] = Some(line.now);
    line.run_until(START + Duration::from_secs(5));
    let lost = line.lost_at[0].expect("the first end watches");
    assert!(lost.since(START + ms(500)) <= ms(400), "{lost}");
    assert_eq!(line.lost_at[1], None, "the second was not asked to");
}

proptest! {
    /// A line that delays by less than a timeout there and back loses nobody, whatever the two timeouts are.
    #[test]
    fn a_whole_line_is_never_lost(
        timeout_ms in 20u64..3_000,
        remote_ms in prop_oneof![Just(0u64), 20u64..3_000],
        there_share in 0u64..45,
        back_share in 0u64..45,
    ) {
        let shortest = if remote_ms == 0 { timeout_ms } else { timeout_ms.min(remote_ms) };
        let share = |share: u64| Duration::from_micros(shortest * 1_000 * share / 100);
        let mut line = Line::new(both(ms(timeout_ms), ms(remote_ms)), [share(there_share), share(back_share)]);
        line.run_until(START + 200 * ms(timeout_ms));
        prop_assert_eq!(line.lost_at, [None, None]);
    }

    /// A cut is found by every end that watches, within two timeouts of its own.
    #[test]
    fn a_cut_is_found_within_two_timeouts(timeout_ms in 20u64..2_000, remote_ms in 20u64..2_000, cut_ms in 0u64..10_000, delay_us in 0u64..5_000) {
        let delay = Duration::from_micros(delay_us);
        let mut line = Line::new(both(ms(timeout_ms), ms(remote_ms)), [delay, delay]);
        let cut = START + ms(100) + ms(cut_ms);
        line.cut = [Some(cut); 2];
        line.run_until(cut + Duration::from_secs(20));
        for (end, timeout) in [(0, ms(timeout_ms)), (1, ms(remote_ms))] {
            let lost = line.lost_at[end].expect("both watch").since(cut);
            prop_assert!(lost <= 2 * timeout, "end {end}: {lost:?} of {timeout:?}");
        }
    }
}

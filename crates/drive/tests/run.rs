//! The loop's promises: nothing is done before it is durable, nothing is done that is not, no deadline is put off.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use understudy_drive::{Hands, Inbox, Persisting, Stop, Told, now, run};
use understudy_model::{Because, Decision, Event, EventKind, Lane, Machine, Moment, Rule, Severity, Subject};

/// Persists and acts on every number it sees; wakes at a deadline that never goes away.
#[derive(Default)]
struct Counter {
    deadline: Option<Moment>,
    passed: u32,
    steps: usize,
    aside_due: Option<Moment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Saw {
    Number(u32),
    Deadline,
    Failed(Vec<u32>, bool),
}

impl Machine for Counter {
    type Saw = Saw;
    type Persist = u32;
    type Act = String;

    fn step(&mut self, _: Moment, saw: Saw) -> Decision<u32, String> {
        let mut decision = Decision::default();
        self.steps += 1;
        match saw {
            Saw::Number(number) => {
                decision.persist.push(number);
                decision.actions.push(format!("act {number}"));
                decision.events.push(event(number));
            }
            Saw::Deadline => {
                self.passed += 1;
                self.deadline = None;
            }
            Saw::Failed(records, definite) => decision.actions.push(format!("failed {records:?} {definite}")),
        }
        decision
    }

    fn next_deadline(&self) -> Option<Moment> {
        self.deadline
    }

    fn deadline_passed() -> Saw {
        Saw::Deadline
    }

    fn lane(saw: &Saw) -> Lane {
        match saw {
            Saw::Number(100..=2_999) => Lane::Repeated,
            Saw::Number(10_000..) => Lane::Programs,
            Saw::Number(_) | Saw::Deadline | Saw::Failed(..) => Lane::Own,
        }
    }

    fn aside(&mut self, _: Moment, saw: &Saw) -> Option<Decision<u32, String>> {
        let Saw::Number(number @ 100..=1_999) = saw else { return None };
        Some(Decision { actions: vec![format!("aside {number}")], ..Decision::default() })
    }

    fn aside_deadline(&self) -> Option<Moment> {
        self.aside_due
    }

    fn aside_passed(&mut self, _: Moment) -> Decision<u32, String> {
        self.aside_due = None;
        Decision { actions: vec!["aside passed".to_owned()], ..Decision::default() }
    }

    fn store_failed(persist: Vec<u32>, _: String, definite: bool) -> Saw {
        Saw::Failed(persist, definite)
    }
}

fn event(number: u32) -> Event {
    Event {
        kind: EventKind::StatusChanged,
        severity: Severity::Info,
        about: Subject::default(),
        from: None,
        to: None,
        epoch: None,
        because: Because::new(Rule::AgentReported, number.to_string()),
        actor: None,
    }
}

/// Notes what it is asked for, in order; cannot store odd numbers.
#[derive(Default)]
struct Notes(Vec<String>, Arc<Notify>);

impl Hands<Counter> for Notes {
    fn record(&mut self, _: Moment, saw: &Saw, _: &Decision<u32, String>) {
        self.0.push(format!("record {saw:?}"));
    }

    fn persist(&mut self, _: Moment, _: &Saw, decision: &Decision<u32, String>) -> Persisting {
        self.0.push(format!("persist {:?}", decision.persist));
        let odd = decision.persist.iter().any(|number| number % 2 == 1);
        let gone_on = Arc::clone(&self.1);
        let slow = decision.persist == [8_000];
        Box::pin(async move {
            tokio::task::yield_now().await;
            if slow {
                // A disk that takes its time: until the last of what need not wait for it was done.
                let all = tokio::time::timeout(Duration::from_secs(10), gone_on.notified());
                all.await.expect("what needs nothing durable waits for the disk");
            }
            if odd { Err(("odd".into(), true)) } else { Ok(()) }
        })
    }

    fn act(&mut self, action: String) {
        self.0.push(action);
        if ["aside 101", "aside passed"].iter().all(|all| self.0.iter().any(|done| done == all)) {
            self.1.notify_one();
        }
    }

    fn tell(&mut self, _: &Counter, told: Told) {
        self.0.extend(told.events.iter().map(|event| format!("tell {}", event.because.reason)));
    }
}

async fn play(numbers: &[u32], machine: Counter) -> (Counter, Vec<String>) {
    let (inbox, mail) = Inbox::new(8);
    let stop = Stop::default();
    let mut notes = Notes::default();
    let feed = async {
        for number in numbers {
            assert!(inbox.saw(Saw::Number(*number)).await);
        }
        // Answered after everything that was sent before.
        inbox.look(|_| ()).await.expect("the machine runs");
        stop.ask();
    };
    let (machine, ()) = tokio::join!(run(machine, Saw::Number(0), mail, &mut notes, &stop), feed);
    (machine, notes.0)
}

#[tokio::test]
async fn what_is_done_was_durable_first() {
    let (_, notes) = play(&[2], Counter::default()).await;
    assert_eq!(notes, ["persist [0]", "act 0", "tell 0", "persist [2]", "act 2", "tell 2"]);
}

#[tokio::test]
async fn what_is_not_durable_is_neither_done_nor_told_and_the_machine_hears_of_it_first() {
    let (_, notes) = play(&[1, 2], Counter::default()).await;
    let after = &notes[3..];
    let expected =
        ["persist [1]", "record Failed([1], true)", "failed [1] true", "persist [2]", "act 2", "tell 2"];
    assert_eq!(after, expected);
}

/// After how many steps a look is served that was put in before so many observations.
async fn steps_before_look(observations: u32) -> usize {
    let (inbox, mail) = Inbox::new(1_024);
    let stop = Stop::default();
    let mut notes = Notes::default();
    let feed = async {
        let look = inbox.look(|machine: &Counter| machine.steps);
        let saws = async {
            for number in 0..observations {
                assert!(inbox.saw(Saw::Number(2 * number)).await);
            }
        };
        let (steps, ()) = tokio::join!(look, saws);
        stop.ask();
        steps.expect("the machine runs")
    };
    let machine = Counter::default();
    tokio::join!(run(machine, Saw::Number(0), mail, &mut notes, &stop), feed).1
}

#[tokio::test]
async fn a_look_waits_for_observations_and_not_for_ever() {
    assert_eq!(steps_before_look(3).await, 4, "after everything that waits");
    let steps = steps_before_look(1_000).await;
    assert!((2..600).contains(&steps), "{steps}");
}

#[tokio::test]
async fn mail_does_not_put_off_a_deadline_that_has_passed() {
    let machine = Counter { deadline: Some(now()), ..Counter::default() };
    let (machine, notes) = play(&[2, 4, 6], machine).await;
    assert_eq!(machine.passed, 1);
    let at = |what: &str| notes.iter().position(|note| note == what).expect("it happened");
    assert!(at("record Deadline") < at("act 6"), "{notes:?}");
}

#[tokio::test]
async fn a_stop_ends_the_loop_although_nothing_else_happens() {
    let (_inbox, mail) = Inbox::<Counter>::new(1);
    let stop = Stop::default();
    stop.ask();
    let mut notes = Notes::default();
    let ended = run(Counter::default(), Saw::Number(0), mail, &mut notes, &stop);
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it ends");
}

#[tokio::test]
async fn what_needs_nothing_durable_does_not_wait_for_a_slow_disk_and_all_else_keeps_its_order() {
    let machine = Counter { aside_due: Some(now()), ..Counter::default() };
    let (_, notes) = play(&[8_000, 2, 100, 4, 101], machine).await;
    let at = |what: &str| notes.iter().position(|note| note == what).expect(what);
    assert!(at("persist [8000]") < at("aside passed") && at("aside passed") < at("act 8000"), "{notes:?}");
    assert!(at("aside 100") < at("act 8000") && at("aside 101") < at("act 8000"), "{notes:?}");
    assert!(at("act 8000") < at("act 2") && at("act 2") < at("act 4"), "{notes:?}");
}

/// How much each lane has room for.
const BOUND: usize = 8;

/// The machine while its disk hangs, until `during` is over, and then until all that `during` began is taken; what it noted.
async fn hang(during: impl AsyncFnOnce(Inbox<Counter>) -> JoinSet<bool>) -> Vec<String> {
    let (inbox, mail) = Inbox::new(BOUND);
    let stop = Stop::default();
    let mut notes = Notes::default();
    let disk = Arc::clone(&notes.1);
    let feed = async {
        assert!(inbox.saw(Saw::Number(8_000)).await);
        let began = during(inbox.clone()).await;
        disk.notify_one();
        assert!(began.join_all().await.into_iter().all(|taken| taken));
        inbox.look(|_| ()).await.expect("the machine runs");
        stop.ask();
    };
    tokio::join!(run(Counter::default(), Saw::Number(0), mail, &mut notes, &stop), feed);
    notes.0
}

#[tokio::test]
async fn however_much_waits_for_a_disk_that_hangs_votes_and_looks_come_through_and_nothing_is_lost() {
    const MANY: u32 = 6_000;
    let notes = hang(async |inbox| {
        let mut floods = JoinSet::new();
        for number in 0..MANY {
            let inbox = inbox.clone();
            floods.spawn(async move { inbox.saw(Saw::Number(20_000 + 2 * number)).await });
        }
        for number in 0..4_000 {
            assert!(inbox.saw(Saw::Number(4)).await, "{number}");
        }
        for number in 100..100 + 100 * BOUND as u32 {
            assert!(inbox.saw(Saw::Number(number)).await);
            assert!(inbox.turns().await);
        }
        floods
    })
    .await;
    let at = |what: &str| notes.iter().position(|note| note == what).expect(what);
    assert!(at("aside 100") < at("act 8000") && at("aside 899") < at("act 8000"));
    assert!(at("act 8000") < at("act 4"), "all else waits");
    assert_eq!(notes.iter().filter(|note| *note == "act 4").count(), 4_000);
    let programs = notes.iter().filter(|note| note.starts_with("act 2") || note.starts_with("act 3"));
    assert_eq!(programs.count(), MANY as usize);
}

#[tokio::test]
async fn what_is_said_again_is_left_out_above_its_room_and_the_rest_comes_through() {
    let notes = hang(async |inbox| {
        for number in 0..100 {
            // Nothing that the machine takes aside.
            assert!(inbox.saw(Saw::Number(2_000 + 2 * number)).await);
        }
        assert!(inbox.saw(Saw::Number(100)).await);
        assert!(inbox.turns().await);
        JoinSet::new()
    })
    .await;
    let at = |what: &str| notes.iter().position(|note| note == what).expect(what);
    assert!(at("aside 100") < at("act 8000") && at("act 8000") < at("act 2000"));
    let acted = notes.iter().filter(|note| note.starts_with("act 2")).count();
    assert_eq!(acted, BOUND / 2, "{notes:?}");
}

#[tokio::test]
async fn a_look_that_nobody_waits_for_any_more_takes_no_room() {
    let looked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    hang(async |inbox| {
        for _ in 0..1_000 {
            let looked = Arc::clone(&looked);
            let look = inbox.look(move |_| looked.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            tokio::select! {
                biased;
                _ = look => panic!("the disk hangs"),
                true = inbox.turns() => {}
            }
        }
        JoinSet::new()
    })
    .await;
    assert_eq!(looked.load(std::sync::atomic::Ordering::Relaxed), 0);
}

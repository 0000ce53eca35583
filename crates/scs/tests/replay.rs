//! A real run is decided again from its journal, letter by letter; what was altered or is missing is found.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use support::{Bench, until};
use understudy_decide::control::{Control, ControlMemory, ControlSaw, GrantMemory, LinkEnd};
use understudy_model::*;
use understudy_scs::record::{Recorder, Step};
use understudy_scs::replay::{Replay, Replayed, is_beginning};
use understudy_store::{JournalEntry, JournalQuery, Reader, StoredEntry};

/// A run with a crash of the primary, a switchover, a refused request, and two lives of the server.
fn run() -> Bench {
    let mut bench = Bench::new();
    let (alpha, beta) = bench.start_with_agents();
    alpha.crash("tserver-1");
    until("tserver-2 is primary", || (bench.pair()["primary"] == "tserver-2").then_some(()));
    alpha.recover("tserver-1");
    bench.until_primary("tserver-2");
    assert_eq!(bench.ask("POST", "/v1/pairs/tserver/switchover", "{\"to\": \"tserver-1\"}").0, 202);
    bench.until_primary("tserver-1");
    assert_eq!(bench.ask("PUT", "/v1/maintenance/nobody", "{\"on\": true}").0, 404);
    // The machine looks at its clock, and finds nothing; that is packed, and written before the next thing that happens.
    let observed = || bench.figure("understudy_scs_observation_wait_seconds_count").unwrap();
    let before = observed();
    until("the clock was looked at", || (observed() > before).then_some(()));
    let hellos = beta.hellos().len();
    beta.drop_link();
    until("beta is heard again", || (beta.hellos().len() > hellos).then_some(()));
    bench.until_primary("tserver-1");
    bench.signal("-TERM");
    bench.wait();
    bench.start();
    bench.until_primary("tserver-1");
    bench
}

const PACKED: &str = "\"quiet\":{\"count\"";

fn rows(bench: &Bench) -> Vec<StoredEntry> {
    let reader = Reader::open(&bench.path("state")).unwrap();
    reader.journal(&JournalQuery { after_id: 0, since_wall_ms: i64::MIN, limit: 10_000 }).unwrap()
}

fn replay(rows: impl IntoIterator<Item = StoredEntry>) -> Replayed {
    let mut replay = Replay::default();
    // Looks for the first row that is not wanted.
    let _ = rows.into_iter().all(|row| replay.feed(row));
    replay.finish()
}

#[test]
fn a_real_run_is_decided_again_letter_by_letter_and_an_altered_decision_is_told() {
    let mut bench = run();
    let answer = bench.get("/v1/replay?from=1h");
    let all = answer["leaderships"].as_array().unwrap();
    assert_eq!((answer["same"].as_bool(), all.len()), (Some(true), 2), "{answer}");
    assert!(
        all.iter().all(|one| one["stopped"].is_null() && one["decisions"].as_u64() > Some(3)),
        "{answer}"
    );
    assert_eq!((&all[0]["epoch"], &all[1]["epoch"]), (&Value::from(1), &Value::from(2)));
    let newest = bench.get("/v1/replay");
    assert_eq!(newest["leaderships"].as_array().unwrap().len(), 1);
    bench.signal("-TERM");
    bench.wait();

    let rows = rows(&bench);
    let second = rows.iter().rposition(is_beginning).unwrap();
    let first = &rows[..second];
    let good = replay(first.to_vec());
    assert!(good.difference.is_none() && good.stopped.is_none(), "{good:?}");
    assert!(first.iter().any(|row| row.text.contains(PACKED)), "nothing was packed");

    // One letter of one decision.
    let altered = first.iter().position(|row| row.text.contains("primary-exited")).unwrap();
    let mut wrong = first.to_vec();
    wrong[altered].text = wrong[altered].text.replacen("primary-exited", "primary-exitex", 1);
    let found = replay(wrong);
    let difference = found.difference.expect("it was passed over");
    assert!(
        difference.recorded.unwrap().contains("exitex") && difference.replayed.unwrap().contains("exited")
    );

    // A decision that nobody made, and one that nobody wrote down.
    let mut wrong = first.to_vec();
    wrong.remove(altered);
    assert!(replay(wrong).difference.is_some_and(|one| one.recorded.is_none()));

    // Another moment.
    let crash = first.iter().position(|row| row.text.contains("\"link-up\"")).unwrap();
    let mut wrong = first.to_vec();
    wrong[crash].at_boot.0 += 60_000_000_000;
    assert!(replay(wrong).difference.is_some(), "a minute later is not the same");

    // Something that is missing is not passed over, and what stands out of turn is put into it.
    let step = first.iter().position(|row| row.text.contains("\"reported\"")).unwrap();
    let mut gap = first.to_vec();
    let late = gap.remove(step);
    let n = late.text[..20].to_owned();
    let of_step = |row: &StoredEntry| row.text.starts_with(&n[..n.find(',').unwrap() + 1]);
    let mut behind = vec![late];
    behind.extend(gap.iter().filter(|row| of_step(row)).cloned().collect::<Vec<_>>());
    gap.retain(|row| !of_step(row));
    let found = replay(gap.clone());
    assert!(found.stopped.is_some_and(|why| why.contains("not in the journal")));
    let last = gap.len().min(step + 3);
    gap.splice(last..last, behind);
    assert_eq!(replay(gap), good);
}

/// A leadership of a `strict` pair, played by chance: votes several times a second, links, crashes, a disk that is full at
/// times, and votes that are given while it is waited for.
struct Night {
    control: Control,
    recorder: Recorder,
    rows: Vec<JournalEntry>,
    seed: u64,
    asides: usize,
    failures: usize,
}

const STRICT: &str = "[cluster]\nname = \"demo\"\ntimers = \"fast\"\n\
    [[host]]\nname = \"alpha\"\naddresses = [\"10.0.0.1\"]\n[[host]]\nname = \"beta\"\naddresses = [\"10.0.0.2\"]\n\
    [[application]]\nname = \"a\"\nhost = \"alpha\"\ninterface = \"library\"\ncommand = [\"/bin/true\"]\n\
    [[application]]\nname = \"b\"\nhost = \"beta\"\ninterface = \"library\"\ncommand = [\"/bin/true\"]\n\
    [[pair]]\nname = \"p\"\nprimary = \"a\"\nbackup = \"b\"\nredundancy = \"hot-standby\"\npolicy = \"strict\"\n";

impl Night {
    fn new(seed: u64) -> Self {
        let memory = ControlMemory {
            controller: "scs-1".parse().unwrap(),
            controller_epoch: ControllerEpoch(1),
            roles: [("p".parse().unwrap(), role(1, "a"))].into(),
            goals: BTreeMap::new(),
            maintenance: Vec::new(),
            last_operation: OperationId(0),
            flaps: BTreeMap::new(),
            drained: BTreeSet::new(),
            in_sync: Default::default(),
            holds: Default::default(),
            grants: GrantMemory::default(),
            asked: Default::default(),
        };
        let mut recorder = Recorder::default();
        let rows = recorder.begin(Moment(1), &memory);
        let control = Control::new(memory);
        let mut night = Self { control, recorder, rows, seed, asides: 0, failures: 0 };
        let cluster = understudy_settings::parse_cluster("c", STRICT).unwrap().value;
        night.step(Moment(1_000_000_000), ControlSaw::Configured { cluster, own_hosts: BTreeSet::new() });
        night
    }

    fn chance(&mut self, of: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % of
    }

    /// As the hands do: what could not be stored is written again, behind what came meanwhile.
    fn step(&mut self, at: Moment, saw: ControlSaw) {
        let mut next = Some((at, saw));
        while let Some((at, saw)) = next.take() {
            let decision = self.control.step(at, saw.clone());
            let rows = self.recorder.note(Step { at, aside: false, saw }, &decision);
            if decision.persist.is_empty() {
                self.rows.extend(rows);
                continue;
            }
            let fails = self.chance(4) == 0;
            if !fails {
                self.rows.extend(rows.clone());
            }
            for number in 0..self.chance(3) {
                let at = at + Duration::from_micros(number + 1);
                let saw = self.vote();
                if let Some(decision) = self.control.aside(at, &saw) {
                    self.rows.extend(self.recorder.note(Step { at, aside: true, saw }, &decision));
                    self.asides += 1;
                }
            }
            if fails {
                self.failures += 1;
                self.rows.extend(rows);
                let definite = self.chance(2) == 0;
                let at = at + Duration::from_micros(9);
                next = Some((at, Control::store_failed(decision.persist, "full".to_owned(), definite)));
            }
        }
    }

    fn vote(&mut self) -> ControlSaw {
        let (host, holder) = if self.chance(2) == 0 { ("alpha", "a") } else { ("beta", "b") };
        let (number, epoch) = (self.chance(1_000), self.chance(3) + 1);
        let lease = Duration::from_millis(250);
        let (pair, role) = ("p".parse().unwrap(), role(epoch, holder));
        let ask = VoteAsk { pair, incarnation: Incarnation(7), number, role, lease };
        ControlSaw::VoteAsked { host: host.parse().unwrap(), ask }
    }

    fn report(&mut self, name: &str) -> ApplicationReport {
        let epoch = self.chance(4);
        let acting = (self.chance(2) == 0 && epoch > 0).then(|| role(epoch, name));
        let runs = acting.is_some() || self.chance(3) > 0;
        ApplicationReport {
            application: name.parse().unwrap(),
            pid: runs.then_some(7),
            status: if runs { ApplicationStatus::Started } else { ApplicationStatus::Stopped },
            goal: Goal::Started,
            run_mode: if acting.is_some() { RunMode::Primary } else { RunMode::Backup },
            problem: String::new(),
            restarts: 0,
            gave_up: false,
            last_exit: None,
            role: Some(RoleReport {
                pair: "p".parse().unwrap(),
                promised: acting.clone(),
                closed: Epoch(epoch.saturating_sub(1)),
                acting,
                strict: Some(GrantReport::default()),
            }),
        }
    }

    fn saw(&mut self) -> ControlSaw {
        let (host, name) = if self.chance(2) == 0 { ("alpha", "a") } else { ("beta", "b") };
        let host: HostName = host.parse().unwrap();
        match self.chance(20) {
            0 => {
                let applications = vec![self.report(name)];
                let (agent, incarnation) = (AgentId(u128::MAX), Incarnation(u128::from(self.chance(9))));
                let controller_epoch = ControllerEpoch(1);
                let inventory =
                    Inventory { host: host.clone(), agent, incarnation, controller_epoch, applications };
                ControlSaw::LinkUp { host, inventory }
            }
            1 => ControlSaw::LinkDown { host, end: LinkEnd::Silent, why: "ü".to_owned() },
            2..5 => ControlSaw::Reported { host, report: self.report(name) },
            5 => {
                let outcome =
                    if self.chance(2) == 0 { Outcome::Done } else { Outcome::Refused(Refusal::Busy) };
                ControlSaw::Answered { host, answer: Answer { order: OrderId(self.chance(30)), outcome } }
            }
            _ => self.vote(),
        }
    }
}

fn role(epoch: u64, holder: &str) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), holder.parse().unwrap())
}

fn stored(rows: Vec<JournalEntry>) -> impl Iterator<Item = StoredEntry> {
    let numbered = |(id, row): (usize, JournalEntry)| {
        let JournalEntry { at_boot, at_wall_ms, kind, text } = row;
        StoredEntry { id: id as i64 + 1, at_boot, at_wall_ms, kind, text }
    };
    rows.into_iter().enumerate().map(numbered)
}

#[test]
fn nights_of_chance_with_votes_asides_and_full_disks_are_decided_again() {
    let (mut asides, mut failures, mut packed, mut decisions) = (0, 0, 0, 0);
    for seed in 0..40 {
        let mut night = Night::new(seed);
        let mut now = Moment(1_000_000_000);
        for _ in 0..400 {
            now = now + Duration::from_nanos(1 + night.chance(60_000_000));
            while let Some(due) = night.control.next_deadline().filter(|due| *due <= now) {
                // It is woken a little late; sometimes much.
                let late = if night.chance(200) == 0 { 900_000_000 } else { night.chance(100_000) };
                now = now.max(due + Duration::from_nanos(late));
                night.step(now, ControlSaw::DeadlinePassed);
            }
            // What was put in before the clock was read is handled after it.
            let stamped = Moment(now.0 - night.chance(2_000));
            let saw = night.saw();
            night.step(stamped, saw);
        }
        night.rows.extend(night.recorder.flush());
        (asides, failures) = (asides + night.asides, failures + night.failures);
        packed += night.rows.iter().filter(|row| row.text.contains(PACKED)).count();
        let found = replay(stored(night.rows));
        assert!(found.difference.is_none() && found.stopped.is_none(), "seed {seed}: {found:#?}");
        decisions += found.decisions;
    }
    assert!(
        asides > 20 && failures > 20 && packed > 100 && decisions > 1_000,
        "{asides} {failures} {packed} {decisions}"
    );
}

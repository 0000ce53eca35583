//! One phase: clients write, faults for a while, quiet until the cluster is well, then every check.
//!
//! It knows what must be so when faults have ended. The law: a member that was not killed has the process that it had
//! before, and each pair has exactly one primary, as the members themselves say.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use understudy_model::Policy;

use super::faults::Faults;
use super::strains::Strains;
use super::summary::Summary;
use super::watch::PageWatch;
use super::{events_after, newest_event};
use crate::demo::members;
use crate::dice::Dice;
use crate::load::Load;
use crate::{Programs, Stage, StageError, Status};

/// Faults are made for so long.
const FAULTS: Duration = Duration::from_secs(10);
/// The longest pause between two strokes.
const LONGEST_PAUSE: Duration = Duration::from_millis(1_500);
/// How often away daemons are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long the cluster may take to be well after the faults.
const WELL_LIMIT: Duration = Duration::from_secs(60);
/// After the last fault, until everybody has heard of it and the status can be believed.
const HEARD: Duration = Duration::from_millis(500);
/// The same where links were cut: what was lost is sent again after a while, and a silence that had begun may still end one.
const HEARD_THROUGH_CUTS: Duration = Duration::from_secs(3);
/// How often something lasting is done in a phase with cuts and stops.
const STRAIN_PERCENT: u64 = 60;
/// Quiet service before the faults, and after the cluster is well again.
const SERVICE: Duration = Duration::from_secs(1);
/// Between two writes of a client, so that the machine has time for faults.
const PAUSE_US: &str = "500";
/// How long members may take until both have answered.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A phase that has begun: the cluster is well and clients write.
pub(super) struct Phase<'a> {
    stage: &'a mut Stage,
    programs: &'a Programs,
    before: Status,
    loads: Vec<(String, Load)>,
    last_event: i64,
    /// Cuts and stops too, and not only kills.
    strained: bool,
    policy: Policy,
    pages: Vec<(String, PageWatch)>,
}

impl<'a> Phase<'a> {
    pub fn begin(
        stage: &'a mut Stage,
        programs: &'a Programs,
        strained: bool,
        policy: Policy,
    ) -> Result<Self, StageError> {
        let before = stage.until_well(WELL_LIMIT)?;
        let last_event = newest_event(stage)?;
        let names: Vec<String> = stage.plan().pairs.iter().map(|pair| pair.name.clone()).collect();
        let (mut loads, mut pages) = (Vec::new(), Vec::new());
        for name in names {
            if policy == Policy::Strict {
                pages.push((name.clone(), PageWatch::begin(stage, &name)?));
            }
            let load = Load::start(
                programs,
                &members(stage.plan(), &name),
                &["--pause-us", PAUSE_US],
                stage.client_place().as_deref(),
            )?;
            loads.push((name, load));
        }
        Ok(Self { stage, programs, before, loads, last_event, strained, policy, pages })
    }

    pub fn play(mut self, dice: &mut Dice, summary: &mut Summary) -> Result<(), StageError> {
        let interrupt = self.stage.interrupt().clone();
        interrupt.let_pass(SERVICE)?;
        let (mut faults, mut strains) = (Faults::default(), Strains::of(self.policy));
        let end = Instant::now() + FAULTS;
        while Instant::now() < end {
            if self.strained && dice.chance(STRAIN_PERCENT) {
                strains.begin(self.stage, dice, summary)?;
            } else {
                faults.strike(self.stage, dice, summary)?;
            }
            let next = Instant::now() + dice.span(LONGEST_PAUSE);
            while Instant::now() < next {
                strains.ease(self.stage, false)?;
                faults.bring_back(self.stage, false)?;
                interrupt.let_pass(LOOK)?;
            }
        }
        strains.ease(self.stage, true)?;
        faults.bring_back(self.stage, true)?;
        let quiet = Instant::now();
        interrupt.let_pass(if self.strained { HEARD_THROUGH_CUTS } else { HEARD })?;
        let after = self.stage.until_well(WELL_LIMIT)?;
        let well_again_ms = quiet.elapsed().as_secs_f64() * 1000.0;
        interrupt.let_pass(SERVICE)?;
        let now = self.stage.until_well(WELL_LIMIT)?;
        if now.pids() != after.pids() {
            summary.violation(format!("without faults {:?} became {:?}", after.pids(), now.pids()));
        }
        // Whose votes ran out under all this was ended, and is no violation; who was not is.
        let mut may_be_new = strains.stopped_members.clone();
        if self.policy == Policy::Strict {
            let ended = replaced(&self.before, &now, &faults.killed_members, &may_be_new);
            summary.ended_by_leases(ended.len());
            may_be_new.extend(ended);
        }
        for violation in wrongly_changed(&self.before, &now, &faults.killed_members, &may_be_new) {
            summary.violation(violation);
        }
        for (pair, watch) in std::mem::take(&mut self.pages) {
            summary.pages(&pair, &watch.end()?);
        }
        self.check_primaries(summary)?;
        self.count_events(summary)?;
        for (pair, load) in std::mem::take(&mut self.loads) {
            let began = load.began();
            let (client, moments) = load.end(&interrupt)?;
            let doubled = moments.iter().filter(|moment| moment.event == "dual");
            let unexplained = doubled
                .filter(|moment| {
                    let at = Duration::try_from_secs_f64(moment.at_ms / 1000.0).unwrap_or_default();
                    !strains.may_have_doubled(began + at)
                })
                .count();
            let plan = self.stage.plan().pairs.iter().find(|one| one.name == pair);
            let any_killed = plan.is_some_and(|plan| {
                [&plan.primary, &plan.backup].into_iter().any(|name| faults.killed_members.contains(name))
            });
            let any_killed = any_killed || !may_be_new.is_empty();
            summary.client(&pair, &client, any_killed, strains.has_doubling().then_some(unexplained));
        }
        summary.phase_done(well_again_ms);
        Ok(())
    }

    /// The members themselves say who serves: exactly one. A member that does not answer in the client's half second, on a machine
    /// that is busy, has said nothing and is asked again; what was answered counts at once.
    fn check_primaries(&self, summary: &mut Summary) -> Result<(), StageError> {
        for pair in &self.stage.plan().pairs {
            let answered =
                |said: &Output| if said.stdout.is_empty() { Err("no answer".to_owned()) } else { Ok(()) };
            let mut asked = 0;
            let said = self.stage.interrupt().until("both members answer", ANSWER_LIMIT, || {
                asked += 1;
                let said = self.ask_once(&pair.name)?;
                Ok(answered(&said).map(|()| said))
            })?;
            summary.asked_again(asked - 1);
            if !said.status.success() {
                let text = String::from_utf8_lossy(&said.stdout).into_owned();
                summary.violation(format!("{}: not exactly one member serves: {text}", pair.name));
            }
        }
        Ok(())
    }

    fn ask_once(&self, pair: &str) -> Result<Output, StageError> {
        let program = self.programs.path("tserver-load");
        let mut command = Command::new(&program);
        command.arg("--once").args(members(self.stage.plan(), pair)).stderr(Stdio::inherit());
        let asked = match self.stage.client_place() {
            Some(place) => place.run(move || command.output())?,
            None => command.output(),
        };
        asked.map_err(|source| StageError::Start { program, source })
    }

    fn count_events(&self, summary: &mut Summary) -> Result<(), StageError> {
        for event in events_after(self.stage, self.last_event)? {
            summary.event(&event.kind, &event.rule, &event.reason);
        }
        Ok(())
    }
}

/// Members that nobody killed or stopped and that have another process.
fn replaced(
    before: &Status,
    now: &Status,
    killed: &BTreeSet<String>,
    stopped: &BTreeSet<String>,
) -> Vec<String> {
    let earlier: BTreeMap<String, Option<u32>> = before.pids().into_iter().collect();
    let new = now.pids().into_iter().filter(|(name, pid)| earlier.get(name) != Some(pid));
    new.map(|(name, _)| name).filter(|name| !killed.contains(name) && !stopped.contains(name)).collect()
}

/// A member that nobody killed has the process that it had, one that was killed has another; epochs never go back.
/// One that was stopped may have been replaced, or not.
fn wrongly_changed(
    before: &Status,
    now: &Status,
    killed: &BTreeSet<String>,
    stopped: &BTreeSet<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    let earlier: BTreeMap<String, Option<u32>> = before.pids().into_iter().collect();
    for (name, pid) in now.pids() {
        let had = earlier.get(&name).copied().flatten();
        let was_killed = killed.contains(&name);
        if !was_killed && !stopped.contains(&name) && had != pid {
            found.push(format!("{name} was not killed, and its process {had:?} became {pid:?}"));
        }
        if was_killed && had == pid {
            found.push(format!("{name} was killed, and process {pid:?} still counts as its own"));
        }
    }
    for pair in &now.pairs {
        let had = before.pair(&pair.name).map_or(0, |before| before.epoch);
        if pair.epoch < had {
            found.push(format!("{}: epoch {had} became {}", pair.name, pair.epoch));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(pids: [u32; 2], epoch: u64) -> Status {
        let member = |name: &str, pid: u32| {
            json!({ "name": name, "host": "alpha", "pair": "t", "pid": pid, "status": "started",
                "goal": "started", "run_mode": "backup", "restarts": 0 })
        };
        let pair = json!({ "name": "t", "primary": "t-1", "backup": "t-2", "epoch": epoch, "ready": true });
        let members = [member("t-1", pids[0]), member("t-2", pids[1])];
        let all = json!({ "hosts": [], "applications": members, "pairs": [pair] });
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn only_what_was_killed_may_have_another_process() {
        let before = status([10, 20], 3);
        let killed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let found =
            |now: &Status, names: &[&str]| wrongly_changed(&before, now, &killed(names), &BTreeSet::new());
        assert_eq!(found(&status([11, 20], 4), &["t-1"]), Vec::<String>::new());
        assert!(found(&status([11, 20], 4), &[])[0].starts_with("t-1 was not killed"));
        assert!(found(&status([11, 20], 4), &["t-1", "t-2"])[0].starts_with("t-2 was killed"));
        assert!(found(&status([10, 20], 2), &[])[0].contains("epoch 3 became 2"));
        let replaced = wrongly_changed(&before, &status([11, 20], 4), &killed(&[]), &killed(&["t-1"]));
        assert_eq!(replaced, Vec::<String>::new(), "a stopped one may have been replaced");
    }
}

//! Observations and decisions in words.
//!
//! Refuses to leave out who and which epoch; leaves out how a program is run. The law: what is decided is told with the rule
//! that decided it.

use std::fmt::Debug;

use understudy_decide::agent::{AgentDo, AgentRecord, AgentSaw};
use understudy_decide::control::{ControlDo, ControlRecord, ControlSaw};
use understudy_model::*;

/// The longest text that is made of something by its own words.
const LONGEST: usize = 240;

fn short(value: &impl Debug) -> String {
    let mut text = format!("{value:?}");
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

fn role(role: &RoleEpoch) -> String {
    role.to_string()
}

fn roles(role: Option<&RoleEpoch>) -> String {
    role.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

fn work(order: &Order) -> String {
    let text = match &order.work {
        Work::Assign(all) => {
            let one = |assigned: &Assignment| {
                let off = if assigned.hands_off { ", hands off" } else { "" };
                format!("{}: {}{off}", assigned.application, assigned.goal)
            };
            format!("assign {}", all.iter().map(one).collect::<Vec<_>>().join("; "))
        }
        Work::SetGoal { application, goal, graceful } => {
            format!("{application} shall be {goal}, graceful: {graceful}")
        }
        Work::SetHandsOff { application, hands_off } => format!("hands off {application}: {hands_off}"),
        Work::Restart { application } => format!("restart {application}"),
        Work::Promote { role: own, grant, .. } => {
            let grant = grant.as_ref().map_or_else(String::new, |grant| format!(", grant {grant:?}"));
            format!("promote {}{grant}", role(own))
        }
        Work::Demote { role: own, .. } => format!("demote {}", role(own)),
        Work::WouldPromise { role: own, .. } => format!("would you promise {}?", role(own)),
        Work::Learn { pair, stored, lease: _ } => format!("the store of {pair} holds epoch {stored}"),
        Work::LetGo => "let go".to_owned(),
    };
    format!("order {} of controller epoch {}: {text}", order.id.0, order.controller_epoch)
}

fn report(report: &ApplicationReport) -> String {
    let role = report.role.as_ref().map_or_else(String::new, |own| {
        format!(
            ", promised {}, closed {}, acting {}",
            roles(own.promised.as_ref()),
            own.closed,
            roles(own.acting.as_ref())
        )
    });
    format!("{} is {} as {}{role}", report.application, report.status, report.run_mode)
}

fn inventory(inventory: &Inventory) -> String {
    inventory.applications.iter().map(report).collect::<Vec<_>>().join("; ")
}

fn ask(ask: &VoteAsk) -> String {
    format!("vote for {}, number {}", role(&ask.role), ask.number)
}

fn vote(answer: &VoteAnswer) -> String {
    let verdict = match &answer.verdict {
        Verdict::Given => "yes".to_owned(),
        Verdict::Refused { promised, why } => format!("no: {why} (promised {})", roles(promised.as_ref())),
    };
    format!("{verdict}, to {}, number {}", role(&answer.role), answer.number)
}

/// What an agent sees.
pub fn agent_saw(saw: &AgentSaw) -> String {
    match saw {
        AgentSaw::Awake { found, pages } => {
            let one = |found: &understudy_decide::agent::Found| {
                format!("{} process {:?} acts {:?}", found.application, found.pid, found.acts)
            };
            let found: Vec<_> = found.iter().map(one).collect();
            format!("awake; runs: [{}]; pages: {}", found.join(", "), short(pages))
        }
        AgentSaw::Ordered { link, order } => format!("link {}: {}", link.0, work(order)),
        AgentSaw::Spawned { application, pid, .. } => format!("{application} runs, process {pid}"),
        AgentSaw::Ended { application, cause, others_live, .. } => {
            format!("{application} ended: {cause}, others live: {others_live}")
        }
        AgentSaw::Said { application, said, .. } => format!("{application} says {}", short(said)),
        AgentSaw::PeerAsked { host, ask: asked } => format!("{host} asks: {}", ask(asked)),
        AgentSaw::PeerVoted { host, answer } => format!("{host} answers: {}", vote(answer)),
        AgentSaw::PeerReleased { host, release } => format!("{host} released {}", role(&release.role)),
        AgentSaw::ControllerVoted { link, answer } => format!("link {} answers: {}", link.0, vote(answer)),
        AgentSaw::StoreFailed { records, .. } => {
            let records: Vec<_> = records.iter().map(agent_record).collect();
            format!("could not store: {}", records.join(", "))
        }
        AgentSaw::DeadlinePassed => "that time has passed".to_owned(),
        other => short(other),
    }
}

fn agent_record(record: &AgentRecord) -> String {
    match record {
        AgentRecord::Promise { role: own, lease, .. } => format!("promise {} for {lease:?}", role(own)),
        AgentRecord::Close { pair, epoch } => format!("close epoch {epoch} of {pair}"),
        AgentRecord::ControllerEpoch { epoch, .. } => format!("controller epoch {epoch}"),
        AgentRecord::Assignments(all) => {
            let one = |assigned: &Assignment| format!("{}: {}", assigned.application, assigned.goal);
            format!("table {}", all.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    }
}

fn agent_act(action: &AgentDo) -> String {
    match action {
        AgentDo::Welcome { link, inventory: all } => format!("welcome link {}: {}", link.0, inventory(all)),
        AgentDo::Report(own) => format!("report {}", report(own)),
        AgentDo::Spawn(spawn) => {
            format!("start {} as {} in epoch {}", spawn.application, spawn.run_mode, spawn.epoch)
        }
        AgentDo::AskPeer { host, ask: asked } => format!("ask {host}: {}", ask(asked)),
        AgentDo::AskController { link, ask: asked } => format!("ask link {}: {}", link.0, ask(asked)),
        AgentDo::AnswerPeer { host, answer } => format!("answer {host}: {}", vote(answer)),
        AgentDo::TellPeer { host, release } => format!("tell {host}: released {}", role(&release.role)),
        AgentDo::ShowPage { application, page, .. } => {
            format!("page of {application}: {} until {}", roles(page.role.as_ref()), page.until)
        }
        AgentDo::Guard { application, kill_at, .. } => format!("guard: kill {application} at {kill_at}"),
        AgentDo::RunHook(run) => {
            format!("{} of {} in epoch {}", run.kind.as_str(), run.application, run.epoch)
        }
        other => short(other),
    }
}

fn why(events: &[Event], quiet: &[Because]) -> Vec<String> {
    let all = events.iter().map(|event| &event.because).chain(quiet);
    all.map(|because| format!("    because [{}] {}", because.rule, because.reason)).collect()
}

/// What an agent decides, a line each.
pub fn agent_decision(decision: &Decision<AgentRecord, AgentDo>) -> Vec<String> {
    let stores = decision.persist.iter().map(|record| format!("    first stores: {}", agent_record(record)));
    let acts = decision.actions.iter().map(|action| format!("    does: {}", agent_act(action)));
    stores.chain(acts).chain(why(&decision.events, &decision.quiet)).collect()
}

/// What a control server sees.
pub fn control_saw(saw: &ControlSaw) -> String {
    match saw {
        ControlSaw::Configured { .. } => "the configuration".to_owned(),
        ControlSaw::LinkUp { host, inventory: all } => format!("{host} is linked: {}", inventory(all)),
        ControlSaw::LinkDown { host, end, .. } => format!("no link to {host}: {}", end.says()),
        ControlSaw::Reported { host, report: own } => format!("{host} reports {}", report(own)),
        ControlSaw::Answered { host, answer } => {
            format!("{host} answers order {}: {}", answer.order.0, short(&answer.outcome))
        }
        ControlSaw::Asked { ask, .. } => format!("an operator asks {}", short(ask)),
        ControlSaw::VoteAsked { host, ask: asked } => format!("{host} asks: {}", ask(asked)),
        ControlSaw::StoreFailed { records, definite, .. } => {
            let records: Vec<_> = records.iter().map(control_record).collect();
            format!("could not store, certainly nothing: {definite}: {}", records.join(", "))
        }
        ControlSaw::DeadlinePassed => "that time has passed".to_owned(),
        other => short(other),
    }
}

fn control_record(record: &ControlRecord) -> String {
    match record {
        ControlRecord::RaiseEpoch { pair, expected, next } => {
            format!("role of {pair}: {} -> {}", roles(expected.as_ref()), role(next))
        }
        other => short(other),
    }
}

/// What a control server decides, a line each.
pub fn control_decision(decision: &Decision<ControlRecord, ControlDo>) -> Vec<String> {
    let stores =
        decision.persist.iter().map(|record| format!("    first stores: {}", control_record(record)));
    let acts = decision.actions.iter().map(|action| match action {
        ControlDo::Send { host, order } => format!("    tells {host}: {}", work(order)),
        ControlDo::Vote { host, answer } => format!("    answers {host}: {}", vote(answer)),
        other => format!("    does: {}", short(other)),
    });
    stores.chain(acts).chain(why(&decision.events, &decision.quiet)).collect()
}

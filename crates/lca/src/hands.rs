//! The hands of the machine: each action carried out, each record kept, each reason told.
//!
//! Refuses to decide anything. The law: what does not happen at once is begun here and its outcome observed.

use std::sync::Arc;

use understudy_decide::agent::{Agent, AgentDo, AgentRecord, AgentSaw};
use understudy_drive::{Hands, Inbox, Persisting, Told};
use understudy_model::{AgentId, Decision, Event, Moment, Severity};

use understudy_guard::guards::Guards;

use crate::application_links::ApplicationLinks;
use crate::guarding;
use crate::keeper::Keeper;
use crate::links::Links;
use crate::peers::Peers;
use crate::platform::Platform;
use crate::processes::Processes;
use crate::status::board::Board;

/// What the agent's machine is given to act with.
pub struct AgentHands<P: Platform> {
    /// Files.
    pub keeper: Keeper,
    /// Processes.
    pub processes: Arc<Processes<P>>,
    /// The way back to the machine.
    pub inbox: Inbox<Agent>,
    /// Control servers.
    pub links: Arc<Links>,
    /// Agents of other hosts.
    pub peers: Arc<Peers>,
    /// Applications.
    pub applications: Arc<ApplicationLinks<P>>,
    /// What kills members whose time is over.
    pub guards: Guards,
    /// This agent.
    pub agent: AgentId,
    /// Those who look; absent if nobody can.
    pub board: Option<Arc<Board>>,
}

impl<P: Platform> Hands<Agent> for AgentHands<P> {
    fn record(&mut self, at: Moment, saw: &AgentSaw, _: &Decision<AgentRecord, AgentDo>) {
        if let AgentSaw::MainChanged { start, .. } = saw {
            match self.processes.grip(*start) {
                Ok(Some(grip)) => self.guards.replace_grip(guarding::start_of(self.agent, *start), grip),
                // It has ended already, which is observed next.
                Ok(None) => {}
                Err(error) => tracing::debug!(?start, %error, "the guard keeps its former main process"),
            }
        }
        // The journal is the control server's; here it is for those who look closely.
        tracing::trace!(%at, observed = word(saw));
    }

    fn persist(
        &mut self,
        at: Moment,
        saw: &AgentSaw,
        decision: &Decision<AgentRecord, AgentDo>,
    ) -> Persisting {
        tracing::trace!(%at, observed = word(saw));
        let (keeper, links, records) =
            (self.keeper.clone(), Arc::clone(&self.links), decision.persist.clone());
        Box::pin(async move {
            let obeyed = records.iter().find_map(|record| match record {
                AgentRecord::ControllerEpoch { epoch, .. } => Some(*epoch),
                _ => None,
            });
            keeper.keep(records).await?;
            if let Some(epoch) = obeyed {
                links.obeyed(epoch);
            }
            Ok(())
        })
    }

    fn act(&mut self, action: AgentDo) {
        match action {
            AgentDo::Welcome { link, inventory } => self.links.welcome(link, inventory),
            AgentDo::TurnAway { link, reason, controller_epoch } => {
                self.links.turn_away(link, &reason, controller_epoch);
            }
            AgentDo::Report(report) => self.links.report(report),
            AgentDo::Answer { link, answer } => self.links.answer(link, answer),
            AgentDo::Spawn(spawn) => self.processes.spawn(spawn, self.guards.gate()),
            AgentDo::Signal { application, start, signal } => {
                self.processes.signal(&application, start, signal);
            }
            AgentDo::Reload { application, start, options, signal } => {
                self.processes.reload(&application, start, &options, signal);
            }
            AgentDo::RunHook(run) => self.processes.run_hook(run, self.guards.gate()),
            AgentDo::Look { application, start, limit } => self.processes.look(application, start, limit),
            AgentDo::Probe { application, probe, ask, timeout } => {
                self.processes.probe(application, probe, ask, timeout);
            }
            AgentDo::KeepEvidence { application, start } => self.processes.keep_evidence(application, start),
            AgentDo::KillTree { application, start } => self.processes.kill_tree(&application, start),
            AgentDo::TellLeaving { leaving } => self.links.tell_leaving(leaving),
            AgentDo::AskController { link, ask } => self.links.ask_vote(link, ask),
            AgentDo::SayInSync { link, ask } => {
                if let Some(answer) = self.links.say_in_sync(link, ask) {
                    let inbox = self.inbox.clone();
                    tokio::spawn(async move { inbox.saw(AgentSaw::InSyncAnswered { link, answer }).await });
                }
            }
            AgentDo::KeepPeers(peers) => self.peers.keep(peers),
            AgentDo::RemindPeer { host, remembered } => self.peers.remember(&host, remembered),
            AgentDo::AskPeer { host, ask } => self.peers.ask(&host, ask),
            AgentDo::AnswerPeer { host, answer } => self.peers.answer(&host, answer),
            AgentDo::TellPeer { host, release } => self.peers.tell(&host, release),
            AgentDo::ShowPage { application, page } => {
                if let Err(error) = self.processes.pages().set(&application, &page) {
                    tracing::error!(%application, %error, "its role page could not be written: it says what it said");
                }
            }
            AgentDo::ForgetPage { application } => {
                if let Err(error) = self.processes.pages().forget(&application) {
                    tracing::warn!(%application, %error, "its role page could not be removed");
                }
            }
            AgentDo::NeedGuard => self.guards.need(),
            AgentDo::Guard { application, start, kill_at } => {
                let grip = || self.processes.grip(start);
                let named = guarding::start_of(self.agent, start);
                // What runs no more needs no guard, and is released when its end is observed.
                if let Err(error) = self.guards.guard(&application, named, kill_at, grip) {
                    tracing::warn!(%application, %error, "it is not guarded");
                    let (inbox, why) = (self.inbox.clone(), error.to_string());
                    tokio::spawn(async move {
                        inbox.saw(AgentSaw::GuardRefused { application, start, why }).await
                    });
                }
            }
            AgentDo::Unguard { start, .. } => self.guards.release(guarding::start_of(self.agent, start)),
            AgentDo::Say { application, start, message } => {
                self.applications.say(&application, start, message)
            }
        }
    }

    fn tell(&mut self, agent: &Agent, told: Told) {
        if let Some(board) = &self.board {
            board.pin(agent, &told.events);
        }
        self.links.tell_events(&told.events);
        for event in &told.events {
            log(event);
        }
        for because in &told.quiet {
            tracing::debug!(rule = because.rule.id(), reason = %because.reason, "quiet");
        }
    }
}

/// What was observed, without what it says: orders carry environments and options, which may hold secrets.
fn word(saw: &AgentSaw) -> &'static str {
    match saw {
        AgentSaw::Awake { .. } => "awake",
        AgentSaw::ControllerJoined { .. } => "controller-joined",
        AgentSaw::ControllerLeft { .. } => "controller-left",
        AgentSaw::Ordered { .. } => "ordered",
        AgentSaw::Spawned { .. } => "spawned",
        AgentSaw::SpawnFailed { .. } => "spawn-failed",
        AgentSaw::Ended { .. } => "ended",
        AgentSaw::TreeGone { .. } => "tree-gone",
        AgentSaw::Said { .. } => "said",
        AgentSaw::ApplicationLeft { .. } => "application-left",
        AgentSaw::HookEnded { .. } => "hook-ended",
        AgentSaw::Noticed { .. } => "noticed",
        AgentSaw::MainChanged { .. } => "main-changed",
        AgentSaw::Looked { .. } => "looked",
        AgentSaw::Evidence { .. } => "evidence",
        AgentSaw::StoreFailed { .. } => "store-failed",
        AgentSaw::LeaveAsked { .. } => "leave-asked",
        AgentSaw::LeaveTakenBack => "leave-taken-back",
        AgentSaw::PeerJoined { .. } => "peer-joined",
        AgentSaw::PeerLeft { .. } => "peer-left",
        AgentSaw::PeerAsked { .. } => "peer-asked",
        AgentSaw::PeerVoted { .. } => "peer-voted",
        AgentSaw::PeerReleased { .. } => "peer-released",
        AgentSaw::PeerRemembers { .. } => "peer-remembers",
        AgentSaw::ControllerVoted { .. } => "controller-voted",
        AgentSaw::InSyncAnswered { .. } => "in-sync-answered",
        AgentSaw::GuardChanged { .. } => "guard-changed",
        AgentSaw::GuardRefused { .. } => "guard-refused",
        AgentSaw::GuardFired { .. } => "guard-fired",
        AgentSaw::DeadlinePassed => "deadline-passed",
    }
}

/// One line an event.
fn log(event: &Event) {
    let application = event.about.application.as_ref().map_or("", |name| name.as_str());
    let (rule, reason) = (event.because.rule.id(), event.because.reason.as_str());
    let facts: Vec<String> =
        event.because.facts.iter().map(|fact| format!("{}: {}", fact.what, fact.is)).collect();
    let facts = facts.join("; ");
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(kind = event.kind.as_str(), application, rule, %facts, "{reason}")
        };
    }
    match event.severity {
        Severity::Info => line!(info),
        Severity::Warning => line!(warn),
        Severity::Critical => line!(error),
    }
}

//! Members as processes: they come up, call their agent, do what they are told in their own time, end and leave children.
//!
//! Refuses to know what their agent thinks of them. The law: what a member is changes only by its own doing, and a process
//! that is stopped does nothing, not even end, unless it is killed.

use std::collections::VecDeque;

use understudy_decide::agent::{AgentSaw, HookKind, HookRun, Spawn, StartId};
use understudy_model::*;

use super::World;
use super::acknowledging::Words;
use crate::climate::{MS, Way};
use crate::queue::Event;

/// One start of one application, as long as anything of it lives.
#[derive(Debug)]
pub struct Member {
    /// Whose turn of this place in the list it is.
    pub serial: u32,
    /// Something of it lives.
    pub lives: bool,
    /// Of which application.
    pub part: usize,
    /// Where.
    pub host: usize,
    /// Which start.
    pub start: StartId,
    /// Its number.
    pub pid: u32,
    /// Its main process lives.
    pub main: bool,
    /// Children of it live.
    pub others: bool,
    /// Its end was sent, also to its children or not, and it cannot end: it runs no more of its code.
    pub doomed: Option<bool>,
    /// How many stops it is under.
    pub frozen: u32,
    /// What it would have done meanwhile.
    pub put_off: Vec<Event>,
    /// What it was told by its agent, and did, or was started as.
    pub mode: RunMode,
    /// In which epoch.
    pub epoch: Epoch,
    /// The highest epoch that it left or refused.
    pub left: Epoch,
    /// What it says of itself.
    pub ready: Readiness,
    /// It was asked to finish.
    pub suspended: bool,
    /// A stop signal came while it was stopped.
    pub signalled: bool,
    /// Its link to its agent.
    pub link: Option<u32>,
    /// One that is being opened.
    pub calling: Option<u32>,
    /// What it will do, in this order.
    pub todo: VecDeque<Todo>,
    todo_last: u64,
    /// What it said, on which link.
    pub says: VecDeque<(u32, FromApplication)>,
    says_last: u64,
    /// The epoch that its agent noted: it was known to be primary in it.
    pub noted: Option<Epoch>,
    /// The same of what was begun and did not end well: it may be primary in it.
    pub half: Option<Epoch>,
    /// What it said of who has everything.
    pub words: Words,
    /// Restarts in a row before it.
    pub restarts: u32,
    /// When it was started.
    pub born: u64,
    /// Its agent wants to know whether it is stopped, and was last told so.
    pub looked: Option<(std::time::Duration, bool)>,
    /// The life of its agent that wants to know what it does.
    pub evidence: Option<u32>,
}

/// Something a member does by itself.
#[derive(Debug, Clone)]
pub enum Todo {
    /// Open a link.
    Call,
    /// Say that it can serve.
    BecomeReady,
    /// Do what was said on that link.
    Told(u32, ToApplication),
}

/// A start under way.
#[derive(Debug, Clone)]
pub struct Starting {
    /// Tells starts apart.
    pub number: u32,
    /// What is started.
    pub spawn: Spawn,
    /// It is to be killed as soon as it runs.
    pub killed: bool,
    /// It gets its stop signal as soon as it runs.
    pub signalled: bool,
    /// Its process is made, and waits until it is guarded.
    pub waits: bool,
}

/// A hook under way.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Tells hooks apart.
    pub number: u32,
    /// What is run.
    pub run: HookRun,
    /// It is being killed.
    pub killed: bool,
    /// It was killed and cannot end.
    pub doomed: bool,
    /// In which life of the agent it was begun.
    pub life: u32,
    /// It is made, and waits until it is guarded.
    pub waits: bool,
}

/// One way between a member and its agent.
const SOCKET: (u64, u64) = (20_000, 120_000);

impl Member {
    /// Its main process lives, and runs what it likes.
    pub(super) fn runs(&self) -> bool {
        self.main && self.doomed.is_none()
    }

    /// Something of it that was not killed lives.
    pub fn acts_on(&self) -> bool {
        self.lives && self.doomed.is_none_or(|all| !all && self.others)
    }

    /// Its agent notes that what was run for its role has ended well.
    pub(super) fn note_end(&mut self, run: &HookRun) {
        match run.kind {
            HookKind::Promote => (self.noted, self.half) = (Some(run.epoch), None),
            HookKind::Demote => self.half = None,
            _ => {}
        }
    }
}

impl World {
    /// The living start of an application.
    pub fn member_of(&self, part: usize) -> Option<usize> {
        let host = self.cast.parts[part].host;
        self.members.iter().position(|member| member.lives && member.part == part && member.host == host)
    }

    pub(super) fn member_by_start(&self, host: usize, start: StartId) -> Option<usize> {
        self.members.iter().position(|member| member.lives && member.host == host && member.start == start)
    }

    /// A process begins.
    pub(super) fn make(&mut self, host: usize, spawn: &Spawn) -> Option<usize> {
        let part = self.cast.part(&spawn.application)?;
        let serial = self.serial();
        let way = self.cast.parts[part].way;
        let by_start = way == Way::Restart && spawn.run_mode == RunMode::Primary;
        let member = Member {
            serial,
            lives: true,
            part,
            host,
            start: spawn.start,
            pid: 1000 + serial,
            main: true,
            others: false,
            doomed: None,
            frozen: 0,
            put_off: Vec::new(),
            mode: spawn.run_mode,
            epoch: spawn.epoch,
            left: Epoch::NONE,
            ready: Readiness::NotYet,
            suspended: false,
            signalled: false,
            link: None,
            calling: None,
            todo: VecDeque::new(),
            todo_last: 0,
            says: VecDeque::new(),
            says_last: 0,
            noted: by_start.then_some(spawn.epoch),
            half: None,
            words: Words::default(),
            restarts: spawn.restarts,
            born: self.now,
            looked: None,
            evidence: None,
        };
        let number = match self.members.iter().position(|member| !member.lives) {
            Some(number) => {
                self.members[number] = member;
                number
            }
            None => {
                self.members.push(member);
                self.members.len() - 1
            }
        };
        // A machine that is stopped as a whole starts nothing that runs.
        self.members[number].frozen = self.machines[host].frozen;
        self.tell_at(host, |world| {
            let member = &world.members[number];
            let name = &world.cast.parts[part].name;
            format!("{name} is started as {} in epoch {}, process {}", member.mode, member.epoch, member.pid)
        });
        if way == Way::Library {
            let (least, most) = self.climate.warm_up;
            let warm_up = self.dice.member.between(least, most);
            self.will(number, Todo::Call, MS);
            self.will(number, Todo::BecomeReady, warm_up);
            self.begin_to_acknowledge(number);
        }
        Some(number)
    }

    /// It will do this next but for what it does before.
    pub(super) fn will(&mut self, number: usize, todo: Todo, after: u64) {
        let member = &mut self.members[number];
        let at = (self.now + after).max(member.todo_last + 1);
        member.todo_last = at;
        member.todo.push_back(todo);
        self.queue.put(at, Event::Lives { member: number as u16, serial: member.serial });
    }

    pub(super) fn member_lives(&mut self, number: usize, serial: u32) -> bool {
        let member = &mut self.members[number];
        if member.serial != serial || !member.runs() {
            return false;
        }
        let Some(todo) = member.todo.pop_front() else { return false };
        match todo {
            Todo::Call => self.call(number),
            Todo::BecomeReady => {
                let unready = self.laws.strain.unready[self.members[number].part] > 0;
                let ready =
                    if unready { Readiness::Unavailable("chance".to_owned()) } else { Readiness::Ready };
                self.members[number].ready = ready.clone();
                self.speak(number, FromApplication::Readiness(ready));
            }
            Todo::Told(link, message) => {
                if let Some(said) = self.do_as_told(number, message)
                    && self.members[number].link == Some(link)
                {
                    self.speak(number, said);
                }
            }
        }
        true
    }

    /// It opens a link to its agent, or tries again later.
    fn call(&mut self, number: usize) {
        let member = &self.members[number];
        if member.link.is_some() || member.calling.is_some() {
            return;
        }
        if self.agents[member.host].daemon.machine.is_none() {
            let wait = self.dice.member.between(20 * MS, 200 * MS);
            return self.will(number, Todo::Call, wait);
        }
        let link = self.serial();
        let member = &mut self.members[number];
        member.calling = Some(link);
        member.says.clear();
        let attach = FromApplication::Attach {
            application: self.cast.parts[member.part].name.clone(),
            pid: member.pid,
            run_mode: member.mode,
            epoch: member.epoch,
            readiness: member.ready.clone(),
            suspended: member.suspended,
            heartbeat: true,
        };
        self.speak(number, attach);
    }

    /// It says something on its link, if it has one.
    pub(super) fn speak(&mut self, number: usize, said: FromApplication) {
        let span = self.dice.member.between(SOCKET.0, SOCKET.1);
        let member = &mut self.members[number];
        let Some(link) = member.link.or(member.calling) else { return };
        let at = (self.now + span).max(member.says_last + 1);
        member.says_last = at;
        member.says.push_back((link, said));
        self.queue.put(at, Event::Speaks { member: number as u16, serial: member.serial, link });
    }

    /// A word of it reaches its agent.
    pub(super) fn member_speaks(&mut self, number: usize, serial: u32, link: u32) -> bool {
        let member = &mut self.members[number];
        if member.serial != serial || member.says.front().is_none_or(|(own, _)| *own != link) {
            return false;
        }
        let Some((_, said)) = member.says.pop_front() else { return false };
        let (host, start, part) = (member.host, member.start, member.part);
        if self.agents[host].daemon.machine.is_none() {
            return false;
        }
        if matches!(said, FromApplication::Attach { .. }) {
            if member.calling != Some(link) {
                return false;
            }
            member.calling = None;
            member.link = Some(link);
        } else if member.link != Some(link) {
            return false;
        }
        let application = self.cast.parts[part].name.clone();
        self.agent_mail(host, AgentSaw::Said { application, start, said });
        true
    }

    /// Its agent says something to a start.
    pub(super) fn say(&mut self, host: usize, start: StartId, message: ToApplication) {
        let Some(number) = self.member_by_start(host, start) else { return };
        let Some(link) = self.members[number].link.filter(|_| self.members[number].main) else { return };
        let mut span = self.dice.member.between(SOCKET.0, SOCKET.1);
        if matches!(message, ToApplication::SetRunMode { .. } | ToApplication::Suspend) {
            let (least, most) = self.climate.change;
            span += self.dice.member.between(least, most);
        }
        self.will(number, Todo::Told(link, message), span);
    }

    /// The agent of a host has ended: every member there opens another link when there is one.
    pub(super) fn links_of_members_end(&mut self, host: usize) {
        for number in 0..self.members.len() {
            let member = &mut self.members[number];
            if !member.lives || member.host != host {
                continue;
            }
            (member.looked, member.evidence) = (None, None);
            if member.link.take().or(member.calling.take()).is_some() {
                member.says.clear();
                if member.main {
                    self.will(number, Todo::Call, 10 * MS);
                }
            }
        }
    }

    /// It closes its link by itself, and opens it again.
    pub(super) fn member_leaves(&mut self, part: usize) {
        let Some(number) = self.member_of(part) else { return };
        let member = &mut self.members[number];
        if member.doomed.is_some() || member.link.take().is_none() {
            return;
        }
        member.says.clear();
        let (host, start) = (member.host, member.start);
        let application = self.cast.parts[part].name.clone();
        self.notice(host, AgentSaw::ApplicationLeft { application, start });
        let wait = self.dice.member.scaled(MS, 800 * MS);
        self.will(number, Todo::Call, wait);
    }

    /// Its main process ends, or all of it does.
    pub(super) fn member_ends(&mut self, number: usize, serial: u32, all: bool) -> bool {
        let member = &mut self.members[number];
        if member.serial != serial || !member.lives {
            return false;
        }
        let had_main = std::mem::take(&mut member.main);
        member.link = None;
        member.calling = None;
        member.todo.clear();
        if all {
            member.others = false;
        }
        member.lives = member.others;
        let (host, start, part, others_live) = (member.host, member.start, member.part, member.others);
        let (signalled, mode) = (member.signalled, member.mode);
        let application = self.cast.parts[part].name.clone();
        self.tell_at(host, |_| {
            let rest = if others_live { "; children of it live" } else { "" };
            format!("{application} has ended, start {}{rest}", start.number)
        });
        if had_main {
            let pair = &self.cast.pairs[self.cast.parts[part].pair].name;
            // What is ordered to be primary and is told so by a new start is ended for it.
            let begun_anew = mode != RunMode::Primary
                && self.agents[host].memory.roles.get(pair).is_some_and(|role| {
                    let to_it = |promised: &&RoleEpoch| promised.holder == application;
                    role.promised.as_ref().filter(to_it).is_some_and(|promised| promised.epoch > role.closed)
                });
            self.laws.member_ended(self.now, part, begun_anew);
            let cause = if signalled { ExitCause::Code(0) } else { ExitCause::Signal(9) };
            let last_words = String::new();
            self.notice(host, AgentSaw::Ended { application, start, cause, others_live, last_words });
        } else if !others_live {
            self.notice(host, AgentSaw::TreeGone { application, start });
        }
        true
    }
}

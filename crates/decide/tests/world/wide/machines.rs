//! What is delivered to the machines of the wide world, and how their decisions are carried out.

use std::collections::VecDeque;
use std::time::Duration;

use understudy_decide::agent::{Agent, AgentDo, AgentRecord, AgentSaw, LinkId, Spawn, StartId};
use understudy_decide::control::{Ask, Control, ControlDo, ControlRecord, ControlSaw, LinkEnd, RequestId};
use understudy_model::*;

use super::{Disk, HOSTS, Tree, Wide, host};

impl Wide {
    // ---- deliveries ---------------------------------------------------------------------------------------------

    pub fn deliver_order(&mut self, site: usize) -> bool {
        let Some((link, orders, _)) = &mut self.sites[site].link else { return false };
        let link = *link;
        let Some(order) = orders.pop_front() else { return false };
        self.agent_sees(site, AgentSaw::Ordered { link, order });
        true
    }

    pub fn deliver_report(&mut self, site: usize) -> bool {
        let Some((_, _, reports)) = &mut self.sites[site].link else { return false };
        let Some(saw) = reports.pop_front() else { return false };
        self.control_sees(saw);
        true
    }

    /// The agent notices one end, one start, or one word of an application.
    pub fn notice(&mut self, site: usize) -> bool {
        if self.sites[site].agent.is_none() {
            return false;
        }
        if let Some(saw) = self.sites[site].ends.pop_front() {
            self.agent_sees(site, saw);
            return true;
        }
        if let Some((spawn, killed)) = self.sites[site].starting.pop_front() {
            let (application, start) = (spawn.application.clone(), spawn.start);
            if self.sites[site].cannot_start {
                self.agent_sees(
                    site,
                    AgentSaw::SpawnFailed { application, start, why: "no such file".into() },
                );
                return true;
            }
            let pid = self.make(site, &spawn);
            if let Some(tree) = self.sites[site].trees.iter_mut().find(|tree| tree.start == start) {
                tree.killing = killed;
            }
            self.agent_sees(site, AgentSaw::Spawned { application, start, pid });
            return true;
        }
        let speaks = |tree: &&mut Tree| {
            tree.main && !tree.plain && ((!tree.attached && !tree.hung) || !tree.says.is_empty())
        };
        let Some(tree) = self.sites[site].trees.iter_mut().find(speaks) else { return false };
        let (application, start) = (tree.app.clone(), tree.start);
        let said = if tree.attached {
            tree.says.pop_front()
        } else {
            // What its former link brought is read and done before it opens another.
            while !tree.heard.is_empty() {
                tree.live();
            }
            tree.attached = true;
            tree.says.clear();
            Some(FromApplication::Attach {
                application: application.clone(),
                pid: tree.pid,
                run_mode: tree.mode,
                epoch: tree.epoch,
                readiness: tree.ready.clone(),
                suspended: tree.suspended,
                heartbeat: false,
            })
        };
        let Some(said) = said else { return false };
        self.agent_sees(site, AgentSaw::Said { application, start, said });
        true
    }

    pub fn make(&mut self, site: usize, spawn: &Spawn) -> u32 {
        assert!(
            self.sites[site].trees.iter().all(|tree| tree.app != spawn.application),
            "one tree at a time of {}:\n{}",
            spawn.application,
            self.told()
        );
        self.pids += 1;
        let plain = spawn.spec.interface != Interface::Library;
        let by_start = plain && spawn.spec.conduct.promotes() == Telling::Restart;
        let noted = (by_start && spawn.run_mode == RunMode::Primary).then_some(spawn.epoch);
        self.sites[site].trees.push(Tree {
            app: spawn.application.clone(),
            start: spawn.start,
            pid: self.pids,
            main: true,
            others: false,
            killing: false,
            plain,
            mode: spawn.run_mode,
            epoch: spawn.epoch,
            left: Epoch::NONE,
            ready: Readiness::NotYet,
            attached: false,
            heard: VecDeque::new(),
            says: VecDeque::new(),
            hung: false,
            refuses: false,
            suspended: false,
            slow_end: false,
            signalled: false,
            noted,
        });
        self.pids
    }

    /// A word of one agent to the other, unless the network between the two is cut.
    fn tell_peer(&mut self, site: usize, saw: AgentSaw) {
        if !self.peers_cut {
            self.agent_sees(1 - site, saw);
        }
    }

    /// Every application of a host does one thing that it was told, or becomes ready.
    pub fn run(&mut self, site: usize) -> bool {
        let mut any = false;
        for tree in self.sites[site].trees.iter_mut().filter(|tree| tree.main && !tree.hung && !tree.plain) {
            any |= tree.live();
        }
        any
    }

    /// Time passes, and every deadline that is over is observed.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let agents = self.sites.iter().filter_map(|site| site.agent.as_ref()?.next_deadline());
            let control = self.control.as_ref().and_then(Control::next_deadline);
            let next = agents.chain(control).min().filter(|next| *next < until).unwrap_or(until);
            self.now = self.now.max(next);
            self.observe_deadlines();
            if next == until {
                return;
            }
        }
    }

    /// The control server does not run for a while; everything else does. What it hears next, it hears then.
    pub fn freeze_control(&mut self, span: Duration) {
        self.tell(format!("the control server is frozen for {span:?}"));
        let until = self.now + span;
        loop {
            let agents = self.sites.iter().filter_map(|site| site.agent.as_ref()?.next_deadline());
            let next = agents.min().filter(|next| *next < until).unwrap_or(until);
            self.now = self.now.max(next);
            for site in 0..2 {
                self.agent_rests(site);
            }
            if next == until {
                return;
            }
        }
    }

    /// Time passes, and whatever is observed next is observed before the deadlines that are over.
    pub fn pass_late(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    pub fn observe_deadlines(&mut self) {
        for site in 0..2 {
            self.agent_rests(site);
        }
        self.control_rests();
    }

    pub fn ask(&mut self, ask: Ask) {
        if self.control.is_none() {
            return;
        }
        self.requests += 1;
        let request = RequestId(self.requests);
        self.tell(format!("operator: {ask:?}"));
        let before = self.replies.len();
        self.control_sees(ControlSaw::Asked { request, actor: "tester".into(), ask });
        let given = self.replies.len() - before;
        assert!(given == 1 || (given == 0 && self.control.is_none()), "{given} replies:\n{}", self.told());
    }

    pub fn deliver_all(&mut self) {
        for _ in 0..1000 {
            let mut any = false;
            for site in 0..2 {
                any |= self.deliver_order(site)
                    | self.deliver_report(site)
                    | self.notice(site)
                    | self.end_hook(site)
                    | self.reap(site)
                    | self.run(site);
            }
            if !any {
                return;
            }
        }
        panic!(
            "messages go round for ever:\n{}",
            self.story[self.story.len().saturating_sub(60)..].join("\n")
        );
    }

    pub fn settle(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.start_control();
            for site in 0..2 {
                self.start_agent(site);
                self.connect(site);
            }
            self.deliver_all();
            self.pass(Duration::from_millis(50));
            self.check();
        }
    }

    // ---- the machines -------------------------------------------------------------------------------------------

    pub fn agent_sees(&mut self, site: usize, saw: AgentSaw) {
        let now = self.now;
        let Some(agent) = &mut self.sites[site].agent else { return };
        let decision = agent.step(now, saw);
        self.carry_out(site, decision);
        self.agent_rests(site);
    }

    pub fn agent_rests(&mut self, site: usize) {
        let now = self.now;
        for _ in 0..12 {
            let Some(agent) = &mut self.sites[site].agent else { return };
            if agent.next_deadline().is_none_or(|due| due > now) {
                return;
            }
            let decision = agent.step(now, AgentSaw::DeadlinePassed);
            self.carry_out(site, decision);
        }
        panic!("agent {site} does not come to rest: {:#?}\n{}", self.sites[site].agent, self.told());
    }

    pub fn control_sees(&mut self, saw: ControlSaw) {
        if self.control_steps(saw) {
            self.control_rests();
        }
    }

    /// One step of the control server, and of the machine that looks at everything. False if there is none.
    pub fn control_steps(&mut self, saw: ControlSaw) -> bool {
        let now = self.now;
        if let ControlSaw::LinkUp { host: name, .. } = &saw {
            let site = HOSTS.iter().position(|known| *known == name.as_str());
            if let Some(site) = site {
                self.sites[site].told = None;
            }
        }
        let Some(control) = &mut self.control else { return false };
        let shadow = self.shadow.as_mut().map(|shadow| shadow.step(now, saw.clone()));
        let decision = control.step(now, saw.clone());
        if let Some(shadow) = shadow {
            assert_eq!(decision, shadow, "a machine that looks at everything decides otherwise on {saw:?}");
            let due = self.shadow.as_ref().and_then(Control::next_deadline);
            assert_eq!(control.next_deadline(), due, "and wants to be woken otherwise after {saw:?}");
        }
        self.carry_out_control(decision);
        true
    }

    pub fn control_rests(&mut self) {
        let now = self.now;
        for _ in 0..12 {
            let Some(control) = &self.control else { return };
            if control.next_deadline().is_none_or(|due| due > now) {
                return;
            }
            self.control_steps(ControlSaw::DeadlinePassed);
        }
        panic!("the control server does not come to rest:\n{}", self.told());
    }

    pub fn carry_out(&mut self, site: usize, decision: Decision<AgentRecord, AgentDo>) {
        let now = self.now;
        let disk = if decision.persist.is_empty() { Disk::Works } else { self.sites[site].disk };
        if matches!(disk, Disk::Works | Disk::SilentlyStores) {
            self.keep(site, &decision.persist);
        }
        let table = decision.persist.iter().any(|record| matches!(record, AgentRecord::Assignments(_)));
        match disk {
            Disk::Works if table => self.sites[site].table_unknown = false,
            Disk::SilentlyStores if table => self.sites[site].table_unknown = true,
            _ => {}
        }
        if disk != Disk::Works {
            let definite = disk == Disk::Full;
            self.tell(format!("agent {site} cannot store {:?}", decision.persist));
            let saw = Agent::store_failed(decision.persist, "disk full".into(), definite);
            let Some(agent) = &mut self.sites[site].agent else { return };
            let decision = agent.step(now, saw);
            return self.carry_out(site, decision);
        }
        self.events.extend(decision.events);
        for action in decision.actions {
            self.agent_does(site, action);
        }
    }

    pub fn keep(&mut self, site: usize, records: &[AgentRecord]) {
        let memory = &mut self.sites[site].memory;
        for record in records.iter().cloned() {
            match record {
                AgentRecord::Promise { pair, role, .. } => {
                    memory.roles.entry(pair).or_default().promised = Some(role);
                }
                AgentRecord::Close { pair, epoch } => {
                    let durable = memory.roles.entry(pair).or_default();
                    // A file that stored one unknown to the agent refuses a lower one; it is tried again.
                    durable.closed = durable.closed.max(epoch);
                }
                AgentRecord::ControllerEpoch { epoch, incarnation } => {
                    (memory.controller_epoch, memory.obeyed) = (epoch, incarnation);
                }
                AgentRecord::Assignments(table) => memory.assignments = table,
            }
        }
    }

    pub fn agent_does(&mut self, site: usize, action: AgentDo) {
        let name = host(site);
        match action {
            // Nobody looks at pages, and guards kill nobody here.
            AgentDo::ShowPage { .. }
            | AgentDo::ForgetPage { .. }
            | AgentDo::RemindPeer { .. }
            | AgentDo::Guard { .. }
            | AgentDo::Unguard { .. } => {}
            AgentDo::NeedGuard => self.agent_sees(site, AgentSaw::GuardChanged { up: true }),
            AgentDo::KeepPeers(_) => {
                let other = 1 - site;
                if self.sites[other].agent.is_some() {
                    self.agent_sees(site, AgentSaw::PeerJoined { host: host(other) });
                    self.agent_sees(other, AgentSaw::PeerJoined { host: name });
                }
            }
            AgentDo::AskPeer { ask, .. } => self.tell_peer(site, AgentSaw::PeerAsked { host: name, ask }),
            AgentDo::AnswerPeer { answer, .. } => {
                self.tell_peer(site, AgentSaw::PeerVoted { host: name, answer });
            }
            AgentDo::TellPeer { release, .. } => {
                self.tell_peer(site, AgentSaw::PeerReleased { host: name, release });
            }
            AgentDo::AskController { link, ask } => {
                self.fly_back(site, Some(link), ControlSaw::VoteAsked { host: name, ask });
            }
            AgentDo::SayInSync { link, ask } => {
                self.fly_back(site, Some(link), ControlSaw::InSyncAsked { host: name, ask });
            }
            AgentDo::Welcome { link, inventory } => {
                self.fly_back(site, Some(link), ControlSaw::LinkUp { host: name, inventory });
            }
            AgentDo::TurnAway { link, reason, .. } => {
                if self.sites[site].link.as_ref().is_some_and(|(own, _, _)| *own == link) {
                    self.sites[site].link = None;
                    self.tell(format!("agent {site} turns the control server away: {reason}"));
                    self.no_link(site, LinkEnd::Unwelcome);
                }
            }
            AgentDo::Report(report) => self.fly_back(site, None, ControlSaw::Reported { host: name, report }),
            AgentDo::Answer { link, answer } => {
                self.fly_back(site, Some(link), ControlSaw::Answered { host: name, answer });
            }
            AgentDo::TellLeaving { leaving } => {
                self.fly_back(site, None, ControlSaw::Leaving { host: name, leaving });
            }
            AgentDo::Spawn(spawn) => self.spawn(site, spawn),
            AgentDo::Reload { .. } => {}
            AgentDo::Look { .. } | AgentDo::Probe { .. } | AgentDo::KeepEvidence { .. } => {}
            AgentDo::RunHook(run) => self.run_hook(site, run),
            AgentDo::Signal { start, .. } => self.doom(site, start, false),
            AgentDo::KillTree { start, .. } if start.is_hook() => self.doom_hook(site, start),
            AgentDo::KillTree { start, .. } => self.doom(site, start, true),
            AgentDo::Say { start, message, .. } => {
                if let Some(tree) = self.sites[site].trees.iter_mut().find(|tree| tree.start == start)
                    && tree.attached
                {
                    tree.heard.push_back(message);
                }
            }
        }
    }

    pub fn spawn(&mut self, site: usize, spawn: Spawn) {
        let assigned = &self.sites[site].memory.assignments;
        let goal =
            assigned.iter().find(|known| known.application == spawn.application).map(|known| known.goal);
        let known = !self.sites[site].table_unknown;
        assert!(
            !known || goal == Some(Goal::Started),
            "{} is started and should be stopped:\n{}",
            spawn.application,
            self.told()
        );
        self.tell(format!("{} is started as {} in epoch {}", spawn.application, spawn.run_mode, spawn.epoch));
        self.spawned.push(spawn.application.clone());
        self.sites[site].starting.push_back((spawn, false));
    }

    pub fn doom(&mut self, site: usize, start: StartId, kill: bool) {
        let known = &mut self.sites[site];
        if let Some((_, killed)) = known.starting.iter_mut().find(|(spawn, _)| spawn.start == start) {
            *killed = true;
        }
        if let Some(tree) = known.trees.iter_mut().find(|tree| tree.start == start) {
            tree.killing |= kill;
            tree.signalled |= !kill && !tree.slow_end && !tree.hung;
        }
    }

    pub fn fly_back(&mut self, site: usize, link: Option<LinkId>, saw: ControlSaw) {
        if let Some((own, _, back)) = &mut self.sites[site].link
            && link.is_none_or(|link| link == *own)
        {
            back.push_back(saw);
        }
    }

    pub fn carry_out_control(&mut self, decision: Decision<ControlRecord, ControlDo>) {
        let disk = if decision.persist.is_empty() { Disk::Works } else { self.store };
        if matches!(disk, Disk::Works | Disk::SilentlyStores) {
            self.keep_control(&decision.persist);
        }
        if disk != Disk::Works {
            let definite = disk == Disk::Full;
            self.tell(format!("the control server cannot store {:?}", decision.persist));
            let saw = Control::store_failed(decision.persist, "disk full".into(), definite);
            self.control_steps(saw);
            if !definite {
                // Only a new leadership can know what is stored.
                self.kill_control();
            }
            return;
        }
        for event in &decision.events {
            let text =
                format!("  {}: {} [{}]", event.kind.as_str(), event.because.reason, event.because.rule);
            self.tell(text);
        }
        self.events.extend(decision.events);
        for action in decision.actions {
            match action {
                ControlDo::Vote { host, answer } => {
                    let Some(site) = HOSTS.iter().position(|known| *known == host.as_str()) else { continue };
                    let link = self.sites[site].link.as_ref().map(|(link, _, _)| *link);
                    if let Some(link) = link {
                        self.agent_sees(site, AgentSaw::ControllerVoted { link, answer });
                    }
                }
                // No host has a command, no pair keeps its data.
                ControlDo::Fence { .. } | ControlDo::AnswerInSync { .. } => {}
                ControlDo::Send { host, order } => self.send(&host, order),
                ControlDo::Reply { reply, .. } => self.replies.push(reply),
            }
        }
    }

    pub fn keep_control(&mut self, records: &[ControlRecord]) {
        for record in records.iter().cloned() {
            match record {
                ControlRecord::RaiseEpoch { pair, expected, next } => {
                    assert_eq!(self.stored.roles.get(&pair), expected.as_ref(), "compare-and-set");
                    self.stored.roles.insert(pair, next);
                }
                ControlRecord::SetGoal { application, goal } => {
                    self.stored.goals.insert(application, goal);
                }
                ControlRecord::SetMaintenance { of, on } => {
                    self.stored.maintenance.retain(|known| *known != of);
                    if on {
                        self.stored.maintenance.push(of);
                    }
                }
                ControlRecord::UseOperation(id) => self.stored.last_operation = id,
                // No control server follows another one of a strict pair here.
                ControlRecord::SetLease { .. }
                | ControlRecord::SetInSync { .. }
                | ControlRecord::SetHold { .. }
                | ControlRecord::RaiseLeadership { .. } => {}
                ControlRecord::SetDrained { host, on: true } => drop(self.stored.drained.insert(host)),
                ControlRecord::SetDrained { host, .. } => drop(self.stored.drained.remove(&host)),
                ControlRecord::SetFlap { pair, flap } => {
                    self.stored.flaps.insert(pair, flap);
                }
            }
        }
    }

    /// Nobody is promoted while the other member acts, unless its host counts as lost.
    fn check_promotion(&mut self, pair: &PairName, role: &RoleEpoch) {
        let spec = &self.cluster.pairs[pair];
        let Some(other) = spec.member_of(&role.holder).map(|member| spec.application(member.other())) else {
            return;
        };
        if spec.policy == Policy::Strict {
            // As above: who may act is a matter of pages.
            return;
        }
        let acts = |site: &usize| {
            self.sites[*site].trees.iter().any(|tree| tree.app == *other && tree.mode == RunMode::Primary)
        };
        let Some(site) = (0..2).find(acts) else { return };
        // A link whose first word is still under way is none yet.
        let unheard = self.sites[site].link.is_none() || self.sites[site].told.is_some();
        assert!(
            unheard
                && (self.may_count_as_lost(site, pair)
                    || self.forced.contains(pair)
                    || self.two_allowed.contains(pair)),
            "{role} is ordered while {other} acts:\n{}",
            self.told()
        );
        self.two_allowed.insert(pair.clone());
    }

    pub fn send(&mut self, name: &HostName, order: Order) {
        if let Work::Promote { role, pair, .. } = &order.work {
            assert_eq!(self.stored.roles.get(pair), Some(role), "no order before its epoch is durable");
            self.ordered.entry(pair.clone()).or_default().push(role.clone());
            self.check_promotion(pair, role);
        }
        let Some(site) = HOSTS.iter().position(|known| *known == name.as_str()) else { return };
        if let Some((_, orders, _)) = &mut self.sites[site].link {
            orders.push_back(order);
        }
    }
}

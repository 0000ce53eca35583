//! A wider small world than the one in `mod.rs`: several applications on each host, trees that outlive their main
//! process, starts and kills that take time, stores that fail with an unknown outcome, and loops that spin are found.
//!
//! It refuses to know a clock or a socket. The law it checks: at most one living tree of a pair acts as primary, epochs
//! of orders rise, nothing is started that should be stopped, and a machine that has looked at everything that is due
//! does not ask to be woken again for it.

mod clusters;
mod hooks;
mod machines;
mod tree;

pub use clusters::*;
pub use hooks::{Hook, HookFaults};
pub use tree::Tree;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use understudy_decide::agent::{Agent, AgentMemory, AgentSaw, Found, LinkId, Spawn};
use understudy_decide::control::{ClusterView, Control, ControlMemory, ControlSaw, LinkEnd, Reply};
use understudy_model::*;

pub const HOSTS: [&str; 2] = ["alpha", "beta"];

pub fn app(name: &str) -> ApplicationName {
    ApplicationName::new(name).unwrap()
}

pub fn pair_name(name: &str) -> PairName {
    PairName::new(name).unwrap()
}

pub fn host(site: usize) -> HostName {
    HostName::new(HOSTS[site]).unwrap()
}

/// What a store that was never used holds.
pub fn empty_memory() -> ControlMemory {
    ControlMemory {
        controller: ControllerName::new("scs-1").unwrap(),
        controller_epoch: ControllerEpoch(0),
        roles: BTreeMap::new(),
        goals: BTreeMap::new(),
        maintenance: Vec::new(),
        last_operation: OperationId(0),
        flaps: Default::default(),
        drained: Default::default(),
        in_sync: Default::default(),
        holds: Default::default(),
        grants: Default::default(),
        asked: Default::default(),
    }
}

/// How a store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Works,
    /// Nothing is stored, and that is certain.
    Full,
    /// It is stored, and said not to be known to be.
    SilentlyStores,
    /// It is not stored, and said not to be known to be.
    SilentlyLoses,
}

pub struct Site {
    pub agent: Option<Agent>,
    pub memory: AgentMemory,
    pub lives: u128,
    pub trees: Vec<Tree>,
    /// Starts under way: what was ordered, and whether it was to be killed meanwhile.
    pub starting: VecDeque<(Spawn, bool)>,
    /// Ends that the agent has not noticed yet.
    pub ends: VecDeque<AgentSaw>,
    pub link: Option<(LinkId, VecDeque<Order>, VecDeque<ControlSaw>)>,
    pub disk: Disk,
    /// The table on the disk is not known to be the one that the agent goes by.
    pub table_unknown: bool,
    pub cannot_start: bool,
    /// The network says nothing of this host; whatever runs there runs on.
    pub silent: bool,
    /// What the control server was last told of a missing link, and since when it is told the same.
    pub told: Option<(LinkEnd, Moment)>,
    pub hooks: Vec<Hook>,
    pub hook_faults: HookFaults,
}

pub struct Wide {
    pub now: Moment,
    pub cluster: Cluster,
    pub sites: [Site; 2],
    pub control: Option<Control>,
    pub stored: ControlMemory,
    pub store: Disk,
    pub links: u64,
    pub pids: u32,
    pub requests: u64,
    pub replies: Vec<Reply>,
    pub ordered: BTreeMap<PairName, Vec<RoleEpoch>>,
    pub spawned: Vec<ApplicationName>,
    pub events: Vec<Event>,
    pub story: Vec<String>,
    /// Pairs whose other member was promoted by the rules of a lost host: two may act until all links are back.
    pub two_allowed: BTreeSet<PairName>,
    /// Pairs for which an operator gave up the proof.
    pub forced: BTreeSet<PairName>,
    /// A second machine that looks at everything must decide the same.
    pub shadow: Option<Control>,
    pub shadowed: bool,
    /// The agents hear nothing of each other.
    pub peers_cut: bool,
}

impl Wide {
    pub fn new(cluster: Cluster) -> Self {
        let site = |index: u128| Site {
            agent: None,
            memory: AgentMemory {
                agent: AgentId(index),
                controller_epoch: ControllerEpoch(0),
                obeyed: None,
                assignments: Vec::new(),
                roles: BTreeMap::new(),
            },
            lives: 0,
            trees: Vec::new(),
            starting: VecDeque::new(),
            ends: VecDeque::new(),
            link: None,
            disk: Disk::Works,
            table_unknown: false,
            cannot_start: false,
            silent: false,
            told: None,
            hooks: Vec::new(),
            hook_faults: HookFaults::default(),
        };
        Self {
            now: Moment(1_000_000_000),
            cluster,
            sites: [site(1), site(2)],
            control: None,
            stored: empty_memory(),
            store: Disk::Works,
            links: 0,
            pids: 100,
            requests: 0,
            replies: Vec::new(),
            ordered: BTreeMap::new(),
            spawned: Vec::new(),
            events: Vec::new(),
            story: Vec::new(),
            two_allowed: BTreeSet::new(),
            forced: BTreeSet::new(),
            shadow: None,
            shadowed: false,
            peers_cut: false,
        }
    }

    pub fn tell(&mut self, text: String) {
        self.story.push(format!("{} {text}", self.now));
    }

    pub fn told(&self) -> String {
        self.story.join("\n")
    }

    pub fn view(&self) -> ClusterView {
        self.control.as_ref().expect("a control server").view(self.now)
    }

    pub fn site_of(&self, name: &str) -> usize {
        (0..2)
            .find(|site| self.sites[*site].trees.iter().any(|tree| tree.app == app(name)))
            .or_else(|| {
                let spec = self.cluster.applications.get(&app(name))?;
                HOSTS.iter().position(|known| *known == spec.host.as_str())
            })
            .unwrap_or(0)
    }

    /// The living tree of an application.
    pub fn tree(&mut self, name: &str) -> Option<&mut Tree> {
        let site = self.site_of(name);
        self.sites[site].trees.iter_mut().find(|tree| tree.app == app(name))
    }

    pub fn runs(&mut self, name: &str) -> bool {
        self.tree(name).is_some_and(|tree| tree.main)
    }

    // ---- faults and repairs -------------------------------------------------------------------------------------

    pub fn start_agent(&mut self, site: usize) {
        if self.sites[site].agent.is_some() {
            return;
        }
        self.tell(format!("agent {site} starts"));
        let known = &mut self.sites[site];
        known.lives += 1;
        let incarnation = Incarnation(known.lives + 1000 * site as u128);
        known.agent = Some(Agent::new(host(site), incarnation, known.memory.clone()));
        known.ends.clear();
        known.table_unknown = false;
        let hooks = known.hooks.iter().map(|hook| (&hook.run.application, hook.run.hook, None, None));
        let trees =
            known.trees.iter().map(|tree| (&tree.app, tree.start, tree.main.then_some(tree.pid), tree.noted));
        let found = hooks
            .chain(trees)
            .map(|(application, start, pid, acts)| Found {
                application: application.clone(),
                start,
                pid,
                running_for: Duration::from_millis(50),
                restarts: 0,
                acts,
                half: None,
                ready: true,
            })
            .collect();
        self.agent_sees(site, AgentSaw::Awake { found, pages: Default::default() });
    }

    pub fn kill_agent(&mut self, site: usize) {
        if self.sites[site].agent.take().is_none() {
            return;
        }
        self.tell(format!("agent {site} is killed"));
        self.cut(site);
        let known = &mut self.sites[site];
        known.ends.clear();
        // What was being started is started, unseen.
        for (spawn, _) in std::mem::take(&mut known.starting) {
            self.make(site, &spawn);
        }
        for tree in &mut self.sites[site].trees {
            tree.attached = false;
            tree.says.clear();
            tree.killing = false;
        }
    }

    /// The main process dies; `others` of its tree live on.
    pub fn die(&mut self, name: &str, others: bool) {
        let site = self.site_of(name);
        let agent = self.sites[site].agent.is_some();
        let Some(tree) = self.tree(name).filter(|tree| tree.main) else { return };
        tree.main = false;
        tree.attached = false;
        tree.others = others;
        let (application, start) = (tree.app.clone(), tree.start);
        self.tell(format!("main process of {name} dies, others live: {others}"));
        if agent {
            let cause = ExitCause::Signal(9);
            self.sites[site].ends.push_back(AgentSaw::Ended {
                application,
                start,
                cause,
                others_live: others,
                last_words: String::new(),
            });
        }
        self.sites[site].trees.retain(|tree| tree.main || tree.others);
    }

    /// The link of an application breaks; it opens it again later.
    pub fn leave(&mut self, name: &str) {
        let site = self.site_of(name);
        let Some(tree) = self.tree(name).filter(|tree| tree.attached) else { return };
        tree.attached = false;
        tree.says.clear();
        tree.heard.clear();
        let (application, start) = (tree.app.clone(), tree.start);
        self.agent_sees(site, AgentSaw::ApplicationLeft { application, start });
    }

    /// What a kill or a signal began is done.
    pub fn reap(&mut self, site: usize) -> bool {
        let doomed =
            self.sites[site].trees.iter().position(|tree| tree.killing || (tree.signalled && tree.main));
        let Some(index) = doomed else { return false };
        let tree = self.sites[site].trees[index].clone();
        if tree.main {
            self.die(&tree.app.to_string(), tree.others);
        } else {
            self.sites[site].trees.remove(index);
            self.tell(format!("the tree of {} is gone", tree.app));
            if self.sites[site].agent.is_some() {
                self.sites[site]
                    .ends
                    .push_back(AgentSaw::TreeGone { application: tree.app, start: tree.start });
            }
        }
        true
    }

    pub fn start_control(&mut self) {
        if self.control.is_some() {
            return;
        }
        self.stored.controller_epoch.0 += 1;
        self.tell(format!("control server starts, epoch {}", self.stored.controller_epoch));
        self.control = Some(Control::new(self.stored.clone()));
        self.shadow = self.shadowed.then(|| Control::new_exhaustive(self.stored.clone()));
        for site in &mut self.sites {
            site.told = None;
        }
        self.configure();
    }

    pub fn configure(&mut self) {
        let cluster = self.cluster.clone();
        self.control_sees(ControlSaw::Configured { cluster, own_hosts: Default::default() });
    }

    pub fn kill_control(&mut self) {
        if self.control.take().is_some() {
            self.shadow = None;
            self.tell("control server is killed".into());
            for site in 0..2 {
                self.cut(site);
            }
        }
    }

    pub fn cut(&mut self, site: usize) {
        let Some((link, _, _)) = self.sites[site].link.take() else { return };
        self.tell(format!("link {site} breaks"));
        self.agent_sees(site, AgentSaw::ControllerLeft { link });
        self.no_link(site, LinkEnd::Closed);
    }

    /// The network to a host says nothing any more, in both directions; the link's silence is noticed at once.
    pub fn silence(&mut self, site: usize) {
        if std::mem::replace(&mut self.sites[site].silent, true) {
            return;
        }
        self.tell(format!("host {site} falls silent"));
        if let Some((link, _, _)) = self.sites[site].link.take() {
            self.agent_sees(site, AgentSaw::ControllerLeft { link });
            self.no_link(site, LinkEnd::Silent);
        }
    }

    pub fn unsilence(&mut self, site: usize) {
        if std::mem::take(&mut self.sites[site].silent) {
            self.tell(format!("host {site} can be reached again"));
        }
    }

    /// The control server is told that there is no link, unless it was told the same.
    pub fn no_link(&mut self, site: usize, end: LinkEnd) {
        if self.control.is_none() {
            return;
        }
        let told = self.sites[site].told;
        // An agent that accepts and closes at once has not come back.
        let same = told.is_some_and(|(before, _)| {
            before == end
                || (before, end) == (LinkEnd::Refused, LinkEnd::Closed)
                || end == LinkEnd::Unresolved
        });
        // It was last heard when it closed the link.
        let since = match told {
            Some((LinkEnd::Closed, since)) if end == LinkEnd::Silent => since,
            _ => self.now,
        };
        if !same {
            self.sites[site].told = Some((end, since));
        }
        self.control_sees(ControlSaw::LinkDown { host: host(site), end, why: format!("{end:?}") });
    }

    /// Tries for a link.
    pub fn connect(&mut self, site: usize) {
        if self.control.is_none() || self.sites[site].link.is_some() {
            return;
        }
        if self.sites[site].silent {
            return self.no_link(site, LinkEnd::Silent);
        }
        if self.sites[site].agent.is_none() {
            return self.no_link(site, LinkEnd::Refused);
        }
        self.links += 1;
        let link = LinkId(self.links);
        self.sites[site].link = Some((link, VecDeque::new(), VecDeque::new()));
        let (controller, controller_epoch) = (self.stored.controller.clone(), self.stored.controller_epoch);
        self.agent_sees(
            site,
            AgentSaw::ControllerJoined { link, controller, controller_epoch, lineage: Vec::new() },
        );
    }

    /// Whether the rules let this site count as lost, by what the control server was told and when.
    pub fn may_count_as_lost(&self, site: usize, pair: &PairName) -> bool {
        let timers = &self.cluster.pairs[pair].timers;
        let told_for = |since: Moment| self.now.since(since);
        match self.sites[site].told {
            Some((LinkEnd::Silent, since)) => told_for(since) >= timers.disconnect_switchover_timeout,
            Some((LinkEnd::Refused, since)) => told_for(since) >= timers.agent_restart_grace,
            Some((LinkEnd::Closed | LinkEnd::Unwelcome | LinkEnd::Unresolved, _)) | None => false,
        }
    }

    // ---- what must hold -----------------------------------------------------------------------------------------

    /// The members of a pair that act, by their living trees.
    pub fn primaries(&self, pair: &str) -> Vec<String> {
        let Some(spec) = self.cluster.pairs.get(&pair_name(pair)) else { return Vec::new() };
        let trees = self.sites.iter().flat_map(|site| &site.trees);
        trees
            .filter(|tree| spec.member_of(&tree.app).is_some() && tree.mode == RunMode::Primary)
            .map(|tree| tree.app.to_string())
            .collect()
    }

    pub fn check(&mut self) {
        let all_linked = self.sites.iter().all(|site| {
            site.link.as_ref().is_some_and(|(_, orders, reports)| orders.is_empty() && reports.is_empty())
        });
        for pair in self.cluster.pairs.keys() {
            if self.cluster.pairs[pair].policy == Policy::Strict {
                // What a tree was told says nothing here: its page has an end, and no guard kills it at that.
                continue;
            }
            let primaries = self.primaries(pair.as_str());
            if self.two_allowed.contains(pair) {
                if all_linked && primaries.len() <= 1 {
                    self.two_allowed.remove(pair);
                }
                continue;
            }
            assert!(primaries.len() <= 1, "two primaries {primaries:?}:\n{}", self.told());
        }
        for (pair, ordered) in &self.ordered {
            // Under `strict` an order that was lost is given again, in its own epoch.
            let again = self.cluster.pairs.get(pair).is_some_and(|spec| spec.policy == Policy::Strict);
            let rising =
                ordered.windows(2).all(|two| two[0].epoch < two[1].epoch || (again && two[0] == two[1]));
            assert!(rising, "orders of {pair} do not rise: {ordered:?}\n{}", self.told());
        }
    }
}

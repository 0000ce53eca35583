//! What runs have reached. A campaign that never saw a failover has shown nothing.
//!
//! Refuses to say whether something is good. The law: each of [`Sometimes::missing`] must be seen in every campaign of more
//! than a few hundred runs.

use understudy_decide::agent::{AgentDo, Spawn};
use understudy_model::{Answer, Order, Outcome, Policy, Refusal, Rule, RunMode, Verdict, Work};

/// Counts of everything that should happen now and then.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // each is told in words by `lines`
pub struct Sometimes {
    rules: [u64; Rule::ALL.len()],
    pub faults: u64,
    pub leaderships: u64,
    pub agent_lives: u64,
    pub epochs: u64,
    pub failovers: u64,
    pub switchovers: u64,
    pub wishes_granted: u64,
    pub stale_orders: u64,
    pub asides: u64,
    pub turned_away: u64,
    pub store_failures: u64,
    pub disk_failures: u64,
    pub guard_kills: u64,
    pub guard_kills_hook: u64,
    pub not_let_go: u64,
    pub held_with_agent: u64,
    pub starts: u64,
    pub primary_starts: u64,
    pub two_acted: u64,
    pub two_acted_ns: u64,
    pub excused: u64,
    pub excused_longest_ns: u64,
    pub votes_given: u64,
    pub votes_refused: u64,
    pub releases: u64,
    pub expiries: u64,
    pub spared_by_peer: u64,
    pub pre_votes: u64,
    pub pre_votes_refused: u64,
    pub held_by_peer: u64,
    pub judged_l2: u64,
    pub judged_l3: u64,
    pub reinstalled: u64,
    pub set_back: u64,
    pub reminded_late: u64,
    pub alone: u64,
    pub words_taken: u64,
    pub words_refused: u64,
    pub clung: u64,
    pub hooks_clung: u64,
    pub followed_clinging: u64,
    pub reloads: u64,
    pub devices_pulled: u64,
    pub said_off: u64,
}

impl Default for Sometimes {
    fn default() -> Self {
        Self {
            rules: [0; Rule::ALL.len()],
            faults: 0,
            leaderships: 0,
            agent_lives: 0,
            epochs: 0,
            failovers: 0,
            switchovers: 0,
            wishes_granted: 0,
            stale_orders: 0,
            asides: 0,
            turned_away: 0,
            store_failures: 0,
            disk_failures: 0,
            guard_kills: 0,
            guard_kills_hook: 0,
            not_let_go: 0,
            held_with_agent: 0,
            starts: 0,
            primary_starts: 0,
            two_acted: 0,
            two_acted_ns: 0,
            excused: 0,
            excused_longest_ns: 0,
            votes_given: 0,
            votes_refused: 0,
            releases: 0,
            expiries: 0,
            spared_by_peer: 0,
            pre_votes: 0,
            pre_votes_refused: 0,
            held_by_peer: 0,
            judged_l2: 0,
            judged_l3: 0,
            reinstalled: 0,
            set_back: 0,
            reminded_late: 0,
            alone: 0,
            words_taken: 0,
            words_refused: 0,
            clung: 0,
            hooks_clung: 0,
            followed_clinging: 0,
            reloads: 0,
            devices_pulled: 0,
            said_off: 0,
        }
    }
}

/// Rules that fire in every campaign, whatever the policy.
const RULES: &[Rule] = &[
    Rule::FirstStart,
    Rule::PrimaryExited,
    Rule::SwitchoverStep,
    Rule::RollBack,
    Rule::Reaffirm,
    Rule::FormerHolderFirst,
    Rule::OtherMemberInstead,
    Rule::PrimaryStopped,
    Rule::PrimaryUnavailable,
    Rule::PromotionRefused,
    Rule::RestartInPlace,
    Rule::Adopted,
    Rule::HalfPromoted,
    Rule::Hung,
    Rule::FenceOverdue,
    Rule::OwnDelay,
    Rule::OwnSleep,
    Rule::StoreUnwritable,
    Rule::HostLeaves,
];

impl Sometimes {
    /// A rule fired.
    pub fn count_rule(&mut self, rule: Rule) {
        self.rules[rule as usize] += 1;
    }

    /// How often a rule fired.
    pub fn of_rule(&self, rule: Rule) -> u64 {
        self.rules[rule as usize]
    }

    /// A start.
    pub fn count_spawn(&mut self, spawn: &Spawn) {
        self.starts += 1;
        self.primary_starts += u64::from(spawn.run_mode == RunMode::Primary);
    }

    /// An agent does something.
    pub fn count_act(&mut self, action: &AgentDo) {
        match action {
            AgentDo::Answer { answer, .. } => {
                if let Outcome::Refused(
                    Refusal::StaleController(_)
                    | Refusal::OtherIncarnation
                    | Refusal::StaleEpoch(_)
                    | Refusal::ClosedEpoch(_)
                    | Refusal::NotActing(_),
                ) = &answer.outcome
                {
                    self.stale_orders += 1;
                }
            }
            AgentDo::AnswerPeer { answer, .. } => match answer.verdict {
                Verdict::Given => self.votes_given += 1,
                Verdict::Refused { .. } => self.votes_refused += 1,
            },
            AgentDo::TellPeer { .. } => self.releases += 1,
            _ => {}
        }
    }

    /// An agent answers an order that it saw.
    pub fn count_answer(&mut self, order: &Order, answer: &Answer) {
        if !matches!(order.work, Work::WouldPromise { .. }) {
            return;
        }
        self.pre_votes += 1;
        if let Outcome::Refused(why) = &answer.outcome {
            self.pre_votes_refused += 1;
            self.held_by_peer += u64::from(matches!(why, Refusal::Promised(..)));
        }
    }

    /// Adds what another run has reached.
    pub fn add(&mut self, other: &Self) {
        for (own, others) in self.rules.iter_mut().zip(other.rules) {
            *own += others;
        }
        for ((_, own), (_, others)) in self.counters_mut().into_iter().zip(other.clone().counters_mut()) {
            *own += *others;
        }
        self.excused_longest_ns = self.excused_longest_ns.max(other.excused_longest_ns);
    }

    fn counters_mut(&mut self) -> [(&'static str, &mut u64); 43] {
        [
            ("faults", &mut self.faults),
            ("leaderships", &mut self.leaderships),
            ("lives of agents", &mut self.agent_lives),
            ("epochs stored", &mut self.epochs),
            ("failovers", &mut self.failovers),
            ("planned changes of roles", &mut self.switchovers),
            ("operators' wishes taken", &mut self.wishes_granted),
            ("stale orders refused", &mut self.stale_orders),
            ("votes asked for or heard while something was being written", &mut self.asides),
            ("control servers turned away", &mut self.turned_away),
            ("writes of the store that failed", &mut self.store_failures),
            ("writes of agents that failed", &mut self.disk_failures),
            ("kills by a guard", &mut self.guard_kills),
            ("kills of a hook by a guard", &mut self.guard_kills_hook),
            ("starts and hooks that were made and not let go on", &mut self.not_let_go),
            ("starts and hooks that waited and ended with their agent", &mut self.held_with_agent),
            ("starts of members", &mut self.starts),
            ("starts as primary", &mut self.primary_starts),
            ("times that two acted", &mut self.two_acted),
            ("nanoseconds that two acted", &mut self.two_acted_ns),
            (
                "times that a plain member outlived its time beside a guard that could not run",
                &mut self.excused,
            ),
            ("votes given", &mut self.votes_given),
            ("votes refused", &mut self.votes_refused),
            ("releases told to peers", &mut self.releases),
            ("pages that ran out", &mut self.expiries),
            ("primaries that lived on by their peer alone", &mut self.spared_by_peer),
            ("pre-votes asked for", &mut self.pre_votes),
            ("pre-votes refused", &mut self.pre_votes_refused),
            ("pre-votes refused for a promise to the silent primary", &mut self.held_by_peer),
            ("times that L2 was judged", &mut self.judged_l2),
            ("times that L3 was judged", &mut self.judged_l3),
            ("hosts installed anew", &mut self.reinstalled),
            ("agents whose files were set back", &mut self.set_back),
            ("times that one of these voted before it was reminded", &mut self.reminded_late),
            ("acknowledgements that the other member did not have", &mut self.alone),
            ("words on who has everything that were taken", &mut self.words_taken),
            ("words on who has everything that were refused", &mut self.words_refused),
            ("processes that outlived their kill", &mut self.clung),
            ("hooks that outlived their kill", &mut self.hooks_clung),
            (
                "members that became primary beside such a process of the other one",
                &mut self.followed_clinging,
            ),
            ("reloads with another lease", &mut self.reloads),
            ("hosts whose power a fencing command took", &mut self.devices_pulled),
            ("operators' words that a host is off", &mut self.said_off),
        ]
    }

    /// Every count with its words.
    pub fn lines(&self) -> Vec<(String, u64)> {
        let mut own = self.clone();
        let counters = own.counters_mut().map(|(name, count)| (name.to_owned(), *count));
        let rules = Rule::ALL.iter().map(|rule| (format!("rule {rule}"), self.of_rule(*rule)));
        counters.into_iter().chain(rules.filter(|(_, count)| *count > 0)).collect()
    }

    /// What a campaign should have reached and has not.
    pub fn missing(&self, policy: Policy) -> Vec<String> {
        let mut missing: Vec<String> = RULES
            .iter()
            .filter(|rule| self.of_rule(**rule) == 0)
            .map(|rule| format!("rule {rule}: {}", rule.says()))
            .collect();
        let mut need = vec![
            ("a failover", self.failovers),
            ("a planned change of roles", self.switchovers),
            ("a stale order that is refused", self.stale_orders),
            ("a start in place as primary", self.primary_starts),
            ("a write of an agent that fails", self.disk_failures),
            ("a write of the store that fails", self.store_failures),
            ("L2 judged", self.judged_l2),
            ("a process that outlives its kill", self.clung),
            ("a member that becomes primary beside one", self.followed_clinging),
        ];
        match policy {
            Policy::Available => need.push(("rule host-lost", self.of_rule(Rule::HostLost))),
            // Under the other policy L3 can be judged only while all ways are whole, which is too rare to be demanded.
            Policy::Strict => need.extend([
                ("L3 judged", self.judged_l3),
                ("a kill by a guard", self.guard_kills),
                ("a vote while something was being written", self.asides),
                ("rule grant-runs-out", self.of_rule(Rule::GrantRunsOut)),
                ("rule grant-expired", self.of_rule(Rule::GrantExpired)),
                ("rule guard-gone", self.of_rule(Rule::GuardGone)),
                ("rule overtaken", self.of_rule(Rule::Overtaken)),
                ("rule page-not-adopted", self.of_rule(Rule::PageNotAdopted)),
                ("rule promise-expired", self.of_rule(Rule::PromiseExpired)),
                ("rule promise-released", self.of_rule(Rule::PromiseReleased)),
                ("rule order-repeated", self.of_rule(Rule::OrderRepeated)),
                ("rule guard-fired", self.of_rule(Rule::GuardFired)),
                ("rule memory-was-empty", self.of_rule(Rule::MemoryWasEmpty)),
                // Of the rules about a silent primary's peer only answers are told; the rules stand in explanations.
                ("a host installed anew", self.reinstalled),
                ("files of an agent set back", self.set_back),
                ("rule memory-set-back", self.of_rule(Rule::MemorySetBack)),
                ("a pre-vote asked for", self.pre_votes),
                ("a pre-vote refused", self.pre_votes_refused),
                ("a primary held by its peer alone (held-by-peer)", self.held_by_peer),
                ("a vote given", self.votes_given),
                ("a vote refused", self.votes_refused),
                ("a release told to a peer", self.releases),
                ("a page that runs out", self.expiries),
                ("a primary that lives on by its peer alone", self.spared_by_peer),
            ]),
        }
        missing.extend(need.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name.to_owned()));
        missing
    }
}

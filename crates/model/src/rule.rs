//! Every rule that can fire in a decision, with the sentence that explains it. `docs/reference/reasons.md` is made
//! from this list.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! rules {
    ($($name:ident => $id:literal, $text:literal;)+) => {
        /// A rule of the deciding machines. The identifier is a promise to scripts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Rule {
            $(#[doc = $text] #[serde(rename = $id)] $name),+
        }
        impl Rule {
            /// Every rule, in the order of the reference.
            pub const ALL: &'static [Rule] = &[$(Rule::$name),+];
            /// The identifier.
            pub fn id(self) -> &'static str {
                match self { $(Rule::$name => $id),+ }
            }
            /// What the rule says, in one sentence.
            pub fn says(self) -> &'static str {
                match self { $(Rule::$name => $text),+ }
            }
        }
        impl fmt::Display for Rule {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.id())
            }
        }
    };
}

rules! {
    // pair: who becomes primary
    FirstStart => "first-start", "Nobody was ever primary: the configured primary is, once it is ready.";
    FormerHolderFirst => "former-holder-first", "Nobody acts: the last holder is promoted, if it is ready.";
    OtherMemberInstead => "other-member-instead", "Nobody acts and the preferred member does not come in time, or may not: the other is promoted.";
    PrimaryExited => "primary-exited", "The primary's process ended and all of its processes are gone: the backup is promoted, if it is ready.";
    PrimaryUnavailable => "primary-unavailable", "The primary said that it cannot serve, and the backup can: they change roles.";
    PrimaryStopped => "primary-stopped", "The primary was stopped on request: the backup is promoted, if it is ready.";
    OperatorAsked => "operator-asked", "An operator asked for it.";
    SwitchoverStep => "switchover-step", "A planned switchover goes on: the former primary has confirmed that it serves no more.";
    RollBack => "roll-back", "The new primary did not come: the former one is promoted again, under a new epoch, after the new one's agent gave up its own.";
    ActingHolderKept => "acting-holder-kept", "A member acts in the role that the store holds: nothing is changed.";
    LeaseChanges => "lease-changes", "The member acts in an epoch of another lease than the pair has now: its role is given out again under a new epoch, with the new lease.";
    Reaffirm => "reaffirm", "A member acts in an older role than the store holds, and nobody else may act: its role is given out again under a new epoch.";
    TwoActing => "two-acting", "Two members act: the one whose role the store does not hold is demoted.";
    SoleActing => "sole-acting", "A member confirmed that it is primary.";
    MemberDemoted => "member-demoted", "A member confirmed that it is primary no more.";
    // pair: why nobody is promoted
    WaitForAgents => "wait-for-agents", "An agent that is not heard may host a primary: nobody is promoted before it is heard.";
    WaitForPreferred => "wait-for-preferred", "The preferred member is coming up: the other one is not promoted meanwhile.";
    NobodyReady => "nobody-ready", "No member is ready.";
    PairStopped => "pair-stopped", "Both members should be stopped: nobody is primary, as asked.";
    HandsOff => "hands-off", "Maintenance is on: nothing is done without an operator.";
    StoreUnwritable => "store-unwritable", "The new epoch could not be made durable: no order was given.";
    AnswerOutstanding => "answer-outstanding", "An order was given and its outcome is not known: nobody else is promoted before it is.";
    PromotionRefused => "promotion-refused", "The member's agent refused the promotion and gave its epoch up.";
    DemotionRefused => "demotion-refused", "The member's agent refused the demotion.";
    RecentRefusal => "recent-refusal", "The member refused a promotion a moment ago: it is tried again later.";
    // strict pairs: promises
    PromiseRuns => "promise-runs", "A silent member was promised its role here, and that promise has not run out: nobody else is promoted before it has.";
    PromiseExpired => "promise-expired", "The primary is silent, and no promise to it binds any more, here or with the other member's agent: the other member is promoted.";
    PromiseReleased => "promise-released", "The primary's agent gave its role up for good before it fell silent: the other member is promoted.";
    AwaitsRelease => "awaits-release", "The primary acts no more, and its agent has not given its role up durably: the other member is promoted when it has.";
    HeldByPeer => "held-by-peer", "The primary cannot be heard here, and the other member's agent renews its role: it is alive, and nobody is promoted.";
    PreVoteAsked => "pre-vote-asked", "Before an epoch is spent, the other member's agent is asked whether it still renews the silent primary.";
    PreVoteRefused => "pre-vote-refused", "The other member's agent would not promise a new role now: no epoch is spent, and it is asked again.";
    OrderRepeated => "order-repeated", "The member whose role is stored has not got its order: it is ordered again, as long as its promise binds.";
    FenceCalled => "fence-called", "The primary's host is silent: its fencing command is run, and this control server votes for that primary no more.";
    FencedByDevice => "fenced-by-device", "The fencing command of the silent primary's host said that the machine is off: its promise is over.";
    FenceFailed => "fence-failed", "The fencing command did not say that the machine is off: its primary's promise has to run out by itself.";
    RestoredStore => "restored-store", "The store was restored from a backup: nothing is promised before both agents were asked and a lease has passed.";
    Outranked => "outranked", "An agent has obeyed a higher controller epoch than this control server's.";
    // pairs with keep-data
    LacksData => "lacks-data", "A member lacks what was acknowledged without it: it is not promoted before a primary says that it has caught up, or an operator gives that data up.";
    DataGivenUp => "data-given-up", "An operator promoted a member that lacks what was acknowledged: what only the other one has may be lost.";
    OutsiderActs => "outsider-acts", "A member acts that lacks what was acknowledged, and its role is not the stored one: it is demoted.";
    InSyncSaid => "in-sync-said", "A primary said who has everything that was acknowledged, and that is durable.";
    InSyncRefused => "in-sync-refused", "A primary's word on who has everything that was acknowledged was not taken: it is not the one that acts in the stored role, or it could not be made durable.";
    // operations
    PrecheckFailed => "precheck-failed", "A check before the operation failed: nothing was done.";
    AlreadySo => "already-so", "What was asked for is so already.";
    TooSlow => "too-slow", "The operation took longer than it may.";
    GoalSet => "goal-set", "An operator said what should run.";
    MaintenanceSet => "maintenance-set", "An operator took an object out of, or back into, automatic care.";
    ConfigurationRead => "configuration-read", "The configuration was read.";
    LeadershipTaken => "leadership-taken", "A control server took leadership: its controller epoch is durable.";
    // what agents report
    AgentHeard => "agent-heard", "An agent connected and said what it has.";
    AgentSilent => "agent-silent", "The connection to an agent ended.";
    AgentReported => "agent-reported", "An agent reported a change.";
    // agent: processes
    GoalStarted => "goal-started", "It should run and does not: it is started.";
    GoalStopped => "goal-stopped", "It should not run and does: it is stopped.";
    RestartAfterExit => "restart-after-exit", "It ended by itself and its restart policy says to start it again.";
    RestartInPlace => "restart-in-place", "The primary ended while no control server is heard: it is started again in the same role, as nobody could promote the other.";
    RestartLimit => "restart-limit", "It failed too often in a row: nothing is started until an operator asks.";
    RestartNotWanted => "restart-not-wanted", "It ended and its restart policy says to leave it so.";
    StartupTimeout => "startup-timeout", "It was not ready in time: it is killed.";
    ShutdownTimeout => "shutdown-timeout", "It did not end in time: it is killed.";
    ProcessExited => "process-exited", "Its process ended.";
    ReadinessSaid => "readiness-said", "The application said whether it can serve.";
    LinkLost => "link-lost", "The application's link was gone for longer than its grace while its process lives.";
    Adopted => "adopted", "A restarted agent found the process running and took it over as it is.";
    NotAdopted => "not-adopted", "A restarted agent found the process gone, or cannot prove that it is the same one.";
    OrderObeyed => "order-obeyed", "An order of the control server was carried out.";
    OrderRefused => "order-refused", "An order of the control server was refused.";
    CertificateEnds => "certificate-ends", "A certificate ends soon or has ended: links that live go on, and no role changes for it.";
    HookEnded => "hook-ended", "A command that is run for an application ended, or was killed.";
    HalfPromoted => "half-promoted", "A restarted agent cannot know whether a promotion was finished: the member is demoted, its epoch closed.";
    Hung => "hung", "It showed no life for longer than it may: what it was doing is kept, and it is killed.";
    OwnDelay => "own-delay", "The agent itself was late: nobody is blamed for a silence that may be the agent's own.";
    WaitsForCore => "waits-for-core", "A silent application could have run and got no processor: it is given more time, within bounds.";
    FenceOverdue => "fence-overdue", "A demotion was not confirmed in time: the member is killed.";
    // agent: grants
    VoteRefused => "vote-refused", "A voter did not give its vote for a role: what it has promised, or what it waits for, stands against it.";
    Overtaken => "overtaken", "Another member was given a higher epoch, and this one does not act: its own is given up.";
    GrantRunsOut => "grant-runs-out", "No other voter has renewed the primary's role, and only the time for a demotion is left: it is demoted before anybody else may be promoted.";
    GrantExpired => "grant-expired", "The time that the other voters gave for a role is over: whatever still acts in it is killed.";
    GuardGone => "guard-gone", "The guard, which kills a primary whose time is over, is not there: no renewal is asked for before it is.";
    GuardFired => "guard-fired", "The guard killed a primary, as its time was over and its agent had not given it more.";
    RoleLost => "role-lost", "A voter names a higher role of the other member while this one still acts: its own clock fell behind, or somebody was wrong to say that its machine is off; it gives its role up at once.";
    ClocksApart => "clocks-apart", "Two machines' clocks ran apart by more than a lease allows for: while that is so, two members may act at once.";
    ClocksAgain => "clocks-again", "Clocks that had run apart did so no more for a while, or one of them began anew.";
    PageNotAdopted => "page-not-adopted", "A restarted agent found a primary whose role page does not prove its role: it is demoted and its epoch given up.";
    MemorySetBack => "memory-set-back", "The other agent remembers a vote or a release that this one does not: its files were set back, so it is bound anew and silent for a lease.";
    MemoryWasEmpty => "memory-was-empty", "The agent remembers nothing of a pair: it votes for nobody for a lease, and gives up every epoch that the store knows.";
    // hosts, flapping, drained hosts
    HostLost => "host-lost", "The primary's host counts as lost, and the backup is ready: the backup is promoted. Policy `available` accepts that the former primary may still act.";
    HostReturned => "host-returned", "A host that counted as lost is heard again.";
    HostSilent => "host-silent", "The primary's host is silent and does not count as lost yet.";
    BlastRadius => "blast-radius", "Most hosts fell silent together: that looks like the control server's own network, so nobody is promoted in their place without an operator.";
    OwnSleep => "own-sleep", "The control server itself was not running for a while: every host gets a fresh chance to speak before it counts as lost.";
    AgentAccepted => "agent-accepted", "An operator said that the agent of a host is another one from now on: what the former one promised is forgotten with it.";
    AgentUnwelcome => "agent-unwelcome", "The agent answers, and the link is refused for what it is or says: no host is lost by that.";
    FlapHold => "flap-hold", "The pair changed roles too often: automatic changes are held until an operator acknowledges it, or the pair was quiet for long enough.";
    FlapAcknowledged => "flap-acknowledged", "An operator acknowledged the flapping, or the pair was quiet for long enough: automatic changes go on.";
    OperatorForced => "operator-forced", "An operator promoted the backup without the usual proof that the former primary has ended.";
    NotifyCommand => "notify-command", "A command that is told of events could not be run, failed or took too long, or more happened than it was told.";
    ToldTooMuch => "told-too-much", "An agent told more than one host may in a minute, or what only the control server tells: the rest is counted and left out.";
    HoldSet => "hold-set", "An operator asked for a long lease of what acts on a host, or for its usual one again; or the time of it is over.";
    DrainSet => "drain-set", "An operator took a host out of use for primaries, or gave it back.";
    // the operators' API
    AccessNotProven => "access-not-proven", "Whoever asks the operators' API over the network proves who they are with a token or an operator's certificate.";
    RoleTooLow => "role-too-low", "Each question of the operators' API needs a role, and the asker's is lower.";
    TokenMade => "token-made", "An admin made a token of the operators' API.";
    TokenRevoked => "token-revoked", "An admin took a token of the operators' API back: it opens nothing any more.";
    HostLeaves => "host-leaves", "A host is being shut down, or was asked to leave: what is primary there is handed over, then everything there is stopped.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_unique_and_sentences_end() {
        let mut ids: Vec<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Rule::ALL.len());
        assert!(Rule::ALL.iter().all(|rule| rule.says().ends_with('.')));
    }
}

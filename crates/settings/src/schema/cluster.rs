//! The keys of `cluster.toml`, those of an application apart.
//!
//! Knows no values and no rules. The law: see the parent module.

use understudy_model::{AddpTrace, OnCrash, Policy, Preset, Redundancy};

use super::application::{APPLICATION, SHARED, TEMPLATE_ONLY};
use super::{Key, Keys, Shape, later, now};

const NO_SITES: &str = "remove it; the key is kept for sites and tenants of later versions";

/// Said of the policy that holds where none is named.
const POLICY_DEFAULT: &str = match Policy::DEFAULT {
    Policy::Available => "the best that this version has: `available`",
    Policy::Strict => "the best that this version has: `strict`",
};

/// Every key of the file.
pub(crate) const CLUSTER_FILE: Keys = &[&[
    now("cluster", Shape::Table(&[CLUSTER]), "", "What the whole cluster is called, and its timers."),
    now(
        "timers",
        Shape::Table(&[TIMERS, ADDP]),
        "",
        "Single timers that differ from the preset, for every pair.",
    ),
    now("host", Shape::Tables(&[HOST, TIMERS, ADDP, RESERVED]), "", "A machine with an agent."),
    now(
        "template",
        Shape::Named(&[SHARED, TEMPLATE_ONLY]),
        "",
        "Keys shared by the applications that name it.",
    ),
    now("application", Shape::Tables(APPLICATION), "", "A supervised program."),
    now("pair", Shape::Tables(&[PAIR, TIMERS, RESERVED]), "", "Two applications of which one is primary."),
]];

const CLUSTER: &[Key] = &[
    now("name", Shape::Text, "must be there", "The cluster's name for people."),
    now(
        "id",
        Shape::Text,
        "none",
        "The cluster's identity for machines: 32 hexadecimal digits, hyphens allowed.",
    ),
    now("timers", Shape::Word(preset_words), "`normal`", "The preset that every timer starts from."),
    later("site", Shape::Text, "The site of the cluster.", NO_SITES),
    later("tenant", Shape::Text, "The tenant of the cluster.", NO_SITES),
];

/// The timers that this version uses: in `[timers]`, on a host and on a pair.
pub(crate) const TIMERS: &[Key] = &[
    now(
        "switchover-timeout",
        Shape::Duration,
        "preset",
        "The longest that a planned switchover may take, both halves together.",
    ),
    now(
        "link-grace",
        Shape::Duration,
        "preset",
        "How long an application's link to its agent may be gone while the process lives.",
    ),
    now(
        "lease",
        Shape::Duration,
        "preset",
        "With policy `strict`: how long a voter is bound by one answer, so the longest that a lost primary is waited for. A changed one holds from the pair's next epoch.",
    ),
    now(
        "renew",
        Shape::Duration,
        "preset",
        "With policy `strict`: how often a primary's agent asks its voters again. Of two hosts, the shorter one.",
    ),
    now(
        "fence-budget",
        Shape::Duration,
        "preset",
        "How long a member may take to confirm that it is primary no more, before it is killed.",
    ),
    now(
        "kill-budget",
        Shape::Duration,
        "preset",
        "With policy `strict`: how long a kill may take; the guard fires this much before the lease runs out.",
    ),
    now(
        "clock-drift",
        Shape::Integer,
        "2000",
        "With policy `strict`: by how many parts per million one machine's clock may be slower than another's; 2000 is 2 ms in a second.",
    ),
    now(
        "agent-restart-grace",
        Shape::Duration,
        "preset",
        "How long an agent that refuses connections on a living machine counts as restarting.",
    ),
    now(
        "disconnect-switchover-timeout",
        Shape::Duration,
        "preset",
        "With policy `available`: how long a host must have been silent, after its link was lost, before its pairs fail over. 0: at once.",
    ),
    now(
        "flap-damping",
        Shape::Text,
        "preset",
        "So many automatic changes of roles in a span, such as `3 in 5m`, after which further ones are held; or `off`.",
    ),
    now(
        "hang-limit",
        Shape::Duration,
        "preset",
        "How long an application may show no life before it is killed; 0 is never.",
    ),
];

const HOST: &[Key] = &[
    now("name", Shape::Text, "must be there", "The host's name."),
    now(
        "addresses",
        Shape::Texts,
        "must be there",
        "Where its agent is reached, tried in turn: addresses, names, or `unix:/PATH`.",
    ),
    now("lca-port", Shape::Integer, "4999", "The port of its agent, for every address but `unix:`."),
    now("addp", Shape::Table(&[ADDP]), "", "How the link to this host's agent is watched."),
    now(
        "fence",
        Shape::Texts,
        "none",
        "A command that switches this host off, run where the control server runs: program and arguments. Exit code 0 means that the host is off, and nothing else does.",
    ),
    now("fence-timeout", Shape::Duration, "`30s`", "How long `fence` may take; then it has failed."),
];

/// How the link between control server and agent is watched: in `[timers]`, on a host, and in its `[host.addp]`.
pub(crate) const ADDP: &[Key] = &[
    now(
        "addp-timeout",
        Shape::Duration,
        "preset",
        "Silence of the agent before it is polled, and again before it counts as lost; 0 is off.",
    ),
    now(
        "addp-remote-timeout",
        Shape::Duration,
        "preset",
        "The same, as the agent watches the control server; 0 is off.",
    ),
    now("addp-trace", Shape::Word(trace_words), "`off`", "Which side writes down polls, replies and losses."),
];

const PAIR: &[Key] = &[
    now("name", Shape::Text, "must be there", "The pair's name."),
    now("primary", Shape::Text, "must be there", "The application that is primary the very first time."),
    now("backup", Shape::Text, "must be there", "The other member."),
    now("redundancy", Shape::Word(redundancy_words), "`warm-standby`", "How much the backup knows."),
    now(
        "policy",
        Shape::Word(policy_words),
        POLICY_DEFAULT,
        "What is preferred when nobody can know whether the primary still acts. `strict`: never two primaries. `available`: a primary sooner; two may act until the lost one's agent is heard again.",
    ),
    now(
        "on-crash",
        Shape::Word(on_crash_words),
        "`failover`",
        "What follows when the primary's process ends by itself.",
    ),
    now(
        "keep-data",
        Shape::Boolean,
        "`false`",
        "Nobody is promoted who lacks what was acknowledged, but by `failover --force`. The application says through the library who has everything; a pair whose members never say so gains nothing by it.",
    ),
];

/// Keys that names and tables keep for later, wherever an object stands.
pub(crate) const RESERVED: &[Key] = &[
    later("site", Shape::Text, "Where it stands.", NO_SITES),
    later("tenant", Shape::Text, "Whose it is.", NO_SITES),
    later("dormant", Shape::Boolean, "Configured, and left alone.", NO_SITES),
    later("labels", Shape::Free("any text"), "Words to choose by.", NO_SITES),
];

/// With the words of the field.
fn trace_words() -> Vec<&'static str> {
    AddpTrace::WORDS.iter().flat_map(|(_, words)| words.iter().copied()).collect()
}

fn preset_words() -> Vec<&'static str> {
    Preset::ALL.iter().map(|preset| preset.as_str()).collect()
}

fn redundancy_words() -> Vec<&'static str> {
    Redundancy::ALL.iter().map(|word| word.as_str()).collect()
}

fn policy_words() -> Vec<&'static str> {
    Policy::ALL.iter().map(|word| word.as_str()).collect()
}

fn on_crash_words() -> Vec<&'static str> {
    OnCrash::ALL.iter().map(|word| word.as_str()).collect()
}

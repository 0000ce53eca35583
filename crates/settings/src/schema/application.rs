//! The keys of an application and of a template, in `cluster.toml`.
//!
//! Knows no values and no rules. The law: see the parent module.

use understudy_model::{Interface, ListeningMode, OutputKind, Redundancy, RestartPolicy, Signal};

use super::cluster::RESERVED;
use super::{Key, Keys, Shape, now};

/// Every key of `[[application]]`.
pub(crate) const APPLICATION: Keys = &[OWN, SHARED, RESERVED];

/// What only an application has.
const OWN: &[Key] = &[
    now("name", Shape::Text, "must be there", "The application's name."),
    now("template", Shape::Text, "none", "The template whose keys it takes where it has none of its own."),
    now(
        "backup",
        Shape::Text,
        "none",
        "The application that stands by for this one: makes a pair named after this one.",
    ),
    now(
        "redundancy",
        Shape::Word(redundancy_words),
        "`warm-standby`",
        "With `backup`: how much the backup knows.",
    ),
];

/// Keys that a template keeps for later.
pub(crate) const TEMPLATE_ONLY: &[Key] = RESERVED;

/// What an application and a template have.
pub(crate) const SHARED: &[Key] = &[
    now("host", Shape::Text, "must be there", "The host that it runs on."),
    now("type", Shape::Text, "`server`", "A free word for people, such as `t-server`."),
    now(
        "interface",
        Shape::Word(interface_words),
        "`plain`",
        "How it says that it is ready: `library`, which is also told of its role; `notify`, as daemons of systemd do; `plain`, not at all.",
    ),
    now(
        "command",
        Shape::Texts,
        "must be there",
        "Program, as an absolute path, and arguments. No shell reads it.",
    ),
    now(
        "working-directory",
        Shape::Text,
        "the agent's directory for it",
        "Where it starts; made if missing.",
    ),
    now("environment", Shape::Free("texts"), "empty", "Variables beyond the ones that the agent sets."),
    now("stop-signal", Shape::Word(signal_words), "`TERM`", "The first signal of a stop."),
    now(
        "restart",
        Shape::Word(restart_words),
        "`always`",
        "When to start it again after it ended by itself.",
    ),
    now("auto-restart", Shape::Boolean, "true", "The field's word: false means restart `never`."),
    now("success-codes", Shape::Integers, "[0]", "Exit codes that count as success."),
    now(
        "restart-delay",
        Shape::Duration,
        "`1s`",
        "Wait before the second and later restarts in a row, doubled each time up to 60s.",
    ),
    now(
        "restart-limit",
        Shape::Integer,
        "5",
        "Restarts that are tried in a row after a start that failed, before the agent gives up and says so: with 5 it gives up after 6 starts.",
    ),
    now("startup-timeout", Shape::Duration, "`90s`", "From start to ready; then it is killed."),
    now("shutdown-timeout", Shape::Duration, "`10s`", "From the first signal of a stop to the kill."),
    now("autostart", Shape::Boolean, "true", "Started as soon as its agent is known."),
    now("port", Shape::Tables(&[PORT]), "none", "A port that it listens on."),
    now(
        "options",
        Shape::Free("tables of texts, numbers, true or false"),
        "empty",
        "Sections of options, handed to the application as they are.",
    ),
    now(
        "environment-file",
        Shape::Text,
        "none",
        "A file with `NAME=value` lines, read at each start by its user's rights; a `-` in front of the path: it need not be there.",
    ),
    now("user", Shape::Text, "the agent's user", "The user that it runs as: a name or a number."),
    now("group", Shape::Text, "the user's group", "The group that it runs as."),
    now("groups", Shape::Texts, "those of the user", "Further groups, in place of the user's."),
    now("umask", Shape::Text, "`022`", "The mode bits that new files lack, in octal digits."),
    now(
        "limits",
        Shape::Table(&[LIMITS]),
        "",
        "What the process may use; each is its soft and its hard limit.",
    ),
    now("nice", Shape::Integer, "0", "The priority: -20 goes first, 19 last."),
    now(
        "oom-score-adjust",
        Shape::Integer,
        "0",
        "How readily it is killed when memory runs out: -1000 (never) to 1000.",
    ),
    now("memory-max", Shape::Size, "none", "The most memory; needs cgroup v2 on the host."),
    now(
        "cpu-max",
        Shape::Text,
        "none",
        "The most processor time in percent of one processor, such as `150%`; needs cgroup v2 on the host.",
    ),
    now("pids-max", Shape::Integer, "none", "The most processes and threads; needs cgroup v2 on the host."),
    now("stop-command", Shape::Texts, "none", "A command in place of the stop signal."),
    now("start-before", Shape::Texts, "none", "A command that runs to its end before each start."),
    now(
        "promote-signal",
        Shape::Word(signal_words),
        "none",
        "Tells it to be primary; it counts as primary as soon as the signal is delivered.",
    ),
    now(
        "demote-signal",
        Shape::Word(signal_words),
        "none",
        "Tells it to be a backup; it must serve no more at once, as the delivered signal is believed. A hook can prove it.",
    ),
    now(
        "reload-signal",
        Shape::Word(signal_words),
        "none",
        "Tells it to read its options file again when only its options changed.",
    ),
    now(
        "hooks",
        Shape::Table(&[HOOKS]),
        "none",
        "Commands at a start and at a change of role. A program with neither hook nor signal is stopped and started with its new mode.",
    ),
    now(
        "after",
        Shape::Texts,
        "none",
        "Applications of the same host: it starts once those of them that are being started are ready.",
    ),
    now("probe", Shape::Table(&[PROBE]), "none", "A question that it must answer to be ready, and to go on."),
    now(
        "watchdog",
        Shape::Duration,
        "none",
        "With `notify`: it says WATCHDOG=1 at least this often, or counts as hung.",
    ),
    now(
        "hang-limit",
        Shape::Duration,
        "the pair's",
        "How long it may show no life (stopped, silent library) before it is killed; 0 is never.",
    ),
    now(
        "output",
        Shape::Word(output_words),
        "`journal` where there is one, else `file`",
        "Where its output goes.",
    ),
    now("output-limit", Shape::Size, "`64M`", "A log file is rotated when it is longer; from `64K` on."),
    now("output-keep", Shape::Integer, "4", "How many old log files are kept, 0 to 100."),
];

const PORT: &[Key] = &[
    now("id", Shape::Text, "must be there", "The port's name, such as `default` or `ha`."),
    now("port", Shape::Integer, "must be there", "The number."),
    now("listening-mode", Shape::Word(listening_words), "`unsecured`", "Whether the port speaks TLS."),
    now("ha-sync", Shape::Boolean, "false", "The backup connects here to be kept up to date."),
    now(
        "protocol",
        Shape::Word(protocol_words),
        "`default`",
        "`tls` means a secured port; `addp` comes later.",
    ),
];

const LIMITS: &[Key] = &[
    now("nofile", Shape::Limit, "1024, hard 524288", "Open files."),
    now("core", Shape::Limit, "0, hard unlimited", "Size of a core file in bytes, or text such as `64M`."),
    now("memlock", Shape::Limit, "`8M`", "Locked memory in bytes, or text such as `64M`."),
    now("nproc", Shape::Limit, "the agent's", "Processes and threads of its user."),
];

const HOOKS: &[Key] = &[
    now("on-start", Shape::Texts, "none", "Before each start; if it fails, so does the start."),
    now("on-promote", Shape::Texts, "none", "It becomes primary; if it fails, the promotion is refused."),
    now("on-demote", Shape::Texts, "none", "It is primary no more; if it fails, the application is killed."),
    now("user", Shape::Text, "the application's user", "The user that hooks run as."),
    now("timeout", Shape::Duration, "`10s`", "The longest that a hook may take; then all of it is killed."),
];

const PROBE: &[Key] = &[
    now("exec", Shape::Texts, "none", "A command that must end with code 0."),
    now("tcp", Shape::Text, "none", "`PORT` or `ADDRESS:PORT` that must accept."),
    now("http", Shape::Text, "none", "`http://ADDRESS:PORT/PATH` that must answer with 200 to 399."),
    now("interval", Shape::Duration, "`1s`", "From one question to the next."),
    now("timeout", Shape::Duration, "`1s`", "The longest that an answer may take."),
    now("failures", Shape::Integer, "3", "Failures in a row that count as a hang."),
];

/// The words of `protocol`, on a port.
pub(crate) const PROTOCOLS: [&str; 3] = ["default", "addp", "tls"];

/// The words of `interface`, with the one that this version refuses.
pub(crate) fn interface_words() -> Vec<&'static str> {
    Interface::ALL.iter().map(|word| word.as_str()).collect()
}

fn protocol_words() -> Vec<&'static str> {
    PROTOCOLS.to_vec()
}

fn redundancy_words() -> Vec<&'static str> {
    Redundancy::ALL.iter().map(|word| word.as_str()).collect()
}

fn signal_words() -> Vec<&'static str> {
    Signal::ALL.iter().map(|word| word.as_str()).collect()
}

fn restart_words() -> Vec<&'static str> {
    RestartPolicy::ALL.iter().map(|word| word.as_str()).collect()
}

fn output_words() -> Vec<&'static str> {
    OutputKind::ALL.iter().map(|word| word.as_str()).collect()
}

fn listening_words() -> Vec<&'static str> {
    ListeningMode::ALL.iter().map(|word| word.as_str()).collect()
}

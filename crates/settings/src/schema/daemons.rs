//! The keys of `lca.toml` and `scs.toml`.
//!
//! Knows no values and no rules. The law: see the parent module.

use super::{Key, Keys, Shape, now};

/// Every key of `lca.toml`.
pub(crate) const AGENT_FILE: Keys = &[&[
    now("agent", Shape::Table(&[AGENT]), "must be there", "The agent itself."),
    now("policy", Shape::Table(&[POLICY]), "", "What this host lets any control server do."),
    now("tls", Shape::Table(&[TLS]), "", "Certificates of the agent."),
]];

/// Every key of `scs.toml`.
pub(crate) const SERVER_FILE: Keys = &[&[
    now("server", Shape::Table(&[SERVER]), "must be there", "The control server itself."),
    now("journal", Shape::Table(&[JOURNAL]), "", "What it remembers."),
    now("tls", Shape::Table(&[TLS]), "", "Certificates of the control server."),
    now("api", Shape::Table(&[API]), "", "Who may do what on the API over the network."),
    now(
        "notify",
        Shape::Table(&[NOTIFY]),
        "",
        "A command that is told of events, one at a time and in order.",
    ),
]];

const AGENT: &[Key] = &[
    now("host", Shape::Text, "must be there", "The host's name, as `cluster.toml` has it."),
    now(
        "listen",
        Shape::Texts,
        "[\"127.0.0.1:4999\"]",
        "Where the control server connects to: `ADDRESS:PORT`, on loopback unless there is `[tls]`, or `unix:/PATH`.",
    ),
    now(
        "state-directory",
        Shape::Text,
        "`/var/lib/understudy/lca`",
        "Promises and what runs; must outlive a reboot.",
    ),
    now("runtime-directory", Shape::Text, "`/run/understudy`", "Sockets; gone after a reboot."),
    now("log-directory", Shape::Text, "`/var/log/understudy`", "Output of applications."),
    now(
        "status-listen",
        Shape::Texts,
        "[\"127.0.0.1:4998\"]",
        "Where load balancers and Prometheus ask: `ADDRESS:PORT`, on any address; an empty list is nowhere.",
    ),
];

const POLICY: &[Key] = &[
    now(
        "commands",
        Shape::Texts,
        "every command",
        "Programs that may be started: absolute paths in which `*` and `?` stand for anything but `/`.",
    ),
    now(
        "users",
        Shape::Texts,
        "every one but root",
        "Users that applications may name, by name or number. The agent's own user needs no mention.",
    ),
    now(
        "groups",
        Shape::Texts,
        "none",
        "Groups that applications may name although the host's lists do not give them to their user.",
    ),
    now("allow-root", Shape::Boolean, "false", "Whether anything may run as root."),
];

const SERVER: &[Key] = &[
    now("name", Shape::Text, "must be there", "The control server's name."),
    now("cluster-file", Shape::Text, "`/etc/understudy/cluster.toml`", "The cluster that it controls."),
    now(
        "api-socket",
        Shape::Text,
        "`/run/understudy/scs.sock`",
        "The Unix socket that `scsctl` connects to.",
    ),
    now(
        "state-directory",
        Shape::Text,
        "`/var/lib/understudy/scs`",
        "Epochs, goals and the journal; must outlive a reboot.",
    ),
    now(
        "api-listen",
        Shape::Texts,
        "[]",
        "Where the API is served over the network: `ADDRESS:PORT`, with TLS alone, so `[tls]` must be there.",
    ),
];

const JOURNAL: &[Key] = &[
    now("keep", Shape::Duration, "`90d`", "How long observations, decisions and events are kept."),
    now(
        "max-size",
        Shape::Size,
        "`1G`",
        "What the store may take, from `16M` to `1T`; beyond it the oldest of these are forgotten early.",
    ),
];

const TLS: &[Key] = &[
    now("certificate", Shape::Text, "must be there", "File of its certificate, in PEM form."),
    now("key", Shape::Text, "must be there", "File of the key of that certificate."),
    now("authorities", Shape::Texts, "must be there", "Files of those who may have signed the others."),
    now("revoked", Shape::Texts, "", "Files that list revoked certificates."),
];

const API: &[Key] = &[
    now(
        "admins",
        Shape::Texts,
        "[]",
        "Operators whose certificate makes them admins; the others are operators.",
    ),
    now("viewers", Shape::Texts, "[]", "Operators whose certificate lets them only look."),
    now(
        "host-names",
        Shape::Texts,
        "[]",
        "Names under which the API is asked beside those in its certificate, such as that of a proxy.",
    ),
];

const NOTIFY: &[Key] = &[
    now(
        "on",
        Shape::Texts,
        "must be there",
        "The kinds of events, such as `role-changed`, `switchover-refused`, `gave-up`, `certificate-expiring`.",
    ),
    now(
        "command",
        Shape::Texts,
        "must be there",
        "Program, as an absolute path, and arguments. It gets the event as one line of JSON and in its environment.",
    ),
];

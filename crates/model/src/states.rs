//! The field's lists of states. Goal and current state are kept apart everywhere.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }
        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// The word as it stands in settings, on the wire and in `-o json`.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
            /// The value with that word, if any.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($text => Some($name::$variant),)+ _ => None }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

word_enum!(
    /// What an application is, as far as is known.
    ApplicationStatus {
        /// Its agent cannot be heard.
        Unknown => "unknown",
        /// No process.
        Stopped => "stopped",
        /// A start was decided, or waits for its restart delay.
        StartPending => "start-pending",
        /// The process runs and is not ready yet.
        Initializing => "initializing",
        /// The process runs and is ready.
        Started => "started",
        /// The process runs and said that it cannot serve.
        ServiceUnavailable => "service-unavailable",
        /// Asked to stop gracefully, finishing what it has.
        Suspending => "suspending",
        /// Finished what it had, waits to be stopped.
        Suspended => "suspended",
        /// A stop was decided, the process has not ended yet.
        StopPending => "stop-pending",
    }
);

word_enum!(
    /// What a process was told, and said, to be.
    RunMode {
        /// Not known.
        Unknown => "unknown",
        /// It serves.
        Primary => "primary",
        /// It stands ready.
        Backup => "backup",
        /// It is about to end.
        Exiting => "exiting",
    }
);

word_enum!(
    /// What a host is, as far as the control server can tell.
    HostStatus {
        /// Not heard yet.
        Unknown => "unknown",
        /// Its agent answers.
        Running => "running",
        /// The machine answers, its agent does not.
        Inaccessible => "inaccessible",
        /// The network says nothing.
        Unreachable => "unreachable",
        /// Down, confirmed.
        Unavailable => "unavailable",
    }
);

word_enum!(
    /// What somebody wants an application to be.
    Goal {
        /// It should run.
        Started => "started",
        /// It should not run.
        Stopped => "stopped",
    }
);

word_enum!(
    /// How much the backup knows.
    Redundancy {
        /// Initialised, ignores clients until promoted.
        WarmStandby => "warm-standby",
        /// Clients on both, state copied to the backup.
        HotStandby => "hot-standby",
    }
);

word_enum!(
    /// What is preferred when it cannot be known whether the primary still acts.
    Policy {
        /// Never two primaries.
        Strict => "strict",
        /// The classic behaviour: promote when the host is lost.
        Available => "available",
    }
);

impl Policy {
    /// What a pair has whose settings name none: the best that this version keeps.
    pub const DEFAULT: Policy = Policy::Strict;

    /// What it promises and what it gives up, for people.
    pub fn means(self) -> &'static str {
        match self {
            Policy::Strict => {
                "one member acts at any moment: a primary that cannot renew its lease steps down, or is killed, before \
                 the other is promoted; the price is a wait of up to one lease after the loss of a host"
            }
            Policy::Available => {
                "a host that counts as lost is failed over without proof that it is gone: its primary may still act, so \
                 two may act until its agent is heard again"
            }
        }
    }
}

word_enum!(
    /// What follows when the primary's process ends by itself.
    OnCrash {
        /// The backup is promoted at once.
        Failover => "failover",
        /// The same member is given one start first.
        RestartFirst => "restart-first",
    }
);

word_enum!(
    /// How an application says that it is ready, and hears its run mode.
    Interface {
        /// Through the application library.
        Library => "library",
        /// Not at all: ready when it runs.
        Plain => "plain",
        /// By datagrams to a socket, as daemons of systemd do; it hears its run mode as a plain one does.
        Notify => "notify",
    }
);

word_enum!(
    /// When an ended process is started again without anybody asking.
    RestartPolicy {
        /// Whatever the end was.
        Always => "always",
        /// Unless it ended with a success code.
        OnFailure => "on-failure",
        /// Never.
        Never => "never",
    }
);

word_enum!(
    /// Whether a port speaks TLS.
    ListeningMode {
        /// Plain.
        Unsecured => "unsecured",
        /// TLS.
        Secured => "secured",
    }
);

word_enum!(
    /// Signals that settings may name, for `stop-signal`.
    Signal {
        /// 1
        Hup => "HUP",
        /// 2
        Int => "INT",
        /// 3
        Quit => "QUIT",
        /// 9
        Kill => "KILL",
        /// 10
        Usr1 => "USR1",
        /// 12
        Usr2 => "USR2",
        /// 15
        Term => "TERM",
    }
);

word_enum!(
    /// Where the output of an application goes.
    OutputKind {
        /// To the journal of the system, under the application's name.
        Journal => "journal",
        /// To a file in the agent's log directory.
        File => "file",
    }
);

/// What an application says of its own ability to serve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// It has said nothing yet.
    NotYet,
    /// It can serve, or can take over at once.
    Ready,
    /// It cannot, for this reason.
    Unavailable(String),
}

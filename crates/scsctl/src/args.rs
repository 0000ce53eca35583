//! The command line: which commands there are and what they take. It knows nothing of what they do.
//! The law: a command or option once published keeps its meaning.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

mod access;
mod pki;
mod what_if;

pub use access::Access;
pub use pki::{Pki, PkiIssue, PkiPlace};
pub use what_if::WhatIf;

/// Talks to an Understudy control server.
///
/// Exit codes: 0 done or already so, 1 failed, 2 usage, 3 refused, 4 server unreachable, 5 outcome unknown,
/// 6 needs --yes, 78 bad configuration.
#[derive(Debug, Parser)]
#[command(name = "scsctl", version, verbatim_doc_comment)]
pub struct Args {
    /// Where the control server is, and how to get in there
    #[command(flatten)]
    pub access: Access,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Longest time to wait: 500ms, 10s, 2m [default: 10s for an answer, 60s for `wait` and for an operation]
    #[arg(long, global = true, value_parser = span)]
    pub timeout: Option<Duration>,
    /// Do it even though it interrupts service
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// No colours, also on a terminal
    #[arg(long, global = true)]
    pub no_color: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For people with wide terminals
    Wide,
    /// For scripts: exactly what the server said
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The cluster at a glance: what runs, who is primary, what is wrong and what to do
    Status {
        /// Show it again and again
        #[arg(short, long)]
        watch: bool,
        /// Exit 1 if anything is wrong
        #[arg(long)]
        check: bool,
    },
    /// All hosts
    Hosts,
    /// One host
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Host {
        /// Its name
        #[arg(required = true)]
        name: Option<String>,
        /// What to do with it
        #[command(subcommand)]
        doing: Option<HostDoing>,
    },
    /// All applications
    #[command(aliases = ["applications", "list"])]
    Apps,
    /// One application
    #[command(alias = "application")]
    App(Named),
    /// All pairs
    Pairs,
    /// One pair
    Pair(Named),
    /// Start an application, or both members of a pair
    Start(Doing),
    /// Stop an application, or both members of a pair; needs --yes if it stops a primary
    Stop {
        #[command(flatten)]
        doing: Doing,
        /// Let it finish what it has
        #[arg(long)]
        graceful: bool,
    },
    /// Stop an application and start it again; needs --yes if it is a primary. With --rolling both members of a pair, one after
    /// the other
    Restart {
        #[command(flatten)]
        doing: Doing,
        /// The backup first, then a change of roles, then the other
        #[arg(long)]
        rolling: bool,
        /// With --rolling: make every check and print the plan; do nothing
        #[arg(long, requires = "rolling")]
        dry_run: bool,
    },
    /// Change the roles of a pair
    Switchover(Switchover),
    /// Promote the backup of a pair whose primary is silent, without the proof that it has ended
    Failover(Failover),
    /// Switch everything primary away from a host, and promote nothing there until it is given back
    Drain {
        /// Host
        host: String,
        /// Give it back: it may have primaries again; roles stay where they are
        #[arg(long = "return")]
        back: bool,
        /// Make every check and print the plan; do nothing
        #[arg(long)]
        dry_run: bool,
        /// For the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Print the operation's number and do not wait for its end
        #[arg(long)]
        no_wait: bool,
    },
    /// Pairs that changed roles too often: what is held now
    Flap {
        /// What to do about it
        #[command(subcommand)]
        doing: Option<Flap>,
    },
    /// Why something is as it is, and which rules did not fire
    #[command(alias = "explain", group = clap::ArgGroup::new("what").required(true).args(["name", "event"]))]
    Why {
        /// Pair, application or host
        name: Option<String>,
        /// The number of an event
        #[arg(long)]
        event: Option<u64>,
    },
    /// What would happen: asks the deciding function, and does nothing
    #[command(name = "what-if", subcommand)]
    WhatIf(WhatIf),
    /// Decide again on what was recorded, and compare; does nothing. Exit 1 if a decision is not the same
    Replay {
        /// Leaderships that went on then or began later: a time as for `events`, or how long ago as 90s, 10m, 2h, 7d [default: the newest]
        #[arg(long)]
        from: Option<String>,
        /// Nothing that was recorded later
        #[arg(long)]
        to: Option<String>,
    },
    /// What happened, oldest first
    #[command(alias = "history")]
    Events(Events),
    /// What an application printed
    Logs(Logs),
    /// Take a host, an application or a pair out of automatic care, or back
    Maintenance {
        /// Out (on) or back (off)
        #[arg(value_enum)]
        switch: Switch,
        /// Host, application or pair
        name: String,
        /// For the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Wait until something is so
    Wait {
        /// Pair, application or host
        name: String,
        /// What it shall be
        #[arg(long = "for", value_enum)]
        what: Awaited,
    },
    /// Operations that were asked for
    #[command(alias = "operation")]
    Operations {
        /// Its number
        id: Option<u64>,
    },
    /// Configuration
    #[command(subcommand)]
    Config(Config),
    /// The same as `config reload`
    #[command(hide = true)]
    Reload {
        /// Say what it would change, or why it would be refused; do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Certificates: an authority in a directory of this machine, and what it issues
    #[command(subcommand)]
    Pki(Pki),
    /// Keep store and settings of this host's control server in one new file; also while it runs
    Backup(BackUp),
    /// Make the store of this host's control server from such a file, where there is none and none runs
    Restore(Restore),
    /// Play the demonstration on this machine
    Demo {
        /// Handed on as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// The version of this program
    Version,
    /// Completions for a shell
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
    /// Tokens of the API
    #[command(subcommand)]
    Token(Token),
    /// Named servers of yours, kept in ~/.config/understudy/contexts.toml
    #[command(subcommand)]
    Context(Context),
}

/// Tokens of the API.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make one and print it, this once
    Create {
        /// Whose it is
        name: String,
        /// What it may
        #[arg(long, value_enum)]
        role: Role,
        /// How long it lives: 12h, 90d [default: until it is revoked]
        #[arg(long, value_name = "SPAN", value_parser = life)]
        expires: Option<Duration>,
    },
    /// All of them, and when each was last used
    List,
    /// Take one back: it opens nothing any more, and what it opened ends
    Revoke {
        /// Whose
        name: String,
    },
}

/// What a token may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Look
    Viewer,
    /// Change what runs and who is primary
    Operator,
    /// Everything, tokens too
    Admin,
}

impl Role {
    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// Named servers.
#[derive(Debug, Subcommand)]
pub enum Context {
    /// All of them; the current one has a star
    List,
    /// Mean this one from now on
    Use {
        /// Which
        name: String,
    },
    /// Keep --server, --ca, --revoked, --certificate, --key and --token-file under a name
    Set {
        /// Which
        name: String,
    },
}

/// What can be done with a host.
#[derive(Debug, Subcommand)]
pub enum HostDoing {
    /// Accept its agent, which was reinstalled or lost its memory and is another one now; needs --yes
    Rejoin {
        /// Host
        host: String,
    },
    /// For planned work: what acts there keeps its role so long though its agent is away; its loss is followed that late
    Hold {
        /// Host
        host: String,
        /// How long, at most 1h
        #[arg(long = "for", value_name = "SPAN", value_parser = span, required_unless_present = "end")]
        span: Option<Duration>,
        /// End it: what acts there gets its usual lease again
        #[arg(long, conflicts_with_all = ["span", "reason"])]
        end: bool,
        /// For the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Make every check and print the plan; do nothing
        #[arg(long)]
        dry_run: bool,
        /// Print the operation's number and do not wait for its end
        #[arg(long)]
        no_wait: bool,
    },
}

/// What is kept.
#[derive(Debug, ClapArgs)]
pub struct BackUp {
    /// The file to make
    pub file: PathBuf,
    /// Settings of the control server
    #[arg(long, value_name = "FILE", default_value = "/etc/understudy/scs.toml")]
    pub config: PathBuf,
    /// With the files of [tls], the key among them
    #[arg(long)]
    pub with_keys: bool,
}

/// What is restored.
#[derive(Debug, ClapArgs)]
pub struct Restore {
    /// The file
    pub file: PathBuf,
    /// Settings of the control server
    #[arg(long, value_name = "FILE", default_value = "/etc/understudy/scs.toml")]
    pub config: PathBuf,
    /// First write the settings that it keeps into this directory, where none of them may be yet
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
}

/// A name.
#[derive(Debug, ClapArgs)]
pub struct Named {
    /// Its name
    pub name: String,
}

/// Something to be done to an object.
#[derive(Debug, ClapArgs)]
pub struct Doing {
    /// Application or pair
    pub name: String,
    /// For the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print the operation's number and do not wait for its end
    #[arg(long)]
    pub no_wait: bool,
}

/// A planned change of roles.
#[derive(Debug, ClapArgs)]
pub struct Switchover {
    /// Pair, or one of its members
    pub pair: String,
    /// The member that shall be primary; if it is, nothing is done
    #[arg(long, value_name = "MEMBER")]
    pub to: Option<String>,
    /// Make every check and print the plan; do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print the operation's number and do not wait for its end
    #[arg(long)]
    pub no_wait: bool,
}

/// A promotion without the usual proof.
#[derive(Debug, ClapArgs)]
pub struct Failover {
    /// Pair, or one of its members
    pub pair: String,
    /// Give up the proof that the former primary has ended: two may act until its host is heard
    #[arg(long)]
    pub force: bool,
    /// Make every check and print what would be given up; do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Print the operation's number and do not wait for its end
    #[arg(long)]
    pub no_wait: bool,
}

/// Pairs that changed roles too often.
#[derive(Debug, Subcommand)]
pub enum Flap {
    /// Somebody has looked: automatic changes go on, and are counted anew
    Acknowledge {
        /// Pair, or one of its members
        pair: String,
    },
}

/// Which events.
#[derive(Debug, ClapArgs)]
pub struct Events {
    /// Not older than this: 10m, 2h, 7d; 11:30, yesterday, 2026-11-20, "2026-11-20 08:00"; or 2026-11-20T08:00:00Z
    #[arg(long, value_name = "T")]
    pub since: Option<String>,
    /// Only of this application
    #[arg(long)]
    pub app: Option<String>,
    /// Only of this pair, or of the pair of this member
    #[arg(long)]
    pub pair: Option<String>,
    /// Only of this host
    #[arg(long)]
    pub host: Option<String>,
    /// At most this many, the newest ones
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Go on with what happens from now
    #[arg(short, long)]
    pub follow: bool,
}

/// Which output.
#[derive(Debug, ClapArgs)]
pub struct Logs {
    /// Application
    pub name: String,
    /// Go on with what it prints from now
    #[arg(short, long)]
    pub follow: bool,
    /// At most this many lines before the end; 100 unless --since is given
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub lines: Option<u32>,
    /// Not older than this: 10m, 2h, 7d; 11:30, yesterday, 2026-11-20, "2026-11-20 08:00"; or 2026-11-20T08:00:00Z; where output
    /// goes to the journal
    #[arg(long, value_name = "T")]
    pub since: Option<String>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Hands off
    On,
    /// Automatic again
    Off,
}

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Awaited {
    /// The application is primary; the pair has a primary
    Primary,
    /// The application runs and is ready; every member of the pair is; the host's agent answers
    Started,
    /// The application can serve or take over; the pair's backup could take over now; the host's agent answers
    Ready,
    /// The application, or every member of the pair, does not run
    Stopped,
}

impl Awaited {
    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Awaited::Primary => "primary",
            Awaited::Started => "started",
            Awaited::Ready => "ready",
            Awaited::Stopped => "stopped",
        }
    }
}

/// Configuration.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Check a cluster file without any server
    Validate {
        /// The file
        #[arg(default_value = "/etc/understudy/cluster.toml")]
        file: PathBuf,
    },
    /// What the control server accepted last and goes by, as a cluster file; secrets are masked
    Show,
    /// What a reload would change, or why it would be refused: the file of the control server against what it accepted
    Diff,
    /// Let the control server read its cluster file again
    Reload {
        /// Say what it would change, or why it would be refused; do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Reads `500ms`, `10s`, `2m`, `1h`; a bare number is seconds.
fn span(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a time such as 500ms, 10s or 2m, longer than nothing and at most a day";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(EXPECTED.to_owned()),
    };
    let ms = number.checked_mul(unit_ms).ok_or(EXPECTED)?;
    if ms == 0 || ms > 86_400_000 { Err(EXPECTED.to_owned()) } else { Ok(Duration::from_millis(ms)) }
}

/// Reads `90s`, `12h`, `90d`: from a second to ten years.
fn life(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a time such as 12h or 90d, at least 1s and at most 3650d";
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?;
    let (number, unit) = text.split_at(digits);
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(EXPECTED.to_owned()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_s)).ok_or(EXPECTED)?;
    if (1..=3_650 * 86_400).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err(EXPECTED.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn spans_are_read_with_their_units_and_bounded() {
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("7"), Ok(Duration::from_secs(7)));
        assert_eq!(span("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "0", "s", "5x", "25h", "99999999999999999999s", "18446744073709551615h"] {
            assert!(span(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn lives_of_tokens_are_read_and_bounded() {
        assert_eq!(life("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(life("12h"), Ok(Duration::from_secs(12 * 3_600)));
        for wrong in ["", "90", "d", "0d", "3651d", "1y", "99999999999999999999d"] {
            assert!(life(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn why_takes_a_name_or_an_event_and_not_neither() {
        assert!(Args::try_parse_from(["scsctl", "why", "tserver"]).is_ok());
        assert!(Args::try_parse_from(["scsctl", "why", "--event", "7"]).is_ok());
        assert!(Args::try_parse_from(["scsctl", "why"]).is_err());
        assert!(Args::try_parse_from(["scsctl", "why", "tserver", "--event", "7"]).is_err());
    }
}

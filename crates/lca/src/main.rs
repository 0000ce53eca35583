//! `lca`, the agent of one host: command line, log, exit code.
//!
//! Refuses to know everything else. The law: the exit code tells a service unit whether another start can help.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use understudy_drive::{Unit, begin_log};
use understudy_guard::watch::{Rank, hurry};
use understudy_lca::accepting::cause;
use understudy_lca::exit::Exit;
use understudy_lca::inherited::{Inheritance, own_program};
use understudy_lca::life::{Life, LifeError, Start, addresses};
use understudy_lca::local::LONGEST_LEAVE;
use understudy_lca::local_commands::{hand_over, replace};
use understudy_lca::memory::share_one_heap;
use understudy_lca::reload::{reload_on_request, reload_signal};
use understudy_lca::security;
use understudy_settings::{AgentSettings, read_agent};

/// Starts, watches and stops the applications of this host, and acts for their control server.
///
/// Exit codes: 0 ended as asked (with --check: nothing is wrong), 1 failed, 2 usage, 4 no agent answers, 78 bad configuration, or
/// state that was refused.
#[derive(Debug, Parser)]
#[command(name = "lca", version, verbatim_doc_comment)]
struct Arguments {
    /// Settings file.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/understudy/lca.toml")]
    config: PathBuf,
    /// Only check the settings: report all problems and end.
    #[arg(long)]
    check: bool,
    /// What is asked of the agent that runs; without one, this is the agent.
    #[command(subcommand)]
    asks: Option<Asks>,
}

/// What can be asked of the agent that runs on this host.
#[derive(Debug, Subcommand)]
enum Asks {
    /// Hand over what is primary on this host, then stop everything that runs: before it is shut down.
    Handover {
        /// How long each half may take, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=LONGEST_LEAVE.as_secs()))]
        timeout: u64,
        /// Take it back: this host stays, and runs what it should.
        #[arg(long = "return")]
        back: bool,
    },
    /// Let the agent become the program that lies where it was started from; its applications keep their links.
    Reexec,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(asked) => {
            let shown = asked.print();
            let exit = match asked.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion if shown.is_ok() => Exit::Done,
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Failed,
                _ => Exit::Usage,
            };
            return exit.into();
        }
    };
    let settings = match read(&arguments.config) {
        Ok(settings) => settings,
        Err(problems) => {
            eprintln!("{problems}");
            return Exit::BadConfiguration.into();
        }
    };
    if arguments.check {
        println!("{} is well", arguments.config.display());
        return Exit::Done.into();
    }
    if let Some(asks) = arguments.asks {
        return ask(&settings, &asks).into();
    }
    // Before the log, which is written by a thread.
    let shared = share_one_heap();
    let _log = match begin_log("LCA_LOG") {
        Ok(log) => log,
        Err(error) => {
            eprintln!("lca: cannot begin its log: {error}");
            return Exit::Failed.into();
        }
    };
    if !shared {
        tracing::debug!("each thread keeps a heap of its own");
    }
    match live(arguments.config, settings) {
        Ok(()) => Exit::Done.into(),
        Err(problem) => {
            tracing::error!("{}", problem.0);
            problem.1.into()
        }
    }
}

fn ask(settings: &AgentSettings, asks: &Asks) -> Exit {
    let done = match asks {
        Asks::Handover { timeout, back } => hand_over(settings, Duration::from_secs(*timeout), *back),
        Asks::Reexec => replace(settings),
    };
    match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("lca: {error}");
            error.exit()
        }
    }
}

/// The settings, checked as far as they can be without changing anything.
fn read(path: &Path) -> Result<AgentSettings, String> {
    let checked = read_agent(path).map_err(|error| error.to_string())?;
    for warning in &checked.warnings {
        eprintln!("{warning}");
    }
    addresses(&checked.value).map_err(|error| format!("{}: {error}", path.display()))?;
    security::load(&checked.value).map_err(|error| format!("{}: {}", path.display(), cause(&error)))?;
    Ok(checked.value)
}

fn live(config: PathBuf, settings: AgentSettings) -> Result<(), (String, Exit)> {
    let failed = |what: &str, error: std::io::Error| (format!("{what}: {error}"), Exit::Failed);
    // Before anything is opened: what was handed over is known by its numbers.
    let inheritance = Inheritance::take().unwrap_or_else(|why| {
        tracing::warn!("{why}; this agent begins as after a restart");
        Inheritance::default()
    });
    let unit = Unit::from_environment().unwrap_or_else(|error| {
        tracing::warn!("the service manager is not told anything: {error}");
        Unit::default()
    });
    // This thread asks for votes and gives them: where no core is free, a role would be lost for a wait of some turns. Nothing
    // that it starts inherits that, neither threads nor programs.
    if !hurry(Rank::Agent) {
        tracing::info!("it may not go before other programs: on a busy machine, leases have to be longer");
    }
    let program = own_program().map_err(|error| failed("cannot find this program", error))?;
    let arguments = std::env::args_os().skip(1).collect();
    let start = Start { program, arguments, unit: unit.clone(), inheritance };
    let refused = |error: LifeError| {
        let exit = if error.is_configuration() { Exit::BadConfiguration } else { Exit::Failed };
        (cause(&error), exit)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("cannot make a runtime", error))?;
    let outcome = runtime.block_on(async {
        let stop = understudy_drive::stop_signals().map_err(|error| failed("cannot catch signals", error))?;
        let reload = reload_signal().map_err(|error| failed("cannot catch signals", error))?;
        let life = Life::begin(&settings, &start.program).map_err(refused)?;
        tokio::spawn(reload_on_request(reload, config, settings, life.processes(), life.security(), unit));
        tokio::spawn(security::look_after(life.security()));
        life.live(&stop, start).await.map_err(refused)
    });
    // The next life waits for no resolver that this one still asks.
    runtime.shutdown_background();
    outcome
}

//! Runs one command: which questions are asked, and what is shown of the answers.
//!
//! It knows the paths of the API, not its bytes. The law: what interrupts service is asked for twice.

mod config;
mod contexts;
mod demo;
mod does;
mod keeping;
mod looks;
mod pki;
mod sequences;
mod tokens;
mod wait;

use std::path::Path;
use std::time::Duration;

use clap::CommandFactory;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::{self, Args, Command, Config, Flap, HostDoing, Output};
use crate::contexts::Contexts;
use crate::exit::{Exit, Failure};
use crate::out::Out;
use crate::place::{Access as PlaceAccess, Place, Token};
use crate::server::Server;
use crate::show::{Show, own_zone};

/// How long an answer may take unless `--timeout` says otherwise.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long a replay may take; the server ends one by itself before that.
const REPLAY_LIMIT: Duration = Duration::from_secs(40);
/// How long `wait` and the end of an operation may take unless `--timeout` says otherwise.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Where the server is if nothing says so.
const USUAL_SERVER: &str = "unix:/run/understudy/scs.sock";
/// A token itself, for programs that keep secrets in the environment.
const TOKEN_VARIABLE: &str = "SCSCTL_TOKEN";
/// How much of a token's file is read.
const LONGEST_TOKEN_BYTES: u64 = 4_096;

/// What every command needs.
struct Session<'a> {
    server: Server,
    output: Output,
    yes: bool,
    wait_limit: Duration,
    out: &'a mut Out,
}

/// Runs the command and says how it ended.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, Failure> {
    match &args.command {
        Command::Config(Config::Validate { file }) => return config::validate(file, args.output, out),
        Command::Demo { arguments } => return demo::play(arguments),
        Command::Pki(what) => return pki::run(what, args, out),
        Command::Backup(which) => return keeping::back_up(which),
        Command::Restore(which) => return keeping::restore(which, args.yes),
        Command::Version => return out.line(&version()).map(|()| Exit::Done),
        Command::Completions { shell } => return completions(*shell, out),
        Command::Context(what) => return contexts::run(what, args, out),
        _ => {}
    }
    let answer_limit = match &args.command {
        Command::Replay { .. } => REPLAY_LIMIT,
        _ => ANSWER_LIMIT,
    };
    let session = Session {
        server: Server::new(place(&args.access)?, args.timeout.unwrap_or(answer_limit)),
        output: args.output,
        yes: args.yes,
        wait_limit: args.timeout.unwrap_or(WAIT_LIMIT),
        out,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(Exit::Failed, format!("the program cannot start: {error}")))?;
    runtime.block_on(ask(session, &args.command))
}

/// Where to ask: a context that is named, else the server that is named, else the current context, else the usual
/// socket. What the command line says beside it stands above what a context says.
fn place(said: &args::Access) -> Result<Place, Failure> {
    let context = match (&said.context, &said.server) {
        (Some(name), _) => Contexts::read()?.find(Some(name))?.cloned(),
        // The token of a context is for the server of that context alone.
        (None, Some(_)) => None,
        (None, None) => Contexts::read()?.find(None)?.cloned(),
    };
    let url = context.as_ref().map(|context| context.server.clone()).or_else(|| said.server.clone());
    let context = context.unwrap_or_default();
    let token = match said.token_file.clone() {
        Some(file) => Some(read_token(&file)?),
        None => match std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()) {
            Some(token) => Some(Token::new(&token)),
            None => context.token_file.map(|file| read_token(&file)).transpose()?,
        },
    };
    Place::new(PlaceAccess {
        url: url.unwrap_or_else(|| USUAL_SERVER.to_owned()),
        authority: said.ca.clone().or(context.ca),
        revoked: if said.revoked.is_empty() { context.revoked } else { said.revoked.clone() },
        certificate: said.certificate.clone().or(context.certificate),
        key: said.key.clone().or(context.key),
        token,
    })
}

fn read_token(file: &Path) -> Result<Token, Failure> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(LONGEST_TOKEN_BYTES).read_to_string(&mut text))
        .map_err(|error| Failure::new(Exit::Usage, format!("the token in {}: {error}", file.display())))?;
    Ok(Token::new(&text))
}

async fn ask(session: Session<'_>, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Status { watch, check } => looks::status(session, *watch, *check).await,
        Command::Hosts => looks::hosts(session).await,
        Command::Host { doing: Some(HostDoing::Rejoin { host }), .. } => does::rejoin(session, host).await,
        Command::Host {
            doing: Some(HostDoing::Hold { host, span, end: _, reason, dry_run, no_wait }),
            ..
        } => {
            let span_ms = span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
            let body = json!({ "span_ms": span_ms, "dry_run": dry_run, "reason": reason });
            sequences::hold(session, host, body, *no_wait).await
        }
        Command::Host { name, doing: None } => {
            looks::host(session, name.as_deref().unwrap_or_default()).await
        }
        Command::Apps => looks::applications(session).await,
        Command::App(named) => looks::application(session, &named.name).await,
        Command::Pairs => looks::pairs(session).await,
        Command::Pair(named) => looks::pair(session, &named.name).await,
        Command::Why { name, event } => looks::why(session, name.as_deref(), *event).await,
        Command::WhatIf(supposed) => looks::what_if(session, supposed).await,
        Command::Replay { from, to } => looks::replay(session, from.as_deref(), to.as_deref()).await,
        Command::Events(which) => looks::events(session, which).await,
        Command::Logs(which) => looks::logs(session, which).await,
        Command::Operations { id } => looks::operations(session, *id).await,
        Command::Start(doing) => does::start(session, doing).await,
        Command::Stop { doing, graceful } => does::stop(session, doing, *graceful).await,
        Command::Restart { doing, rolling: true, dry_run } => {
            sequences::restart(session, doing, *dry_run).await
        }
        Command::Restart { doing, .. } => does::restart(session, doing).await,
        Command::Failover(which) => sequences::failover(session, which).await,
        Command::Drain { host, back, dry_run, reason, no_wait } => {
            sequences::drain(session, host, *back, *dry_run, reason.as_deref(), *no_wait).await
        }
        Command::Flap { doing: Some(Flap::Acknowledge { pair }) } => {
            sequences::acknowledge(session, pair).await
        }
        Command::Flap { doing: None } => looks::held(session).await,
        Command::Switchover(which) => does::switchover(session, which).await,
        Command::Maintenance { switch, name, reason } => {
            does::maintenance(session, name, *switch, reason.as_deref()).await
        }
        Command::Wait { name, what } => wait::until(session, name, *what).await,
        Command::Token(what) => tokens::run(session, what).await,
        Command::Config(Config::Show) => config::show(session).await,
        Command::Config(Config::Diff) => config::reload(session, true).await,
        Command::Config(Config::Reload { dry_run }) | Command::Reload { dry_run } => {
            config::reload(session, *dry_run).await
        }
        Command::Config(Config::Validate { .. })
        | Command::Demo { .. }
        | Command::Pki(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Version
        | Command::Context(_)
        | Command::Completions { .. } => Ok(Exit::Done),
    }
}

impl Session<'_> {
    fn show(&self) -> Show {
        Show {
            now: Timestamp::now(),
            zone: own_zone(),
            paint: self.out.paint(),
            wide: self.output == Output::Wide,
        }
    }

    fn json(&mut self, answer: &Value) -> Result<(), Failure> {
        self.out.line(&answer.to_string())
    }

    fn wants_json(&self) -> bool {
        self.output == Output::Json
    }
}

fn version() -> String {
    format!("scsctl {}", env!("CARGO_PKG_VERSION"))
}

fn completions(shell: clap_complete::Shell, out: &mut Out) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "scsctl", &mut text);
    out.print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}

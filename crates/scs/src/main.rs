//! The `scs` program: arguments in, exit code out. It knows files and exit codes; the rest is in the library beside it.
//! The law: a settings file that is wrong is never half used.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use understudy_scs::exit::Exit;
use understudy_scs::service::{BadFiles, Files, read_files, serve};

/// The control server of an Understudy cluster.
///
/// Exit codes: 0 ended as asked (with --check: nothing is wrong), 1 failed, 2 usage, 78 bad configuration.
#[derive(Debug, Parser)]
#[command(name = "scs", version, verbatim_doc_comment)]
struct Args {
    /// The settings file
    #[arg(short = 'f', long, value_name = "FILE", default_value = "/etc/understudy/scs.toml")]
    config: PathBuf,
    /// Check the settings and the cluster file, print every problem, and end
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(refused) => {
            let exit = if refused.use_stderr() { Exit::Usage } else { Exit::Done };
            // If even this cannot be printed, nobody reads it; the exit code still tells.
            let _ = refused.print();
            return exit.into();
        }
    };
    run(&args).into()
}

fn run(args: &Args) -> Exit {
    let files = match read_files(&args.config) {
        Ok(files) => files,
        Err(bad) => {
            say_bad(&bad);
            return Exit::BadConfiguration;
        }
    };
    for warning in &files.warnings {
        say(&format!("warning: {warning}"));
    }
    if args.check {
        say(&format!("{} and {} are valid", args.config.display(), files.server.cluster_file));
        return Exit::Done;
    }
    start_log();
    start(files)
}

fn start(files: Files) -> Exit {
    match serve(files) {
        Ok(()) => Exit::Done,
        Err(error) => {
            tracing::error!(%error, "the control server ends");
            error.exit()
        }
    }
}

fn say_bad(bad: &BadFiles) {
    for problem in &bad.problems {
        say(&format!("problem: {problem}"));
    }
    for warning in &bad.warnings {
        say(&format!("warning: {warning}"));
    }
}

/// One line for whoever started it. A reader who has gone away is no error.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "scs: {text}");
}

fn start_log() {
    let filter = EnvFilter::try_from_env("SCS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

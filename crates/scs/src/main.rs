//! The `scs` program: arguments in, exit code out. It knows files and exit codes; the rest is in the library beside it.
//! The law: a settings file that is wrong is never half used.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use understudy_drive::begin_log;
use understudy_scs::exit::Exit;
use understudy_scs::keeping::{
    KeepingError, WARNING, forget_configuration, keep, restore_files, restore_store,
};
use understudy_scs::service::{BadFiles, Files, read_files, serve};
use understudy_settings::read_server;

/// The control server of an Understudy cluster.
///
/// Exit codes: 0 ended as asked (with --check: nothing is wrong), 1 failed, 2 usage, 3 refused, 6 needs --yes, 78 bad
/// configuration.
#[derive(Debug, Parser)]
#[command(name = "scs", version, verbatim_doc_comment)]
struct Args {
    /// The settings file
    #[arg(short = 'f', long, global = true, value_name = "FILE", default_value = "/etc/understudy/scs.toml")]
    config: PathBuf,
    /// Check the settings and the cluster file, print every problem, and end
    #[arg(long)]
    check: bool,
    /// What to do in place of serving
    #[command(subcommand)]
    does: Option<Does>,
}

#[derive(Debug, Subcommand)]
enum Does {
    /// Keep the store and the settings in one new file; also while the control server runs
    Backup {
        /// The file to make
        file: PathBuf,
        /// With the files of [tls], the key among them
        #[arg(long)]
        with_keys: bool,
    },
    /// Make the store from such a file, where there is none and no control server runs
    Restore {
        /// The file
        file: PathBuf,
        /// First write the settings that it keeps into this directory, where none of them may be yet
        #[arg(long, value_name = "DIR")]
        files: Option<PathBuf>,
        /// The warning was read: both members of every pair are stopped
        #[arg(long)]
        yes: bool,
    },
    /// Forget which configuration was accepted last, where it cannot be understood any more and no control server runs
    ForgetConfiguration {
        /// The warning was read: what is another one than before does not run
        #[arg(long)]
        yes: bool,
    },
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
    if let Some(Does::Restore { file, files: Some(directory), yes }) = &args.does {
        // Else the files would be written, and the repeat with --yes would find them there.
        if !yes {
            return refuse(&KeepingError::NeedsYes(WARNING));
        }
        match restore_files(file, directory) {
            Ok(names) => say(&format!("restored into {}: {}", directory.display(), names.join(", "))),
            Err(error) => return refuse(&error),
        }
    }
    if let Some(does) = &args.does {
        return keep_or_restore(does, &args.config);
    }
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
    let _log = match begin_log("SCS_LOG") {
        Ok(log) => log,
        Err(error) => {
            say(&format!("cannot begin its log: {error}"));
            return Exit::Failed;
        }
    };
    start(files)
}

/// Only the settings are read: a cluster file that is wrong must not stand in the way of a backup.
fn keep_or_restore(does: &Does, config: &Path) -> Exit {
    let settings = match read_server(config) {
        Ok(checked) => checked.value,
        Err(error) => {
            say(&format!("problem: {error}"));
            return Exit::BadConfiguration;
        }
    };
    let done = match does {
        Does::Backup { file, with_keys } => keep(&settings, config, file, *with_keys)
            .map(|names| format!("{} has the store, {}", file.display(), names.join(", "))),
        Does::ForgetConfiguration { yes } => forget_configuration(&settings, *yes).map(|known| {
            if known {
                "the accepted configuration is forgotten: the next start takes the cluster file as it is"
                    .to_owned()
            } else {
                "no configuration was accepted yet: nothing was forgotten".to_owned()
            }
        }),
        Does::Restore { file, yes, .. } => restore_store(&settings, file, *yes)
            .map(|()| format!("{} has the store of {}", settings.state_directory, file.display())),
    };
    match done {
        Ok(text) => {
            say(&text);
            Exit::Done
        }
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &KeepingError) -> Exit {
    say(&error.to_string());
    error.exit()
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

//! The commands and exit codes as Markdown, made from the definitions that parse the command line.
//!
//! Knows nothing of what a command does. The law: what is printed here is what `--help` says.

use clap::{Arg, Command, CommandFactory};

use crate::{Exit, args};

/// Every command with its arguments, and every exit code.
pub fn commands_markdown() -> String {
    let command = args::Args::command();
    let mut text = String::from("## Options of every command\n\n");
    options(&mut text, &command);
    for sub in command.get_subcommands().filter(is_listed) {
        section(&mut text, "scsctl", sub);
    }
    text.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (exit, says) in Exit::ALL {
        text.push_str(&format!("| {} | {says} |\n", *exit as u8));
    }
    text
}

fn section(text: &mut String, before: &str, command: &Command) {
    let name = format!("{before} {}", command.get_name());
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    text.push_str(&format!("\n## `{name}`\n\n{about}\n\n"));
    options(text, command);
    for sub in command.get_subcommands().filter(is_listed) {
        section(text, &name, sub);
    }
}

/// What `--help` lists, but for the help itself.
fn is_listed(sub: &&Command) -> bool {
    sub.get_name() != "help" && !sub.is_hide_set()
}

fn options(text: &mut String, command: &Command) {
    for argument in
        command.get_arguments().filter(|argument| !argument.is_global_set() || command.get_name() == "scsctl")
    {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("- `{}`: {help}\n", written(argument)));
    }
}

fn written(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let takes = argument.get_action().takes_values();
    let value = value.filter(|_| takes).unwrap_or_default();
    match (argument.get_long(), argument.get_short()) {
        (Some(long), Some(short)) => format!("-{short}, --{long} {value}").trim_end().to_owned(),
        (Some(long), None) => format!("--{long} {value}").trim_end().to_owned(),
        (None, Some(short)) => format!("-{short} {value}").trim_end().to_owned(),
        (None, None) => value,
    }
}

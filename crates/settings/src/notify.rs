//! `[notify]` of `scs.toml`: which events a command is told of.
//!
//! Knows no processes. The law: a word that names no event is refused, as a notice that never comes is worse than none.

use understudy_model::EventKind;

use crate::nearest;
use crate::problem::{Problem, ProblemKind};
use crate::raw::{Report, View};
use crate::values;

/// Most arguments of the command, the program included.
const MOST_ARGUMENTS: usize = 64;

/// Which events a command is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySettings {
    /// The kinds; never empty.
    pub on: Vec<EventKind>,
    /// Program, as an absolute path, and arguments; never empty.
    pub command: Vec<String>,
}

/// Reads the table, if there is one.
pub(crate) fn read(report: &mut Report, file: View<'_>) -> Option<NotifySettings> {
    let table = file.table("notify")?;
    let view = View::new("notify", table.value);
    let on = read_kinds(report, view);
    let command = read_command(report, view);
    for (key, missing) in [("on", view.raw("on").is_none()), ("command", view.raw("command").is_none())] {
        if missing {
            report.missing(table.at, view.key(key), "a notice needs events and a command");
        }
    }
    Some(NotifySettings { on: on?, command: command? })
}

fn read_kinds(report: &mut Report, view: View<'_>) -> Option<Vec<EventKind>> {
    let texts = view.texts(report, "on")?;
    let mut kinds = Vec::new();
    for text in &texts.value {
        match EventKind::ALL.iter().find(|kind| kind.as_str() == text.value) {
            Some(EventKind::NotifyFailed) => {
                let why = "a command that fails would be told of its own failure for ever";
                report.broken(text.at, &text.key, why, "remove \"notify-failed\", and watch the log for it");
            }
            Some(kind) if kinds.contains(kind) => {}
            Some(kind) => kinds.push(*kind),
            None => {
                let known = EventKind::ALL.iter().map(|kind| kind.as_str());
                let why = format!("there is no event of kind {:?}", text.value);
                let problem = Problem::new(ProblemKind::UnknownName, text.key.as_str(), why);
                report.problem(text.at, problem.nearest(nearest(text.value, known)));
            }
        }
    }
    if texts.value.is_empty() {
        report.broken(
            texts.at,
            &texts.key,
            "an empty list tells of nothing",
            "name events, or remove the table",
        );
    }
    Some(kinds)
}

fn read_command(report: &mut Report, view: View<'_>) -> Option<Vec<String>> {
    let texts = view.texts(report, "command")?;
    let Some(program) = texts.value.first() else {
        let why = "an empty command starts nothing";
        report.broken(texts.at, &texts.key, why, "write the program's absolute path and its arguments");
        return None;
    };
    let fits = values::check_path(report, program, program.value);
    if texts.value.len() > MOST_ARGUMENTS {
        let problem = Problem::new(ProblemKind::BadValue, texts.key.as_str(), "too many arguments")
            .found(format!("{} texts", texts.value.len()));
        report.problem(texts.at, problem.allowed(format!("at most {MOST_ARGUMENTS}")));
        return None;
    }
    fits.then(|| texts.value.iter().map(|text| text.value.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use crate::parse_server;
    use understudy_model::EventKind;

    fn with(notify: &str) -> Result<Vec<EventKind>, String> {
        let text = format!("[server]\nname = \"scs-1\"\n[notify]\n{notify}\n");
        let parsed = parse_server("scs.toml", &text);
        let problems = |problems: crate::Problems| {
            problems.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        parsed.map(|checked| checked.value.notify.unwrap().on).map_err(problems)
    }

    #[test]
    fn events_are_named_by_their_kind_and_a_wrong_name_gets_the_nearest() {
        let command = "command = [\"/usr/local/bin/tell-us\", \"now\"]";
        let on = |list: &str| with(&format!("on = [{list}]\n{command}"));
        assert_eq!(
            on(r#""role-changed", "switchover-refused", "gave-up", "certificate-expiring""#),
            Ok(vec![
                EventKind::RoleChanged,
                EventKind::SwitchoverRefused,
                EventKind::GaveUp,
                EventKind::CertificateExpiring
            ])
        );
        let wrong = on("\"role-change\"").unwrap_err();
        assert!(wrong.contains("role-changed"), "{wrong}");
        assert!(on("\"notify-failed\"").unwrap_err().contains("for ever"));
        assert!(on("").unwrap_err().contains("tells of nothing"));
        assert!(with("on = [\"gave-up\"]").unwrap_err().contains("notify.command"));
        assert!(with("on = [\"gave-up\"]\ncommand = [\"tell\"]").unwrap_err().contains("absolute"));
        assert!(with("on = [\"gave-up\"]\ncommand = []").unwrap_err().contains("starts nothing"));
    }
}

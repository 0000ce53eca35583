//! Bad settings files beside the problems that they get, word for word. `UPDATE_GOLDEN=1` writes what is found now.
//!
//! A file's name says who reads it: `lca-*` the agent, `scs-*` the control server, all others are clusters.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use understudy_settings::{
    LONGEST_FILE_BYTES, Problem, ProblemKind, Problems, parse_agent, parse_cluster, parse_server,
};

fn problems_of(name: &str, text: &str) -> Option<Problems> {
    match name.split_once('-').map_or(name, |(first, _)| first) {
        "lca" => parse_agent(name, text).err(),
        "scs" => parse_server(name, text).err(),
        _ => parse_cluster(name, text).err(),
    }
}

fn render(problems: &Problems) -> String {
    let mut text = format!("{problems}\n");
    for warning in &problems.warnings {
        writeln!(text, "warning: {warning}").unwrap();
    }
    text
}

#[test]
fn every_bad_file_gets_exactly_its_problems() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut seen = 0;
    let mut wrong = String::new();
    for file in fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        seen += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let problems = problems_of(name, &fs::read_to_string(&path).unwrap());
        let found = render(&problems.unwrap_or_else(|| panic!("{name} is not bad")));
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if found != expected {
            writeln!(wrong, "--- {name}, expected\n{expected}--- found\n{found}").unwrap();
        }
    }
    assert!(seen >= 9, "{seen} files");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let text = format!("# {}", "x".repeat(LONGEST_FILE_BYTES));
    let problems = parse_cluster("c", &text).unwrap_err().problems;
    assert_eq!(problems.iter().map(|problem| problem.kind).collect::<Vec<_>>(), [ProblemKind::Syntax]);
}

#[test]
fn values_that_may_be_secret_are_never_shown() {
    let text = "[cluster]\nname='c'\n[[application]]\nname='a'\nenvironment={A=123454321}\noptions={s={k=[123454321]}}\n";
    let problems = parse_cluster("c", text).unwrap_err();
    let about = |key: &str| problems.problems.iter().any(|problem: &Problem| problem.key == key);
    assert!(about("application.environment.A") && about("application.options.s.k"));
    assert!(!problems.to_string().contains("123454321"), "{problems}");
}

#[test]
fn a_mistake_in_a_template_is_told_once() {
    let application =
        |name| format!("[[application]]\nname='{name}'\nhost='h'\ntemplate='t'\ncommand=['/x']\n");
    let text = format!(
        "[cluster]\nname='c'\n[[host]]\nname='h'\naddresses=['::1']\n[template.t]\nrestart-limit=-1\n{}{}",
        application("a"),
        application("b")
    );
    let problems = parse_cluster("c", &text).unwrap_err().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].line, problems[0].key.as_str()), (7, "template.t.restart-limit"));
}

/// Pieces that make files which get past the syntax, more often than single characters would.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[cluster]",
        "[[host]]",
        "[[application]]",
        "[[application.port]]",
        "[[pair]]",
        "[template.t]",
        "[timers]",
        "\n",
        "[agent]",
        "[server]",
        "[policy]",
        "[journal]",
        "keep",
        "listen",
        "commands",
        "name",
        "host",
        "addresses",
        "id",
        "port",
        "primary",
        "backup",
        "command",
        "environment",
        "options",
        "template",
        "restart",
        "=",
        "= 1",
        "= \"a\"",
        "= [\"/a\", 1]",
        "= { a = { b = 1 } }",
        "= true",
        "= 1.5",
        "= 2020-01-01",
        "= -9223372036854775809",
        "\"ä\"",
        "'",
        "timers",
        "switchover-timeout",
        "= \"99999999999999999999d\"",
        "policy",
        "redundancy",
        ".",
        "#",
        "\u{0}",
        " ",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in prop_oneof![pieces(), ".{0,200}", "(?s).{0,200}"]) {
        for name in ["cluster", "lca-x", "scs-x"] {
            let Some(found) = problems_of(name, &text) else { continue };
            prop_assert!(!found.problems.is_empty());
            let lines = text.lines().count() + 1;
            prop_assert!(found.problems.iter().all(|problem| (1..=lines).contains(&problem.line)));
        }
    }
}

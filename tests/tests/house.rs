//! The three sentences of the house, and the text of the code itself, tested.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use understudy_tests::{files_below, top};

/// Crate folder, layer, and the crates of ours that it may import.
const PLAN: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("addp", &["model"]),
    ("decide", &["model"]),
    ("wire", &["model"]),
    ("settings", &["model"]),
    ("store", &["model"]),
    ("drive", &["model"]),
    ("transport", &["model", "addp", "wire", "drive"]),
    ("pki", &["model", "transport"]),
    ("page", &["model"]),
    ("guard", &["model"]),
    ("understudy", &["model", "wire", "page"]),
    ("lca", &["model", "decide", "wire", "settings", "transport", "drive", "page", "guard"]),
    ("scs", &["model", "decide", "wire", "settings", "store", "transport", "drive"]),
    ("scsctl", &["model", "settings", "transport", "pki"]),
    ("refapps", &["model", "understudy"]),
    ("stage", &["model", "wire", "settings", "transport", "understudy", "pki", "page"]),
    ("models", &["model", "decide"]),
    ("sim", &["model", "decide", "addp"]),
    ("tests", &["model", "decide", "settings"]),
];

/// Crates that decide, or only name and translate, or invent a world for those that do: no door to the street.
const PURE: &[&str] = &["model", "addp", "decide", "wire", "sim"];

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(top())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn short(package: &str) -> &str {
    package.strip_prefix("understudy-").unwrap_or(package)
}

#[test]
fn imports_go_down_only() {
    let plan: BTreeMap<&str, BTreeSet<&str>> =
        PLAN.iter().map(|(name, may)| (*name, may.iter().copied().collect())).collect();
    let mut seen = BTreeSet::new();
    for package in metadata()["packages"].as_array().expect("a list") {
        let name = short(package["name"].as_str().expect("a name")).to_owned();
        let may =
            plan.get(name.as_str()).unwrap_or_else(|| panic!("crate {name} is not in the plan of the house"));
        for dependency in package["dependencies"].as_array().expect("a list") {
            let ours = dependency["path"].is_string();
            let other = short(dependency["name"].as_str().expect("a name"));
            let in_tests = dependency["kind"] == "dev";
            assert!(!ours || in_tests || may.contains(other), "{name} must not import {other}");
        }
        seen.insert(name);
    }
    let missing: Vec<_> = plan.keys().filter(|name| !seen.contains(**name)).collect();
    assert!(missing.is_empty(), "in the plan, not in the workspace: {missing:?}");
}

/// Code lines only: comments and tests may name what code must not.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
        .filter(|(_, line)| !line.trim().is_empty())
}

#[test]
fn the_study_has_no_door_to_the_street() {
    let doors = [
        "std::net",
        "std::fs",
        "std::env",
        "std::thread",
        "std::process",
        "std::io",
        "tokio",
        "Instant",
        "SystemTime",
        "rand::",
        "getrandom",
        "tracing::",
        "log::",
        "println!",
        "eprintln!",
        "HashMap",
        "HashSet",
        "RandomState",
        "rustix",
        "libc::",
    ];
    let mut found = Vec::new();
    for name in PURE {
        for path in files_below(&top().join("crates").join(name).join("src"), "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file can be read");
            for (line, code) in code_lines(&text) {
                if let Some(door) = doors.iter().find(|door| code.contains(**door)) {
                    found.push(format!("{}:{line}: {door}", path.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "pure crates name the world:\n{}", found.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is_for_and_stays_short() {
    const LONGEST: usize = 600;
    let mut found = Vec::new();
    for folder in ["crates", "tests"] {
        for path in files_below(&top().join(folder), "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file can be read");
            if !text.starts_with("//!") {
                found.push(format!("{}: does not open with //!", path.display()));
            }
            let lines = text.lines().count();
            if lines > LONGEST {
                found.push(format!("{}: {lines} lines, more than {LONGEST}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    // Written in pieces, so that this file does not find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
        concat!("unimple", "mented!"),
        concat!("to", "do!("),
    ];
    let mut found = Vec::new();
    for folder in ["crates", "tests"] {
        for path in files_below(&top().join(folder), "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file can be read");
            for (index, line) in text.lines().enumerate() {
                if let Some(mark) = marks.iter().find(|mark| line.contains(**mark)) {
                    found.push(format!("{}:{}: {mark}", path.display(), index + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    let mut rooms = Vec::new();
    for path in files_below(&top().join("crates"), "rs") {
        let text = std::fs::read_to_string(&path).expect("a source file can be read");
        if text.contains("allow(unsafe_code)") {
            let blocks = text.matches("unsafe {").count();
            let reasons = text.matches("SAFETY:").count();
            assert!(reasons >= blocks, "{}: {blocks} unsafe blocks, {reasons} reasons", path.display());
            rooms.push(path);
        }
    }
    assert!(rooms.len() <= 9, "more rooms with unsafe code than there should be: {rooms:#?}");
}

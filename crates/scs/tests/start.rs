//! How the program starts, or says why it does not: files, arguments, a store in use.

mod support;

use std::process::{Command, Output};

use support::Bench;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn good_files_are_checked_without_starting_anything() {
    let bench = Bench::new();
    let checked = bench.command().arg("--check").output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
    assert!(!bench.path("state").exists());
}

#[test]
fn every_problem_of_a_bad_file_is_printed_and_ends_with_78() {
    let bench = Bench::new();
    bench.write(
        "cluster.toml",
        &bench
            .cluster()
            .replace("redundancy = ", "redundncy = ")
            .replace("\"beta\"\ninterface", "\"gamma\"\ninterface"),
    );
    for arguments in [vec!["--check"], vec![]] {
        let ended = bench.command().args(arguments).output().unwrap();
        assert_eq!(ended.status.code(), Some(78));
        let said = text(&ended);
        assert!(said.contains("redundncy") && said.contains("gamma"), "{said}");
    }
    bench.write("scs.toml", "[server]\nnam = \"scs-1\"\ncolour = 3\n");
    let ended = bench.command().output().unwrap();
    assert_eq!(ended.status.code(), Some(78));
    assert!(text(&ended).contains("nam") && text(&ended).contains("colour"), "{}", text(&ended));
}

#[test]
fn a_missing_file_is_named() {
    let ended =
        Command::new(env!("CARGO_BIN_EXE_scs")).args(["-f", "/nonexistent/scs.toml"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(78));
    assert!(text(&ended).contains("/nonexistent/scs.toml"));
    let usage = Command::new(env!("CARGO_BIN_EXE_scs")).arg("--dance").output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn a_second_server_on_the_same_store_does_not_start() {
    let mut bench = Bench::new();
    bench.start();
    let second = bench.command().output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second).contains("in use"), "{}", text(&second));
    assert_eq!(bench.ask("GET", "/readyz", "").0, 200, "the first one goes on");
}

#[test]
fn a_file_in_the_place_of_the_socket_is_left_alone() {
    let bench = Bench::new();
    bench.write("scs.sock", "precious");
    let ended = bench.command().output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended).contains("not a socket"), "{}", text(&ended));
    assert_eq!(std::fs::read_to_string(bench.path("scs.sock")).unwrap(), "precious");
}

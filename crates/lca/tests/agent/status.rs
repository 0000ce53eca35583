//! The status port of a real agent: what load balancers and Prometheus get, and what garbage gets.
//!
//! Knows HTTP as bytes only. The law: every answer is compared with what the control link says at the same time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use understudy_model::{ApplicationStatus, Goal, Outcome, PairName, RunMode, Work};

use crate::member::{member_assignment, promote, role};
use crate::play::{Controller, LIMIT, Place, assignment, eventually};

/// Sends bytes and reads the whole answer.
fn send(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let answer = send(address, format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[track_caller]
fn says(address: SocketAddr, question: &str, expected: u16) -> Value {
    let (status, body) = ask(address, "GET", &format!("/application/member/{question}"));
    assert_eq!(status, expected, "{question}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn load_balancers_hear_what_the_machine_says_the_member_is() {
    let place = Place::new();
    let _agent = place.start_agent();
    let address = place.status_address();
    assert_eq!(ask(address, "GET", "/application/member/primary").0, 404);
    let mut controller = Controller::connect(&place, 1).await;
    let mut member = member_assignment();
    member.goal = Goal::Stopped;
    controller.order(Work::Assign(vec![member.clone()])).await;
    assert_eq!(says(address, "ready", 503)["why"], "it is stopped");

    member.goal = Goal::Started;
    let application = member.application.clone();
    controller
        .order(Work::SetGoal { application: application.clone(), goal: Goal::Started, graceful: false })
        .await;
    controller.report(|report| report.status == ApplicationStatus::Started).await;
    says(address, "backup", 200);
    says(address, "ready", 200);
    assert_eq!(says(address, "primary", 503)["run_mode"], "backup");

    assert_eq!(controller.order(promote(5)).await, Outcome::Done);
    let said = says(address, "primary", 200);
    assert_eq!(ask(address, "GET", "/application/pair/primary").0, 200, "asked by the pair's name");
    assert_eq!(
        (&said["run_mode"], &said["epoch"], &said["pair"]),
        (&"primary".into(), &5.into(), &"pair".into())
    );
    says(address, "backup", 503);
    assert_eq!(ask(address, "HEAD", "/application/MEMBER/primary"), (200, String::new()));
    assert_eq!(ask(address, "OPTIONS", "/application/member/backup").0, 503);

    let pair = PairName::new("pair").unwrap();
    let demote = Work::Demote { pair, role: role(5), time_limit: LIMIT };
    assert_eq!(controller.order(demote).await, Outcome::Done);
    says(address, "primary", 503);
    says(address, "backup", 200);
    assert_eq!(ask(address, "GET", "/healthz").0, 200);
}

#[tokio::test]
async fn figures_are_ones_that_prometheus_reads() {
    let place = Place::new();
    let _agent = place.start_agent();
    let address = place.status_address();
    let mut controller = Controller::connect(&place, 1).await;
    let mut assigned = assignment("plain", &["/bin/sleep", "600"]);
    assigned.goal = Goal::Started;
    controller.order(Work::Assign(vec![assigned])).await;
    let started = controller.report(|report| report.status == ApplicationStatus::Started).await;
    assert_eq!(started.run_mode, RunMode::Primary);
    let refused = Controller::refused(&place, |hello| hello.host = "other".parse().unwrap()).await;
    assert!(refused.contains("not host other"), "{refused}");
    let (status, text) = ask(address, "GET", "/metrics");
    assert_eq!(status, 200);
    for line in [
        "understudy_agent_applications{status=\"started\",run_mode=\"primary\"} 1",
        "understudy_agent_application_ready{application=\"plain\"} 1",
        "understudy_agent_refusals_total{link=\"control link\",reason=\"other-host\"} 1",
        "understudy_agent_control_links 1",
        "understudy_agent_control_link_connects_total 1",
        "understudy_agent_control_link_lateness_max_seconds 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    check_with_promtool(&text);
}

/// The judgement of Prometheus' own tool, where it is installed; elsewhere the unit tests of the writer stand alone.
fn check_with_promtool(text: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: promtool is not installed, which judges figures; it comes with prometheus");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let judged = child.wait_with_output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
}

#[test]
fn garbage_is_refused_and_the_next_asker_is_answered() {
    let place = Place::new();
    let _agent = place.start_agent();
    let address = place.status_address();
    let status = |bytes: &[u8]| send(address, bytes).split(' ').nth(1).unwrap_or("none").to_owned();
    assert_eq!(status(b"\x16\x03\x01\x02\x00\x01\r\n\r\n"), "400");
    assert_eq!(status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "400");
    assert_eq!(status(b"GET /healthz HTTP/1.1\r\n\r\n"), "400");
    assert_eq!(status(b"POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "405");
    let smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(status(smuggled), "413");
    assert_eq!(send(address, smuggled).matches("HTTP/1.1").count(), 1, "what stands behind is not answered");
    assert_eq!(ask(address, "GET", "/application/../metrics").0, 404);
    let mut huge = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ".to_vec();
    huge.resize(60_000, b'a');
    assert_eq!(status(&huge), "431");
    assert_eq!(ask(address, "GET", "/healthz").0, 200);
}

#[test]
fn a_crowd_that_says_nothing_keeps_nobody_waiting() {
    let place = Place::new();
    let _agent = place.start_agent();
    let address = place.status_address();
    let mut silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    for stream in &mut silent {
        // Those who had to leave already refuse it.
        let _ = stream.write_all(b"GET /heal");
    }
    let began = Instant::now();
    assert_eq!(ask(address, "GET", "/healthz").0, 200);
    assert!(began.elapsed() < understudy_lca::status::ASK_LIMIT, "it waited for the silent ones");
    // The rest is let go when its time is over.
    eventually("every silent one is let go", || {
        silent.retain_mut(|stream| {
            stream.set_nonblocking(true).unwrap();
            let read = stream.read(&mut [0; 512]);
            read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        });
        silent.is_empty()
    });
}

#[tokio::test]
async fn a_taken_port_does_not_keep_an_agent_from_its_work() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    place.set_status_listen(&format!("[\"{}\"]", taken.local_addr().unwrap()));
    let _agent = place.start_agent();
    Controller::connect(&place, 1).await;
    eventually("it says so", || place.agent_log().contains("it is tried again"));
}

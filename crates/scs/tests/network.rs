//! The API over the network: who is let in, with what, to what; and what hostile callers get.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::net::Net;
use support::tls::{self, Authority, Client};
use support::{LIMIT, http, until};

#[track_caller]
fn refused((status, answer): (u16, Value), expected: (u16, &str)) -> String {
    assert_eq!((status, answer["error"]["code"].as_str().unwrap_or("")), expected, "{answer}");
    assert!(answer["error"]["because"].is_array() && answer["error"]["try"].is_string(), "{answer}");
    answer.to_string()
}

const NOBODY: (u16, &str) = (401, "not-authenticated");
const TOO_LOW: (u16, &str) = (403, "role-too-low");

#[test]
fn nobody_is_answered_but_whether_it_lives() {
    let net = Net::start();
    let client = net.anonymous();
    assert_eq!(client.ask("GET", "/healthz", "", "").0, 200);
    assert_eq!(client.ask("GET", "/readyz", "", "").0, 200);
    for path in ["/v1/status", "/metrics", "/v1/openapi.json", "/v1/events/stream", "/v1/tokens"] {
        refused(client.ask("GET", path, "", ""), NOBODY);
    }
    refused(client.ask("POST", "/v1/pairs/tserver/switchover", "", "{}"), NOBODY);
    for wrong in ["Basic YTpi", "Bearer", "Bearer x", "Bearer understudy_00", ""] {
        refused(client.ask("GET", "/v1/status", &format!("Authorization: {wrong}\r\n"), ""), NOBODY);
    }
    let events = net.bench.get("/v1/events")["events"].to_string();
    assert!(events.contains("access-refused") && events.contains("127.0.0.1"), "{events}");
    assert!(events.matches("access-refused").count() < 4, "a flood makes few events: {events}");
}

#[test]
fn certificates_make_operators_of_this_cluster_and_nobody_else() {
    let net = Net::start();
    let pem = net.authority.pem();
    assert_eq!(net.operator("bob").ask("GET", "/v1/status", "", "").0, 200);
    assert_eq!(net.operator("bob").ask("PUT", "/v1/maintenance/tserver", "", "{\"on\": true}").0, 200);
    refused(net.operator("bob").ask("GET", "/v1/tokens", "", ""), TOO_LOW);
    assert_eq!(net.operator("ann").ask("GET", "/v1/tokens", "", "").0, 200);
    assert_eq!(net.operator("vic").ask("GET", "/v1/status", "", "").0, 200);
    let said =
        refused(net.operator("vic").ask("PUT", "/v1/maintenance/tserver", "", "{\"on\": false}"), TOO_LOW);
    assert!(said.contains("operator vic is viewer"), "{said}");
    let events = net.bench.get("/v1/events")["events"].clone();
    let told = events.as_array().unwrap().iter().find(|event| event["actor"] == "operator vic").unwrap();
    assert_eq!((&told["kind"], &told["rule"]), (&json!("access-refused"), &json!("role-too-low")));

    let agent = net.authority.of("agent/alpha");
    let said = refused(Client::new(net.address, &pem, Some(&agent)).ask("GET", "/v1/status", "", ""), NOBODY);
    assert!(said.contains("agent:alpha"), "{said}");
    let stranger = Authority::new().of("operator/ann");
    assert_eq!(Client::new(net.address, &pem, Some(&stranger)).ask("GET", "/v1/status", "", "").0, 0);
    let expired = net.authority.expired("operator/ann");
    assert_eq!(Client::new(net.address, &pem, Some(&expired)).ask("GET", "/healthz", "", "").0, 0);
}

#[test]
fn a_revoked_certificate_is_refused_and_its_neighbours_are_not() {
    let net = Net::start_with("revoked = [\"DIR/revoked.pem\"]", |authority, bench| {
        bench.write("revoked.pem", &authority.revoke(7));
    });
    let status = |serial| {
        let identity = net.authority.numbered("operator/bob", serial);
        Client::new(net.address, &net.authority.pem(), Some(&identity)).ask("GET", "/v1/status", "", "").0
    };
    assert_eq!((status(7), status(7), status(8)), (0, 0, 200));
    let figure = "understudy_scs_api_handshakes_failed_total{reason=\"tls-revoked\"}";
    assert_eq!(net.bench.figure(figure), Some(2.0));
    let events = net.bench.get("/v1/events")["events"].clone();
    let told: Vec<_> =
        events.as_array().unwrap().iter().filter(|event| event["kind"] == "access-refused").collect();
    assert_eq!(told.len(), 1, "once a minute: {told:?}");
    assert!(told[0]["reason"].as_str().unwrap().contains("revoked"), "{told:?}");
}

#[test]
fn two_authorities_of_one_name_each_revoke_their_own_in_either_order_of_their_lists() {
    let lists = [["old.pem", "new.pem"], ["new.pem", "old.pem"]];
    for lists in lists {
        let new = Authority::new();
        let more = format!("revoked = [\"DIR/{}\", \"DIR/{}\"]", lists[0], lists[1]);
        let net = Net::start_with(&more, |old, bench| {
            bench.write("old.pem", &old.revoke(7));
            bench.write("new.pem", &new.revoke(9));
        });
        net.bench.write("ca.pem", &(net.authority.pem() + &new.pem()));
        assert_eq!(net.bench.ask("POST", "/v1/config/reload", "").0, 200);
        let status = |authority: &Authority, serial| {
            let identity = authority.numbered("operator/bob", serial);
            Client::new(net.address, &net.authority.pem(), Some(&identity)).ask("GET", "/v1/status", "", "").0
        };
        let (old, now) = (&net.authority, &new);
        assert_eq!((status(old, 7), status(old, 8), status(old, 9)), (0, 200, 200), "{lists:?}");
        assert_eq!((status(now, 7), status(now, 8), status(now, 9)), (200, 200, 0), "{lists:?}");
    }
}

#[test]
fn a_token_opens_what_its_role_may_until_it_is_revoked() {
    let net = Net::start();
    let viewer = net.token("grafana", "viewer", None);
    let client = net.anonymous();
    assert_eq!(client.ask("GET", "/v1/status", &viewer, "").0, 200);
    let figures = client
        .send(&format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{viewer}\r\n"));
    let figures = figures.unwrap();
    assert!(figures.starts_with("HTTP/1.1 200"), "{figures}");
    check_with_promtool(figures.split_once("\r\n\r\n").unwrap().1);
    refused(client.ask("POST", "/v1/pairs/tserver/switchover", &viewer, "{}"), TOO_LOW);
    refused(client.ask("POST", "/v1/tokens", &viewer, "{\"name\": \"x\", \"role\": \"admin\"}"), TOO_LOW);
    let admin = net.token("root-2", "admin", None);
    let shown = client.ask("GET", "/v1/tokens", &admin, "").1;
    let grafana = &shown["tokens"][0];
    assert_eq!((&grafana["name"], &grafana["role"]), (&json!("grafana"), &json!("viewer")));
    assert!(grafana["last_used"].is_string() && grafana["expires"].is_null(), "{shown}");
    let (status, answer) =
        net.bench.ask("POST", "/v1/tokens", "{\"name\": \"Grafana\", \"role\": \"viewer\"}");
    refused((status, answer), (409, "exists"));

    assert_eq!(client.ask("DELETE", "/v1/tokens/grafana", &admin, "").0, 200);
    let said = refused(client.ask("GET", "/v1/status", &viewer, ""), NOBODY);
    assert!(said.contains("revoked"), "{said}");
    refused(client.ask("DELETE", "/v1/tokens/grafana", &admin, ""), (404, "not-found"));
}

/// The judgement of Prometheus' own tool, where it is installed; elsewhere the unit tests of the writer stand alone.
fn check_with_promtool(text: &str) {
    let tool = || Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn();
    let Ok(mut child) = tool() else {
        eprintln!("skipped: promtool is not installed, which judges figures; it comes with prometheus");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
}

#[test]
fn a_token_ends_by_itself_and_survives_a_restart_till_then() {
    let mut net = Net::start();
    let (short, long) = (net.token("short", "viewer", Some(1)), net.token("long", "viewer", Some(3_600)));
    let began = Instant::now();
    net.bench.signal("-TERM");
    assert!(net.bench.wait().success());
    std::fs::remove_file(net.bench.path("scs.log")).unwrap();
    net.bench.start();
    net.address = until("the network side is served again", || {
        let log = net.bench.log();
        let line = log.lines().find(|line| line.contains("serving the API with TLS"))?.to_owned();
        line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
    });
    let client = net.anonymous();
    assert_eq!(client.ask("GET", "/v1/status", &long, "").0, 200);
    until("the short one has expired", || (began.elapsed() > Duration::from_secs(1)).then_some(()));
    let said = refused(client.ask("GET", "/v1/status", &short, ""), NOBODY);
    assert!(said.contains("expired"), "{said}");
}

/// Lines of a stream until it ends. One that goes on for ever is cut off, as a sign of life comes now and then.
fn follow(client: &Client, headers: &str) -> impl Iterator<Item = String> + use<> {
    let mut stream = client.open();
    let head =
        format!("GET /v1/events/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.next().unwrap().contains("200"), "the stream is opened");
    let began = Instant::now();
    lines.take_while(move |_| began.elapsed() < LIMIT)
}

#[test]
fn an_open_stream_ends_when_its_token_is_revoked() {
    let net = Net::start();
    let token = net.token("follower", "viewer", None);
    let mut followed = follow(&net.anonymous(), &token);
    let mut other = follow(&net.operator("bob"), "");
    net.bench.ask("PUT", "/v1/maintenance/tserver", "{\"on\": true}");
    assert!(followed.any(|line| line.contains("maintenance-changed")));
    assert_eq!(net.bench.ask("DELETE", "/v1/tokens/follower", "").0, 200);
    let rest: Vec<String> = followed.collect();
    assert!(rest.iter().any(|line| line == "event: end"), "{rest:?}");
    net.bench.ask("PUT", "/v1/maintenance/tserver", "{\"on\": false}");
    let mut count = 0;
    assert!(other.any(|line| {
        count += usize::from(line.contains("maintenance-changed"));
        count == 2
    }));
}

#[test]
fn an_open_stream_ends_when_its_token_expires() {
    let net = Net::start();
    let token = net.token("follower", "viewer", Some(1));
    let rest: Vec<String> = follow(&net.anonymous(), &token).collect();
    assert!(rest.iter().any(|line| line == "event: end"), "{rest:?}");
}

#[test]
fn a_stream_goes_on_behind_the_last_event_that_was_seen() {
    let net = Net::start();
    let change = |on: bool| net.bench.ask("PUT", "/v1/maintenance/tserver", &format!("{{\"on\": {on}}}"));
    change(true);
    let events = net.bench.get("/v1/events?limit=1");
    let seen = events["last"].as_i64().unwrap();
    change(false);
    change(true);
    let lines = follow(&net.operator("bob"), &format!("Last-Event-ID: {seen}\r\n"));
    let ids: Vec<i64> = lines.filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).take(2).collect();
    assert_eq!(ids, [seen + 1, seen + 2]);
    let (status, _) = net.operator("bob").ask("GET", "/v1/events/stream", "Last-Event-ID: x\r\n", "");
    assert_eq!(status, 400);
}

#[test]
fn browsers_are_not_used_against_their_users() {
    let net = Net::start();
    let bob = net.operator("bob");
    let ask = |headers: &str| bob.ask("GET", "/v1/status", headers, "");
    assert_eq!(ask("Host: scs.test:4997\r\n").0, 200);
    refused(ask("Host: rebound.example.com\r\n"), (403, "host-refused"));
    refused(ask("Origin: https://evil.example.com\r\n"), (403, "origin-refused"));
    assert_eq!(ask("Origin: https://localhost\r\n").0, 200);
    let answer =
        bob.send("GET /v1/status HTTP/1.1\r\nHost: a\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.unwrap().starts_with("HTTP/1.1 400"));
    let head = bob.send("GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let head = head.split("\r\n\r\n").next().unwrap().to_lowercase();
    assert!(head.contains("no-store") && !head.contains("set-cookie"), "{head}");
    assert!(!head.contains("access-control"), "{head}");
}

#[test]
fn garbage_ends_its_own_connection_and_no_other() {
    let net = Net::start();
    let bob = net.operator("bob");
    let mut plain = TcpStream::connect(net.address).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    // An alert of TLS, or a reset.
    let _ = plain.read_to_end(&mut bytes);
    assert!(!String::from_utf8_lossy(&bytes).contains("HTTP/1.1 200"));
    let huge =
        format!("GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(1024 * 1024));
    let answer = bob.send(&huge).unwrap_or_default();
    assert!(!answer.contains("200 OK"), "{answer}");
    let smuggled = "POST /v1/pairs/tserver/start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\
                    Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = bob.send(smuggled).unwrap_or_default();
    assert!(!answer.contains("\"cluster\""), "what stands behind is not answered: {answer}");
    let two = "POST /v1/pairs/tserver/start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}";
    assert!(bob.send(two).unwrap().starts_with("HTTP/1.1 400"));
    assert_eq!(bob.ask("GET", "/v1/status", "", "").0, 200);
}

#[test]
fn a_crowd_of_strangers_keeps_no_operator_waiting() {
    let net = Net::start();
    let silent: Vec<TcpStream> = (0..600).map(|_| TcpStream::connect(net.address).unwrap()).collect();
    let began = Instant::now();
    assert_eq!(net.operator("bob").ask("GET", "/v1/status", "", "").0, 200);
    assert!(began.elapsed() < Duration::from_secs(4), "it waited for the silent ones");
    // Not by the end of their time: that many are never held at once.
    let descriptors = format!("/proc/{}/fd", net.bench.child.as_ref().unwrap().id());
    let open = std::fs::read_dir(descriptors).unwrap().count();
    assert!(open < 400, "{open} descriptors are open");
    drop(silent);
}

#[test]
fn secrets_are_in_no_log_and_no_event() {
    let net = Net::start();
    let header = net.token("secretive", "admin", None);
    let secret = header.trim().rsplit(' ').next().unwrap().to_owned();
    net.anonymous().ask("GET", "/v1/status", &header, "");
    net.anonymous().ask("GET", "/v1/status", &format!("{}x\r\n", header.trim_end()), "");
    net.bench.ask("DELETE", "/v1/tokens/secretive", "");
    net.anonymous().ask("GET", "/v1/status", &header, "");
    let bare = secret.trim_start_matches("understudy_");
    for (what, text) in [
        ("the log", net.bench.log()),
        ("events", net.bench.get("/v1/events").to_string()),
        ("tokens", net.bench.get("/v1/tokens").to_string()),
    ] {
        assert!(!text.contains(bare), "{what} shows the token");
    }
    let store = std::fs::read(net.bench.path("state/scs.db")).unwrap();
    let log = std::fs::read(net.bench.path("state/scs.db-wal")).unwrap_or_default();
    let has = |bytes: &[u8]| bytes.windows(bare.len()).any(|window| window == bare.as_bytes());
    assert!(!has(&store) && !has(&log), "the store holds the token");
}

#[test]
fn a_key_stands_for_one_request_with_one_body() {
    let net = Net::start();
    let socket = net.bench.path("scs.sock");
    let ask =
        |body| http::ask_with(&socket, "PUT", "/v1/maintenance/tserver", "idempotency-key: k\r\n", body);
    let first = ask("{\"on\": true}");
    assert_eq!(first.0, 200);
    // Others come of themselves: a host that cannot be reached.
    let events = || {
        let told = net.bench.get("/v1/events");
        let told = told["events"].as_array().unwrap().iter();
        told.filter(|event| event["kind"] == "maintenance-changed").count()
    };
    assert_eq!(ask("{\"on\": true}"), first);
    assert_eq!(events(), 1, "it was not done again");
    refused(ask("{\"on\": false}"), (422, "key-reused"));
}

#[test]
fn new_certificates_are_taken_live_and_wrong_ones_are_not() {
    let net = Net::start();
    let new = Authority::new();
    net.bench.write("scs.pem", "no certificate");
    net.bench.signal("-HUP");
    until("it is shown", || {
        net.bench.get("/v1/status")["wrong"].to_string().contains("older files of TLS").then_some(())
    });
    assert_eq!(net.operator("bob").ask("GET", "/v1/status", "", "").0, 200, "those before are in use");
    tls::write(net.bench.directory.path(), "scs", &new.server());
    net.bench.signal("-HUP");
    let client = Client::new(net.address, &new.pem(), None);
    until("the new one is in use", || (client.ask("GET", "/healthz", "", "").0 == 200).then_some(()));
    assert!(!net.bench.get("/v1/status")["wrong"].to_string().contains("older files of TLS"));
}

#[test]
fn a_certificate_of_somebody_else_replaces_none() {
    let net = Net::start();
    tls::write(net.bench.directory.path(), "scs", &net.authority.of("agent/alpha"));
    let because = refused(net.bench.ask("POST", "/v1/config/reload", ""), (422, "bad-configuration"));
    assert!(because.contains("agent/alpha") && because.contains("scsctl pki issue scs:scs-1"), "{because}");
    // The one before names where it is served; that of the agent does not.
    assert_eq!(net.anonymous().ask("GET", "/healthz", "", "").0, 200, "the one before is shown still");
}

#[test]
fn who_had_the_configuration_read_again_is_told() {
    let net = Net::start();
    assert_eq!(net.operator("ann").ask("POST", "/v1/config/reload", "", "{}").0, 200);
    net.bench.write("cluster.toml", "nonsense = 1\n");
    assert_eq!(net.operator("ann").ask("POST", "/v1/config/reload", "", "{}").0, 422);
    let events = net.bench.get("/v1/events")["events"].clone();
    let by_ann: Vec<_> =
        events.as_array().unwrap().iter().filter(|event| event["actor"] == "operator ann").collect();
    assert_eq!(by_ann.len(), 2, "{events:#}");
    assert!(by_ann.iter().all(|event| event["kind"] == "configuration-changed"), "{by_ann:?}");
}

#[test]
fn a_backup_takes_two_authorities_of_one_name_and_needs_no_list_and_a_restore_asks_first() {
    let net = Net::start_with("revoked = [\"DIR/revoked.pem\"]", |authority, bench| {
        std::fs::create_dir(bench.path("old")).unwrap();
        bench.write("old/ca.pem", &authority.pem());
    });
    let settings = std::fs::read_to_string(net.bench.path("scs.toml")).unwrap();
    let old = format!("ca.pem\", \"{}\"]", net.bench.path("old/ca.pem").display());
    net.bench.write("scs.toml", &settings.replace("ca.pem\"]", &old));
    let path = |name: &str| net.bench.path(name).display().to_string();
    let scs = |arguments: &[&str]| {
        let out =
            Command::new(env!("CARGO_BIN_EXE_scs")).args(["-f", &path("scs.toml")]).args(arguments).output();
        let out = out.unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, said) = scs(&["backup", &path("kept"), "--with-keys"]);
    assert!(code == Some(0) && said.contains("ca.pem, 2-ca.pem ("), "{code:?} {said}");
    let (code, said) = scs(&["restore", &path("kept"), "--files", &path("into")]);
    assert!(code == Some(6) && said.contains("--yes"), "{code:?} {said}");
    assert!(!net.bench.path("into").exists(), "nothing is written before");
    let (code, said) = scs(&["forget-configuration"]);
    assert!(code == Some(6) && said.contains("--yes"), "{code:?} {said}");
    let (code, said) = scs(&["forget-configuration", "--yes"]);
    assert!(code == Some(1) && said.contains("lock"), "a control server runs: {code:?} {said}");
    let elsewhere = path("state").replace("state", "nothing-here");
    let moved = settings.replace(&path("state"), &elsewhere);
    assert_ne!(settings, moved);
    net.bench.write("scs.toml", &moved);
    let (code, said) = scs(&["forget-configuration", "--yes"]);
    assert!(code == Some(1) && said.contains("cannot read"), "{code:?} {said}");
    assert!(!std::path::Path::new(&elsewhere).exists(), "nothing is made");
}

/// The address in the newest line of the log that says so.
fn served_at(bench: &support::Bench, part: &str) -> Option<std::net::SocketAddr> {
    let log = bench.log();
    let line = log.lines().rfind(|line| line.contains("serving the API with TLS") && line.contains(part))?;
    line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
}

#[test]
fn settings_that_can_change_live_do_and_one_that_cannot_keeps_all_of_them_out() {
    let net = Net::start();
    let good = std::fs::read_to_string(net.bench.path("scs.toml")).unwrap();
    let reload = || net.bench.ask("POST", "/v1/config/reload", "");
    let bob = net.operator("bob");
    assert_eq!(bob.ask("PUT", "/v1/maintenance/tserver", "", "{\"on\": false}").0, 200);

    let tighter = good.replace("viewers = [\"vic\"]", "viewers = [\"vic\", \"bob\"]");
    net.bench.write("scs.toml", &tighter.replace("name = \"scs-1\"", "name = \"scs-2\""));
    let because = refused(reload(), (409, "not-possible"));
    assert!(because.contains("server.name cannot change"), "{because}");
    net.bench.write("scs.toml", &tighter.replace("[api]", "[apis]"));
    let because = refused(reload(), (422, "bad-configuration"));
    assert!(because.contains("apis"), "{because}");
    assert_eq!(bob.ask("PUT", "/v1/maintenance/tserver", "", "{\"on\": false}").0, 200, "all or nothing");

    let told = net.bench.path("told");
    let notify = format!(
        "[notify]\non = [\"maintenance-changed\"]\ncommand = [\"/bin/sh\", \"-c\", \"echo $UNDERSTUDY_EVENT >> {}\"]\n",
        told.display()
    );
    let elsewhere = tighter.replace("[\"127.0.0.1:0\"]", "[\"127.0.0.2:0\"]");
    net.bench.write("scs.toml", &format!("{elsewhere}{notify}"));
    let (status, answer) = reload();
    let changes = ["server.api-listen changed", "api changed", "notify changed"];
    assert_eq!((status, &answer["changes"]), (200, &json!(changes)), "{answer}");
    let address = until("the new address is served", || served_at(&net.bench, "127.0.0.2"));
    until("the old one is closed", || TcpStream::connect(net.address).is_err().then_some(()));
    let at = |name| {
        let identity = net.authority.of(&format!("operator/{name}"));
        Client::new(address, &net.authority.pem(), Some(&identity))
    };
    let there = at("ann");
    refused(at("bob").ask("PUT", "/v1/maintenance/tserver", "", "{\"on\": true}"), TOO_LOW);
    assert_eq!(there.ask("PUT", "/v1/maintenance/tserver", "", "{\"on\": true}").0, 200);
    let said = || std::fs::read_to_string(&told).unwrap_or_default();
    until("the command is told", || (said() == "maintenance-changed\n").then_some(()));

    let taken = std::net::TcpListener::bind("127.0.0.3:0").unwrap();
    let list = format!("[\"127.0.0.1:0\", \"{}\"]", taken.local_addr().unwrap());
    net.bench.write("scs.toml", &good.replace("[\"127.0.0.1:0\"]", &list));
    let because = refused(reload(), (409, "not-possible"));
    assert!(because.contains("127.0.0.3") && because.contains("in use"), "{because}");
    let shown = there.ask("GET", "/v1/status", "", "").0;
    assert_eq!(shown, 200, "where it was served it is served still");

    net.bench.write("scs.toml", &good);
    net.bench.signal("-HUP");
    until("the old address is served again", || {
        served_at(&net.bench, "127.0.0.1").filter(|address| *address != net.address)
    });
}

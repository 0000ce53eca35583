//! The program against servers behind TLS: what it sends to whom, what it believes, and how it names what is wrong.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod,
    KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

struct Place {
    directory: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap(), authority: authority() };
        place.write("ca.pem", &place.authority.pem());
        place.write("token", "understudy_secret\n");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A server with a certificate for that name, which answers everything with that, and what it was sent.
    fn serve(&self, name: &str, change: impl FnOnce(&mut CertificateParams), needs_client: bool) -> Server {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier =
            if needs_client { verifier } else { verifier.allow_unauthenticated() }.build().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(Mutex::new(String::new()));
        let (config, log) = (Arc::new(config), Arc::clone(&sent));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                // A client that does not believe this server is what some tests are about.
                let _ = answer(StreamOwned::new(connection, stream), &log);
            }
        });
        Server { address, sent }
    }

    fn run(&self, url: &str, arguments: &[&str]) -> Output {
        self.command()
            .args(["--server", url, "--ca"])
            .arg(self.path("ca.pem"))
            .args(arguments)
            .output()
            .unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scsctl"));
        command.env("XDG_CONFIG_HOME", self.path("config")).env_remove("SCSCTL_SERVER");
        command
    }
}

struct Server {
    address: SocketAddr,
    sent: Arc<Mutex<String>>,
}

impl Server {
    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.address.port())
    }

    fn sent(&self) -> String {
        self.sent.lock().unwrap().clone()
    }
}

fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>, log: &Mutex<String>) -> std::io::Result<()> {
    let mut bytes = vec![0; 8192];
    let read = stream.read(&mut bytes)?;
    log.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
    let body = json!({ "hosts": [{ "name": "alpha", "status": "running" }] }).to_string();
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")?;
    stream.conn.send_close_notify();
    stream.flush()
}

#[track_caller]
fn ended(output: &Output, code: i32, with: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(with), "{with:?} is missing in {said}");
    assert!(!said.contains("understudy_secret"), "the token is shown: {said}");
}

#[test]
fn a_believed_server_is_asked_with_the_token() {
    let place = Place::new();
    let server = place.serve("127.0.0.1", |_| {}, false);
    let token = place.path("token");
    let output = place.run(&server.url(), &["--token-file", token.to_str().unwrap(), "hosts"]);
    ended(&output, 0, "");
    assert!(String::from_utf8_lossy(&output.stdout).contains("alpha"));
    let sent = server.sent();
    assert!(sent.contains("authorization: Bearer understudy_secret\r\n"), "{sent}");
    assert!(sent.contains(&format!("host: 127.0.0.1:{}\r\n", server.address.port())), "{sent}");
}

#[test]
fn who_is_not_believed_is_told_nothing_and_named() {
    let place = Place::new();
    let token = place.path("token").display().to_string();
    let ask = |server: &Server| place.run(&server.url(), &["--token-file", &token, "hosts"]);
    let other_name = place.serve("localhost", |_| {}, false);
    ended(&ask(&other_name), 4, "its certificate is not for 127.0.0.1");
    let change = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    };
    let expired = place.serve("127.0.0.1", change, false);
    ended(&ask(&expired), 4, "its certificate has expired");
    let stranger = Place::new();
    let strange = stranger.serve("127.0.0.1", |_| {}, false);
    ended(&ask(&strange), 4, "is not signed by the authority in");
    for server in [other_name, expired, strange] {
        assert_eq!(server.sent(), "", "it was told something");
    }
}

#[test]
fn only_a_control_server_whose_certificate_still_counts_is_told_anything() {
    let place = Place::new();
    let of = |uri: &str, serial: u64| {
        let uri = SanType::URI(format!("understudy://{}/{uri}", "2a".repeat(16)).try_into().unwrap());
        move |params: &mut CertificateParams| {
            params.subject_alt_names.push(uri);
            params.serial_number = Some(SerialNumber::from(serial));
        }
    };
    let agent = place.serve("127.0.0.1", of("agent/alpha", 1), false);
    let (scs, revoked) = (
        place.serve("127.0.0.1", of("scs/scs-1", 2), false),
        place.serve("127.0.0.1", of("scs/scs-1", 3), false),
    );
    let (now, next) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
    let list = CertificateRevocationListParams {
        this_update: now,
        next_update: next,
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(3),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    place.write("revoked.pem", &list.signed_by(&place.authority).unwrap().pem().unwrap());
    let token = place.path("token").display().to_string();
    let list = place.path("revoked.pem").display().to_string();
    let options = ["--token-file", &token, "--revoked", &list];
    let ask = |server: &Server| place.run(&server.url(), &[&options[..], &["hosts"]].concat());
    ended(&ask(&scs), 0, "");
    ended(&ask(&agent), 4, "somebody else than a control server");
    ended(&ask(&revoked), 4, "its certificate was revoked");
    assert_eq!((agent.sent(), revoked.sent()), (String::new(), String::new()), "they were told something");
    ended(&place.run(&revoked.url(), &["hosts"]), 0, "");

    // A context keeps the list.
    ended(&place.run(&revoked.url(), &[&options[..], &["context", "set", "prod"]].concat()), 0, "");
    ended(&place.command().arg("hosts").output().unwrap(), 4, "its certificate was revoked");
    let missing = place.run(&scs.url(), &["--revoked", "/nowhere/revoked.pem", "hosts"]);
    ended(&missing, 2, "/nowhere/revoked.pem");
}

#[test]
fn what_is_no_server_is_named() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    ended(&place.run(&url, &["hosts"]), 4, "does not speak TLS");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    ended(&place.run(&format!("https://{free}"), &["hosts"]), 4, "the connection was refused");
    ended(&place.run("http://127.0.0.1:1", &["hosts"]), 2, "https://HOST");
    let missing =
        place.command().args(["--server", &url, "--ca", "/nowhere/ca.pem", "hosts"]).output().unwrap();
    ended(&missing, 2, "/nowhere/ca.pem");
}

#[test]
fn a_server_that_is_never_reached_did_nothing() {
    let place = Place::new();
    // It takes the call, and never says a word of TLS: nothing can have been sent.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let output = place.run(&url, &["--timeout", "300ms", "maintenance", "on", "tserver"]);
    ended(&output, 4, "did not answer in 300ms");
}

#[test]
fn a_refused_certificate_of_ours_is_named_and_nothing_was_done() {
    let place = Place::new();
    let server = place.serve("127.0.0.1", |_| {}, true);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2020, 2, 1);
    place.write("own.pem", &params.signed_by(&key, &place.authority).unwrap().pem());
    place.write("own.key", &key.serialize_pem());
    let (own, key) = (place.path("own.pem"), place.path("own.key"));
    let own = ["--certificate", own.to_str().unwrap(), "--key", key.to_str().unwrap()];
    ended(
        &place.run(&server.url(), &[&own[..], &["hosts"]].concat()),
        4,
        "our certificate, which has expired",
    );
    let stop = place.run(&server.url(), &[&own[..], &["maintenance", "on", "alpha"]].concat());
    ended(&stop, 4, "our certificate, which has expired");
    ended(&place.run(&server.url(), &[&own[..2], &["hosts"]].concat()), 2, "needs its --key");
}

#[test]
fn a_context_is_meant_until_another_server_is_named_and_its_token_stays_with_it() {
    let place = Place::new();
    let (mine, other) = (place.serve("127.0.0.1", |_| {}, false), place.serve("127.0.0.1", |_| {}, false));
    let token = place.path("token").display().to_string();
    let set = place.run(&mine.url(), &["--token-file", &token, "context", "set", "prod"]);
    ended(&set, 0, "");
    let kept = std::fs::read_to_string(place.path("config/understudy/contexts.toml")).unwrap();
    assert!(kept.contains("prod") && !kept.contains("understudy_secret"), "{kept}");
    let plain = |arguments: &[&str]| place.command().args(arguments).output().unwrap();
    ended(&plain(&["hosts"]), 0, "");
    assert!(mine.sent().contains("Bearer understudy_secret"));
    ended(&place.run(&other.url(), &["hosts"]), 0, "");
    assert!(!other.sent().contains("Bearer"), "the token went to another server: {}", other.sent());
    let listed = plain(&["context", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("* prod"), "{listed:?}");
    ended(&plain(&["context", "use", "test"]), 2, "there is no context");
    ended(&plain(&["--context", "test", "hosts"]), 2, "there is no context");
    place.write(
        "config/understudy/contexts.toml",
        "[context.a]\nserver = \"x\"\ntoken = \"understudy_secret\"\n",
    );
    ended(&plain(&["hosts"]), 78, "token");
}

#[test]
fn a_new_token_stands_alone_on_the_output() {
    let made = json!({ "token": { "name": "ann", "role": "viewer", "secret": "understudy_x" } }).to_string();
    let server = support::FakeServer::start(&[
        ("POST /v1/tokens", vec![(201, made)]),
        (
            "GET /v1/tokens",
            vec![support::ok(json!({ "tokens": [{ "name": "ann", "role": "viewer", "expired": true }] }))],
        ),
        ("DELETE /v1/tokens/ann", vec![support::ok(json!({ "done": "it opens nothing" }))]),
    ]);
    let output = server.run(&["token", "create", "ann", "--role", "viewer", "--expires", "90d"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"understudy_x\n"[..]));
    let sent: serde_json::Value = serde_json::from_str(&server.asked()[0].1).unwrap();
    assert_eq!(sent, json!({ "name": "ann", "role": "viewer", "expires_in_s": 90 * 86_400 }));
    let listed = String::from_utf8(server.run(&["token", "list"]).stdout).unwrap();
    assert!(listed.contains("ann") && listed.contains("expired"), "{listed}");
    assert_eq!(server.run(&["token", "revoke", "ann"]).status.code(), Some(0));
    assert_eq!(server.run(&["token", "create", "ann", "--role", "king"]).status.code(), Some(2));
}

//! Links with TLS: who is known, who is refused and by which name, and that a refusal disturbs nobody else.

mod support;

use std::time::Duration;

use support::authority::{Authority, CLUSTER, Wanted};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use understudy_model::Identity;
use understudy_transport::{
    CertificateError, CredentialFiles, Credentials, CredentialsError, DialError, Listener, ReceiveError,
    Security, dial, dial_whom,
};
use understudy_wire::{FromAgent, ToAgent};

async fn listen(security: Security) -> Listener {
    Listener::bind(&address("127.0.0.1:0"), security).await.unwrap()
}

/// One end dials and says its Hello; what each of them finds.
async fn meet(
    listener: &Listener,
    security: &Security,
) -> (Result<(), ReceiveError>, Result<Result<Option<FromAgent>, ReceiveError>, DialError>) {
    let addresses = [listener.address().clone()];
    let dialing = async {
        let connection = dial(&addresses, PATIENCE, security).await?;
        let (sender, mut receiver) = connection.split::<ToAgent, FromAgent>();
        // The other end may have hung up already: what it says of it is what counts.
        let _ = sender.try_send(&hello());
        Ok(receiver.next().await)
    };
    let accepting = async {
        let stranger = listener.accept().await.unwrap();
        let (_, sender, _receiver) = stranger.first_message::<ToAgent, FromAgent>().await?;
        sender.try_send(&answer(7)).unwrap();
        Ok(())
    };
    let (accepted, dialed) = soon(async { tokio::join!(accepting, dialing) }).await;
    (accepted, dialed)
}

fn dialer_heard(dialed: Result<Result<Option<FromAgent>, ReceiveError>, DialError>) -> String {
    match dialed {
        Err(error) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(message)) => panic!("it should have been refused, and heard {message:?}"),
    }
}

#[tokio::test]
async fn both_ends_know_each_other_and_talk() {
    let authority = Authority::new();
    let listener = listen(authority.security("agent/alpha")).await;
    let scs = authority.security("scs/scs-1");
    let (mut controller, mut agent) = secured_link(&listener, &scs).await;
    let name = |role: &str| Some(format!("understudy://{CLUSTER}/{role}"));
    assert_eq!(controller.1.identity().map(ToString::to_string), name("agent/alpha"));
    assert_eq!(agent.1.identity().map(ToString::to_string), name("scs/scs-1"));
    for number in 0..100 {
        exchange(&mut controller, &mut agent, number).await;
    }
}

#[tokio::test]
async fn a_flood_arrives_whole_and_in_order_and_a_slow_reader_is_told_of() {
    let authority = Authority::new();
    let listener = listen(authority.security("agent/alpha")).await;
    let scs = authority.security("scs/scs-1");
    let ((_to_agent, mut from_agent), (to_controller, _from_controller)) =
        secured_link(&listener, &scs).await;
    let mut sent = 0;
    while to_controller.try_send(&long_words(sent)).is_ok() {
        sent += 1;
        assert!(sent < 1_000_000, "nobody reads: the queue must fill");
    }
    for number in 0..sent {
        assert_eq!(soon(from_agent.next()).await.unwrap(), Some(long_words(number)));
    }
    to_controller.try_send(&answer(1)).unwrap();
    assert_eq!(soon(from_agent.next()).await.unwrap(), Some(answer(1)), "the link goes on");
    drop(to_controller);
    assert_eq!(soon(from_agent.next()).await.unwrap(), None, "the end is an end, not an error");
}

#[tokio::test]
async fn whoever_is_not_believed_is_refused_by_name_at_both_ends() {
    let ours = Authority::new();
    let others = Authority::new();
    ours.revoke(&[666]);
    let listener = listen(ours.security("agent/alpha")).await;

    let mut not_yet = Wanted::of("scs/late");
    not_yet.from = not_yet.until - Duration::from_secs(60);
    let revoked = Wanted { serial: 666, ..Wanted::of("scs/revoked") };
    let nobody = Wanted { uris: vec!["https://example.net/".to_owned()], ..Wanted::of("") };
    let server_only =
        Wanted { purposes: vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth], ..Wanted::of("scs/one-way") };
    let cases = [
        (ours.issue("expired", &Wanted::expired("scs/old")), "tls-expired", "has expired"),
        (ours.issue("not-yet", &not_yet), "tls-not-valid-yet", "expired"),
        (ours.issue("revoked", &revoked), "tls-revoked", "was revoked"),
        (ours.issue("server-only", &server_only), "tls-wrong-purpose", "refused"),
    ];
    for (files, word, dialer) in cases {
        let security = Security::Tls(Credentials::load(files).unwrap());
        let (accepted, dialed) = meet(&listener, &security).await;
        let refused = accepted.unwrap_err();
        assert_eq!(refused.word(), word, "{refused}");
        assert!(refused.is_refusal(), "it is counted");
        let heard = dialer_heard(dialed);
        assert!(
            heard.contains("refused this end's certificate") && heard.contains(dialer),
            "{word}: {heard}"
        );
    }
    // One whose owner has no name cannot even be loaded.
    let error = Credentials::load(ours.issue("nobody", &nobody)).unwrap_err();
    let nobody = CertificateError::NoIdentity { found: 0 };
    assert!(matches!(&error, CredentialsError::Certificate { source, .. } if *source == nobody), "{error}");

    // Another authority: each end refuses the other; the one that dials finds out first.
    let mut files = others.issue("stranger", &Wanted::of("scs/stranger"));
    let (_, dialed) = meet(&listener, &Security::Tls(Credentials::load(files.clone()).unwrap())).await;
    let error = dialed.unwrap_err();
    assert!(error.is_unwelcome() && !error.is_silent() && !error.is_refused(), "{error}");
    assert!(error.to_string().contains("not signed by an authority that this end believes"), "{error}");
    // It believes ours, but its own is not ours.
    files.authorities = vec![ours.path("ca.pem")];
    let (accepted, dialed) = meet(&listener, &Security::Tls(Credentials::load(files).unwrap())).await;
    assert_eq!(accepted.unwrap_err().word(), "tls-unknown-authority");
    let heard = dialer_heard(dialed);
    assert!(heard.contains("not signed by an authority that the peer believes"), "{heard}");

    // Nobody else was disturbed.
    let (accepted, dialed) = meet(&listener, &ours.security("scs/scs-1")).await;
    accepted.unwrap();
    assert_eq!(dialed.unwrap().unwrap(), Some(answer(7)));
}

#[tokio::test]
async fn an_address_at_which_somebody_else_answers_is_passed_over() {
    let authority = Authority::new();
    let beta = listen(authority.security("agent/beta")).await;
    let alpha = listen(authority.security("agent/alpha")).await;
    let scs = authority.security("scs/scs-1");
    let expected = format!("understudy://{CLUSTER}/agent/alpha");
    let stranger = |found: Option<&Identity>| {
        let found = found.map(ToString::to_string).unwrap_or_default();
        (found != expected).then(|| format!("{found} is not {expected}"))
    };
    let both = [beta.address().clone(), alpha.address().clone()];
    // Nothing is said there before the first message; whoever accepts only has to shake hands.
    let accept = |listener: Listener| async move {
        let came = listener.accept().await.unwrap();
        came.first_message::<ToAgent, FromAgent>().await.map(drop)
    };
    let accepting = [tokio::spawn(accept(beta)), tokio::spawn(accept(alpha))];
    let (index, connection) = soon(dial_whom(&both, PATIENCE, &scs, stranger)).await.unwrap();
    assert_eq!((index, connection.identity().map(ToString::to_string)), (1, Some(expected.clone())));
    accepting.iter().for_each(tokio::task::JoinHandle::abort);

    let beta = listen(authority.security("agent/beta")).await;
    let only = [beta.address().clone()];
    let accepting = tokio::spawn(accept(beta));
    let error = soon(dial_whom(&only, PATIENCE, &scs, stranger)).await.unwrap_err();
    accepting.abort();
    assert!(error.is_unwelcome() && !error.is_silent() && error.word() == "other-certificate", "{error}");
    assert!(error.to_string().contains("agent/beta"), "{error}");
}

#[tokio::test]
async fn one_end_with_tls_and_one_without_is_said_so() {
    let authority = Authority::new();
    let secured = listen(authority.security("agent/alpha")).await;
    let (accepted, dialed) = meet(&secured, &Security::Plain).await;
    assert_eq!(accepted.unwrap_err().word(), "tls-not-spoken");
    assert!(dialed.unwrap().is_err(), "an alert is no frame");
    let plain = listen(Security::Plain).await;
    let (accepted, dialed) = meet(&plain, &authority.security("scs/scs-1")).await;
    assert_eq!(accepted.unwrap_err().word(), "bad-magic");
    assert!(dialed.unwrap_err().is_unwelcome(), "the machine and its program live");
}

#[tokio::test]
async fn two_authorities_are_believed_during_a_change_and_reload_touches_no_live_link() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = old.issue("agent", &Wanted::of("agent/alpha"));
    let credentials = Credentials::load(files.clone()).unwrap();
    let listener = listen(Security::Tls(credentials.clone())).await;
    let (mut controller, mut agent) = secured_link(&listener, &old.security("scs/scs-1")).await;
    let mut newcomer = new.issue("scs", &Wanted::of("scs/scs-2"));
    newcomer.authorities.push(old.path("ca.pem"));
    let newcomer = Security::Tls(Credentials::load(newcomer).unwrap());
    assert!(meet(&listener, &newcomer).await.0.is_err(), "only one authority is believed yet");

    let both =
        [std::fs::read(old.path("ca.pem")).unwrap(), std::fs::read(new.path("ca.pem")).unwrap()].concat();
    std::fs::write(&files.authorities[0], both).unwrap();
    credentials.reload().unwrap();
    meet(&listener, &newcomer).await.0.unwrap();
    exchange(&mut controller, &mut agent, 1).await;

    // A bad set of files changes nothing.
    std::fs::write(&files.certificate, "not a certificate").unwrap();
    let error = credentials.reload().unwrap_err();
    assert!(matches!(error, CredentialsError::Content { .. }), "{error}");
    meet(&listener, &newcomer).await.0.unwrap();

    // Nor does a good set of somebody else.
    std::fs::copy(old.issue("other", &Wanted::of("agent/beta")).certificate, &files.certificate).unwrap();
    std::fs::copy(old.path("other.key"), &files.key).unwrap();
    let error = credentials.reload().unwrap_err();
    assert!(matches!(error, CredentialsError::OtherIdentity { .. }), "{error}");
    assert!(error.to_string().contains("agent/beta"), "{error}");
    assert_eq!(credentials.identity().role.to_string(), "agent:alpha");
    meet(&listener, &newcomer).await.0.unwrap();

    // A revocation counts for the next handshake.
    std::fs::copy(old.issue("again", &Wanted::of("agent/alpha")).certificate, &files.certificate).unwrap();
    std::fs::copy(old.path("again.key"), &files.key).unwrap();
    old.revoke(&[77]);
    credentials.reload().unwrap();
    let revoked = old.issue("bad", &Wanted { serial: 77, ..Wanted::of("scs/bad") });
    let (accepted, _) = meet(&listener, &Security::Tls(Credentials::load(revoked).unwrap())).await;
    assert_eq!(accepted.unwrap_err().word(), "tls-revoked");
    exchange(&mut controller, &mut agent, 2).await;
}

#[tokio::test]
async fn only_the_authority_that_signed_a_certificate_revokes_it_also_if_another_has_its_name() {
    let (old, new) = (Authority::named("authority"), Authority::named("authority"));
    old.revoke(&[5]);
    new.revoke(&[6]);
    let mut files = old.issue("agent", &Wanted::of("agent/alpha"));
    for turned in [false, true] {
        files.authorities = vec![old.path("ca.pem"), new.path("ca.pem")];
        files.revoked = vec![old.path("revoked.pem"), new.path("revoked.pem")];
        if turned {
            files.authorities.reverse();
            files.revoked.reverse();
        }
        let listener = listen(Security::Tls(Credentials::load(files.clone()).unwrap())).await;
        for (authority, serial, revoked) in [
            (&old, 1, false),
            (&old, 5, true),
            (&old, 6, false),
            (&new, 1, false),
            (&new, 5, false),
            (&new, 6, true),
        ] {
            let mut dialer = authority.issue("scs", &Wanted { serial, ..Wanted::of("scs/scs-1") });
            dialer.authorities.clone_from(&files.authorities);
            dialer.revoked.clone_from(&files.revoked);
            let (accepted, _) = meet(&listener, &Security::Tls(Credentials::load(dialer).unwrap())).await;
            let word = accepted.err().map(|error| error.word());
            assert_eq!(word, revoked.then_some("tls-revoked"), "{turned} {serial}");
        }
    }
    // Every list of an authority counts, not only the first.
    let first = std::fs::read(old.path("revoked.pem")).unwrap();
    old.revoke(&[7]);
    let both = [first, std::fs::read(old.path("revoked.pem")).unwrap()].concat();
    std::fs::write(old.path("revoked.pem"), both).unwrap();
    let listener = listen(Security::Tls(Credentials::load(files).unwrap())).await;
    let dialer = old.issue("scs", &Wanted { serial: 7, ..Wanted::of("scs/scs-1") });
    let (accepted, _) = meet(&listener, &Security::Tls(Credentials::load(dialer).unwrap())).await;
    assert_eq!(accepted.unwrap_err().word(), "tls-revoked");
}

#[test]
fn files_that_cannot_be_used_are_refused_by_name() {
    use std::os::unix::fs::PermissionsExt;
    let authority = Authority::new();
    let good = authority.issue("good", &Wanted::of("agent/alpha"));
    let other = authority.issue("other", &Wanted::of("agent/beta"));
    let load = |change: &dyn Fn(&mut CredentialFiles)| {
        let mut files = good.clone();
        change(&mut files);
        Credentials::load(files).unwrap_err()
    };
    let missing = load(&|files| files.key = "/nowhere/alpha.key".into());
    assert!(missing.to_string().contains("/nowhere/alpha.key"), "{missing}");
    let swapped = load(&|files| files.key = other.key.clone());
    assert!(matches!(swapped, CredentialsError::Together { .. }), "{swapped}");
    let not_a_key = load(&|files| files.key = good.certificate.clone());
    assert!(
        matches!(not_a_key, CredentialsError::KeyOpen { .. } | CredentialsError::Content { .. }),
        "{not_a_key}"
    );
    std::fs::set_permissions(&other.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = load(&|files| {
        files.certificate = other.certificate.clone();
        files.key = other.key.clone();
    });
    assert!(open.to_string().contains("chmod 600"), "{open}");
    assert!(
        !format!("{:?}", Credentials::load(good.clone()).unwrap()).contains("PRIVATE"),
        "no key is shown"
    );
}

#[tokio::test]
async fn a_peer_that_stops_in_the_handshake_costs_its_time_and_nothing_else() {
    let authority = Authority::new();
    let listener = listen(authority.security("agent/alpha")).await;
    let socket = listener.address().to_string();
    let mut halted = TcpStream::connect(&socket).await.unwrap();
    halted.write_all(&[0x16, 0x03, 0x01, 0x02]).await.unwrap();
    let stranger = soon(listener.accept()).await.unwrap();
    let waiting = tokio::spawn(stranger.first_message::<ToAgent, FromAgent>());
    meet(&listener, &authority.security("scs/scs-1")).await.0.unwrap();
    drop(halted);
    assert_eq!(soon(waiting).await.unwrap().unwrap_err().word(), "left-silently");
    // Garbage is answered with an alert and the end.
    let mut garbage = TcpStream::connect(&socket).await.unwrap();
    garbage.write_all(&[0xff; 2000]).await.unwrap();
    let stranger = soon(listener.accept()).await.unwrap();
    let refused = soon(stranger.first_message::<ToAgent, FromAgent>()).await.unwrap_err();
    assert_eq!(refused.word(), "tls-not-spoken", "{refused}");
    let mut said = Vec::new();
    // It may be reset, as it said more than was read.
    let _ = soon(garbage.read_to_end(&mut said)).await;
    assert!(said.len() < 100, "an alert is short");
}

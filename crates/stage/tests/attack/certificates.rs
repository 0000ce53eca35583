//! Wrong certificates at real agents, certificates that change while everything runs, and what never follows from either:
//! a change of roles.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use understudy_pki::{Directory, Names, Validity};
use understudy_stage::plan::{PKI, SERVER};
use understudy_stage::{Daemon, Host};

use crate::play::{Play, assert_undisturbed, pair};
use crate::strangers::agent_address;

/// Believes the authority and asks nothing else: agents have no names.
fn client(own: &Path, authority: &Path) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(own).unwrap()];
    let key = PrivateKeyDer::from_pem_file(own.with_extension("key")).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap();
    let mut config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
    config.dangerous().set_certificate_verifier(Arc::new(nameless::Nameless(provider)));
    config
}

mod nameless {
    //! A client that believes every server: what is tested is what the server believes.

    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, verify_tls13_signature};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub struct Nameless(pub Arc<CryptoProvider>);

    impl ServerCertVerifier for Nameless {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.3 only".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

/// A connection with the certificate of that name in the play's own directory of certificates.
pub fn secured(play: &Play, name: &str, door: TcpStream) -> impl Read + Write + Send + use<> {
    let directory = play.stage.directory().join(PKI);
    with_certificate(&directory.join(name).with_extension("pem"), &directory.join("ca.pem"), door)
}

/// What a client with the certificate of that name says first: the beginning of a handshake.
pub fn first_words(play: &Play, name: &str) -> Vec<u8> {
    let directory = play.stage.directory().join(PKI);
    let own = directory.join(name).with_extension("pem");
    let peer = ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into());
    let client = client(&own, &directory.join("ca.pem"));
    let mut tls = ClientConnection::new(Arc::new(client), peer).unwrap();
    let mut said = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut said).unwrap();
    }
    said
}

fn with_certificate(
    own: &Path,
    authority: &Path,
    door: TcpStream,
) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::IpAddress(door.peer_addr().unwrap().ip().into());
    let tls = ClientConnection::new(Arc::new(client(own, authority)), name).unwrap();
    StreamOwned::new(tls, door)
}

/// A Hello to host alpha as frames have it, made by hand: versions 1 to 2, a name, a high epoch.
fn hello(controller: &str, epoch: u8) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[number << 3 | 2, length][..], bytes].concat()
    };
    let versions = field(1, &[0x08, 1, 0x10, 2]);
    let said =
        [versions, field(2, controller.as_bytes()), vec![0x18, epoch], field(4, b"x"), field(6, b"alpha")];
    crate::strangers::frame_of(1, &field(1, &said.concat()))
}

/// Says a Hello with that certificate and waits for the end; what came back.
fn turn_up(play: &Play, own: &Path, controller: &str) -> String {
    let door = TcpStream::connect(agent_address(play, Host::Alpha)).unwrap();
    door.set_read_timeout(Some(crate::play::LIMIT)).unwrap();
    let mut door = with_certificate(own, own, door);
    let mut heard = Vec::new();
    // Whoever is not believed is hung up on; whoever is, but has no business here, is told why first.
    let outcome =
        door.write_all(&hello(controller, 100)).and_then(|()| door.read_to_end(&mut heard).map(drop));
    format!("{} {outcome:?}", String::from_utf8_lossy(&heard))
}

#[test]
fn only_the_control_server_of_the_own_cluster_is_obeyed() {
    let mut play = Play::well();
    let before = play.status();
    let pki = play.stage.directory().join(PKI);
    let ours = Directory::new(&pki);
    let month = Validity::days(31).unwrap();
    let issue = |directory: &Directory, role: &str| {
        directory.issue(&role.parse().unwrap(), &Names::default(), month).unwrap().certificate
    };
    let scratch = tempfile::tempdir().unwrap();
    let others = Directory::new(scratch.path().join("others"));
    others.init("others", None, month).unwrap();
    // The same authority's key, but a certificate of another cluster, cannot be made by it; another authority that is
    // believed is what an operator may have on two clusters.
    let stranger = issue(&others, "scs:scs-1");
    let revoked = issue(&ours, "scs:former");
    ours.revoke(&"scs:former".parse().unwrap()).unwrap();
    play.signal(Daemon::Agent(Host::Alpha), rustix::process::Signal::HUP);
    play.until_logged(Daemon::Agent(Host::Alpha), "settings read again");

    let cases = [
        (issue(&ours, "agent:gamma"), "scs-1", "other-role", "only role scs commands an agent"),
        (issue(&ours, "operator:anna"), "scs-1", "other-role", "only role scs commands an agent"),
        (issue(&ours, "app:t-1"), "scs-1", "other-role", "only role scs commands an agent"),
        (issue(&ours, "scs:other"), "scs-1", "other-name", "its certificate is of scs:other"),
        (stranger, "scs-1", "tls-unknown-authority", "UnknownCA"),
        (revoked, "former", "tls-revoked", "CertificateRevoked"),
    ];
    for (own, controller, word, told) in cases {
        let heard = turn_up(&play, &own, controller);
        assert!(heard.contains(told), "{word}: {heard}");
        play.until_logged(Daemon::Agent(Host::Alpha), &format!("word={word}"));
    }
    // Nobody else was disturbed, and none of the high epochs was obeyed.
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    let end = play.until_well();
    assert_eq!(pair(&end, "t").epoch, pair(&before, "t").epoch + 1);
    assert_undisturbed(&before, &end, &[]);
}

#[test]
fn a_certificate_is_renewed_and_an_authority_changed_while_everything_runs() {
    let mut play = Play::well();
    let before = play.status();
    let pki = Directory::new(play.stage.directory().join(PKI));
    let month = Validity::days(31).unwrap();
    for role in ["agent:alpha", "agent:beta", "scs:scs-1"] {
        pki.renew(&role.parse().unwrap(), &Names::default(), month).unwrap();
    }
    // Old and new certificates meet: each daemon reads its own again at another moment, and links come and go meanwhile.
    for daemon in Daemon::ALL {
        play.signal(daemon, rustix::process::Signal::HUP);
        play.stage.kill(Daemon::Server).unwrap();
        play.stage.start(Daemon::Server).unwrap();
        play.until_well();
    }
    let end = play.until_well();
    assert_undisturbed(&before, &end, &[]);
    assert_eq!(pair(&end, "t").epoch, pair(&before, "t").epoch, "no role changed for a certificate");
}

#[test]
fn a_certificate_of_another_agent_ends_no_role_and_is_said_by_name() {
    let mut play = Play::well();
    let before = play.status();
    // Beta comes up with alpha's certificate: it refuses to begin, and says which one it needs.
    let pki = play.stage.directory().join(PKI);
    for end in ["pem", "key"] {
        let (alpha, beta) = (pki.join("alpha").with_extension(end), pki.join("beta").with_extension(end));
        std::fs::rename(&beta, pki.join("beta-kept").with_extension(end)).unwrap();
        std::fs::copy(alpha, beta).unwrap();
    }
    play.stage.kill(Daemon::Agent(Host::Beta)).unwrap();
    let told = play.check_agent(Host::Beta);
    told.expect(78, &["agent:alpha", "this is agent:beta", "scsctl pki issue agent:beta"]);
    for end in ["pem", "key"] {
        std::fs::rename(pki.join("beta-kept").with_extension(end), pki.join("beta").with_extension(end))
            .unwrap();
    }
    play.stage.start(Daemon::Agent(Host::Beta)).unwrap();
    let end = play.until_well();
    assert_undisturbed(&before, &end, &[]);
    assert_eq!(pair(&end, "t").epoch, pair(&before, "t").epoch);
    assert_eq!(SERVER, "scs-1", "the names above are the stage's own");
}

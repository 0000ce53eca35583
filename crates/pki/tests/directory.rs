//! An authority from its making to a revocation, and what real links say to its certificates.

use std::os::unix::fs::PermissionsExt;

use understudy_model::{ClusterId, Role};
use understudy_pki::{Directory, Issued, Names, PkiError, Standing, Validity};
use understudy_transport::{CredentialFiles, Credentials};

fn year() -> Validity {
    Validity::days(365).unwrap()
}

fn role(text: &str) -> Role {
    text.parse().unwrap()
}

fn credentials(directory: &Directory, issued: &Issued) -> Credentials {
    Credentials::load(CredentialFiles {
        certificate: issued.certificate.clone(),
        key: issued.key.clone(),
        authorities: vec![directory.path().join("ca.pem")],
        revoked: vec![directory.path().join("revoked.pem")],
    })
    .unwrap()
}

fn fresh() -> (tempfile::TempDir, Directory) {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::new(place.path().join("pki"));
    (place, directory)
}

#[test]
fn what_is_issued_names_its_owner_and_its_key_is_its_owner_s_alone() {
    let (_place, directory) = fresh();
    let cluster = directory.init("demo", None, Validity::days(3650).unwrap()).unwrap();
    for (text, file) in [
        ("agent:alpha", "alpha.pem"),
        ("scs:scs-1", "scs-1.pem"),
        ("operator:anna", "operator-anna.pem"),
        ("app:tserver-1", "app-tserver-1.pem"),
    ] {
        let issued = directory.issue(&role(text), &Names::default(), year()).unwrap();
        assert_eq!(issued.certificate, directory.path().join(file));
        let own = credentials(&directory, &issued).own();
        assert_eq!((own.identity.cluster, own.identity.role), (cluster, role(text)));
        assert_eq!(own.serial, issued.entry.serial);
        let mode = std::fs::metadata(&issued.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let mode = std::fs::metadata(directory.path().join("ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(directory.show().unwrap().entries.len(), 4);
}

#[test]
fn nothing_is_overwritten_unasked() {
    let (_place, directory) = fresh();
    let validity = year();
    let none = directory.issue(&role("agent:alpha"), &Names::default(), validity).unwrap_err();
    assert!(matches!(none, PkiError::NoAuthority { .. }) && none.to_string().contains("pki init"), "{none}");
    directory.init("demo", Some(ClusterId(42)), validity).unwrap();
    assert!(matches!(directory.init("demo", None, validity), Err(PkiError::AuthorityThere { .. })));
    assert_eq!(directory.show().unwrap().cluster, ClusterId(42));

    directory.issue(&role("agent:alpha"), &Names::default(), validity).unwrap();
    let again = directory.issue(&role("agent:alpha"), &Names::default(), validity).unwrap_err();
    assert!(
        matches!(again, PkiError::IssuedAlready { .. }) && again.to_string().contains("renew"),
        "{again}"
    );
    let taken = directory.issue(&role("scs:alpha"), &Names::default(), validity).unwrap_err();
    assert!(matches!(taken, PkiError::NameTaken { .. }), "{taken}");
    let never = directory.renew(&role("agent:beta"), &Names::default(), validity).unwrap_err();
    assert!(matches!(never, PkiError::NeverIssued { .. }), "{never}");
}

#[test]
fn a_renewed_certificate_has_another_key_and_the_same_names() {
    let (_place, directory) = fresh();
    directory.init("demo", None, year()).unwrap();
    let names = Names {
        dns: vec!["scs.example.net".to_owned()],
        addresses: vec!["10.0.0.3".parse().unwrap(), "2001:db8::3".parse().unwrap()],
    };
    let scs = role("scs:scs-1");
    let first = directory.issue(&scs, &names, year()).unwrap();
    let key = std::fs::read(&first.key).unwrap();
    let second = directory.renew(&scs, &Names::default(), Validity::days(29).unwrap()).unwrap();
    assert_ne!(std::fs::read(&second.key).unwrap(), key);
    assert_ne!(first.entry.serial, second.entry.serial);
    let pem = std::fs::read_to_string(&second.certificate).unwrap();
    let third = directory.renew(&scs, &Names::default(), year()).unwrap();
    assert_ne!(std::fs::read_to_string(&third.certificate).unwrap(), pem);
    let standings: Vec<_> = directory.show().unwrap().entries.iter().map(|(_, standing)| *standing).collect();
    assert_eq!(standings, [Standing::Valid, Standing::Ending, Standing::Valid]);
    // The names are the ones of the first: a client that knows no roles finds them.
    let der: rustls_pki_types::CertificateDer<'_> =
        rustls_pki_types::pem::PemObject::from_pem_file(&third.certificate).unwrap();
    let text = String::from_utf8_lossy(&der).into_owned();
    assert!(text.contains("scs.example.net"));
    assert!(der.windows(4).any(|window| window == [10, 0, 0, 3]));
}

#[test]
fn commands_at_the_same_time_lose_no_record() {
    let (_place, directory) = fresh();
    directory.init("demo", None, year()).unwrap();
    // What a command that was killed left behind is in nobody's way, and is removed; other files are not.
    std::fs::write(directory.path().join("alpha.key.12345.new"), "half a key").unwrap();
    std::fs::write(directory.path().join("notes.new"), "mine").unwrap();
    std::thread::scope(|threads| {
        for number in 0..12 {
            let directory = &directory;
            threads.spawn(move || {
                directory.issue(&role(&format!("agent:h{number}")), &Names::default(), year()).unwrap();
            });
        }
    });
    assert_eq!(directory.show().unwrap().entries.len(), 12);
    for number in 0..12 {
        assert_eq!(directory.revoke(&role(&format!("agent:h{number}"))).unwrap().len(), 1, "{number}");
    }
    let left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    let new: Vec<_> = left.iter().filter(|name| name.to_string_lossy().ends_with(".new")).collect();
    assert_eq!(new, ["notes.new"]);

    let one = std::thread::scope(|threads| {
        let issue = || directory.issue(&role("agent:one"), &Names::default(), year()).is_ok();
        let all: Vec<_> = (0..6).map(|_| threads.spawn(issue)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).filter(|made| *made).count()
    });
    assert_eq!(one, 1, "one of six who ask for the same gets it");
}

#[test]
fn two_authorities_of_one_cluster_have_two_names() {
    use rustls_pki_types::pem::PemObject;
    let name = |(_place, directory): (tempfile::TempDir, Directory)| {
        directory.init("demo", Some(ClusterId(42)), year()).unwrap();
        let der = rustls_pki_types::CertificateDer::from_pem_file(directory.path().join("ca.pem")).unwrap();
        let certificate: x509_cert::Certificate = x509_cert::der::Decode::from_der(&der).unwrap();
        certificate.tbs_certificate.subject.to_string()
    };
    let (one, other) = (name(fresh()), name(fresh()));
    assert!(one.starts_with("CN=Understudy authority of demo "), "{one}");
    assert_ne!(one, other);
}

#[test]
fn no_certificate_outlives_its_authority() {
    let (_place, directory) = fresh();
    directory.init("demo", None, Validity::days(10).unwrap()).unwrap();
    let issued = directory.issue(&role("agent:alpha"), &Names::default(), year()).unwrap();
    assert_eq!(issued.entry.until, directory.show().unwrap().until);
    for days in [0, 100_000] {
        assert!(matches!(Validity::days(days), Err(PkiError::Days { .. })));
    }
}

#[test]
fn revoking_an_owner_revokes_all_that_still_holds_and_nobody_else() {
    let (_place, directory) = fresh();
    directory.init("demo", None, year()).unwrap();
    let alpha = role("agent:alpha");
    let first = directory.issue(&alpha, &Names::default(), year()).unwrap();
    let second = directory.renew(&alpha, &Names::default(), year()).unwrap();
    let beta = directory.issue(&role("agent:beta"), &Names::default(), year()).unwrap();
    let serials =
        |entries: &[understudy_pki::Entry]| entries.iter().map(|e| e.serial.clone()).collect::<Vec<_>>();
    let revoked = directory.revoke_serial(&first.entry.serial.to_uppercase()).unwrap();
    assert_eq!(serials(&revoked), std::slice::from_ref(&first.entry.serial));
    let revoked = directory.revoke(&alpha).unwrap();
    assert_eq!(serials(&revoked), [second.entry.serial]);
    assert!(directory.revoke(&alpha).unwrap().is_empty(), "again is harmless");
    assert!(matches!(directory.revoke(&role("agent:gamma")), Err(PkiError::NeverIssued { .. })));
    assert!(matches!(directory.revoke_serial("00"), Err(PkiError::UnknownSerial { .. })));
    let shown = directory.show().unwrap().entries;
    let standings: Vec<_> = shown.iter().map(|(_, standing)| *standing).collect();
    assert_eq!(standings, [Standing::Revoked, Standing::Revoked, Standing::Valid]);
    // The list is one that links read.
    credentials(&directory, &beta);
    let record = directory.path().join("issued.json");
    std::fs::write(&record, "[{").unwrap();
    assert!(matches!(directory.show(), Err(PkiError::Damaged { .. })), "a damaged record is said so");
}

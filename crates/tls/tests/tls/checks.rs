//! What `evenkeel check` finds in the files.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use evenkeel_config::{FileOwner, Parsed, Severity, load};
use evenkeel_tls::check;
use rcgen::CertificateParams;

use crate::fixture::{Authority, Folder, self_signed, write};

const DAY: Duration = Duration::from_secs(86_400);

fn parsed(folder: &Folder, tls: &str) -> Parsed {
    let text = format!("[listener.web]\nbind = 80\npool = \"app\"\n{tls}\n[pool.app]\nbackends = [1]\n");
    load(&folder.write("evenkeel.toml", text)).unwrap()
}

/// What is found in `a.pem` and `a.key` of a listener.
fn found(folder: &Folder) -> Vec<(Severity, PathBuf, String)> {
    let config = parsed(folder, "tls.certificates = { cert = \"a.pem\", key = \"a.key\" }").config;
    let faults = check(&config).into_iter();
    faults.map(|fault| (fault.severity, fault.path, fault.message)).collect()
}

#[test]
fn files_that_cannot_be_used() {
    let authority = Authority::new("A");
    let (certificate, key) = authority.issue_with(&["a.example"], false, |_| {});
    let (cert, key) = (certificate.pem(), key.serialize_pem());
    let (_, other) = authority.issue_with(&["a.example"], false, |_| {});
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let not_a_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (cert, key, file, message) in [
        (Some(&*cert), Some(&*key), "", ""),
        (None, Some(&*key), "a.pem", "cannot be read: No such file"),
        (Some(&*cert), None, "a.key", "cannot be read: No such file"),
        (Some(&*key), Some(&*key), "a.pem", "holds no certificate"),
        (Some(&*cert), Some(&*cert), "a.key", "holds no private key"),
        (Some(&*cert), Some(encrypted), "a.key", "the private key is encrypted"),
        (Some(&*cert), Some(not_a_key), "a.key", "of a kind that cannot be used"),
        (Some(garbage), Some(&*key), "a.pem", "it is not X.509"),
        (Some("-----BEGIN CERTIFICATE-----\n"), Some(&*key), "a.pem", "is cut off: a line `-----END CERT"),
        (Some(&*cert), Some(&*other.serialize_pem()), "a.key", "is not the key of the certificate in"),
    ] {
        let folder = Folder::new();
        cert.map(|text| folder.write("a.pem", text));
        key.map(|text| folder.write("a.key", text));
        let found = found(&folder);
        if message.is_empty() {
            assert_eq!(found, []);
            continue;
        }
        let [(Severity::Error, path, seen)] = &found[..] else { panic!("{found:?} for {message}") };
        assert_eq!(*path, folder.path(file), "{seen}");
        assert!(seen.contains(message), "{seen} for {message}");
    }
}

#[test]
fn certificates_that_run_out() {
    let between = |from: SystemTime, to: SystemTime| {
        move |params: &mut CertificateParams| {
            params.not_before = from.into();
            params.not_after = to.into();
        }
    };
    let now = SystemTime::now();
    let hour = Duration::from_secs(3_600);
    for (from, to, expected) in [
        (now - 10 * DAY, now + 31 * DAY, ""),
        (now - 10 * DAY, now + 12 * DAY + hour, "the certificate expires in 12 days"),
        (now - 10 * DAY, now + hour, "the certificate expires in less than a day"),
        (now - 10 * DAY, now - hour, "the certificate has expired less than a day ago"),
        (now - 10 * DAY, now - DAY - hour, "the certificate has expired 1 day ago"),
        (now - 10 * DAY, now - 3 * DAY + hour, "the certificate has expired 2 days ago"),
        (now + 2 * DAY + hour, now + 90 * DAY, "the certificate is valid only in 2 days"),
    ] {
        let folder = Folder::new();
        write(&folder, "a", &Authority::new("A").issue_with(&["a.example"], false, between(from, to)));
        let found = found(&folder);
        if expected.is_empty() {
            assert_eq!(found, []);
            continue;
        }
        let [(Severity::Warning, path, message)] = &found[..] else { panic!("{found:?} for {expected}") };
        assert_eq!(*path, folder.path("a.pem"));
        assert!(message.contains(expected), "{message} for {expected}");
    }
}

#[test]
fn a_certificate_for_no_name() {
    let folder = Folder::new();
    write(
        &folder,
        "a",
        &Authority::new("A").issue_with(&[], false, |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
        }),
    );
    let found = found(&folder);
    assert!(
        matches!(&found[..], [(Severity::Warning, _, message)] if message.contains("no name")),
        "{found:?}"
    );
}

#[test]
fn faults_are_drawn_where_the_file_is_named_and_all_at_once() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    authority.write(&folder, "a", &["a.example"]);
    let parsed = parsed(
        &folder,
        "tls.certificates = [\n  { cert = \"a.pem\", key = \"a.key\" },\n  { cert = \"b.pem\", key = \"b.key\" },\n]\n\
         tls.client_ca = \"a.key\"\n[pool.two]\nbackends = [1]\ntls = { ca = \"c.pem\", cert = \"a.pem\", key = \"a.key\" }",
    );
    let faults = check(&parsed.config);
    let owners: Vec<String> = faults.iter().map(|fault| fault.owner.to_string()).collect();
    assert_eq!(owners, ["listener `web`", "listener `web`", "pool `two`"]);
    assert_eq!(faults[0].owner, FileOwner::Listener("web".into()));
    let drawn = parsed.with_file_faults(&faults).unwrap_err();
    let places: Vec<(usize, usize)> = drawn
        .iter()
        .filter(|fault| fault.severity() == Severity::Error)
        .map(|fault| (fault.line(), fault.column()))
        .collect();
    assert_eq!(places, [(6, 12), (8, 17), (11, 14)], "{drawn}");
}

#[test]
fn every_example_can_be_used() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut with_tls = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let config = load(&path).unwrap().config;
            with_tls += usize::from(config.listeners.iter().any(|listener| listener.tls.is_some()));
            assert_eq!(check(&config), [], "{}", path.display());
        }
    }
    assert!(with_tls >= 2);
}

#[test]
fn a_self_signed_certificate_that_a_pool_lists_must_be_for_its_servers() {
    let folder = Folder::new();
    write(&folder, "own", &self_signed(&["api.internal"], |_| {}));
    let old = self_signed(&["api.internal"], |params| params.not_after = (SystemTime::now() - DAY).into());
    write(&folder, "old", &old);
    folder.write("ca.pem", Authority::new("A").certificate.pem());
    for (address, tls, expected) in [
        ("api.internal:443", "{ ca = \"own.pem\" }", None),
        ("10.0.0.1:443", "{ ca = \"own.pem\", server_name = \"api.internal\" }", None),
        ("10.0.0.1:443", "{ ca = \"own.pem\" }", Some("no certificate in it is for `10.0.0.1`")),
        ("api.internal:443", "{ ca = \"old.pem\" }", Some("has expired")),
        ("10.0.0.1:443", "{ ca = \"ca.pem\" }", None),
    ] {
        let text = format!(
            "[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\nbackends = [\"{address}\"]\ntls = {tls}\n"
        );
        let found = check(&load(&folder.write("evenkeel.toml", text)).unwrap().config);
        let messages: Vec<&str> = found.iter().map(|fault| &*fault.message).collect();
        match expected {
            None => assert!(messages.is_empty(), "{tls}: {messages:?}"),
            Some(part) => assert!(messages.len() == 1 && messages[0].contains(part), "{tls}: {messages:?}"),
        }
        assert!(found.iter().all(|fault| fault.severity == Severity::Warning));
    }
}

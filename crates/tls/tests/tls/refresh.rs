//! Files that change under a server.

use std::fs;
use std::sync::Arc;

use evenkeel_tls::{Change, Reason, TlsError};

use crate::fixture::{Authority, Folder, refreshed, server, write};
use crate::handshake::{all_schemes, client, connect, lenient};

#[test]
fn a_renewed_certificate_is_shown_and_nothing_else_changes() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let server = server(vec![
        authority.write(&folder, "a", &["a.example"]),
        authority.write(&folder, "b", &["b.example"]),
    ]);
    assert_eq!(server.refresh(), []);
    let (config, client) = (server.config(), client(authority.roots()));
    let before = connect(&client, &server, "a.example").unwrap();
    let renewed = authority.issue_with(&["a.example", "new.example"], false, |_| {});
    let files = write(&folder, "a", &renewed);
    assert_eq!(refreshed(|| server.refresh()), [Change::Replaced(files.cert)]);
    assert_eq!(server.refresh(), []);
    assert!(Arc::ptr_eq(&config, &server.config()));
    let after = connect(&client, &server, "new.example").unwrap();
    assert_eq!(after.shown(), renewed.0.der());
    assert_ne!(after.shown(), before.shown());
    assert_eq!(server.certificates()[0].names, ["a.example", "new.example"]);
    connect(&client, &server, "b.example").unwrap();
}

#[test]
fn a_broken_file_keeps_the_old_one_and_is_reported_once() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let first = authority.issue_with(&["a.example"], false, |_| {});
    let server = server(vec![write(&folder, "a", &first)]);
    let (client, _) = lenient(rustls::ALL_VERSIONS, &all_schemes());
    let shown = || connect(&client, &server, "a.example").unwrap().shown().clone();

    let other = authority.issue_with(&["a.example"], false, |_| {});
    for (file, content, reason) in [
        ("a.pem", "nonsense".to_owned(), Reason::NoCertificate),
        ("a.pem", other.0.pem(), Reason::KeyMismatch(folder.path("a.pem"))),
    ] {
        let path = folder.write(file, content);
        // The first look may meet a file that is half written.
        assert_eq!(server.refresh(), []);
        let path = if reason == Reason::NoCertificate { path } else { folder.path("a.key") };
        assert_eq!(server.refresh(), [Change::Kept(TlsError::File { path, reason })]);
        assert_eq!(server.refresh(), []);
        assert_eq!(shown(), *first.0.der());
    }
    fs::remove_file(folder.path("a.pem")).unwrap();
    let changes = refreshed(|| server.refresh());
    assert!(matches!(&changes[..], [Change::Kept(TlsError::File { reason: Reason::Unreadable(_), .. })]));
    assert_eq!(shown(), *first.0.der());

    let files = write(&folder, "a", &other);
    assert_eq!(refreshed(|| server.refresh()), [Change::Replaced(files.cert)]);
    assert_eq!(shown(), *other.0.der());
}

#[test]
fn a_key_that_is_written_a_moment_later_is_no_fault() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let server = server(vec![authority.write(&folder, "a", &["a.example"])]);
    let (certificate, key) = authority.issue_with(&["a.example"], false, |_| {});
    let cert = folder.write("a.pem", certificate.pem());
    assert_eq!(server.refresh(), []);
    folder.write("a.key", key.serialize_pem());
    assert_eq!(server.refresh(), [Change::Replaced(cert)]);
    assert_eq!(server.refresh(), []);
}

#[test]
fn a_link_that_is_turned_is_followed() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let old = authority.issue_with(&["a.example"], false, |_| {});
    let new = authority.issue_with(&["a.example"], false, |_| {});
    // As Kubernetes mounts a secret: the files are links into a folder that is a link.
    for (version, issued) in [("1", &old), ("2", &new)] {
        fs::create_dir(folder.path(version)).unwrap();
        write(&folder, &format!("{version}/a"), issued);
    }
    std::os::unix::fs::symlink("1", folder.path("data")).unwrap();
    let files = evenkeel_config::CertificateFiles {
        cert: folder.path("data/a.pem"),
        key: folder.path("data/a.key"),
        ocsp: None,
    };
    let server = server(vec![files.clone()]);
    std::os::unix::fs::symlink("2", folder.path("next")).unwrap();
    fs::rename(folder.path("next"), folder.path("data")).unwrap();
    assert_eq!(server.refresh(), [Change::Replaced(files.cert)]);
    let (client, _) = lenient(rustls::ALL_VERSIONS, &all_schemes());
    assert_eq!(connect(&client, &server, "a.example").unwrap().shown(), new.0.der());
}

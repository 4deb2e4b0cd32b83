//! Which certificate a client is shown, and which hosts it may ask for then.

use rustls::SignatureScheme;
use rustls::version::{TLS12, TLS13};

use crate::fixture::{Authority, Folder, server, write};
use crate::handshake::{all_schemes, client, connect, lenient, shake};

#[test]
fn by_the_name_that_it_asks_for() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let issued = [
        ("default", &["default.example", "10.0.0.1"][..]),
        ("shop", &["shop.example", "www.shop.example"]),
        ("wild", &["*.shop.example"]),
        ("blog", &["BLOG.example"]),
    ]
    .map(|(file, names)| (file, authority.issue_with(names, false, |_| {})));
    let server = server(issued.iter().map(|(file, issued)| write(&folder, file, issued)).collect());
    let (client, _) = lenient(&[&TLS12, &TLS13], &all_schemes());
    for (asked, expected) in [
        ("default.example", "default"),
        ("shop.example", "shop"),
        ("SHOP.example", "shop"),
        ("www.shop.example", "shop"),
        ("api.shop.example", "wild"),
        ("a.b.shop.example", "default"),
        ("blog.example", "blog"),
        ("unknown.example", "default"),
        // An address is no name that can be asked for.
        ("192.0.2.1", "default"),
    ] {
        let pair = connect(&client, &server, asked).unwrap();
        let (file, _) =
            issued.iter().find(|(_, (certificate, _))| certificate.der() == pair.shown()).unwrap();
        assert_eq!(*file, expected, "{asked}");
    }
}

#[test]
fn by_the_signatures_that_it_knows() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let rsa = authority.issue_with(&["shop.example"], true, |_| {});
    let ecdsa = authority.issue_with(&["shop.example"], false, |_| {});
    let server = server(vec![write(&folder, "rsa", &rsa), write(&folder, "ecdsa", &ecdsa)]);
    let only_rsa =
        [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PSS_SHA512];
    for version in [&TLS12, &TLS13] {
        for (schemes, expected) in [(&all_schemes()[..], &ecdsa), (&only_rsa[..], &rsa)] {
            let (client, _) = lenient(&[version], schemes);
            let pair = connect(&client, &server, "shop.example").unwrap();
            assert_eq!(pair.shown(), expected.0.der(), "{version:?} {schemes:?}");
        }
    }
    let (client, _) = lenient(&[&TLS13], &[SignatureScheme::ED25519]);
    assert!(connect(&client, &server, "shop.example").is_err());
}

#[test]
fn a_client_that_verifies_is_content_with_it() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let server = server(vec![authority.write(&folder, "shop", &["shop.example", "127.0.0.1"])]);
    let client = client(authority.roots());
    connect(&client, &server, "shop.example").unwrap();
    connect(&client, &server, "127.0.0.1").unwrap();
    assert!(connect(&client, &server, "blog.example").is_err());
}

#[test]
fn the_connection_covers_what_its_certificate_is_for() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let server = server(vec![
        authority.write(&folder, "default", &["default.example"]),
        authority.write(&folder, "shop", &["shop.example", "*.shop.example", "10.0.0.1", "::1"]),
        authority.write(&folder, "more", &["two.example", "only-ecdsa.example"]),
        authority.write_rsa(&folder, "less", &["two.example"]),
    ]);
    let (client, _) = lenient(rustls::ALL_VERSIONS, &all_schemes());
    for (asked, host, expected) in [
        ("shop.example", "shop.example", true),
        ("shop.example", "Shop.Example.", true),
        ("shop.example", "api.shop.example", true),
        ("shop.example", "a.b.shop.example", false),
        ("shop.example", "default.example", false),
        ("shop.example", "10.0.0.1", true),
        ("shop.example", "[::1]", true),
        ("shop.example", "10.0.0.2", false),
        ("unknown.example", "default.example", true),
        ("unknown.example", "unknown.example", false),
        ("192.0.2.1", "default.example", true),
        ("two.example", "two.example", true),
        // Which of the two it was is not known: only what both are for.
        ("two.example", "only-ecdsa.example", false),
    ] {
        let pair = connect(&client, &server, asked).unwrap();
        let coverage = server.coverage(pair.server.server_name());
        assert_eq!(coverage.covers(host), expected, "{asked} {host}");
    }
}

#[test]
fn a_certificate_without_alternative_names_is_for_its_common_name() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    let issued = authority.issue_with(&[], false, |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "Old.example");
    });
    let default = authority.write(&folder, "default", &["default.example"]);
    let server = server(vec![default, write(&folder, "old", &issued)]);
    let (client, _) = lenient(rustls::ALL_VERSIONS, &all_schemes());
    let name = "old.example".try_into().unwrap();
    assert_eq!(shake(&client, &server.config(), name).unwrap().shown(), issued.0.der());
    assert!(server.coverage(Some("old.example")).covers("old.example"));
    assert_eq!(server.certificates()[1].names, ["old.example"]);
}

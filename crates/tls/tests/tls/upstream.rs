//! Servers that are spoken with over TLS.

use std::sync::Arc;

use evenkeel_config::{ClientAuth, Pool, parse};
use evenkeel_tls::{Change, ClientIdentity, ClientTls, ServerTls, TlsError};
use evenkeel_types::Address;
use rustls::Error;
use rustls::HandshakeKind::{Full, Resumed};

use crate::fixture::{Authority, BOTH, Folder, refreshed, self_signed, server, settings};
use crate::handshake::{Pair, shake};

/// A pool of one server with `lines` more, read as a file in `folder` would be.
fn pool(folder: &Folder, address: &str, lines: &str) -> Pool {
    let text = format!(
        "[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\nbackends = [\"{address}\"]\n{lines}\n"
    );
    let file = folder.write("evenkeel.toml", &text);
    evenkeel_config::load(&file).unwrap().config.pools.remove(0)
}

fn client(folder: &Folder, address: &str, lines: &str) -> ClientTls {
    ClientTls::load(&pool(folder, address, lines)).unwrap().unwrap()
}

fn connect(client: &ClientTls, server: &ServerTls, address: &str) -> Result<Pair, Error> {
    let name = client.server_name(&Address::backend(address).unwrap()).unwrap();
    shake(&client.config(), &server.config(), name)
}

#[test]
fn a_server_must_be_who_its_address_or_its_server_name_says() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    folder.write("ca.pem", authority.certificate.pem());
    let names = ["api.internal", "api_1.internal", "localhost", "10.0.0.1", "::1"];
    let server = server(vec![authority.write(&folder, "api", &names)]);
    for (address, lines, is_believed) in [
        ("api.internal:443", "tls.ca = \"ca.pem\"", true),
        ("api_1.internal:443", "tls.ca = \"ca.pem\"", true),
        ("10.0.0.1:443", "tls.ca = \"ca.pem\"", true),
        ("[::1]:443", "tls.ca = \"ca.pem\"", true),
        ("unix:/run/api.sock", "tls.ca = \"ca.pem\"", true),
        ("10.0.0.2:443", "tls.ca = \"ca.pem\"", false),
        ("other.internal:443", "tls.ca = \"ca.pem\"", false),
        ("other.internal:443", "tls = { ca = \"ca.pem\", server_name = \"API.internal\" }", true),
        ("other.internal:443", "tls = { ca = \"ca.pem\", server_name = \"[::1]\" }", true),
        ("10.0.0.1:443", "tls = { ca = \"ca.pem\", server_name = \"10.0.0.2\" }", false),
        ("other.internal:443", "tls.insecure_skip_verify = true", true),
        ("api.internal:443", "tls = true", false),
    ] {
        let pair = connect(&client(&folder, address, lines), &server, address);
        assert_eq!(pair.is_ok(), is_believed, "{address} {lines}");
    }
}

#[test]
fn the_requests_host_is_the_name_if_it_can_be_one() {
    let folder = Folder::new();
    let address = "10.0.0.1:443";
    let fixed = client(&folder, address, "tls = { insecure_skip_verify = true }");
    let by_host = client(&folder, address, "tls = { insecure_skip_verify = true, server_name = \"{host}\" }");
    assert_eq!(fixed.name_of_host("api.internal"), None);
    for (host, name, expected) in [
        ("api.internal", Some("api.internal"), "api.internal"),
        ("10.0.0.2", Some("10.0.0.2"), "10.0.0.2"),
        ("[::1]", Some("::1"), "::1"),
        ("", None, "10.0.0.1"),
        ("a..b", None, "10.0.0.1"),
        ("a!b", None, "10.0.0.1"),
    ] {
        assert_eq!(by_host.name_of_host(host), name, "{host}");
        let address = Address::backend(address).unwrap();
        let chosen = by_host.server_name_for(&address, by_host.name_of_host(host)).unwrap();
        assert_eq!(chosen.to_str(), expected, "{host}");
    }
}

#[test]
fn a_self_signed_certificate_that_is_listed_itself_is_believed_for_its_names_and_dates() {
    let folder = Folder::new();
    for (name, file, is_valid) in [("api.internal", "now", true), ("api.internal", "old", false)] {
        let issued = self_signed(&[name], |params| {
            if !is_valid {
                params.not_after = rcgen::date_time_ymd(2001, 1, 1);
                params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            }
        });
        let files = crate::fixture::write(&folder, file, &issued);
        let server = server(vec![files]);
        let lines = format!("tls.ca = \"{file}.pem\"");
        let believed = |address: &str| connect(&client(&folder, address, &lines), &server, address);
        assert_eq!(believed("api.internal:443").is_ok(), is_valid, "{file}");
        let other = believed("other.internal:443").map(drop).unwrap_err().to_string();
        assert!(!other.contains("CaUsed"), "{other}");
    }
    // The same name and key, but another certificate: it is not the one that is listed.
    let server =
        server(vec![crate::fixture::write(&folder, "other", &self_signed(&["api.internal"], |_| {}))]);
    let client = client(&folder, "api.internal:443", "tls.ca = \"now.pem\"");
    assert!(connect(&client, &server, "api.internal:443").is_err());
}

#[test]
fn it_is_asked_for_by_name_and_for_the_protocol_of_the_pool() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    folder.write("ca.pem", authority.certificate.pem());
    let server = server(vec![authority.write(&folder, "api", &["api.internal", "10.0.0.1"])]);
    for (address, protocol, sni, alpn) in [
        ("api.internal:443", "http1", Some("api.internal"), "http/1.1"),
        ("api.internal:443", "http2", Some("api.internal"), "h2"),
        ("10.0.0.1:443", "http1", None, "http/1.1"),
    ] {
        let lines = format!("protocol = \"{protocol}\"\ntls.ca = \"ca.pem\"");
        let pair = connect(&client(&folder, address, &lines), &server, address).unwrap();
        assert_eq!(pair.server.server_name(), sni);
        assert_eq!(pair.client.alpn_protocol(), Some(alpn.as_bytes()));
    }
}

#[test]
fn sessions_are_resumed() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    folder.write("ca.pem", authority.certificate.pem());
    let server = server(vec![authority.write(&folder, "api", &["api.internal"])]);
    let client = client(&folder, "api.internal:443", "tls.ca = \"ca.pem\"");
    for kind in [Full, Resumed, Resumed] {
        let pair = connect(&client, &server, "api.internal:443").unwrap();
        assert_eq!(pair.client.handshake_kind(), Some(kind));
    }
}

#[test]
fn we_show_our_own_certificate_and_follow_its_file() {
    let (folder, authority) = (Folder::new(), Authority::new("A"));
    folder.write("ca.pem", authority.certificate.pem());
    let mut settings = settings(vec![authority.write(&folder, "api", &["api.internal"])]);
    let subject_header = "x-subject".into();
    settings.client_auth = Some(ClientAuth { ca: folder.path("ca.pem"), required: true, subject_header });
    let server = ServerTls::load(&settings, BOTH).unwrap();
    let address = "api.internal:443";
    assert!(connect(&client(&folder, address, "tls.ca = \"ca.pem\""), &server, address).is_err());

    authority.write(&folder, "own", &["one.internal"]);
    let client = client(&folder, address, "tls = { ca = \"ca.pem\", cert = \"own.pem\", key = \"own.key\" }");
    let fingerprint = || {
        let pair = connect(&client, &server, address).unwrap();
        ClientIdentity::of(pair.server.peer_certificates()).unwrap().fingerprint
    };
    let (before, config) = (fingerprint(), client.config());
    assert_eq!(client.refresh(), []);
    folder.write("own.key", "nonsense");
    let changes = refreshed(|| client.refresh());
    assert!(matches!(&changes[..], [Change::Kept(TlsError::File { path, .. })] if path.ends_with("own.key")));
    assert!(Arc::ptr_eq(&config, &client.config()));
    authority.write(&folder, "own", &["two.internal"]);
    assert_eq!(refreshed(|| client.refresh()), [Change::Replaced(folder.path("ca.pem"))]);
    assert_ne!(fingerprint(), before);
}

#[test]
fn a_pool_in_cleartext_has_none_and_a_missing_file_is_an_error() {
    let folder = Folder::new();
    assert!(ClientTls::load(&pool(&folder, "a:80", "")).unwrap().is_none());
    let error = ClientTls::load(&pool(&folder, "a:80", "tls.ca = \"missing.pem\"")).unwrap_err();
    assert!(error.to_string().contains("missing.pem: cannot be read"), "{error}");
    let text = "[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\nbackends = [\"a.1:80\"]\ntls = true\n";
    let error = ClientTls::load(&parse("x", text).unwrap().config.pools[0]).unwrap_err();
    assert!(error.to_string().contains("`a.1`"), "{error}");
}

//! Certificates change while connections stay: on disk, and by a reload.

use std::fs;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::HandshakeKind::{Full, Resumed};
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use crate::support::tls::{replace, shown};
use crate::support::{Authority, Client, Evenkeel, Fault, Folder, TlsClient, eventually};

const NAME: &str = "shop.example.com";

/// A listener called `name` with TLS, which answers everything with `body`.
fn secure(name: &str, tls: &str, body: &str) -> String {
    format!(
        "[listener.{name}]\nbind = [\"127.0.0.1:0\"]\n[listener.{name}.tls]\n{tls}\n\
         [[route]]\nrespond = {{ body = \"{body}\" }}\n"
    )
}

/// What somebody new is shown.
fn shown_now(client: &TlsClient, address: SocketAddr) -> CertificateDer<'static> {
    shown(&client.connect(address, NAME).unwrap()).clone()
}

fn get(client: &mut Client) -> String {
    client.ask(format!("GET / HTTP/1.1\r\nhost: {NAME}\r\n\r\n")).text()
}

#[test]
fn a_renewed_certificate_is_shown_and_open_connections_stay() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (first, second) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let entry = first.write(&folder, "shop");
    let evenkeel = Evenkeel::start(&secure("web", &format!("certificates = {entry}"), "here"));
    let mut open = TlsClient::new(&authority).connect(evenkeel.address(), NAME).unwrap();
    assert_eq!(get(&mut open), "here");
    assert_eq!(*shown(&open), first.der);

    second.write(&folder, "shop");
    let is_renewed = || shown_now(&TlsClient::new(&authority), evenkeel.address()) == second.der;
    eventually("the new certificate is shown", is_renewed);
    assert_eq!(get(&mut open), "here");
    let told = |line: &str| line.contains("INFO") && line.contains("shop.pem: read again, and in use");
    evenkeel.stderr.wait_for("the renewal", told);
    assert_eq!(evenkeel.stderr.count(told), 1);
    assert_eq!(evenkeel.metric("evenkeel_config_generation", &[]), 1.0);
}

#[test]
fn a_broken_file_leaves_the_old_certificate_and_is_logged_once() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (first, second) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let entry = first.write(&folder, "shop");
    let evenkeel = Evenkeel::start(&secure("web", &format!("certificates = {entry}"), "here"));
    let shown_now = || shown_now(&TlsClient::new(&authority), evenkeel.address());
    assert_eq!(shown_now(), first.der);

    replace(&folder, "shop.pem", "nonsense");
    let told = |line: &str| {
        line.contains("WARN")
            && line.contains("shop.pem: holds no certificate; what was read before stays in use")
    };
    evenkeel.stderr.wait_for("the fault", told);
    assert_eq!(shown_now(), first.der);

    second.write(&folder, "shop");
    eventually("the mended file is taken", || shown_now() == second.der);
    assert_eq!(evenkeel.stderr.count(told), 1);
}

#[test]
fn other_client_authorities_are_taken_from_disk() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (before, after) = (Authority::new(), Authority::new());
    let entry = authority.issue(&[NAME]).write(&folder, "shop");
    let ca = before.write(&folder, "clients.pem");
    let tls = format!("certificates = {entry}\nclient_ca = \"{ca}\"");
    let evenkeel = Evenkeel::start(&secure("web", &tls, "here"));
    let (old, new) = (before.issue(&["old"]), after.issue(&["new"]));
    let answered = |own| {
        let mut client = TlsClient::new(&authority).showing(own).connect(evenkeel.address(), NAME)?;
        // Over TLS 1.3 a client learns only behind the handshake that it is not believed.
        client.send(format!("GET / HTTP/1.1\r\nhost: {NAME}\r\n\r\n"));
        Ok(client.response("GET")?.text())
    };
    assert_eq!(answered(&old), Ok("here".to_owned()));
    assert!(matches!(answered(&new), Err(Fault::Tls(_) | Fault::Reset)), "{:?}", answered(&new));
    after.write(&folder, "clients.pem");
    eventually("the new authority is believed", || answered(&new).is_ok());
    assert!(matches!(answered(&old), Err(Fault::Tls(_) | Fault::Reset)), "{:?}", answered(&old));
}

#[test]
fn sessions_outlive_a_reload_that_leaves_the_tls_of_their_listener() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let tls = format!("certificates = {}", authority.issue(&[NAME]).write(&folder, "shop"));
    let evenkeel = Evenkeel::start(&secure("web", &tls, "first"));
    let client = TlsClient::new(&authority).offering(&["http/1.1"]);
    let connect = || {
        let mut connection = client.connect(evenkeel.address(), NAME).unwrap();
        // Tickets come behind the handshake.
        let text = get(&mut connection);
        assert_eq!(connection.session().alpn_protocol(), Some(&b"http/1.1"[..]));
        let kind = connection.session().handshake_kind().unwrap();
        (connection, kind, text)
    };
    let (mut open, kind, _) = connect();
    assert_eq!(kind, Full);
    assert_eq!(connect().1, Resumed);
    for (name, body) in [("renamed", "second"), ("web", "third")] {
        assert_eq!(evenkeel.reload(&secure(name, &tls, body)).status, 200);
        let (_, kind, text) = connect();
        assert_eq!((kind, text.as_str()), (Resumed, body));
    }
    assert_eq!(get(&mut open), "third");
    assert_eq!(
        evenkeel.reload(&secure("web", &format!("{tls}\nprofile = \"modern\""), "fourth")).status,
        200
    );
    eventually("other settings begin anew", || connect().1 == Full);
    assert_eq!(get(&mut open), "fourth");
}

#[test]
fn sessions_outlive_a_reload_that_changes_which_names_pass_through() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let tls = format!("certificates = {}", authority.issue(&[NAME]).write(&folder, "shop"));
    let config = |passthrough: &str| {
        let pool = "[pool.raw]\nbackends = [1]\n";
        secure("web", &format!("{tls}\n{passthrough}"), "here") + pool
    };
    let raw = |name: &str| format!("passthrough = [{{ sni = [\"{name}\"], pool = \"raw\" }}]");
    let evenkeel = Evenkeel::start(&config(&raw("raw.example.com")));
    let client = TlsClient::new(&authority);
    let connect = || {
        let mut connection = client.connect(evenkeel.address(), NAME).unwrap();
        assert_eq!(get(&mut connection), "here");
        connection.session().handshake_kind().unwrap()
    };
    assert_eq!(connect(), Full);
    for passthrough in [raw("other.example.com"), String::new(), raw("raw.example.com")] {
        let answer = evenkeel.reload(&config(&passthrough));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(connect(), Resumed, "after a reload with `{passthrough}`");
    }
}

#[test]
fn a_reload_takes_what_is_on_disk_before_it_answers() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (first, second) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let config = secure("web", &format!("certificates = {}", first.write(&folder, "shop")), "here");
    let evenkeel = Evenkeel::start(&config);
    second.write(&folder, "shop");
    assert_eq!(evenkeel.reload(&config).status, 200);
    assert_eq!(shown_now(&TlsClient::new(&authority), evenkeel.address()), second.der);
}

#[test]
fn a_reload_with_a_bad_certificate_is_refused_and_changes_nothing() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let good = authority.issue(&[NAME]);
    let tls = format!("certificates = {}", good.write(&folder, "shop"));
    let evenkeel = Evenkeel::start(&secure("web", &tls, "old"));
    let mut open = TlsClient::new(&authority).connect(evenkeel.address(), NAME).unwrap();
    authority.issue(&[NAME]).write(&folder, "other");
    let response = evenkeel.reload(&secure("web", &tls.replace("shop.key", "other.key"), "new"));
    assert_eq!(response.status, 422);
    for part in ["evenkeel.toml:", "other.key: is not the key of the certificate in"] {
        assert!(response.text().contains(part), "{part} is missing in:\n{}", response.text());
    }
    assert_eq!(get(&mut open), "old");
    let mut new = TlsClient::new(&authority).connect(evenkeel.address(), NAME).unwrap();
    assert_eq!((get(&mut new).as_str(), shown(&new)), ("old", &good.der));
    assert_eq!(evenkeel.metric("evenkeel_config_reloads_total", &["result=\"failure\""]), 1.0);
}

#[test]
fn the_files_of_a_pool_are_followed_as_well() {
    let folder = Folder::new();
    let ca = Authority::new().write(&folder, "ca.pem");
    let evenkeel = Evenkeel::start(&format!("[pool.app]\nbackends = [\"127.0.0.1:1\"]\ntls.ca = \"{ca}\"\n"));
    Authority::new().write(&folder, "ca.pem");
    let taken = |line: &str| line.contains("pool `app`: ") && line.contains("ca.pem: read again, and in use");
    evenkeel.stderr.wait_for("the new authority", taken);
    replace(&folder, "ca.pem", "nonsense");
    let kept =
        |line: &str| line.contains("pool `app`: ") && line.contains("what was read before stays in use");
    evenkeel.stderr.wait_for("the fault", kept);
}

#[test]
fn a_broken_file_is_a_problem_until_it_is_repaired() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let shop = authority.issue(&[NAME]);
    let (entry, ca) = (shop.write(&folder, "shop"), authority.write(&folder, "ca.pem"));
    authority.issue(&[NAME]).write(&folder, "other");
    let mut evenkeel = Evenkeel::start(&format!(
        "{}[pool.app]\nbackends = [\"127.0.0.1:1\"]\ntls.ca = \"{ca}\"\n",
        secure("web", &format!("certificates = {entry}"), "here")
    ));
    let problems = || {
        let status = evenkeel.status();
        let problems = status["problems"].as_array().unwrap().iter();
        problems.filter(|it| it["kind"] == "certificate-file").cloned().collect::<Vec<_>>()
    };
    assert_eq!(problems(), [Value::Null; 0]);

    replace(&folder, "shop.key", &fs::read_to_string(folder.path("other.key")).unwrap());
    eventually("the key is a problem", || problems().len() == 1);
    let found = &problems()[0];
    let what = found["what"].as_str().unwrap();
    for part in ["listener web: ", "shop.key: is not the key of the certificate in ", "repair the file"] {
        assert!(what.contains(part), "{part} is missing in {what}");
    }
    assert_eq!((&found["severity"], &found["listener"]), (&"warning".into(), &"web".into()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 60.0..=now).contains(&found["since"].as_f64().unwrap()), "{found}");
    for arguments in [&["status"][..], &["top", "--once"]] {
        let shown = evenkeel.cli(arguments).stdout;
        assert!(shown.contains("shop.key: is not the key of"), "{arguments:?}: {shown}");
    }

    fs::remove_file(folder.path("ca.pem")).unwrap();
    eventually("the file of the pool is a problem too", || problems().len() == 2);
    let found = &problems()[1];
    assert_eq!(found["pool"], "app");
    assert!(found["what"].as_str().unwrap().contains("ca.pem: cannot be read"), "{found}");

    shop.write(&folder, "shop");
    authority.write(&folder, "ca.pem");
    eventually("the files are repaired", || problems().is_empty());
    assert!(evenkeel.is_running());
}

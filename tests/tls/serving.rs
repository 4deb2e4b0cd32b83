//! Which certificate a client gets, what it may ask for over the connection, and what servers learn of it.

use rustls::HandshakeKind::{Full, Resumed};
use rustls::version::{TLS12, TLS13};

use crate::support::tls::Issued;
use crate::support::tls::shown;
use crate::support::{Authority, Client, Evenkeel, Folder, Origin, Port, TlsClient, pool};

const NAME: &str = "shop.example.com";

/// A listener with TLS in front of `origin`, with these lines in its `tls` and those in its pool.
fn config(certificates: &[String], tls: &str, origin: &Origin, keys: &str) -> String {
    format!(
        "[server]\nworkers = 2\n[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[listener.web.tls]\n\
         certificates = [{}]\n{tls}\n{}",
        certificates.join(", "),
        pool(&[origin], keys)
    )
}

fn get(client: &mut Client, host: &str) -> crate::support::Response {
    client.ask(format!("GET /path?q=1 HTTP/1.1\r\nhost: {host}\r\n\r\n"))
}

fn certificate(folder: &Folder, authority: &Authority, file: &str, names: &[&str]) -> (Issued, String) {
    let issued = authority.issue(names);
    let entry = issued.write(folder, file);
    (issued, entry)
}

#[test]
fn a_client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let (first, one) = certificate(&folder, &authority, "one", &["first.example", "unknown.example"]);
    let (wild, two) = certificate(&folder, &authority, "two", &["*.example.com"]);
    let (exact, three) = certificate(&folder, &authority, "three", &[NAME]);
    let evenkeel = Evenkeel::start(&config(&[one, two, three], "", &origin, ""));
    let client = TlsClient::new(&authority);
    for (name, expected) in
        [(NAME, &exact), ("other.example.com", &wild), ("first.example", &first), ("unknown.example", &first)]
    {
        let connection = client.connect(evenkeel.address(), name).unwrap();
        assert!(*shown(&connection) == expected.der, "{name}");
    }
}

#[test]
fn s13_a_host_that_the_certificate_is_not_for_is_421() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let (_, one) = certificate(&folder, &authority, "one", &[NAME, "*.cdn.example"]);
    let (_, two) = certificate(&folder, &authority, "two", &["secret.example"]);
    let evenkeel = Evenkeel::start(&config(&[one, two], "", &origin, ""));
    let mut client = TlsClient::new(&authority).connect(evenkeel.address(), NAME).unwrap();
    assert_eq!(get(&mut client, NAME).status, 200);
    assert_eq!(get(&mut client, "shop.example.com:8443").status, 200);
    assert_eq!(get(&mut client, "a.cdn.example").status, 200);
    assert_eq!(origin.count(), 3);
    assert_eq!(get(&mut client, "secret.example").status, 421);
    assert_eq!(origin.count(), 3);
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"misdirected\""]), 1.0);
}

#[test]
fn servers_learn_that_it_was_https_and_cookies_are_secure() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let (_, entry) = certificate(&folder, &authority, "one", &[NAME]);
    let evenkeel = Evenkeel::start(&config(&[entry], "", &origin, "sticky = { cookie = \"EVENKEEL\" }"));
    let mut client = TlsClient::new(&authority).connect(evenkeel.address(), NAME).unwrap();
    let answer = get(&mut client, NAME);
    let cookie = answer.header("set-cookie").unwrap().to_ascii_lowercase();
    assert!(cookie.contains("; secure"), "{cookie}");
    assert_eq!(origin.last().header("x-forwarded-proto"), Some("https"));
    assert_eq!(evenkeel.record(|record| record["status"] == 200)["scheme"], "https");
}

#[test]
fn sessions_are_resumed_whichever_worker_takes_the_connection() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let (_, entry) = certificate(&folder, &authority, "one", &[NAME]);
    let evenkeel = Evenkeel::start(&config(&[entry], "", &origin, ""));
    for versions in [&[&TLS13][..], &[&TLS12]] {
        let client = TlsClient::speaking(versions, &authority);
        let mut kinds = Vec::new();
        // Open side by side, so that they are spread over both workers.
        let mut open = Vec::new();
        for _ in 0..6 {
            let mut connection = client.connect(evenkeel.address(), NAME).unwrap();
            // The tickets come with the first answer.
            assert_eq!(get(&mut connection, NAME).status, 200);
            kinds.push(connection.session().handshake_kind().unwrap());
            open.push(connection);
        }
        assert_eq!(kinds, [Full, Resumed, Resumed, Resumed, Resumed, Resumed], "{versions:?}");
    }
    let count = |result| evenkeel.metric("evenkeel_tls_handshakes_total", &[result]);
    assert_eq!((count("result=\"full\""), count("result=\"resumed\"")), (2.0, 10.0));
}

#[test]
fn a_profile_decides_which_versions_are_spoken() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let (_, entry) = certificate(&folder, &authority, "one", &[NAME]);
    let evenkeel = Evenkeel::start(&config(&[entry], "profile = \"modern\"", &origin, ""));
    assert!(TlsClient::speaking(&[&TLS12], &authority).connect(evenkeel.address(), NAME).is_err());
    assert!(TlsClient::speaking(&[&TLS13], &authority).connect(evenkeel.address(), NAME).is_ok());
    assert_eq!(evenkeel.metric("evenkeel_tls_handshakes_total", &["result=\"failed\""]), 1.0);
}

#[test]
fn a_client_without_tls_is_closed_and_hurts_no_other() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let (_, entry) = certificate(&folder, &authority, "one", &[NAME]);
    let evenkeel = Evenkeel::start(&config(&[entry], "", &origin, ""));
    let mut client = TlsClient::new(&authority).connect(evenkeel.address(), NAME).unwrap();
    let mut stranger = evenkeel.client();
    stranger.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    // An alert, perhaps, and the end.
    while stranger.some().is_ok() {}
    assert_eq!(get(&mut client, NAME).status, 200);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_listener_in_clear_may_send_everybody_to_https() {
    let evenkeel = Evenkeel::start(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nredirect_to_https = true\n[[route]]\nrespond = { body = \"clear\" }\n",
    );
    let mut client = evenkeel.client();
    for (host, target, location) in [
        ("shop.example.com", "/a/b?c=d", "https://shop.example.com/a/b?c=d"),
        ("shop.example.com:8080", "/", "https://shop.example.com/"),
        ("[::1]:8080", "/x", "https://[::1]/x"),
    ] {
        let answer =
            client.ask(format!("POST {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n"));
        assert_eq!((answer.status, answer.header("location")), (308, Some(location)));
    }
    // Where to, nobody knows.
    assert_eq!(evenkeel.client().ask("GET / HTTP/1.0\r\n\r\n").status, 400);
}

#[test]
fn a_client_that_names_a_port_is_redirected_to_that_of_the_listener_with_tls() {
    let (folder, authority, port) = (Folder::new(), Authority::new(), Port::reserve());
    let entry = authority.issue(&[NAME]).write(&folder, "one");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.clear]\nbind = \"127.0.0.1:0\"\nredirect_to_https = true\n\
         [listener.web]\nbind = \"{}\"\n[listener.web.tls]\ncertificates = [{entry}]\n\
         [[route]]\nrespond = {{ body = \"secure\" }}\n",
        port.address()
    ));
    let mut client = Client::connect(evenkeel.listener("clear"));
    let there = format!("https://{NAME}:{}/a", port.address().port());
    for (host, location) in [(format!("{NAME}:8080"), there), (NAME.into(), format!("https://{NAME}/a"))] {
        let answer = client.ask(format!("GET /a HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!(answer.header("location"), Some(location.as_str()), "{host}");
    }
}

//! S15, behind the body: what nobody may claim in a head, nobody may claim in a trailer.

use crate::support::h2::fields::{self, Field};
use crate::support::h2::frames::{data, flag, headers};
use crate::support::h2::{Expect, Peer};
use crate::support::{Authority, Evenkeel, Folder, Origin, chunked, pool};

/// Fields that the balancer sets or takes away, in some of their spellings, and one that is the client's own.
const CLAIMED: [Field; 13] = [
    ("x-cert-sub", "CN=boss"),
    ("x_cert_sub", "CN=boss"),
    ("x-cert_sub", "CN=boss"),
    ("x-evenkeel-mirror", "1"),
    ("x_evenkeel_mirror", "1"),
    ("x-time-left", "1"),
    ("x_time_left", "1"),
    ("x-tenant", "theirs"),
    ("x-internal", "1"),
    ("x-own", "kept"),
    ("x-forwarded-for", "6.6.6.6"),
    ("x_request_id", "forged"),
    ("forwarded", "for=6.6.6.6"),
];

/// A listener in clear beside one that names clients to servers, and a route that does all that can be done to fields.
fn balancer(folder: &Folder, app: &Origin, copies: &Origin) -> Evenkeel {
    let authority = Authority::new();
    let (entry, ca) = (authority.issue(&["test"]).write(folder, "test"), authority.write(folder, "ca.pem"));
    Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[listener.secure]\nbind = \"127.0.0.1:0\"\n[listener.secure.tls]\n\
         certificates = [{entry}]\nclient_ca = \"{ca}\"\nclient_subject_header = \"x_cert_sub\"\n\
         [[route]]\npool = \"app\"\nmirror = {{ pool = \"copies\" }}\n\
         deadline_header = \"x-time-left\"\nretry = {{ header = true }}\n\
         request_headers = {{ set = {{ x-tenant = \"ours\" }}, remove = [\"x-internal\"] }}\n\
         response_headers = {{ remove = [\"x-internal\"] }}\n\
         [pool.copies]\nbackends = [\"{}\"]\n{}",
        copies.address(),
        pool(&[app], "")
    ))
}

#[test]
fn s15_no_trailer_of_a_request_says_what_only_the_balancer_may_say() {
    let (folder, app, copies) = (Folder::new(), Origin::named("a"), Origin::named("b"));
    let evenkeel = balancer(&folder, &app, &copies);
    let passed = |version: &str| {
        let request = app.last();
        assert_eq!(request.body.text(), "x", "{version}");
        assert_eq!(request.body.trailers, [("x-own".to_owned(), "kept".to_owned())], "{version}");
    };
    let lines: String = CLAIMED.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    let head = "POST /1 HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(evenkeel.ask(format!("{head}1\r\nx\r\n0\r\n{lines}\r\n")).status, 200);
    passed("HTTP/1.1");

    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(headers(1, flag::END_HEADERS, fields::post())).unwrap();
    peer.send(data(1, flag::NONE, "x")).unwrap();
    peer.send(headers(1, flag::WHOLE, fields::block(&CLAIMED))).unwrap();
    assert_eq!(Expect::RefusedWith("200").follows(&mut peer), Ok(()));
    assert_eq!(app.count(), 2);
    passed("HTTP/2");
}

#[test]
fn s15_no_trailer_of_a_response_says_what_only_the_balancer_may_say() {
    let trailers = "x-evenkeel-attempts: 9\r\nx-internal: 1\r\nx-own: kept\r\nx-request-id: forged\r\n";
    let (folder, app, copies) =
        (Folder::new(), Origin::bytes(chunked(&["body"], trailers)), Origin::named("b"));
    let evenkeel = balancer(&folder, &app, &copies);
    let response = evenkeel.client().get_with("/", "te: trailers\r\nconnection: te\r\n");
    assert_eq!(response.header("x-evenkeel-attempts"), Some("1"));
    assert_eq!(response.body.trailers, [("x-own".to_owned(), "kept".to_owned())]);
}

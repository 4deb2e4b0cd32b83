//! S14: names with `_` that servers of CGI, WSGI and PHP read as if it were `-`, and that are not theirs to have.

use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Evenkeel, Origin, eventually, pool};

/// Framing, and what concerns one connection alone.
const LOOK_ALIKES: [&str; 12] = [
    "transfer_encoding",
    "Transfer_Encoding",
    "TRANSFER_ENCODING",
    "content_length",
    "Content_Length",
    "keep_alive",
    "Keep_Alive",
    "proxy_connection",
    "Proxy_Connection",
    "http2_settings",
    "x_forwarded_for",
    "x_forwarded-port",
];

fn names(origin: &Origin) -> Vec<String> {
    origin.last().fields.iter().map(|(name, _)| name.to_lowercase()).filter(|n| n.contains('_')).collect()
}

#[test]
fn s14_look_alikes_of_framing_and_connection_fields_reach_no_server() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for name in LOOK_ALIKES {
        let response = client.get_with("/", &format!("{name}: chunked\r\nx_own: kept\r\n"));
        assert_eq!(response.status, 200, "{name}");
        assert_eq!(names(&origin), ["x_own"], "{name}");
    }
}

#[test]
fn s14_what_connection_nominates_goes_in_either_spelling() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    evenkeel.client().get_with("/", "connection: x-inner\r\nx-inner: 1\r\nx_inner: 1\r\nx_own: kept\r\n");
    assert_eq!(names(&origin), ["x_own"]);
    assert!(origin.last().headers("x-inner").is_empty());
}

#[test]
fn s14_look_alikes_do_not_come_over_http2_either() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    let mut peer = Peer::greeted(evenkeel.client());
    for (at, name) in
        ["transfer_encoding", "content_length", "keep_alive", "proxy_connection"].iter().enumerate()
    {
        let block = [fields::get(), fields::literal(name, "7"), fields::literal("x_own", "kept")].concat();
        peer.send(headers(2 * u32::try_from(at).unwrap() + 1, flag::WHOLE, block)).unwrap();
        eventually("the server is asked", || origin.count() == at + 1);
        assert_eq!(names(&origin), ["x_own"], "{name}");
    }
}

#[test]
fn s14_look_alikes_do_not_come_as_trailers_either() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let response = evenkeel.ask(
        "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\
         transfer_encoding: chunked\r\ncontent_length: 7\r\nx_own: kept\r\n\r\n",
    );
    assert_eq!(response.status, 200);
    let trailers = origin.last().body.trailers;
    assert_eq!(trailers, [("x_own".to_owned(), "kept".to_owned())]);
}

#[test]
fn s14_a_listener_may_drop_all_names_with_underscores() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\nunderscores = \"drop\"\n{}",
        pool(&[&origin], "")
    ));
    let response = evenkeel.client().get_with("/", "x_own: 1\r\nX_Other: 2\r\nx-own: 3\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(names(&origin), [""; 0]);
    assert_eq!(origin.last().header("x-own"), Some("3"));
}

//! Requests of HTTP/2 without a body, as servers of HTTP/1.1 get them.

use crate::support::h2::fields::{GET, block};
use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Peer, balancer};
use crate::support::{Evenkeel, Origin, pool};

/// What says how long the body is of the last request that came.
fn length(origin: &Origin) -> (Option<String>, Option<String>) {
    let last = origin.last();
    let of = |name| last.header(name).map(str::to_owned);
    (of("content-length"), of("transfer-encoding"))
}

#[test]
fn a_method_that_anticipates_content_says_that_there_is_none() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    for (method, expected) in
        [("POST", Some("0")), ("PUT", Some("0")), ("PATCH", Some("0")), ("GET", None), ("DELETE", None)]
    {
        let mut peer = Peer::greeted(evenkeel.client());
        let fields = block(&[(":method", method), GET[1], GET[2], GET[3]]);
        peer.send(headers(1, flag::WHOLE, fields)).unwrap();
        peer.response_end().unwrap();
        assert_eq!(length(&origin), (expected.map(str::to_owned), None), "{method}");
    }
}

#[test]
fn what_a_client_of_http1_leaves_unsaid_is_not_added() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.ask("POST / HTTP/1.1\r\nhost: test\r\n\r\n").text(), "a");
    assert_eq!(length(&origin), (None, None));
}

//! How many connections to a server are kept, for how many requests, and for how long.

use std::time::Instant;

use crate::support::{Evenkeel, Origin, eventually, ms, pool};

#[test]
fn a_connection_to_a_server_carries_no_more_requests_than_allowed() {
    for (keys, expected) in [
        ("keepalive = { idle = 128, requests = 2, age = \"1h\" }", 3),
        ("keepalive = { requests = 3 }", 2),
        ("keepalive = { requests = 1 }", 6),
        ("keepalive = { idle = 0 }", 6),
        ("keepalive = { idle = 1, requests = 1000 }", 1),
        ("keepalive = 1", 1),
    ] {
        let origin = Origin::named("a");
        let evenkeel = Evenkeel::start(&pool(&[&origin], keys));
        let mut client = evenkeel.client();
        (0..6).for_each(|_| assert_eq!(client.get("/").text(), "a"));
        assert_eq!((origin.count(), origin.connections()), (6, expected), "{keys}");
    }
}

#[test]
fn a_connection_to_a_server_that_is_old_carries_no_further_request() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], "keepalive = { age = \"500ms\" }"));
    let mut client = evenkeel.client();
    let begun = Instant::now();
    eventually("it is replaced, though it was never idle for long", || {
        assert_eq!(client.get("/").text(), "a");
        origin.connections() == 2
    });
    assert!(begun.elapsed() >= ms(450), "after {:?}", begun.elapsed());
    let first = origin.requests().iter().filter(|request| request.connection == 0).count();
    assert!(first >= 2, "it was used until then");
}

//! A client that resets its connection is gone at once: its server is not left working for nobody.

use crate::support::{Evenkeel, Gate, Origin, eventually, pool};

#[test]
fn a_reset_while_the_server_thinks_ends_the_request() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, _| theirs.wait());
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the server has the request", || origin.count() == 1);
    client.reset();
    drop(client);
    let record = evenkeel.record(|record| record["target"] == "/slow");
    assert_eq!(record["ended"], "client_aborted");
    gate.open();
}

#[test]
fn a_reset_while_the_body_pauses_ends_the_response() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n");
        theirs.wait();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET /events HTTP/1.1\r\nhost: test\r\n\r\n");
    client.head().unwrap();
    client.some().unwrap();
    client.reset();
    drop(client);
    let record = evenkeel.record(|record| record["target"] == "/events");
    assert_eq!(record["ended"], "client_aborted");
    gate.open();
}

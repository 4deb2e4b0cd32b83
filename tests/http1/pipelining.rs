//! Requests that do not wait for answers get them in order.

use crate::support::{Evenkeel, Gate, Origin, eventually, ok, pool};

#[test]
fn requests_in_one_packet_are_answered_in_order() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let requests: String = (0..10).map(|n| format!("GET /{n} HTTP/1.1\r\nhost: test\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..10 {
        assert_eq!(client.answer("GET").text(), format!("/{n}"));
    }
    let seen: Vec<String> = origin.requests().iter().map(|r| r.target().to_owned()).collect();
    assert_eq!(seen, (0..10).map(|n| format!("/{n}")).collect::<Vec<_>>());
}

#[test]
fn bodies_between_pipelined_requests_stay_where_they_belong() {
    let origin = Origin::answering(|request| ok(&format!("{} {}", request.method(), request.body.text())));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send(
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nfirst\
         PUT / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n\
         GET / HTTP/1.1\r\nhost: test\r\n\r\n",
    );
    assert_eq!(client.answer("POST").text(), "POST first");
    assert_eq!(client.answer("PUT").text(), "PUT second");
    assert_eq!(client.answer("GET").text(), "GET ");
}

#[test]
fn a_slow_first_answer_is_not_overtaken() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let slow = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send(ok("slow"));
    });
    let fast = Origin::named("fast");
    let evenkeel = Evenkeel::start(&format!(
        "{}[pool.fast]\nbackends = [\"{}\"]\n[[route]]\npath = \"/fast\"\npool = \"fast\"",
        pool(&[&slow], ""),
        fast.address()
    ));
    let mut client = evenkeel.client();
    client.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\nGET /fast HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the slow server has its request", || slow.count() == 1);
    gate.open();
    assert_eq!(client.answer("GET").text(), "slow");
    assert_eq!(client.answer("GET").text(), "fast");
}

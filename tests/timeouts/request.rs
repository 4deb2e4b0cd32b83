//! The limit on a whole request, from its head's last byte to the answer's last.

use std::time::Instant;

use crate::support::{Evenkeel, Origin, ms, ok, pool};

fn start(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"app\"\ntimeout = {{ request = \"400ms\" }}\n{}",
        pool(&[origin], "")
    ))
}

#[test]
fn no_answer_in_time_is_a_504() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/stall" {
            wire.hold();
            wire.close();
        } else {
            wire.send(ok("a"));
        }
    });
    let evenkeel = start(&origin);
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    let begun = Instant::now();
    assert_eq!(client.get("/stall").status, 504);
    assert!(begun.elapsed() >= ms(400));
    assert_eq!(evenkeel.get("/").text(), "a");
}

#[test]
fn an_answer_that_trickles_on_is_cut() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        wire.patience(ms(20));
        // Its own pace: a byte each time nothing came for a while, until we are cut off.
        while wire.send("x") && wire.some() == Err(crate::support::Fault::Silent) {}
        wire.close();
    });
    let evenkeel = start(&origin);
    let mut client = evenkeel.client();
    let begun = Instant::now();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let fault = client.response("GET").unwrap_err();
    assert!(fault.is_end(), "{fault:?}");
    assert!(begun.elapsed() >= ms(400));
}

#[test]
fn a_connection_outlives_many_requests_within_their_limits() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    let mut client = evenkeel.client();
    let begun = Instant::now();
    while begun.elapsed() < ms(900) {
        assert_eq!(client.get("/").text(), "a");
    }
    assert_eq!(origin.connections(), 1);
}

//! A server that refuses connections costs no client anything as long as another one is there.

use crate::support::{Evenkeel, Origin, Traffic, pool};

#[test]
fn another_server_is_tried() {
    let (dead, alive) = (Origin::refusing("dead"), Origin::named("alive"));
    let evenkeel = Evenkeel::start(&pool(&[&dead, &alive], ""));
    let mut client = evenkeel.client();
    for method in ["GET", "POST", "PUT", "DELETE"] {
        for _ in 0..10 {
            let response =
                client.ask(format!("{method} / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi"));
            assert_eq!((response.status, response.text().as_str()), (200, "alive"), "{method}");
        }
    }
    assert!(alive.requests().iter().all(|r| r.body.text() == "hi"));
    assert!(evenkeel.metric("evenkeel_backend_connect_failures_total", &["backend=\"dead\""]) > 0.0);
}

#[test]
fn none_that_can_be_reached_is_a_502() {
    let (one, two) = (Origin::refusing("one"), Origin::refusing("two"));
    let evenkeel = Evenkeel::start(&pool(&[&one, &two], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").status, 502);
    one.resume();
    assert_eq!(client.get("/").text(), "one");
}

#[test]
fn a_server_that_dies_and_comes_back_under_traffic_costs_no_request() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], ""));
    let traffic = Traffic::start(evenkeel.address(), 4);
    for _ in 0..3 {
        traffic.more(50);
        a.stop();
        traffic.more(50);
        a.resume();
    }
    let tally = traffic.stop();
    // A request that the dying server had begun to work on may fail, one for each client and death at most: only
    // refused connections cost nothing.
    assert!(tally.lost.len() <= 12, "{:?}", tally.lost);
    assert!(tally.lost.iter().all(|lost| lost.starts_with("502")), "{:?}", tally.lost);
}

//! Least response time: sequential requests, so nothing is ever in flight, and only latency can tell servers apart.

use std::thread;
use std::time::Duration;

use crate::support::{Evenkeel, Origin, ok, pool};

#[test]
fn a_server_that_takes_its_time_gets_little() {
    let text = ok("slow");
    let slow = Origin::start(move |_, wire| {
        // The server's own slowness: what is measured, not what is waited for.
        thread::sleep(Duration::from_millis(40));
        wire.send(&text);
    })
    .called("slow");
    let quick = Origin::named("quick");
    let evenkeel = Evenkeel::start(&pool(&[&slow, &quick], "algorithm = \"least-response-time\""));
    let mut client = evenkeel.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(slow.count() <= 10, "the slow server got {} of 100", slow.count());
}

//! A listener that cannot accept says so once, and not with each try.

use crate::support::{Client, Evenkeel, Origin, eventually, ms, pool};

const PAUSING: &str = "cannot accept";

#[test]
fn a_listener_that_cannot_accept_says_so_once() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/").text(), "a");
    for times in 1..=2 {
        // There is no room for another descriptor, which the process cannot know.
        evenkeel.limit_descriptors(0);
        let mut waiting: Vec<Client> = (0..3).map(|_| evenkeel.client()).collect();
        evenkeel.stderr.wait_for("the message", |line| line.contains(PAUSING));
        // Long enough for forty more.
        waiting[0].send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        waiting[0].patience(ms(1_000));
        assert!(waiting[0].head().is_err());
        let said = evenkeel.stderr.count(|line| line.contains(PAUSING));
        assert!((1..=times).contains(&said), "said {said} times");
        let line = evenkeel.stderr.wait_for("the message", |line| line.contains(PAUSING));
        assert!(line.contains("web"), "it names the listener: {line}");

        evenkeel.limit_descriptors(1_000);
        for client in &mut waiting {
            client.patience(crate::support::DEADLINE);
        }
        eventually("new clients are served", || {
            let mut client = evenkeel.client();
            client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
            client.response("GET").is_ok_and(|response| response.status == 200)
        });
    }
}

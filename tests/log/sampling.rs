//! Routes of whose requests the log has a share.

use crate::support::{Evenkeel, Gate, Origin, answer, ms, ok, pool};

/// Waits until a request of a route that logs everything is in the log, and so all before it.
fn settle(evenkeel: &Evenkeel) {
    evenkeel.get("/logged");
    evenkeel.record(|record| record["target"] == "/logged");
}

fn logged(evenkeel: &Evenkeel, path: &str) -> usize {
    evenkeel.stdout.count(|line| line.contains(&format!("\"target\":\"{path}\"")))
}

#[test]
fn a_route_may_be_left_out_but_for_what_fails() {
    let (origin, dead) = (
        Origin::answering(
            |request| if request.target() == "/quiet/500" { answer(500, "", "no") } else { ok("hello") },
        ),
        Origin::refusing("dead"),
    );
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/quiet/*\"\npool = \"app\"\nlog = false\n\
         [[route]]\npath = \"/quiet/dead\"\npool = \"dead\"\nlog = false\n[pool.dead]\nbackends = [\"{}\"]\n{}",
        dead.address(),
        pool(&[&origin], "")
    ));
    let mut client = evenkeel.client();
    for _ in 0..20 {
        assert_eq!(client.get("/quiet/fine").status, 200);
    }
    client.get("/quiet/500");
    client.get("/quiet/dead");
    settle(&evenkeel);
    assert_eq!(logged(&evenkeel, "/quiet/fine"), 0);
    assert_eq!((logged(&evenkeel, "/quiet/500"), logged(&evenkeel, "/quiet/dead")), (1, 1));
    assert_eq!(evenkeel.metric("evenkeel_requests_total", &["class=\"2xx\"", "route=\"/quiet/*\""]), 20.0);
}

#[test]
fn what_is_slow_is_logged() {
    let gate = Gate::default();
    let origin = Origin::held("a", &gate);
    let evenkeel = Evenkeel::start(&format!(
        "[log]\nslow = \"50ms\"\n[[route]]\npath = \"/quiet\"\npool = \"app\"\nlog = false\n{}",
        pool(&[&origin], "")
    ));
    let mut client = evenkeel.client();
    client.send("GET /quiet HTTP/1.1\r\nhost: test\r\n\r\n");
    origin.last();
    let since = std::time::Instant::now();
    crate::support::eventually("it is slow by now", || since.elapsed() > ms(60));
    gate.open();
    client.answer("GET");
    let record = evenkeel.record(|record| record["target"] == "/quiet");
    assert!(record["duration_ms"].as_f64().unwrap() >= 50.0, "{record}");
    client.get("/quiet");
    settle(&evenkeel);
    assert_eq!(logged(&evenkeel, "/quiet"), 1);
}

#[test]
fn a_share_is_about_as_large_as_it_says() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/some\"\npool = \"app\"\nlog = \"25%\"\n{}",
        pool(&[&origin], "")
    ));
    let mut client = evenkeel.client();
    for _ in 0..400 {
        client.get("/some");
    }
    settle(&evenkeel);
    // Seven standard deviations on either side.
    assert!((40..160).contains(&logged(&evenkeel, "/some")), "{} of 400", logged(&evenkeel, "/some"));
}

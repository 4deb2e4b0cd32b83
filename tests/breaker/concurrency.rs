//! `concurrency` of a pool: a limit that follows latency.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use super::max_connections::ask;
use crate::support::{Client, Evenkeel, Gate, Origin, eventually, ms, ok, pool};

#[test]
fn beyond_the_limit_requests_are_refused() {
    let gate = Gate::default();
    let server = Origin::held("a", &gate);
    let evenkeel = Evenkeel::start(&pool(&[&server], "concurrency = { min = 1, max = 2 }"));
    let held = [ask(&evenkeel, "/"), ask(&evenkeel, "/")];
    eventually("two are in flight", || server.count() == 2);
    let refused = evenkeel.get("/");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["reason=\"concurrency\""]), 1.0);
    gate.open();
    held.into_iter().for_each(|request| assert_eq!(request.join().unwrap().0, 200));
}

/// Ends what others do, whichever way the test ends.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn the_limit_falls_when_the_servers_become_slow() {
    let slow = Arc::new(AtomicBool::new(false));
    let theirs = slow.clone();
    let server = Origin::answering(move |_| {
        thread::sleep(if theirs.load(SeqCst) { ms(200) } else { ms(2) });
        ok("a")
    });
    let keys = "concurrency = { algorithm = \"aimd\", min = 1, max = 40 }\nqueue = { wait = \"15s\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let (address, over) = (evenkeel.address(), AtomicBool::new(false));
    let limit = || evenkeel.metric("evenkeel_concurrency_limit", &["pool=\"app\""]);
    thread::scope(|scope| {
        let ended = Ended(&over);
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !over.load(SeqCst) {
                    assert_eq!(client.get("/").status, 200);
                }
            });
        }
        eventually("the limit grows", || limit() >= 30.0);
        slow.store(true, SeqCst);
        eventually("the limit falls", || limit() < 16.0);
        drop(ended);
    });
}

//! A mirror's pool with limits: copies take places as any request does, but none of them waits for one.

use std::thread;

use super::copies::{mirrored, outcome};
use crate::support::{Client, Evenkeel, Gate, Origin, answer, eventually, ok};

/// Holds `/hold` until the gate opens.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request, wire| {
        if request.target() == "/hold" {
            gate.wait();
        }
        wire.send(ok("shadow"));
    })
}

/// The configuration of [`mirrored`], where `/live` goes to the mirror's pool as well.
fn start(origin: &Origin, shadow: &Origin, server: &str, keys: &str) -> Evenkeel {
    let address = shadow.address();
    let (plain, limited) =
        (format!("[\"{address}\"]"), format!("[{{ address = \"{address}\", name = \"shadow\"{server} }}]"));
    let toml = mirrored("", origin, shadow, keys).replace(&plain, &limited);
    Evenkeel::start(&format!("[[route]]\npath = \"/live\"\npool = \"shadow\"\n{toml}"))
}

fn in_flight(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_backend_in_flight", &["pool=\"shadow\""])
}

#[test]
fn a_copy_that_finds_no_place_is_dropped_and_one_that_ends_gives_its_own_back() {
    for (server, keys) in [
        (", max_connections = 1", ""),
        (", max_connections = 1", "queue = { wait = \"15s\" }"),
        ("", "breaker = { max_requests = 1 }"),
        ("", "breaker = { max_connections = 1 }\nqueue = { wait = \"15s\" }"),
    ] {
        let gate = Gate::default();
        let (origin, shadow) = (Origin::named("a"), holding(&gate));
        let evenkeel = start(&origin, &shadow, server, keys);
        let mut client = evenkeel.client();
        assert_eq!(client.get("/hold").text(), "a");
        eventually("the place is taken", || (shadow.count(), in_flight(&evenkeel)) == (1, 1.0));
        (0..3).for_each(|_| assert_eq!(client.get("/").text(), "a"));
        eventually("there is none for these", || outcome(&evenkeel, "dropped") == 3.0);
        assert_eq!((shadow.count(), in_flight(&evenkeel)), (1, 1.0), "{server} {keys}");
        assert_eq!(evenkeel.metric("evenkeel_queue_length", &[]), 0.0);
        gate.open();
        eventually("it ends", || outcome(&evenkeel, "sent") == 1.0 && in_flight(&evenkeel) == 0.0);
        assert_eq!(client.get("/").text(), "a");
        eventually("there is a place again", || outcome(&evenkeel, "sent") == 2.0);
        eventually("nothing is left", || in_flight(&evenkeel) == 0.0);
    }
}

#[test]
fn a_queued_request_gets_the_permit_of_a_copy() {
    for (server, keys) in [(", max_connections = 1", ""), ("", "breaker = { max_requests = 1 }\n")] {
        let gate = Gate::default();
        let (origin, shadow) = (Origin::named("a"), holding(&gate));
        let evenkeel = start(&origin, &shadow, server, &format!("{keys}queue = {{ wait = \"15s\" }}"));
        assert_eq!(evenkeel.get("/hold").text(), "a");
        eventually("a copy has the place", || shadow.count() == 1);
        let address = evenkeel.address();
        let live = thread::spawn(move || Client::connect(address).get("/live").text());
        eventually("it waits", || evenkeel.metric("evenkeel_queue_length", &[]) == 1.0);
        gate.open();
        assert_eq!(live.join().unwrap(), "shadow", "{server} {keys}");
        eventually("nothing is left", || in_flight(&evenkeel) == 0.0);
    }
}

#[test]
fn copies_count_for_the_circuit_breakers_of_their_pool() {
    for key in ["server_breaker", "breaker"] {
        let keys = format!("{key} = {{ failures = \"50%\", requests_min = 3, open_for = \"1h\" }}");
        let (origin, shadow) = (Origin::named("a"), Origin::answering(|_| answer(503, "", "sick")));
        let evenkeel = start(&origin, &shadow, "", &keys);
        let mut client = evenkeel.client();
        for count in 1..=3 {
            assert_eq!(client.get("/").text(), "a");
            eventually("the copy has ended", || outcome(&evenkeel, "sent") == f64::from(count));
        }
        assert_eq!(client.get("/").text(), "a");
        eventually("no further one is sent", || outcome(&evenkeel, "dropped") == 1.0);
        assert_eq!(shadow.count(), 3, "{keys}");
    }
}

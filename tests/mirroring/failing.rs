//! Whatever a mirror's server does, the client gets the same bytes as without one.

use std::time::Instant;

use super::copies::{mirrored, outcome};
use crate::support::{DEADLINE, Evenkeel, Gate, Origin, eventually, pool};

/// The bytes that a client gets for requests of several kinds, but for what differs each time.
fn bytes(evenkeel: &Evenkeel) -> Vec<String> {
    let requests = [
        "GET / HTTP/1.1\r\nhost: test\r\nx-request-id: 1\r\nconnection: close\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        "HEAD / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n",
    ];
    let answer = |request: &&str| {
        let mut client = evenkeel.client();
        client.send(request);
        let text = String::from_utf8(client.until_end().unwrap()).unwrap();
        let differs = |line: &&str| line.starts_with("x-request-id") || line.starts_with("date");
        text.lines().filter(|line| !differs(line)).collect::<Vec<_>>().join("\n")
    };
    requests.iter().map(answer).collect()
}

#[test]
fn a_mirror_that_hangs_refuses_or_resets_is_not_felt() {
    let origin = Origin::named("a");
    let without = bytes(&Evenkeel::start(&pool(&[&origin], "")));
    let gate = Gate::default();
    let hanging = {
        let gate = gate.clone();
        Origin::start(move |_, _| gate.wait())
    };
    let shadows = [
        ("hangs", hanging),
        ("refuses", Origin::refusing("r")),
        ("resets", Origin::start(|_, wire| wire.reset())),
        ("talks nonsense", Origin::bytes_then_close("nonsense\r\n\r\n")),
        ("breaks off", Origin::bytes_then_close("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nno")),
    ];
    for (what, shadow) in &shadows {
        let evenkeel = Evenkeel::start(&mirrored("", &origin, shadow, "timeout = { response = \"1h\" }"));
        let begun = Instant::now();
        for _ in 0..3 {
            assert_eq!(bytes(&evenkeel), without, "{what}");
        }
        assert!(begun.elapsed() < DEADLINE, "{what}");
        assert_eq!(
            evenkeel.metric("evenkeel_requests_total", &["backend=\"a\"", "class=\"2xx\""]),
            9.0,
            "{what}"
        );
        if matches!(*what, "refuses" | "resets" | "talks nonsense") {
            eventually(&format!("all have failed: {what}"), || outcome(&evenkeel, "failed") == 9.0);
        }
    }
    gate.open();
}

#[test]
fn copies_beyond_what_may_be_under_way_are_dropped() {
    let origin = Origin::named("a");
    let gate = Gate::default();
    let shadow = {
        let gate = gate.clone();
        Origin::start(move |_, wire| {
            gate.wait();
            wire.send("HTTP/1.1 204 No Content\r\n\r\n");
        })
    };
    let evenkeel = Evenkeel::start(&mirrored("", &origin, &shadow, ""));
    let mut client = evenkeel.client();
    (0..100).for_each(|_| assert_eq!(client.get("/").text(), "a"));
    eventually("the rest was dropped", || outcome(&evenkeel, "dropped") == 36.0);
    eventually("so many are under way", || shadow.count() == 64);
    gate.open();
    eventually("they end", || outcome(&evenkeel, "sent") == 64.0);
    assert_eq!(client.get("/").text(), "a");
    eventually("there is room again", || outcome(&evenkeel, "sent") == 65.0);
    eventually("none is in flight", || evenkeel.metric("evenkeel_backend_in_flight", &["shadow"]) == 0.0);
}

#[test]
fn a_mirror_that_fails_is_taken_out_like_any_server() {
    let (origin, shadow) = (Origin::named("a"), Origin::refusing("r"));
    let keys = "outlier = { failures = 3, window = \"60s\", eject = \"60s\" }";
    let toml = mirrored("", &origin, &shadow, &format!("{keys}\n"));
    let other = Origin::named("other");
    let both = format!("backends = [\"{}\", \"{}\"]", shadow.address(), other.address());
    let evenkeel = Evenkeel::start(&toml.replace(&format!("backends = [\"{}\"]", shadow.address()), &both));
    let id = shadow.address().to_string();
    eventually("it is ejected", || {
        evenkeel.get("/");
        evenkeel.server("shadow", &id)["state"] == "ejected"
    });
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
}

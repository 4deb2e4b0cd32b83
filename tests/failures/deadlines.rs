//! Deadlines: servers are told how much time is left, clients can shorten it, and no retry outlasts it.

use std::time::Instant;

use crate::support::{Evenkeel, Origin, ms, ok, pool};

fn start(servers: &[&Origin], route: &str) -> Evenkeel {
    Evenkeel::start(&format!("[[route]]\npool = \"app\"\n{route}\n{}", pool(servers, "")))
}

/// Answers with what it was told in this field, and `-` if that was nothing.
fn telling(name: &'static str) -> Origin {
    Origin::answering(move |request| ok(request.header(name).unwrap_or("-")))
}

const HALF_MINUTE: &str = "timeout = { request = \"30s\" }\n";

#[test]
fn a_server_learns_what_is_left() {
    let origin = telling("x-left");
    let evenkeel = start(&[&origin], &format!("{HALF_MINUTE}deadline_header = \"X-Left\""));
    let told: u64 = evenkeel.get("/").text().parse().unwrap();
    assert!((15_000..=30_000).contains(&told), "{told}");
    let origin = telling("grpc-timeout");
    let evenkeel = start(&[&origin], &format!("{HALF_MINUTE}deadline_header = \"grpc-timeout\""));
    let told = evenkeel.get("/").text();
    let ms: u64 = told.strip_suffix('m').unwrap().parse().unwrap();
    assert!((15_000..=30_000).contains(&ms), "{told}");
}

#[test]
fn a_client_can_only_shorten() {
    let origin = telling("x-left");
    let evenkeel = start(&[&origin], &format!("{HALF_MINUTE}deadline_header = \"x-left\""));
    let told = |fields: &str| evenkeel.client().get_with("/", fields).text().parse::<u64>().unwrap();
    let shorter = told("x-left: 20000\r\n");
    assert!((5_000..=20_000).contains(&shorter), "{shorter}");
    let longer = told("X-Left: 90000\r\n");
    assert!((15_000..=30_000).contains(&longer), "{longer}");
}

#[test]
fn what_a_client_says_without_sense_does_not_go_on() {
    let origin = telling("x-left");
    let limited = start(&[&origin], &format!("{HALF_MINUTE}deadline_header = \"x-left\""));
    let unlimited = start(&[&origin], "deadline_header = \"x-left\"");
    for bad in
        ["x-left: soon\r\n", "x-left: -5\r\n", "x_left: 5\r\n", "x-left: 5\r\nx-left: 5\r\n", "x-left:\r\n"]
    {
        let told: u64 = limited.client().get_with("/", bad).text().parse().unwrap();
        assert!((15_000..=30_000).contains(&told), "{bad:?}: {told}");
        assert_eq!(unlimited.client().get_with("/", bad).text(), "-", "{bad:?}");
        assert_eq!(origin.last().headers("x_left"), Vec::<&str>::new());
    }
    let told: u64 = unlimited.client().get_with("/", "x-left: 20000\r\n").text().parse().unwrap();
    assert!((5_000..=20_000).contains(&told), "{told}");
}

#[test]
fn without_the_key_the_field_means_nothing() {
    let origin = telling("grpc-timeout");
    let evenkeel = start(&[&origin], "");
    assert_eq!(evenkeel.client().get_with("/", "grpc-timeout: 1n\r\n").text(), "1n");
}

#[test]
fn the_time_that_a_client_gave_ends_its_request_and_no_server_is_blamed() {
    let servers = [(); 2].map(|()| {
        Origin::start(|_, wire| {
            wire.hold();
            wire.close();
        })
    });
    let evenkeel =
        start(&servers.each_ref(), "deadline_header = \"grpc-timeout\"\nretry = { on = [\"timeout\"] }");
    let begun = Instant::now();
    let response = evenkeel.client().get_with("/", "grpc-timeout: 300m\r\n");
    assert_eq!(response.status, 504);
    assert!(begun.elapsed() >= ms(300));
    assert_eq!(servers[0].count() + servers[1].count(), 1, "there is no time for another one");
    assert_eq!(evenkeel.metric("evenkeel_backend_failures_total", &[]), 0.0);
    assert_eq!(evenkeel.record(|_| true)["ended"], "request_timeout");
    assert_eq!(evenkeel.client().get_with("/", "grpc-timeout: 0S\r\n").status, 504);
    assert_eq!(servers[0].count() + servers[1].count(), 1, "it was over before it began");
}

#[test]
fn each_try_learns_what_is_left_then() {
    let left = |request: &crate::support::message::Request| {
        request.header("x-left").unwrap().parse::<u64>().unwrap()
    };
    let slow = Origin::start(|_, wire| {
        wire.hold();
        wire.close();
    });
    let good = Origin::named("good");
    let evenkeel = start(
        &[&slow, &good],
        &format!(
            "{HALF_MINUTE}deadline_header = \"x-left\"\nretry = {{ on = [\"timeout\"], per_try_timeout = \"1s\" }}"
        ),
    );
    let mut least = u64::MAX;
    for _ in 0..2 {
        assert_eq!(evenkeel.get("/").text(), "good");
        least = least.min(left(&good.last()));
    }
    assert!(slow.count() > 0);
    assert!(least <= 29_000, "the first try took a second: {least}");
}

#[test]
fn a_pause_that_would_outlast_the_time_is_not_begun() {
    let servers = [(); 3].map(|()| Origin::start(|_, wire| wire.close()));
    let evenkeel = start(
        &servers.each_ref(),
        "timeout = { request = \"10ms\" }\nretry = { backoff = \"60s\", on = [\"connect\", \"reset\"] }",
    );
    let begun = Instant::now();
    let statuses: Vec<u16> = (0..3).map(|_| evenkeel.get("/").status).collect();
    assert!(statuses.iter().all(|status| matches!(status, 502 | 504)), "{statuses:?}");
    assert!(begun.elapsed() < crate::support::DEADLINE / 2, "nobody waited for a minute");
}

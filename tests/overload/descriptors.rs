//! `overload.descriptors`: clients that open too many connections make the process withdraw, and the admin API stays.

use super::priorities::config;
use crate::support::{Client, Evenkeel, Origin, eventually};

/// What the process may open; it runs short at half of that.
const DESCRIPTORS: usize = 400;

/// Opens connections until so many descriptors are open, and waits for the step.
fn fill(evenkeel: &Evenkeel, clients: &mut Vec<Client>, descriptors: usize, step: i64) {
    let missing = descriptors.saturating_sub(evenkeel.descriptors());
    clients.extend((0..missing).map(|_| evenkeel.client()));
    eventually(&format!("step {step} at {descriptors} descriptors"), || {
        evenkeel.status()["overload"]["descriptors"] == step
    });
}

#[test]
fn each_step_withdraws_a_little_more_and_ends_when_clients_leave() {
    let server = Origin::named("a");
    let toml = config(&server, "[overload]\ndescriptors = \"50%\"\n");
    let patient = toml.replace("[listener.web]\n", "[listener.web]\ntimeout = { head = \"5m\" }\n");
    let evenkeel = Evenkeel::start_with_descriptors(DESCRIPTORS, &patient);
    let get = |target: &str| evenkeel.get(target);
    let closes = |target: &str| get(target).header("connection") == Some("close");
    assert!(!closes("/low"));
    let mut clients = Vec::new();

    fill(&evenkeel, &mut clients, 170, 1);
    assert_eq!((get("/low").status, closes("/high")), (200, true));
    fill(&evenkeel, &mut clients, 185, 2);
    assert_eq!([get("/low").status, get("/").status, get("/high").status], [503, 200, 200]);
    fill(&evenkeel, &mut clients, 195, 3);
    assert_eq!([get("/low").status, get("/").status, get("/high").status], [503, 503, 200]);
    fill(&evenkeel, &mut clients, 215, 4);
    Client::connect(evenkeel.listener("plain")).assert_closed();
    assert_eq!([get("/").status, get("/high").status], [503, 200]);
    assert_eq!(evenkeel.metric("evenkeel_overload_step", &["cause=\"descriptors\""]), 4.0);
    assert_eq!(evenkeel.reload(&patient).status, 200, "the admin API is not affected");

    drop(clients);
    eventually("it is over", || evenkeel.status()["overload"]["descriptors"] == 0);
    assert_eq!((get("/low").status, closes("/low")), (200, false));
    assert_eq!(Client::connect(evenkeel.listener("plain")).get("/").status, 200);
}

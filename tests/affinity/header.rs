//! Sticky sessions by a header of the application's own.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Evenkeel, Origin, pool};

fn homes(evenkeel: &Evenkeel) -> BTreeMap<usize, String> {
    let mut client = evenkeel.client();
    (0..30)
        .map(|n| {
            let response = client.get_with("/", &format!("x-session: session-{n}\r\n"));
            assert_eq!(response.status, 200);
            (n, response.text())
        })
        .collect()
}

#[test]
fn equal_values_reach_the_same_server() {
    let servers = ["alpha", "beta", "gamma"].map(Origin::named);
    let list: Vec<&Origin> = servers.iter().collect();
    let evenkeel = Evenkeel::start(&format!(
        "[server]\nworkers = 2\n{}",
        pool(&list, "sticky = { header = \"x-session\" }")
    ));
    let first = homes(&evenkeel);
    for _ in 0..4 {
        assert_eq!(first, homes(&evenkeel));
    }
    assert_eq!(first.values().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn sessions_of_a_dead_server_move_and_stay_and_the_others_do_not_move() {
    let servers = ["alpha", "beta", "gamma"].map(Origin::named);
    let list: Vec<&Origin> = servers.iter().collect();
    let keys = "sticky = { header = \"x-session\" }\n\
                health = { kind = \"tcp\", interval = \"100ms\", timeout = \"100ms\", fall = 1 }";
    let evenkeel = Evenkeel::start(&pool(&list, keys));
    for server in &servers {
        evenkeel.wait_for_state(&server.name, "up");
    }
    let before = homes(&evenkeel);
    servers[1].stop();
    evenkeel.wait_for_state("beta", "down");
    let after = homes(&evenkeel);
    for (session, home) in &after {
        let old = &before[session];
        assert!(home != "beta" && (old == "beta" || old == home), "session {session}: {old} -> {home}");
    }
    servers[1].resume();
    evenkeel.wait_for_state("beta", "up");
    assert_eq!(homes(&evenkeel), after, "who has moved stays");
    assert_eq!(evenkeel.reload(&pool(&list, &format!("keepalive = 3\n{keys}"))).status / 100, 2);
    assert_eq!(homes(&evenkeel), after, "a reload is no reason to move");
}

#[test]
fn requests_without_the_header_are_balanced() {
    let servers = ["alpha", "beta", "gamma"].map(Origin::named);
    let list: Vec<&Origin> = servers.iter().collect();
    let evenkeel = Evenkeel::start(&pool(&list, "sticky = { header = \"x-session\" }"));
    let mut client = evenkeel.client();
    for _ in 0..30 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(servers.each_ref().map(Origin::count), [10, 10, 10]);
}

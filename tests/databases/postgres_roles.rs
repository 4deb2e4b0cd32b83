//! A primary and two replicas: which servers are used, what is shown of them, and a planned switch of roles.

use super::setting::{before, reason, wait_for_reason, wait_for_states};
use crate::support::engines::Cluster;
use crate::support::eventually;

#[test]
fn the_primary_takes_writes_the_replicas_take_reads_and_a_switch_over_changes_that() {
    let mut cluster = Cluster::start(2);
    let evenkeel = before(&cluster, "");
    wait_for_states(&evenkeel, "db-primary", "a up, b unfit, c unfit");
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b up, c up");
    assert_eq!(reason(&evenkeel, "db-primary", "a"), "primary, timeline 1");
    assert_eq!(reason(&evenkeel, "db-primary", "b"), "replica");
    assert_eq!(reason(&evenkeel, "db-replicas", "a"), "primary");
    let (a, b) = (evenkeel.server("db-primary", "a"), evenkeel.server("db-primary", "b"));
    assert_eq!((a["role"].as_str(), a["timeline"].as_u64()), (Some("primary"), Some(1)));
    assert_eq!((b["role"].as_str(), b["timeline"].as_u64()), (Some("replica"), Some(1)));
    eventually("the lag is known", || evenkeel.server("db-replicas", "b")["lag_bytes"].as_u64().is_some());
    assert_eq!(
        evenkeel.metric("evenkeel_backend_role", &["db-primary", "backend=\"a\"", "role=\"primary\""]),
        1.0
    );
    assert!(evenkeel.admin("GET", "/metrics", "").text().contains("evenkeel_backend_lag_bytes{"));

    let [a, b, c] = &mut cluster.nodes[..] else { unreachable!() };
    a.shut_down();
    b.promote();
    wait_for_states(&evenkeel, "db-primary", "a down, b up, c unfit");
    assert_eq!(reason(&evenkeel, "db-primary", "b"), "primary, timeline 2");
    c.follow(b);
    a.copy(b);
    a.start();
    wait_for_states(&evenkeel, "db-primary", "a unfit, b up, c unfit");
    wait_for_states(&evenkeel, "db-replicas", "a up, b unfit, c up");
    wait_for_reason(&evenkeel, "db-primary", "a", "replica");
    // Each change is logged once.
    let logged =
        evenkeel.stderr.count(|line| line.contains("db-primary") && line.contains("primary, timeline 2"));
    assert_eq!(logged, 1);
    assert!(!evenkeel.stderr.text().contains(Cluster::PASSWORD));
}

#[test]
fn without_a_role_any_server_that_answers_is_used() {
    let cluster = Cluster::start(1);
    let evenkeel = {
        let folder = crate::support::Folder::new();
        let pool = super::setting::pool("app", &cluster.nodes, "user = \"postgres\", interval = \"100ms\"");
        crate::support::Evenkeel::start_in(folder, &pool)
    };
    wait_for_states(&evenkeel, "app", "a up, b up");
}

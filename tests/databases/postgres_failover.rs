//! A primary that dies, one that hangs, and one that wakes up when another has taken its place.

use std::net::SocketAddr;

use super::setting::{before, login, pool, reason, wait_for_reason, wait_for_states};
use crate::support::engines::{Cluster, Session};
use crate::support::{Evenkeel, Folder};

#[test]
fn after_a_crash_the_promoted_replica_is_the_primary() {
    let mut cluster = Cluster::start(2);
    let evenkeel = before(&cluster, "");
    wait_for_states(&evenkeel, "db-primary", "a up, b unfit, c unfit");
    cluster.nodes[0].kill();
    wait_for_states(&evenkeel, "db-primary", "a down, b unfit, c unfit");
    wait_for_reason(&evenkeel, "db-primary", "a", "connection refused");
    cluster.nodes[1].promote();
    wait_for_states(&evenkeel, "db-primary", "a down, b up, c unfit");
    // It comes back as it was before.
    cluster.nodes[0].start();
    wait_for_states(&evenkeel, "db-primary", "a unfit, b up, c unfit");
    wait_for_reason(&evenkeel, "db-primary", "a", "b has replaced it");
}

#[test]
fn a_primary_that_hangs_is_down_and_when_it_wakes_up_it_stays_out() {
    let mut cluster = Cluster::start(1);
    let evenkeel = before(&cluster, "");
    wait_for_states(&evenkeel, "db-primary", "a up, b unfit");
    cluster.nodes[0].freeze();
    wait_for_states(&evenkeel, "db-primary", "a down, b unfit");
    wait_for_reason(&evenkeel, "db-primary", "a", "no answer in time");
    cluster.nodes[1].promote();
    wait_for_states(&evenkeel, "db-primary", "a down, b up");
    cluster.nodes[0].thaw();
    wait_for_states(&evenkeel, "db-primary", "a unfit, b up");
    assert_eq!(
        cluster.nodes[0].query("SELECT pg_is_in_recovery()"),
        "f",
        "it takes writes, and must get none"
    );
    wait_for_reason(&evenkeel, "db-primary", "a", "it says primary, timeline 1, but b has replaced it");
    // Not even while its successor is down.
    cluster.nodes[1].kill();
    wait_for_states(&evenkeel, "db-primary", "a unfit, b down");
    assert_eq!(evenkeel.get("/").status, 503);
}

#[test]
fn a_primary_that_takes_no_new_connections_is_down_though_its_old_ones_answer() {
    let cluster = Cluster::start(0);
    let evenkeel = before(&cluster, "");
    wait_for_states(&evenkeel, "db-primary", "a up");
    cluster.nodes[0].freeze_postmaster();
    wait_for_states(&evenkeel, "db-primary", "a down");
    cluster.nodes[0].thaw();
    wait_for_states(&evenkeel, "db-primary", "a up");
}

#[test]
fn a_primary_that_is_to_shut_down_when_its_sessions_have_ended_is_down_at_once() {
    let mut cluster = Cluster::start(0);
    let address = SocketAddr::from(([127, 0, 0, 1], cluster.nodes[0].port()));
    let folder = Folder::new();
    let secret = folder.write("secret", Cluster::PASSWORD);
    let keys = format!("role = \"primary\", {}", login("probe", &secret).replace("fall = 2", "fall = 100"));
    let evenkeel = Evenkeel::start_in(folder, &pool("app", &cluster.nodes, &keys));
    wait_for_states(&evenkeel, "app", "a up");
    // This session, and that of the checks, keep it from ending.
    let mut open = Session::open(address).ok().unwrap();
    cluster.nodes[0].shut_down_later();
    wait_for_states(&evenkeel, "app", "a down");
    assert_eq!(
        reason(&evenkeel, "app", "a"),
        "check failed: not ready: the database system is shutting down"
    );
    assert!(open.query("SELECT 1").is_ok());
    drop(open);
    cluster.nodes[0].shut_down();
    cluster.nodes[0].start();
    wait_for_states(&evenkeel, "app", "a up");
}

#[test]
fn a_server_that_starts_says_so() {
    let mut cluster = Cluster::start(0);
    let evenkeel = before(&cluster, "");
    wait_for_states(&evenkeel, "db-primary", "a up");
    // A crash with much to recover is hard to time; a standby that waits for its first connection to a primary is not.
    let node = &mut cluster.nodes[0];
    node.shut_down();
    wait_for_states(&evenkeel, "db-primary", "a down");
    wait_for_reason(&evenkeel, "db-primary", "a", "refused");
    node.hold_in_recovery();
    node.start_only();
    wait_for_reason(&evenkeel, "db-primary", "a", "not ready:");
}

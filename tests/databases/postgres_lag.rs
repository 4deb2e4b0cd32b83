//! Replicas that fall behind, and what is used when all of them do.

use super::setting::{before, reason, wait_for_reason, wait_for_states};
use crate::support::engines::Cluster;

/// Writes more than the tests allow a replica to lag.
fn write_much(cluster: &Cluster) {
    cluster.nodes[0]
        .query("INSERT INTO written (text) SELECT repeat('x', 1000) FROM generate_series(1, 2000)");
}

#[test]
fn a_replica_that_lags_is_out_until_it_has_caught_up() {
    let cluster = Cluster::start(2);
    let evenkeel = before(&cluster, "lag_max = \"64KiB\", when_all_lag = \"refuse\"");
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b up, c up");
    cluster.nodes[1].query("SELECT pg_wal_replay_pause()");
    write_much(&cluster);
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b unfit, c up");
    let reason_of_b = reason(&evenkeel, "db-replicas", "b");
    assert!(reason_of_b.starts_with("lags by ") && reason_of_b.ends_with("iB"), "{reason_of_b}");
    assert!(evenkeel.server("db-replicas", "b")["lag_bytes"].as_u64().unwrap() > 64 * 1024);
    cluster.nodes[2].query("SELECT pg_wal_replay_pause()");
    write_much(&cluster);
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b unfit, c unfit");
    for node in &cluster.nodes[1..] {
        node.query("SELECT pg_wal_replay_resume()");
    }
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b up, c up");
}

#[test]
fn when_all_lag_the_primary_may_stand_in() {
    let cluster = Cluster::start(1);
    let evenkeel = before(&cluster, "lag_max = \"64KiB\", when_all_lag = \"primary\"");
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b up");
    cluster.nodes[1].query("SELECT pg_wal_replay_pause()");
    write_much(&cluster);
    wait_for_states(&evenkeel, "db-replicas", "a up, b unfit");
    assert_eq!(reason(&evenkeel, "db-replicas", "a"), "primary, used because no replica is fresh");
    cluster.nodes[1].query("SELECT pg_wal_replay_resume()");
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b up");
}

#[test]
fn when_all_lag_the_one_that_lags_least_may_stand_in() {
    let cluster = Cluster::start(2);
    let evenkeel = before(&cluster, "lag_max = \"64KiB\"");
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b up, c up");
    cluster.nodes[1].query("SELECT pg_wal_replay_pause()");
    write_much(&cluster);
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b unfit, c up");
    cluster.nodes[2].query("SELECT pg_wal_replay_pause()");
    write_much(&cluster);
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b unfit, c up");
    wait_for_reason(&evenkeel, "db-replicas", "c", "replica that lags least, used because all lag");
}

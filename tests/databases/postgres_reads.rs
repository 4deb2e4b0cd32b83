//! Sessions through a tcp listener in front of the replicas: spread over those that are fresh, and never on the primary.

use std::collections::BTreeMap;

use super::setting::{before_listeners, wait_for_states};
use crate::support::Evenkeel;
use crate::support::engines::{Cluster, Session};

/// On which servers so many sessions have come to be, by name.
fn sessions(evenkeel: &Evenkeel, cluster: &Cluster, count: usize) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for _ in 0..count {
        let mut session = Session::open(evenkeel.listener("reads")).unwrap_or_else(|fault| panic!("{fault}"));
        let port =
            session.query("SELECT inet_server_port()").unwrap_or_else(|fault| panic!("{fault}")).remove(0);
        let node = cluster.nodes.iter().find(|node| node.port().to_string() == port).unwrap();
        *found.entry(node.name().to_owned()).or_default() += 1;
    }
    found
}

fn expected(servers: &[(&str, usize)]) -> BTreeMap<String, usize> {
    servers.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn reads_spread_over_the_replicas_that_are_fresh_and_a_lagging_one_keeps_its_sessions() {
    let mut cluster = Cluster::start(2);
    let evenkeel = before_listeners(&cluster, "");
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b up, c up");
    assert_eq!(sessions(&evenkeel, &cluster, 8), expected(&[("b", 4), ("c", 4)]));

    let mut open: Vec<Session> =
        (0..2).map(|_| Session::open(evenkeel.listener("reads")).ok().unwrap()).collect();
    cluster.nodes[1].query("SELECT pg_wal_replay_pause()");
    cluster.nodes[0]
        .query("INSERT INTO written (text) SELECT repeat('x', 1000) FROM generate_series(1, 2000)");
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b unfit, c up");
    assert_eq!(sessions(&evenkeel, &cluster, 4), expected(&[("c", 4)]));
    // Those that were there read on.
    assert!(open.iter_mut().all(|session| session.query("SELECT 1").is_ok()));
    cluster.nodes[1].query("SELECT pg_wal_replay_resume()");
    wait_for_states(&evenkeel, "db-replicas", "a unfit, b up, c up");
    assert_eq!(sessions(&evenkeel, &cluster, 8), expected(&[("b", 4), ("c", 4)]));

    // A replica that becomes the primary takes no reads of this port any more, and ends those that it has.
    let [a, b, c] = &mut cluster.nodes[..] else { unreachable!() };
    a.kill();
    b.promote();
    c.follow(b);
    wait_for_states(&evenkeel, "db-replicas", "a down, b unfit, c up");
    let left = open.iter_mut().filter_map(|session| session.query("SELECT inet_server_port()").ok());
    assert_eq!(left.collect::<Vec<_>>(), [[c.port().to_string()]]);
    assert_eq!(sessions(&evenkeel, &cluster, 4), expected(&[("c", 4)]));
}

//! How soon a pool uses a server that was promoted, after a crash and after a switch-over, with checks every 200 ms. The figures are
//! printed; what is asserted leaves room for a busy machine.

use super::setting::{pool, wait_for_states};
use crate::support::engines::{Cluster, Node, time_of_day};
use crate::support::{Evenkeel, Folder, eventually};

fn before(cluster: &Cluster) -> Evenkeel {
    let folder = Folder::new();
    let secret = folder.write("secret", Cluster::PASSWORD);
    let keys = format!(
        "role = \"primary\", user = \"probe\", password_file = \"{secret}\", interval = \"200ms\", timeout = \"200ms\""
    );
    Evenkeel::start_in(folder, &pool("app", &cluster.nodes, &keys))
}

/// Promotes a server; how many milliseconds after it takes writes the pool uses it, by the logs of both.
fn gap(evenkeel: &Evenkeel, node: &Node) -> f64 {
    node.promote();
    eventually("the new primary is used", || evenkeel.server("app", node.name())["state"] == "up");
    let is_change =
        |line: &str| line.contains(&format!("server={}", node.name())) && line.contains("to=\"up\"");
    let lines = evenkeel.stderr.lines();
    let line = lines.iter().rfind(|line| is_change(line)).unwrap();
    let (_, time) = line.split_once('T').unwrap();
    let used_at = time_of_day(time.split_once('Z').unwrap().0).unwrap();
    (used_at - node.ready_at()) * 1e3
}

#[test]
fn the_new_primary_is_used_soon_after_it_takes_writes() {
    let mut cluster = Cluster::start(1);
    let evenkeel = before(&cluster);
    wait_for_states(&evenkeel, "app", "a up, b unfit");
    cluster.nodes[0].kill();
    let after_crash = gap(&evenkeel, &cluster.nodes[1]);

    let [a, b] = &mut cluster.nodes[..] else { unreachable!() };
    a.copy(b);
    a.start();
    wait_for_states(&evenkeel, "app", "a unfit, b up");
    b.shut_down();
    let after_switch = gap(&evenkeel, a);
    println!(
        "from ready to used: {after_crash:.0} ms after a crash, {after_switch:.0} ms after a switch-over"
    );
    assert!(after_crash.max(after_switch) < 2_000.0);
}

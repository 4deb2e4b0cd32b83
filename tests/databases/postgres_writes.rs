//! A client that writes row after row through a tcp listener which follows the primary, while that one dies, hangs, is shut
//! down or is replaced: no row reaches the wrong server, and no connection is refused.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::setting::{before_listeners, wait_for_states};
use crate::support::engines::{Cluster, Node, Outcome, Try, Writer};
use crate::support::{Evenkeel, eventually};

/// How soon a session must end once its server has lost its role; a test machine may be busy.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A cluster with a balancer in front of it, and the client at work.
struct Scene {
    cluster: Cluster,
    evenkeel: Evenkeel,
    writer: Writer,
    /// When servers were dying: the kernel takes connections for them, and resets them.
    dying: Vec<(Instant, Instant)>,
}

impl Scene {
    fn start(replicas: usize) -> Self {
        let cluster = Cluster::start(replicas);
        let evenkeel = before_listeners(&cluster, "wait_for_server = \"15s\"");
        eventually("a is the primary", || evenkeel.server("db-primary", "a")["state"] == "up");
        let writer = Writer::start(evenkeel.listener("writes"));
        let scene = Self { cluster, evenkeel, writer, dying: Vec::new() };
        scene.wait_for_rows_of("a");
        scene
    }

    fn node(&self, name: &str) -> &Node {
        self.cluster.nodes.iter().find(|node| node.name() == name).unwrap()
    }

    /// Waits until a server has written some more rows.
    #[track_caller]
    fn wait_for_rows_of(&self, name: &str) {
        let port = self.node(name).port();
        let rows = || written(&self.writer.tries(), port).count();
        let before = rows();
        eventually(&format!("rows of {name}"), || rows() > before + 5);
    }

    /// Ends the first server in some way.
    fn end(&mut self, end: impl FnOnce(&mut Node)) {
        let begun = Instant::now();
        end(&mut self.cluster.nodes[0]);
        self.dying.push((begun, Instant::now()));
    }

    #[track_caller]
    fn wait_for_states(&self, expected: &str) {
        wait_for_states(&self.evenkeel, "db-primary", expected);
    }

    /// Ends the client; what it has seen, after what must hold of it in any case.
    fn finish(self) -> (Cluster, Vec<Try>) {
        let Self { cluster, evenkeel, writer, dying } = self;
        let tries = writer.finish();
        let was_dying =
            |it: &Try| dying.iter().any(|(begun, ended)| *begun <= it.ended && it.began <= *ended);
        for it in &tries {
            match &it.outcome {
                Outcome::NoSession(_) => assert!(was_dying(it), "refused: {it:?}"),
                // The server has ended the session; 25006 would be a replica, which refuses to write.
                Outcome::Refused(code) => assert!(code.starts_with("57P0"), "{it:?}"),
                Outcome::Written(_) | Outcome::Unknown(_) => {}
            }
        }
        assert_eq!(evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"pool\""]), 0.0);
        (cluster, tries)
    }
}

/// The tries with which this server has written a row.
fn written(tries: &[Try], port: u16) -> impl Iterator<Item = &Try> {
    tries.iter().filter(move |it| it.outcome == Outcome::Written(port))
}

/// The numbers of the rows that lie on a server and say that this one has written them.
fn rows(node: &Node, port: u16) -> HashSet<u64> {
    let sql = format!("SELECT coalesce(string_agg(number::text, ','), '') FROM writes WHERE port = {port}");
    let text = node.query(&sql);
    text.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().unwrap()).collect()
}

/// The first server takes no row once the second one has: neither by what the client was told, nor by what lies there.
#[track_caller]
fn assert_replaced(old: &Node, new: &Node, tries: &[Try], sent_before: Instant) {
    let first = written(tries, new.port()).next().expect("the new primary has written rows");
    let last = written(tries, old.port()).last().expect("the old primary has written rows");
    assert!(last.number < first.number, "{last:?} is behind {first:?}");
    for number in rows(old, old.port()) {
        let it = tries.iter().find(|it| it.number == number).unwrap();
        assert!(it.began < sent_before, "the old primary has got {it:?}");
    }
    // What the new one has confirmed lies there, on its own timeline, and is not on the old one.
    let confirmed: HashSet<u64> = written(tries, new.port()).map(|it| it.number).collect();
    assert!(confirmed.is_subset(&rows(new, new.port())));
    assert_eq!(
        new.query(&format!("SELECT DISTINCT timeline FROM writes WHERE port = {}", new.port())),
        "00000002"
    );
}

#[test]
fn after_a_crash_the_client_goes_on_with_the_promoted_server_without_a_refused_connection() {
    let mut scene = Scene::start(2);
    let crash = Instant::now();
    scene.end(Node::kill);
    scene.wait_for_states("a down, b unfit, c unfit");
    scene.cluster.nodes[1].promote();
    scene.wait_for_rows_of("b");
    // The old one comes back, as the primary that it was.
    scene.cluster.nodes[0].start();
    scene.wait_for_states("a unfit, b up, c unfit");
    scene.wait_for_rows_of("b");
    let (cluster, tries) = scene.finish();
    // A crash may have lost the answers of what was under way then.
    assert_replaced(&cluster.nodes[0], &cluster.nodes[1], &tries, crash + Duration::from_millis(50));
}

#[test]
fn in_a_switch_over_the_client_goes_on_with_the_promoted_server() {
    let mut scene = Scene::start(2);
    scene.end(Node::shut_down);
    let [_, b, c] = &scene.cluster.nodes[..] else { unreachable!() };
    b.promote();
    c.follow(b);
    scene.wait_for_rows_of("b");
    let [a, b, _] = &mut scene.cluster.nodes[..] else { unreachable!() };
    // Nothing is lost by a switch-over.
    let tries = scene.writer.tries();
    let confirmed: HashSet<u64> = written(&tries, a.port()).map(|it| it.number).collect();
    assert!(confirmed.is_subset(&rows(b, a.port())));
    a.copy(b);
    a.start();
    scene.wait_for_states("a unfit, b up, c unfit");
    scene.wait_for_rows_of("b");
    let (cluster, tries) = scene.finish();
    let [a, b, _] = &cluster.nodes[..] else { unreachable!() };
    let (first, last) =
        (written(&tries, b.port()).next().unwrap(), written(&tries, a.port()).last().unwrap());
    assert!(last.number < first.number);
    assert_eq!(rows(b, b.port()).len(), written(&tries, b.port()).count());
}

#[test]
fn a_primary_that_hangs_loses_its_session_when_another_is_promoted_and_gets_none_when_it_wakes_up() {
    let scene = Scene::start(1);
    let [a, b] = &scene.cluster.nodes[..] else { unreachable!() };
    a.freeze();
    scene.wait_for_states("a down, b unfit");
    let frozen = Instant::now();
    b.promote();
    scene.wait_for_states("a down, b up");
    let used = Instant::now();
    scene.wait_for_rows_of("b");
    let tries = scene.writer.tries();
    let hung = tries.iter().find(|it| matches!(it.outcome, Outcome::Unknown(_))).expect("a session hung");
    assert!(hung.ended < used + AT_ONCE, "the session on the old primary has not ended at once");
    let record = scene.evenkeel.record(|record| record["ended"] == "role_lost");
    assert_eq!(record["backend"], "a");

    a.thaw();
    scene.wait_for_states("a unfit, b up");
    scene.wait_for_rows_of("b");
    let (cluster, tries) = scene.finish();
    let [a, b] = &cluster.nodes[..] else { unreachable!() };
    // What it had read before it hung it may write when it wakes up; the client was not told that it has.
    assert_replaced(a, b, &tries, frozen);
}

#[test]
fn a_replica_that_is_promoted_beside_a_primary_that_runs_takes_its_sessions_over_at_once() {
    let scene = Scene::start(2);
    let [a, b, _] = &scene.cluster.nodes[..] else { unreachable!() };
    b.promote();
    scene.wait_for_states("a unfit, b up, c unfit");
    let used = Instant::now();
    scene.wait_for_rows_of("b");
    let record = scene.evenkeel.record(|record| record["ended"] == "role_lost");
    assert_eq!(record["backend"], "a");
    assert_eq!(a.query("SELECT pg_is_in_recovery()"), "f", "it takes writes, and must get none");
    let (cluster, tries) = scene.finish();
    assert_replaced(&cluster.nodes[0], &cluster.nodes[1], &tries, used);
}

#[test]
fn a_primary_that_restarts_takes_the_clients_that_wait_for_it() {
    let mut scene = Scene::start(0);
    for _ in 0..3 {
        scene.end(Node::kill);
        scene.cluster.nodes[0].start();
        scene.wait_for_rows_of("a");
    }
    let (_, tries) = scene.finish();
    let (_, gap) = crate::support::engines::longest_gap(&tries).unwrap();
    assert!(gap < Duration::from_secs(10), "{gap:?}");
}

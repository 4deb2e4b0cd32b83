//! PostgreSQL through Evenkeel's ports, while its primary moves.

use std::time::Duration;

use minigram::process::wait_until;

use super::engines::Engines;
use super::writer::{Client, rows};
use crate::alerts::Receiver;

/// How long an engine may take to do what it should.
const BOUND: Duration = Duration::from_secs(90);
/// How long reads may stop: a client connects anew when its replica becomes the primary.
const READS_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a client writes before and after a fault, at least, in rows.
const ROWS: usize = 20;

pub async fn the_write_port_leads_to_the_primary_and_the_read_port_to_replicas(engines: &Engines) {
    let (write, read) = (engines.endpoints.write, engines.endpoints.read);
    engines.psql(write, "CREATE TABLE rows (number bigint PRIMARY KEY, port int DEFAULT inet_server_port())");
    engines.psql(write, "INSERT INTO rows (number) VALUES (-1)");
    let primary = engines.faults.primary().await.unwrap();
    assert_eq!(
        engines.psql(write, "SELECT port, pg_is_in_recovery() FROM rows"),
        format!("{}|f", primary.port)
    );
    let is_there = || async { engines.psql(read, "SELECT to_regclass('rows')") == "rows" };
    wait_until("a replica has the table", BOUND, is_there).await.unwrap();
    let mut ports =
        [(); 8].map(|()| engines.psql(read, "SELECT inet_server_port(), pg_is_in_recovery()")).to_vec();
    ports.sort();
    ports.dedup();
    assert!(ports.iter().all(|port| port.ends_with("|t")), "{ports:?}");
    // The synchronous replica has each write that was acknowledged.
    let setting = engines.psql(write, "SHOW synchronous_standby_names");
    assert_eq!(setting.trim_matches('"'), primary.synchronous.unwrap());
}

pub async fn a_switch_over_loses_no_write(engines: &Engines) {
    lose_nothing_while(engines, "switch-over", 1_000_000, async |old| {
        let new = engines.faults.switch_over().await.unwrap();
        assert_ne!(new, old);
    })
    .await;
}

pub async fn a_crash_of_the_primary_loses_no_write(engines: &Engines) {
    lose_nothing_while(engines, "crash of PostgreSQL", 2_000_000, async |old| {
        engines.faults.kill_postgres(&old).unwrap();
    })
    .await;
}

/// A node whose disk hangs. Its watchdog ends it before another one may become the primary; without that, there would be two.
pub async fn a_primary_that_hangs_loses_no_write(engines: &Engines) {
    let old = engines.faults.primary().await.unwrap().name;
    let (writer, reader) = (Client::write(engines, 4_000_000), Client::read(engines));
    written(engines, 4_000_000, ROWS).await;
    let before = engines.process(&old);
    engines.faults.freeze_postgres(&old).unwrap();
    let is_ended = || async { !before.is_alive() };
    wait_until("the watchdog ends the node", BOUND, is_ended).await.unwrap();
    engines.faults.wait_complete().await.unwrap();
    let last = *rows(engines).await.last().unwrap();
    written(engines, last + 1, ROWS).await;
    report(engines, "hang of PostgreSQL", writer, reader).await;
}

pub async fn a_lost_node_loses_no_write(engines: &Engines, alerts: &Receiver) {
    lose_nothing_while(engines, "loss of the node", 3_000_000, async |old| {
        engines.faults.lose(&old).unwrap();
        alerts.wait_for("MinigramNodeLost", &old).await;
        let others = || async { engines.faults.primary().await.is_ok_and(|it| it.name != old) };
        wait_until("another node is the primary", BOUND, others).await.unwrap();
        engines.faults.recover(&old).await.unwrap();
    })
    .await;
}

/// Writes and reads while a fault happens to the primary; returns when all nodes are in step again.
async fn lose_nothing_while(engines: &Engines, what: &str, first: i64, fault: impl AsyncFnOnce(String)) {
    let old = engines.faults.primary().await.unwrap().name;
    let (writer, reader) = (Client::write(engines, first), Client::read(engines));
    written(engines, first, ROWS).await;
    fault(old.clone()).await;
    let moved = || async { engines.faults.primary().await.is_ok_and(|it| it.name != old) };
    wait_until("another node is the primary", BOUND, moved).await.unwrap();
    let last = *rows(engines).await.last().unwrap();
    written(engines, last + 1, ROWS).await;
    report(engines, what, writer, reader).await;
    engines.faults.wait_complete().await.unwrap();
}

/// Waits until so many rows from a number on are written.
async fn written(engines: &Engines, from: i64, at_least: usize) {
    let is_written = || async { rows(engines).await.range(from..).count() >= at_least };
    wait_until("rows are written", BOUND, is_written).await.unwrap();
}

/// Ends the clients, says what they have noticed, and checks that nothing that was acknowledged is lost.
async fn report(engines: &Engines, what: &str, writer: Client, reader: Client) {
    let (written, read) = (writer.finish().await, reader.finish().await);
    let kept = rows(engines).await;
    let lost: Vec<&i64> = written.acknowledged.difference(&kept).collect();
    println!(
        "{what}: {} rows acknowledged, {} lost; no write for {:.1} s ({} failed), no read for {:.1} s ({} failed)",
        written.acknowledged.len(),
        lost.len(),
        written.gap.as_secs_f64(),
        written.failed,
        read.gap.as_secs_f64(),
        read.failed,
    );
    assert!(lost.is_empty(), "{what}: {lost:?}");
    assert!(read.gap < READS_PAUSE_MAX, "{what}: reads stopped as well");
}

pub async fn the_rows_are_still_there(engines: &Engines) {
    let rows = rows(engines).await;
    for first in [1_000_000, 2_000_000, 3_000_000] {
        assert!(rows.range(first..first + 1_000_000).count() > ROWS, "no rows from {first} on");
    }
}

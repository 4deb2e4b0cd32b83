//! `psql` as a user runs it, through the tcp listener in front of the primary: before, while and after another server becomes it.

use std::process::{Command, Stdio};

use super::setting::{before_listeners, wait_for_states};
use crate::support::engines::Cluster;
use crate::support::{Evenkeel, eventually};

/// `psql` with one statement, to the listener.
fn psql(evenkeel: &Evenkeel, sql: &str) -> Command {
    let address = evenkeel.listener("writes");
    let mut command = Command::new("psql");
    let target = format!(
        "host={} port={} user=postgres dbname=postgres connect_timeout=15",
        address.ip(),
        address.port()
    );
    command.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", &target, "--command", sql]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a statement says, and whether it went well.
fn run(evenkeel: &Evenkeel, sql: &str) -> Result<String, String> {
    let output = psql(evenkeel, sql).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn psql_writes_before_while_and_after_another_server_becomes_the_primary() {
    const INSERT: &str = "INSERT INTO writes (number) VALUES (1) RETURNING port, timeline";
    let mut cluster = Cluster::start(1);
    let evenkeel = before_listeners(&cluster, "wait_for_server = \"15s\"");
    wait_for_states(&evenkeel, "db-primary", "a up, b unfit");
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port()).collect();
    assert_eq!(run(&evenkeel, INSERT), Ok(format!("{}|00000001", ports[0])));

    // One that runs a statement on the server that dies is told at once.
    let mut asleep = psql(&evenkeel, "SELECT pg_sleep(60)").spawn().unwrap();
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'";
    eventually("psql is at work", || cluster.nodes[0].query(sleeps) == "1");
    cluster.nodes[0].kill();
    let mut status = None;
    eventually("psql ends", || {
        status = asleep.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(2), "psql says that its connection has failed");

    // One that connects now waits, and then writes to the new primary.
    wait_for_states(&evenkeel, "db-primary", "a down, b unfit");
    let waiting = psql(&evenkeel, INSERT).spawn().unwrap();
    eventually("psql waits", || {
        let status = evenkeel.status();
        let mut pools = status["pools"].as_array().unwrap().iter();
        pools.any(|pool| pool["name"] == "db-primary" && pool["waiting_for_server"] == 1)
    });
    cluster.nodes[1].promote();
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{}|00000002", ports[1]));
    assert_eq!(run(&evenkeel, INSERT), Ok(format!("{}|00000002", ports[1])));
    assert_eq!(run(&evenkeel, "SELECT count(*) FROM writes"), Ok("3".into()));
}

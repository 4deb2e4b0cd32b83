//! All drills on one system with real engines, as a user does them.

mod world;

use std::process::Command;

use serde_json::Value;

use crate::programs::MINIGRAM;
use world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_whatever_fails() {
    let world = World::up().await;
    let mut drill = Command::new(MINIGRAM);
    drill.args(["drill", "all", "--json", "--rate", "8", "--state"]).arg(&world.state);
    let output = drill.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));

    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    println!("{said}\n{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(rows.len(), 11);
    for row in &rows {
        // A checker that does nothing loses nothing.
        assert!(row["checked"]["acknowledged"].as_u64().unwrap() >= 20, "{row}");
        assert_eq!(row["met"], true, "{row}");
        // Faults that last longer than a write waits: it is refused, and says when to come back.
        if row["drill"] == "lose-node" || row["drill"] == "stop-primary" {
            assert!(row["requests"]["honest"].as_u64().unwrap() > 0, "{row}");
            assert!(row["requests"]["reads"]["requests"].as_u64().unwrap() > 20, "{row}");
        }
    }
}

#[test]
fn a_drill_without_a_system_says_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        Command::new(MINIGRAM).args(["drill", "kill-server", "--state"]).arg(folder.path()).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("minigram up --engines real"), "{said}");
    let output = Command::new(MINIGRAM).args(["drill", "kill-all"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no drill `kill-all`") && said.contains("kill-server, "), "{said}");
}

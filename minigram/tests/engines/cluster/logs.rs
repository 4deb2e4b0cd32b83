//! `minigram logs`: the logs of all processes are in one searchable place.

use std::process::Command;

use super::engines::Engines;
use crate::programs::MINIGRAM;

pub async fn one_search_finds_the_lines_of_all_processes(engines: &Engines) {
    let search = |arguments: &[&str]| {
        let mut command = Command::new(MINIGRAM);
        let output = command.arg("logs").arg("--state").arg(&engines.state).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = search(&["--lines", "1000000", "--raw"]);
    for service in [
        "etcd",
        "node-a",
        "postgres-node-a",
        "redis-1",
        "nats-1",
        "prometheus",
        "evenkeel-databases",
        "alerts",
    ] {
        assert!(all.lines().any(|line| line.starts_with(&format!("{service}\t"))), "no line of {service}");
    }
    let lost = search(&["--service", "alerts", "minigramnodelost"]);
    assert!(lost.contains("WARN MinigramNodeLost firing") && lost.contains("does not answer"), "{lost}");
    // In the order of time, whichever process wrote it.
    let times: Vec<String> = search(&["--since", "1h"]).lines().map(|line| line[..24].to_owned()).collect();
    assert!(times.len() > 100 && times.is_sorted(), "{times:?}");
    let none = Command::new(MINIGRAM)
        .arg("logs")
        .arg("--state")
        .arg(&engines.state)
        .args(["--trace", "0123"])
        .status();
    assert_eq!(none.unwrap().code(), Some(1));
}

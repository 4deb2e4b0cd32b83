//! `demo` shows everything at once and ends by itself when told how long.

use std::sync::{Mutex, PoisonError};

use crate::support::{cli, evenkeel::Outcome};

/// Runs a demo. One at a time: two that start at the same moment may find the same port free.
fn demo(arguments: &[&str]) -> Outcome {
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    cli(&[&["demo"], arguments].concat())
}

#[test]
fn it_balances_its_own_servers_and_sums_up() {
    let outcome = demo(&["--seconds", "2"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let text = format!("{}\n{}", outcome.stdout, outcome.stderr);
    assert!(text.to_lowercase().contains("request"), "{text}");
    assert!(outcome.stdout.chars().any(|c| c.is_ascii_digit()), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    assert!(outcome.stdout.contains("Dashboard: http://127.0.0.1:"), "{text}");
}

#[test]
fn it_balances_connections_while_a_server_is_killed_and_comes_back() {
    let outcome = demo(&["--tcp", "--seconds", "5"]);
    let (said, messages) = (&outcome.stdout, &outcome.stderr);
    assert_eq!(outcome.code, Some(0), "{said}\n{messages}");
    assert!(!messages.contains("panicked"), "{messages}");
    for part in
        ["Try: nc 127.0.0.1 ", "two   its process is stopped", "two   its process runs again", ", 0 failed\n"]
    {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    let titles: Vec<&str> =
        said.lines().find(|line| line.starts_with("server ")).unwrap().split_whitespace().collect();
    assert_eq!(titles, ["server", "connections", "share", "received", "sent", "state"]);
    for name in ["one", "two", "slow"] {
        let row = said.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        let connections: u32 = row.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(connections > 0 && row.contains("KiB"), "{row}");
    }
    assert!(said.contains(" connections broke; their clients opened others"), "{said}");
}

//! `demo` shows everything at once and ends by itself when told how long.

use crate::support::cli;

#[test]
fn it_balances_its_own_servers_and_sums_up() {
    let outcome = cli(&["demo", "--seconds", "2"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let text = format!("{}\n{}", outcome.stdout, outcome.stderr);
    assert!(text.to_lowercase().contains("request"), "{text}");
    assert!(outcome.stdout.chars().any(|c| c.is_ascii_digit()), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

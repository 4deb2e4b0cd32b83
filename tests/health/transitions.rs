//! Each change of a server's state is logged once with its reason, counted, and visible in the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::{Evenkeel, Origin, answer, eventually, pool};

#[test]
fn a_transition_is_logged_once_and_counted() {
    let status = Arc::new(AtomicU16::new(200));
    let theirs = status.clone();
    let sick =
        Origin::answering(move |_| answer(theirs.load(Ordering::SeqCst), "", "")).called("patient-zero");
    let health =
        "health = { path = \"/health\", interval = \"50ms\", timeout = \"50ms\", fall = 2, rise = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&sick], health));
    let count = |to: &str| {
        let to = format!("to=\"{to}\"");
        evenkeel.metric("evenkeel_backend_transitions_total", &["backend=\"patient-zero\"", &to])
    };
    evenkeel.wait_for_state("patient-zero", "up");
    let ups = count("up");
    for round in 1..=2 {
        status.store(503, Ordering::SeqCst);
        evenkeel.wait_for_state("patient-zero", "down");
        let probes = sick.count();
        eventually("it was checked more often", || sick.count() >= probes + 5);
        let lines =
            |line: &str| line.contains("patient-zero") && line.contains("down") && line.contains("503");
        evenkeel.stderr.wait_for("the log line", lines);
        assert_eq!(count("down"), f64::from(round));
        assert_eq!(evenkeel.metric("evenkeel_backend_up", &["backend=\"patient-zero\""]), 0.0);
        status.store(200, Ordering::SeqCst);
        evenkeel.wait_for_state("patient-zero", "up");
        assert_eq!(count("up"), ups + f64::from(round));
        assert_eq!(evenkeel.metric("evenkeel_backend_up", &["backend=\"patient-zero\""]), 1.0);
        // A line about a change names both states, so going down and coming back are two lines a round.
        let both = |line: &str| line.contains("patient-zero") && line.contains("down");
        eventually("both changes are logged", || evenkeel.stderr.count(both) >= 2 * round as usize);
        assert_eq!(evenkeel.stderr.count(both), 2 * round as usize, "{}", evenkeel.stderr.text());
    }
}

#[test]
fn checks_are_counted_by_result() {
    let refused = Origin::refusing("gone");
    let evenkeel = Evenkeel::start(&pool(
        &[&refused],
        "health = { kind = \"tcp\", interval = \"50ms\", timeout = \"50ms\", fall = 1 }",
    ));
    eventually("failed checks are counted", || evenkeel.metric("evenkeel_probes_total", &["gone"]) >= 3.0);
    evenkeel.wait_for_state("gone", "down");
}

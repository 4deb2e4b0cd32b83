//! While a reload is under way, however long it takes, everything else goes on: the admin API, health checks, commands,
//! traffic and signals. The file that makes it slow here is a pipe that the test holds open.

use std::fmt::Write as _;
use std::sync::Arc;
use std::thread;

use rustix::process::Signal;

use crate::support::{Evenkeel, Folder, Origin, Slow, eventually, pool};

const HEALTH: &str =
    "health = { path = \"/\", interval = \"300ms\", timeout = \"300ms\", fall = 2, rise = 1 }";

/// The pool `app` beside 1,000 others, and 10,000 routes.
fn large(servers: &[&Origin], secret: &str) -> String {
    let mut text = format!("[server]\nworkers = 1\nsecret_file = \"{secret}\"\n{}", pool(servers, HEALTH));
    for n in 0..1000 {
        let _ = write!(text, "[pool.p{n}]\nbackends = [\"{}\"]\n", servers[0].address());
    }
    for n in 0..10_000 {
        let _ = write!(text, "[[route]]\npath = \"/r{n}\"\npool = \"p{}\"\n", n % 1000);
    }
    text
}

fn reloads(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_config_reloads_total", &[])
}

#[test]
fn health_commands_and_the_admin_api_do_not_wait_for_it() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let folder = Folder::new();
    let slow = Slow::new(&folder);
    let next = large(&[&a, &b], &slow.path);
    let evenkeel = Evenkeel::start_in(folder, &pool(&[&a, &b], HEALTH));
    evenkeel.wait_for_state("b", "up");
    evenkeel.rewrite(&next);
    evenkeel.signal(Signal::HUP);
    let held = slow.hold();

    assert_eq!(evenkeel.admin("GET", "/healthz", "").status, 200);
    b.stop();
    evenkeel.wait_for_state("b", "down");
    for _ in 0..4 {
        assert_eq!(evenkeel.get("/").text(), "a");
    }
    evenkeel.set_server("app", "a", "{\"weight\": 5}");
    assert_eq!(evenkeel.server("app", "a")["weight"], 5);
    assert_eq!(reloads(&evenkeel), 0.0, "the reload is still under way");

    slow.release(held);
    evenkeel.stderr.wait_for("the end of the reload", |line| line.contains("configuration reloaded"));
    assert_eq!(evenkeel.get("/r9999").text(), "a", "the new configuration is in force");
    assert_eq!(evenkeel.server("app", "b")["state"], "down", "what was judged meanwhile still counts");
    assert_eq!(evenkeel.server("app", "a")["weight"], 5, "and so does what was asked for meanwhile");
}

#[test]
fn one_that_was_asked_for_meanwhile_comes_after_it() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let folder = Folder::new();
    let slow = Slow::new(&folder);
    let first = format!("[server]\nworkers = 1\nsecret_file = \"{}\"\n{}", slow.path, pool(&[&a], ""));
    let evenkeel = Arc::new(Evenkeel::start_in(folder, &pool(&[&a], "")));
    evenkeel.rewrite(&first);
    evenkeel.signal(Signal::HUP);
    let held = slow.hold();

    evenkeel.rewrite(&pool(&[&b], ""));
    let asking = thread::spawn({
        let evenkeel = Arc::clone(&evenkeel);
        move || evenkeel.admin("POST", "/reload", "").status
    });
    assert_eq!(evenkeel.get("/").text(), "a");
    slow.release(held);
    assert_eq!(asking.join().unwrap(), 200);
    assert_eq!(evenkeel.get("/").text(), "b", "the answer means that the last file is in force");
}

#[test]
fn one_that_never_ends_does_not_hold_up_the_end_of_the_process() {
    let a = Origin::named("a");
    let folder = Folder::new();
    let slow = Slow::new(&folder);
    let next = format!("[server]\nworkers = 1\nsecret_file = \"{}\"\n{}", slow.path, pool(&[&a], ""));
    let mut evenkeel = Evenkeel::start_in(folder, &pool(&[&a], ""));
    evenkeel.rewrite(&next);
    evenkeel.signal(Signal::HUP);
    let held = slow.hold();
    evenkeel.signal(Signal::TERM);
    assert_eq!(evenkeel.wait_exit().code(), Some(0));
    drop(held);
}

#[test]
fn a_server_that_comes_back_meanwhile_is_used_after_it() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    b.stop();
    let folder = Folder::new();
    let slow = Slow::new(&folder);
    let next = format!("[server]\nworkers = 1\nsecret_file = \"{}\"\n{}", slow.path, pool(&[&a, &b], HEALTH));
    let evenkeel = Evenkeel::start_in(folder, &pool(&[&a, &b], HEALTH));
    evenkeel.wait_for_state("b", "down");
    evenkeel.rewrite(&next);
    evenkeel.signal(Signal::HUP);
    let held = slow.hold();
    b.resume();
    evenkeel.wait_for_state("b", "up");
    slow.release(held);
    eventually("the reload is done", || reloads(&evenkeel) == 1.0);
    let answers: Vec<String> = (0..4).map(|_| evenkeel.get("/").text()).collect();
    assert!(answers.contains(&"b".to_owned()), "{answers:?}");
}

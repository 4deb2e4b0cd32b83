//! Sticky sessions by the application's own cookie, learned from its answers.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Evenkeel, Origin, answer, ok, pool};

/// Starts a session on `/login`; names itself.
fn application(name: &'static str) -> Origin {
    let sessions = AtomicUsize::new(0);
    Origin::start(move |request, wire| {
        if request.target() == "/login" {
            let id = format!("{:08x}", sessions.fetch_add(1, Ordering::SeqCst) * 7919 + name.len());
            let field = format!("set-cookie: JSESSIONID={name}{id}; Path=/; HttpOnly\r\n");
            wire.send(answer(200, &field, name));
        } else {
            wire.send(ok(name));
        }
    })
    .called(name)
}

#[test]
fn a_session_stays_on_the_server_that_gave_it() {
    let servers = ["one", "two", "three"].map(application);
    let list: Vec<&Origin> = servers.iter().collect();
    let evenkeel = Evenkeel::start(&format!(
        "[server]\nworkers = 2\n{}",
        pool(&list, "sticky = { app_cookie = \"JSESSIONID\" }")
    ));
    let mut sessions = Vec::new();
    for _ in 0..12 {
        let response = evenkeel.get("/login");
        let cookie = response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        sessions.push((cookie, response.text()));
    }
    for _ in 0..3 {
        for (cookie, server) in &sessions {
            let response = evenkeel.client().get_with("/", &format!("cookie: a=b; {cookie}\r\n"));
            assert_eq!(response.text(), *server, "{cookie}");
        }
    }
}

#[test]
fn when_the_server_dies_the_session_moves_once() {
    let servers = ["one", "two", "three"].map(application);
    let list: Vec<&Origin> = servers.iter().collect();
    let evenkeel = Evenkeel::start(&pool(&list, "sticky = { app_cookie = \"JSESSIONID\" }"));
    let response = evenkeel.get("/login");
    let cookie = response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let dead = servers.iter().find(|s| s.name == response.text()).unwrap();
    dead.stop();
    let ask = || evenkeel.client().get_with("/", &format!("cookie: {cookie}\r\n")).text();
    let new = ask();
    assert_ne!(new, dead.name);
    dead.resume();
    for _ in 0..6 {
        assert_eq!(ask(), new);
    }
}

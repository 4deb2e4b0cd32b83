//! Hedging: which answers win, and what a hedge must not change.

use std::thread;

use crate::support::{Evenkeel, Origin, answer, ms, ok, pool};

/// Answers at once, but for `/slow`.
fn sometimes_slow(name: &'static str) -> Origin {
    Origin::start(move |request, wire| {
        if request.target() == "/slow" {
            thread::sleep(ms(400));
        }
        wire.send(ok(name));
    })
    .called(name)
}

#[test]
fn a_client_that_belongs_to_a_server_stays_there_though_one_answer_is_slow() {
    let servers = ["a", "b"].map(sometimes_slow);
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nhedge = {{ after = \"30ms\" }}\n{}",
        pool(&servers.each_ref(), "sticky = { header = \"x-session\" }")
    ));
    for session in 0..4 {
        let get =
            |target: &str| evenkeel.client().get_with(target, &format!("x-session: {session}\r\n")).text();
        let home = get("/");
        assert_eq!((get("/slow"), get("/")), (home.clone(), home), "session {session}");
    }
}

#[test]
fn an_error_that_the_route_retries_does_not_win_over_a_server_that_is_still_asked() {
    let slow = sometimes_slow("slow");
    let broken = Origin::answering(|_| answer(503, "", "broken")).called("broken");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nhedge = {{ after = \"30ms\" }}\nretry = {{ on = [\"connect\", \"reset\", \"503\"] }}\n\
         [pool.app]\nbackends = [\"{}\", {{ address = \"{}\", backup = true }}]\n",
        slow.address(),
        broken.address()
    ));
    let response = evenkeel.get("/slow");
    assert_eq!((response.status, response.text()), (200, "slow".into()));
    assert_eq!(broken.count(), 1);
}

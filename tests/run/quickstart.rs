//! A balancer without a file: `run --listen ... --backend ...`.

use crate::support::{Evenkeel, Folder, Origin, eventually};

#[test]
fn no_file_is_needed() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let backends = [&a, &b, &c].map(|server| server.address().port().to_string());
    let mut arguments = vec!["run", "--listen", "127.0.0.1:0"];
    for backend in &backends {
        arguments.extend(["--backend", backend]);
    }
    let evenkeel = Evenkeel::run(Folder::new(), &arguments);
    let mut client = evenkeel.client();
    eventually("all three have answered", || {
        assert_eq!(client.get("/").status, 200);
        a.count() > 0 && b.count() > 0 && c.count() > 0
    });
}

#[test]
fn a_backend_that_is_not_there_yet_is_found_by_the_checks() {
    let (a, late) = (Origin::named("a"), Origin::refusing("late"));
    let evenkeel = Evenkeel::run(
        Folder::new(),
        &[
            "run",
            "--listen=127.0.0.1:0",
            &format!("--backend={}", a.address()),
            &format!("--backend={}", late.address()),
        ],
    );
    let mut client = evenkeel.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "a");
    }
    late.resume();
    eventually("the late one is used", || client.get("/").text() == "late");
}

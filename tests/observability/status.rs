//! `/status`, `/healthz` and `/readyz`.

use std::thread;

use crate::support::{Client, Evenkeel, Gate, Origin, eventually, ok, pool};

#[test]
fn status_tells_of_every_server() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let busy = Origin::start(move |request, wire| {
        if request.target() == "/hold" {
            theirs.wait();
        }
        wire.send(ok("busy"));
    })
    .called("busy");
    let backends = format!(
        "[pool.app]\nbackends = [{{ address = \"{}\", name = \"busy\", weight = 3 }}]\n",
        busy.address()
    );
    let evenkeel = Evenkeel::start(&backends);
    for _ in 0..5 {
        evenkeel.get("/");
    }
    let address = evenkeel.address();
    let held = thread::spawn(move || Client::connect(address).get("/hold").status);
    eventually("one is in flight", || evenkeel.server("app", "busy")["in_flight"] == 1);
    let server = evenkeel.server("app", "busy");
    assert_eq!(server["address"], busy.address().to_string());
    assert_eq!(server["state"], "up");
    assert_eq!(server["weight"], 3);
    assert_eq!(server["requests"], 5);
    let status = evenkeel.status();
    assert!(status["version"].as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()), "{status}");
    assert!(status["listeners"].to_string().contains(&address.to_string()), "{status}");
    gate.open();
    assert_eq!(held.join().unwrap(), 200);
    eventually("none is in flight", || evenkeel.server("app", "busy")["in_flight"] == 0);
}

#[test]
fn shares_add_up() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], ""));
    let mut client = evenkeel.client();
    for _ in 0..20 {
        client.get("/");
    }
    let requests = |name: &str| evenkeel.server("app", name)["requests"].as_u64().unwrap();
    eventually("all are counted", || requests("a") + requests("b") == 20);
    let share = |name: &str| evenkeel.server("app", name)["share"].as_f64().unwrap();
    assert!((share("a") - share("b")).abs() < 0.001, "{} {}", share("a"), share("b"));
    let sum = share("a") + share("b");
    assert!((sum - 1.0).abs() < 0.01 || (sum - 100.0).abs() < 1.0, "{sum}");
}

#[test]
fn healthz_and_readyz_answer() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.admin("GET", "/healthz", "").status, 200);
    assert_eq!(evenkeel.admin("GET", "/readyz", "").status, 200);
    evenkeel.set_server("app", &origin.name, "{\"state\":\"drain\"}");
    assert_eq!(evenkeel.admin("GET", "/readyz", "").status, 503, "no pool has a usable server");
    assert_eq!(evenkeel.admin("GET", "/healthz", "").status, 200);
}

#[test]
fn what_does_not_exist_is_a_404_and_wrong_methods_are_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.admin("GET", "/nothing", "").status, 404);
    assert_eq!(evenkeel.admin("GET", "/reload", "").status, 405);
    assert_eq!(evenkeel.admin("POST", "/status", "").status, 405);
}

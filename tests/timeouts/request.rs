//! The limit on a whole request, from its head's last byte to the answer's last.

use std::io::Write;
use std::thread;
use std::time::Instant;

use crate::support::{DEADLINE, Evenkeel, Gate, Origin, Port, ms, ok, pool};

fn start(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"app\"\ntimeout = {{ request = \"400ms\" }}\n{}",
        pool(&[origin], "")
    ))
}

#[test]
fn no_answer_in_time_is_a_504() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/stall" {
            wire.hold();
            wire.close();
        } else {
            wire.send(ok("a"));
        }
    });
    let evenkeel = start(&origin);
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    let begun = Instant::now();
    assert_eq!(client.get("/stall").status, 504);
    assert!(begun.elapsed() >= ms(400));
    assert_eq!(evenkeel.get("/").text(), "a");
}

#[test]
fn an_answer_that_trickles_on_is_cut() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        wire.patience(ms(20));
        // Its own pace: a byte each time nothing came for a while, until we are cut off.
        while wire.send("x") && wire.some() == Err(crate::support::Fault::Silent) {}
        wire.close();
    });
    let evenkeel = start(&origin);
    let mut client = evenkeel.client();
    let begun = Instant::now();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let fault = client.response("GET").unwrap_err();
    assert!(fault.is_end(), "{fault:?}");
    assert!(begun.elapsed() >= ms(400));
}

#[test]
fn a_connection_outlives_many_requests_within_their_limits() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    let mut client = evenkeel.client();
    let begun = Instant::now();
    while begun.elapsed() < ms(900) {
        assert_eq!(client.get("/").text(), "a");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn when_the_time_is_over_no_other_server_is_tried_nor_blamed() {
    let (port, a, b) = (Port::reserve(), Origin::named("a"), Origin::named("b"));
    let hang = port.hang();
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"app\"\ntimeout = {{ request = \"300ms\" }}\n\
         [pool.app]\nbackends = [\"{}\", {{ address = \"{}\", name = \"a\" }}, {{ address = \"{}\", name = \"b\" }}]\n\
         outlier = {{ failures = 2, window = \"30s\", eject = \"60s\" }}\ntimeout = {{ connect = \"10s\" }}\n",
        port.address(),
        a.address(),
        b.address()
    ));
    let mut client = evenkeel.client();
    let post = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";
    let statuses: Vec<u16> = (0..12).map(|_| client.ask(post).status).collect();
    assert_eq!(statuses.iter().filter(|s| **s == 504).count(), 4, "one of three hangs: {statuses:?}");
    assert_eq!((a.count(), b.count()), (4, 4), "{statuses:?}");
    for server in ["a", "b"] {
        assert_eq!(evenkeel.server("app", server)["state"], "up");
        for name in ["evenkeel_backend_failures_total", "evenkeel_backend_connect_failures_total"] {
            let failures = evenkeel.metric(name, &[&format!("backend=\"{server}\"")]);
            assert_eq!(failures, 0.0, "{server} answered whatever it was asked: {name}");
        }
    }
    drop(hang);
}

#[test]
fn a_body_that_the_server_does_not_read_is_a_504_too() {
    const LENGTH: usize = 50_000_000;
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::on_head(move |_, wire| {
        theirs.wait();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"app\"\ntimeout = {{ request = \"1s\" }}\n{}",
        pool(&[&origin], "timeout = { response = \"20s\" }")
    ));
    let mut client = evenkeel.client();
    let begun = Instant::now();
    client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {LENGTH}\r\n\r\n"));
    let mut upload = client.stream().try_clone().unwrap();
    // It ends when the balancer closes the connection, or the client does below.
    let upload = thread::spawn(move || upload.write_all(&vec![b'x'; LENGTH]));
    assert_eq!(client.answer("POST").status, 504);
    assert!(begun.elapsed() >= ms(1000) && begun.elapsed() < DEADLINE / 2, "{:?}", begun.elapsed());
    client.close();
    assert!(upload.join().unwrap().is_err(), "nobody took the whole body");
    gate.open();
}

//! Hedging: a slow server is not waited for alone, the first answer wins, and the loser is told to stop.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use crate::support::h2::frames::{flag, headers, kind};
use crate::support::h2::{Serving, fields};
use crate::support::{Evenkeel, Fault, Gate, Origin, Wire, eventually, ms, ok, pool};

fn start(servers: &[&Origin], route: &str) -> Evenkeel {
    Evenkeel::start(&format!("[[route]]\npool = \"app\"\n{route}\n{}", pool(servers, "")))
}

/// Answers nothing; the gate opens when the balancer has closed the connection.
fn silent(cancelled: &Gate) -> Origin {
    let cancelled = cancelled.clone();
    Origin::start(move |_, wire| {
        if wire.hold() {
            cancelled.open();
        }
        wire.close();
    })
    .called("silent")
}

fn hedges(evenkeel: &Evenkeel, outcome: &str) -> f64 {
    evenkeel.metric("evenkeel_hedges_total", &[&format!("outcome=\"{outcome}\"")])
}

#[test]
fn another_server_answers_for_one_that_hangs_and_neither_is_blamed() {
    let cancelled = Gate::default();
    let (slow, good) = (silent(&cancelled), Origin::named("good"));
    let evenkeel = start(&[&slow, &good], "hedge = { after = \"50ms\" }\nretry = { header = true }");
    let begun = Instant::now();
    let answers: Vec<_> = (0..4).map(|_| evenkeel.get("/")).collect();
    assert!(answers.iter().all(|answer| answer.text() == "good"));
    assert!(answers.iter().any(|answer| answer.header("x-evenkeel-attempts") == Some("2")));
    assert!(begun.elapsed() >= ms(50) * slow.count() as u32);
    assert!(cancelled.opens(), "the loser's connection is closed");
    assert_eq!((hedges(&evenkeel, "won"), hedges(&evenkeel, "lost")), (slow.count() as f64, 0.0));
    assert!(slow.count() > 0);
    assert_eq!(evenkeel.metric("evenkeel_backend_failures_total", &[]), 0.0);
    eventually("nothing is left in flight", || {
        evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0
            && evenkeel.metric("evenkeel_requests_in_flight", &[]) == 0.0
    });
    let record = evenkeel.record(|record| record["tries"] == 2);
    assert_eq!(record["backend"], "good");
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.starts_with("hedged after ") && reason.ends_with(" ms; the hedge won"), "{reason}");
}

#[test]
fn the_first_server_may_still_win() {
    let (asked, cancelled) = (Gate::default(), Gate::default());
    let (theirs, ours, cancel) = (asked.clone(), asked.clone(), cancelled.clone());
    // Whoever is asked first answers when the other one has been asked, which then waits to be told to stop.
    let first = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send(ok("first"));
    });
    let second = Origin::start(move |_, wire| {
        ours.open();
        if wire.hold() {
            cancel.open();
        }
        wire.close();
    })
    .called("second");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nhedge = {{ after = \"50ms\" }}\n[pool.app]\n\
         backends = [\"{}\", {{ address = \"{}\", backup = true }}]\n",
        first.address(),
        second.address()
    ));
    assert_eq!(evenkeel.get("/").text(), "first");
    assert!(cancelled.opens(), "the loser's connection is closed");
    assert_eq!((hedges(&evenkeel, "won"), hedges(&evenkeel, "lost")), (0.0, 1.0));
    let record = evenkeel.record(|record| record["tries"] == 2);
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.starts_with("hedged after ") && reason.ends_with(" ms"), "{reason}");
}

#[test]
fn what_may_not_be_sent_twice_is_not_hedged() {
    let slow = || {
        Origin::start(|request, wire| {
            wire.patience(ms(300));
            // Nothing more comes: that is how long it takes.
            let _ = wire.some();
            wire.send(ok(request.method()));
        })
    };
    let (a, b) = (slow(), slow());
    let evenkeel = start(&[&a, &b], "hedge = { after = \"20ms\" }");
    for framing in [
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0",
        "PUT / HTTP/1.1\r\nhost: test\r\ncontent-length: 2",
    ] {
        let body = if framing.starts_with("PUT") { "hi" } else { "" };
        assert_eq!(evenkeel.ask(format!("{framing}\r\n\r\n{body}")).status, 200);
    }
    assert_eq!(a.count() + b.count(), 2);
    assert_eq!(hedges(&evenkeel, "won") + hedges(&evenkeel, "lost"), 0.0);
}

#[test]
fn a_hedge_that_fails_leaves_the_first_server_to_answer() {
    let closed = Gate::default();
    let theirs = closed.clone();
    let first = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send(ok("first"));
    });
    let second = Origin::start(move |_, wire| {
        wire.close();
        closed.open();
    });
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nhedge = {{ after = \"50ms\" }}\n[pool.app]\n\
         backends = [\"{}\", {{ address = \"{}\", backup = true }}]\n",
        first.address(),
        second.address()
    ));
    assert_eq!(evenkeel.get("/").text(), "first");
    assert_eq!(second.count(), 1);
    let failures = evenkeel.metric("evenkeel_backend_failures_total", &["kind=\"closed\""]);
    assert!(failures <= 1.0, "{failures}");
}

#[test]
fn hedges_count_against_the_budget() {
    const REQUESTS: usize = 60;
    let cancelled = Gate::default();
    let (slow, good) = (silent(&cancelled), Origin::named("good"));
    let evenkeel = start(
        &[&slow, &good],
        "hedge = { after = \"10ms\" }\nretry = { budget = \"1%\", per_try_timeout = \"100ms\" }",
    );
    let begun = Instant::now();
    let statuses: Vec<u16> = (0..REQUESTS).map(|_| evenkeel.get("/").status).collect();
    let allowed = 10 + 1 + 3 * (begun.elapsed().as_secs() as usize + 1);
    let won = hedges(&evenkeel, "won") as usize;
    assert!((10..=allowed).contains(&won), "{won}, and {allowed} are allowed");
    assert!(statuses.contains(&504), "the others wait for their server: {statuses:?}");
    assert!(evenkeel.metric("evenkeel_retry_budget_exhausted_total", &[]) > 0.0);
    let why = "not hedged: the retry budget is used up";
    evenkeel.record(|record| record["reason"].as_str().is_some_and(|reason| reason.contains(why)));
}

#[test]
fn what_is_usual_is_learnt_first() {
    let server = |name: &'static str| {
        Origin::start(move |request, wire| {
            if request.target() == "/slow" && name == "a" {
                wire.hold();
                wire.close();
            } else {
                wire.send(ok(name));
            }
        })
        .called(name)
    };
    let (a, b) = (server("a"), server("b"));
    let evenkeel = start(&[&a, &b], "hedge = { after = \"p95\" }\nretry = { per_try_timeout = \"1s\" }");
    let early: Vec<u16> = (0..2).map(|_| evenkeel.get("/slow").status).collect();
    assert!(early.contains(&504) && early.contains(&200), "nothing is known yet: {early:?}");
    let mut client = evenkeel.client();
    (0..80).for_each(|_| assert_eq!(client.get("/").status, 200));
    eventually("a slow server is hedged", || {
        // Each server in turn: one of two requests comes to the slow one.
        let statuses = [(); 2].map(|()| evenkeel.get("/slow").status);
        assert!(statuses.iter().all(|status| matches!(status, 200 | 504)), "{statuses:?}");
        hedges(&evenkeel, "won") > 0.0
    });
}

/// A server of HTTP/2 that answers nothing. The gate opens when a stream is reset.
fn silent_http2(reset: &Gate) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reset = reset.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // How the connection ends is the balancer's affair.
            let _ = follow(stream.unwrap(), None, &reset);
        }
    });
    address
}

fn answering_http2() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || follow(stream.unwrap(), Some("200"), &Gate::default()));
        }
    });
    address
}

fn follow(stream: TcpStream, status: Option<&'static str>, reset: &Gate) -> Result<(), Fault> {
    let mut wire = Wire::new(stream);
    let mut server = Serving::greet(&mut wire)?;
    loop {
        let frame = server.next()?;
        match (frame.kind, status) {
            (kind::HEADERS, Some(status)) => {
                server.send(headers(frame.stream, flag::WHOLE, fields::literal(":status", status)));
            }
            (kind::RST_STREAM, _) => reset.open(),
            _ => {}
        }
    }
}

#[test]
fn a_stream_that_loses_is_reset_and_its_connection_stays() {
    let reset = Gate::default();
    let (slow, good) = (silent_http2(&reset), answering_http2());
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nhedge = {{ after = \"50ms\" }}\n[pool.app]\nprotocol = \"http2\"\n\
         backends = [{{ address = \"{slow}\", name = \"slow\" }}, {{ address = \"{good}\", backup = true }}]\n"
    ));
    assert_eq!(evenkeel.get("/").status, 200);
    assert!(reset.opens());
    assert_eq!(evenkeel.get("/").status, 200);
    assert_eq!(hedges(&evenkeel, "won"), 2.0);
    let opened = evenkeel.metric("evenkeel_backend_connections_opened_total", &["backend=\"slow\""]);
    assert_eq!(opened, 1.0);
}

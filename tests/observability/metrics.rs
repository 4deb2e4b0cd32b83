//! `/metrics`: what is counted, and that Prometheus can read it.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use crate::support::h2::frames::{flag, headers, kind};
use crate::support::h2::{Serving, fields};
use crate::support::{Evenkeel, Fault, Gate, Origin, Wire, answer, eventually, ok, pool};

#[test]
fn requests_are_counted_by_route_pool_server_and_class() {
    let origin = Origin::start(|request, wire| {
        let status = request.target().trim_start_matches('/').parse().unwrap_or(200);
        wire.send(answer(status, "", "12345"));
    })
    .called("a");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"own\"\npath = \"/own\"\nrespond = {{}}\n\
         [[route]]\nname = \"all\"\npool = \"app\"\n{}",
        pool(&[&origin], "")
    ));
    let mut client = evenkeel.client();
    for target in ["/200", "/200", "/200", "/302", "/404", "/500", "/503", "/own"] {
        client.get(target);
    }
    let count = |labels: &[&str]| evenkeel.metric("evenkeel_requests_total", labels);
    let all = ["route=\"all\"", "pool=\"app\"", "backend=\"a\""];
    eventually("all are counted", || count(&[]) == 8.0);
    for (class, expected) in [("2xx", 3.0), ("3xx", 1.0), ("4xx", 1.0), ("5xx", 2.0)] {
        let class = format!("class=\"{class}\"");
        assert_eq!(count(&[all[0], all[1], all[2], &class]), expected, "{class}");
    }
    assert_eq!(count(&["route=\"own\"", "class=\"2xx\""]), 1.0);
    assert_eq!(evenkeel.metric("evenkeel_request_duration_seconds_count", &["backend=\"a\""]), 7.0);
    assert!(evenkeel.metric("evenkeel_response_bytes_total", &["backend=\"a\""]) >= 35.0);
    assert_eq!(evenkeel.metric("evenkeel_backend_connections_opened_total", &["backend=\"a\""]), 1.0);
    assert_eq!(evenkeel.metric("evenkeel_backend_connections_reused_total", &["backend=\"a\""]), 6.0);
}

#[test]
fn connections_and_refusals_are_counted() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let held: Vec<_> = (0..3)
        .map(|_| {
            let mut client = evenkeel.client();
            client.get("/");
            client
        })
        .collect();
    eventually("three are open", || evenkeel.metric("evenkeel_connections", &[]) == 3.0);
    drop(held);
    eventually("none is open", || evenkeel.metric("evenkeel_connections", &[]) == 0.0);
    assert_eq!(evenkeel.metric("evenkeel_connections_accepted_total", &[]), 3.0);
    evenkeel.ask("nonsense\r\n\r\n");
    let refused = || evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"malformed\""]);
    eventually("the refusal is counted", || refused() == 1.0);
    assert_eq!(evenkeel.metric("evenkeel_requests_in_flight", &[]), 0.0);
}

#[test]
fn a_client_that_goes_away_is_counted() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        while wire.send([b'x'; 4096]) {}
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    client.head().unwrap();
    client.reset();
    drop(client);
    eventually("the abort is counted", || evenkeel.metric("evenkeel_client_aborts_total", &[]) == 1.0);
    assert_eq!(evenkeel.record(|r| r["target"] == "/")["ended"], "client_aborted");
}

#[test]
fn the_exposition_is_well_formed() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nbackends = [\"{}\"]\n[[route]]\nname = \"all\"\npool = \"app\"\n",
        origin.address()
    ));
    evenkeel.get("/");
    let response = evenkeel.admin("GET", "/metrics", "");
    assert!(response.header("content-type").unwrap().starts_with("text/plain"));
    let text = response.text();
    let mut seen = std::collections::BTreeSet::new();
    let mut families = std::collections::BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is declared twice");
            continue;
        }
        if line.starts_with('#') {
            assert!(line.starts_with("# HELP "), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(series.to_owned()), "twice: {series}");
        let name = series.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|s| name.strip_suffix(s))
            .filter(|f| families.contains_key(*f));
        assert!(families.contains_key(family.unwrap_or(name)), "{name} has no # TYPE");
    }
    assert_eq!(evenkeel.metric("evenkeel_build_info", &["version="]), 1.0);
    assert!(evenkeel.metric("process_resident_memory_bytes", &[]) > 0.0);
}

#[test]
fn reloads_are_counted_by_result() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let generation = evenkeel.metric("evenkeel_config_generation", &[]);
    let before = evenkeel.metric("evenkeel_config_reloads_total", &[]);
    evenkeel.reload(&pool(&[&origin], "keepalive = 7"));
    assert_eq!(evenkeel.metric("evenkeel_config_generation", &[]), generation + 1.0);
    evenkeel.reload("[pool.app]\nbackends = []");
    assert_eq!(evenkeel.metric("evenkeel_config_generation", &[]), generation + 1.0);
    assert_eq!(evenkeel.metric("evenkeel_config_reloads_total", &[]), before + 2.0);
}

#[test]
fn a_route_that_was_renamed_under_a_request_counts_under_its_new_name() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        if request.target() == "/held" {
            theirs.wait();
        }
        wire.send(ok("a"));
    });
    let named = |name: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\npath = \"/*\"\npool = \"app\"\n\
             [[route]]\nname = \"own\"\npath = \"/own\"\nrespond = {{ body = \"{name}\" }}\n{}",
            pool(&[&origin], "")
        )
    };
    let evenkeel = Evenkeel::start(&named("old"));
    let mut held = evenkeel.client();
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the server is asked", || origin.count() == 1);
    assert_eq!(evenkeel.reload(&named("new")).status / 100, 2);
    // The new routes are in force, and the request of the old one ends after that.
    eventually("the new routes are in force", || evenkeel.get("/own").text() == "new");
    gate.open();
    assert_eq!(held.answer("GET").text(), "a");
    for _ in 0..3 {
        assert_eq!(evenkeel.get("/").text(), "a");
    }
    let count = |route: &str| evenkeel.metric("evenkeel_requests_total", &[&format!("route=\"{route}\"")]);
    eventually("all are counted", || count("old") + count("new") == 4.0);
    assert_eq!((count("old"), count("new")), (1.0, 3.0));
}

/// Answers the first request of a connection, the second when the gate opens, and closes it after that.
fn http2_server(asked: &Gate, answer: &Gate) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, answer) = (asked.clone(), answer.clone());
    thread::spawn(move || -> Result<(), Fault> {
        let mut wire = Wire::new(listener.accept().unwrap().0);
        let mut server = Serving::greet(&mut wire)?;
        let mut heads = 0;
        loop {
            let frame = server.next()?;
            if frame.kind != kind::HEADERS {
                continue;
            }
            heads += 1;
            if heads == 2 {
                asked.open();
                answer.wait();
            }
            server.send(headers(frame.stream, flag::WHOLE, fields::literal(":status", "200")));
            if heads == 3 {
                server.wire.close();
                return Ok(());
            }
        }
    });
    address
}

#[test]
fn connections_of_http2_count_as_idle_while_they_carry_no_request() {
    let (asked, answer) = (Gate::default(), Gate::default());
    let server = http2_server(&asked, &answer);
    let evenkeel = Evenkeel::start(&format!(
        "[server]\nworkers = 1\n[pool.app]\nbackends = [\"{server}\"]\nprotocol = \"http2\"\n"
    ));
    let idle = || evenkeel.metric("evenkeel_backend_connections_idle", &[]);
    let become_idle = |count| eventually(&format!("{count} are idle"), || idle() == count);
    assert_eq!(evenkeel.get("/").status, 200);
    become_idle(1.0);
    thread::scope(|scope| {
        let second = scope.spawn(|| evenkeel.get("/").status);
        assert!(asked.opens());
        assert_eq!(idle(), 0.0, "it carries a request");
        answer.open();
        assert_eq!(second.join().unwrap(), 200);
    });
    become_idle(1.0);
    assert_eq!(evenkeel.get("/").status, 200);
    become_idle(0.0);
}

//! What a check asks for and accepts: method, port, header fields, a text in the body, and a timeout longer than the
//! time between two checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::support::message::Request;
use crate::support::{Authority, Evenkeel, Folder, Origin, answer, eventually, ms, ok, pool};

/// The timeout is long, so that a busy machine makes no check fail.
const EVERY: &str = "interval = \"100ms\", timeout = \"5s\", fall = 1, rise = 1";

fn start(server: &Origin, health: &str) -> Evenkeel {
    Evenkeel::start(&pool(&[server], &format!("health = {{ path = \"/health\", {health} }}")))
}

/// A server whose health is as `is_well` judges the check.
fn judging(is_well: fn(&Request) -> bool) -> Origin {
    let origin = Origin::answering(move |request| {
        let status = if is_well(request) { 200 } else { 400 };
        let body = if request.method() == "HEAD" { "" } else { "ok" };
        answer(status, "", body)
    });
    origin.called("a")
}

#[test]
fn a_check_is_made_with_the_method_that_was_configured() {
    for method in ["HEAD", "OPTIONS", "POST"] {
        let server = judging(|_| true);
        let evenkeel = start(&server, &format!("method = \"{method}\", {EVERY}"));
        evenkeel.wait_for_state("a", "up");
        eventually("it is checked again and again", || server.count() > 2);
        assert!(server.requests().iter().all(|request| request.method() == method), "{method}");
        assert!(server.requests().iter().all(|request| request.target() == "/health"));
    }
}

#[test]
fn a_check_carries_the_fields_that_were_configured() {
    let server = judging(|request| request.header("authorization") == Some("Bearer probe"));
    let with = format!("headers = {{ authorization = \"Bearer probe\", x-probe = \"1\" }}, {EVERY}");
    start(&server, &with).wait_for_state("a", "up");
    assert_eq!(server.last().header("x-probe"), Some("1"));
    start(&server, EVERY).wait_for_state("a", "down");
}

#[test]
fn a_check_may_ask_at_another_port() {
    for kind in ["http", "tcp"] {
        let (server, beside) = (Origin::named("a"), Origin::bytes(ok("well")));
        let path = if kind == "http" { "path = \"/health\", " } else { "" };
        let health =
            format!("health = {{ kind = \"{kind}\", {path}port = {}, {EVERY} }}", beside.address().port());
        let evenkeel = Evenkeel::start(&pool(&[&server], &health));
        evenkeel.wait_for_state("a", "up");
        assert_eq!(evenkeel.get("/").text(), "a", "requests go to the server's own port");
        beside.stop();
        evenkeel.wait_for_state("a", "down");
        assert_eq!(server.count(), 1, "no check came to the server's own port");
    }
}

#[test]
fn a_check_may_look_for_a_text_in_the_body() {
    for (body, state) in [
        ("{\"status\":\"ready\"}", "up"),
        ("ready", "up"),
        ("{\"status\":\"starting\"}", "down"),
        ("", "down"),
    ] {
        let server = Origin::bytes(ok(body)).called("a");
        let evenkeel = start(&server, &format!("body = \"ready\", {EVERY}"));
        evenkeel.wait_for_state("a", state);
        if state == "down" {
            let reason = evenkeel.server("app", "a")["reason"].as_str().unwrap().to_owned();
            assert!(reason.contains("body"), "{reason}");
        }
    }
}

#[test]
fn a_body_that_matches_does_not_excuse_the_status() {
    let server = Origin::bytes(answer(500, "", "ready")).called("a");
    start(&server, &format!("body = \"ready\", {EVERY}")).wait_for_state("a", "down");
}

#[test]
fn a_check_may_take_longer_than_the_time_between_two() {
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (at_once.clone(), most.clone());
    let server = Origin::start(move |_, wire| {
        counts.1.fetch_max(counts.0.fetch_add(1, SeqCst) + 1, SeqCst);
        thread::sleep(ms(300));
        counts.0.fetch_sub(1, SeqCst);
        wire.send(ok("a"));
    });
    let server = server.called("a");
    let evenkeel = start(&server, "interval = \"100ms\", timeout = \"10s\", fall = 1");
    evenkeel.wait_for_state("a", "up");
    eventually("it is checked again and again", || server.count() >= 4);
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
    assert_eq!(most.load(SeqCst), 1, "one check at a time");
}

#[test]
fn a_text_beyond_the_first_64_kib_of_a_body_is_not_found() {
    for (before, state) in [(64 * 1024 - 5, "up"), (64 * 1024 - 4, "down")] {
        let server = Origin::bytes(ok(&format!("{}ready", ".".repeat(before)))).called("a");
        let evenkeel = start(&server, &format!("body = \"ready\", {EVERY}"));
        evenkeel.wait_for_state("a", state);
        if state == "down" {
            let reason = evenkeel.server("app", "a")["reason"].as_str().unwrap().to_owned();
            assert!(reason.contains("its body does not contain \"ready\" in the first 64 KiB"), "{reason}");
        }
    }
}

#[test]
fn a_text_is_found_across_the_chunks_of_a_body() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n re\r\n1\r\na\r\n3\r\ndy \r\n0\r\n\r\n";
    let server = Origin::bytes(chunked).called("a");
    start(&server, &format!("body = \"ready\", {EVERY}")).wait_for_state("a", "up");
}

/// A server with TLS whose health is good only if a check is a `POST` with the right field.
fn secure(folder: &Folder, authority: &Authority, body: &str) -> Evenkeel {
    let entry = authority.issue(&["localhost"]).write(folder, body);
    Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[listener.web.tls]\ncertificates = [{entry}]\n\
         [[route]]\nrespond = {{ status = 500 }}\n\
         [[route]]\npath = \"/health\"\nmethod = \"POST\"\nheaders = {{ x-probe = \"1\" }}\n\
         respond = {{ body = \"{body}\" }}\n"
    ))
}

#[test]
fn method_fields_and_body_are_those_of_a_check_over_tls_and_http2() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = authority.write(&folder, "ca.pem");
    let (ready, starting) = (secure(&folder, &authority, "ready"), secure(&folder, &authority, "starting"));
    for protocol in ["http1", "http2"] {
        for (server, port, state) in [
            (&ready, "", "up"),
            (&starting, "", "down"),
            (&starting, &*format!("port = {}, ", ready.address().port()), "up"),
        ] {
            let balancer = Evenkeel::start(&format!(
                "[pool.app]\nprotocol = \"{protocol}\"\n\
                 backends = [{{ address = \"{}\", name = \"a\" }}]\n\
                 tls = {{ ca = \"{ca}\", server_name = \"localhost\" }}\n\
                 health = {{ path = \"/health\", host = \"localhost\", {port}method = \"POST\", headers = {{ x-probe = \"1\" }}, \
                 body = \"ready\", {EVERY} }}\n",
                server.address()
            ));
            balancer.wait_for_state("a", state);
        }
    }
}

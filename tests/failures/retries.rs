//! Retries: what another server makes good, what it must not get, and what all of it may cost.

use std::time::Instant;

use crate::support::{Evenkeel, Origin, Response, Traffic, answer, eventually, ms, pool};

/// A balancer whose one route to the pool `app` has these keys.
fn start(servers: &[&Origin], route: &str) -> Evenkeel {
    start_with(servers, route, "")
}

fn start_with(servers: &[&Origin], route: &str, keys: &str) -> Evenkeel {
    Evenkeel::start(&format!("[[route]]\npool = \"app\"\n{route}\n{}", pool(servers, keys)))
}

/// Closes each connection as soon as a request has come.
fn closing() -> Origin {
    Origin::start(|_, wire| wire.close())
}

fn put(body: &str) -> String {
    format!("PUT / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn counts(servers: &[&Origin]) -> usize {
    servers.iter().map(|server| server.count()).sum()
}

#[test]
fn a_server_that_dies_under_traffic_costs_no_get() {
    let servers = ["a", "b", "c"].map(Origin::named);
    let evenkeel = start(&servers.each_ref(), "");
    let traffic = Traffic::start(evenkeel.address(), 4);
    traffic.more(60);
    servers[1].stop();
    traffic.more(200);
    let tally = traffic.stop();
    assert_eq!(tally.lost, Vec::<String>::new());
    assert!(tally.by_server["b"] > 0, "{tally:?}");
}

#[test]
fn a_get_that_was_sent_goes_to_another_server_and_the_client_learns_how_often() {
    let (bad, good) = (closing(), Origin::named("good"));
    let evenkeel = start(&[&bad, &good], "retry = { header = true }");
    let attempts: Vec<(String, Option<String>)> = (0..4)
        .map(|_| evenkeel.get("/"))
        .map(|response| (response.text(), response.header("x-evenkeel-attempts").map(str::to_owned)))
        .collect();
    assert!(attempts.iter().all(|(text, _)| text == "good"), "{attempts:?}");
    for number in ["1", "2"] {
        assert!(attempts.iter().any(|(_, told)| told.as_deref() == Some(number)), "{attempts:?}");
    }
    let record = evenkeel.record(|record| record["tries"] == 2);
    assert!(record["reason"].as_str().unwrap().starts_with("retried after: "), "{record}");
    let retried = evenkeel.metric("evenkeel_retries_total", &["cause=\"reset\"", "outcome=\"retried\""]);
    assert_eq!(retried, bad.count() as f64);
}

#[test]
fn a_post_is_never_sent_twice() {
    let (a, b, c) = (closing(), closing(), closing());
    let evenkeel = start(&[&a, &b, &c], "retry = { on = [\"connect\", \"reset\", \"timeout\", \"503\"] }");
    for i in 1..=6 {
        let post = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi";
        assert_eq!(evenkeel.ask(post).status, 502);
        assert_eq!(counts(&[&a, &b, &c]), i);
    }
    let record = evenkeel.record(|record| record["method"] == "POST");
    assert!(record["reason"].as_str().unwrap().ends_with("the method is not to be repeated"), "{record}");
}

#[test]
fn a_method_that_the_route_calls_repeatable_is_repeated() {
    let (bad, good) = (closing(), Origin::named("good"));
    let evenkeel = start(&[&bad, &good], "retry = { methods = [\"POST\"] }");
    for _ in 0..4 {
        let post = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi";
        assert_eq!(evenkeel.ask(post).text(), "good");
    }
    assert!(good.requests().iter().all(|request| request.body.text() == "hi"));
    assert!(bad.count() > 0);
    let gets: Vec<u16> = (0..2).map(|_| evenkeel.get("/").status).collect();
    assert!(gets.contains(&502), "and one that it does not name is not: {gets:?}");
}

#[test]
fn a_kept_connection_that_was_closing_is_no_retry() {
    for off in ["retry = false", "retry = { methods = [\"POST\"], attempts = 1 }"] {
        let origin = Origin::named("a");
        let evenkeel = start(&[&origin], off);
        let mut client = evenkeel.client();
        for round in 1..=4 {
            assert_eq!(client.get("/").text(), "a", "{off}");
            origin.cut();
            assert_eq!(origin.connections(), round);
        }
    }
    // What the route does not call repeatable is not repeated here either.
    let forgetful = Origin::start(|request, wire| {
        if request.method() == "PUT" {
            wire.close();
        } else {
            wire.send(answer(200, "", "a"));
        }
    });
    let evenkeel = start(&[&forgetful], "retry = { methods = [\"GET\"] }");
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(client.ask(put("hi")).status, 502);
    assert_eq!(forgetful.requests().iter().filter(|request| request.method() == "PUT").count(), 1);
}

#[test]
fn a_request_that_kills_servers_gets_three_of_them_and_no_more() {
    let servers = [(); 5].map(|()| closing());
    let evenkeel = start(&servers.each_ref(), "");
    assert_eq!(evenkeel.get("/").status, 502);
    assert_eq!(counts(&servers.each_ref()), 3);
    let record = evenkeel.record(|record| record["status"] == 502);
    assert_eq!(record["tries"], 3);
    assert!(record["reason"].as_str().unwrap().ends_with("not retried: no attempt is left"), "{record}");
}

#[test]
fn servers_that_cannot_be_reached_do_not_count_unless_that_is_not_retried() {
    let refusing: Vec<Origin> = (0..6).map(|i| Origin::refusing(&format!("r{i}"))).collect();
    let good = Origin::named("good");
    let mut servers: Vec<&Origin> = refusing.iter().collect();
    servers.push(&good);
    let evenkeel = start(&servers, "retry = { attempts = 1, budget = \"0%\" }");
    for _ in 0..7 {
        let post = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nhi";
        assert_eq!(evenkeel.ask(post).text(), "good");
    }
    for off in ["retry = false", "retry = { on = [\"reset\"] }"] {
        let evenkeel = start(&[&refusing[0], &good], off);
        let statuses: Vec<u16> = (0..4).map(|_| evenkeel.get("/").status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 2, "{off}: {statuses:?}");
    }
}

#[test]
fn a_status_is_retried_and_its_connection_serves_on() {
    for on in ["503", "5xx"] {
        let busy = Origin::bytes(answer(503, "", "busy"));
        let good = Origin::named("good");
        let evenkeel = start(&[&busy, &good], &format!("retry = {{ on = \"{on}\" }}"));
        let mut client = evenkeel.client();
        for _ in 0..10 {
            assert_eq!(client.get("/").text(), "good");
        }
        assert!(busy.count() >= 3, "{}", busy.count());
        assert_eq!(busy.connections(), 1, "what was thrown away was read to its end");
        let failures = evenkeel.metric("evenkeel_backend_failures_total", &["kind=\"status\""]);
        assert_eq!(failures, busy.count() as f64, "each counts once");
    }
}

#[test]
fn the_last_answer_is_passed_on_when_no_server_is_left() {
    let servers = [1, 2].map(|i| Origin::bytes(answer(503, &format!("x-server: {i}\r\n"), "busy")));
    let evenkeel = start(&servers.each_ref(), "retry = { on = [\"503\"] }");
    let mut client = evenkeel.client();
    let response = client.get("/");
    assert_eq!((response.status, response.text().as_str()), (503, "busy"));
    assert!(response.header("x-server").is_some());
    assert_eq!(counts(&servers.each_ref()), 2);
    assert_eq!(client.get("/").status, 503, "the client's connection goes on");
    let record = evenkeel.record(|record| record["status"] == 503);
    assert_eq!(record["ended"], "complete");
    let reason = record["reason"].as_str().unwrap();
    assert_eq!(reason, "503 from the server passed on, not retried: no server is left");
    let failures = evenkeel.metric("evenkeel_backend_failures_total", &["kind=\"status\""]);
    assert_eq!(failures, counts(&servers.each_ref()) as f64, "each counts once");
}

#[test]
fn an_answer_is_passed_on_when_the_others_cannot_be_reached() {
    let body = "x".repeat(200_000);
    let busy = Origin::bytes(answer(503, "x-server: busy\r\n", &body));
    let refusing = Origin::refusing("refusing");
    let evenkeel = start(&[&busy, &refusing], "retry = { on = [\"connect\", \"503\"] }");
    for _ in 0..4 {
        let response = evenkeel.get("/");
        assert_eq!((response.status, response.header("x-server")), (503, Some("busy")));
        assert!(response.text() == body, "{} bytes", response.text().len());
    }
    let passed_on = "503 from the server passed on, because no other made it good: connection refused";
    let told = |reason: &str| evenkeel.record(|record| record["reason"] == reason);
    told(&format!("not retried: no server is left; {passed_on}"));
    // That which was refused first is made good for, and then nobody is left.
    told("503 from the server passed on, not retried: no server is left");
    let evenkeel = start(&[&busy, &refusing], "retry = { on = [\"503\"] }");
    eventually("the busy one is asked first", || evenkeel.get("/").status == 503);
    let record = evenkeel.record(|record| record["status"] == 503);
    assert_eq!(record["reason"], format!("retried after: 503 from the server; {passed_on}"));
}

#[test]
fn statuses_that_are_not_listed_are_passed_on_at_once() {
    let servers = [502, 500].map(|status| Origin::bytes(answer(status, "", "no")));
    let evenkeel = start(&servers.each_ref(), "retry = { on = [\"connect\", \"503\"] }");
    let statuses: Vec<u16> = (0..4).map(|_| evenkeel.get("/").status).collect();
    assert_eq!((statuses.contains(&502), statuses.contains(&500)), (true, true));
    assert_eq!(counts(&servers.each_ref()), 4);
}

/// Sends a request with a body that comes behind its head, as uploads do.
fn upload(evenkeel: &Evenkeel, head: &str, pieces: &[&str]) -> Response {
    let mut client = evenkeel.client();
    client.send(format!("PUT / HTTP/1.1\r\nhost: test\r\n{head}\r\n\r\n"));
    for piece in pieces {
        client.send(piece);
    }
    client.answer("PUT")
}

#[test]
fn a_body_is_replayed_byte_by_byte_up_to_the_limit() {
    let (bad, good) = (closing(), Origin::named("good"));
    let evenkeel = start(&[&bad, &good], "retry = { replay = \"100KiB\" }");
    let body: String = (0..102_400).map(|i| char::from(b'a' + (i % 1009 % 23) as u8)).collect();
    let chunks: Vec<String> = [1, 999, 50_000, 51_400]
        .iter()
        .scan(0, |at, size| {
            *at += size;
            Some(format!("{size:x}\r\n{}\r\n", &body[*at - size..*at]))
        })
        .collect();
    let mut pieces: Vec<&str> = chunks.iter().map(String::as_str).collect();
    pieces.push("0\r\n\r\n");
    for _ in 0..4 {
        let length = format!("content-length: {}", body.len());
        assert_eq!(upload(&evenkeel, &length, &[&body[..7], &body[7..]]).text(), "good");
        assert_eq!(upload(&evenkeel, "transfer-encoding: chunked", &pieces).text(), "good");
    }
    assert!(bad.count() > 0 && good.count() == 8);
    assert!(good.requests().iter().all(|request| request.body.text() == body));
    assert!(bad.requests().iter().all(|request| request.body.text() == body));
}

#[test]
fn a_body_beyond_the_limit_is_sent_once() {
    let servers = [closing(), closing()];
    let evenkeel = start(&servers.each_ref(), "retry = { replay = \"100KiB\" }");
    let body = "x".repeat(102_401);
    let length = format!("content-length: {}", body.len());
    assert_eq!(upload(&evenkeel, &length, &[&body[..7], &body[7..]]).status, 502);
    assert_eq!(counts(&servers.each_ref()), 1);
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(upload(&evenkeel, "transfer-encoding: chunked", &[&chunk[..7], &chunk[7..]]).status, 502);
    assert_eq!(counts(&servers.each_ref()), 2);
    let record = evenkeel.record(|record| record["method"] == "PUT");
    assert!(record["reason"].as_str().unwrap().ends_with("the body was not kept"), "{record}");
}

#[test]
fn a_small_body_is_replayed_after_a_status() {
    let (busy, good) = (Origin::bytes(answer(503, "", "busy")), Origin::named("good"));
    let evenkeel = start(&[&busy, &good], "retry = { on = [\"503\"] }");
    for _ in 0..4 {
        assert_eq!(evenkeel.ask(put("hello")).text(), "good");
    }
    assert!(busy.count() > 0);
    assert!(good.requests().iter().all(|request| request.body.text() == "hello"));
}

/// Has a client be told 503 by this server; checks what is said and counted of that.
fn passed_on(server: &Origin, body: &str, why: &str, outcome: &str) {
    let evenkeel = start(&[server], "retry = { on = [\"503\"] }");
    assert_eq!(upload(&evenkeel, "content-length: 5\r\nexpect: 100-continue", &[body]).status, 503);
    let record = evenkeel.record(|record| record["status"] == 503);
    assert_eq!(record["reason"], format!("503 from the server passed on, not retried: {why}"));
    let labels = ["cause=\"status\"", &format!("outcome=\"{outcome}\"")];
    assert_eq!(evenkeel.metric("evenkeel_retries_total", &labels), 1.0);
}

#[test]
fn the_log_says_why_a_status_that_the_route_retries_is_passed_on() {
    let early = Origin::on_head(|_, wire| {
        wire.send(answer(503, "connection: close\r\n", "busy"));
        wire.finish();
        wire.hold();
        wire.close();
    });
    passed_on(&early, "", "the answer came before the end of the request", "early");
    let begun = format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", answer(503, "", "busy"));
    passed_on(&Origin::bytes(begun), "hello", "the response had begun", "answered");
}

#[test]
fn a_server_that_is_silent_for_too_long_is_made_good_for() {
    let silent = Origin::start(|_, wire| {
        wire.hold();
        wire.close();
    });
    let good = Origin::named("good");
    let evenkeel = start(
        &[&silent, &good],
        "retry = { on = [\"connect\", \"timeout\"], per_try_timeout = \"1s\", attempts = 2 }",
    );
    let begun = Instant::now();
    for _ in 0..2 {
        assert_eq!(evenkeel.get("/").text(), "good");
    }
    assert!(begun.elapsed() >= ms(1000) * silent.count() as u32 && silent.count() > 0);
    let evenkeel = start(&[&silent], "retry = { per_try_timeout = \"100ms\" }");
    assert_eq!(evenkeel.get("/").status, 504, "without `timeout` in `on` it only ends sooner");
}

#[test]
fn once_a_part_of_an_answer_has_come_no_other_server_is_asked() {
    const HEAD_CUT: &str = "server closed the connection within the head of its answer; ";
    const CLOSED: &str = "server closed the connection without an answer; ";
    for (begun, why) in [
        ("HTTP/1.1 200 OK\r\ncontent-le", HEAD_CUT),
        ("HTTP/1.1 100 Continue\r\n\r\n", CLOSED),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "response body: "),
    ] {
        let servers = [(); 2].map(|()| Origin::bytes_then_close(begun));
        let evenkeel = start(&servers.each_ref(), "retry = { on = [\"reset\", \"timeout\", \"502\"] }");
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        match client.response("GET") {
            Ok(response) => assert_eq!(response.status, 502, "{begun:?}"),
            Err(fault) => assert!(fault.is_end(), "{begun:?}: {fault:?}"),
        }
        assert_eq!(counts(&servers.each_ref()), 1, "{begun:?}");
        let reason = evenkeel.record(|_| true)["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with(why), "{begun:?}: {reason}");
        // What the client has seen a part of is cut, and there is nothing to decide.
        if why.ends_with("; ") {
            assert!(reason.ends_with("; not retried: the response had begun"), "{begun:?}: {reason}");
            let labels = ["cause=\"reset\"", "outcome=\"answered\""];
            assert_eq!(evenkeel.metric("evenkeel_retries_total", &labels), 1.0, "{begun:?}");
        }
    }
}

#[test]
fn an_answer_of_which_the_client_has_seen_a_part_is_not_replaced() {
    let big = "x".repeat(400_000);
    let servers = [(); 2].map(|()| Origin::bytes_then_close(answer(200, "", &big).trim_end_matches("xxxx")));
    let evenkeel = start(&servers.each_ref(), "");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let fault = client.response("GET").unwrap_err();
    assert!(fault.is_end(), "{fault:?}");
    assert_eq!(counts(&servers.each_ref()), 1);
}

#[test]
fn when_every_server_fails_the_budget_keeps_retries_few() {
    const REQUESTS: usize = 300;
    let servers = [(); 3].map(|()| closing());
    let evenkeel = start(&servers.each_ref(), "");
    let begun = Instant::now();
    let mut client = evenkeel.client();
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").status, 502);
    }
    let floor = 10 + 3 * (begun.elapsed().as_secs() as usize + 1);
    let sent = counts(&servers.each_ref());
    assert!(sent > REQUESTS && sent <= REQUESTS * 12 / 10 + floor, "{sent} of {REQUESTS}, floor {floor}");
    assert!(evenkeel.metric("evenkeel_retry_budget_exhausted_total", &["pool=\"app\""]) > 100.0);
    evenkeel.record(|record| {
        record["reason"].as_str().is_some_and(|reason| reason.ends_with("the retry budget is used up"))
    });
}

#[test]
fn a_client_that_leaves_during_the_pause_ends_its_request() {
    let servers = [(); 3].map(|()| closing());
    let evenkeel = start(&servers.each_ref(), "retry = { backoff = \"60s\" }");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the first retry went out at once", || counts(&servers.each_ref()) == 2);
    client.reset();
    drop(client);
    let record = evenkeel.record(|record| record["ended"] == "client_aborted");
    assert_eq!((record["tries"].as_u64(), counts(&servers.each_ref())), (Some(2), 2));
}

#[test]
fn a_balancer_behind_a_balancer_does_not_speak_twice() {
    let origin = Origin::bytes(answer(200, "X-Evenkeel-Attempts: 7\r\n", "a"));
    let told =
        |route: &str| start(&[&origin], route).get("/").header("x-evenkeel-attempts").map(str::to_owned);
    assert_eq!(told("retry = { header = true }").as_deref(), Some("1"));
    assert_eq!(told("").as_deref(), Some("7"));
}

#[test]
fn the_budget_outlives_a_reload() {
    let servers = [(); 3].map(|()| closing());
    let toml = format!("[[route]]\npool = \"app\"\n{}", pool(&servers.each_ref(), ""));
    let evenkeel = Evenkeel::start(&toml);
    let statuses: Vec<u16> = (0..60).map(|_| evenkeel.get("/").status).collect();
    assert!(statuses.iter().all(|status| *status == 502));
    let before = counts(&servers.each_ref());
    assert_eq!(
        evenkeel.reload(&toml.replace("pool = \"app\"\n", "pool = \"app\"\nname = \"again\"\n")).status,
        200
    );
    let begun = Instant::now();
    (0..10).for_each(|_| drop(evenkeel.get("/")));
    let sent = counts(&servers.each_ref()) - before;
    let allowed = 10 + 4 + 3 * (begun.elapsed().as_secs() as usize + 2);
    assert!(sent <= allowed, "a new floor would allow ten more: {sent} of {allowed}");
}

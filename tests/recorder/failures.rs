//! The records of requests that failed: by a server, a limit, the client, or because no route takes them.

use std::sync::atomic::Ordering::SeqCst;

use serde_json::Value;

use super::kept::{assert_in_order, assert_step, id_of, kinds, listed, record, why};
use crate::breaker::max_connections::{ask, pool_of};
use crate::breaker::trip::fragile;
use crate::support::{Evenkeel, Folder, Gate, Origin, Redis, eventually, ok, pool};

/// A server that never answers `/slow`.
fn silent() -> Origin {
    Origin::start(|request, wire| {
        if request.target() == "/slow" {
            wire.hold();
            wire.close();
        } else {
            wire.send(ok("a"));
        }
    })
}

#[test]
fn servers_that_refuse_connections_are_named_in_the_order_of_the_tries() {
    let (one, two) = (Origin::refusing("one"), Origin::refusing("two"));
    let evenkeel = Evenkeel::start(&pool(&[&one, &two], ""));
    let response = evenkeel.get("/cart?token=s3cret");
    assert_eq!(response.status, 502);
    let record = record(&evenkeel, &id_of(&response));
    assert_in_order(&record);
    assert_eq!(
        kinds(&record),
        ["route", "choose", "connect", "retry", "choose", "connect", "retry", "end"],
        "{record:#}"
    );
    for (key, expected) in [
        ("why_kept", "failed"),
        ("cause", "refused"),
        ("ended", "backend_aborted"),
        ("closed_first", "server"),
        ("fault", "server"),
        ("pool", "app"),
        ("target", "/cart?token=(redacted)"),
    ] {
        assert_eq!(record[key], expected, "{key} in {record:#}");
    }
    assert_eq!((&record["tries"], &record["status"]), (&Value::from(2), &Value::from(502)));
    let candidates = record["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    assert!(candidates.iter().all(|server| server["why"] == "tried: connection refused"), "{record:#}");
    let story = why(&evenkeel, &id_of(&response));
    for part in ["one: connection refused", "two: connection refused", "The server was at fault", "Look at: "]
    {
        assert!(story.contains(part), "`{part}` is missing in\n{story}");
    }
    assert!(!story.contains("s3cret"), "{story}");
}

#[test]
fn a_request_that_another_server_answered_is_kept_as_retried() {
    let (dead, alive) = (Origin::refusing("dead"), Origin::named("alive"));
    let evenkeel = Evenkeel::start(&pool(&[&dead, &alive], ""));
    let ids: Vec<String> = (0..2).map(|_| id_of(&evenkeel.get("/"))).collect();
    let retried = listed(&evenkeel, "server=alive&failed=false&q=retried", 1);
    assert!(ids.iter().any(|id| retried[0]["id"] == **id), "{retried:?}");
    let record = record(&evenkeel, retried[0]["id"].as_str().unwrap());
    assert_eq!((&record["why_kept"], &record["status"]), (&Value::from("retried"), &Value::from(200)));
    assert_in_order(&record);
    assert_eq!(
        kinds(&record),
        ["route", "choose", "connect", "retry", "choose", "connect", "send", "answer", "end"],
        "{record:#}"
    );
    assert_step(&record, "connect", "connection refused");
    assert_step(&record, "retry", "another server is asked");
    assert!(record["verdict"].as_str().unwrap().contains("after 2 tries"), "{record:#}");
}

#[test]
fn a_server_that_does_not_answer_in_time_is_at_fault() {
    let server = silent();
    let evenkeel = Evenkeel::start(&pool(&[&server], "timeout = { response = \"100ms\" }"));
    let response = evenkeel.get("/slow");
    assert_eq!(response.status, 504);
    let record = record(&evenkeel, &id_of(&response));
    for (key, expected) in
        [("cause", "timeout"), ("ended", "backend_timeout"), ("closed_first", "proxy"), ("fault", "server")]
    {
        assert_eq!(record[key], expected, "{key} in {record:#}");
    }
    assert_in_order(&record);
    assert_step(&record, "send", "the request was sent");
    let steps = record["steps"].as_array().unwrap();
    let timeout = steps.iter().find(|step| step["what"] == "response timeout").unwrap();
    assert!(timeout["took_ms"].as_f64().unwrap() >= 99.0, "{record:#}");
}

#[test]
fn a_body_that_a_server_cuts_is_recorded() {
    let origin = Origin::bytes_then_close("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET /cut HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(client.response("GET").is_err());
    let cut = listed(&evenkeel, "failed=true&q=/cut", 1).remove(0);
    let record = record(&evenkeel, cut["id"].as_str().unwrap());
    assert_eq!(
        (&record["cause"], &record["closed_first"]),
        (&"truncated".into(), &"server".into()),
        "{record:#}"
    );
    assert_step(&record, "answer", "the head of the response came");
    assert_step(&record, "end", "the response was cut, after 4 bytes of the body of 200");
}

#[test]
fn an_open_circuit_breaker_is_recorded() {
    let (server, sick) = fragile("a");
    let keys = "breaker = { failures = \"50%\", requests_min = 4, window = \"1h\", open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let mut client = evenkeel.client();
    let own: Vec<String> = (0..4).map(|_| id_of(&client.get("/"))).collect();
    assert!(sick.load(SeqCst));
    let refused = client.get("/refused");
    assert_eq!(refused.status, 503);
    let of_server = record(&evenkeel, &own[0]);
    assert_eq!((&of_server["fault"], &of_server["ended"]), (&"server".into(), &"complete".into()));
    assert!(of_server["verdict"].as_str().unwrap().ends_with("answered 503."), "{of_server:#}");
    let record = record(&evenkeel, &id_of(&refused));
    assert_eq!((&record["cause"], &record["fault"]), (&"breaker_open".into(), &"server".into()));
    assert_step(&record, "limit", "circuit breaker is open");
    assert!(record["reason"].as_str().unwrap().contains("4 of 4 requests failed"), "{record:#}");
}

#[test]
fn a_wait_in_the_queue_is_recorded_with_its_time() {
    let gate = Gate::default();
    let server = Origin::held("a", &gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, "queue = { wait = \"60ms\" }"));
    let held = ask(&evenkeel, "/hold");
    eventually("the place is taken", || server.count() == 1);
    let refused = evenkeel.get("/late");
    assert_eq!(refused.status, 503);
    let record = record(&evenkeel, &id_of(&refused));
    assert_eq!((&record["cause"], &record["tries"]), (&"no_place".into(), &0.into()), "{record:#}");
    assert_step(&record, "queue", "it waited in the queue of pool app");
    assert_step(&record, "limit", "max_connections");
    assert!(record["wait_ms"].as_f64().unwrap() >= 59.0, "{record:#}");
    assert_eq!(record["candidates"][0]["in_flight"], 1, "{record:#}");
    gate.open();
    held.join().unwrap();
}

#[test]
fn a_rate_limit_is_recorded_and_is_the_clients_doing() {
    let server = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/*\"\npool = \"app\"\nrate_limit = {{ per = \"client-ip\", rate = \"1/h\" }}\n{}",
        pool(&[&server], "")
    ));
    assert_eq!(evenkeel.get("/").status, 200);
    let refused = evenkeel.get("/more");
    assert_eq!(refused.status, 429);
    let record = record(&evenkeel, &id_of(&refused));
    assert_eq!((&record["cause"], &record["fault"]), (&"rate_limited".into(), &"client".into()));
    assert_step(&record, "limit", "client-ip 1/h");
}

#[test]
fn a_wait_for_the_shared_redis_is_recorded() {
    let (mut redis, server) = (Redis::start(), Origin::named("a"));
    let limit = "{ per = \"client-ip\", rate = \"1000/s\", shared = true, when_redis_is_away = \"refuse\" }";
    let evenkeel = Evenkeel::start(&format!(
        "{}[[route]]\npath = \"/*\"\npool = \"app\"\nrate_limit = {limit}\n{}",
        redis.section("timeout = \"200ms\"\n"),
        pool(&[&server], "")
    ));
    eventually("Redis answers", || evenkeel.get("/").status == 200);
    redis.hang();
    let refused = evenkeel.get("/away");
    redis.go_on();
    assert_eq!(refused.status, 503);
    let record = record(&evenkeel, &id_of(&refused));
    assert_eq!((&record["cause"], &record["fault"]), (&"limiter_away".into(), &"proxy".into()), "{record:#}");
    assert_step(&record, "limit", "it waited for the shared rate-limit Redis");
    assert!(record["wait_ms"].as_f64().unwrap() >= 100.0, "{record:#}");
    redis.stop();
}

#[test]
fn a_client_that_leaves_is_recorded() {
    let server = silent();
    let evenkeel = Evenkeel::start(&pool(&[&server], ""));
    let mut client = evenkeel.client();
    client.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the server has the request", || server.count() == 1);
    client.close();
    let left = listed(&evenkeel, "failed=true&q=/slow", 1).remove(0);
    let record = record(&evenkeel, left["id"].as_str().unwrap());
    for (key, expected) in [("ended", "client_aborted"), ("closed_first", "client"), ("fault", "client")] {
        assert_eq!(record[key], expected, "{key} in {record:#}");
    }
    assert!(record["verdict"].as_str().unwrap().contains("had not answered yet"), "{record:#}");
    assert_step(&record, "send", "the request was sent");
}

#[test]
fn a_request_without_a_route_names_the_nearest() {
    let server = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         [[route]]\nname = \"cart\"\npath = \"/cart\"\npool = \"app\"\n\
         [[route]]\nname = \"posted\"\npath = \"/chart\"\nmethod = [\"POST\"]\npool = \"app\"\n\
         [[route]]\nname = \"keyed\"\npath = \"/chart\"\nheaders = {{ x-api-key = \"s3cret\" }}\npool = \"app\"\n{}",
        pool(&[&server], "")
    ));
    let response = evenkeel.get("/chart");
    assert_eq!(response.status, 404);
    let record = record(&evenkeel, &id_of(&response));
    assert_eq!((&record["cause"], &record["fault"]), (&"no_route".into(), &"configuration".into()));
    let nearly = record["nearly"].to_string();
    assert!(nearly.contains("posted") && nearly.contains("the method is GET, not POST"), "{nearly}");
    assert!(nearly.contains("keyed") && !record.to_string().contains("s3cret"), "{nearly}");
    assert_eq!(record["nearest"][0]["route"], "cart", "{record:#}");
    assert_eq!(record["nearest"][0]["why_not"], "the path is `/chart`, not `/cart`");
    // A URL in the query is no part of the path.
    for target in ["/chart?to=https://a.test/b", "http://test/chart?to=https://a.test/b"] {
        let answer = evenkeel.ask(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
        let record = self::record(&evenkeel, &id_of(&answer));
        assert_eq!(record["nearest"][0]["why_not"], "the path is `/chart`, not `/cart`", "{target}");
    }
    let story = why(&evenkeel, &id_of(&response));
    assert!(story.contains("routes that come nearest") && story.contains("evenkeel explain"), "{story}");
}

#[test]
fn a_head_that_is_no_request_is_kept_too() {
    let server = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&server], ""));
    let response = evenkeel.ask("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(response.status, 400);
    let record = record(&evenkeel, &id_of(&response));
    assert_eq!((&record["cause"], &record["fault"]), (&"malformed".into(), &"client".into()), "{record:#}");
}

#[test]
fn a_pool_without_a_usable_server_is_recorded_with_the_states() {
    let folder = Folder::new();
    let server = Origin::named("a");
    let evenkeel = Evenkeel::start_in(folder, &pool(&[&server], ""));
    evenkeel.set_server("app", "a", "{\"state\":\"drain\"}");
    let response = evenkeel.get("/");
    assert_eq!(response.status, 503);
    let record = record(&evenkeel, &id_of(&response));
    assert_eq!(
        (&record["cause"], &record["candidates"][0]["state"]),
        (&"no_backend".into(), &"draining".into())
    );
    assert!(record["candidates"][0]["why"].is_string(), "{record:#}");
    assert_eq!(
        (&record["fault"], &record["verdict"]),
        (&"configuration".into(), &"An operator had drained or disabled all servers of pool app.".into())
    );
    evenkeel.set_server("app", "a", "{\"state\":\"ready\",\"weight\":0}");
    let weightless = self::record(&evenkeel, &id_of(&evenkeel.get("/")));
    assert_eq!(
        (&weightless["fault"], &weightless["verdict"]),
        (&"configuration".into(), &"All servers of pool app have weight 0.".into()),
        "{weightless:#}"
    );
    assert_eq!(evenkeel.cli(&["server", "remove", "app", "a"]).code, Some(0));
    let response = evenkeel.get("/");
    let record = self::record(&evenkeel, &id_of(&response));
    assert!(record["verdict"].as_str().unwrap().starts_with("Pool app had no server: "), "{record:#}");
}

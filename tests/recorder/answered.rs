//! The records of requests that were answered: slow ones, hedged ones, those of the cache, the sample; and of HTTP/2.

use serde_json::Value;

use super::kept::{assert_in_order, assert_step, id_of, kinds, list, listed, record, why};
use crate::support::cache::fresh;
use crate::support::h2::Peer;
use crate::support::h2::fields::{self, Blocks};
use crate::support::h2::frames::{flag, headers, kind};
use crate::support::{Client, Evenkeel, Folder, Gate, Origin, answer, eventually, ms, ok, pool};

/// A server that takes its time for `/slow`.
fn slow(name: &'static str) -> Origin {
    Origin::start(move |request, wire| {
        if request.target() == "/slow" {
            wire.patience(ms(150));
            // Nothing more comes: that is how long it takes.
            let _ = wire.some();
        }
        wire.send(ok(name));
    })
    .called(name)
}

const SLOW: &str = "[recorder]\nslow = \"100ms\"\nsample = \"0/s\"\n";

#[test]
fn a_slow_request_is_kept_and_says_where_its_time_went() {
    let server = slow("a");
    let evenkeel = Evenkeel::start(&format!("{SLOW}{}", pool(&[&server], "")));
    let mut client = evenkeel.client();
    let quick = id_of(&client.get("/quick"));
    let slow = id_of(&client.get("/slow"));
    let record = record(&evenkeel, &slow);
    assert_eq!((&record["why_kept"], &record["status"]), (&"slow".into(), &200.into()), "{record:#}");
    assert_in_order(&record);
    assert_eq!(kinds(&record), ["route", "choose", "connect", "send", "answer", "end"], "{record:#}");
    assert_step(&record, "connect", "a kept connection was used");
    assert!(record["first_byte_ms"].as_f64().unwrap() >= 100.0, "{record:#}");
    let verdict = record["verdict"].as_str().unwrap();
    assert!(verdict.ends_with("went by while server a of pool app made its answer."), "{verdict}");
    let missing = evenkeel.cli(&["why", &quick]);
    assert_eq!(missing.code, Some(1), "{}", missing.stdout);
    for part in ["there is no record of request", &quick, "neither failed nor took 100ms", "(0/s)"] {
        assert!(missing.stderr.contains(part), "`{part}` is missing in {}", missing.stderr);
    }
}

#[test]
fn a_hedge_is_recorded() {
    let (late, quick) = (slow("late"), Origin::named("quick"));
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nhedge = {{ after = \"30ms\" }}\n[pool.app]\nbackends = [\
         {{ address = \"{}\", name = \"late\" }}, {{ address = \"{}\", name = \"quick\", backup = true }}]\n",
        late.address(),
        quick.address()
    ));
    let response = evenkeel.get("/slow");
    assert_eq!(response.text(), "quick");
    let record = record(&evenkeel, &id_of(&response));
    assert_eq!((&record["why_kept"], &record["server"]), (&"retried".into(), &"quick".into()), "{record:#}");
    assert_in_order(&record);
    assert_step(&record, "choose", "asked as well, because no answer had come for");
    assert_step(&record, "answer", "the hedge answered first");
}

#[test]
fn an_answer_that_another_server_made_good_is_recorded() {
    let bad = Origin::answering(|_| answer(503, "", "bad")).called("bad");
    let good = Origin::named("good");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nretry = {{ on = [\"503\"], attempts = 2 }}\n[pool.app]\nbackends = [\
         {{ address = \"{}\", name = \"bad\" }}, {{ address = \"{}\", name = \"good\", backup = true }}]\n",
        bad.address(),
        good.address()
    ));
    let response = evenkeel.get("/");
    assert_eq!(response.text(), "good");
    let record = record(&evenkeel, &id_of(&response));
    assert_in_order(&record);
    assert_step(&record, "answer", "503 from the server");
    assert_step(&record, "retry", "another server is asked");
    assert_eq!(record["server"], "good", "{record:#}");
}

#[test]
fn what_the_cache_did_is_recorded() {
    let server = Origin::answering(|request| match request.target() {
        "/broken" => answer(500, "", "broken"),
        _ => fresh("", "kept"),
    });
    let evenkeel = Evenkeel::start(&format!(
        "[recorder]\nsample = \"1000/s\"\n[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = true\n{}",
        pool(&[&server], "")
    ));
    let broken = record(&evenkeel, &id_of(&evenkeel.get("/broken")));
    assert_step(&broken, "cache", "miss: nothing fitting was stored");
    assert_step(&broken, "answer", "the head of the response came");
    eventually("a hit is in the sample", || {
        evenkeel.get("/page");
        let records = list(&evenkeel, "q=/page")["requests"].clone();
        records.as_array().unwrap().iter().any(|hit| {
            let record = record(&evenkeel, hit["id"].as_str().unwrap());
            record["steps"].to_string().contains("hit: a stored response was sent")
        })
    });
}

#[test]
fn a_sample_of_the_others_is_kept_and_its_rate_bounds_it() {
    let server = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[server]\nworkers = 1\n[recorder]\nsample = \"1/h\"\n{}",
        pool(&[&server], "")
    ));
    let mut client = evenkeel.client();
    let first = id_of(&client.get("/first"));
    (0..200).for_each(|_| drop(client.get("/later")));
    let record = record(&evenkeel, &first);
    assert_eq!((&record["why_kept"], &record["fault"]), (&"sampled".into(), &"none".into()));
    assert_eq!(record["verdict"], "Nothing was wrong.");
    assert_eq!(list(&evenkeel, "")["kept"], 1);
    assert_eq!(evenkeel.metric("evenkeel_recorder_kept_total", &["why=\"sampled\""]), 1.0);
}

#[test]
fn requests_over_http2_are_kept_alike() {
    let dead = Origin::refusing("dead");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"2\"]\npool = \"app\"\n{}",
        pool(&[&dead], "")
    ));
    let mut peer = Peer::greeted(evenkeel.client());
    let lines =
        [(":method", "GET"), (":scheme", "http"), (":path", "/over?key=s3cret"), (":authority", "test")];
    peer.send(headers(1, flag::WHOLE, fields::block(&lines))).unwrap();
    let answer = peer.first(|frame| frame.kind == kind::HEADERS && frame.stream == 1).unwrap();
    assert_eq!(fields::values(&Blocks::new().read(&answer.payload), ":status").concat(), "502");
    let kept = listed(&evenkeel, "failed=true", 1).remove(0);
    let record = record(&evenkeel, kept["id"].as_str().unwrap());
    assert_eq!((&record["version"], &record["target"]), (&"HTTP/2.0".into(), &"/over?key=(redacted)".into()));
    assert_step(&record, "connect", "connection refused");
    assert!(why(&evenkeel, kept["id"].as_str().unwrap()).contains("The server was at fault"));
}

#[test]
fn the_last_failed_request_is_found_without_its_id() {
    let (dead, alive) = (Origin::refusing("dead"), Origin::named("alive"));
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/dead\"\npool = \"dead\"\n[pool.dead]\nbackends = [\"{}\"]\n{}",
        dead.address(),
        pool(&[&alive], "")
    ));
    let none = evenkeel.cli(&["why", "--last-failed"]);
    assert_eq!(none.code, Some(1));
    assert!(
        none.stderr.contains("no request that the flight recorder has kept has failed"),
        "{}",
        none.stderr
    );
    let failed = id_of(&evenkeel.get("/dead"));
    record(&evenkeel, &failed);
    let last = evenkeel.cli(&["why", "--last-failed", "--json"]);
    let last: Value = serde_json::from_str(&last.stdout).unwrap();
    assert_eq!(last["id"], *failed);
    assert_eq!(evenkeel.cli(&["why"]).code, Some(2));
}

#[test]
fn a_reload_changes_what_is_kept() {
    let server = slow("a");
    let toml = |recorder: &str| format!("[recorder]\n{recorder}\n{}", pool(&[&server], ""));
    let evenkeel = Evenkeel::start_in(Folder::new(), &toml("memory = \"off\""));
    let get = |target: &str| id_of(&evenkeel.get(target));
    let before = get("/slow");
    assert_eq!(evenkeel.metric("evenkeel_recorder_limit_bytes", &[]), 0.0);
    let off = evenkeel.cli(&["why", &before]);
    assert!(off.stderr.contains("the flight recorder is off"), "{}", off.stderr);
    assert_eq!(evenkeel.reload(&toml("slow = \"100ms\"")).status, 200);
    record(&evenkeel, &get("/slow"));
    assert_eq!(evenkeel.reload(&toml("memory = \"off\"")).status, 200);
    assert_eq!(list(&evenkeel, "")["kept"], 0);
}

/// A server that keeps `/hold` until the gate opens.
fn holding(name: &str, gate: &Gate) -> Origin {
    let (gate, text) = (gate.clone(), ok(name));
    Origin::start(move |request, wire| {
        if request.target() == "/hold" {
            gate.wait();
        }
        wire.send(&text);
    })
    .called(name)
}

#[test]
fn the_servers_that_were_considered_have_the_scores_that_the_algorithm_compares() {
    let gate = Gate::default();
    let (big, small) = (holding("big", &gate), holding("small", &gate));
    let of = |server: &Origin, weight: u32| {
        format!("{{ address = \"{}\", name = \"{}\", weight = {weight} }}", server.address(), server.name)
    };
    let backends = format!("backends = [{}, {}]\n", of(&big, 3), of(&small, 1));
    let text = |algorithm: &str| {
        let pool = format!("[pool.app]\nalgorithm = \"{algorithm}\"\n{backends}");
        format!("[recorder]\nsample = \"1000/s\"\n{pool}")
    };
    let evenkeel = Evenkeel::start(&text("least-connections"));
    let address = evenkeel.address();
    let held = std::thread::spawn(move || Client::connect(address).get("/hold").status);
    eventually("it is held", || big.count() + small.count() == 1);
    assert_eq!(big.count(), 1, "with nothing in flight, three units of weight are less busy than one");
    let response = evenkeel.get("/");
    assert_eq!(response.text(), "big");
    let kept = record(&evenkeel, &id_of(&response));
    let rows = kept["candidates"].as_array().unwrap().iter().map(|candidate| {
        let number = |key: &str| candidate[key].as_f64().unwrap();
        (candidate["server"].as_str().unwrap(), number("in_flight"), number("weight"), number("score"))
    });
    let rows: Vec<_> = rows.collect();
    // Requests in flight, with the next one, for each unit of weight: the least is chosen.
    assert_eq!(rows, [("big", 1.0, 3.0, 0.667), ("small", 0.0, 1.0, 1.0)], "{kept:#}");
    let story = why(&evenkeel, &id_of(&response));
    for row in ["SERVER STATE IN FLIGHT WEIGHT SCORE WHY", "big up 1 3 0.667 chosen: ", "small up 0 1 1"] {
        let is_there =
            story.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(row));
        assert!(is_there, "no row `{row}` in\n{story}");
    }
    gate.open();
    assert_eq!(held.join().unwrap(), 200);
    // Round robin compares nothing.
    assert_eq!(evenkeel.reload(&text("round-robin")).status, 200);
    let kept = record(&evenkeel, &id_of(&evenkeel.get("/")));
    let candidates = kept["candidates"].as_array().unwrap();
    assert!(candidates.len() == 2 && candidates.iter().all(|it| it["score"].is_null()), "{kept:#}");
}

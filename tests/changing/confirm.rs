//! A configuration that must be confirmed goes back by itself: when no confirmation comes in time, or when errors jump.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Client, DEADLINE, Evenkeel, Origin, Port, Slow, answer, eventually, pool};

fn reload(evenkeel: &Evenkeel, toml: &str, within: &str) {
    evenkeel.rewrite(toml);
    let outcome = evenkeel.cli(&["reload", "--confirm", within]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("unless you run `evenkeel confirm` before"), "{}", outcome.stdout);
}

fn is_awaited(evenkeel: &Evenkeel) -> bool {
    let is_in_metrics = evenkeel.metric("evenkeel_config_awaiting_confirmation", &[]) == 1.0;
    let status = evenkeel.status()["awaiting_confirmation"].clone();
    assert_eq!(is_in_metrics, status.is_object(), "{status}");
    is_in_metrics
}

fn reverts(evenkeel: &Evenkeel, reason: &str) -> f64 {
    evenkeel.metric("evenkeel_config_reverts_total", &[&format!("reason=\"{reason}\"")])
}

fn uptime(evenkeel: &Evenkeel) -> f64 {
    evenkeel.status()["uptime_seconds"].as_f64().unwrap()
}

#[test]
fn without_a_confirmation_the_configuration_before_comes_back() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    let new = pool(&[&b], "");
    reload(&evenkeel, &new, "2s");
    assert_eq!(client.get("/").text(), "b");
    assert!(is_awaited(&evenkeel));
    assert_eq!(evenkeel.status()["awaiting_confirmation"]["generation_before"], 1);
    eventually("it goes back", || client.get("/").text() == "a");
    assert!(!is_awaited(&evenkeel));
    assert_eq!(reverts(&evenkeel, "timeout"), 1.0);
    evenkeel.stderr.wait_for("the reason", |line| {
        line.contains("it was not confirmed within 2 s") && line.contains("the file still has the new text")
    });
    assert!(std::fs::read_to_string(evenkeel.config()).unwrap().ends_with(&new));
    assert_eq!(evenkeel.metric("evenkeel_connections_accepted_total", &[]), 1.0);
    assert_eq!(evenkeel.status()["generation"], 3);
}

#[test]
fn the_commands_that_show_the_state_say_that_a_configuration_is_on_trial() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let on_trial = |arguments: &[&str]| {
        let outcome = evenkeel.cli(arguments);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let line = outcome.stdout.lines().find(|line| line.contains("the configuration is on trial"))?;
        assert!(line.contains("goes back in ") && line.contains(" s unless it is confirmed"), "{line}");
        Some(line.to_owned())
    };
    assert_eq!((on_trial(&["status"]), on_trial(&["top", "--once"])), (None, None));
    reload(&evenkeel, &pool(&[&b], ""), "1h");
    assert!(on_trial(&["status"]).is_some() && on_trial(&["top", "--once"]).is_some());
    assert_eq!(evenkeel.cli(&["confirm"]).code, Some(0));
    assert_eq!(on_trial(&["status"]), None);
}

#[test]
fn a_confirmation_that_comes_too_late_says_what_became_of_the_configuration() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let refused = |why: &str| {
        let outcome = evenkeel.cli(&["confirm"]);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
        assert!(outcome.stderr.contains("no configuration awaits its confirmation: "), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(why), "no {why} in {}", outcome.stderr);
    };
    refused("there was none since this process started");
    reload(&evenkeel, &pool(&[&b], ""), "1h");
    assert_eq!(evenkeel.cli(&["confirm"]).code, Some(0));
    refused("the last one was confirmed at 20");
    reload(&evenkeel, &pool(&[&a], ""), "1s");
    eventually("it goes back", || evenkeel.status()["awaiting_confirmation"].is_null());
    refused("Z because it was not confirmed within 1 s");
    refused("the last one went back at 20");
}

#[test]
fn a_confirmed_configuration_stays() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    reload(&evenkeel, &pool(&[&b], ""), "4s");
    let begun = uptime(&evenkeel);
    let outcome = evenkeel.cli(&["confirm"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "confirmed: generation 2 stays in force"));
    assert!(!is_awaited(&evenkeel));
    eventually("the time is over", || uptime(&evenkeel) > begun + 5.0);
    assert_eq!(evenkeel.get("/").text(), "b");
    let outcome = evenkeel.cli(&["confirm"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("no configuration awaits its confirmation"), "{}", outcome.stderr);
    assert_eq!(evenkeel.metric("evenkeel_config_reverts_total", &[]), 0.0);
}

#[test]
fn errors_that_jump_bring_the_configuration_before_back_at_once() {
    let a = Origin::named("a");
    let broken = Origin::answering(|_| answer(500, "", "broken"));
    let good = pool(&[&a], "");
    let evenkeel = Evenkeel::start(&good);
    let mut client = evenkeel.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "a");
    }
    let lost = format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npath = \"/aip/*\"\npool = \"app\"\n{good}"
    );
    for (round, (new, status)) in [(pool(&[&broken], ""), 500), (lost, 404)].iter().enumerate() {
        reload(&evenkeel, new, "5m");
        let begun = Instant::now();
        assert_eq!(client.get("/").status, *status);
        eventually("it goes back", || client.get("/").status == 200);
        assert!(begun.elapsed() < DEADLINE);
        assert_eq!(reverts(&evenkeel, "errors"), round as f64 + 1.0);
    }
    let jumps = |line: &str| line.contains("errors jumped: ") && line.contains("within the minute before it");
    evenkeel.stderr.wait_for("the reason", jumps);
    assert!(!is_awaited(&evenkeel));
}

#[test]
fn errors_are_judged_also_while_another_reload_is_prepared() {
    let (a, c) = (Origin::named("a"), Origin::named("c"));
    let broken = Origin::answering(|_| answer(500, "", "broken"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    reload(&evenkeel, &pool(&[&broken], ""), "5m");
    // A reload that reads a pipe waits until something is written into it.
    let pipe = evenkeel.folder().path("secret");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    evenkeel.rewrite(&format!("[server]\nworkers = 1\nsecret_file = \"{pipe}\"\n{}", pool(&[&broken], "")));
    thread::scope(|scope| {
        let next = scope.spawn(|| evenkeel.cli(&["reload", "--confirm", "5m"]));
        let held = File::options().write(true).open(&pipe).unwrap();
        let mut client = evenkeel.client();
        eventually("it goes back", || client.get("/").text() == "a");
        assert_eq!(reverts(&evenkeel, "errors"), 1.0);
        assert!(!is_awaited(&evenkeel) && !next.is_finished());

        // The reload read what was in force before, so it begins again.
        evenkeel.rewrite(&pool(&[&c], ""));
        drop(held);
        let outcome = next.join().unwrap();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!(client.get("/").text(), "c");
    });
    assert!(is_awaited(&evenkeel));
    assert_eq!(evenkeel.cli(&["confirm", "--go-back"]).code, Some(0));
    assert_eq!(evenkeel.get("/").text(), "a");
}

#[test]
fn taking_a_configuration_back_during_another_reload_leaves_no_listener_without_sockets() {
    let route = "[[route]]\nrespond = { body = \"here\" }\n";
    let evenkeel = Evenkeel::start(&format!("[listener.web]\nbind = [\"127.0.0.1:0\"]\n{route}"));
    let port = Port::reserve();
    let with_more = |secret: &str| {
        let more = format!("[listener.more]\nbind = [\"{}\"]\n", port.address());
        format!("[server]\nworkers = 1\n{secret}[listener.web]\nbind = [\"127.0.0.1:0\"]\n{more}{route}")
    };
    reload(&evenkeel, &with_more(""), "5m");
    assert_eq!(Client::connect(port.address()).get("/").text(), "here");
    let slow = Slow::new(evenkeel.folder());
    evenkeel.rewrite(&with_more(&format!("secret_file = \"{}\"\n", slow.path)));
    thread::scope(|scope| {
        let next = scope.spawn(|| evenkeel.cli(&["reload", "--confirm", "5m"]));
        let held = slow.hold();
        // The address that the trial alone has is closed, after the other reload has found it open.
        assert_eq!(evenkeel.cli(&["confirm", "--go-back"]).code, Some(0));
        eventually("the address is closed", || TcpStream::connect(port.address()).is_err());
        slow.release(held);
        let outcome = next.join().unwrap();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    });
    assert_eq!(Client::connect(port.address()).get("/").text(), "here");
    assert_eq!(evenkeel.cli(&["confirm", "--go-back"]).code, Some(0));
    eventually("the address is closed again", || TcpStream::connect(port.address()).is_err());
}

#[test]
fn what_commands_have_changed_comes_back_with_the_configuration() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(Origin::named);
    let both = "[[route]]\nname = \"r\"\nsplit = [{ pool = \"app\", weight = 1 }, { pool = \"other\", weight = 1 }]\n";
    let old = format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n{both}{}[pool.other]\nbackends = [\"{}\"]\n",
        pool(&[&a, &b, &c], ""),
        d.address()
    );
    let evenkeel = Evenkeel::start(&old);
    evenkeel.set_server("app", "a", "{\"state\": \"drain\"}");
    let changes: [&[&str]; 3] = [
        &["server", "remove", "app", "b"],
        &["server", "add", "other", "127.0.0.1:9", "--name", "e"],
        &["split", "r", "other=0"],
    ];
    for change in changes {
        let outcome = evenkeel.cli(change);
        assert_eq!(outcome.code, Some(0), "{change:?}: {}", outcome.stderr);
    }
    let changed = || {
        let said = evenkeel.cli(&["diff", "-c", &evenkeel.config()]).stdout;
        said.lines().filter(|line| line.contains("by a command")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = changed();
    assert_eq!(before.len(), 4, "{before:?}");
    for _ in 0..2 {
        reload(&evenkeel, &pool(&[&d], ""), "5m");
        assert_eq!(evenkeel.get("/").text(), "d");
        assert_eq!(evenkeel.cli(&["confirm", "--go-back"]).code, Some(0));
        for _ in 0..6 {
            assert_eq!(evenkeel.get("/").text(), "c");
        }
        assert_eq!(evenkeel.server("app", "a")["state"], "draining");
        evenkeel.rewrite(&old);
        assert_eq!(changed(), before);
    }
}

#[test]
fn a_plain_reload_is_refused_unread_while_a_configuration_is_on_trial() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    reload(&evenkeel, &pool(&[&b], ""), "5m");
    let slow = Slow::new(evenkeel.folder());
    // To read it would take for ever.
    let secret = format!("[server]\nworkers = 1\nsecret_file = \"{}\"\n", slow.path);
    let refused = evenkeel.reload(&format!("{secret}{}", pool(&[&a], "")));
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("awaits its confirmation"), "{}", refused.text());
    assert_eq!(evenkeel.cli(&["confirm"]).code, Some(0));
    assert_eq!(evenkeel.get("/").text(), "b");
}

#[test]
fn reloads_that_wait_for_another_one_keep_what_each_was_asked_for() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let slow = Slow::new(evenkeel.folder());
    let secret = format!("[server]\nworkers = 1\nsecret_file = \"{}\"\n", slow.path);
    evenkeel.rewrite(&format!("{secret}{}", pool(&[&a], "")));
    evenkeel.signal(Signal::HUP);
    let held = slow.hold();
    evenkeel.rewrite(&pool(&[&b], ""));
    thread::scope(|scope| {
        let bodies = ["", "{\"confirm_seconds\": 300}", "{}", "{\"confirm_seconds\": 600}"];
        let asked = bodies.iter().enumerate().map(|(before, body)| {
            let asked = scope.spawn(|| evenkeel.admin("POST", "/reload", body));
            let is_noted = |line: &str| line.contains("operator: reload asked for");
            eventually("it waits", || evenkeel.stderr.count(is_noted) == before + 2);
            asked
        });
        let asked: Vec<_> = asked.collect();
        slow.release(held);
        let answers: Vec<_> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 200, 422, 200]);
        assert!(answers[2].text().contains("awaits its confirmation"), "{}", answers[2].text());
    });
    let refused = |line: &str| line.contains("configuration not reloaded");
    let tried = |line: &str| line.contains("configuration reloaded on trial");
    eventually("the log has each outcome", || {
        (evenkeel.stderr.count(refused), evenkeel.stderr.count(tried)) == (1, 2)
    });
    let left = evenkeel.status()["awaiting_confirmation"]["seconds_left"].as_f64().unwrap();
    assert!(left > 500.0, "not the time of the last one: {left}");
}

#[test]
fn each_address_that_cannot_be_listened_on_is_named() {
    let a = Origin::named("a");
    let others: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let taken: Vec<String> = others.iter().map(|it| it.local_addr().unwrap().to_string()).collect();
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let refused = evenkeel.reload(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\", \"{}\", \"{}\"]\npool = \"app\"\n{}",
        taken[0],
        taken[1],
        pool(&[&a], "")
    ));
    assert_eq!(refused.status, 422);
    for address in &taken {
        assert!(refused.text().contains(&format!("cannot listen on {address}")), "{}", refused.text());
    }
}

#[test]
fn a_few_errors_and_many_good_answers_are_no_jump() {
    let a = Origin::named("a");
    let mixed = Origin::answering(|request| match request.target() {
        "/bad" => answer(500, "", "bad"),
        _ => answer(200, "", "good"),
    });
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    reload(&evenkeel, &pool(&[&mixed], ""), "5m");
    let mut client = evenkeel.client();
    for round in 0..600 {
        client.get(if round % 60 == 59 { "/bad" } else { "/" });
    }
    let begun = uptime(&evenkeel);
    eventually("it was judged", || uptime(&evenkeel) > begun + 1.5);
    assert!(is_awaited(&evenkeel));
    let outcome = evenkeel.cli(&["confirm", "--go-back", "--json"]);
    let decided: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&decided["confirmed"], &decided["generation"]), (&Value::from(false), &Value::from(3)));
    assert_eq!(evenkeel.get("/").text(), "a");
    assert_eq!(reverts(&evenkeel, "operator"), 1.0);
}

#[test]
fn while_one_awaits_its_confirmation_only_another_trial_is_taken() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    reload(&evenkeel, &pool(&[&b], ""), "5m");
    let refused = evenkeel.reload(&pool(&[&c], ""));
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("awaits its confirmation"), "{}", refused.text());
    evenkeel.signal(Signal::HUP);
    let is_refusal =
        |line: &str| line.contains("configuration not reloaded") && line.contains("confirmation");
    eventually("SIGHUP is refused", || evenkeel.stderr.count(is_refusal) == 2);
    assert_eq!(evenkeel.get("/").text(), "b");
    // A file that is wrong changes nothing of the trial.
    evenkeel.rewrite("nonsense");
    assert_eq!(evenkeel.cli(&["reload", "--confirm", "5m"]).code, Some(1));
    assert!(is_awaited(&evenkeel));
    reload(&evenkeel, &pool(&[&c], ""), "5m");
    assert_eq!(evenkeel.get("/").text(), "c");
    assert_eq!(evenkeel.status()["awaiting_confirmation"]["generation_before"], 1);
    let outcome = evenkeel.cli(&["confirm", "--go-back"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(evenkeel.get("/").text(), "a", "not the one that was never confirmed");
    assert_eq!(evenkeel.reload(&pool(&[&c], "")).status, 200);
    assert_eq!(evenkeel.get("/").text(), "c");
}

#[test]
fn connections_to_an_address_that_is_on_trial_wait_for_the_decision() {
    let web = "[listener.web]\nbind = [\"127.0.0.1:0\"]\n";
    let more = "[listener.more]\nbind = [\"127.0.0.2:0\"]\n";
    let route = "[[route]]\nrespond = { body = \"here\" }\n";
    let evenkeel = Evenkeel::start(&format!("{web}{more}{route}"));
    let address = evenkeel.listener("more");
    let ask = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        stream
    };
    for _ in 0..3 {
        reload(&evenkeel, &format!("{web}{route}"), "5m");
        evenkeel.stderr.wait_for("the close", |line| line.contains("no longer listening on 127.0.0.2"));
        let mut waiting = Vec::new();
        // The socket that is closed may still take the first.
        eventually("a connection waits", || {
            waiting.push(ask());
            waiting.len() > 5
        });
        assert_eq!(evenkeel.cli(&["confirm", "--go-back"]).code, Some(0));
        let mut answers = Vec::new();
        for mut stream in waiting {
            let mut text = String::new();
            // Those that the old socket took are closed.
            if stream.read_to_string(&mut text).is_ok() {
                answers.push(text.ends_with("here"));
            }
        }
        assert!(answers.contains(&true), "{answers:?}");
        assert_eq!(evenkeel.get("/").text(), "here");
    }
    reload(&evenkeel, &format!("{web}{route}"), "5m");
    assert_eq!(evenkeel.cli(&["confirm"]).code, Some(0));
    eventually("the address is closed", || TcpStream::connect(address).is_err());
}

#[test]
fn a_trial_of_what_is_in_force_already_is_warned_of() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let old = pool(&[&a], "");
    let evenkeel = Evenkeel::start(&old);
    let is_warned = |text: &str| {
        evenkeel.rewrite(text);
        let outcome = evenkeel.cli(&["reload", "--confirm", "5m"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome.stderr.contains("so going back would change nothing")
    };
    assert!(is_warned(&old));
    let new = pool(&[&b], "");
    assert!(!is_warned(&new));
    // It is in force, but goes back to the old one still.
    assert!(!is_warned(&new));
    assert!(is_warned(&old));
    assert_eq!(evenkeel.reload(&old).status, 422);
    assert_eq!(evenkeel.cli(&["confirm"]).code, Some(0));
    assert_eq!(evenkeel.reload(&old).status, 200);
}

#[test]
fn a_wrong_time_is_refused() {
    let evenkeel = Evenkeel::start("[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\nrespond = {}\n");
    for time in ["0s", "2d", "soon", "0"] {
        assert_eq!(evenkeel.cli(&["reload", "--confirm", time]).code, Some(2), "{time}");
    }
    for (body, status) in [
        ("{\"confirm_seconds\": 0}", 400),
        ("{\"confirm_seconds\": \"60\"}", 400),
        ("{\"confirm\": 60}", 400),
        ("[]", 400),
    ] {
        assert_eq!(evenkeel.admin("POST", "/reload", body).status, status, "{body}");
    }
    assert_eq!(evenkeel.admin("POST", "/confirm", "{}").status, 422);
    assert_eq!(evenkeel.status()["generation"], 1);
}

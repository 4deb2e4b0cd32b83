//! What a run reports: servers, CPU time, JSON, the plot, and INVALID.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::run::{number, run, url};
use crate::support::{Evenkeel, Folder, Origin, answer, cli};

#[test]
fn servers_are_told_apart_by_a_header() {
    let count = AtomicUsize::new(0);
    let origin = Origin::answering(move |_| match count.fetch_add(1, Ordering::SeqCst) % 4 {
        0 => answer(500, "x-served-by: b\r\n", "no"),
        _ => answer(200, "x-served-by: a\r\n", "yes"),
    });
    let run = run(&[&url(&origin, "/"), "--split-by", "x-served-by", "-n", "40", "-c", "1"]);
    let split = run.json["split"].as_array().unwrap();
    let figures = |at: usize| {
        (split[at]["name"].as_str().unwrap(), split[at]["requests"].clone(), split[at]["errors"].clone())
    };
    assert_eq!(figures(0), ("a", 30.into(), 0.into()));
    assert_eq!(figures(1), ("b", 10.into(), 10.into()));
    let outcome = cli(&["bench", &url(&origin, "/"), "--split-by", "x-served-by", "-n", "40", "-c", "1"]);
    let row = outcome.stdout.lines().find(|line| line.trim_start().starts_with("b "));
    assert!(row.is_some_and(|row| row.contains("25.0 %")), "{}", outcome.stdout);
}

#[test]
fn the_cpu_time_of_a_target_is_found_by_its_port_or_given_by_pid() {
    let evenkeel = Evenkeel::start("[[route]]\nrespond = { body = \"ok\" }\n");
    let target = format!("http://{}/", evenkeel.address());
    let found = run(&[&target, "-d", "500ms", "-c", "2", "-t", "1"]);
    assert_eq!(found.json["target"]["pids"], serde_json::json!([evenkeel.pid()]), "{}", found.json);
    assert!(number(&found.json, "/target/cpu_cores") > 0.0, "{}", found.json);
    assert!(number(&found.json, "/generator/cpu_cores") > 0.0, "{}", found.json);
    let own = std::process::id().to_string();
    let given = run(&[&target, "-d", "100ms", "-c", "2", "-t", "1", "--target-pid", &own]);
    assert_eq!(given.json["target"]["pids"], serde_json::json!([std::process::id()]));
}

#[test]
fn the_table_and_the_json_say_the_same_and_the_plot_is_an_svg() {
    let (origin, folder) = (Origin::named("a"), Folder::new());
    let (json, plot) = (folder.path("result.json"), folder.path("plot.svg"));
    let target = url(&origin, "/");
    let outcome = cli(&[
        "bench",
        &target,
        "-R",
        "50",
        "-d",
        "1s",
        "-c",
        "2",
        "-t",
        "1",
        "--json",
        &json,
        "--plot",
        &plot,
        "--late-max",
        "10s",
    ]);
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    let read = |path| std::fs::read_to_string(path).unwrap();
    let value: serde_json::Value = serde_json::from_str(&read(&json)).unwrap();
    assert_eq!(value["valid"], true);
    assert_eq!(value["target"]["url"], *target);
    for pointer in [
        "/totals/per_second",
        "/totals/error_share",
        "/totals/body_bytes",
        "/totals/latency_ms/min",
        "/totals/latency_ms/p50",
        "/totals/latency_ms/p99.9",
        "/totals/latency_ms/stdev",
        "/latency_from_send_ms/p99",
        "/generator/late_ms/p99",
        "/generator/threads/0/ran",
        "/timeline/0/per_second",
        "/timeline/0/p99_ms",
        "/options/timeout_s",
    ] {
        number(&value, pointer);
    }
    assert_eq!(
        value["timeline"]
            .as_array()
            .unwrap()
            .iter()
            .map(|at| at["per_second"].as_f64().unwrap())
            .sum::<f64>()
            / 10.0,
        number(&value, "/totals/requests")
    );
    let requests = format!("requests     {}, ", value["totals"]["requests"]);
    for expected in [
        &*requests,
        "open loop at 50/s, HTTP/1.1, 2 connections, 1 thread",
        "corrected",
        "from send",
        "200: ",
    ] {
        assert!(outcome.stdout.contains(expected), "{expected}: {}", outcome.stdout);
    }
    let svg = read(&plot);
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    for expected in [&*target, "corrected", "from send", "p99", "Responses and errors a second"] {
        assert!(svg.contains(expected), "{expected}");
    }
}

#[test]
fn json_can_take_the_place_of_the_table() {
    let origin = Origin::named("a");
    let outcome = cli(&["bench", &url(&origin, "/"), "-n", "2", "-c", "1", "--json", "-"]);
    let value: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(number(&value, "/totals/requests"), 2.0);
}

#[test]
fn a_closed_loop_says_that_its_latency_is_not_corrected() {
    let origin = Origin::named("a");
    let outcome = cli(&["bench", &url(&origin, "/"), "-n", "2", "-c", "1"]);
    assert!(
        outcome.stdout.contains("a closed loop, not corrected for coordinated omission"),
        "{}",
        outcome.stdout
    );
    assert!(!outcome.stdout.contains("from send"), "{}", outcome.stdout);
}

#[test]
fn a_saturated_generator_makes_the_result_invalid() {
    let evenkeel = Evenkeel::start("[server]\nworkers = 4\n[[route]]\nrespond = { body = \"ok\" }\n");
    let target = format!("http://{}/", evenkeel.address());
    // No single thread starts a million requests a second, and enough connections keep it from ever being idle.
    let run = run(&[&target, "-R", "1000000", "-d", "1s", "-c", "1000", "-t", "1", "--plot", "/dev/null"]);
    assert_eq!(run.code, 3, "{}", run.json);
    assert_eq!(run.json["valid"], false);
    let because = run.json["invalid_because"][0].as_str().unwrap();
    assert!(because.contains("the generator was saturated"), "{because}");
}

#[test]
fn late_starts_make_the_result_invalid() {
    let origin = Origin::named("a");
    let target = url(&origin, "/");
    let arguments = ["-R", "200", "-d", "400ms", "-c", "4", "-t", "1", "--late-max", "1ms", "--json", "-"];
    let outcome = cli(&[&["bench", &target], &arguments[..]].concat());
    let value: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    // Whether a start is a millisecond late is up to the machine; the verdict must fit.
    let is_late = number(&value, "/generator/late_ms/p99") > 1.0;
    assert_eq!(outcome.code, Some(if is_late { 3 } else { 0 }), "{value}");
    assert_eq!(outcome.stderr.contains("INVALID: the generator was late"), is_late, "{}", outcome.stderr);
}

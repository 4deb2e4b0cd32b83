//! Load on a small system: it says what it measured, and what was saved by which cache.

use std::fs;

use serde_json::Value;

use crate::world::{World, evenkeel, minigram};

#[test]
fn a_load_is_measured_by_request_server_and_cache() {
    let world = World::up_with(&["--crowd", "20", "--servers", "2"]);
    let results = tempfile::tempdir().unwrap();
    let mut load = minigram();
    load.args(["load", "--users", "20", "--rate", "60", "--connections", "10", "--duration", "6s"]);
    load.args(["--warmup", "2s", "--evenkeel"]).arg(evenkeel());
    load.arg("--state").arg(world.state()).arg("--results").arg(results.path());
    let output = load.output().unwrap();
    // A machine that is busy with other tests may be too slow for the verdicts; the report is whole nevertheless.
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("20 users"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));

    let report: Value = serde_json::from_slice(&fs::read(results.path().join("load.json")).unwrap()).unwrap();
    assert!(report["requests"].as_u64().unwrap() > 100, "{report}");
    assert_eq!(report["error_share"], 0.0, "{report}");
    let names = |part: &str| -> Vec<String> {
        let rows = report[part].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    for request in ["feed", "photo", "like", "upload", "picture", "pages and files"] {
        assert!(names("by_request").iter().any(|name| name == request), "{request}: {report}");
    }
    let servers = names("by_server");
    assert!(servers.contains(&"app-1".to_owned()) && servers.contains(&"app-2".to_owned()), "{servers:?}");
    let ratio = |cache: &str| {
        let caches = report["savings"]["caches"].as_array().unwrap();
        let found = caches.iter().find(|row| row["cache"] == cache);
        found.unwrap_or_else(|| panic!("{cache}: {report}"))["ratio"].as_f64().unwrap()
    };
    assert!(ratio("browsers (model)") > 0.02, "{report}");
    assert!(ratio("Evenkeel: media") > 0.5, "{report}");
    assert!(ratio("application: feed") > 0.1, "{report}");
    assert!(report["savings"]["origin_spared"].as_f64().unwrap() > 0.1, "{report}");
    let plot = fs::read_to_string(results.path().join("load.svg")).unwrap();
    assert!(plot.contains("<svg"));
    let verdicts = report["verdicts"].as_array().unwrap();
    let said_of =
        |what: &str| verdicts.iter().filter(|it| it["what"].as_str().unwrap().starts_with(what)).count();
    for what in ["static files", "profiles", "feeds", "photos and comments for visitors", "text shrinks"] {
        assert_eq!(said_of(what), 1, "{what}: {report}");
    }
    assert_eq!(said_of("replicas"), 0, "embedded engines have none");
    assert_eq!(output.status.success(), verdicts.iter().all(|verdict| verdict["met"] == true));
}

#[test]
fn users_find_no_feed_in_the_cache_that_the_preparation_left_there() {
    let world = World::up_with(&["--crowd", "8"]);
    let results = tempfile::tempdir().unwrap();
    let mut load = minigram();
    load.args(["load", "--users", "8", "--rate", "60", "--connections", "4"]);
    load.args(["--duration", "5s", "--warmup", "1ms"]);
    load.arg("--evenkeel").arg(evenkeel()).arg("--state").arg(world.state());
    load.arg("--results").arg(results.path()).output().unwrap();
    let report: Value = serde_json::from_slice(&fs::read(results.path().join("load.json")).unwrap()).unwrap();
    let caches = report["savings"]["caches"].as_array().unwrap();
    let feeds = caches.iter().find(|row| row["cache"] == "application: feed").unwrap();
    let misses = feeds["requests"].as_f64().unwrap() * (1.0 - feeds["ratio"].as_f64().unwrap());
    assert!(misses > 4.5, "most of 8 users read their feed for the first time: {report}");
}

#[test]
fn a_load_without_its_users_says_how_to_get_them() {
    let world = World::up();
    let mut load = minigram();
    load.args(["load", "--users", "3", "--evenkeel"]).arg(evenkeel()).arg("--state").arg(world.state());
    let output = load.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("minigram up --crowd"), "{said}");
}

#[test]
fn systems_of_several_sizes_are_compared() {
    let results = tempfile::tempdir().unwrap();
    let mut scaling = minigram();
    scaling.args(["scaling", "--servers", "1,2", "--users", "4", "--photos", "4", "--connections", "4"]);
    scaling
        .args(["--duration", "2s", "--warmup", "500ms", "--core-share", "10", "--evenkeel"])
        .arg(evenkeel());
    let output = scaling.arg("--results").arg(results.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let steps: Value =
        serde_json::from_slice(&fs::read(results.path().join("scaling.json")).unwrap()).unwrap();
    let servers: Vec<u64> =
        steps.as_array().unwrap().iter().map(|step| step["servers"].as_u64().unwrap()).collect();
    assert_eq!(servers, [1, 2]);
    for step in steps.as_array().unwrap() {
        assert!(step["per_second"].as_f64().unwrap() > 0.0, "{step}");
        assert!(step["p95_ms"].as_f64().unwrap() > 0.0, "{step}");
        assert_eq!(step["latency_rate"], steps[0]["latency_rate"]);
        let parts: Vec<(String, f64)> = serde_json::from_value(step["usage"]["parts"].clone()).unwrap();
        let (_, cores) = parts.into_iter().find(|(part, _)| part == "application servers").unwrap();
        // Checks of health are not bounded. Without the bound, one server takes 0.4 of a core here, and two 0.5.
        assert!(cores < 0.1 * step["servers"].as_f64().unwrap() + 0.2, "{step}");
    }
    assert!(fs::read_to_string(results.path().join("scaling.svg")).unwrap().contains("2 servers"));
}

#[test]
fn stress_names_the_bottleneck_and_watches_the_recovery() {
    let world = World::up_with(&["--crowd", "4"]);
    let results = tempfile::tempdir().unwrap();
    let mut stress = minigram();
    stress.args(["stress", "--users", "4", "--to", "4000", "--duration", "6s", "--connections", "20"]);
    stress.arg("--evenkeel").arg(evenkeel()).arg("--state").arg(world.state());
    let output = stress.arg("--results").arg(results.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value =
        serde_json::from_slice(&fs::read(results.path().join("stress.json")).unwrap()).unwrap();
    // No machine answers 4,000 requests a second with a build that is not optimised; an optimised one may.
    assert!(found["broke_at"].as_f64().is_none_or(|rate| (400.0..4000.0).contains(&rate)), "{found}");
    let parts = found["usage"]["parts"].as_array().unwrap();
    assert!(
        parts.iter().any(|part| part[0] == "application servers" && part[1].as_f64().unwrap() > 0.0),
        "{found}"
    );
    assert!(found["bottleneck"].as_str().unwrap().contains("busy"), "{found}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("recovered after")
            || String::from_utf8_lossy(&output.stdout).contains("not recovered")
    );
}

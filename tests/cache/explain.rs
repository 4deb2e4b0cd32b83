//! `explain` says what the cache would do with a request, in the words of the configuration.

use serde_json::Value;

use crate::support::{Folder, cli};

/// What `explain` says of a request from a trusted proxy: `cache` and `cache_key`.
fn explain(rules: &str, headers: &[&str]) -> (String, String) {
    let folder = Folder::new();
    let file = folder.write(
        "evenkeel.toml",
        &format!(
            "[listener.web]\nbind = \":80\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
             [[route]]\nname = \"main\"\npool = \"app\"\ncache = {rules}\n[pool.app]\nbackends = [3000]\n"
        ),
    );
    let mut arguments = vec!["explain", "-c", &file, "--json", "GET", "http://shop.test/a"];
    headers.iter().for_each(|header| arguments.extend(["-H", header]));
    let outcome = cli(&arguments);
    let answer: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    (text("cache"), text("cache_key"))
}

#[test]
fn times_are_written_as_in_the_configuration() {
    let rules = "{ ttl = \"10m\", statuses = { 404 = \"1m30s\" }, stale_while_revalidate = \"1m\", stale_if_error = \"48h\" }";
    let (said, _) = explain(rules, &[]);
    assert_eq!(
        said,
        "may answer; a response is fresh for 1m30s with status 404, for 10m with any other status of success, used for \
         1m more while a fresh one is fetched, used for 2d more if the servers fail"
    );
}

#[test]
fn the_key_shows_what_else_says_the_url() {
    let plain = "http://shop.test/a, route main, pool app";
    assert_eq!(explain("true", &[]).1, plain);
    let (_, key) = explain(
        "true",
        &[
            "x-forwarded-host: other.test",
            "x-forwarded-proto: https",
            "forwarded: for=1.2.3.4;host=third.test",
        ],
    );
    assert_eq!(
        key,
        "https://shop.test/a, route main, pool app, x-forwarded-host other.test, forwarded host=third.test"
    );
    assert_eq!(explain("true", &["X-Original-URL: /admin"]).1, format!("{plain}, x-original-url /admin"));
}

#[test]
fn another_method_in_a_field_is_reported() {
    let (said, _) = explain("true", &["x-http-method-override: DELETE"]);
    assert!(
        said.starts_with("not asked: the request says in a field such as `X-HTTP-Method-Override`"),
        "{said}"
    );
    assert!(
        explain("true", &["x-http-method-override: DELETE", "cache-control: no-store"])
            .0
            .contains("no-store")
    );
}

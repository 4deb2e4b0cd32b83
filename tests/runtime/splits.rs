//! A route's split gets other weights at run time, and keeps them while the file says the same of it.

use serde_json::{Value, json};

use crate::support::{Evenkeel, Origin, Traffic, eventually};

fn config(blue: &Origin, green: &Origin, weights: (u32, u32), more: &str) -> String {
    format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         [[route]]\nname = \"release\"\nsplit = [{{ pool = \"blue\", weight = {} }}, {{ pool = \"green\", weight = {} }}]\n\
         [pool.blue]\nbackends = [\"{}\"]\n[pool.green]\nbackends = [\"{}\"]\n{more}\n",
        weights.0,
        weights.1,
        blue.address(),
        green.address()
    )
}

fn weights(evenkeel: &Evenkeel) -> Value {
    let answer = evenkeel.admin("GET", "/routes/release/split", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str::<Value>(&answer.text()).unwrap()["split"].clone()
}

#[test]
fn requests_follow_the_new_weights_and_none_is_lost() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let evenkeel = Evenkeel::start(&config(&blue, &green, (1, 0), ""));
    let traffic = Traffic::start(evenkeel.address(), 4);
    traffic.more(50);
    assert_eq!(traffic.of("green"), 0);
    let outcome = evenkeel.cli(&["split", "release", "blue=0", "green=1", "--why", "it does well"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(0), "release: blue=0 green=1"),
        "{}",
        outcome.stderr
    );
    let before = traffic.of("green");
    eventually("green gets requests", || traffic.of("green") > before + 8);
    let quiet = traffic.of("blue");
    traffic.more(50);
    assert_eq!(traffic.of("blue"), quiet);
    let line = evenkeel.stderr.wait_for("the change in the log", |line| line.contains("operator: split"));
    assert!(line.contains("weight of blue from 1 to 0, weight of green from 0 to 1"), "{line}");
    assert!(line.contains("it does well"), "{line}");
    assert_eq!(traffic.stop().lost, [""; 0]);
}

#[test]
fn a_reload_keeps_them_until_the_file_says_something_else_of_the_split() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let evenkeel = Evenkeel::start(&config(&blue, &green, (9, 1), ""));
    assert_eq!(evenkeel.cli(&["split", "release", "green=4"]).code, Some(0));
    assert_eq!(
        weights(&evenkeel),
        json!({ "blue": 9, "green": 4 }),
        "blue was not named, and keeps its weight"
    );
    let other_route = "[[route]]\npath = \"/other\"\nrespond = { status = 200 }";
    assert_eq!(evenkeel.reload(&config(&blue, &green, (9, 1), other_route)).status, 200);
    assert_eq!(weights(&evenkeel), json!({ "blue": 9, "green": 4 }));
    assert_eq!(evenkeel.reload(&config(&blue, &green, (8, 2), "")).status, 200);
    assert_eq!(weights(&evenkeel), json!({ "blue": 8, "green": 2 }));
    assert_eq!(evenkeel.reload(&config(&blue, &green, (9, 1), "")).status, 200);
    assert_eq!(weights(&evenkeel), json!({ "blue": 9, "green": 1 }), "it does not come back");
}

#[test]
fn a_change_meant_for_another_state_of_the_split_is_refused() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let evenkeel = Evenkeel::start(&config(&blue, &green, (9, 1), ""));
    let path = "/routes/release/split";
    let put = |tag: &str, body: &str| evenkeel.admin_with("PUT", path, &format!("if-match: {tag}\r\n"), body);
    let tag = || evenkeel.admin("GET", path, "").header("etag").unwrap().to_owned();
    let first = tag();
    let changed = put(&first, r#"{"green":4}"#);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let second = changed.header("etag").unwrap().to_owned();
    assert!(second != first && second == tag(), "{first} {second}");
    let refused = put(&first, r#"{"green":2}"#);
    assert_eq!(refused.status, 412, "{}", refused.text());
    assert!(refused.text().contains(second.trim_matches('"')), "{}", refused.text());
    assert_eq!(weights(&evenkeel), json!({ "blue": 9, "green": 4 }));
    assert_eq!(put("*", r#"{"green":1}"#).status, 200);
    assert_eq!(tag(), first, "all is as at first");
    assert_eq!(evenkeel.reload(&config(&blue, &green, (8, 1), "")).status, 200);
    assert_eq!(put(&first, r#"{"green":2}"#).status, 412, "a reload changes it as well");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let other = "[[route]]\npath = \"/other\"\nname = \"other\"\nrespond = { status = 200 }";
    let evenkeel = Evenkeel::start(&config(&blue, &green, (9, 1), other));
    let put = |route: &str, body: &str| evenkeel.admin("PUT", &format!("/routes/{route}/split"), body);
    for (route, body, status, part) in [
        ("none", "{\"blue\":1}", 404, "there is no route none, only "),
        ("relase", "{\"blue\":1}", 404, ": did you mean release?"),
        ("other", "{\"blue\":1}", 404, "has no split"),
        ("release", "{\"red\":1}", 422, "has no pool red, only blue, green"),
        ("release", "{\"blu\":1}", 422, "has no pool blu, only blue, green: did you mean blue?"),
        ("release", "{\"blue\":0,\"green\":0}", 422, "no pool"),
        ("release", "{\"blue\":-1}", 400, "from 0 to 1000000"),
        ("release", "{}", 400, "name pools"),
        ("release", "[]", 400, "JSON object"),
    ] {
        let answer = put(route, body);
        assert_eq!(answer.status, status, "{route} {body}: {}", answer.text());
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    assert_eq!(weights(&evenkeel), json!({ "blue": 9, "green": 1 }));
    assert_eq!(evenkeel.cli(&["split", "release", "blue"]).code, Some(2));
}

#[test]
fn the_generation_counts_reloads_and_splits_and_nothing_else() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let file = config(&blue, &green, (1, 1), "");
    let evenkeel = Evenkeel::start(&file);
    let is = |generation: u64| {
        assert_eq!(evenkeel.status()["generation"], generation);
        assert_eq!(evenkeel.metric("evenkeel_config_generation", &[]), generation as f64);
        let shown = evenkeel.cli(&["status"]).stdout;
        assert!(shown.contains(&format!("generation {generation}\n")), "{shown}");
    };
    is(1);
    let server = blue.address().to_string();
    for (command, generation) in [
        (&["split", "release", "blue=2"][..], 2),
        (&["split", "release", "blue=2"], 2),
        (&["weight", "blue", &server, "7"], 2),
        (&["drain", "blue", &server], 2),
        (&["reload"], 3),
        (&["reload", "--confirm", "60"], 4),
        (&["confirm", "--go-back"], 5),
    ] {
        let outcome = evenkeel.cli(command);
        assert_eq!(outcome.code, Some(0), "{command:?}: {}", outcome.stderr);
        is(generation);
    }
    assert_eq!(evenkeel.reload("nonsense").status, 422);
    is(5);
}

//! `POST /explain`: the answer of a running process is that of `evenkeel explain`, with its servers as they are.

use serde_json::Value;

use crate::support::{Evenkeel, Origin, eventually, pool};

fn ask(evenkeel: &Evenkeel, question: &str) -> Value {
    let answer = evenkeel.admin("POST", "/explain", question);
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

const ROUTES: &str = r#"
[[route]]
name = "canary"
host = "shop.test"
path = "/api/*"
headers = { x-canary = "1" }
pool = "canary"

[[route]]
name = "api"
host = "shop.test"
path = "/api/*"
pool = "app"
rate_limit = { per = "client-ip", rate = "10/s", burst = 20 }
cache = { ttl = "10m" }

[[route]]
name = "old"
path = "/old"
redirect = "https://new.test/"

[pool.canary]
backends = ["127.0.0.1:9"]

[pool.app]
algorithm = "ip-hash"
backends = [{ address = "127.0.0.1:7", name = "one" }, { address = "127.0.0.1:8", name = "two" }]
"#;

#[test]
fn the_answer_is_the_same_as_that_of_the_command() {
    let evenkeel = Evenkeel::start(ROUTES);
    let cases: [(&[&str], &str); 5] = [
        (&["GET", "http://shop.test/api/cart?a=b"], r#"{"url":"http://shop.test/api/cart?a=b"}"#),
        (
            &["POST", "http://shop.test/api/cart", "-H", "x-canary: 1"],
            r#"{"method":"POST","url":"http://shop.test/api/cart","headers":{"x-canary":"1"}}"#,
        ),
        (
            &["GET", "http://shop.test/api/cart", "--client", "10.1.2.3", "--listener", "web"],
            r#"{"url":"http://shop.test/api/cart","client":"10.1.2.3","listener":"web"}"#,
        ),
        (&["GET", "http://x.test/old"], r#"{"url":"http://x.test/old"}"#),
        (&["GET", "http://x.test/none"], r#"{"url":"http://x.test/none"}"#),
    ];
    for (arguments, question) in cases {
        let config = evenkeel.config();
        let outcome = evenkeel.cli(&[&["explain", "--json", "-c", &config], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let command: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(ask(&evenkeel, question), command, "{question}");
    }
}

#[test]
fn each_server_has_its_real_state_and_the_reason_why_it_is_not_chosen() {
    let (one, two, gone) = (Origin::named("one"), Origin::named("two"), Origin::refusing("gone"));
    let keys = "algorithm = \"least-connections\"\n\
        health = { kind = \"tcp\", interval = \"50ms\", timeout = \"1s\", fall = 1, rise = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&one, &two, &gone], keys));
    evenkeel.wait_for_state("one", "up");
    evenkeel.wait_for_state("two", "up");
    evenkeel.wait_for_state("gone", "down");
    evenkeel.set_server("app", "two", r#"{"state":"drain"}"#);
    let answer = ask(&evenkeel, r#"{"url":"http://x/"}"#);
    assert_eq!(answer["server"], "one", "{answer}");
    let of = |id: &str| {
        let rows = answer["candidates"].as_array().unwrap();
        rows.iter().find(|row| row["server"] == id).unwrap().clone()
    };
    assert_eq!((&of("one")["chosen"], &of("one")["state"]), (&true.into(), &"up".into()));
    for (id, state, why) in [("two", "draining", "drained by the operator"), ("gone", "down", "refused")] {
        let row = of(id);
        assert_eq!((row["chosen"].as_bool(), row["state"].as_str()), (Some(false), Some(state)), "{row}");
        assert!(row["why"].as_str().unwrap().contains(why), "{row}");
    }
    evenkeel.set_server("app", "one", r#"{"state":"drain"}"#);
    eventually("there is no server left", || {
        let answer = ask(&evenkeel, r#"{"url":"http://x/"}"#);
        answer["status"] == 503 && answer["server"].is_null()
    });
}

#[test]
fn weights_and_splits_are_those_that_commands_have_set() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"release\"\nsplit = [{{ pool = \"blue\", weight = 9 }}, {{ pool = \"green\", weight = 1 }}]\n\
         [pool.blue]\nbackends = [{{ address = \"{}\", name = \"b\" }}]\n\
         [pool.green]\nbackends = [{{ address = \"{}\", name = \"g\" }}]\n",
        blue.address(),
        green.address()
    ));
    let facts = || {
        let answer = ask(&evenkeel, r#"{"url":"http://x/"}"#);
        (answer["split"].clone(), answer["candidates"][0]["weight"].clone())
    };
    assert_eq!(facts(), ("blue 9/10, green 1/10".into(), 1.into()));
    evenkeel.set_server("blue", "b", r#"{"weight":5}"#);
    evenkeel.set_server("green", "g", r#"{"weight":5}"#);
    assert_eq!(evenkeel.cli(&["split", "release", "green=4"]).code, Some(0));
    assert_eq!(facts(), ("blue 9/13, green 4/13".into(), 5.into()));
}

#[test]
fn what_cannot_be_is_refused_with_why() {
    let evenkeel = Evenkeel::start(ROUTES);
    for (question, why) in [
        (r#"{"url":"ftp://x/"}"#, "ftp://"),
        (r#"{"url":"http://x/","listener":"none"}"#, "no listener none"),
        (r#"{"url":"foo"}"#, "neither a URL nor a path"),
    ] {
        let answer = evenkeel.admin("POST", "/explain", question);
        assert!(answer.status == 422 && answer.text().contains(why), "{question}: {}", answer.text());
    }
}

#[test]
fn the_command_asks_a_running_process_that_it_names() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let evenkeel = Evenkeel::start(&pool(&[&one, &two], "algorithm = \"least-connections\""));
    evenkeel.set_server("app", "one", r#"{"state":"drain"}"#);
    let admin = evenkeel.admin_address().to_string();
    let explain = |arguments: &[&str]| {
        let outcome = evenkeel.cli(&[&["explain", "--admin", &admin], arguments].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome.stdout
    };
    let question = ["GET", "http://x/", "-H", "x-a: 1", "-H", "x-a: 2", "--client", "10.1.2.3"];
    let text = explain(&question);
    for part in ["pool      app\n", "server    two\n", "servers, as they are now:\n  two "] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let is_of_one =
        |line: &&str| line.starts_with("  one ") && line.ends_with("draining: drained by the operator");
    assert_eq!(text.lines().filter(is_of_one).count(), 1, "{text}");
    let json: Value = serde_json::from_str(&explain(&[&question[..], &["--json"]].concat())).unwrap();
    let same = ask(&evenkeel, r#"{"url":"http://x/","headers":{"x-a":["1","2"]},"client":"10.1.2.3"}"#);
    assert_eq!((&json["server"], &json["candidates"]), (&"two".into(), &same["candidates"]));

    for (arguments, code) in [(&["GET", "http://x/", "--listener", "none"][..], 1), (&["GET", "ftp://x/"], 2)]
    {
        let refused = evenkeel.cli(&[&["explain", "--admin", &admin], arguments].concat());
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(code), ""), "{arguments:?}");
    }
    let offline = evenkeel.cli(&["explain", "-c", &evenkeel.config(), "GET", "http://x/"]).stdout;
    assert!(!offline.contains("servers, as they are now"), "{offline}");
}

//! Servers are listed, added, changed and removed by commands while traffic flows, and nothing is lost.

use serde_json::Value;

use crate::support::{Evenkeel, Origin, Traffic, eventually, pool};

/// What a command prints with `--json`.
fn json(evenkeel: &Evenkeel, arguments: &[&str]) -> Value {
    let outcome = evenkeel.cli(&[arguments, &["--json"]].concat());
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn fails(evenkeel: &Evenkeel, arguments: &[&str]) -> String {
    let outcome = evenkeel.cli(arguments);
    assert_eq!(outcome.code, Some(1), "{arguments:?}: {}", outcome.stdout);
    outcome.stderr
}

#[test]
fn a_server_comes_and_goes_under_traffic() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let address = b.address().to_string();
    let traffic = Traffic::start(evenkeel.address(), 4);
    for _ in 0..3 {
        traffic.more(20);
        let added = json(&evenkeel, &["server", "add", "app", &address, "--name", "b", "--weight", "2"]);
        assert_eq!(
            (&added["id"], &added["weight"], &added["origin"]),
            (&"b".into(), &2.into(), &"command".into())
        );
        let before = traffic.of("b");
        eventually("b gets requests", || traffic.of("b") > before + 8);
        let listed = evenkeel.cli(&["server", "list", "app"]);
        assert!(listed.stdout.contains(&address) && !listed.stdout.contains("POOL"), "{}", listed.stdout);
        assert_eq!(json(&evenkeel, &["server", "list"])[1]["pool"], "app");
        assert_eq!(json(&evenkeel, &["server", "remove", "app", "b"])["removed"], "b");
        assert_eq!(json(&evenkeel, &["server", "list"]).as_array().unwrap().len(), 1);
    }
    assert_eq!(traffic.stop().lost, [""; 0]);
}

#[test]
fn what_is_repeated_changes_nothing_and_is_noted_once() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let address = b.address().to_string();
    let commands: [&[&str]; 5] = [
        &["server", "add", "app", &address, "--name", "b"],
        &["weight", "app", "b", "7"],
        &["drain", "app", "b"],
        &["enable", "app", "b"],
        &["server", "remove", "app", "b"],
    ];
    for (number, command) in commands.iter().enumerate() {
        let first = evenkeel.cli(command);
        let tag = evenkeel.admin("GET", "/pools/app", "").header("etag").unwrap().to_owned();
        let second = evenkeel.cli(command);
        assert_eq!((first.code, second.code), (Some(0), Some(0)), "{command:?}: {}", second.stderr);
        assert_eq!(first.stdout, second.stdout);
        assert_eq!(evenkeel.admin("GET", "/pools/app", "").header("etag"), Some(tag.as_str()));
        let noted = evenkeel.stderr.count(|line| line.contains("operator: "));
        assert_eq!(noted, number + 1, "{command:?}: {}", evenkeel.stderr.text());
    }
}

#[test]
fn wrong_names_are_errors_that_say_what_there_is() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    assert!(fails(&evenkeel, &["server", "list", "none"]).contains("there is no pool none, only app"));
    for command in ["drain", "disable", "enable"] {
        assert!(
            fails(&evenkeel, &[command, "app", "z"]).contains("there is no server z in the pool app, only a"),
            "{command}"
        );
    }
    assert!(fails(&evenkeel, &["weight", "none", "a", "1"]).contains("there is no pool none, only app"));
    assert!(fails(&evenkeel, &["server", "remove", "app", "z"]).contains("there is no server z"));
    assert!(fails(&evenkeel, &["server", "add", "app", "127.0.0.1:9", "--name", "a"]).contains("a already"));
    assert!(fails(&evenkeel, &["server", "add", "none", "127.0.0.1:9"]).contains("there is no pool none"));
    assert!(fails(&evenkeel, &["server", "add", "app", "nowhere:at:all"]).contains("address"));
    for command in [&["drain", "ap", "a"][..], &["server", "list", "ap"], &["server", "remove", "ap", "a"]] {
        let text = fails(&evenkeel, command);
        assert!(text.contains("there is no pool ap, only app: did you mean app?"), "{text}");
    }
    for path in ["/pools/ap", "/pools/ap/servers/a"] {
        let answer = evenkeel.admin("GET", path, "");
        assert_eq!(answer.status, 404);
        assert!(
            answer.text().contains("there is no pool ap, only app: did you mean app?"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(evenkeel.get("/").text(), "a");
    assert_eq!(evenkeel.stderr.count(|line| line.contains("operator: ")), 0);
}

#[test]
fn a_wrong_weight_is_refused_with_what_is_expected() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let cases: [(&[&str], &str); 7] = [
        (&["weight", "app", "a", "1001"], "from 0 to 1000, not `1001`"),
        (&["weight", "app", "a", "abc"], "from 0 to 1000, not `abc`"),
        (&["weight", "app", "a", "-1"], "from 0 to 1000, not `-1`"),
        (&["weight", "app", "a", "1.5"], "from 0 to 1000, not `1.5`"),
        (&["server", "add", "app", "127.0.0.1:9", "--weight", "1001"], "from 0 to 1000, not `1001`"),
        (&["split", "all", "app=1000001"], "from 0 to 1000000, not `1000001`"),
        (&["split", "all", "app=x"], "from 0 to 1000000, not `x`"),
    ];
    for (arguments, expected) in cases {
        let outcome = evenkeel.cli(arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {}", outcome.stderr);
        let expected = format!("the weight must be a whole number {expected}");
        assert!(outcome.stderr.contains(&expected), "{arguments:?}: {}", outcome.stderr);
    }
    let answer = evenkeel.admin("PUT", "/pools/app/servers/a", "{\"weight\":1001}");
    let expected = "{\"error\":\"`weight` must be a whole number from 0 to 1000, not 1001\"}";
    assert_eq!((answer.status, answer.text().as_str()), (400, expected));
    let answer = evenkeel.admin("PUT", "/pools/app/servers/a", "{\"weight\":1");
    assert!(answer.text().contains("the body is not JSON: ") && answer.text().contains("at line 1"));
}

#[test]
fn adding_a_server_again_compares_only_what_is_said() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let address = b.address().to_string();
    let add: &[&str] = &["server", "add", "app", &address, "--name", "b"];
    assert_eq!(evenkeel.cli(add).code, Some(0));
    assert_eq!(evenkeel.cli(&["weight", "app", "b", "5"]).code, Some(0));
    let again = json(&evenkeel, add);
    assert_eq!(again["weight"], 5, "nothing was said of the weight");
    assert_eq!(json(&evenkeel, &[add, &["--weight", "5"]].concat())["weight"], 5);
    for more in [&["--weight", "1"][..], &["--backup"]] {
        let said = fails(&evenkeel, &[add, more].concat());
        assert!(said.contains("a server b already, with weight 5, not as a backup"), "{more:?}: {said}");
    }
}

#[test]
fn a_removed_server_comes_back_as_the_configuration_has_it() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let address = b.address().to_string();
    let text = pool(&[&a], "").replace(
        "backends = [",
        &format!(
            "backends = [{{ address = \"{address}\", name = \"b\", weight = 3, max_connections = 50 }}, "
        ),
    );
    let evenkeel = Evenkeel::start(&text);
    let settings = || {
        let answer = evenkeel.admin("GET", "/pools/app", "").text();
        let servers = serde_json::from_str::<Value>(&answer).unwrap()["servers"].clone();
        servers.as_array().unwrap().iter().find(|server| server["id"] == "b").cloned()
    };
    let before = settings();
    assert_eq!(before.as_ref().unwrap()["max_connections"], 50);
    assert_eq!(evenkeel.cli(&["server", "remove", "app", "b"]).code, Some(0));
    assert_eq!(settings(), None);
    assert_eq!(evenkeel.cli(&["server", "add", "app", &address, "--name", "b"]).code, Some(0));
    assert_eq!(settings(), before);
    evenkeel.stderr.wait_for("the change", |line| line.contains("with weight 3"));
    let diff = evenkeel.cli(&["diff", "--exit-code"]);
    assert_eq!(diff.code, Some(0), "{}", diff.stdout);
}

#[test]
fn a_change_meant_for_another_state_of_the_pool_is_refused() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], ""));
    let ask = |method: &str, path: &str, tag: &str, body: &str| {
        evenkeel.admin_with(method, path, &format!("if-match: {tag}\r\n"), body)
    };
    let first = evenkeel.admin("GET", "/pools/app", "");
    let tag = first.header("etag").unwrap().to_owned();
    let settings: Value = serde_json::from_str(&first.text()).unwrap();
    assert_eq!(settings["servers"][0]["state"], "ready");
    let put = ask("PUT", "/pools/app/servers/a", &tag, "{\"weight\":5}");
    assert_eq!(put.status, 200, "{}", put.text());
    let newer = put.header("etag").unwrap().to_owned();
    assert_ne!(newer, tag);
    for (method, path, body) in [
        ("PUT", "/pools/app/servers/a", "{\"state\":\"drain\"}"),
        ("DELETE", "/pools/app/servers/a", ""),
        ("POST", "/pools/app/servers", "{\"address\":\"127.0.0.1:9\"}"),
    ] {
        let refused = ask(method, path, &tag, body);
        assert_eq!(refused.status, 412, "{method}: {}", refused.text());
        assert!(refused.text().contains(newer.trim_matches('"')), "{}", refused.text());
    }
    assert_eq!(evenkeel.admin("GET", "/pools/app", "").header("etag"), Some(newer.as_str()));
    let either = format!("{tag}, {newer}");
    assert_eq!(ask("PUT", "/pools/app/servers/a", &either, "{\"weight\":6}").status, 200);
    assert_eq!(ask("PUT", "/pools/app/servers/a", "*", "{\"weight\":1}").status, 200);
    assert_eq!(
        evenkeel.admin("GET", "/pools/app", "").header("etag"),
        Some(tag.as_str()),
        "all is as at first"
    );
}

#[test]
fn the_api_says_what_was_made_and_what_was_there() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let add = |body: &str| evenkeel.admin("POST", "/pools/app/servers", body).status;
    assert_eq!(add("{\"address\":\"127.0.0.1:9\",\"id\":\"b\",\"backup\":true}"), 201);
    assert_eq!(add("{\"address\":\"127.0.0.1:9\",\"id\":\"b\",\"backup\":true}"), 200);
    assert_eq!(add("{\"address\":\"127.0.0.1:10\",\"id\":\"b\"}"), 409);
    assert_eq!(add("{\"address\":\"127.0.0.1:9\",\"id\":\"b\",\"backup\":true,\"weight\":4}"), 409);
    assert_eq!(add("{\"address\":\"127.0.0.1:9\",\"id\":\"b/c\"}"), 400);
    assert_eq!(add("{\"address\":\"127.0.0.1:9\",\"port\":1}"), 400);
    assert_eq!(evenkeel.admin("DELETE", "/pools/app/servers/b", "").status, 200);
    assert_eq!(evenkeel.admin("DELETE", "/pools/app/servers/b", "").status, 200);
    assert_eq!(evenkeel.admin("DELETE", "/pools/app/servers/c", "").status, 404);
    assert_eq!(evenkeel.admin("GET", "/pools/app/servers/b", "").status, 404);
    assert_eq!(evenkeel.admin("GET", "/pools/none", "").status, 404);
}

#[test]
fn a_second_server_at_the_same_address_is_warned_of() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let address = a.address().to_string();
    let words = format!("server b has the same address as server a, {address}");
    let logged = |line: &str| line.contains("WARN") && line.contains(&words);

    let outcome = evenkeel.cli(&["server", "add", "app", &address, "--name", "b"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with(&format!("warning: {words}")), "{}", outcome.stderr);
    evenkeel.stderr.wait_for("the warning", logged);
    let outcome = evenkeel.cli(&["server", "add", "app", "127.0.0.1:9"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));

    let answer = evenkeel.reload(&pool(&[&a], "")).text();
    assert!(answer.contains(&words), "{answer}");
    let third = format!("backends = [{{ address = \"{address}\", name = \"c\" }}, ");
    let answer = evenkeel.reload(&pool(&[&a], "").replace("backends = [", &third)).text();
    assert!(answer.contains("servers `c` and `a` of pool `app` have the same address"), "{answer}");
}

//! `evenkeel plan` says what a new configuration would change, before it is in force.

use serde_json::{Value, json};

use crate::support::{Evenkeel, Folder, Origin, Port, cli, eventually, ms, ok, pool};

const OLD: &str = "\
[server]
workers = 1
[listener.web]
bind = [\"127.0.0.1:8001\", \"127.0.0.1:8002\"]
[[route]]
path = \"/api/*\"
pool = \"green\"
[pool.green]
backends = [\"10.0.0.1:3000\", { address = \"10.0.0.2:3000\", name = \"big\", weight = 3 }]
[pool.blue]
backends = [\"10.0.1.1:3000\"]
";

const NEW: &str = "\
[server]
workers = 2
[listener.web]
bind = [\"127.0.0.1:8001\", \"127.0.0.1:8003\"]
[[route]]
path = \"/api/*\"
pool = \"blue\"
[pool.green]
backends = [{ address = \"10.0.0.2:3000\", name = \"big\", weight = 5 }, \"10.0.0.3:3000\"]
[pool.blue]
backends = [\"10.0.1.1:3000\"]
";

#[test]
fn two_files_are_compared_in_words() {
    let folder = Folder::new();
    let (old, new) = (folder.write("old.toml", OLD), folder.write("new.toml", NEW));
    let outcome = cli(&["plan", &new, "-c", &old]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("comparing the two files only"), "{}", outcome.stderr);
    for line in [
        "  server.workers: 1 -> 2\n",
        "  listener web: address 127.0.0.1:8002 is closed\n",
        "  listener web: address 127.0.0.1:8003 is opened\n",
        "  route /api/*: now leads to pool blue instead of pool green\n",
        "  pool green: server 10.0.0.1:3000 is removed\n",
        "  pool green: server big: weight: 3 -> 5\n",
        "  pool green: server 10.0.0.3:3000 is added\n",
        "takes effect at a restart or upgrade: a reload leaves the old value in force\n    server.workers\n",
    ] {
        assert!(outcome.stdout.contains(line), "no {line} in\n{}", outcome.stdout);
    }
    let outcome = cli(&["plan", &new, "-c", &old, "--json"]);
    let plan: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 7);
    assert_eq!(plan["changes"][0]["key"], "server.workers");
    assert_eq!(plan["changes"][0]["effect"], "restart");
    assert_eq!(plan["traffic"], Value::Null);
    let same = folder.write("same.toml", OLD);
    let outcome = cli(&["plan", &same, "-c", &old]);
    assert!(outcome.stdout.ends_with(": no change"), "{}", outcome.stdout);
}

#[test]
fn a_file_that_no_process_runs_is_not_compared_with_itself() {
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", OLD);
    for arguments in [&["plan", "evenkeel.toml"][..], &["plan", &file, "-c", "./evenkeel.toml"]] {
        let outcome = folder.cli(arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        for part in ["no process runs", "-c OLD.toml", "--admin ADDRESS"] {
            assert!(outcome.stderr.contains(part), "no {part} in {}", outcome.stderr);
        }
    }
}

#[test]
fn a_new_file_that_is_wrong_is_refused() {
    let folder = Folder::new();
    let (old, new) =
        (folder.write("old.toml", OLD), folder.write("new.toml", "[pool.green]\nbackend = [1]\n"));
    let outcome = cli(&["plan", &new, "-c", &old]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert!(outcome.stderr.contains("backends"), "{}", outcome.stderr);
}

#[test]
fn a_running_process_is_compared_with_a_file() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    evenkeel.rewrite(&pool(&[&a, &b], ""));
    evenkeel.set_server("app", "a", "{\"weight\": 7}");
    let outcome = evenkeel.cli(&["plan", "evenkeel.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let added = format!("pool app: server b ({}) is added", b.address());
    for line in [
        "evenkeel.toml against the running process: 1 change\n",
        &added,
        "weight of server a: 1 -> 7 by a command",
    ] {
        assert!(outcome.stdout.contains(line), "no {line} in\n{}", outcome.stdout);
    }
    assert_eq!(evenkeel.status()["generation"], 1, "nothing was reloaded");
}

/// A server whose answers take long enough to be kept by a recorder that calls a millisecond slow.
fn server(name: &str) -> Origin {
    let text = ok(name);
    let slowly = Origin::answering(move |_| {
        std::thread::sleep(ms(2));
        text.clone()
    });
    slowly.called(name)
}

/// A service that answers `/api/...` by one pool and the rest by another, and keeps records of all requests.
fn shop(api: &Origin, site: &Origin, routes: &str) -> String {
    format!(
        "[recorder]\nslow = \"1ms\"\n[listener.web]\nbind = \"127.0.0.1:0\"\n{routes}\
         [pool.api]\nbackends = [\"{}\"]\n[pool.site]\nbackends = [\"{}\"]\n",
        api.address(),
        site.address()
    )
}

fn route(path: &str, pool: &str) -> String {
    format!("[[route]]\npath = \"{path}\"\npool = \"{pool}\"\n")
}

/// Sends requests to both, until the process has a record of each.
fn visit(evenkeel: &Evenkeel) {
    let mut client = evenkeel.client();
    for number in 0..8 {
        assert_eq!(client.get(&format!("/api/v1/orders/{number}")).text(), "api");
    }
    for _ in 0..3 {
        assert_eq!(client.get("/welcome").text(), "site");
    }
    eventually("each request is kept", || {
        let kept: Value =
            serde_json::from_str(&evenkeel.admin("GET", "/requests?heads=true", "").text()).unwrap();
        kept["requests"].as_array().unwrap().len() == 11
    });
}

#[test]
fn a_mistyped_prefix_is_seen_before_it_costs_a_request() {
    let (api, site) = (server("api"), server("site"));
    let evenkeel =
        Evenkeel::start(&shop(&api, &site, &(route("/api/*", "api") + &route("/welcome", "site"))));
    visit(&evenkeel);
    // The operator adds a limit, and by mistake an i.
    let wrong = route("/apii/*", "api") + "timeout = { request = \"10s\" }\n" + &route("/welcome", "site");
    evenkeel.rewrite(&shop(&api, &site, &wrong));
    let outcome = evenkeel.cli(&["plan", "evenkeel.toml", "--fail-on-loss"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    for line in [
        "traffic: 11 requests that the process has kept, replayed through both configurations\n",
        "      3 would be answered as now\n",
        "      8 would match no route\n          pool api by route /api/* -> 404 (no route for this request)\n",
        "GET 127.0.0.1",
        "/api/v1/orders/",
    ] {
        let line = line.replace("GET 127.0.0.1", "GET test");
        assert!(outcome.stdout.contains(&line), "no {line} in\n{}", outcome.stdout);
    }
    // Nothing has happened, and the mended file loses nothing.
    assert_eq!(evenkeel.get("/api/v1/orders/1").text(), "api");
    evenkeel.rewrite(&shop(&api, &site, &wrong.replace("/apii/", "/api/")));
    let outcome = evenkeel.cli(&["plan", "evenkeel.toml", "--fail-on-loss", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    let plan: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&plan["traffic"]["lost"], &plan["traffic"]["groups"]), (&json!(0), &json!([])));
    assert_eq!(evenkeel.cli(&["reload"]).code, Some(0));
    assert_eq!(evenkeel.get("/api/v1/orders/1").text(), "api");
}

#[test]
fn a_split_that_a_command_has_set_is_where_requests_go_now() {
    let (blue, green) = (server("blue"), server("green"));
    let text = |weights: (u32, u32)| {
        format!(
            "[recorder]\nslow = \"1ms\"\n[[route]]\nname = \"release\"\n\
             split = [{{ pool = \"blue\", weight = {} }}, {{ pool = \"green\", weight = {} }}]\n\
             [pool.blue]\nbackends = [\"{}\"]\n[pool.green]\nbackends = [\"{}\"]\n",
            weights.0,
            weights.1,
            blue.address(),
            green.address()
        )
    };
    let evenkeel = Evenkeel::start(&text((9, 1)));
    assert_eq!(evenkeel.cli(&["split", "release", "green=4"]).code, Some(0));
    evenkeel.get("/");
    let traffic = || {
        let outcome = evenkeel.cli(&["plan", "evenkeel.toml", "--json"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        serde_json::from_str::<Value>(&outcome.stdout).unwrap()["traffic"].clone()
    };
    eventually("the request is kept", || traffic()["requests"] == 1);
    assert_eq!(traffic()["unchanged"], 1, "a reload keeps the split: {}", traffic());
    evenkeel.rewrite(&text((8, 2)));
    let group = traffic()["groups"][0].clone();
    assert_eq!(group["from"], "split between blue 9, green 4 by route release");
    assert_eq!(group["to"], "split between blue 4, green 1 by route release");
}

#[test]
fn a_route_that_shadows_another_is_seen_with_what_it_takes() {
    let (api, site) = (server("api"), server("site"));
    let old = route("/api/*", "api") + &route("/welcome", "site");
    let evenkeel = Evenkeel::start(&shop(&api, &site, &old));
    visit(&evenkeel);
    // It was meant for /api/v1/orders/new alone, and the order of the file does not matter.
    evenkeel.rewrite(&shop(&api, &site, &(old + &route("/api/v1/orders/*", "site"))));
    let outcome = evenkeel.cli(&["plan", "evenkeel.toml", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let plan: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let traffic = &plan["traffic"];
    assert_eq!(
        (&traffic["requests"], &traffic["unchanged"], &traffic["lost"]),
        (&json!(11), &json!(3), &json!(0))
    );
    let group = &traffic["groups"][0];
    assert_eq!((&group["shift"], &group["requests"]), (&json!("elsewhere"), &json!(8)));
    assert_eq!(group["from"], "pool api by route /api/*");
    assert_eq!(group["to"], "pool site by route /api/v1/orders/*");
    let example = &group["examples"][0];
    let why = evenkeel.cli(&["why", example["id"].as_str().unwrap()]);
    assert!(why.stdout.contains("/api/v1/orders/"), "the id leads to the request: {}", why.stderr);
}

#[test]
fn an_address_that_another_process_has_is_a_warning() {
    let (origin, own, free, port) =
        (Origin::named("a"), Port::reserve_everywhere(), Port::reserve(), Port::reserve());
    let listener = |name: &str, keys: &str| format!("[listener.{name}]\npool = \"app\"\n{keys}\n");
    let web = |bind: &str| listener("web", &format!("bind = \"{bind}\""));
    let old = format!("{}{}", web(&own.address().to_string()), pool(&[&origin], ""));
    let evenkeel = Evenkeel::start(&old);
    let (taken, udp) = (port.listen(), std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let (there, udp_there) = (port.address(), udp.local_addr().unwrap());
    // The port of the listener for all addresses overlaps with what the process has itself.
    let new = format!(
        "[server]\nworkers = 1\n[admin]\nbind = \"127.0.0.1:0\"\n{}{}{}{}",
        web(&format!(":{}", own.address().port())),
        listener("more", &format!("bind = [\"{}\", \"{there}\"]", free.address())),
        listener("name", &format!("protocol = \"udp\"\nbind = [\"{udp_there}\"]")),
        pool(&[&origin], "")
    );
    let file = evenkeel.folder().write("new.toml", &new);
    let said = |address: &str| {
        format!(
            "another process listens on {address}: as long as it does, a reload with this file is refused"
        )
    };
    let outcome = evenkeel.cli(&["plan", &file, "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let expected = format!(
        "warning: listener more: {}\nwarning: listener name: {}",
        said(&there.to_string()),
        said(&format!("{udp_there} (udp)"))
    );
    assert_eq!(outcome.stderr, expected);
    let plan: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let addresses = json!([
        { "listener": "more", "address": there.to_string(), "protocol": "tcp" },
        { "listener": "name", "address": udp_there.to_string(), "protocol": "udp" },
    ]);
    assert_eq!(plan["addresses_in_use"], addresses);
    taken.set_nonblocking(true).unwrap();
    assert!(taken.accept().is_err(), "nothing has connected to it");
    let refused = evenkeel.reload(&new);
    assert!(
        refused.status == 422 && refused.text().contains("another process already does"),
        "{}",
        refused.text()
    );
    drop((taken, udp));
    let outcome = evenkeel.cli(&["plan", &file]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(evenkeel.reload(&new).status, 200);
}

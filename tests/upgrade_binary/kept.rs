//! What goes on over an upgrade: connections that are open, and what operators have done.

use std::io::Write as _;
use std::net::TcpStream;

use super::setting::Chain;
use crate::l4::server::{Server, line};
use crate::support::cache::is_hit;
use crate::support::disk::{DiskCache, wait_on_disk};
use crate::support::{Client, DEADLINE, Folder, Gate, Origin, Port, cli, eventually, ok, pool};

#[test]
fn the_command_says_which_process_serves() {
    let origin = Origin::named("a");
    let mut chain = Chain::start(&pool(&[&origin], ""));
    let (old, admin) = (chain.pid(), chain.admin_address().to_string());
    let outcome = cli(&["upgrade", "--admin", &admin, "--why", "to see it"]);
    let new = chain.status()["pid"].as_u64().unwrap() as u32;
    chain.note(new);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let words = format!(
        "upgraded: process {new} serves, and process {old} finishes what it has, within 30 s at most"
    );
    assert_eq!(outcome.stdout, words);
    assert_ne!(new, old);
    assert_eq!(chain.get("/").text(), "a");
    assert_eq!(chain.wait_end().code(), Some(0));
    chain.stderr.wait_for("the reason in the log", |line| line.contains("to see it"));
    let outcome = chain.cli(&["upgrade", "--binary", "/no/such/evenkeel"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.stderr,
        "error: not upgraded: cannot read /no/such/evenkeel: No such file or directory (os error 2)"
    );
}

#[test]
fn a_connection_between_two_requests_is_closed_by_the_answer_to_the_next_one() {
    let origin = Origin::named("a");
    let mut chain = Chain::start(&pool(&[&origin], ""));
    let mut client = chain.client();
    assert_eq!(client.get("/").text(), "a");
    let mut silent = chain.client();
    eventually("both are known", || chain.metric("evenkeel_connections", &[]) == 2.0);
    chain.upgrade();
    for client in [&mut client, &mut silent] {
        let response = client.get("/");
        assert_eq!(response.text(), "a");
        assert!(response.lists("connection", "close"), "{:?}", response.head);
        client.assert_closed();
    }
    drop((client, silent));
    assert_eq!(chain.wait_end().code(), Some(0), "nothing is left for it to do");
}

#[test]
fn requests_and_tunnels_under_way_go_on_in_the_old_process() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| match request.target() {
        "/held" => {
            theirs.wait();
            wire.send(ok("late"));
        }
        "/echo" => {
            wire.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
            while let Ok(bytes) = wire.some() {
                wire.send(bytes);
            }
            wire.close();
        }
        _ => {
            wire.send(ok("soon"));
        }
    });
    let mut chain = Chain::start(&pool(&[&origin], ""));
    let (mut held, mut tunnel) = (chain.client(), chain.client());
    held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(tunnel.get_with("/echo", "connection: upgrade\r\nupgrade: echo\r\n").status, 101);
    eventually("the server is asked", || origin.count() == 2);
    for _ in 0..2 {
        chain.upgrade();
    }
    assert_eq!(chain.get("/").text(), "soon");
    tunnel.send("still here");
    assert_eq!(tunnel.exactly(10).unwrap(), b"still here");
    gate.open();
    assert_eq!(held.answer("GET").text(), "late");
    assert!(chain.is_running(), "the tunnel keeps the first process");
    tunnel.close();
    assert_eq!(chain.wait_end().code(), Some(0));
}

#[test]
fn a_relayed_connection_lives_in_the_old_process() {
    let server = Server::echo("a");
    let mut chain = Chain::start(&crate::l4::server::config("", &[&server], ""));
    let address = chain.listener("db");
    let mut before = TcpStream::connect(address).unwrap();
    before.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(line(&before), "a");
    chain.upgrade();
    let after = TcpStream::connect(address).unwrap();
    after.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(line(&after), "a");
    before.write_all(b"and on\n").unwrap();
    assert_eq!(line(&before), "and on");
    assert!(chain.is_running());
    // The old process may have accepted it in the moment before it let go of the listener.
    drop(after);
    drop(before);
    assert_eq!(chain.wait_end().code(), Some(0));
}

#[test]
fn drains_and_weights_are_known_to_the_new_process() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let mut chain = Chain::start(&pool(&[&a, &b], ""));
    chain.set_server("app", "a", "{\"state\": \"drain\"}");
    chain.set_server("app", "b", "{\"weight\": 7}");
    for _ in 0..2 {
        chain.upgrade();
        assert_eq!(chain.server("app", "a")["state"], "draining");
        assert_eq!(chain.server("app", "b")["weight"], 7);
        assert!((0..4).all(|_| chain.get("/").text() == "b"));
    }
}

#[test]
fn disabled_servers_and_splits_are_known_to_the_new_process() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let split = "[[route]]\nname = \"main\"\npath = \"/*\"\nsplit = [{ pool = \"app\", weight = 1 }, { pool = \"other\", weight = 1 }]\n";
    let other = pool(&[&b], "").replace("pool.app", "pool.other");
    let mut chain = Chain::start(&format!("{split}{}{other}", pool(&[&a, &b], "")));
    chain.set_server("app", "b", "{\"state\": \"disable\"}");
    let divided = chain.admin("PUT", "/routes/main/split", "{\"app\": 1, \"other\": 0}");
    assert_eq!(divided.status, 200, "{}", divided.text());
    for _ in 0..2 {
        chain.upgrade();
        assert_eq!(chain.status()["generation"], 1, "it begins anew");
        assert!((0..6).all(|_| chain.get("/").text() == "a"));
        let events = chain.admin("GET", "/events?kind=upgrade", "").text();
        assert!(events.contains("this process has taken over from process"), "{events}");
    }
}

#[test]
fn commands_about_discovered_servers_are_known_to_the_new_process() {
    let names = ["a", "b", "c"];
    let origins = names.map(Origin::named);
    let list =
        origins.iter().map(|it| format!("{{ address = \"{}\", name = \"{}\" }},", it.address(), it.name));
    let folder = Folder::new();
    folder.write("servers.toml", &format!("backends = [\n{}\n]\n", list.collect::<Vec<_>>().join("\n")));
    let mut chain = Chain::start_in(folder, "[pool.app]\ndiscover = { file = \"servers.toml\" }\n");
    eventually("they are discovered", || chain.get("/").status == 200);
    chain.set_server("app", "a", "{\"state\": \"drain\"}");
    chain.set_server("app", "b", "{\"weight\": 7}");
    assert_eq!(chain.admin("DELETE", "/pools/app/servers/c", "").status, 200);
    for _ in 0..2 {
        chain.upgrade();
        assert!((0..9).all(|_| chain.get("/").text() == "b"));
        assert_eq!(chain.server("app", "a")["state"], "draining");
        assert_eq!(chain.server("app", "b")["weight"], 7);
    }
}

#[test]
fn a_server_that_is_down_gets_no_request_from_the_new_process() {
    let (a, b) = (Origin::named("a"), crate::support::Port::reserve());
    let servers = pool(&[&a], "health = { kind = \"tcp\", interval = \"50ms\", fall = 1 }")
        .replace("backends = [", &format!("backends = [{{ address = \"{}\", name = \"b\" }}, ", b.address()));
    let mut chain = Chain::start(&servers);
    chain.wait_for_state("b", "down");
    chain.upgrade();
    assert_eq!(chain.server("app", "b")["state"], "down", "it was checked before the first request came");
}

#[test]
fn the_disk_cache_goes_to_the_new_process() {
    let (origin, cache) = (
        Origin::start(|_, wire| {
            wire.send(crate::support::cache::fresh("", "kept"));
        }),
        DiskCache::new(),
    );
    let mut chain = Chain::of(cache.start(&origin, "{ ttl = \"10m\" }"));
    assert_eq!(chain.get("/a").text(), "kept");
    wait_on_disk(&chain, 1);
    for _ in 0..2 {
        chain.upgrade();
        eventually("it is found again", || is_hit(&chain.get("/a")));
        wait_on_disk(&chain, 1);
    }
    assert_eq!(origin.count(), 1, "one process after the other had it");
}

#[test]
fn what_the_file_says_by_then_counts() {
    let origin = Origin::named("a");
    let mut chain = Chain::start(&pool(&[&origin], ""));
    chain.rewrite(&format!(
        "[[route]]\npath = \"/new\"\nrespond = {{ status = 200, body = \"new\" }}\n{}",
        pool(&[&origin], "")
    ));
    assert_eq!(chain.get("/new").text(), "a");
    chain.upgrade();
    assert_eq!(chain.get("/new").text(), "new");
    assert_eq!(Client::connect(chain.address()).get("/").text(), "a");
}

#[test]
fn what_a_reload_leaves_as_it_was_takes_effect() {
    let (origin, cache, admin) = (Origin::named("a"), DiskCache::new(), Port::reserve());
    let mut chain = Chain::of(cache.start(&origin, "{ ttl = \"10m\" }"));
    let other = cache.path().with_file_name("other");
    let text = cache.text(&origin, "{ ttl = \"10m\" }");
    let text = text.replace(cache.path().to_str().unwrap(), other.to_str().unwrap());
    let text = text.replace("[listener.web]\n", "[listener.web]\nbacklog = 77\nfast_open = 8\n");
    let changed = format!(
        "[server]\nworkers = 2\n[admin]\nbind = \"{}\"\n[log]\naccess = \"off\"\n{text}",
        admin.address()
    );
    chain.rewrite(&changed);
    let outcome = chain.cli(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let keys = [
        "server.workers",
        "admin",
        "cache.disk.path",
        "log.access",
        "listener.NAME.backlog",
        "listener.NAME.fast_open",
    ];
    for key in keys {
        let warning =
            format!("changing [{key}] requires a restart or an upgrade (`evenkeel upgrade`); the reload");
        assert!(outcome.stderr.contains(&warning), "no {warning} in\n{}", outcome.stderr);
    }
    assert!(chain.cli(&["diff"]).stdout.contains("takes effect at a restart or upgrade"));
    let outcome = chain.cli(&["upgrade", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let answer: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    chain.note(answer["pid"].as_u64().unwrap() as u32);
    let outcome = chain.cli(&["diff"]);
    assert!(outcome.stdout.contains("says what is in force"), "{}{}", outcome.stdout, outcome.stderr);
    let health = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", admin.address());
    assert_eq!(Client::connect(admin.address()).ask(health).status, 200);
    assert!(other.exists(), "the disk cache is there");
}

//! Keys of a log line that the configuration has chosen.

use serde_json::Value;

use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Peer, fields};
use crate::support::{Evenkeel, Origin, answer, cli, ok, pool};

const FIELDS: &str = "[log]\nfields = { tenant = \"request-header:X-Tenant\", country = \"response-header:x-country\", \
                      session = \"cookie:sid\", site = \"text:fra1 \\\"a\\\"\" }\n";

#[test]
fn they_hold_what_request_and_response_have() {
    let origin = Origin::answering(|_| answer(200, "X-Country: de\r\nx-country: fr\r\n", "hello"));
    let evenkeel = Evenkeel::start(&(FIELDS.to_owned() + &pool(&[&origin], "")));
    evenkeel.client().get_with("/all", "x-tenant: acme\r\ncookie: a=b; sid=42\r\n");
    let record = evenkeel.record(|record| record["target"] == "/all");
    for (key, value) in [("tenant", "acme"), ("country", "de"), ("session", "42"), ("site", "fra1 \"a\"")] {
        assert_eq!(record[key], value, "{key} in {record}");
    }
}

#[test]
fn what_is_missing_is_null() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&(FIELDS.to_owned() + &pool(&[&origin], "")));
    evenkeel.get("/none");
    let record = evenkeel.record(|record| record["target"] == "/none");
    for key in ["tenant", "country", "session"] {
        assert_eq!(record.get(key), Some(&Value::Null), "{key} in {record}");
    }
    evenkeel.ask("GET / HTTP/1.1\r\n\r\n");
    let refused = evenkeel.record(|record| record["status"] == 400);
    assert_eq!((&refused["tenant"], &refused["site"]), (&Value::Null, &"fra1 \"a\"".into()));
}

#[test]
fn hostile_values_are_escaped_and_cut() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&(FIELDS.to_owned() + &pool(&[&origin], "")));
    let mut client = evenkeel.client();
    client.send(b"GET /bad HTTP/1.1\r\nhost: test\r\nx-tenant: \"}\xff\t{\"status\":999\r\n\r\n");
    client.answer("GET");
    let record = evenkeel.record(|record| record["target"] == "/bad");
    assert_eq!(record["tenant"], "\"}\u{fffd}\t{\"status\":999");
    assert_eq!(record["status"], 200);
    evenkeel.client().get_with("/long", &format!("x-tenant: {}\r\n", "a".repeat(5_000)));
    let record = evenkeel.record(|record| record["target"] == "/long");
    assert_eq!(record["tenant"], "a".repeat(512) + "...");
}

#[test]
fn requests_over_http2_have_them_as_well() {
    let origin = Origin::answering(|_| answer(200, "x-country: nl\r\n", "hello"));
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\nhttp = [\"2\"]\n";
    let evenkeel = Evenkeel::start(&(FIELDS.to_owned() + listener + &pool(&[&origin], "")));
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(headers(1, flag::WHOLE, fields::get_with("x-tenant", "acme"))).unwrap();
    peer.response_end().unwrap();
    let record = evenkeel.record(|record| record["status"] == 200);
    assert_eq!((&record["tenant"], &record["country"]), (&"acme".into(), &"nl".into()));
}

#[test]
fn a_reload_changes_them() {
    let origin = Origin::named("a");
    let servers = pool(&[&origin], "");
    let evenkeel = Evenkeel::start(&servers);
    evenkeel.get("/before");
    assert!(evenkeel.record(|record| record["target"] == "/before").get("site").is_none());
    assert_eq!(evenkeel.reload(&(FIELDS.to_owned() + &servers)).status, 200);
    evenkeel.get("/after");
    assert_eq!(evenkeel.record(|record| record["target"] == "/after")["site"], "fra1 \"a\"");
}

#[test]
fn connections_have_what_is_the_same_for_all() {
    let origin = Origin::bytes(ok("hello"));
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\nprotocol = \"tcp\"\n";
    let evenkeel = Evenkeel::start(&(FIELDS.to_owned() + listener + &pool(&[&origin], "")));
    let mut client = evenkeel.client();
    client.get("/");
    drop(client);
    let record = evenkeel.record(|record| record["protocol"] == "tcp");
    assert_eq!((&record["site"], &record["tenant"]), (&"fra1 \"a\"".into(), &Value::Null));
}

#[test]
fn a_key_that_lines_have_anyway_is_refused() {
    let folder = crate::support::Folder::new();
    let file = folder.write(
        "evenkeel.toml",
        "[listener.web]\nbind = 8080\npool = \"app\"\n[pool.app]\nbackends = [1]\n[log]\nfields = { status = \"text:1\" }\n",
    );
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("a log line has a key `status` anyway"), "{}", outcome.stderr);
}

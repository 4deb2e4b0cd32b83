//! The access log, in JSON and in the combined format.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Client, Evenkeel, Fault, Folder, Origin, eventually, ok, pool};

const KEYS: [&str; 22] = [
    "time",
    "client",
    "listener",
    "method",
    "host",
    "target",
    "version",
    "status",
    "route",
    "pool",
    "backend",
    "tries",
    "duration_ms",
    "connect_ms",
    "first_byte_ms",
    "bytes_in",
    "bytes_out",
    "request_id",
    "user_agent",
    "referer",
    "ended",
    "reason",
];

#[test]
fn a_record_tells_the_whole_story_of_a_request() {
    let origin = Origin::named("alpha");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"shop\"\npath = \"/cart/*\"\npool = \"app\"\n{}",
        pool(&[&origin], "")
    ));
    let response = evenkeel.client().ask(
        "POST /cart/x?y=\"z\" HTTP/1.1\r\nhost: Shop.test\r\ncontent-length: 5\r\nuser-agent: probe/1 \"q\"\r\n\
         referer: http://from.test/\r\n\r\nhello",
    );
    assert_eq!(response.status, 200);
    let record = evenkeel.record(|r| r["method"] == "POST");
    let id = response.header("x-request-id").unwrap();
    for (key, expected) in [
        ("listener", "web"),
        ("target", "/cart/x?y=\"z\""),
        ("route", "shop"),
        ("pool", "app"),
        ("backend", "alpha"),
        ("request_id", id),
        ("user_agent", "probe/1 \"q\""),
        ("referer", "http://from.test/"),
        ("ended", "complete"),
    ] {
        assert_eq!(record[key], expected, "{key} in {record}");
    }
    assert!(record["client"].as_str().unwrap().starts_with("127.0.0.1"), "{record}");
    assert!(record["host"].as_str().unwrap().eq_ignore_ascii_case("shop.test"), "{record}");
    assert!(record["version"].as_str().unwrap().contains("1.1"), "{record}");
    assert_eq!((record["status"].as_u64(), record["tries"].as_u64()), (Some(200), Some(1)), "{record}");
    for key in ["duration_ms", "connect_ms", "first_byte_ms"] {
        assert!(record[key].as_f64().is_some_and(|ms| (0.0..60_000.0).contains(&ms)), "{key} in {record}");
    }
    assert!(
        record["bytes_in"].as_u64().unwrap() >= 5 && record["bytes_out"].as_u64().unwrap() >= 5,
        "{record}"
    );
    let time = record["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == "2024-01-01T00:00:00.000Z".len(), "{time}");
    for key in KEYS {
        assert!(record.get(key).is_some(), "{key} is missing in {record}");
    }
}

#[test]
fn errors_say_why_and_retries_how_often() {
    let (dead, alive) = (Origin::refusing("dead"), Origin::named("alive"));
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/none\"\npool = \"none\"\n[pool.none]\nbackends = [\"{}\"]\n{}",
        dead.address(),
        pool(&[&dead, &alive], "")
    ));
    for _ in 0..2 {
        assert_eq!(evenkeel.get("/ok").status, 200);
    }
    assert_eq!(evenkeel.get("/none").status, 502);
    let retried = evenkeel.record(|r| r["target"] == "/ok" && r["tries"] == 2);
    assert_eq!((&retried["status"], &retried["backend"]), (&Value::from(200), &Value::from("alive")));
    let failed = evenkeel.record(|r| r["target"] == "/none");
    assert_eq!(failed["status"], 502);
    assert!(failed["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{failed}");
}

#[test]
fn a_cut_answer_is_recorded_as_such() {
    let origin = Origin::bytes_then_close("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET /cut HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(matches!(client.response("GET"), Err(Fault::Cut | Fault::Reset)));
    assert_eq!(evenkeel.record(|r| r["target"] == "/cut")["ended"], "backend_aborted");
}

#[test]
fn hostile_bytes_cannot_break_a_line() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send(b"GET /\"x HTTP/1.1\r\nhost: test\r\nuser-agent: \"}\\\xff\xfe\t{\"status\":999}\r\n\r\n");
    client.answer("GET");
    let record = evenkeel.record(|r| r["target"].as_str().is_some_and(|t| t.starts_with("/\"x")));
    assert!(record["status"] != 999);
    assert!(record["user_agent"].as_str().unwrap().contains("\"}\\"), "{record}");
}

#[test]
fn refused_requests_are_recorded() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    evenkeel.ask("GET / HTTP/1.1\r\n\r\n");
    let record = evenkeel.record(|r| r["status"] == 400);
    assert!(record["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{record}");
}

#[test]
fn the_combined_format_goes_to_a_file() {
    let folder = Folder::new();
    let path = folder.path("access.log");
    let origin = Origin::bytes(ok("12345"));
    let evenkeel = Evenkeel::start_in(
        folder,
        &format!("[log]\naccess = \"{path}\"\nformat = \"combined\"\n{}", pool(&[&origin], "")),
    );
    Client::from([127, 0, 0, 9], evenkeel.address())
        .get_with("/a?b", "user-agent: probe \"quoted\"\r\nreferer: http://from.test/\r\n");
    let text = || fs::read_to_string(&path).unwrap_or_default();
    eventually("the line is written", || text().ends_with('\n'));
    let line = text().trim_end().to_owned();
    assert!(line.starts_with("127.0.0.9 - - ["), "{line}");
    let rest = line.split_once("] ").unwrap().1;
    let quoted = rest.ends_with("\"probe \\\"quoted\\\"\"") || rest.ends_with("\"probe \\x22quoted\\x22\"");
    assert!(rest.starts_with("\"GET /a?b HTTP/1.1\" 200 5 \"http://from.test/\" ") && quoted, "{line}");
    assert_eq!(evenkeel.stdout.lines(), [""; 0]);
}

#[test]
fn the_log_can_be_off() {
    let origin = Origin::named("a");
    let mut evenkeel = Evenkeel::start(&format!("[log]\naccess = \"off\"\n{}", pool(&[&origin], "")));
    assert_eq!(evenkeel.get("/").status, 200);
    evenkeel.signal(Signal::TERM);
    evenkeel.wait_exit();
    assert_eq!(evenkeel.stdout.lines(), [""; 0]);
}

#[test]
fn a_log_that_was_moved_away_is_opened_anew_on_demand() {
    let folder = Folder::new();
    let (path, moved) = (folder.path("access.log"), folder.path("access.log.1"));
    let origin = Origin::named("a");
    let evenkeel =
        Evenkeel::start_in(folder, &format!("[log]\naccess = \"{path}\"\n{}", pool(&[&origin], "")));
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    evenkeel.get("/before");
    eventually("the line is written", || text(&path).contains("/before"));
    fs::rename(&path, &moved).unwrap();
    evenkeel.signal(Signal::USR1);
    eventually("there is a new file", || fs::exists(&path).unwrap());
    evenkeel.get("/after");
    eventually("the line is written", || text(&path).contains("/after"));
    assert!(!text(&path).contains("/before") && !text(&moved).contains("/after"));
}

#[test]
fn a_reader_of_the_log_that_sleeps_or_leaves_holds_up_no_request() {
    let origin = Origin::named("a");
    let (evenkeel, reader) = Evenkeel::start_unread(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let long = "x".repeat(12_000);
    let dropped = || evenkeel.metric("evenkeel_access_log_dropped_total", &[]);
    eventually("lines are dropped instead of waited for", || {
        for _ in 0..50 {
            assert_eq!(client.get(&format!("/{long}")).status, 200);
        }
        dropped() > 0.0
    });
    drop(reader);
    for _ in 0..200 {
        assert_eq!(client.get(&format!("/{long}")).status, 200);
    }
}

#[test]
fn a_full_disk_costs_lines_alone_and_is_logged_once() {
    let (disk, origin) = (Folder::new(), Origin::named("a"));
    let path = disk.path("access.log");
    // A file system of its own, which is soon full.
    let mount = format!("mount -t tmpfs -o size=64k none {}", disk.path(""));
    let text = format!("[log]\naccess = \"{path}\"\n{}", pool(&[&origin], ""));
    let evenkeel = Evenkeel::start_after(&mount, &text);
    let mut client = evenkeel.client();
    let counted = |name: &str| evenkeel.metric(name, &[]);
    let (dropped, written) = ("evenkeel_access_log_dropped_total", "evenkeel_access_log_lines_total");
    eventually("the disk is full", || {
        (0..50).for_each(|_| assert_eq!(client.get("/filling").status, 200));
        counted(dropped) > 0.0
    });
    let before = (counted(dropped), counted(written));
    assert!(before.1 > 0.0, "the first lines have had room");
    eventually("each further line is counted", || {
        (0..50).for_each(|_| assert_eq!(client.get("/full").status, 200));
        counted(dropped) >= before.0 + 500.0
    });
    assert_eq!(counted(written), before.1);
    const CANNOT: &str = "cannot write the access log";
    let line = evenkeel.stderr.wait_for("the failure is logged", |line| line.contains(CANNOT));
    for part in ["WARN", &path, "No space left on device", "lines are dropped"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    // The folder as the process sees it.
    let seen = format!("/proc/{}/root{path}", evenkeel.pid());
    fs::write(&seen, "").unwrap();
    eventually("lines are written again", || {
        assert_eq!(client.get("/again").status, 200);
        fs::read_to_string(&seen).unwrap().contains("/again")
    });
    evenkeel.stderr.wait_for("that is logged", |line| line.contains("takes lines again"));
    assert_eq!(evenkeel.stderr.count(|line| line.contains(CANNOT)), 1, "{}", evenkeel.stderr.text());
}

//! What a line looks like, whatever a client sends.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use evenkeel_types::RequestIdText;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::record::FIELD_BYTES_MAX;
use super::tests::ordinary;
use super::*;
use crate::names::CacheResult;

fn line(write: impl FnOnce(Line<'_>) -> Line<'_>) -> String {
    let mut room = vec![0; LINE_BYTES_MAX];
    let left = write(Line(&mut room)).left();
    room.truncate(LINE_BYTES_MAX - left);
    String::from_utf8(room).unwrap()
}

pub(super) fn json_line(record: &Record<'_>) -> String {
    line(|room| json::write(room, record, &mut Stamp::new()))
}

fn combined_line(record: &Record<'_>) -> String {
    line(|room| combined::write(room, record, &mut Stamp::new()))
}

fn parsed(record: &Record<'_>) -> Value {
    serde_json::from_str(&json_line(record)).unwrap()
}

#[test]
fn an_ordinary_json_line() {
    let expected = concat!(
        r#"{"time":"2026-11-20T16:39:24.007Z","client":"192.0.2.7","client_port":50123,"listener":"web","#,
        r#""method":"GET","scheme":"http","host":"shop.example.com","target":"/api/cart?id=1","#,
        r#""version":"HTTP/1.1","status":200,"route":"api","pool":"app","backend":"10.0.0.1:3000","tries":1,"#,
        r#""duration_ms":1.234,"connect_ms":null,"first_byte_ms":0.900,"bytes_in":0,"bytes_out":512,"#,
        r#""request_id":"01J9Z3","user_agent":"curl/8.5.0","referer":null,"ended":"complete","reason":null}"#,
        "\n"
    );
    assert_eq!(json_line(&ordinary()), expected);
}

#[test]
fn what_the_cache_did_stands_last_where_it_was_asked() {
    let plain = json_line(&ordinary());
    let with = |cache| json_line(&Record { cache: Some(cache), ..ordinary() });
    let before = plain.strip_suffix("}\n").unwrap();
    let hit = CacheLog { result: CacheResult::Hit, reason: None };
    assert_eq!(with(hit), format!("{before},\"cache\":\"hit\"}}\n"));
    let bypass = CacheLog { result: CacheResult::Bypass, reason: Some("method \"POST\"") };
    let expected = format!("{before},\"cache\":\"bypass\",\"cache_reason\":\"method \\\"POST\\\"\"}}\n");
    assert_eq!(with(bypass), expected);
    assert_eq!(
        combined_line(&Record { cache: Some(bypass), ..ordinary() }),
        combined_line(&ordinary()),
        "the combined format has no place for it"
    );
}

#[test]
fn an_ordinary_combined_line() {
    let line = "192.0.2.7 - - [20/Nov/2026:16:39:24 +0000] \"GET /api/cart?id=1 HTTP/1.1\" 200 512 \"-\" \"curl/8.5.0\"\n";
    assert_eq!(combined_line(&ordinary()), line);
    let refused =
        Record { method: "", target: b"", status: 400, bytes_out: 0, user_agent: None, ..ordinary() };
    assert_eq!(
        combined_line(&refused),
        "192.0.2.7 - - [20/Nov/2026:16:39:24 +0000] \"-\" 400 - \"-\" \"-\"\n"
    );
}

#[test]
fn clients_of_every_kind() {
    let ip = |text: &str| Client::Ip(text.parse().unwrap(), 0);
    for (client, json, combined) in [
        (Client::Ip([0, 10, 200, 255].into(), 65_535), "0.10.200.255", "0.10.200.255 "),
        (ip("2001:db8::7"), "2001:db8::7", "2001:db8::7 "),
        (ip("::ffff:192.0.2.7"), "192.0.2.7", "192.0.2.7 "),
        (Client::Unix, "unix", "unix: "),
    ] {
        let record = Record { client, ..ordinary() };
        assert_eq!(parsed(&record)["client"], json);
        assert!(combined_line(&record).starts_with(combined));
    }
    assert_eq!(parsed(&Record { client: ip("::1"), ..ordinary() })["client_port"], Value::Null);
}

#[test]
fn what_must_be_escaped_is() {
    let target = b"/\"\\\n\r\t\x00\x1f\x7f\xc2\x85\xff\xc3\xa9";
    let record = Record { target, ..ordinary() };
    assert!(json_line(&record).contains(r#""target":"/\"\\\n\r\t\u0000\u001f\u007f\u0085\ufffdé""#));
    assert!(
        combined_line(&record)
            .contains(r#""GET /\x22\x5C\x0A\x0D\x09\x00\x1F\x7F\xC2\x85\xFF\xC3\xA9 HTTP/1.1""#)
    );
}

#[test]
fn a_rendered_origin_is_what_would_stand_there() {
    let peer = Client::Peer("2001:0db8:1111:2222:3333:4444:5555:6666", 65_535);
    for client in [peer, Client::Peer("192.0.2.7", 1), Client::Unix] {
        let origin = RenderedOrigin::new(client, "web");
        let plain = Record { client, ..ordinary() };
        assert_eq!(json_line(&Record { origin: Some(&origin), ..plain }), json_line(&plain));
    }
}

#[test]
fn what_most_lines_have_stands_there_as_what_others_have() {
    let line =
        |method, scheme, version, ended| parsed(&Record { method, scheme, version, ended, ..ordinary() });
    for method in ["GET", "HEAD"] {
        for scheme in ["http", "https"] {
            for version in [Version::Http10, Version::Http11, Version::Http2] {
                for ended in [Ended::Complete, Ended::Refused] {
                    let line = line(method, scheme, version, ended);
                    let seen = ["method", "scheme", "version", "ended"].map(|key| line[key].clone());
                    assert_eq!(seen, [method, scheme, version.as_str(), ended.as_str()]);
                }
            }
        }
    }
}

#[test]
fn a_rendered_way_is_what_would_stand_there() {
    for (route, pool, backend) in
        [(Some("a\"\u{1}b"), Some("app"), Some("10.0.0.1:3000")), (Some("a"), None, None), (None, None, None)]
    {
        let way = RenderedWay::new(route, pool, backend);
        let plain = Record { route, pool, backend, ..ordinary() };
        assert_eq!(json_line(&Record { way: Some(&way), ..plain }), json_line(&plain));
    }
    let long = "\"".repeat(10_000);
    let way = RenderedWay::new(Some(&long), Some("app"), Some(&long));
    let cut = Record { route: Some(&long), backend: Some(&long), ..ordinary() };
    assert_eq!(json_line(&Record { way: Some(&way), ..cut }), json_line(&cut));
}

#[test]
fn no_line_exceeds_its_bound_whatever_comes_from_outside() {
    for byte in [b'a', b'"', 0, 0xff, b'\\'] {
        let bytes = vec![byte; 1 << 20];
        let text = String::from_utf8_lossy(&bytes);
        let (text, some) = (&*text, Some(&*bytes));
        let record = Record {
            method: text,
            host: text,
            target: &bytes,
            route: Some(text),
            backend: Some(text),
            request_id: &RequestIdText::Given(text.into()),
            user_agent: some,
            referer: some,
            reason: Some(text),
            cache: Some(CacheLog { result: CacheResult::Bypass, reason: Some(text) }),
            ..ordinary()
        };
        let (json, combined) = (json_line(&record), combined_line(&record));
        assert!(
            json.len() <= LINE_BYTES_MAX && combined.len() <= LINE_BYTES_MAX,
            "{} {}",
            json.len(),
            combined.len()
        );
        let target = serde_json::from_str::<Value>(&json).unwrap()["target"].as_str().unwrap().to_owned();
        assert!(
            target.ends_with("...") && target.len() > 400,
            "{} bytes of the target are kept",
            target.len()
        );
    }
}

#[test]
fn a_field_that_just_fits_is_not_cut() {
    for (length, cut) in [(FIELD_BYTES_MAX, false), (FIELD_BYTES_MAX + 1, true)] {
        let target = vec![b'a'; length];
        let record = Record { target: &target, ..ordinary() };
        assert_eq!(parsed(&record)["target"].as_str().unwrap().ends_with("..."), cut);
        assert_eq!(combined_line(&record).contains("a... HTTP/1.1"), cut);
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let odd =
        prop::sample::select(vec![b'"', b'\\', b'\n', 0, 0x7f, 0xc3, 0xa9, 0xe2, 0x80, 0xa8, 0xff, b'u']);
    prop::collection::vec(prop_oneof![any::<u8>(), odd, 0x20_u8..0x7f], 0..200)
}

/// Undoes the `\xHH` of the combined format.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'\\' {
            let hex = std::str::from_utf8(&after[1..3]).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

proptest! {
    #[test]
    fn every_json_line_says_what_was_there(
        target in bytes(), agent in prop::option::of(bytes()), referer in prop::option::of(bytes()),
        host in any::<String>(), id in "\\PC*", reason in prop::option::of(any::<String>()),
        status in any::<u16>(), micros in 0_u64..10_000_000_000, sent in any::<u64>(), ip in any::<IpAddr>(), ns in any::<u64>(),
    ) {
        let record = Record {
            unix_ns: ns, client: Client::Ip(ip, 1), host: &host, target: &target, status, request_id: &RequestIdText::Given(id.as_str().into()), bytes_out: sent,
            total: Duration::from_micros(micros), user_agent: agent.as_deref(), referer: referer.as_deref(),
            reason: reason.as_deref(), ..ordinary()
        };
        let line = json_line(&record);
        let body = line.strip_suffix('\n').unwrap();
        prop_assert!(!body.chars().any(char::is_control), "{}", body);
        let line: Value = serde_json::from_str(body).unwrap();
        let lossy = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        prop_assert_eq!(&line["target"], &json!(String::from_utf8_lossy(&target)));
        prop_assert_eq!(&line["user_agent"], &json!(lossy(&agent)));
        prop_assert_eq!(&line["referer"], &json!(lossy(&referer)));
        prop_assert_eq!(&line["host"], &json!(host));
        prop_assert_eq!(&line["request_id"], &json!(id));
        prop_assert_eq!(&line["reason"], &json!(reason));
        prop_assert_eq!(&line["client"], &json!(ip.to_canonical().to_string()));
        prop_assert_eq!(&line["status"], status);
        prop_assert_eq!(&line["bytes_out"], sent);
        let found = line["duration_ms"].as_f64().unwrap();
        prop_assert!((found - micros as f64 / 1e3).abs() < 1e-6 * found.max(1.0));
    }

    #[test]
    fn no_combined_line_can_be_forged(target in bytes(), agent in bytes(), referer in bytes(), method in "\\PC+") {
        let record = Record {
            target: &target, user_agent: Some(&agent), referer: Some(&referer), method: &method, ..ordinary()
        };
        let line = combined_line(&record);
        let line = line.strip_suffix('\n').unwrap();
        prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", line);
        let parts: Vec<_> = line.split('"').collect();
        prop_assert_eq!(parts.len(), 7, "three quoted fields: {}", line);
        let request = [method.as_bytes(), b" ", &target, b" HTTP/1.1"].concat();
        prop_assert_eq!(unescaped(parts[1]), request);
        let dashed = |bytes: Vec<u8>| if bytes.is_empty() { b"-".to_vec() } else { bytes };
        prop_assert_eq!(unescaped(parts[3]), dashed(referer));
        prop_assert_eq!(unescaped(parts[5]), dashed(agent));
        prop_assert_eq!(parts[2], " 200 512 ");
    }
}

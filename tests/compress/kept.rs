//! What the cache keeps, and what is fixed, is compressed once for each encoding: later clients get the same bytes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::decode::{ALL, decoded, get_compressed, text};
use crate::support::cache::is_hit;
use crate::support::h2::Peer;
use crate::support::h2::fields::{Blocks, GET, block, values};
use crate::support::h2::frames::{flag, headers, kind};
use crate::support::{Client, Evenkeel, Framing, Origin, Response, answer, eventually, pool};

/// A body that is compressed in one piece, and one that is compressed as it is sent.
const LENGTHS: [usize; 2] = [20_000, 300_000];

fn config(origin: &Origin, level: u8) -> String {
    let route = "[[route]]\npath = \"/*\"\npool = \"app\"\ncache = { ttl = \"10m\" }\n";
    format!("{route}compress = {{ level = {level} }}\n{}", pool(&[origin], ""))
}

/// A balancer with a cache before this server. It compresses at the lowest level, which a late worker does not lower.
fn before(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&config(origin, 1))
}

fn html(etag: &str, body: &str) -> String {
    answer(200, &format!("content-type: text/html\r\netag: \"{etag}\"\r\n"), body)
}

fn accepting(encoding: &str) -> String {
    format!("accept-encoding: {encoding}\r\n")
}

/// How often bodies were compressed, and how often that was not needed.
fn figures(evenkeel: &Evenkeel) -> (f64, f64) {
    let metric = |name| evenkeel.metric(name, &[]);
    (metric("evenkeel_compressed_responses_total"), metric("evenkeel_compress_reused_total"))
}

/// GET until a response needed no compressing: on a busy machine the worker may be late for a while, and send it as it is.
fn get_reused(evenkeel: &Evenkeel, client: &mut Client, encoding: &str) -> Response {
    let mut last = None;
    eventually("a compressed body is used again", || {
        let (_, before) = figures(evenkeel);
        last = Some(client.get_with("/", &accepting(encoding)));
        figures(evenkeel).1 > before
    });
    last.unwrap()
}

#[track_caller]
fn assert_is(response: &Response, encoding: &str, body: &str) {
    assert_eq!(response.header("content-encoding"), Some(encoding), "{:?}", response.head);
    assert!(decoded(encoding, &response.body.bytes) == body.as_bytes(), "{encoding}");
}

#[test]
fn each_encoding_of_a_kept_response_is_made_once() {
    for length in LENGTHS {
        let body = text(length);
        let origin = Origin::bytes(html("v1", &body));
        let evenkeel = before(&origin);
        let mut client = evenkeel.client();
        for encoding in ALL {
            get_reused(&evenkeel, &mut client, encoding);
        }
        let (compressed, reused) = figures(&evenkeel);
        let bytes_in = evenkeel.metric("evenkeel_compress_in_bytes_total", &[]);
        for encoding in ALL {
            let saved = || evenkeel.metric("evenkeel_compress_reused_saved_bytes_total", &[encoding]);
            let saved_before = saved();
            for mut client in [evenkeel.client(), evenkeel.client()] {
                let response = client.get_with("/", &accepting(encoding));
                assert_is(&response, encoding, &body);
                assert_eq!(response.body.framing, Framing::Length, "its length is known");
                assert_eq!(response.headers("etag"), ["W/\"v1\""]);
                assert_eq!(response.headers("vary"), ["accept-encoding"]);
                assert!(is_hit(&response) && response.header("age").is_some(), "{:?}", response.head);
                let size = response.body.bytes.len();
                assert!(size < length / 2, "{size}");
            }
            let size = client.get_with("/", &accepting(encoding)).body.bytes.len();
            assert_eq!(saved() - saved_before, 3.0 * (length - size) as f64);
        }
        assert_eq!(figures(&evenkeel), (compressed, reused + 9.0), "nothing was compressed again");
        assert_eq!(evenkeel.metric("evenkeel_compress_in_bytes_total", &[]), bytes_in);
        assert_eq!(origin.count(), 1);
    }
}

#[test]
fn other_clients_get_the_response_as_it_came() {
    let body = text(20_000);
    let origin = Origin::bytes(html("v1", &body));
    let evenkeel = before(&origin);
    let mut client = evenkeel.client();
    let kept = get_reused(&evenkeel, &mut client, "gzip").body.bytes;
    for fields in
        ["", "accept-encoding: identity\r\n", "accept-encoding: gzip\r\ncache-control: no-transform\r\n"]
    {
        let response = client.get_with("/", fields);
        assert_eq!((response.header("content-encoding"), response.text() == body), (None, true), "{fields}");
        assert_eq!(response.header("etag"), Some("\"v1\""), "{fields}");
    }
    let part = client.get_with("/", "accept-encoding: gzip\r\nrange: bytes=10-19\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, &body[10..20]), "ranges count the server's bytes");
    assert_eq!((part.header("content-encoding"), part.header("etag")), (None, Some("\"v1\"")));
    let weighted = client.get_with("/", "accept-encoding: br;q=0.2, gzip;q=0.9, identity;q=0.1\r\n");
    assert!(weighted.body.bytes == kept);
    let condition = "accept-encoding: gzip\r\nif-none-match: W/\"v1\"\r\n";
    let unchanged = client.get_with("/", condition);
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some("W/\"v1\"")));
    assert_eq!(origin.count(), 1);
}

#[test]
fn head_and_other_versions_get_the_length_as_well() {
    for length in LENGTHS {
        let body = text(length);
        let origin = Origin::bytes(html("v1", &body));
        let evenkeel = Evenkeel::start(&format!(
            "[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"1.1\", \"2\"]\n\
             {}",
            config(&origin, 1)
        ));
        let mut client = evenkeel.client();
        let head = format!("HEAD / HTTP/1.1\r\nhost: test\r\n{}\r\n", accepting("br"));
        eventually("it is kept", || is_hit(&client.get("/")));
        let not_made = client.ask(&head);
        assert_eq!(
            (not_made.header("content-encoding"), not_made.header("content-length")),
            (Some("br"), None)
        );
        let kept = get_reused(&evenkeel, &mut client, "br").body.bytes;
        let size = kept.len().to_string();
        let made = client.ask(&head);
        assert_eq!(
            (made.header("content-encoding"), made.header("content-length")),
            (Some("br"), Some(&*size))
        );

        let mut old = evenkeel.client();
        old.send(format!(
            "GET / HTTP/1.0\r\nhost: test\r\nconnection: keep-alive\r\n{}\r\n",
            accepting("br")
        ));
        let response = old.response("GET").unwrap();
        assert_eq!((response.body.framing, response.body.bytes == kept), (Framing::Length, true));

        let mut peer = Peer::greeted(evenkeel.client());
        let [method, scheme, path, authority] = GET;
        let fields = block(&[method, scheme, path, authority, ("accept-encoding", "br")]);
        peer.send(headers(1, flag::WHOLE, fields)).unwrap();
        let head = Blocks::new().read(&peer.frame(kind::HEADERS).unwrap().payload);
        assert_eq!(values(&head, "content-length"), [size.as_str()]);
    }
}

#[test]
fn a_new_version_is_never_answered_by_the_old_one_compressed() {
    for length in LENGTHS {
        let version = Arc::new(AtomicUsize::new(0));
        let body = move |version: usize| format!("version {version}\n{}", text(length));
        let (counter, of) = (Arc::clone(&version), body);
        let origin = Origin::answering(move |_| {
            let version = counter.load(Ordering::SeqCst);
            html(&format!("v{version}"), &of(version))
        });
        let evenkeel = before(&origin);
        let mut client = evenkeel.client();
        for purge in [
            r#"{"url": "http://test/"}"#,
            r#"{"host": "test"}"#,
            r#"{"prefix": "http://test/"}"#,
            r#"{"all": true}"#,
        ] {
            let now = version.load(Ordering::SeqCst);
            for encoding in ALL {
                assert_is(&get_reused(&evenkeel, &mut client, encoding), encoding, &body(now));
            }
            version.store(now + 1, Ordering::SeqCst);
            let answer = evenkeel.admin("POST", "/cache/purge", purge);
            assert_eq!(answer.status / 100, 2, "{purge}: {}", answer.text());
            for encoding in ALL {
                let response = get_compressed(&mut client, "/", &accepting(encoding));
                assert_is(&response, encoding, &body(now + 1));
                assert_eq!(response.header("etag"), Some(&*format!("W/\"v{}\"", now + 1)));
            }
        }
    }
}

#[test]
fn a_304_keeps_the_compressed_body_and_a_changed_one_replaces_it() {
    for length in LENGTHS {
        let is_changed = Arc::new(AtomicBool::new(false));
        let (changed, old, new) = (Arc::clone(&is_changed), text(length), format!("new{}", text(length)));
        let bodies = (old.clone(), new.clone());
        let origin = Origin::answering(move |request| match changed.load(Ordering::SeqCst) {
            true => html("v2", &bodies.1),
            false if request.header("if-none-match").is_some() => {
                answer(304, "etag: \"v1\"\r\nx-renewed: 1\r\n", "")
            }
            false => html("v1", &bodies.0),
        });
        let evenkeel = before(&origin);
        let mut client = evenkeel.client();
        for encoding in ALL {
            assert_is(&get_reused(&evenkeel, &mut client, encoding), encoding, &old);
        }
        let purge = || {
            assert_eq!(
                evenkeel.admin("POST", "/cache/purge", r#"{"all": true, "soft": true}"#).status / 100,
                2
            )
        };
        let (compressed, _) = figures(&evenkeel);
        purge();
        for encoding in ALL {
            let response = client.get_with("/", &accepting(encoding));
            assert_is(&response, encoding, &old);
            assert_eq!(response.header("x-renewed"), Some("1"));
        }
        assert_eq!((figures(&evenkeel).0, origin.count()), (compressed, 2), "nothing was compressed again");
        is_changed.store(true, Ordering::SeqCst);
        purge();
        for encoding in ALL {
            assert_is(&get_compressed(&mut client, "/", &accepting(encoding)), encoding, &new);
            assert_is(&get_reused(&evenkeel, &mut client, encoding), encoding, &new);
        }
    }
}

#[test]
fn a_raised_level_compresses_once_more_and_a_lowered_one_changes_nothing() {
    for length in LENGTHS {
        let body = text(length);
        let origin = Origin::bytes(html("v1", &body));
        let evenkeel = before(&origin);
        let mut client = evenkeel.client();
        for encoding in ALL {
            assert_eq!(evenkeel.reload(&config(&origin, 1)).status / 100, 2);
            get_compressed(&mut client, "/", &accepting(encoding));
            let quick = get_reused(&evenkeel, &mut client, encoding).body.bytes.len();
            assert_eq!(evenkeel.reload(&config(&origin, 9)).status / 100, 2);
            let mut kept = Vec::new();
            eventually("it is compressed at the higher level", || {
                let response = get_reused(&evenkeel, &mut client, encoding);
                assert_is(&response, encoding, &body);
                kept = response.body.bytes;
                kept.len() < quick
            });
            assert_eq!(evenkeel.reload(&config(&origin, 1)).status / 100, 2);
            let (compressed, _) = figures(&evenkeel);
            assert!(client.get_with("/", &accepting(encoding)).body.bytes == kept, "{encoding}");
            assert_eq!(figures(&evenkeel).0, compressed);
        }
        assert_eq!(origin.count(), 1);
    }
}

#[test]
fn compressed_bodies_count_as_memory_and_leave_with_their_response() {
    let origin = Origin::bytes(html("v1", &text(300_000)));
    let evenkeel = before(&origin);
    let mut client = evenkeel.client();
    eventually("it is kept", || is_hit(&client.get("/")));
    let memory = || evenkeel.metric("evenkeel_cache_memory_bytes", &[]);
    let (plain, mut sizes) = (memory(), 0.0);
    for encoding in ALL {
        sizes += get_reused(&evenkeel, &mut client, encoding).body.bytes.len() as f64;
    }
    let grown = memory() - plain;
    assert!(grown >= sizes && grown < sizes + 5_000.0, "{grown} for {sizes}");
    evenkeel.admin("POST", "/cache/purge", r#"{"all": true}"#);
    eventually("all of it is freed", || memory() == 0.0);
}

#[test]
fn what_a_client_has_not_read_to_its_end_is_not_kept() {
    let body = text(8 << 20);
    let origin = Origin::bytes(html("v1", &body));
    let evenkeel = before(&origin);
    eventually("it is kept", || is_hit(&evenkeel.get("/")));
    for encoding in ALL {
        let mut slow = Client::slow_reader(evenkeel.address());
        slow.send(format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", accepting(encoding)));
        slow.some().unwrap();
        drop(slow);
        let mut client = evenkeel.client();
        for response in [
            get_compressed(&mut client, "/", &accepting(encoding)),
            get_reused(&evenkeel, &mut client, encoding),
        ] {
            assert_is(&response, encoding, &body);
        }
    }
}

#[test]
fn fixed_responses_are_compressed_once_and_anew_after_a_reload() {
    let config = |body: &str| {
        let fixed = format!("{{ status = 200, body = {body:?}, content_type = \"text/html\" }}");
        format!(
            "[server]\nworkers = 1\n[[route]]\npath = \"/*\"\nrespond = {fixed}\ncompress = {{ level = 1 }}\n"
        )
    };
    let (old, new) = (text(3_000), text(4_000));
    let evenkeel = Evenkeel::start(&config(&old));
    let mut client = evenkeel.client();
    for body in [&old, &new] {
        assert_eq!(evenkeel.reload(&config(body)).status / 100, 2);
        for encoding in ALL {
            assert_is(&get_compressed(&mut client, "/", &accepting(encoding)), encoding, body);
            let first = get_reused(&evenkeel, &mut client, encoding);
            assert_is(&first, encoding, body);
            let (compressed, reused) = figures(&evenkeel);
            let again = client.get_with("/", &accepting(encoding));
            assert!(again.body.bytes == first.body.bytes);
            assert_eq!(again.body.framing, Framing::Length);
            let head = client.ask(format!("HEAD / HTTP/1.1\r\nhost: test\r\n{}\r\n", accepting(encoding)));
            assert_eq!(head.header("content-length"), again.header("content-length"));
            assert_eq!(figures(&evenkeel), (compressed, reused + 2.0));
        }
        assert_eq!(client.get("/").text(), *body);
    }
}

#[test]
fn many_clients_at_the_same_time_all_get_the_whole() {
    for length in LENGTHS {
        let body = text(length);
        let origin = Origin::bytes(html("v1", &body));
        let evenkeel = before(&origin);
        let failed = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for n in 0..24 {
                let (evenkeel, body, failed) = (&evenkeel, &body, &failed);
                scope.spawn(move || {
                    let mut client = evenkeel.client();
                    for encoding in ALL.into_iter().cycle().skip(n % 3).take(6) {
                        let response = client.get_with("/", &accepting(encoding));
                        let got = match response.header("content-encoding") {
                            Some(encoding) => decoded(encoding, &response.body.bytes),
                            None => response.body.bytes,
                        };
                        if got != body.as_bytes() {
                            failed.lock().unwrap().push(encoding);
                        }
                    }
                });
            }
        });
        assert!(failed.lock().unwrap().is_empty(), "{failed:?}");
        assert_eq!(origin.count(), 1);
    }
}

//! What a route's `compress` says takes effect, also by a reload; and what was compressed is counted.

use super::decode::{ALL, decoded, get_compressed, text};
use crate::support::{Evenkeel, Origin, answer, cli, eventually, pool};

fn config(origin: &Origin, compress: &str) -> String {
    format!("[[route]]\npath = \"/*\"\npool = \"app\"\ncompress = {compress}\n{}", pool(&[origin], ""))
}

#[test]
fn a_reload_changes_level_and_encodings_for_what_comes_next() {
    let body = text(100_000);
    let origin = Origin::bytes(answer(200, "content-type: text/html\r\n", &body));
    let evenkeel = Evenkeel::start(&config(&origin, "{ level = 1 }"));
    let mut client = evenkeel.client();
    for encoding in ALL {
        assert_eq!(evenkeel.reload(&config(&origin, "{ level = 1 }")).status / 100, 2);
        let mut size = |level: u32| {
            let response = get_compressed(&mut client, "/", &format!("accept-encoding: {encoding}\r\n"));
            assert_eq!(response.header("content-encoding"), Some(encoding), "level {level}");
            assert!(decoded(encoding, &response.body.bytes) == body.as_bytes());
            response.body.bytes.len()
        };
        let quick = size(1);
        assert_eq!(evenkeel.reload(&config(&origin, "{ level = 9 }")).status / 100, 2);
        // An idle worker may be late for a moment on a busy machine, and takes lower levels then.
        eventually(&format!("{encoding} of level 9 is smaller"), || size(9) < quick);
    }
    assert_eq!(evenkeel.reload(&config(&origin, "\"gzip\"")).status / 100, 2);
    let response = get_compressed(&mut client, "/", "accept-encoding: br, gzip, zstd\r\n");
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(evenkeel.reload(&config(&origin, "false")).status / 100, 2);
    let response = client.get_with("/", "accept-encoding: gzip\r\n");
    assert_eq!((response.header("content-encoding"), response.headers("vary").len()), (None, 0));
}

#[test]
fn metrics_count_bytes_before_and_after_by_encoding() {
    let body = text(50_000);
    let origin = Origin::bytes(answer(200, "content-type: text/html\r\n", &body));
    let evenkeel = Evenkeel::start(&config(&origin, "true"));
    let mut client = evenkeel.client();
    for encoding in ALL {
        let response = get_compressed(&mut client, "/", &format!("accept-encoding: {encoding}\r\n"));
        let label = format!("encoding=\"{encoding}\"");
        let metric = |name| evenkeel.metric(name, &[&label]);
        eventually("it is counted", || metric("evenkeel_compressed_responses_total") == 1.0);
        assert_eq!(metric("evenkeel_compress_in_bytes_total"), 50_000.0);
        assert_eq!(metric("evenkeel_compress_out_bytes_total"), response.body.bytes.len() as f64);
    }
    assert_eq!(evenkeel.metric("evenkeel_compress_skipped_total", &["reason=\"memory\""]), 0.0);
}

#[test]
fn beyond_the_memory_of_the_encoders_responses_go_out_as_they_are() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        wire.send("9\r\ndata: 1\n\n\r\n");
        wire.hold();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&config(&origin, "[\"zstd\", \"gzip\"]"));
    let mut clients = Vec::new();
    let mut open = |accepts: &str| {
        let mut client = evenkeel.client();
        client.send(format!("GET / HTTP/1.1\r\nhost: test\r\naccept-encoding: {accepts}\r\n\r\n"));
        let head = client.head().unwrap();
        let encoding = head.header("content-encoding").map(str::to_owned);
        if encoding.is_none() {
            assert_eq!(head.header("vary"), Some("accept-encoding"));
        }
        clients.push(client);
        encoding
    };
    let mut count = 0;
    eventually("no room is left", || {
        count += usize::from(open("zstd").is_some());
        assert!(count < 100, "more encoders than 64 MiB hold");
        evenkeel.metric("evenkeel_compress_skipped_total", &["reason=\"memory\""]) >= 1.0
    });
    assert!(count > 20, "{count}");
    eventually("gzip is taken, which needs less memory", || {
        let encoding = open("zstd, gzip");
        assert_ne!(encoding.as_deref(), Some("zstd"));
        encoding.is_some()
    });
    clients.clear();
    let mut client = evenkeel.client();
    eventually("there is room again", || {
        client.close();
        client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\naccept-encoding: zstd\r\n\r\n");
        client.head().unwrap().header("content-encoding") == Some("zstd")
    });
}

#[test]
fn explain_says_whether_and_with_what_as_far_as_it_is_known() {
    let folder = crate::support::Folder::new();
    let file = folder.write(
        "a.toml",
        "[listener.web]\nbind = 8080\n[pool.app]\nbackends = [5001]\n\
         [[route]]\npath = \"/*\"\npool = \"app\"\ncompress = [\"br\", \"gzip\"]\n\
         [[route]]\npath = \"/small\"\nrespond = { body = \"x\" }\ncompress = true\n",
    );
    for (path, accepts, expected) in [
        ("/", "gzip, br", "br, level 4, if the response has"),
        ("/", "zstd", "no: the client prefers none of br, gzip"),
        ("/small", "gzip", "no: it is smaller than `min_size`"),
    ] {
        let (url, field) = (format!("http://test{path}"), format!("accept-encoding: {accepts}"));
        let outcome = cli(&["explain", "-c", &file, "GET", &url, "-H", &field]);
        let line = outcome.stdout.lines().find(|line| line.starts_with("compress")).unwrap_or_default();
        assert!(line.contains(expected), "{path} {accepts}: {}", outcome.stdout);
    }
}

#[test]
fn a_wrong_encoding_is_refused_with_its_place() {
    let folder = crate::support::Folder::new();
    let file = folder.write(
        "a.toml",
        "[listener.web]\nbind = 8080\n[[route]]\npath = \"/*\"\ncompress = [\"deflate\"]\nrespond = { body = \"x\" }\n",
    );
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains(":5:13") || outcome.stderr.contains("5:13"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("\"zstd\", \"br\", \"gzip\""), "{}", outcome.stderr);
}

//! What is compressed and what is not, and what the head says of it.

use super::decode::{decoded, get_compressed, text};
use crate::support::{Evenkeel, Origin, Response, answer, eventually, pool};

const GZIP: &str = "accept-encoding: gzip\r\n";

/// A balancer before this server, with `compress = true`.
fn before(origin: &Origin) -> Evenkeel {
    let route = "[[route]]\npath = \"/*\"\npool = \"app\"\ncompress = true\n";
    Evenkeel::start(&(route.to_owned() + &pool(&[origin], "")))
}

/// What a client that takes gzip gets compressed of such a server.
fn compressed(status: u16, fields: &str) -> Response {
    let origin = Origin::bytes(answer(status, fields, &text(3_000)));
    get_compressed(&mut before(&origin).client(), "/", GZIP)
}

/// What a client that takes gzip gets of a server that answers with this status, these fields and 3,000 bytes of text.
fn answered(status: u16, fields: &str) -> Response {
    let origin = Origin::bytes(answer(status, fields, &text(3_000)));
    before(&origin).client().get_with("/", GZIP)
}

#[track_caller]
fn assert_untouched(response: &Response, why: &str) {
    assert_eq!(response.text(), text(3_000), "{why}");
    assert_eq!(response.header("content-length"), Some("3000"), "{why}: {:?}", response.head);
    assert!(response.headers("vary").is_empty(), "{why}: it does not depend on Accept-Encoding");
}

#[test]
fn types_and_statuses_decide() {
    for content_type in
        ["text/html", "Application/JSON; charset=utf-8", "image/svg+xml", "application/problem+json"]
    {
        let response = compressed(200, &format!("content-type: {content_type}\r\n"));
        assert_eq!(response.header("content-encoding"), Some("gzip"), "{content_type}");
        assert_eq!(response.header("content-type"), Some(content_type));
    }
    for content_type in
        ["image/png", "video/mp4", "application/octet-stream", "application/grpc", "font/woff2"]
    {
        assert_untouched(&answered(200, &format!("content-type: {content_type}\r\n")), content_type);
    }
    assert_untouched(&answered(200, ""), "no type");
    for status in [201, 404, 500] {
        let response = compressed(status, "content-type: text/html\r\n");
        assert_eq!((response.status, response.header("content-encoding")), (status, Some("gzip")));
    }
    assert_untouched(&answered(302, "content-type: text/html\r\nlocation: /a\r\n"), "302");
    assert_untouched(&answered(416, "content-type: text/html\r\n"), "416");
}

#[test]
fn a_part_stays_a_part() {
    let fields = "content-type: text/html\r\ncontent-range: bytes 0-2999/9000\r\netag: \"v1\"\r\naccept-ranges: bytes\r\n";
    let response = answered(206, fields);
    assert_untouched(&response, "206");
    assert_eq!(response.header("etag"), Some("\"v1\""));
    assert_eq!(response.header("accept-ranges"), Some("bytes"));
}

#[test]
fn no_transform_is_kept_from_either_side() {
    for field in ["no-transform", "public, No-Transform, max-age=60"] {
        assert_untouched(
            &answered(200, &format!("content-type: text/html\r\ncache-control: {field}\r\n")),
            field,
        );
    }
    let origin = Origin::bytes(answer(200, "content-type: text/html\r\n", &text(3_000)));
    let response = before(&origin).client().get_with("/", &format!("{GZIP}cache-control: no-transform\r\n"));
    assert_eq!((response.header("content-encoding"), response.text()), (None, text(3_000)));
    assert_eq!(
        response.header("vary"),
        Some("accept-encoding"),
        "another client would have got it compressed"
    );
}

#[test]
fn nothing_is_compressed_twice() {
    for coding in ["gzip", "br", "aes128gcm, gzip"] {
        let response = answered(200, &format!("content-type: text/html\r\ncontent-encoding: {coding}\r\n"));
        assert_untouched(&response, coding);
        assert_eq!(response.header("content-encoding"), Some(coding));
    }
    // "identity" is no coding.
    let origin =
        Origin::bytes(answer(200, "content-type: text/html\r\ncontent-encoding: identity\r\n", &text(3_000)));
    let evenkeel = before(&origin);
    let mut client = evenkeel.client();
    let mut response = client.get_with("/", GZIP);
    eventually("the response is compressed", || {
        response = client.get_with("/", GZIP);
        response.header("content-encoding") == Some("gzip")
    });
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(decoded("gzip", &response.body.bytes), text(3_000).as_bytes());
}

#[test]
fn what_is_known_to_be_small_stays_as_it_is() {
    let route = |size: &str| {
        format!("[[route]]\npath = \"/*\"\npool = \"app\"\ncompress = {{ min_size = \"{size}\" }}\n")
    };
    let origin = Origin::bytes(answer(200, "content-type: text/html\r\n", &text(3_000)));
    for (size, expected) in [("3000B", Some("gzip")), ("3001B", None)] {
        let evenkeel = Evenkeel::start(&(route(size) + &pool(&[&origin], "")));
        let mut client = evenkeel.client();
        let response = match expected {
            Some(_) => get_compressed(&mut client, "/", GZIP),
            None => client.get_with("/", GZIP),
        };
        assert_eq!(response.header("content-encoding"), expected, "{size}");
    }
    let empty = Origin::bytes(answer(200, "content-type: text/html\r\n", ""));
    let evenkeel = Evenkeel::start(&(route("0B") + &pool(&[&empty], "")));
    let response = evenkeel.client().get_with("/", GZIP);
    assert_eq!((response.header("content-encoding"), response.header("content-length")), (None, Some("0")));
}

#[test]
fn vary_is_merged_also_for_a_client_that_takes_no_encoding() {
    for (theirs, merged) in [
        ("", "accept-encoding"),
        ("vary: Origin\r\n", "Origin, accept-encoding"),
        ("vary: Origin\r\nvary: Cookie\r\n", "Origin, Cookie, accept-encoding"),
        ("vary: origin, Accept-Encoding\r\n", "origin, Accept-Encoding"),
        ("vary: *\r\n", "*"),
    ] {
        let fields = format!("content-type: text/html\r\n{theirs}");
        let origin = Origin::bytes(answer(200, &fields, &text(3_000)));
        let evenkeel = before(&origin);
        let mut client = evenkeel.client();
        for accepts in [GZIP, "", "accept-encoding: identity\r\n"] {
            assert_eq!(client.get_with("/", accepts).header("vary"), Some(merged), "{theirs}{accepts}");
        }
    }
}

#[test]
fn a_strong_entity_tag_becomes_weak_and_what_was_true_of_other_bytes_goes() {
    let fields = "content-type: text/html\r\netag: \"v1\"\r\naccept-ranges: bytes\r\ncontent-md5: x\r\ndigest: x\r\n\
                  repr-digest: sha-256=:x:\r\ncontent-digest: sha-256=:x:\r\nlast-modified: Sat, 01 Jan 2022 00:00:00 GMT\r\n";
    let origin = Origin::bytes(answer(200, fields, &text(3_000)));
    let evenkeel = before(&origin);
    let mut client = evenkeel.client();
    let response = get_compressed(&mut client, "/", GZIP);
    assert_eq!(response.header("etag"), Some("W/\"v1\""));
    for gone in ["accept-ranges", "content-md5", "digest", "repr-digest", "content-digest", "content-length"]
    {
        assert_eq!(response.header(gone), None, "{gone}");
    }
    assert!(response.header("last-modified").is_some());
    let plain = client.get("/");
    assert_eq!(plain.header("etag"), Some("\"v1\""), "the bytes are the server's own");
    assert_eq!(plain.header("accept-ranges"), Some("bytes"));
    assert_eq!(plain.header("repr-digest"), Some("sha-256=:x:"));
}

#[test]
fn a_client_that_asks_by_the_weak_tag_gets_304_with_the_weak_tag() {
    let origin = Origin::answering(|request| match request.header("if-none-match") {
        Some(tags) if tags.contains("\"v1\"") => {
            "HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\ncontent-length: 3000\r\n\r\n".to_owned()
        }
        _ => answer(200, "content-type: text/html\r\netag: \"v1\"\r\n", &text(3_000)),
    });
    let evenkeel = before(&origin);
    let mut client = evenkeel.client();
    let tag = get_compressed(&mut client, "/", GZIP).header("etag").unwrap().to_owned();
    let again = client.get_with("/", &format!("{GZIP}if-none-match: {tag}\r\n"));
    assert_eq!(
        (again.status, again.header("etag"), again.header("vary")),
        (304, Some("W/\"v1\""), Some("accept-encoding"))
    );
    assert_eq!(again.header("content-encoding"), None);
    let strong = client.get_with("/", "if-none-match: \"v1\"\r\n");
    assert_eq!((strong.status, strong.header("etag")), (304, Some("\"v1\"")));
}

#[test]
fn head_says_what_get_would() {
    let fields = "content-type: text/html\r\netag: \"v1\"\r\ncontent-length: 3000\r\n";
    let origin = Origin::answering(move |request| {
        let body = if request.method() == "HEAD" { String::new() } else { text(3_000) };
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
    });
    let evenkeel = before(&origin);
    let mut client = evenkeel.client();
    for accepts in [GZIP, ""] {
        let head = client.ask(format!("HEAD / HTTP/1.1\r\nhost: test\r\n{accepts}\r\n"));
        let get = match accepts {
            GZIP => get_compressed(&mut client, "/", accepts),
            _ => client.get_with("/", accepts),
        };
        for name in ["content-encoding", "etag", "vary", "content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{name} {accepts}");
        }
    }
}

#[test]
fn the_edits_of_the_route_come_first() {
    let origin = Origin::bytes(answer(200, "content-type: application/octet-stream\r\n", &text(3_000)));
    let route = "[[route]]\npath = \"/*\"\npool = \"app\"\ncompress = true\n\
                 response_headers = { set = { content-type = \"text/plain\", vary = \"x-tenant\" } }\n";
    let evenkeel = Evenkeel::start(&(route.to_owned() + &pool(&[&origin], "")));
    let response = get_compressed(&mut evenkeel.client(), "/", GZIP);
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(response.header("vary"), Some("x-tenant, accept-encoding"));
}

#[test]
fn a_route_without_compress_changes_nothing() {
    let origin = Origin::bytes(answer(200, "content-type: text/html\r\n", &text(3_000)));
    for compress in ["", "compress = false\n"] {
        let route = format!("[[route]]\npath = \"/*\"\npool = \"app\"\n{compress}");
        let evenkeel = Evenkeel::start(&(route + &pool(&[&origin], "")));
        assert_untouched(&evenkeel.client().get_with("/", GZIP), "no compress");
    }
}

#[test]
fn our_own_errors_go_out_as_they_are() {
    let origin = Origin::refusing("gone");
    let evenkeel = before(&origin);
    eventually("the server refuses", || evenkeel.get("/").status == 502);
    let response = evenkeel.client().get_with("/", GZIP);
    assert_eq!(response.header("content-encoding"), None);
}

#[test]
fn a_cached_response_goes_out_as_each_client_takes_it() {
    let fields = "content-type: text/html\r\ncache-control: max-age=600\r\netag: \"v1\"\r\n";
    let origin = Origin::bytes(answer(200, fields, &text(3_000)));
    let route = "[[route]]\npath = \"/*\"\npool = \"app\"\ncompress = true\ncache = true\n";
    let evenkeel = Evenkeel::start(&(route.to_owned() + &pool(&[&origin], "")));
    let mut client = evenkeel.client();
    for encoding in [None, Some("gzip"), Some("br"), None, Some("zstd")] {
        let accepts = encoding.map(|encoding| format!("accept-encoding: {encoding}\r\n")).unwrap_or_default();
        let response = client.get_with("/", &accepts);
        assert_eq!(
            (response.header("content-encoding"), response.header("vary")),
            (encoding, Some("accept-encoding"))
        );
        let bytes =
            encoding.map_or(response.body.bytes.clone(), |encoding| decoded(encoding, &response.body.bytes));
        assert!(bytes == text(3_000).as_bytes(), "{encoding:?}");
    }
    let again = client.get_with("/", &format!("{GZIP}if-none-match: W/\"v1\"\r\n"));
    assert_eq!((again.status, again.header("etag")), (304, Some("W/\"v1\"")));
    let part = client.get_with("/", &format!("{GZIP}range: bytes=0-9\r\n"));
    assert_eq!(
        (part.status, part.header("content-encoding"), part.text()),
        (206, None, text(3_000)[..10].to_owned())
    );
    assert_eq!(origin.count(), 1, "the cache asked once");
}

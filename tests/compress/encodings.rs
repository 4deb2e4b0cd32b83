//! Every encoding gives back what the server sent, whatever version the client speaks; and the client says which one.

use super::decode::{ALL, decoded, get_compressed, text};
use crate::support::h2::Peer;
use crate::support::h2::fields::{Blocks, GET, block, values};
use crate::support::h2::frames::{flag, headers, kind};
use crate::support::{Evenkeel, Framing, Origin, Response, answer, chunked, eventually, pool};

/// A balancer before a server that answers with this; `compress` is what its only route says.
fn before(origin: &Origin, compress: &str) -> Evenkeel {
    let route = format!("[[route]]\npath = \"/*\"\npool = \"app\"\ncompress = {compress}\n");
    Evenkeel::start(&(route + &pool(&[origin], "")))
}

fn html(body: &str) -> Origin {
    Origin::bytes(answer(200, "content-type: text/html; charset=utf-8\r\n", body))
}

#[track_caller]
fn assert_is(response: &Response, encoding: &str, body: &str) {
    assert_eq!(response.header("content-encoding"), Some(encoding));
    assert!(response.body.bytes.len() < body.len() / 2, "{} bytes", response.body.bytes.len());
    assert!(
        decoded(encoding, &response.body.bytes) == body.as_bytes(),
        "{encoding} gives back something else"
    );
}

#[test]
fn each_encoding_gives_back_what_the_server_sent() {
    for len in [1_500, 200_000] {
        let body = text(len);
        let origin = html(&body);
        let evenkeel = before(&origin, "true");
        let mut client = evenkeel.client();
        for encoding in ALL {
            let response = get_compressed(&mut client, "/", &format!("accept-encoding: {encoding}\r\n"));
            assert_is(&response, encoding, &body);
            assert!(matches!(response.body.framing, Framing::Chunked(_)), "{:?}", response.head);
        }
        let plain = client.get("/");
        assert_eq!((plain.header("content-encoding"), plain.text() == body), (None, true));
        assert_eq!(plain.body.framing, Framing::Length);
    }
}

#[test]
fn chunks_and_their_trailers_pass_but_for_digests_of_other_bytes() {
    let body = text(40_000);
    let (one, other) = body.split_at(11_000);
    let typed = chunked(&[one, other], "x-checksum: 42\r\nrepr-digest: sha-256=:x:\r\netag: \"v1\"\r\n")
        .replace(" OK\r\n", " OK\r\ncontent-type: text/css\r\n");
    let origin = Origin::bytes(typed);
    let evenkeel = before(&origin, "true");
    let mut client = evenkeel.client();
    for encoding in ALL {
        let response = get_compressed(&mut client, "/", &format!("accept-encoding: {encoding}\r\n"));
        assert_is(&response, encoding, &body);
        assert_eq!(response.body.trailers, [("x-checksum".to_owned(), "42".to_owned())]);
    }
}

#[test]
fn a_client_of_http_1_0_reads_to_the_end_of_the_connection() {
    let body = text(70_000);
    let origin = html(&body);
    let evenkeel = before(&origin, "true");
    for encoding in ALL {
        let mut last = None;
        eventually("the response is compressed", || {
            let mut client = evenkeel.client();
            client.send(format!("GET / HTTP/1.0\r\nhost: test\r\naccept-encoding: {encoding}\r\n\r\n"));
            let response = client.response("GET").unwrap();
            let is_compressed = response.header("content-encoding").is_some();
            last = Some(response);
            is_compressed
        });
        let response = last.unwrap();
        assert_is(&response, encoding, &body);
        assert_eq!(response.body.framing, Framing::UntilClose);
    }
}

#[test]
fn a_client_of_http2_gets_the_same() {
    let body = text(70_000);
    let origin = html(&body);
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"2\"]\n";
    let route = "[[route]]\npath = \"/*\"\npool = \"app\"\ncompress = true\n";
    let evenkeel = Evenkeel::start(&format!("{listener}{route}{}", pool(&[&origin], "")));
    let ask = |encoding: &'static str| {
        let mut peer = Peer::greeted(evenkeel.client());
        let [method, scheme, path, authority] = GET;
        let fields = block(&[method, scheme, path, authority, ("accept-encoding", encoding)]);
        peer.send(headers(1, flag::WHOLE, fields)).unwrap();
        let head = Blocks::new().read(&peer.frame(kind::HEADERS).unwrap().payload);
        (peer, head)
    };
    for encoding in ALL {
        let mut answer = ask(encoding);
        eventually("the response is compressed", || {
            let is_compressed = values(&answer.1, "content-encoding") == [encoding];
            if !is_compressed {
                answer = ask(encoding);
            }
            is_compressed
        });
        let (mut peer, head) = answer;
        assert!(values(&head, "content-length").is_empty(), "{head:?}");
        let mut bytes = Vec::new();
        loop {
            let frame = peer.frame(kind::DATA).unwrap();
            bytes.extend_from_slice(&frame.payload);
            if frame.has(flag::END_STREAM) {
                break;
            }
        }
        assert!(decoded(encoding, &bytes) == body.as_bytes(), "{encoding}");
    }
}

#[test]
fn the_client_weighs_the_encodings_and_the_route_orders_the_rest() {
    let origin = html(&text(5_000));
    let evenkeel = before(&origin, "[\"br\", \"gzip\"]");
    let mut client = evenkeel.client();
    for (field, expected) in [
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip;q=1.0, br;q=0.9", Some("gzip")),
        ("*", Some("br")),
        ("br;q=0, *;q=0.1", Some("gzip")),
        ("zstd", None),
        ("identity", None),
        ("identity;q=1, gzip;q=0.1", None),
        ("gzip;q=0", None),
        ("gzip;q=nonsense", None),
        ("identity;q=0", None),
        ("*;q=0", None),
        ("", None),
        ("x-gzip", Some("gzip")),
    ] {
        let accepts = format!("accept-encoding: {field}\r\n");
        let response = match expected {
            Some(_) => get_compressed(&mut client, "/", &accepts),
            None => client.get_with("/", &accepts),
        };
        assert_eq!((response.status, response.header("content-encoding")), (200, expected), "{field}");
    }
    let two_lines =
        get_compressed(&mut client, "/", "accept-encoding: gzip;q=0.5\r\naccept-encoding: br;q=0.1\r\n");
    assert_eq!(two_lines.header("content-encoding"), Some("gzip"));
}

#[test]
fn a_fixed_response_is_compressed_whole_with_its_length() {
    for len in [3_000, 65_000] {
        let body = text(len);
        let respond = format!("respond = {{ body = '''{body}''', content_type = \"text/html\" }}\n");
        let evenkeel = Evenkeel::start(&format!("[[route]]\npath = \"/*\"\ncompress = true\n{respond}"));
        let mut client = evenkeel.client();
        for encoding in ALL {
            let accepts = format!("accept-encoding: {encoding}\r\n");
            // The level, and so the length, may change while the worker is late.
            eventually("HEAD and GET agree", || {
                let response = get_compressed(&mut client, "/", &accepts);
                assert_is(&response, encoding, &body);
                assert_eq!(response.body.framing, Framing::Length);
                let head = client.ask(format!("HEAD / HTTP/1.1\r\nhost: test\r\n{accepts}\r\n"));
                let agree = |name: &str| head.header(name) == response.header(name);
                agree("content-length") && agree("content-encoding")
            });
        }
        assert_eq!(client.get("/").text(), body);
    }
}

#[test]
fn many_responses_over_one_connection_share_the_encoders() {
    let body = text(20_000);
    let origin = html(&body);
    let evenkeel = before(&origin, "true");
    let mut client = evenkeel.client();
    for turn in 0..30 {
        let encoding = ALL[turn % 3];
        let response = get_compressed(&mut client, "/", &format!("accept-encoding: {encoding}\r\n"));
        assert_is(&response, encoding, &body);
    }
}
